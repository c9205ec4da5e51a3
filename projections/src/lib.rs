//! Read models: what the log's events add up to, in a second SQLite file.
//!
//! The file can be deleted at any time; the next start builds it again from the log. Nothing here
//! dispatches a command or writes an event.
//!
//! # Layout
//! - [`projection`]: what a projection is: the events in, its rows out, and nothing else.
//! - [`runner`]: follows the log and applies each batch to every projection; checkpoints, halts.
//! - [`store`]: the readers, paging, and finding a thing by what a person types.
//! - [`sources`], [`flows`], [`schedules`], [`tasks`], [`workers`], [`worker_counts`], [`keys`]: one read model a
//!   file: its tables, how events change them, its queries and its row types.
//!
//! A stream's history is no read model: it is read from the log itself.

pub mod alerts;
mod columns;
mod database;
mod error;
mod find;
pub mod flows;
mod follow;
mod idle;
pub mod keys;
pub mod projection;
pub mod runner;
pub mod schedules;
pub mod sources;
pub mod store;
pub mod tasks;
pub mod worker_counts;
pub mod workers;
mod writer;

#[cfg(test)]
mod tests;

pub use alerts::{AlertFilter, AlertRow, DeliveryFilter, DeliveryRow};
pub use database::{StoredState, stored};
pub use error::{ProjectionError, QueryError};
pub use find::{Found, near_misses};
pub use flows::{FlowFilter, FlowRow};
pub use keys::{KeyFilter, KeyRow};
pub use projection::Projection;
pub use runner::{Halt, ProjectionHealth, Projections};
pub use schedules::{
    BackfillRow, Outcome, OutcomeCounts, OutcomeKind, OutcomeReason, ScheduleFilter, ScheduleRow,
};
pub use sources::{SourceFilter, SourceRow};
pub use store::{Listing, Page, Reads};
pub use tasks::{AttemptRow, ComponentRow, TaskCounts, TaskDetail, TaskFilter, TaskRow, TaskSort};
pub use workers::{WorkerFilter, WorkerRow};
