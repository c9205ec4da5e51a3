//! What can be asked of an alert, and why it may refuse.

use serde_json::Value;
use uuid::Uuid;

use super::{AlertCreated, AlertKind, AlertSecrets, AlertUpdated, Answer};
use crate::domain::source::SealedKey;
use crate::limits;
use crate::log::Position;

/// What can be asked of an alert.
#[derive(Debug, Clone)]
pub enum AlertCommand {
    /// Make it.
    Create(Box<AlertCreated>),
    /// Change what is given, keep the rest.
    Update(Box<AlertUpdated>),
    /// Tell again of what happens from now on.
    Enable,
    /// Tell of nothing.
    Disable,
    /// Sign with a new secret, and with the one before for so long.
    RotateSecret {
        /// The new one.
        secret: SealedKey,
        /// How long the one before counts; 0: no more.
        keep_ms: u64,
    },
    /// Keep the same secrets, sealed anew.
    Reseal(AlertSecrets),
    /// Something is to be told.
    Raise(Box<NewMessage>),
    /// A message was sent, and this came of it.
    RecordAttempt(Attempted),
    /// A test message was sent, and this came of it.
    RecordTest {
        /// The message.
        message: Box<NewMessage>,
        /// What came of it.
        attempted: Attempted,
    },
    /// Delete it.
    Delete,
}

/// A message to be raised.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its id.
    pub message_id: Uuid,
    /// What it is about.
    pub kind: AlertKind,
    /// How many things it tells of.
    pub count: u64,
    /// The position of the last of them.
    pub through: Position,
    /// What is sent.
    pub body: Value,
}

/// One attempt to deliver a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// The message.
    pub message_id: Uuid,
    /// How the receiver answered, if it did.
    pub answer: Answer,
    /// What went wrong; `None` where it was delivered.
    pub error: Option<String>,
    /// How long the receiver asked to wait (Retry-After).
    pub retry_after_ms: Option<u64>,
    /// Whether somebody asked for this attempt: then it changes nothing about those to come, but
    /// that a delivered message needs none.
    pub by_hand: bool,
    /// A random number below 1,000,000.
    pub jitter_ppm: u32,
}

/// Why an alert refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertRejection {
    /// There is no such alert.
    #[error("there is no such alert")]
    Absent,
    /// There is one with this id.
    #[error("an alert with this id exists already")]
    Exists,
    /// It was deleted.
    #[error("the alert was deleted; make a new one")]
    Deleted,
    /// The name is empty or too long.
    #[error("an alert's name must have 1 to {max} characters without control characters", max = limits::NAME_BYTES_MAX)]
    BadName,
    /// The URL is empty or too long.
    #[error("an alert's URL must have 1 to {max} bytes", max = limits::ALERT_URL_BYTES_MAX)]
    UrlTooLong,
    /// It would be about nothing.
    #[error("an alert must be about at least one kind of thing")]
    NoKinds,
    /// The kinds and the filters exclude each other.
    #[error(
        "nothing could ever match: none of these kinds is about a flow, a schedule or a source as \
         it is asked for; leave the filter away, or name other kinds"
    )]
    NeverMatches,
    /// The secret before may not count that long.
    #[error("the secret before may count for at most {max} days more", max = limits::ALERT_SECRET_KEEP_MS_MAX / 86_400_000)]
    BadKeep,
    /// Too many messages wait to be delivered.
    #[error("{max} messages wait to be delivered already", max = limits::ALERT_OPEN_MAX)]
    TooManyOpen,
}
