//! Sources that are no LangFlow: agent servers and webhooks, from the request to the result.

use std::fs;

use serde_json::{Value, json};
use spark_actors::langflow::Secret;
use spark_actors::{AddRequest, AddSource, DispatchError, RunOptions, SyncFlow};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::retry::RetryPolicy;
use spark_events::domain::source::{HttpSettings, SourceKind};
use spark_events::domain::task::{TaskEvent, TaskStatus};
use spark_events::{FlowId, SourceId};
use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::eventually;
use spark_tests::fake_agent::{FakeAgent, Reply};
use spark_tests::fake_langflow::Options;
use spark_tests::world::{World, who};

const KEY: &str = "sk-agents-top-secret";

fn ok(json: Value) -> Reply {
    Reply::Json(200, None, json)
}

fn request(json: Value) -> HttpRequest {
    serde_json::from_value(json).unwrap()
}

/// Connects it as source `agents`, whose first flow is this request.
async fn connect(world: &World, agent: &FakeAgent, json: Value) -> (SourceId, FlowId) {
    let add = AddSource {
        name: Some("agents".into()),
        url: agent.url().to_owned(),
        kind: SourceKind::Http(HttpSettings::default()),
        request: Some(request(json)),
        api_key: Some(Secret::new(KEY.into())),
        runs_max: None,
        worker_labels: None,
    };
    let source = world.spark.add_source(add, &who()).await.unwrap().value;
    (source, world.spark.flows_of_source(source)[0])
}

fn quick() -> RunOptions {
    let retry =
        RetryPolicy { initial_ms: 10, coefficient_percent: 100, maximum_ms: 50, attempts_max: 4 };
    RunOptions { input: "hello".into(), retry: Some(retry), ..RunOptions::default() }
}

#[tokio::test]
async fn what_fails_is_tried_again_until_the_rule_of_success_is_met() {
    let world = World::start(Options::default()).await;
    let agent = FakeAgent::start([
        Reply::Json(500, None, json!({})),
        Reply::Json(429, Some(1), json!({})),
        ok(json!({"status": "busy"})),
        ok(json!({"status": "ok", "result": {"text": "done"}})),
    ])
    .await;
    let json = json!({
        "path": "/run/{{attempt}}", "body": {"q": "{{input}}", "due": "{{due_at}}"},
        "success": {"path": "/status", "equals": "ok"}, "output": "/result/text"
    });
    let (_, flow) = connect(&world, &agent, json).await;
    let task = world.task(flow, quick()).await;
    assert_eq!(world.end(task).await.status, TaskStatus::Completed);
    let (mut classes, mut waits, mut outputs) = (vec![], vec![], vec![]);
    for event in world.decoded::<TaskEvent>(&task.stream()).await {
        match event {
            TaskEvent::AttemptFailed(e) => {
                classes.push(e.failure.class);
                waits.push(e.failure.retry_after_ms);
            }
            TaskEvent::Completed(e) => outputs.push(serde_json::to_value(e.output).unwrap()),
            _ => {}
        }
    }
    use FailureClass::{RateLimit, Upstream};
    assert_eq!(classes, [Upstream, RateLimit, Upstream]);
    assert_eq!(waits, [None, Some(1_000), None]);
    assert_eq!(outputs, [json!({"inline": {"text": "done"}})]);
    let asked = agent.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /run/1", "POST /run/2", "POST /run/3", "POST /run/4"]);
    assert_eq!(asked[0].body, json!({"q": "hello", "due": null}));
    assert_eq!(asked[0].header("x-api-key"), Some(KEY));
    let key = format!("spark:{task}:4");
    assert_eq!(asked[3].header("idempotency-key"), Some(key.as_str()));
}

#[tokio::test]
async fn a_cancelled_request_is_hung_up_on() {
    let world = World::start(Options::default()).await;
    let agent = FakeAgent::start([Reply::Silence]).await;
    let (_, flow) = connect(&world, &agent, json!({})).await;
    let task = world.task(flow, quick()).await;
    eventually(PATIENCE, || async { (agent.open() == 1).then_some(()) }).await;
    world.spark.cancel_task(task, &who()).await.unwrap();
    assert_eq!(world.end(task).await.status, TaskStatus::Cancelled);
    eventually(PATIENCE, || async { (agent.open() == 0).then_some(()) }).await;
    assert_eq!(agent.asked().len(), 1);
}

