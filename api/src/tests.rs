//! The API against a whole Spark on a log in memory. `world.rs` sets it up; there is no LangFlow,
//! so attempts fail for want of a source, which is all that is needed here.

mod access;
mod alerts;
mod commands;
mod conditions;
mod events;
mod http;
mod keys;
mod lists;
mod log;
mod metrics;
mod repeats;
mod requests;
mod schedules;
mod task_changes;
mod world;
