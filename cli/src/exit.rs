//! How a command ends: the exit codes, and the one error that carries its own. Never prints.

use std::fmt;

/// The exit codes of `automagik`. They are part of the interface: scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; an empty list is done too.
    Ok,
    /// Something went wrong.
    Failed,
    /// The command line, or a value in it, cannot be used.
    Usage,
    /// A check found a difference.
    Difference,
    /// The server refused the key, or there is none.
    Auth,
    /// The run that was waited for ended unsuccessfully.
    RunFailed,
    /// What was named does not exist.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// What was waited for has not ended in time.
    Pending,
    /// Interrupted by ctrl-c.
    Interrupted,
}

impl Exit {
    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Difference => 3,
            Self::Auth => 4,
            Self::RunFailed => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::Pending => 8,
            Self::Interrupted => 130,
        }
    }

    /// The one with this number.
    pub(crate) fn of_code(code: i32) -> Option<Self> {
        let all = [
            Self::Ok,
            Self::Failed,
            Self::Usage,
            Self::Difference,
            Self::Auth,
            Self::RunFailed,
            Self::NotFound,
            Self::Conflict,
            Self::Pending,
            Self::Interrupted,
        ];
        all.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// The class of an HTTP answer that is not a success.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            400 | 422 => Self::Usage,
            // 424: it was the source that refused its key.
            401 | 403 | 424 => Self::Auth,
            404 | 410 => Self::NotFound,
            409 | 412 => Self::Conflict,
            _ => Self::Failed,
        }
    }

    /// The end of a command that waited for a task with this status.
    pub(crate) fn of_task(status: &str) -> Self {
        match status {
            "completed" => Self::Ok,
            "failed" | "cancelled" => Self::RunFailed,
            _ => Self::Pending,
        }
    }
}

/// Why a command did not do what it was asked to: what happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What the process ends with.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) what: String,
    /// Why, one line each.
    pub(crate) why: Vec<String>,
    /// What to do next, one line each.
    pub(crate) next: Vec<String>,
}

impl Trouble {
    /// A trouble without a reason or a remedy yet.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: Vec::new(), next: Vec::new() }
    }

    /// Something went wrong.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// A value on the command line that cannot be used.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Adds a reason.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds something to do.
    pub(crate) fn then(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    /// The lines for standard error, without colour.
    pub(crate) fn lines(&self) -> Vec<String> {
        let why = self.why.iter().map(|line| format!("  why: {line}"));
        let next = self.next.iter().map(|line| format!("  next: {line}"));
        std::iter::once(format!("error: {}", self.what)).chain(why).chain(next).collect()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Trouble {}

/// What an error ends the process with, and what is said about it. `None`: the reader of our
/// output closed it, which is its right and no error.
pub(crate) fn trouble_of(error: &anyhow::Error) -> Option<Trouble> {
    if let Some(trouble) = error.downcast_ref::<Trouble>() {
        return Some(trouble.clone());
    }
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return None;
    }
    let mut trouble = Trouble::new(Exit::Failed, error.to_string());
    trouble.why = error.chain().skip(1).map(ToString::to_string).collect();
    Some(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let table = [
            (Exit::Ok, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Difference, 3),
            (Exit::Auth, 4),
            (Exit::RunFailed, 5),
            (Exit::NotFound, 6),
            (Exit::Conflict, 7),
            (Exit::Pending, 8),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in table {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn an_answer_has_the_class_of_its_status() {
        let table = [
            (400, Exit::Usage),
            (401, Exit::Auth),
            (403, Exit::Auth),
            (424, Exit::Auth),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (412, Exit::Conflict),
            (422, Exit::Usage),
            (429, Exit::Failed),
            (500, Exit::Failed),
            (503, Exit::Failed),
        ];
        for (status, exit) in table {
            assert_eq!(Exit::of_status(status), exit, "{status}");
        }
    }

    #[test]
    fn a_waited_for_task_gives_its_own_code() {
        let table = [
            ("completed", Exit::Ok),
            ("failed", Exit::RunFailed),
            ("cancelled", Exit::RunFailed),
            ("running", Exit::Pending),
            ("waiting", Exit::Pending),
            ("pending", Exit::Pending),
        ];
        for (status, exit) in table {
            assert_eq!(Exit::of_task(status), exit, "{status}");
        }
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let trouble = Trouble::new(Exit::Failed, "no server").because("refused").then("start one");
        assert_eq!(trouble.lines(), ["error: no server", "  why: refused", "  next: start one"]);
        let wrapped = anyhow::Error::from(trouble.clone());
        assert_eq!(trouble_of(&wrapped), Some(trouble));
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(trouble_of(&anyhow::Error::from(pipe).context("cannot write")), None);
        let other = std::io::Error::other("disk full");
        let trouble = trouble_of(&anyhow::Error::from(other).context("cannot write")).unwrap();
        assert_eq!(trouble.lines(), ["error: cannot write", "  why: disk full"]);
    }
}
