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
//! - `worker.rs`: makes the calls. `sources.rs`, `flows.rs`: sources and their flows.
//! - `langflow.rs`: the client, one file per API generation. `seal.rs`: source keys at rest.
//! - `index.rs`: what is open or scheduled, folded from the log for a quick start.

mod aggregate;
mod catalog;
mod context;
mod deadlines;
mod definition;
mod dispatch;
mod error;
mod flows;
mod index;
pub mod langflow;
mod open_tasks;
mod requests;
mod root;
mod schedule;
mod schedules;
mod seal;
mod sources;
mod spark;
mod supervision;
mod task;
mod tasks;
mod worker;

pub use error::{DispatchError, Rejection};
pub use requests::{
    AddSource, BadKey, Creation, Done, FlowVersion, IdempotencyKey, NewSchedule, NewTask,
    RemoteListing, RetryTask, RunOptions, SparkHealth, SyncFlow, TaskEnd, UpdateSource, Who,
};
pub use spark::{Spark, SparkConfig};
