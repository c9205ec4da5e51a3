//! The fake LangFlow in a process of its own, for `tests/schemathesis/run.sh` and for trials by hand:
//! `cargo run -p spark-tests --example fake_langflow -- 7870`. Runs until it is stopped.

use spark_tests::fake_langflow::{FakeLangFlow, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let fake = FakeLangFlow::start(Options { port, ..Options::default() }).await;
    eprintln!("the fake LangFlow listens at {}", fake.url());
    std::future::pending::<()>().await;
}
