//! The supervision tree of Spark: an actor per schedule, per task and per worker, and the
//! LangFlow client they call.
//!
//! # Layout
//! - [`Spark`] (`spark.rs`): the cheap handle; everything outside talks to it. No actor reference
//!   leaves this crate.
//! - `root.rs`: the tree, its start from the log and its ordered end. `supervision.rs`: what all
//!   supervisors share.
//! - `aggregate.rs`: the shell around every aggregate: recover, decide, append, adopt.
//! - `tasks.rs`, `task.rs`, `dispatch.rs`, `deadlines.rs`, `open_tasks.rs`: tasks, their attempts, their
//!   queue and their limits of time. `definition.rs`: running a definition of earlier.
//! - `schedules.rs`, `schedule.rs`: timetable and timers.
//! - `work.rs`: one call as data, and how it is made. `worker.rs`: the built-in worker. `remote.rs`: what
//!   a worker in another process and the server tell each other.
//! - `sources.rs`, `flows.rs`, `flow_table.rs`: sources and their
//!   flows.
//! - `client.rs`: the client of a source of any kind. `langflow.rs`: LangFlow's, one file per API
//!   generation. `http_source.rs`, `http_flows.rs`: other servers and their requests.
//!   `connection.rs`: what both send through. `seal.rs`, `reseal.rs`: source keys at rest.
//! - `telemetry.rs`: what is counted and measured while things happen.
//! - `alerts.rs`: follows the log and sends messages about failures.
//! - `answers.rs`: requests under an idempotency key.
//! - `keys.rs`: API keys and whose they are.
//! - `index.rs`, `kept.rs`: what is open or scheduled, folded from the log for a quick start.

mod aggregate;
mod alerts;
mod answers;
mod carried;
mod catalog;
mod client;
mod connection;
mod context;
mod deadlines;
mod definition;
mod dispatch;
mod error;
mod flow_table;
mod flows;
mod http_flows;
mod http_source;
mod index;
mod kept;
mod keys;
pub mod langflow;
mod open_tasks;
pub mod remote;
mod remote_worker;
mod requests;
mod reseal;
mod root;
mod schedule;
mod schedules;
mod seal;
mod sources;
mod spark;
mod supervision;
mod task;
mod tasks;
mod telemetry;
mod work;
mod worker;
mod workers;
mod workforce;

pub use alerts::AlertsHealth;
pub use dispatch::Depths;
pub use error::{DispatchError, Rejection};
pub use flows::{
    CreateFlow, DiffAsked, DiffSide, EditFlow, FlowVersion, PushFlow, Pushed, SyncFailure,
    SyncOutcome, SyncReport, SyncWhich, VersionRef,
};
pub use keys::{KnownKey, NewKey, Revocation};
pub use requests::{
    AddRequest, AddSource, BadKey, Creation, Delivery, Done, EditSchedule, IdempotencyKey,
    KeyChange, NewAlert, NewAlertSecret, NewSchedule, NewTask, RemoteListing, Resealed, RetryTask,
    RunOptions, RunVersion, SparkHealth, SyncFlow, TaskEnd, Triggered, UnservedSource, UpdateAlert,
    UpdateSource, Who,
};
pub use spark::{Spark, SparkConfig, WorkerPulse, WorkerWish};
pub use telemetry::{BadOtlp, Meters, OtlpConfig};
pub use work::{Call, CallTarget, HttpCall, LimitOf, TimeLimit, WorkOrder, execute, guarded};
