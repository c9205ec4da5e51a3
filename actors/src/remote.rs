//! What a worker in another process and the server tell each other, as JSON over HTTP. The worker
//! asks, the server answers; the server never connects to a worker.
//!
//! | asked | body | answer |
//! |---|---|---|
//! | `POST /workers` | [`Registration`] | [`Registered`] |
//! | `POST /workers/{id}/poll` | [`Poll`] | [`Polled`], after [`Registered::poll_ms`] at the latest |
//! | `POST /workers/{id}/reports` | [`Reports`] | [`Reported`] |
//! | `POST /workers/{id}/leave` | nothing | nothing |
//!
//! Any of them counts as a sign of life. Nothing is lost on the way: deliveries are numbered and sent
//! again until a poll says that they arrived; a report is repeated until it was answered, which is
//! after its events are durable. A repeat is harmless. Fields may be added, so unknown ones are
//! passed over; what cannot be understood without them raises [`PROTOCOL`].

use serde::{Deserialize, Serialize};
use spark_events::{TaskId, Timestamp, WorkerId};
use uuid::Uuid;

use crate::langflow::RunEnd;
use crate::work::WorkOrder;

/// The version of what is said here. Server and worker must have the same.
pub const PROTOCOL: u32 = 1;

/// A worker says that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registration {
    /// Chosen by the worker, a new one for each process.
    pub id: WorkerId,
    /// The worker whose place it takes: its own process of earlier, which is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<WorkerId>,
    /// A name for people, unique among living workers.
    pub name: String,
    /// The host it runs on.
    pub hostname: String,
    /// Its process there.
    pub pid: u32,
    /// Runs at once.
    pub slots: u32,
    /// What it offers, for sources that ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The version of its program.
    pub version: String,
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// The time of its clock.
    #[schema(value_type = String, format = DateTime)]
    pub clock: Timestamp,
}

/// It was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registered {
    /// As it asked to be called.
    pub id: WorkerId,
    /// This server process's book about it.
    pub session: Uuid,
    /// How long a poll waits at most.
    pub poll_ms: u64,
    /// After how long a silence it counts as lost.
    pub lost_after_ms: u64,
    /// The version of the server.
    pub server_version: String,
    /// The time of the server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
}

/// A worker asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Poll {
    /// The session it knows.
    pub session: Uuid,
    /// The number of the last delivery it has; 0 for none.
    pub after: u64,
    /// All attempts it has, said once after an answer with `resync`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<Vec<Held>>,
    /// Whether it is about to leave: it takes no new work, and asks only to be heard and to learn what
    /// is to be stopped.
    #[serde(default)]
    pub leaving: bool,
}

/// An attempt, as both sides name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Held {
    /// The task.
    pub task_id: TaskId,
    /// The attempt's number, from 1.
    pub attempt: u32,
}

/// What there is for it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Polled {
    /// The session from now on.
    pub session: Uuid,
    /// What the worker is to be.
    pub status: WorkerStatus,
    /// Whether the server does not know what the worker has (it was restarted, or this is the first
    /// poll): the worker takes the session, counts from 0 again and says what it holds.
    #[serde(default)]
    pub resync: bool,
    /// In the order of their numbers.
    #[serde(default)]
    pub items: Vec<Delivery>,
}

/// What a worker is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// It takes work.
    Active,
    /// It takes no new work; what runs goes on.
    Paused,
    /// As paused, and it leaves when its last run has ended.
    Draining,
    /// It gives back what it can, lets direct runs end within a bound, and leaves.
    Stopping,
}

/// One thing for a worker.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Delivery {
    /// Its number in the session, from 1 and without gaps.
    pub seq: u64,
    /// What it is.
    pub what: Delivered,
}

/// What is handed to a worker, or taken away from it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivered {
    /// Make this attempt.
    #[schema(value_type = Object)]
    Run(Box<WorkOrder>),
    /// Stop an attempt for real where possible; its end is reported as usual.
    Cancel(Held),
    /// Drop an attempt without a word to anybody.
    Abort(Held),
}

/// What became of attempts, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reports {
    /// Each by itself.
    pub items: Vec<Report>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// The task.
    pub task_id: TaskId,
    /// The attempt's number.
    pub attempt: u32,
    /// What there is to say.
    pub what: News,
}

/// What a worker says of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The source took it as a background job.
    Submitted {
        /// The job's id there.
        job_id: String,
    },
    /// It has ended.
    #[schema(value_type = Object)]
    Ended(Box<RunEnd>),
    /// The worker leaves and gives it back, without having stopped it at the source.
    Released,
}

/// The answers, in the order of the reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reported {
    /// One for each report.
    pub items: Vec<Receipt>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// It is durable.
    Recorded,
    /// The attempt is not this worker's any more: drop the run.
    Stale,
    /// It could not be taken now: say it again.
    Retry,
}
