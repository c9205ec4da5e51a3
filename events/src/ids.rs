//! Typed ids and stream names. Owns how an id is made and printed; never reads a clock
//! other than the one inside UUIDv7, and never does I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $category:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The category of this aggregate's streams: the part before the dash.
            pub const CATEGORY: &'static str = $category;

            /// A new id, ordered by the time it was made (UUIDv7).
            #[must_use]
            pub fn random() -> Self {
                Self(new_uuid())
            }

            /// The one stream that holds this aggregate's events.
            #[must_use]
            pub fn stream(self) -> StreamName {
                StreamName(format!("{}-{}", Self::CATEGORY, self.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

typed_id!(
    /// A LangFlow server that Spark talks to.
    SourceId,
    "source"
);
typed_id!(
    /// A workflow definition, synced from a source.
    FlowId,
    "flow"
);
typed_id!(
    /// When a flow is run, with which input.
    ScheduleId,
    "schedule"
);
typed_id!(
    /// One execution of a flow, over all its attempts.
    TaskId,
    "task"
);
typed_id!(
    /// A process (or the built-in one) that makes the calls.
    WorkerId,
    "worker"
);
typed_id!(
    /// Where messages about failures are sent, and about which ones.
    AlertId,
    "alert"
);

typed_id!(
    /// An API key that has a name and a role.
    KeyId,
    "key"
);

typed_id!(
    /// A request under an idempotency key.
    RequestId,
    "request"
);

/// The namespace of tasks that are made under an idempotency key. Fixed for ever: another one
/// would make a repeated request a second task.
const KEYED_TASKS: Uuid = Uuid::from_u128(0x5d0c_61f4_9b0e_4f0e_8a57_6f1d_c2ab_7e10);

impl TaskId {
    /// The id of the task of one occurrence: UUIDv5 of the schedule and the due instant in
    /// microseconds. Firing the same occurrence twice therefore names the same task.
    #[must_use]
    pub fn of_occurrence(schedule: ScheduleId, due_at: Timestamp) -> Self {
        Self(Uuid::new_v5(&schedule.0, &due_at.timestamp_micros().to_be_bytes()))
    }

    /// The id of the task that a backfill makes for an occurrence: that of the occurrence, with
    /// the number of the backfill.
    #[must_use]
    pub fn of_backfill(schedule: ScheduleId, due_at: Timestamp, number: u32) -> Self {
        let occurrence = Self::of_occurrence(schedule, due_at);
        Self(Uuid::new_v5(&occurrence.0, &number.to_be_bytes()))
    }

    /// The id of the task that this actor makes under this idempotency key: UUIDv5 of both. Asking
    /// again with the same key therefore names the same task, and nothing else has to be stored.
    #[must_use]
    pub fn of_key(actor: &str, key: &str) -> Self {
        // An actor's name has no line break, so no two pairs run into each other.
        Self(Uuid::new_v5(&KEYED_TASKS, format!("{actor}\n{key}").as_bytes()))
    }
}

impl AlertId {
    /// The id of the message that an alert sends about an event: UUIDv5 of both. Sending it again
    /// therefore sends the same message.
    #[must_use]
    pub fn message(self, event: Uuid) -> Uuid {
        Uuid::new_v5(&self.0, event.as_bytes())
    }
}

impl RequestId {
    /// The id of what this actor asks for under this idempotency key: UUIDv5 of both, as
    /// [`TaskId::of_key`].
    #[must_use]
    pub fn of_key(actor: &str, key: &str) -> Self {
        Self(TaskId::of_key(actor, key).0)
    }
}

impl FlowId {
    /// The id of a synced flow: UUIDv5 of its source and its id there. Syncing the same remote
    /// flow twice therefore names the same flow.
    #[must_use]
    pub fn of_remote(source: SourceId, remote_id: &str) -> Self {
        Self(Uuid::new_v5(&source.0, remote_id.as_bytes()))
    }
}

/// A new id, ordered by the time it was made (UUIDv7). For event, correlation and request ids;
/// aggregates have their own typed ids.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// A new secret that nobody can guess: 244 random bits of the system's generator. Unlike
/// [`new_uuid`] it tells nothing of the time, and nothing of other ids.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a secret is no id, and must not be ordered by time")]
pub fn new_secret() -> String {
    format!("sk-spark-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The name of a stream: `category-id`, with the first dash as the border. The category is
/// lower-case letters; the whole has at most 200 bytes of printable ASCII without spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct StreamName(String);

/// Why a text is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a stream name: it must be category-id, lower-case letters before the first dash and printable characters after it"
)]
pub struct BadStreamName(pub String);

impl StreamName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`BadStreamName`] when the text does not have the form described at the type.
    pub fn new(text: impl Into<String>) -> Result<Self, BadStreamName> {
        let text = text.into();
        let legal = text.len() <= crate::limits::STREAM_NAME_BYTES_MAX
            && text.split_once('-').is_some_and(|(category, id)| {
                !category.is_empty()
                    && category.bytes().all(|b| b.is_ascii_lowercase())
                    && !id.is_empty()
                    && id.bytes().all(|b| b.is_ascii_graphic())
            });
        if legal { Ok(Self(text)) } else { Err(BadStreamName(text)) }
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dash.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or("", |(category, _)| category)
    }

    /// The part after the first dash.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }

    /// The id as a UUID, where the category uses those.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        Uuid::parse_str(self.id()).ok()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_name_is_a_category_a_dash_and_an_id() {
        let name = TaskId(Uuid::nil()).stream();
        assert_eq!(name.as_str(), "task-00000000-0000-0000-0000-000000000000");
        assert_eq!(name.category(), "task");
        assert_eq!(name.uuid(), Some(Uuid::nil()));
        for bad in ["", "task", "-1", "task-", "Task-1", "ta sk-1", "task-a b"] {
            assert_eq!(StreamName::new(bad), Err(BadStreamName(bad.into())));
        }
    }

    #[test]
    fn the_same_key_of_the_same_actor_names_the_same_task() {
        let id = TaskId::of_key("user:ana", "k");
        assert_eq!(id, TaskId::of_key("user:ana", "k"));
        assert_eq!(id.to_string(), "346646b0-7a0b-58d8-a928-1f57a1a6bbf4", "fixed for ever");
        assert_ne!(id, TaskId::of_key("user:ana", "k2"));
        assert_ne!(id, TaskId::of_key("user:bob", "k"));
    }

    #[test]
    fn the_same_occurrence_names_the_same_task() {
        let (a, b) = (ScheduleId(Uuid::from_u128(1)), ScheduleId(Uuid::from_u128(2)));
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        assert_eq!(TaskId::of_occurrence(a, at), TaskId::of_occurrence(a, at));
        assert_ne!(TaskId::of_occurrence(a, at), TaskId::of_occurrence(b, at));
        assert_ne!(
            TaskId::of_occurrence(a, at),
            TaskId::of_occurrence(a, at + chrono::TimeDelta::microseconds(1))
        );
    }
}
