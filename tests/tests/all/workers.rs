//! Workers in processes of their own, with the real binary: what happens to a run when its worker or
//! its server dies, is stopped, or is not heard for a while. LangFlow is the fake one, which counts
//! what it really ran.

use std::sync::Arc;

use serde_json::Value;
use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::fake_langflow::FakeLangFlow;
use spark_tests::target::{Marker, Target};

use crate::scenarios::steps::{add_source, history, job_of, shown, text, until};

mod background;
mod gone;
mod operated;
mod refused;
mod restarts;
mod two_hosts;

/// The silence after which a worker is lost in these tests: short, and far above the pauses of a busy
/// machine, because a poll is always open.
const LOST_AFTER: &str = "4s";

/// A server without a worker of its own, and its source.
struct Office {
    automagik: Automagik,
    target: Arc<Target>,
}

impl Office {
    async fn open() -> Self {
        Self::with(Target::start_fake().await, &["e2e-slow", "e2e-echo"]).await
    }

    async fn with(target: Target, flows: &[&str]) -> Self {
        let mut office = Self { automagik: Automagik::new(), target: Arc::new(target) };
        office.up().await;
        office.furnish(flows).await;
        office
    }

    /// The same with other options of the server.
    async fn at(target: Target, options: &[&str]) -> Self {
        let mut office = Self { automagik: Automagik::new(), target: Arc::new(target) };
        office.automagik.up_with(&[&["--no-worker"], options].concat()).await;
        office.furnish(&["e2e-slow"]).await;
        office
    }

    async fn furnish(&self, flows: &[&str]) {
        add_source(&self.automagik, &self.target, self.target.key()).await;
        for flow in flows {
            self.automagik.ok(&["flow", "sync", flow]).await;
        }
    }

    async fn up(&mut self) {
        self.automagik.up_with(&["--no-worker", "--worker-lost-after", LOST_AFTER]).await;
    }

    fn fake(&self) -> &FakeLangFlow {
        self.target.fake().expect("it is the fake one")
    }

    /// Starts a `slow` run that goes on until the fake is told to end it, and waits until LangFlow has
    /// it; gives the task's id.
    async fn slow_run(&self, marker: &Marker) -> String {
        let tweak = marker.tweak();
        let run = ["flow", "run", "e2e-slow", "--input", "once"];
        let more = ["--tweak", "SlowEcho-00001.seconds=600", "--tweak", &tweak];
        let task = self.automagik.ok(&[&run[..], &more].concat()).await;
        job_of(&self.automagik, &task).await;
        task
    }

    /// Ends the run at LangFlow.
    async fn release(&self) {
        eventually(PATIENCE, || async { (self.fake().waiting() > 0).then_some(()) }).await;
        self.fake().release();
    }

    /// The task has completed, and LangFlow made one run for it, which one worker recorded once.
    async fn completed_once(&self, task: &str, marker: &Marker) -> Value {
        let said = self.automagik.ok(&["task", "wait", task]).await;
        assert!(said.ends_with("once"), "{said}");
        assert_eq!(marker.lines(), ["once"], "it ran once to its end");
        assert_eq!(self.fake().runs("slow"), 1, "it began once");
        let events = history(&self.automagik, "task", task).await;
        let ends = events.iter().filter(|event| *event == "task.completed").count();
        assert_eq!(ends, 1, "{events:?}");
        shown(&self.automagik, task).await
    }

    /// The worker of this name, when it has this status.
    async fn worker(&self, name: &str, status: &str) -> Value {
        let is_it = |row: &&Value| row["name"] == name && row["status"] == status;
        let rows = until(&self.automagik, &["worker", "list", "--all"], |rows| {
            rows.iter().any(|row| is_it(&row))
        });
        rows.await.iter().find(is_it).cloned().expect("it was there")
    }

    fn marker(&self) -> Marker {
        Marker::new(self.automagik.beside(), "marker.txt")
    }
}

#[tokio::test]
async fn without_a_worker_tasks_wait_and_one_on_another_host_makes_them() {
    let office = Office::open().await;
    let task = office.automagik.ok(&["flow", "run", "e2e-echo", "--input", "hello"]).await;
    let worker = office.automagik.worker_elsewhere("far", &["--concurrency", "2"]);
    assert_eq!(office.automagik.ok(&["task", "wait", &task]).await, "hello");
    let row = office.worker("far", "active").await;
    assert_eq!((&row["slots"], &row["built_in"]), (&2.into(), &false.into()));
    let task = shown(&office.automagik, &task).await;
    assert_eq!(task["attempt_rows"][0]["worker_id"], row["id"]);
    let event = &office.automagik.rows(&["history", "task", &text(&task, "id")]).await;
    let completed = event.iter().find(|event| event["type"] == "task.completed");
    let actor = completed.map(|event| text(event, "actor"));
    assert_eq!(actor, Some(format!("worker:{}", text(&row, "id"))));
    drop(worker);
}
