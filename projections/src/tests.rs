//! Tests of the crate as a whole: events in, rows out.

mod alert_rows;
mod finding;
mod key_rows;
mod lists;
mod other_rows;
mod paging;
mod rebuild;
mod running;
mod schedule_rows;
mod skips;
mod support;
mod task_changes;
mod task_rows;
