//! The ways in which a server can misbehave. Owns which request is hit; `server.rs` carries it out.

use std::sync::Mutex;
use std::time::Duration;

use super::state::lock;

/// What is wrong with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// An HTML page under status 200, as a proxy or the web pages give.
    Html,
    /// The request is carried out, and the connection breaks in the middle of its answer.
    HalfBody,
    /// The request is carried out, and the connection breaks before its answer.
    LoseAnswer,
    /// The request is read and never answered.
    Hang,
    /// A plain error under this status, with `Retry-After` in seconds where given. Nothing is
    /// carried out.
    Status(u16, Option<u32>),
    /// The request is carried out after this time.
    Slow(Duration),
    /// The connection breaks before anything is carried out.
    Disconnect,
    /// The port refuses connections, and open ones are dropped. It is for the whole server: the
    /// part of a path is not looked at.
    RefuseConnections,
}

struct Rule {
    path_part: String,
    trouble: Trouble,
    times_left: Option<u32>,
}

/// The trouble in force: at most one rule.
pub(super) struct Troubles(Mutex<Option<Rule>>);

impl Troubles {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn set(&self, path_part: &str, trouble: Trouble, times: Option<u32>) {
        let rule = Rule { path_part: path_part.to_owned(), trouble, times_left: times };
        *lock(&self.0) = (rule.trouble != Trouble::None).then_some(rule);
    }

    /// The trouble that this request meets.
    pub(super) fn meet(&self, path: &str) -> Trouble {
        let mut rule = lock(&self.0);
        let Some(hit) = rule.as_mut().filter(|rule| path.contains(&rule.path_part)) else {
            return Trouble::None;
        };
        let trouble = hit.trouble.clone();
        if let Some(left) = hit.times_left.as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                *rule = None;
            }
        }
        trouble
    }
}