#[tokio::test]
async fn what_only_one_kind_has_is_refused_by_the_other() {
    let world = World::start(Options::default()).await;
    let agent = FakeAgent::start([ok(json!({}))]).await;
    let (source, _) = connect(&world, &agent, json!({})).await;
    let sync = SyncFlow { remote: "x".into(), ..SyncFlow::default() };
    for refused in [
        world.spark.sync_flow(source, sync, &who()).await.map(drop),
        world.spark.remote_flows(source, None).await.map(drop),
        world.spark.add_request(world.source, AddRequest::default(), &who()).await.map(drop),
    ] {
        let Err(DispatchError::Conflict(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("automagik "), "{why}");
    }
    let request = request(json!({"body": "{{nope}}"}));
    let bad = AddRequest { name: "bad".into(), request, ..AddRequest::default() };
    let refused = world.spark.add_request(source, bad, &who()).await;
    assert!(matches!(refused, Err(DispatchError::Invalid(_))), "{refused:?}");
    assert_eq!(world.spark.flows_of_source(source).len(), 1, "nothing was stored");
}

async fn hooks(agent: &FakeAgent) -> Automagik {
    let automagik = Automagik::started().await;
    let add = ["source", "add", agent.url(), "--type", "http", "--name", "hooks"];
    let more = ["-k", KEY, "--auth", "bearer", "--path", "/run", "--output-path", "/text"];
    automagik.ok(&[&add[..], &more[..]].concat()).await;
    automagik
}

/// The original printed its encryption key with every run of a workflow.
#[tokio::test]
async fn no_secret_reaches_an_output_a_log_or_an_event() {
    let agent = FakeAgent::start([
        ok(json!({"text": format!("you sent {KEY}")})),
        Reply::Json(400, None, json!({"you": {"sent": KEY}})),
    ])
    .await;
    let automagik = hooks(&agent).await;
    let mut said = vec![];
    for command in [
        &["flow", "run", "hooks", "--input", "hi", "--wait"][..],
        &["flow", "run", "hooks", "--input", "hi", "--wait", "-o", "json"],
        &["task", "list", "-o", "json"],
        &["source", "show", agent.url(), "-o", "json"],
        &["source", "reseal", "-o", "json"],
        &["flow", "show", "hooks", "-o", "json"],
    ] {
        let output = automagik.run(command).await;
        said.push(format!("{} {}", output.stdout, output.stderr));
    }
    assert!(said[0].contains("you sent"), "{}", said[0]);
    assert_eq!(agent.asked()[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
    said.push(automagik.server_log());
    let sealing_key = fs::read(automagik.home().join("seal.key")).unwrap();
    for (n, text) in said.iter().enumerate() {
        assert!(!text.contains(KEY), "{n}: {text}");
    }
    let mut files = 0;
    for file in fs::read_dir(automagik.home()).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = fs::read(&path) else { continue };
        files += 1;
        let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!holds(KEY.as_bytes()), "{}", path.display());
        let is_its_own = path.ends_with("seal.key");
        assert_eq!(holds(&sealing_key), is_its_own, "{}", path.display());
    }
    assert!(files > 3, "the log, the read models and the keys");
}

#[tokio::test]
async fn a_source_goes_with_what_hangs_on_it_only_by_force() {
    let agent = FakeAgent::start([ok(json!({"text": "hi"}))]).await;
    let automagik = hooks(&agent).await;
    automagik.ok(&["source", "add-request", "hooks", "notify", "--path", "/notify"]).await;
    automagik.ok(&["schedule", "create", "notify", "--every", "1h", "--name", "hourly"]).await;
    let remove = ["source", "delete", agent.url(), "--yes"];
    automagik.ends(7, &remove).await.says(&["hooks, notify", "--force"]);
    let forced = automagik.ends(0, &[&remove[..], &["-f"][..]].concat()).await;
    forced.says(&["with it goes flow notify", "with it goes schedule hourly"]);
    for list in ["source", "flow"] {
        assert!(automagik.rows(&[list, "list"]).await.is_empty(), "{list}");
    }
    let active = automagik.rows(&["schedule", "list", "--status", "active"]).await;
    assert!(active.is_empty(), "{active:?}");
}

#[tokio::test]
async fn keys_sealed_anew_still_open_after_a_crash_and_can_be_taken_away() {
    let agent = FakeAgent::start([ok(json!({"text": "hi"}))]).await;
    let mut automagik = hooks(&agent).await;
    let before = fs::read(automagik.home().join("seal.key")).unwrap();
    assert_eq!(automagik.json(&["source", "reseal"]).await["resealed"], 1);
    assert_ne!(fs::read(automagik.home().join("seal.key")).unwrap(), before);
    automagik.kill9().await;
    automagik.up().await;
    let run = ["flow", "run", "hooks", "--input", "x", "--wait"];
    assert_eq!(automagik.ok(&run).await, "hi");
    let row = automagik.json(&["source", "update", "hooks", "--no-api-key"]).await;
    assert_eq!((&row["has_api_key"], &row["flows"]), (&json!(false), &json!(1)));
    automagik.ok(&run).await;
    let asked = agent.asked();
    let sent: Vec<bool> =
        asked.iter().map(|asked| asked.header("authorization").is_some()).collect();
    assert_eq!(sent, [true, false]);
}

#[tokio::test]
async fn what_an_http_source_cannot_be_given_is_refused_before_anything_is_stored() {
    let agent = FakeAgent::start([ok(json!({}))]).await;
    let automagik = hooks(&agent).await;
    let stored = automagik.stored_events();
    let add = ["source", "add", "http://127.0.0.1:1", "--type"];
    let request = ["source", "add-request", "hooks", "x"];
    for (start, rest, part) in [
        (&add[..], &["automagik-agents"][..], "--type http"),
        (&add, &["langflow", "--path", "/x"], "--type http"),
        (&add, &["http", "--no-request", "--path", "/x"], "--no-request"),
        (&request, &["--body", "{{input}}"], "not JSON"),
        (&request, &["--body", "\"{{inptu}}\""], "inptu"),
        (&request, &["--method", "BREW"], "BREW"),
        (&request, &["--header", "Authorization: x"], "--api-key"),
        (&request, &["--output-path", "text"], "JSON pointer"),
        (&request, &["--success-path", "/a"], "--success-equals"),
    ] {
        automagik.ends(2, &[start, rest].concat()).await.says(&[part]);
    }
    assert_eq!(automagik.stored_events(), stored);
}
