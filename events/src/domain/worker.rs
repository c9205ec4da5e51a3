//! A worker: a process (or the built-in one) that makes the calls. Only the transitions of its
//! life are events; its liveness is kept in memory.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::clock::Timestamp;
use crate::ids::WorkerId;

/// What can be asked of a worker.
#[derive(Debug, Clone)]
pub enum WorkerCommand {
    /// It is there.
    Start(WorkerStarted),
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
}

/// An event of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// It is there; the state becomes active.
    Started(WorkerStarted),
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
}

/// See [`WorkerEvent::Stopped`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStopped {}

/// See [`WorkerEvent::Lost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerLost {
    /// How that became known.
    pub reason: String,
}

/// A worker: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Worker {
    /// Before its first event.
    #[default]
    Absent,
    /// It takes work.
    Active(WorkerStarted),
    /// It is gone, in good order or not. A process that starts anew is a new worker.
    Gone,
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
        match (self, command) {
            (Self::Absent, WorkerCommand::Start(started)) => {
                Ok(vec![WorkerEvent::Started(started)])
            }
            (Self::Active(have), WorkerCommand::Start(started)) if *have == started => Ok(vec![]),
            (Self::Active(_) | Self::Gone, WorkerCommand::Start(_)) => Err(WorkerRejection::Exists),
            (Self::Absent, WorkerCommand::Stop | WorkerCommand::RecordLost { .. }) => {
                Err(WorkerRejection::Absent)
            }
            (Self::Gone, WorkerCommand::Stop | WorkerCommand::RecordLost { .. }) => Ok(vec![]),
            (Self::Active(_), WorkerCommand::Stop) => {
                Ok(vec![WorkerEvent::Stopped(WorkerStopped {})])
            }
            (Self::Active(_), WorkerCommand::RecordLost { reason }) => {
                Ok(vec![WorkerEvent::Lost(WorkerLost { reason })])
            }
        }
    }

    fn evolve(self, event: &WorkerEvent) -> Self {
        match (self, event) {
            (Self::Absent, WorkerEvent::Started(started)) => Self::Active(started.clone()),
            (Self::Active(_), WorkerEvent::Stopped(_) | WorkerEvent::Lost(_)) => Self::Gone,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold;

    fn started(pid: u32) -> WorkerCommand {
        WorkerCommand::Start(WorkerStarted {
            hostname: "host".into(),
            pid,
            slots: 4,
            built_in: true,
            version: "0.1.0".into(),
        })
    }

    fn lost() -> WorkerCommand {
        WorkerCommand::RecordLost { reason: "silent".into() }
    }

    #[test]
    fn a_worker_ends_once_in_good_order_or_not() {
        let now = Timestamp::UNIX_EPOCH;
        let events = Worker::Absent.decide(started(1), now).unwrap();
        let active = fold(Worker::Absent, &events);
        assert_eq!(active.decide(started(1), now), Ok(vec![]), "already true");
        assert_eq!(active.decide(started(2), now), Err(WorkerRejection::Exists));
        for end in [WorkerCommand::Stop, lost()] {
            let gone = fold(active.clone(), &active.decide(end, now).unwrap());
            assert_eq!(gone, Worker::Gone);
            assert_eq!(gone.decide(WorkerCommand::Stop, now), Ok(vec![]));
            assert_eq!(gone.decide(lost(), now), Ok(vec![]));
            assert_eq!(gone.decide(started(1), now), Err(WorkerRejection::Exists));
        }
        assert_eq!(Worker::Absent.decide(lost(), now), Err(WorkerRejection::Absent));
    }
}
