//! Who works under which name on this machine, and who did: for each name a lock file, which says who
//! runs, and a state file with the ids under which it registered last, which the next process replaces.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use spark_events::WorkerId;

use crate::exit::{Exit, Trouble};
use crate::home::{Home, write_private};
use crate::lock::{self, Held};

/// Ids that are kept: one of a worker, and those of processes that died while they registered.
const IDS_MAX: usize = 8;

/// What the next process needs to know of this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The id under which it registered last, and those under which it may have since; the newest
    /// last, [`IDS_MAX`] at most.
    #[serde(default)]
    pub(crate) ids: Vec<WorkerId>,
    /// Whether the newest one is known to have arrived.
    #[serde(default)]
    pub(crate) registered: bool,
    /// The process.
    #[serde(default)]
    pub(crate) pid: u32,
    /// The server it works for.
    #[serde(default)]
    pub(crate) server: String,
}

/// The right to be the worker of a name on this machine; held as long as it lives.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    state: State,
    _lock: File,
}

impl Place {
    /// Takes it.
    ///
    /// # Errors
    /// Another process has it, or the files cannot be used.
    pub(crate) fn take(home: &Home, name: &str) -> Result<Self> {
        let lock = lock::take(&home.worker_lock(name))?.map_err(|other| held(name, other))?;
        let path = home.worker_state(name);
        let ids = read(&path).map(|state| state.ids).unwrap_or_default();
        let state =
            State { ids, registered: false, pid: std::process::id(), server: String::new() };
        Ok(Self { path, state, _lock: lock })
    }

    /// The ids of processes before this one, the newest last.
    pub(crate) fn ids(&self) -> &[WorkerId] {
        &self.state.ids
    }

    /// Keeps an id before it is sent.
    pub(crate) fn remember(&mut self, id: WorkerId) -> Result<()> {
        if self.state.ids.len() == IDS_MAX {
            // The first one is known to have registered.
            self.state.ids.remove(1);
        }
        self.state.ids.push(id);
        self.state.registered = false;
        self.write()
    }

    /// The id has arrived; those before it are of no more use.
    pub(crate) fn registered(&mut self, id: WorkerId, server: String) -> Result<()> {
        self.state.server = server;
        self.state.ids = vec![id];
        self.state.registered = true;
        self.write()
    }

    /// It left in good order: there is nothing to replace.
    pub(crate) fn forget(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn write(&self) -> Result<()> {
        write_private(&self.path, &serde_json::to_string(&self.state)?)
    }
}

/// What is kept under a name.
pub(crate) fn read(path: &Path) -> Option<State> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// The process that is the worker of this name on this machine now.
pub(crate) fn running(home: &Home, name: &str) -> Option<u32> {
    lock::holder(&home.worker_lock(name)).ok().flatten()?.pid
}

/// The names that have been used on this machine, in order.
pub(crate) fn names(home: &Home) -> Vec<String> {
    let files = std::fs::read_dir(home.dir()).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            Some(name.strip_prefix("worker-")?.strip_suffix(".lock")?.to_owned())
        })
        .collect();
    names.sort();
    names
}

fn held(name: &str, other: Held) -> Trouble {
    Trouble::new(Exit::Conflict, format!("a worker named {name} runs on this machine already"))
        .because(format!("{} holds its lock", other.who()))
        .then(format!("stop it: automagik worker stop {name}"))
        .then("or start a second one under another name: automagik worker start --name NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path()));
        (dir, home)
    }

    #[test]
    fn a_name_is_one_process_on_a_machine() {
        let (_dir, home) = home();
        assert_eq!(running(&home, "a"), None);
        let place = Place::take(&home, "a").unwrap();
        let error = Place::take(&home, "a").unwrap_err();
        let trouble = error.downcast_ref::<Trouble>().unwrap();
        assert_eq!(trouble.exit, Exit::Conflict);
        assert_eq!(running(&home, "a"), Some(std::process::id()));
        Place::take(&home, "b").unwrap();
        assert_eq!(names(&home), ["a", "b"]);
        drop(place);
        assert_eq!(running(&home, "a"), None);
        Place::take(&home, "a").unwrap();
    }

    #[test]
    fn the_next_process_knows_the_one_before_wherever_that_died() {
        let (_dir, home) = home();
        let ids: Vec<WorkerId> = (0..3).map(|_| WorkerId::random()).collect();
        let mut place = Place::take(&home, "a").unwrap();
        place.remember(ids[0]).unwrap();
        place.registered(ids[0], "http://s".into()).unwrap();
        drop(place);
        // This one died before it knew whether it was taken in.
        let mut place = Place::take(&home, "a").unwrap();
        assert_eq!(place.ids(), [ids[0]]);
        place.remember(ids[1]).unwrap();
        drop(place);
        let mut place = Place::take(&home, "a").unwrap();
        assert_eq!(place.ids(), [ids[0], ids[1]]);
        place.remember(ids[2]).unwrap();
        place.registered(ids[2], "http://s".into()).unwrap();
        assert_eq!(place.ids(), [ids[2]]);
        place.forget();
        drop(place);
        assert_eq!(Place::take(&home, "a").unwrap().ids(), []);
    }
}
