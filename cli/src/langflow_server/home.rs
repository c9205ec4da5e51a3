//! The folder `langflow` in the data directory: its paths, its lock, its private files and the
//! note about the running process. It never starts or ends anything.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use spark_events::{ids, limits};
use tokio::time::Instant;

use super::{Say, VERSION};

/// How often a lock that is held is tried again.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// Lines of a log that an error shows.
const TAIL_LINES_MAX: usize = 15;

/// What the next start must know of this one, also after a `kill -9`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The leader of LangFlow's process group.
    pub(super) pid: i32,
    /// Kept for the next start, so that URLs stay the same.
    pub(super) port: u16,
    /// The LangFlow that was started.
    pub(super) version: String,
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Home {
    dir: PathBuf,
}

impl Home {
    /// Makes the folder, for this user's eyes only: flows and their secrets are inside.
    pub(super) fn open(data_dir: &Path) -> Result<Self> {
        let dir = data_dir.join("langflow");
        fs::create_dir_all(data_dir)?;
        if !dir.is_dir() {
            DirBuilder::new().mode(0o700).create(&dir)?;
        }
        // One spelling of the path: left-over processes are recognised by it.
        let home = Self { dir: fs::canonicalize(dir)? };
        fs::create_dir_all(home.data())?;
        Ok(home)
    }

    /// Keeps a second Spark from installing or running LangFlow in the same folder. Held until
    /// the file is dropped, and let go by the system when this process is killed.
    pub(super) async fn lock(&self, patience: Duration, say: &Say) -> Result<File> {
        let file = OpenOptions::new().create(true).append(true).open(self.dir.join("lock"))?;
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => {
                    return Err(error).context("could not lock LangFlow's folder");
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => bail!(
                    "another automagik is using {}: stop it first, or give this one another data directory",
                    self.dir.display()
                ),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut said, true) {
                        say("waiting for another automagik to let go of LangFlow");
                    }
                    tokio::time::sleep(LOCK_POLL).await;
                }
            }
        }
    }

    /// The folder itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What every virtual environment's path begins with, whatever its version.
    pub(super) fn venv_prefix(&self) -> String {
        format!("{}/venv-", self.dir.display())
    }

    /// The virtual environment of the pinned version.
    pub(super) fn venv(&self) -> PathBuf {
        self.dir.join(format!("venv-{VERSION}"))
    }

    /// The Python inside it.
    pub(super) fn python(&self) -> PathBuf {
        self.venv().join("bin").join("python")
    }

    /// LangFlow's own files: database, secret key, uploads.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// LangFlow's output.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("langflow.log")
    }

    /// The output of the installation.
    pub(super) fn install_log(&self) -> PathBuf {
        self.dir.join("install.log")
    }

    /// The key that was made for Spark.
    pub(super) fn key_file(&self) -> PathBuf {
        self.dir.join("api-key")
    }

    /// The superuser's password, made at the first start. Only needed by a user who turns
    /// LangFlow's automatic login off.
    pub(super) fn password(&self) -> Result<String> {
        let path = self.dir.join("password");
        if let Some(password) = read_line(&path)? {
            return Ok(password);
        }
        // Without the mark of Spark's own keys it stays within the 72 bytes that bcrypt looks at.
        let secret = ids::new_secret();
        let password = format!("Lf-{}", secret.trim_start_matches("sk-spark-"));
        write_private(&path, &password)?;
        Ok(password)
    }

    /// The note of the last start. One that cannot be read is the same as none.
    pub(super) fn note(&self) -> Option<Note> {
        serde_json::from_slice(&fs::read(self.dir.join("state.json")).ok()?).ok()
    }

    /// Writes the note so that a crash leaves the old or the new one, never half of one.
    pub(super) fn write_note(&self, note: &Note) -> Result<()> {
        let path = self.dir.join("state.json");
        write_private(&path, &serde_json::to_string(note)?)
    }

    /// Opens LangFlow's log at its end, after setting a long one aside. The number is where this
    /// run's lines begin.
    pub(super) fn open_log(&self) -> Result<(File, u64)> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > limits::LANGFLOW_LOG_BYTES_MAX) {
            fs::rename(&path, self.dir.join("langflow.log.1"))?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let from = file.metadata()?.len();
        Ok((file, from))
    }
}

/// The first line of a small file; `None` when it is missing or empty.
pub(super) fn read_line(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            Ok(text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(String::from))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

/// Replaces a small file in one step, readable by this user only.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// The last lines of a log that were written from `from` on, indented for an error text.
pub(super) fn tail(path: &Path, from: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let start = from.max(length.saturating_sub(limits::LANGFLOW_LOG_TAIL_BYTES_MAX));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limits::LANGFLOW_LOG_TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "\n    (nothing was written)".to_string();
    }
    let last = &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..];
    last.iter().map(|line| format!("\n    {line}")).collect()
}
