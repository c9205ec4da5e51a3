//! A worker's process against a server that the test plays itself: it sees every question and chooses
//! every answer.

use serde_json::{Value, json};
use spark_actors::WorkOrder;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;
use crate::client::{Named, Target};
use crate::exit::{Exit, trouble_of};
use crate::home::Home;

mod scripted;

use scripted::{Asked, Scripted};

/// The worker under test, its server, and a source that takes every call and answers none.
struct Stage {
    server: Scripted,
    stop: watch::Sender<bool>,
    work: tokio::task::JoinHandle<Result<End>>,
    silent: TcpListener,
    dir: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        Self::over(tempfile::tempdir().unwrap()).await
    }

    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    async fn over(dir: tempfile::TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Scripted::new().await;
        let url = server.url.clone();
        let find = move || {
            let (server, key) = (url.clone(), Some("k".to_owned()));
            Ok(Target {
                server,
                key,
                no_key: String::new(),
                is_here: false,
                reason: None,
                named: Named::default(),
            })
        };
        let (stop, stopped) = watch::channel(false);
        let place = Place::take(&Home::new(Some(dir.path())), "w").unwrap();
        let plan = Plan {
            name: "w".into(),
            hostname: "here".into(),
            slots: 4,
            labels: Labels::new(["gpu".to_owned()]).unwrap(),
        };
        let http = spark_actors::langflow::http_client().unwrap();
        let mut process = Process { plan, link: Arc::new(Link::new(find)), place, http };
        let work = tokio::spawn(async move { process.run(stopped).await });
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { server, stop, work, silent, dir }
    }

    /// Takes the worker in; gives its id and the question with which it came.
    async fn admit(&mut self) -> (String, Value) {
        let asked = self.server.next("/workers").await;
        let id = asked.body["id"].as_str().unwrap().to_owned();
        let body = asked.body.clone();
        asked.answer(
            201,
            json!({
                "id": id, "session": Uuid::from_u128(1), "poll_ms": 10_000, "lost_after_ms": 30_000,
                "server_version": "0", "server_time": "2026-01-01T00:00:00Z",
            }),
        );
        (id, body)
    }

    /// An order of the source that never answers.
    fn order(&self, task: u128, mode: &str) -> Value {
        let url = format!("http://{}", self.silent.local_addr().unwrap());
        let order = json!({
            "task_id": Uuid::from_u128(task), "attempt": 1,
            "source": {"kind": "langflow", "url": url, "api_key": "sk", "capabilities":
                {"version": "1.13.0", "background_jobs": true, "traces": false, "stream": false}},
            "call": {"lang_flow": {
                "remote_flow_id": "f", "input": "hi", "session_id": "s", "idempotency_key": "k",
                "mode": mode}},
            "time": {"ms": 60_000, "of": "attempt"},
        });
        // What the server sends is what the worker reads.
        serde_json::from_value::<WorkOrder>(order.clone()).unwrap();
        order
    }
}

fn polled(session: u128, items: Value) -> Value {
    json!({"session": Uuid::from_u128(session), "status": "active", "resync": false, "items": items})
}

fn held(task: u128) -> Value {
    json!({"task_id": Uuid::from_u128(task), "attempt": 1})
}

/// An order whose source refuses the connection: it ends at once.
fn refused(mut order: Value) -> Value {
    order["source"]["url"] = "http://127.0.0.1:1".into();
    order
}

fn recorded(asked: Asked) -> Vec<Value> {
    let items = asked.body["items"].as_array().unwrap().clone();
    let receipts: Vec<&str> = items.iter().map(|_| "recorded").collect();
    asked.answer(200, json!({"items": receipts}));
    items
}

#[tokio::test]
async fn it_registers_takes_an_order_and_reports_its_end() {
    let mut stage = Stage::set().await;
    let (id, registration) = stage.admit().await;
    assert_eq!(registration["labels"], json!(["gpu"]));
    assert_eq!(registration["protocol"], PROTOCOL);
    assert_eq!(registration.get("replaces"), None);
    let poll = stage.server.next("/poll").await;
    assert_eq!(poll.path, format!("/api/v1/workers/{id}/poll"));
    assert_eq!(poll.body["holding"], json!([]), "at first it says what it has");
    let order = refused(stage.order(7, "direct"));
    poll.answer(200, polled(1, json!([{"seq": 1, "what": {"run": order}}])));
    let reports = recorded(stage.server.next("/reports").await);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["task_id"], held(7)["task_id"]);
    assert_eq!(reports[0]["what"]["ended"]["failed"]["failure"]["class"], "unreachable");
    let poll = stage.server.next("/poll").await;
    assert_eq!(poll.body["after"], 1, "and that it has the delivery");
    assert_eq!(poll.body.get("holding"), None);
}

