//! The data directory as both sides see it: `up` keeps its key and its address there, the
//! commands find them there. Never opens the log or the read models.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Trouble};

/// How the names of folders begin in which restores gather what they put in place.
const RESTORING: &str = "restoring-";

/// The data directory: who has it, has the server.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
    is_usual: bool,
}

/// What `up` leaves for commands on the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFile {
    /// Where it listens.
    pub(crate) url: String,
    /// Its process.
    pub(crate) pid: u32,
}

impl Home {
    /// The named directory, else `~/.automagik`, else `.automagik` here.
    pub(crate) fn new(named: Option<&Path>) -> Self {
        let home = || {
            let user = std::env::var_os("HOME").filter(|home| !home.is_empty());
            PathBuf::from(user.unwrap_or_default()).join(".automagik")
        };
        let dir = named.map_or_else(home, Path::to_owned);
        Self { is_usual: dir == home(), dir }
    }

    /// Whether it is the one that is meant where none is named.
    pub(crate) fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The event log's file.
    pub(crate) fn events(&self) -> PathBuf {
        self.dir.join("events.db")
    }

    /// The read models' file.
    pub(crate) fn reads(&self) -> PathBuf {
        self.dir.join("reads.db")
    }

    /// The file that a running server keeps locked.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("automagik.lock")
    }

    /// The API key's file.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.join("api-key")
    }

    /// The files that open the sealed keys of sources: the one that counts, and the one before it
    /// while it is being replaced.
    pub(crate) fn seal_keys(&self) -> Vec<PathBuf> {
        ["seal.key", "seal.key.old"].map(|name| self.dir.join(name)).into()
    }

    /// A database's file with those that SQLite keeps beside it.
    pub(crate) fn with_companions(file: &Path) -> Vec<PathBuf> {
        let beside = |ending: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        ["", "-wal", "-shm"].map(beside).into()
    }

    /// The file that a running worker of this name keeps locked.
    pub(crate) fn worker_lock(&self, name: &str) -> PathBuf {
        self.dir.join(format!("worker-{name}.lock"))
    }

    /// What the next worker of this name needs to know of the last one.
    pub(crate) fn worker_state(&self, name: &str) -> PathBuf {
        self.dir.join(format!("worker-{name}.json"))
    }

    /// The log of a worker of this name that runs in the background.
    pub(crate) fn worker_log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("worker-{name}.log"))
    }

    /// The folder in which a restore gathers what it puts in place.
    pub(crate) fn restoring(&self, stamp: &str) -> PathBuf {
        self.dir.join(format!("{RESTORING}{stamp}"))
    }

    /// Such folders that restores left, which broke off. An empty one is of a restore that ended.
    pub(crate) fn broken_restores(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let of_restore = entries.filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with(RESTORING)
                && std::fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_some())
        });
        of_restore.map(|entry| entry.path()).collect()
    }

    /// Refuses a directory that lacks something because a restore broke off: whoever starts there
    /// would begin with an empty log.
    ///
    /// # Errors
    /// Where there is such a restore, with what to do.
    pub(crate) fn whole(&self) -> Result<(), Trouble> {
        let Some(left) = self.broken_restores().into_iter().next() else { return Ok(()) };
        let (dir, left) = (self.dir.display(), left.display());
        let trouble = Trouble::new(Exit::Conflict, format!("a restore into {dir} broke off"))
            .because(format!("what it had not put in its place yet lies in {left}"))
            .then("do it again: automagik db restore BACKUP --force");
        Err(if self.events().exists() {
            trouble.then(format!("or keep the log that is there: delete {left}"))
        } else {
            trouble.then(format!(
                "or go back: move what lies in {dir}/before-restore-* into {dir}, and delete {left}"
            ))
        })
    }

    fn server_file(&self) -> PathBuf {
        self.dir.join("server.json")
    }

    /// The key in the key file, if there is one that can be read.
    pub(crate) fn key(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.key_file()).ok()?;
        Some(text.trim().to_owned()).filter(|key| !key.is_empty())
    }

    /// The key in the key file; makes one at the first start.
    pub(crate) fn key_or_new(&self) -> Result<String> {
        if let Some(key) = self.key() {
            return Ok(key);
        }
        let key = spark_events::ids::new_secret();
        write_private(&self.key_file(), format!("{key}\n"))?;
        Ok(key)
    }

    /// The address of a server that runs over this directory. What a killed one left is ignored,
    /// although another process may have its number or its port by now: the lock tells.
    pub(crate) fn server(&self) -> Option<ServerFile> {
        let text = std::fs::read_to_string(self.server_file()).ok()?;
        let file: ServerFile = serde_json::from_str(&text).ok()?;
        self.is_locked(file.pid).then_some(file)
    }

    /// Whether a server holds the directory. Where locks cannot be asked for, its process counts.
    fn is_locked(&self, pid: u32) -> bool {
        crate::lock::holder(&self.lock()).map_or_else(|_| is_alive(pid), |held| held.is_some())
    }

    /// Leaves the address for commands on this machine.
    pub(crate) fn write_server(&self, file: &ServerFile) -> Result<()> {
        write_private(&self.server_file(), serde_json::to_string(file)?)
    }

    /// Takes the address away again, at the end of the server.
    pub(crate) fn remove_server(&self) {
        let _ = std::fs::remove_file(self.server_file());
    }

    /// Makes the directory, for its owner alone.
    pub(crate) fn create(&self) -> Result<()> {
        std::fs::create_dir_all(&self.dir).and_then(|()| private(&self.dir, 0o700)).map_err(
            |error| {
                let what = format!("cannot make the data directory {}", self.dir.display());
                crate::exit::Trouble::failed(what)
                    .because(error.to_string())
                    .then("name one that you may write to: --data-dir DIR, or AUTOMAGIK_HOME")
                    .into()
            },
        )
    }
}

