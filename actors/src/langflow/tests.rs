//! The client against recorded answers of LangFlow 1.13, and against what may go wrong in between.

use std::sync::LazyLock;

use serde_json::{Value, json};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::source::Capabilities;
use spark_events::domain::task::{CallMode, ComponentLog, RemoteStop};
use tokio::sync::watch;

use super::stub::{Asked, Reply, Stub, recorded};
use super::{LangFlow, RunEnd, RunRequest, Secret, http_client};

mod direct;
mod inputs;
mod jobs;
mod outages;
mod sources;

const KEY: &str = "sk-test-key";
const FLOW: &str = "c73a0ee0-8f33-4256-b6f9-f47193164442";

/// One client for all tests of a process: setting up TLS takes longer than a test. Every stub has
/// a port of its own, so no connection is shared.
fn http() -> reqwest::Client {
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| http_client().unwrap());
    HTTP.clone()
}

fn client(url: &str) -> LangFlow {
    LangFlow::new(http(), url, Some(Secret::new(KEY.into()))).unwrap()
}

fn capabilities() -> Capabilities {
    Capabilities { version: "1.13.0".into(), background_jobs: true, traces: false, stream: false }
}

fn request(mode: CallMode) -> RunRequest {
    RunRequest {
        remote_flow_id: FLOW.into(),
        input: "hello".into(),
        input_component: None,
        output_component: None,
        tweaks: None,
        session_id: "spark-1-1".into(),
        idempotency_key: "spark:1:1".into(),
        job_id: None,
        mode,
        definition: None,
    }
}

/// Nobody will ask to stop.
fn never() -> watch::Receiver<bool> {
    watch::channel(false).1
}

/// Runs to the end without cancelling.
async fn run(stub: &Stub, capabilities: &Capabilities, request: &RunRequest) -> RunEnd {
    client(&stub.url).run(capabilities, request, never(), async |_| {}).await
}

#[track_caller]
fn output(end: RunEnd) -> Value {
    match end {
        RunEnd::Completed { output, .. } => output,
        other => panic!("no result but {other:?}"),
    }
}

#[track_caller]
fn failure(end: RunEnd) -> Failure {
    match end {
        RunEnd::Failed { failure, .. } => failure,
        other => panic!("no failure but {other:?}"),
    }
}