#[tokio::test]
async fn one_that_was_given_up_before_it_heard_that_it_was_taken_in_comes_under_another_id() {
    let mut stage = Stage::set().await;
    let first = stage.server.next("/workers").await;
    let id = first.body["id"].as_str().unwrap().to_owned();
    first.hang_up();
    let again = stage.server.next("/workers").await;
    assert_eq!(again.body["id"], id, "its answer was lost");
    again.answer(410, json!({"detail": "the worker is gone"}));
    let (other, registration) = stage.admit().await;
    assert_ne!(other, id);
    assert_eq!(registration["replaces"], id);
    stage.server.next("/poll").await;
}

#[tokio::test]
async fn a_delivery_that_comes_again_is_made_once() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let run = |order: Value| json!([{"seq": 1, "what": {"run": order}}]);
    let order = stage.order(7, "direct");
    stage.server.next("/poll").await.answer(200, polled(1, run(order.clone())));
    let (first, _) = stage.silent.accept().await.unwrap();
    stage.server.next("/poll").await.answer(200, polled(1, run(order.clone())));
    // The same attempt under another number, as after a resync.
    let again = json!([{"seq": 2, "what": {"run": order}}]);
    stage.server.next("/poll").await.answer(200, polled(1, again));
    let poll = stage.server.next("/poll").await;
    assert_eq!(poll.body["after"], 2);
    drop((first, poll));
    let (work, silent) = (stage.work, stage.silent);
    // Ending the worker ends its connections; a second call would have opened another one.
    work.abort();
    let _ = work.await;
    let second = std::future::poll_fn(|context| {
        std::task::Poll::Ready(silent.poll_accept(context).is_ready())
    });
    assert!(!second.await, "the source was called twice");
}

#[tokio::test]
async fn a_report_is_repeated_until_it_is_answered() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let order = refused(stage.order(7, "direct"));
    let items = json!([{"seq": 1, "what": {"run": order}}]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    stage.server.next("/reports").await.hang_up();
    stage.server.next("/reports").await.answer(503, json!({"detail": "the log is unavailable"}));
    let asked = stage.server.next("/reports").await;
    asked.answer(200, json!({"items": ["retry"]}));
    let reports = recorded(stage.server.next("/reports").await);
    assert_eq!(reports[0]["task_id"], held(7)["task_id"]);
}

#[tokio::test]
async fn after_a_restart_of_the_server_it_says_what_it_holds() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let items = json!([
        {"seq": 1, "what": {"run": stage.order(7, "direct")}},
        {"seq": 2, "what": {"run": refused(stage.order(8, "direct"))}},
    ]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    // One has ended and its report is on the way: it is held until the server has answered.
    let report = stage.server.next("/reports").await;
    let mut again = polled(2, json!([]));
    again["resync"] = true.into();
    stage.server.next("/poll").await.answer(200, again);
    let poll = stage.server.next("/poll").await;
    assert_eq!(poll.body["session"], json!(Uuid::from_u128(2)));
    assert_eq!(poll.body["after"], 0);
    let mut holding = poll.body["holding"].as_array().unwrap().clone();
    holding.sort_by_key(ToString::to_string);
    assert_eq!(holding, [held(7), held(8)]);
    // What is not its own any more it drops, and says nothing of it.
    poll.answer(200, polled(2, json!([{"seq": 1, "what": {"abort": held(7)}}])));
    recorded(report);
    assert_eq!(stage.server.next("/poll").await.body["after"], 1);
    stage.stop.send_replace(true);
    stage.server.next("/leave").await.answer(200, json!({}));
    assert_eq!(stage.work.await.unwrap().unwrap(), End::Left);
}

