//! A worker: a process (or the built-in one) that makes the calls. Only the transitions of its
//! life are events; its liveness is kept in memory.
//!
//! ```text
//! Absent -> Active <-> Paused            takes work; takes none
//!             |  ^---.    |
//!             v      v    v
//!           Draining (-> Active)         takes none, leaves when its last run has ended
//!             v
//!           Stopping                     gives back what it has and leaves
//! ```
//! From each stage it may leave in good order or get lost, and then is gone for good: a process
//! that starts anew is a new worker.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::labels::Labels;
use crate::clock::Timestamp;
use crate::ids::WorkerId;
use crate::limits;

mod admission;
#[cfg(test)]
mod tests;

pub use admission::{Newcomer, NotAdmitted, check_newcomer};

/// What the built-in worker is called.
pub const BUILT_IN_NAME: &str = "built-in";

/// What can be asked of a worker.
#[derive(Debug, Clone)]
pub enum WorkerCommand {
    /// It is there.
    Start(WorkerStarted),
    /// Take no new work; what runs goes on.
    Pause,
    /// Take work again.
    Resume,
    /// Take no new work, and leave when the last run has ended.
    Drain,
    /// Give back what is running, and leave.
    AskToStop,
    /// It leaves in good order.
    Stop,
    /// It is gone without having said so.
    RecordLost {
        /// How that became known.
        reason: String,
    },
}

/// Why a worker refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerRejection {
    /// There is no such worker.
    #[error("there is no such worker")]
    Absent,
    /// There is one with this id.
    #[error("a worker with this id exists already")]
    Exists,
    /// It has left, or was lost.
    #[error("the worker is gone; see those that are there: automagik worker list")]
    Gone,
    /// It was told to stop, which is not taken back.
    #[error("the worker was told to stop; start it again on its host: automagik worker start")]
    IsStopping,
    /// It was told to drain, which only a resume takes back.
    #[error("the worker drains; let it take work again first: automagik worker resume ID")]
    IsDraining,
    /// The built-in one ends with the server.
    #[error(
        "the built-in worker ends with the server (ctrl-c there); let it take no work meanwhile: \
         automagik worker pause ID"
    )]
    BuiltIn,
    /// The name is empty, too long, has control characters or spaces at its ends, or is that of the
    /// built-in one.
    #[error(
        "a worker's name must have 1 to {max} bytes without control characters or spaces at its \
         ends, and must not be {BUILT_IN_NAME}",
        max = limits::NAME_BYTES_MAX
    )]
    BadName,
    /// What it says of itself is empty, too long, or has control characters.
    #[error(
        "a worker's {0} must have 1 to {max} bytes without control characters",
        max = limits::NAME_BYTES_MAX
    )]
    BadText(&'static str),
    /// It can make no run, or more than there may be.
    #[error("a worker must make 1 to {max} runs at once, not {0}", max = limits::WORKER_SLOTS_MAX)]
    BadSlots(u32),
}

/// An event of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// It is there; the stage becomes active.
    Started(WorkerStarted),
    /// It takes no new work.
    Paused(WorkerPaused),
    /// It takes work again.
    Resumed(WorkerResumed),
    /// It takes no new work, and leaves when its last run has ended.
    Draining(WorkerDraining),
    /// It was told to give back what is running and to leave.
    Stopping(WorkerStopping),
    /// It left in good order.
    Stopped(WorkerStopped),
    /// It is gone without having said so.
    Lost(WorkerLost),
}

/// See [`WorkerEvent::Started`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStarted {
    /// The host it runs on.
    pub hostname: String,
    /// Its process.
    pub pid: u32,
    /// Runs at once.
    pub slots: u32,
    /// Whether it lives in the server's own process.
    pub built_in: bool,
    /// The version of its program.
    pub version: String,
    /// A name for people, unique among the living ones; that of the built-in one is
    /// [`BUILT_IN_NAME`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The version of the protocol that it speaks with the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// The worker that its process was before it started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<WorkerId>,
}

/// See [`WorkerEvent::Paused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerPaused {}

/// See [`WorkerEvent::Resumed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerResumed {}

/// See [`WorkerEvent::Draining`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerDraining {}

/// See [`WorkerEvent::Stopping`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStopping {}

/// See [`WorkerEvent::Stopped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStopped {}

/// See [`WorkerEvent::Lost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerLost {
    /// How that became known.
    pub reason: String,
}

/// What a worker that is there is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStage {
    /// It takes work.
    Active,
    /// It takes no new work.
    Paused,
    /// It takes no new work, and leaves when its last run has ended.
    Draining,
    /// It gives back what is running and leaves.
    Stopping,
}

impl WorkerStage {
    /// As it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }

