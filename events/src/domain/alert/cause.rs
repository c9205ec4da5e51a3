//! A thing that happened and may be told, with all that a message says of it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AlertKind, Subject};
use crate::clock::Timestamp;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::retry::GiveUp;
use crate::ids::{FlowId, ScheduleId, SourceId, TaskId, WorkerId};
use crate::limits;
use crate::log::Position;

/// A thing that happened and may be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Of which kind.
    pub kind: AlertKind,
    /// The event that says so.
    pub event: CauseEvent,
    /// Before which position an alert must have been there to be told: for the end of a trouble,
    /// that of its beginning.
    pub since_position: Position,
    /// What it is about.
    #[serde(flatten)]
    pub about: About,
    /// What happened.
    pub what: What,
}

/// The event that says that something happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseEvent {
    /// Its id.
    pub id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its stream.
    pub stream: String,
    /// Its place in the log.
    pub position: Position,
    /// When the log took it.
    pub recorded_at: Timestamp,
}

/// A thing with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<I> {
    /// Its id.
    pub id: I,
    /// Its name, where it has one and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl<I: std::fmt::Display> std::fmt::Display for Named<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.id.fmt(f),
        }
    }
}

/// What something is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Named<FlowId>>,
    /// The schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Named<ScheduleId>>,
    /// The source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Named<SourceId>>,
    /// The worker; that of a nameless one is its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Named<WorkerId>>,
}

impl About {
    /// As the filters of an alert see it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject {
            flow: self.flow.as_ref().map(|named| named.id),
            schedule: self.schedule.as_ref().map(|named| named.id),
            source: self.source.as_ref().map(|named| named.id),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A task is not tried again.
    Failed {
        /// The last failure.
        failure: Trouble,
        /// Attempts made.
        attempts: u32,
        /// Why there is no further one.
        why: GiveUp,
        /// The first failed task in a row.
        since: Timestamp,
        /// Failed tasks in a row, this one included.
        failures: u64,
    },
    /// After failed tasks one completed.
    Completed {
        /// The first failed task in the row that is over.
        since: Timestamp,
        /// How many there were.
        failures: u64,
    },
    /// Due instants started nothing.
    Skipped {
        /// The first of them.
        first_due_at: Timestamp,
        /// The last of them.
        last_due_at: Timestamp,
        /// How many there are.
        count: u64,
        /// Why, in words.
        reason: String,
    },
    /// A schedule paused itself.
    Paused {
        /// Why.
        note: String,
    },
    /// A worker is lost.
    Lost {
        /// How that became known.
        reason: String,
        /// Whether it lived in the server's own process.
        built_in: bool,
        /// The host it ran on, where its start is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hostname: Option<String>,
        /// Its process.
        pid: u32,
    },
    /// A source does not answer.
    Down {
        /// What was found.
        failure: Trouble,
    },
    /// A source answers again.
    Up {
        /// When it was found not to answer.
        since: Timestamp,
    },
}

/// A failure as it is told: without the source's answer, and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The class.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// The failing component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// HTTP status of the source's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl Trouble {
    /// A failure of this class with this message.
    #[must_use]
    pub fn new(class: FailureClass, message: &str) -> Self {
        let message = super::message::cut(message, limits::ALERT_TEXT_CHARS_MAX);
        Self { class, message, component: None, status: None }
    }
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        let component = failure.component.as_deref();
        let component = component.map(|c| super::message::cut(c, limits::ALERT_TITLE_CHARS_MAX));
        Self { component, status: failure.status, ..Self::new(failure.class, &failure.message) }
    }
}

/// Things of one kind that wait to be told by one alert. Bounded: the first ones are kept, the
/// others counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gathered {
    /// The first ones.
    pub first: VecDeque<Cause>,
    /// How many there are.
    pub count: u64,
    /// Failures by their class.
    pub classes: BTreeMap<String, u64>,
    /// The last one: where it stands in the log, and when it happened.
    pub last: Option<(Position, Timestamp)>,
}

impl Gathered {
    pub(super) fn add(&mut self, cause: &Cause) {
        self.count += 1;
        self.last = Some((cause.event.position, cause.event.recorded_at));
        if let What::Failed { failure, .. } | What::Down { failure } = &cause.what {
            let class = failure.class.as_str();
            if self.classes.contains_key(class) || self.classes.len() < limits::ALERT_CLASSES_MAX {
                *self.classes.entry(class.to_owned()).or_default() += 1;
            }
        }
        if self.has_room() {
            self.first.push_back(cause.clone());
        }
    }

    /// Whether the next one is kept, and not only counted.
    pub(super) fn has_room(&self) -> bool {
        self.first.len() < limits::ALERT_EXAMPLES_MAX && self.first.len() as u64 + 1 >= self.count
    }

    /// Takes the first one out.
    pub(super) fn take_first(&mut self) {
        if let Some(cause) = self.first.pop_front() {
            self.count = self.count.saturating_sub(1);
            if let What::Failed { failure, .. } | What::Down { failure } = &cause.what
                && let Some(count) = self.classes.get_mut(failure.class.as_str())
            {
                *count = count.saturating_sub(1);
            }
        }
    }
}