#[tokio::test]
async fn counted_as_lost_it_drops_what_it_has_and_registers_anew() {
    let mut stage = Stage::set().await;
    let (id, _) = stage.admit().await;
    let items = json!([{"seq": 1, "what": {"run": stage.order(7, "direct")}}]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    let gone = json!({"code": "SPK-6004", "detail": "the worker was lost"});
    stage.server.next("/poll").await.answer(410, gone);
    let (new_id, registration) = stage.admit().await;
    assert_ne!(new_id, id);
    assert_eq!(registration["replaces"], id);
    let poll = stage.server.next("/poll").await;
    assert_eq!(poll.body["holding"], json!([]), "nothing of before");
}

#[tokio::test]
async fn a_late_answer_is_dropped_without_another_word() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let order = refused(stage.order(7, "direct"));
    let items = json!([{"seq": 1, "what": {"run": order}}]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    stage.server.next("/reports").await.answer(200, json!({"items": ["stale"]}));
    // Nothing is left: it can leave at once.
    let open = stage.server.next("/poll").await;
    stage.stop.send_replace(true);
    stage.server.next("/leave").await.answer(200, json!({}));
    assert_eq!(stage.work.await.unwrap().unwrap(), End::Left);
    drop(open);
}

#[tokio::test]
async fn told_to_stop_it_gives_background_runs_back_and_leaves() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let items = json!([{"seq": 1, "what": {"run": stage.order(7, "background")}}]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    let _called = stage.silent.accept().await.unwrap();
    stage.stop.send_replace(true);
    let reports = recorded(stage.server.next("/reports").await);
    assert_eq!(reports[0]["what"], "released");
    stage.server.next("/leave").await.answer(200, json!({}));
    assert_eq!(stage.work.await.unwrap().unwrap(), End::Left);
    let state = stage.dir.path().join("worker-w.json");
    assert!(!state.exists(), "there is nothing that the next one would replace");
}

#[tokio::test]
async fn an_operator_can_drain_it() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let order = refused(stage.order(7, "direct"));
    let mut answer = polled(1, json!([{"seq": 1, "what": {"run": order}}]));
    answer["status"] = "draining".into();
    stage.server.next("/poll").await.answer(200, answer);
    recorded(stage.server.next("/reports").await);
    stage.server.next("/leave").await.answer(200, json!({}));
    assert_eq!(stage.work.await.unwrap().unwrap(), End::Left);
}

#[tokio::test]
async fn what_the_server_refuses_for_good_ends_it_with_the_servers_words() {
    let table = [
        (409, "SPK-6001", Exit::Conflict),
        (422, "SPK-6002", Exit::Usage),
        (422, "SPK-6003", Exit::Usage),
        (401, "SPK-0401", Exit::Auth),
        (403, "SPK-0403", Exit::Auth),
    ];
    for (status, code, exit) in table {
        let mut stage = Stage::set().await;
        let problem = json!({"code": code, "detail": "no, because", "remedy": "do this"});
        stage.server.next("/workers").await.answer(status, problem);
        let trouble = trouble_of(&stage.work.await.unwrap().unwrap_err()).unwrap();
        assert_eq!((trouble.exit, trouble.what.as_str()), (exit, "no, because"), "{code}");
    }
}

#[tokio::test]
async fn a_server_that_is_no_spark_is_named() {
    let mut stage = Stage::set().await;
    stage.server.next("/workers").await.answer(404, json!({"detail": "Not Found"}));
    let trouble = trouble_of(&stage.work.await.unwrap().unwrap_err()).unwrap();
    assert!(trouble.what.contains("does not answer as this Spark does"), "{trouble:?}");
}

#[tokio::test]
async fn killed_it_comes_back_in_the_place_of_the_one_before() {
    let mut stage = Stage::set().await;
    let (id, _) = stage.admit().await;
    stage.server.next("/poll").await.hang_up();
    stage.work.abort();
    let _ = stage.work.await;
    let mut stage = Stage::over(stage.dir).await;
    let (_, registration) = stage.admit().await;
    assert_eq!(registration["replaces"], id);
}

#[tokio::test]
async fn a_registration_that_was_never_answered_is_not_the_only_one_that_is_named() {
    let mut stage = Stage::set().await;
    let (known, _) = stage.admit().await;
    stage.work.abort();
    let _ = stage.work.await;
    let mut stage = Stage::over(stage.dir).await;
    let lost = stage.server.next("/workers").await;
    let lost_id = lost.body["id"].clone();
    stage.work.abort();
    let _ = stage.work.await;
    let mut stage = Stage::over(stage.dir).await;
    let asked = stage.server.next("/workers").await;
    assert_eq!(asked.body["replaces"], lost_id, "the newest first");
    asked.answer(409, json!({"code": "SPK-6001", "detail": "the name is in use"}));
    let (_, registration) = stage.admit().await;
    assert_eq!(registration["replaces"], known);
}

#[tokio::test]
async fn a_result_that_the_server_refuses_becomes_a_failure_that_says_so() {
    let mut stage = Stage::set().await;
    stage.admit().await;
    let order = refused(stage.order(7, "direct"));
    let items = json!([{"seq": 1, "what": {"run": order}}]);
    stage.server.next("/poll").await.answer(200, polled(1, items));
    let problem = json!({"code": "SPK-0413", "detail": "the body is too large"});
    stage.server.next("/reports").await.answer(413, problem);
    let reports = recorded(stage.server.next("/reports").await);
    let failure = &reports[0]["what"]["ended"]["failed"]["failure"];
    assert_eq!(failure["class"], "too_large", "{failure}");
}

#[test]
fn pauses_grow_up_to_their_bound() {
    let mut pauses = Pauses::default();
    let seen: Vec<u64> =
        (0..8).map(|_| u64::try_from(pauses.next().as_millis()).unwrap()).collect();
    assert_eq!(seen, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
}
