//! What few tasks have beyond the columns: one text in the row of those that have any of it, so
//! that the others do not pay for it.

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use spark_events::Timestamp;
use spark_events::domain::task::{TaskSpec, Trigger};

use crate::columns::{Columns, json_opt};

/// The rarely set parts of a task. All of them are fixed at its creation, but for its release.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rare {
    /// Who comes first within a source.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) priority: i32,
    /// The longest wait until an attempt starts.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) queue_timeout_ms: Option<u64>,
    /// The longest time over all attempts and waits.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) total_timeout_ms: Option<u64>,
    /// Hash of the definition to run.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) definition: Option<String>,
    /// The number of the backfill that made it.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) backfill: Option<u32>,
    /// Whether it was made to wait for its release.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) held: bool,
    /// When it was released, in microseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) released_at: Option<i64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Rare {
    /// What a task was made with.
    pub(super) fn of(spec: &TaskSpec) -> Self {
        let backfill = match spec.trigger {
            Trigger::Backfill { number, .. } => Some(number),
            Trigger::Manual
            | Trigger::Occurrence { .. }
            | Trigger::ScheduleTriggered { .. }
            | Trigger::RetryOf { .. } => None,
        };
        Self {
            priority: spec.priority,
            queue_timeout_ms: spec.queue_timeout_ms,
            total_timeout_ms: spec.total_timeout_ms,
            definition: spec.definition.clone(),
            backfill,
            held: spec.held,
            released_at: None,
        }
    }

    /// As it stands in the column; `None` where there is nothing to say.
    pub(super) fn stored(&self) -> rusqlite::Result<Option<String>> {
        json_opt((!is_default(self)).then_some(self))
    }

    /// The way back of [`Self::stored`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(row.json_opt("rare")?.unwrap_or_default())
    }

    /// Whether it still waits for its release, as far as it has not ended.
    pub(super) fn is_held(&self) -> bool {
        self.held && self.released_at.is_none()
    }

    /// When it was released.
    pub(super) fn released(&self) -> Option<Timestamp> {
        self.released_at.and_then(Timestamp::from_timestamp_micros)
    }
}
