//! The tests that span members, as one binary: one link, and one place to look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests stop the test where an assumption broke"
)]

mod abandoned;
mod actors;
mod alerts;
mod alerts_binary;
mod fake_behaviour;
mod fake_fidelity;
mod files;
mod flows;
mod holding;
mod http_source;
mod operations;
mod original_bugs_schedules;
mod original_bugs_tasks;
#[cfg(unix)]
mod prompts;
mod remote_workers;
mod scenarios;
mod task_changes;
mod tidy;
mod timers;
mod traces;
mod workers;
