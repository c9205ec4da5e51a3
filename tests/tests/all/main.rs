//! The tests that span members, as one binary: one link, and one place to look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop the test where an assumption broke"
)]

mod fake_behaviour;
mod actors;
mod fake_fidelity;
mod scenarios;
mod tidy;