    /// The stage after an event; `None` where the event says nothing of it, or ends the worker.
    #[must_use]
    pub fn of(event: &WorkerEvent) -> Option<Self> {
        match event {
            WorkerEvent::Started(_) | WorkerEvent::Resumed(_) => Some(Self::Active),
            WorkerEvent::Paused(_) => Some(Self::Paused),
            WorkerEvent::Draining(_) => Some(Self::Draining),
            WorkerEvent::Stopping(_) => Some(Self::Stopping),
            WorkerEvent::Stopped(_) | WorkerEvent::Lost(_) => None,
        }
    }
}

/// A worker: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Worker {
    /// Before its first event.
    #[default]
    Absent,
    /// It is there.
    Here {
        /// What it is.
        started: Box<WorkerStarted>,
        /// What it is doing.
        stage: WorkerStage,
    },
    /// It is gone, in good order or not. A process that starts anew is a new worker.
    Gone,
}

impl Worker {
    fn move_to(
        is: WorkerStage,
        built_in: bool,
        wanted: WorkerStage,
    ) -> Result<Vec<WorkerEvent>, WorkerRejection> {
        use WorkerStage::{Active, Draining, Paused, Stopping};
        if is == wanted {
            return Ok(vec![]);
        }
        match (is, wanted) {
            (_, Stopping) if built_in => Err(WorkerRejection::BuiltIn),
            (Stopping, _) => Err(WorkerRejection::IsStopping),
            (Draining, Paused) => Err(WorkerRejection::IsDraining),
            (_, Active) => Ok(vec![WorkerEvent::Resumed(WorkerResumed {})]),
            (_, Paused) => Ok(vec![WorkerEvent::Paused(WorkerPaused {})]),
            (_, Draining) => Ok(vec![WorkerEvent::Draining(WorkerDraining {})]),
            (_, Stopping) => Ok(vec![WorkerEvent::Stopping(WorkerStopping {})]),
        }
    }
}

fn check(started: &WorkerStarted) -> Result<(), WorkerRejection> {
    if let Some(name) = &started.name {
        let is_taken = !started.built_in && name == BUILT_IN_NAME;
        if !is_plain(name) || name.trim() != name || is_taken {
            return Err(WorkerRejection::BadName);
        }
    }
    for (what, text) in [("host name", &started.hostname), ("version", &started.version)] {
        if !is_plain(text) {
            return Err(WorkerRejection::BadText(what));
        }
    }
    if !(1..=limits::WORKER_SLOTS_MAX).contains(&started.slots) {
        return Err(WorkerRejection::BadSlots(started.slots));
    }
    Ok(())
}

fn is_plain(text: &str) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl Aggregate for Worker {
    const CATEGORY: &'static str = WorkerId::CATEGORY;
    type Command = WorkerCommand;
    type Event = WorkerEvent;
    type Rejection = WorkerRejection;

    fn decide(
        &self,
        command: WorkerCommand,
        _now: Timestamp,
    ) -> Result<Vec<WorkerEvent>, WorkerRejection> {
        let wanted = match (self, command) {
            (Self::Absent, WorkerCommand::Start(started)) => {
                check(&started)?;
                return Ok(vec![WorkerEvent::Started(started)]);
            }
            (Self::Here { started: have, .. }, WorkerCommand::Start(started))
                if **have == started =>
            {
                return Ok(vec![]);
            }
            (Self::Here { .. } | Self::Gone, WorkerCommand::Start(_)) => {
                return Err(WorkerRejection::Exists);
            }
            (Self::Absent, _) => return Err(WorkerRejection::Absent),
            (Self::Gone, WorkerCommand::Stop | WorkerCommand::RecordLost { .. }) => {
                return Ok(vec![]);
            }
            (Self::Gone, _) => return Err(WorkerRejection::Gone),
            (Self::Here { .. }, WorkerCommand::Stop) => {
                return Ok(vec![WorkerEvent::Stopped(WorkerStopped {})]);
            }
            (Self::Here { .. }, WorkerCommand::RecordLost { reason }) => {
                return Ok(vec![WorkerEvent::Lost(WorkerLost { reason })]);
            }
            (Self::Here { .. }, WorkerCommand::Pause) => WorkerStage::Paused,
            (Self::Here { .. }, WorkerCommand::Resume) => WorkerStage::Active,
            (Self::Here { .. }, WorkerCommand::Drain) => WorkerStage::Draining,
            (Self::Here { .. }, WorkerCommand::AskToStop) => WorkerStage::Stopping,
        };
        match self {
            Self::Here { started, stage } => Self::move_to(*stage, started.built_in, wanted),
            Self::Absent | Self::Gone => Err(WorkerRejection::Absent),
        }
    }

    fn evolve(self, event: &WorkerEvent) -> Self {
        match (self, event) {
            (Self::Absent, WorkerEvent::Started(started)) => {
                Self::Here { started: Box::new(started.clone()), stage: WorkerStage::Active }
            }
            (Self::Here { .. }, WorkerEvent::Stopped(_) | WorkerEvent::Lost(_)) => Self::Gone,
            (Self::Here { started, stage }, event) => {
                let stage = WorkerStage::of(event).unwrap_or(stage);
                Self::Here { started, stage }
            }
            (state, _) => state,
        }
    }
}
