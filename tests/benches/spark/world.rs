//! A measured server with one source and one flow, and the questions that the benchmarks ask it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spark_tests::fake_langflow::{FakeLangFlow, Options, Profile};
use tokio::time::sleep;

use super::http::call;
use super::process::Spark;

/// How long any benchmark waits for something to come true.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The flow that is run: its input is its answer, filled up to 1,500 bytes.
pub(crate) const FLOW: &str = "echo";
/// Runs at once, of the source and of the worker.
pub(crate) const RUNS_MAX: u32 = 256;

/// A server and its source.
pub(crate) struct World {
    pub(crate) spark: Spark,
    pub(crate) langflow: FakeLangFlow,
    /// The flow's id.
    pub(crate) flow: String,
}

impl World {
    /// A server over an empty directory that knows one flow.
    pub(crate) async fn start(home: &Path) -> Self {
        Self::around(Spark::start(home, RUNS_MAX).await).await
    }

    /// The same without a worker in the server.
    pub(crate) async fn without_worker(home: &Path) -> Self {
        Self::around(Spark::start_with(home, &["--no-worker"]).await).await
    }

    /// Waits until a worker is there.
    pub(crate) async fn has_worker(&self) {
        let begun = Instant::now();
        while self.total("/api/v1/workers?status=active&limit=1").await == 0 {
            assert!(begun.elapsed() < PATIENCE, "no worker comes");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn around(spark: Spark) -> Self {
        let langflow = FakeLangFlow::start(Options {
            profile: Profile::V1_0,
            answer_bytes: Some(1_500),
            ..Options::default()
        })
        .await;
        let source = json!({ "name": "bench", "url": langflow.url(), "runs_max": RUNS_MAX });
        call(spark.address, "POST", "/api/v1/sources", Some(&source)).await;
        let sync = json!({ "flow": FakeLangFlow::flow_id(FLOW) });
        let flow = call(spark.address, "POST", "/api/v1/flows/sync", Some(&sync)).await;
        let flow = flow["id"].as_str().expect("a flow has an id").to_owned();
        Self { spark, langflow, flow }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        call(self.spark.address, "GET", path, None).await
    }

    /// How many rows a list has.
    pub(crate) async fn total(&self, path: &str) -> u64 {
        self.get(path).await["total"].as_u64().expect("a list has a total")
    }

    /// Tasks that have not ended.
    pub(crate) async fn open_tasks(&self) -> u64 {
        let health = self.get("/health").await;
        health["actors"]["open_tasks"].as_u64().expect("health counts the open tasks")
    }

    /// Waits until every task has ended and the read models show it; the position they show.
    pub(crate) async fn settled(&self) -> u64 {
        let begun = Instant::now();
        while self.open_tasks().await > 0 {
            assert!(begun.elapsed() < PATIENCE, "tasks stay open");
            sleep(LOOK_EVERY).await;
        }
        // A projection that stands still for a while has nothing more to show.
        let mut position = position(&self.spark).await;
        loop {
            sleep(LOOK_EVERY * 40).await;
            let now = self::position(&self.spark).await;
            if now == position {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "the read models do not come to rest");
            position = now;
        }
    }
}

/// How far the read models are.
pub(crate) async fn position(spark: &Spark) -> u64 {
    let health = call(spark.address, "GET", "/health", None).await;
    health["read_models"]["position"].as_u64().expect("health names the read models' position")
}
