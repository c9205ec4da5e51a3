//! What a backup consists of, and whether it still does.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spark_events::log::embedded::LogFile;
use spark_events::{Position, Timestamp};

use crate::exit::{Exit, Trouble};

/// The name of the file that says what the others must be.
pub(super) const FILE: &str = "backup.json";
/// The form of that file.
pub(super) const FORMAT: u32 = 1;
/// The log's name in a backup.
pub(super) const LOG: &str = "events.db";
/// Damages of a log that are named.
const DAMAGES_MAX: usize = 5;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Its form.
    pub(super) format: u32,
    /// The program that made it.
    pub(super) version: String,
    /// When.
    pub(super) made_at: Timestamp,
    /// Events in the log.
    pub(super) events: u64,
    /// The log's last position.
    pub(super) head: Position,
    /// Every file.
    pub(super) files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
    /// Its hash, in hexadecimal digits.
    pub(super) sha256: String,
}

impl Entry {
    /// What a file is.
    pub(super) fn of(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let (bytes, sha256) =
            hash(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { name: name.to_owned(), bytes, sha256 })
    }
}

impl Manifest {
    /// Reads a backup and checks every file of it: none is missing, none has changed, and the log is
    /// whole and as long as it was.
    pub(super) fn checked(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bad = |why: String| {
            Trouble::new(Exit::Failed, format!("{} is no backup that can be used", dir.display()))
                .because(why)
                .then("take another one; a backup is a directory that `automagik db backup` made")
        };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| bad(format!("{}: {error}", path.display())))?;
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| bad(format!("{FILE}: {error}")))?;
        if manifest.format > FORMAT {
            let by = &manifest.version;
            return Err(
                bad(format!("version {by} made it, which is newer than this program")).into()
            );
        }
        for wanted in &manifest.files {
            // A name with a path in it would reach beyond the directory.
            if Path::new(&wanted.name).components().count() != 1 || wanted.name.starts_with('.') {
                return Err(bad(format!("{FILE} names {:?}", wanted.name)).into());
            }
            let found = Entry::of(dir, &wanted.name).map_err(|error| bad(format!("{error:#}")))?;
            if found != *wanted {
                return Err(bad(format!("{} is not what {FILE} says", wanted.name)).into());
            }
        }
        if !manifest.files.iter().any(|file| file.name == LOG) {
            return Err(bad(format!("{FILE} does not name {LOG}")).into());
        }
        let log = LogFile::open(&dir.join(LOG)).map_err(|error| bad(error.to_string()))?;
        let damage = log.damage(DAMAGES_MAX).map_err(|error| bad(error.to_string()))?;
        let facts = log.facts().map_err(|error| bad(error.to_string()))?;
        if !damage.is_empty() {
            return Err(bad(damage.join(", ")).into());
        }
        if (facts.events, facts.head) != (manifest.events, manifest.head) {
            let (is, was) = (facts.events, manifest.events);
            return Err(bad(format!("the log has {is} events, and had {was}")).into());
        }
        Ok(manifest)
    }
}

/// Size and hash of a file.
fn hash(path: &Path) -> std::io::Result<(u64, String)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0_u64);
    let mut piece = vec![0; 1024 * 1024];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        hash.update(&piece[..n]);
        bytes += n as u64;
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
