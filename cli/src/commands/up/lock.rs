//! One server over one data directory, by a lock on a file of it.

use std::fs::File;

use anyhow::Result;

use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::lock::{self, Held};

/// Takes the lock; it is held as long as the file is open.
pub(crate) fn take(home: &Home) -> Result<File> {
    lock::take(&home.lock())?.map_err(|other| held(home, other).into())
}

fn held(home: &Home, other: Held) -> Trouble {
    let dir = home.dir().display();
    let mut trouble = Trouble::new(Exit::Conflict, format!("a server runs over {dir} already"))
        .because(format!("{} holds its lock", other.who()))
        .then("use it: automagik status");
    if let Some(pid) = other.pid {
        trouble = trouble.then(format!("or stop it: kill {pid}"));
    }
    trouble
        .then("or start a second one over another directory: automagik up --data-dir DIR --port N")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path()));
        let first = take(&home).unwrap();
        let error = take(&home).unwrap_err();
        let trouble = error.downcast_ref::<Trouble>().unwrap();
        assert_eq!(trouble.exit, Exit::Conflict);
        let pid = std::process::id();
        assert_eq!(trouble.why, [format!("process {pid} holds its lock")]);
        assert!(trouble.next.contains(&format!("or stop it: kill {pid}")));
        drop(first);
        take(&home).unwrap();
    }
}
