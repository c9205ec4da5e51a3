//! The file with the book of alerts and how far in the log it stands. It can be thrown away. Files
//! are read and written beside the runtime's threads, because a disk may take its time.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spark_events::Position;
use spark_events::domain::alert::AlertBook;

use crate::kept::Kept;

/// The format is raised with every change of the book.
const FILE: Kept = Kept { magic: b"SPKALERT", format: 2, what: "the file of alerts" };

/// The book, and how far in the log it stands.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) book: AlertBook,
}

impl Place {
    /// What was kept; `None` when there is no good file.
    pub(super) async fn read(path: PathBuf) -> Option<Self> {
        let read = tokio::task::spawn_blocking(move || {
            let bytes = FILE.read(&path)?;
            let place = serde_json::from_slice(&bytes).ok();
            if place.is_none() {
                FILE.discarded(&path);
            }
            place
        });
        read.await.ok().flatten()
    }

    /// Keeps it. A failure is logged: the next start only has more to read.
    pub(super) async fn keep(self, path: PathBuf) {
        let kept = tokio::task::spawn_blocking(move || match serde_json::to_vec(&self) {
            Ok(bytes) => FILE.write(&path, &bytes),
            Err(error) => tracing::warn!(%error, "the place of alerts in the log is not kept"),
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the place of alerts in the log is not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_kept_is_read_again_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.bin");
        assert!(Place::read(path.clone()).await.is_none());
        Place { position: Position(7), ..Place::default() }.keep(path.clone()).await;
        assert_eq!(Place::read(path.clone()).await.unwrap().position, Position(7));
        FILE.write(&path, b"{");
        assert!(Place::read(path).await.is_none());
    }
}
