//! What can happen to an alert. Names and schema versions on disk are in `codec.rs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{AlertKind, AlertSpec};
use crate::clock::Timestamp;
use crate::domain::source::SealedKey;
use crate::ids::{FlowId, ScheduleId, SourceId};
use crate::log::Position;

/// An event of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertEvent {
    /// It was made. It tells of what happens from here on.
    Created(Box<AlertCreated>),
    /// Something about it was changed.
    Updated(Box<AlertUpdated>),
    /// It tells again of what happens from here on.
    Enabled(AlertEnabled),
    /// It tells of nothing; messages that were not delivered are given up.
    Disabled(AlertDisabled),
    /// Messages are signed with a new secret, and with the one before for a while.
    SecretRotated(AlertSecretRotated),
    /// The secrets were sealed with a new sealing key.
    Resealed(AlertSecrets),
    /// Something happened that is to be told: the message, before it is sent.
    Raised(Box<AlertRaised>),
    /// The receiver took a message.
    Delivered(AlertDelivered),
    /// The receiver did not take a message.
    DeliveryFailed(AlertDeliveryFailed),
    /// It was deleted; messages that were not delivered are given up.
    Deleted(AlertDeleted),
}

impl AlertEvent {
    /// Whether the alert tells of what happens from here on, and of nothing before.
    #[must_use]
    pub fn starts(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Enabled(_))
    }
}

/// The secrets that messages are signed with, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSecrets {
    /// The one that counts.
    pub secret: SealedKey,
    /// The one before, until its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecret>,
}

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: SealedKey,
    /// Until when messages are signed with it too.
    pub until: Timestamp,
}

/// See [`AlertEvent::Created`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertCreated {
    /// Where messages go, and about what.
    pub spec: AlertSpec,
    /// What they are signed with.
    pub secret: SealedKey,
}

/// See [`AlertEvent::Updated`]. `None` means unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertUpdated {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The new kinds, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<AlertKind>>,
    /// The new flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<Only<FlowId>>,
    /// The new schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<Only<ScheduleId>>,
    /// The new source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<Only<SourceId>>,
}

/// A filter as it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Only<I> {
    /// Any.
    Any,
    /// This one.
    This(I),
}

impl<I: Copy> Only<I> {
    pub(super) fn one(self) -> Option<I> {
        match self {
            Self::Any => None,
            Self::This(id) => Some(id),
        }
    }
}

/// See [`AlertEvent::Enabled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEnabled {}

/// See [`AlertEvent::Disabled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDisabled {
    /// Why, where it was not a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Messages that were given up.
    pub dropped: u64,
}

/// See [`AlertEvent::SecretRotated`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertSecretRotated {
    /// The new secret.
    pub secret: SealedKey,
    /// Until when the one before is signed with too; absent where it counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
}

/// See [`AlertEvent::Raised`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRaised {
    /// The message's id; follows from the alert and the first event that the message is about.
    pub message_id: Uuid,
    /// What it is about.
    pub kind: AlertKind,
    /// How many things it tells of.
    pub count: u64,
    /// The position of the last of them: everything of this kind up to here is told.
    pub through: Position,
    /// When.
    pub at: Timestamp,
    /// What is sent.
    pub body: Value,
}

/// See [`AlertEvent::Delivered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDelivered {
    /// The message.
    pub message_id: Uuid,
    /// Which attempt, from 1; absent for one that was asked for by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How the receiver answered.
    pub answer: Answer,
}

/// See [`AlertEvent::DeliveryFailed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDeliveryFailed {
    /// The message.
    pub message_id: Uuid,
    /// Which attempt, from 1; absent for one that was asked for by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How the receiver answered, if it did.
    pub answer: Answer,
    /// What went wrong.
    pub error: String,
    /// When it is tried again; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// How a receiver answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The start of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

impl Answer {
    /// What somebody can do about a message that was not taken.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self.status {
            None => "check that the receiver runs, and that its URL can be reached from the server",
            Some(300..=399) => {
                "the receiver is elsewhere, and redirects are not followed: give its final URL with \
                 automagik alert update"
            }
            Some(401 | 403) => {
                "the receiver refuses it: compare the secret there with this alert's, or give it a \
                 new one: automagik alert rotate-secret; look whether its clock is right"
            }
            Some(404 | 405) => "check the URL: nothing there takes messages by POST",
            Some(410) => {
                "the receiver wants no more messages; delete the alert, or enable it again"
            }
            Some(429) => "the receiver asks to slow down; it is tried again later",
            Some(400..=499) => "the receiver does not take this message; look into its log",
            Some(_) => "look into the receiver's log at this time",
        }
    }
}

/// See [`AlertEvent::Deleted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDeleted {}
