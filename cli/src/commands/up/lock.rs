//! One server over one data directory: a lock on a file that says who holds it. The operating
//! system lets it go when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::exit::{Exit, Trouble};
use crate::home::Home;

/// Looks at a lock that is held before it counts as another server's.
const LOOKS: u32 = 10;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock; it is held as long as the file is open.
pub(crate) fn take(home: &Home) -> Result<File> {
    let path = home.lock();
    let cannot = || format!("cannot use the lock file {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).with_context(cannot)?;
    let mut looks = LOOKS;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A command that looks whether a server runs holds it for a moment.
            Err(TryLockError::WouldBlock) if looks > 0 => {
                looks -= 1;
                std::thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(held(home, &mut file).into()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(cannot)?;
    Ok(file)
}

fn held(home: &Home, file: &mut File) -> Trouble {
    let mut holder = String::new();
    let pid = match file.read_to_string(&mut holder) {
        Ok(_) => holder.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    let who = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let dir = home.dir().display();
    let mut trouble = Trouble::new(Exit::Conflict, format!("a server runs over {dir} already"))
        .because(format!("{who} holds its lock"))
        .then("use it: automagik status");
    if let Some(pid) = pid {
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
