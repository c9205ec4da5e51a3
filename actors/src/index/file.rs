//! The index's file: bincode behind a header. Whatever does not fit is discarded, because the log
//! has it all.

use std::path::Path;

use super::Index;
use crate::kept::Kept;

/// The format is raised with every change of the fold or of the types behind it.
const FILE: Kept = Kept { magic: b"SPKINDEX", format: 7, what: "the start-up index" };

/// Reads the file; `None` when there is no good one.
pub(super) fn read(path: &Path) -> Option<Index> {
    let bytes = FILE.read(path)?;
    let read = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
    if read.is_err() {
        FILE.discarded(path);
    }
    read.ok().map(|(index, _)| index)
}

/// Replaces the file. A failure is logged: the next start only has more to read.
pub(super) fn write(path: &Path, index: &Index) {
    match bincode::serde::encode_to_vec(index, bincode::config::standard()) {
        Ok(body) => FILE.write(path, &body),
        Err(error) => tracing::warn!(%error, "the start-up index cannot be written"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_damaged_file_is_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        assert_eq!(read(&path), None);

        let index = Index { position: 7, ..Index::default() };
        write(&path, &index);
        assert_eq!(read(&path), Some(index));

        let whole = fs::read(&path).unwrap();
        for spoilt in [0, 9, 13, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[spoilt] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path), None, "byte {spoilt} was changed");
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(read(&path), None, "the file was cut");
    }
}