/// Writes a file that only its owner can read. It is replaced as a whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let part = path.with_extension("part");
    let write = || {
        let _ = std::fs::remove_file(&part);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory as durable as the files in it: what was renamed or deleted there stays so.
#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_dir(_dir: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The same for the directory that something lies in.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_dir(parent),
        None => sync_dir(Path::new(".")),
    }
}

/// Sets who may use a file or a directory.
#[cfg(unix)]
pub(crate) fn private(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
pub(crate) fn private(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // A process of another user answers "not permitted", and lives.
    pid.is_some_and(|pid| {
        let probed = rustix::process::test_kill_process(pid);
        probed.is_ok() || probed == Err(rustix::io::Errno::PERM)
    })
}

#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(&dir.path().join("data")));
        home.create().unwrap();
        (dir, home)
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let (_guard, home) = temp();
        assert_eq!(home.key(), None);
        let key = home.key_or_new().unwrap();
        assert!(key.len() > 64 && key.starts_with("sk-spark-"), "{key}");
        assert_eq!(home.key_or_new().unwrap(), key);
        assert_eq!(home.key(), Some(key));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_directory_and_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let (_guard, home) = temp();
        home.key_or_new().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.dir()), 0o700);
        assert_eq!(mode(&home.key_file()), 0o600);
    }

    #[test]
    fn the_address_of_a_dead_server_is_ignored() {
        let (_guard, home) = temp();
        assert_eq!(home.server(), None);
        let file = ServerFile { url: "http://127.0.0.1:1".into(), pid: std::process::id() };
        home.write_server(&file).unwrap();
        assert_eq!(home.server(), None, "a live process is no proof: numbers are given again");
        let lock = std::fs::File::create(home.lock()).unwrap();
        lock.lock().unwrap();
        assert_eq!(home.server(), Some(file));
        drop(lock);
        assert_eq!(home.server(), None);
        home.remove_server();
        assert!(!home.server_file().exists());
    }

    #[test]
    fn a_restore_that_broke_off_is_told_until_it_has_ended() {
        let (_guard, home) = temp();
        let left = home.restoring("20260301-120000");
        std::fs::create_dir(&left).unwrap();
        home.whole().unwrap();
        std::fs::write(left.join("events.db"), "x").unwrap();
        let trouble = home.whole().unwrap_err();
        assert_eq!(trouble.exit, Exit::Conflict);
        assert!(trouble.next[1].contains("before-restore-"), "{:?}", trouble.next);
        std::fs::write(home.events(), "x").unwrap();
        assert!(home.whole().unwrap_err().next[1].contains("keep the log"));
        std::fs::remove_dir_all(&left).unwrap();
        home.whole().unwrap();
    }
}
