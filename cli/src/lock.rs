//! A file that a process holds locked for as long as it lives, and in which it says who it is. The
//! operating system lets the lock go when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Looks at a lock that is held before it counts as another process's, and at a holder who has not
/// said yet who it is.
const LOOKS: u32 = 10;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Another process has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Which one, where it says so.
    pub(crate) pid: Option<u32>,
}

impl Held {
    /// For people.
    pub(crate) fn who(self) -> String {
        self.pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    }
}

/// Takes a lock; it is held as long as the file is open.
///
/// # Errors
/// The file cannot be used. That another process has it is an answer.
pub(crate) fn take(path: &Path) -> Result<Result<File, Held>> {
    take_with(path, || std::thread::sleep(PAUSE))
}

/// The same, with what is done between two looks.
fn take_with(path: &Path, mut pause: impl FnMut()) -> Result<Result<File, Held>> {
    let cannot = || format!("cannot use the lock file {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).with_context(cannot)?;
    let mut looks = LOOKS;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A command that looks whether somebody holds it holds it for a moment.
            Err(TryLockError::WouldBlock) if looks > 0 => {
                looks -= 1;
                pause();
            }
            Err(TryLockError::WouldBlock) => return Ok(Err(Held { pid: pid_in(&mut file) })),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
    }
    // At once, so that nobody reads the process that held it before.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .with_context(cannot)?;
    Ok(Ok(file))
}

/// Who holds a lock; `None` where nobody does.
///
/// # Errors
/// Where the system cannot say whether it is held.
pub(crate) fn holder(path: &Path) -> std::io::Result<Option<Held>> {
    holder_with(path, || std::thread::sleep(PAUSE))
}

/// The same, with what is done between two looks.
fn holder_with(path: &Path, mut pause: impl FnMut()) -> std::io::Result<Option<Held>> {
    let Ok(mut file) = File::open(path) else { return Ok(None) };
    let mut looks = LOOKS;
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let pid = pid_in(&mut file);
        // Between the lock and the word who has it lies a moment.
        if pid.is_some() || looks == 0 {
            return Ok(Some(Held { pid }));
        }
        looks -= 1;
        pause();
    }
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut holder = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut holder).ok()?;
    // A half-written number is another number.
    holder.strip_suffix('\n')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        (dir, path)
    }

    #[test]
    fn one_process_has_it_and_says_who_it_is() {
        let (_dir, path) = place();
        assert_eq!(holder(&path).unwrap(), None);
        let held = Held { pid: Some(std::process::id()) };
        let file = take(&path).unwrap().unwrap();
        assert_eq!(holder(&path).unwrap(), Some(held));
        assert_eq!(take_with(&path, || {}).unwrap().unwrap_err(), held);
        drop(file);
        assert_eq!(holder(&path).unwrap(), None);
        take(&path).unwrap().unwrap();
    }

    /// Whoever looks holds the lock for a moment.
    #[test]
    fn a_look_at_it_does_not_keep_anybody_from_taking_it() {
        let (_dir, path) = place();
        drop(take(&path).unwrap().unwrap());
        let look = File::open(&path).unwrap();
        look.try_lock_shared().unwrap();
        let mut look = Some(look);
        take_with(&path, || drop(look.take())).unwrap().unwrap();
    }

    #[test]
    fn who_has_just_taken_it_is_waited_for_until_it_has_said_who_it_is() {
        let (_dir, path) = place();
        let mut file = File::create(&path).unwrap();
        file.lock().unwrap();
        write!(file, "47").unwrap();
        let held = holder_with(&path, || {
            if file.stream_position().unwrap() == 2 {
                writeln!(file, "11").unwrap();
            }
        });
        assert_eq!(held.unwrap(), Some(Held { pid: Some(4711) }));
        file.set_len(0).unwrap();
        assert_eq!(holder_with(&path, || {}).unwrap(), Some(Held { pid: None }));
    }
}
