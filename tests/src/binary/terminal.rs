//! A command on a terminal of its own, with a person before it who reads and types.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::PATIENCE;

/// A command that runs on a terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: mpsc::UnboundedReceiver<Vec<u8>>,
    seen: String,
    told: usize,
}

impl Terminal {
    pub(super) fn start(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("the terminal can be used");
        let name = ptsname(&ours, Vec::new()).expect("the terminal has a name");
        let path = std::ffi::OsStr::from_bytes(name.as_bytes());
        let theirs = File::options().read(true).write(true).open(path).expect("its other end");
        let theirs = || Stdio::from(OwnedFd::from(theirs.try_clone().expect("a file")));
        command.stdin(theirs()).stdout(theirs()).stderr(theirs()).kill_on_drop(true);
        command.env("TERM", "dumb").env("NO_COLOR", "1");
        let child = command.spawn().expect("the binary starts");
        // Its copies of the other end are closed with it, which ends the reader below.
        drop(command);
        let keyboard = File::from(ours);
        let mut reader = keyboard.try_clone().expect("a file");
        let (tell, screen) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = reader.read(&mut bytes) {
                if n == 0 || tell.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: String::new(), told: 0 }
    }

    /// Waits until this is seen behind what was waited for before.
    ///
    /// # Panics
    /// When it is not seen in time, or the command ends before.
    #[track_caller]
    pub fn sees(&mut self, text: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                if let Some(at) = self.seen[self.told..].find(text) {
                    self.told += at + text.len();
                    return;
                }
                let more = timeout(PATIENCE, self.screen.recv()).await.ok().flatten();
                let seen = &self.seen;
                let more =
                    more.unwrap_or_else(|| panic!("called at {caller}: no {text:?} in {seen}"));
                self.seen.push_str(&String::from_utf8_lossy(&more));
            }
        }
    }

    /// Types a line.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\r").as_bytes()).expect("it can be typed");
    }

    /// Presses a key.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn presses(&mut self, key: u8) {
        self.keyboard.write_all(&[key]).expect("it can be pressed");
    }

    /// Waits for the end; gives the exit code, and everything that was on the screen.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn ends(mut self) -> impl Future<Output = (i32, String)> {
        let caller = std::panic::Location::caller();
        async move {
            let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
                panic!("called at {caller}: it does not end: {}", self.seen);
            };
            while let Some(more) = self.screen.recv().await {
                self.seen.push_str(&String::from_utf8_lossy(&more));
            }
            (status.expect("it is our child").code().unwrap_or(-1), self.seen)
        }
    }
}
