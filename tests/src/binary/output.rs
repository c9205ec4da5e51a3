//! What a command gave back.

use std::fmt;
use std::panic::Location;

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output: the data.
    pub stdout: String,
    /// Standard error: what was said.
    pub stderr: String,
}

impl Output {
    pub(super) fn new(args: &[&str], output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            command: format!("automagik {}", args.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    pub(super) fn expect_code(self, code: i32, caller: &Location<'_>) -> Self {
        assert!(self.code == code, "called at {caller}: not exit code {code}: {self}");
        self
    }

    /// Stops the test unless standard error holds all of these.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "nothing of {part:?}: {self}");
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "`{command}` ended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
