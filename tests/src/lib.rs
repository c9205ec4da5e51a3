//! What the tests of every member share: a fake LangFlow, waiting helpers and a plain HTTP client.
//!
//! Nothing here is part of the product, and nothing here may be needed by it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in test support a broken assumption must stop the test, at the place where it broke"
)]

pub mod binary;
pub mod eventually;
pub mod fake_agent;
pub mod fake_langflow;
pub mod plain_http;
pub mod receiver;
pub mod target;
pub mod world;

pub use eventually::eventually;

/// A line for whoever watches the tests.
#[expect(
    clippy::print_stderr,
    reason = "long tests say how far they are, and failed ones what the other process said"
)]
pub fn report(line: &str) {
    eprintln!("{line}");
}
