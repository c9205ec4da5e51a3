//! What the fake LangFlow does over several requests, where no single recording can hold it:
//! queueing, idempotency, restarts, trouble, and the counting of what really ran.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use spark_tests::eventually;
use spark_tests::fake_langflow::{FakeLangFlow, Options, Profile, SECRET, Trouble};
use spark_tests::plain_http::{Answer, send};

const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any test: such a run ends only by release, stop or restart.
const FOR_EVER: u64 = 3_600;

async fn start(options: Options) -> FakeLangFlow {
    FakeLangFlow::start(options).await
}

async fn try_post(fake: &FakeLangFlow, path: &str, body: &Value) -> io::Result<Answer> {
    send(&fake.url(), "POST", path, &[("content-type", "application/json")], body.to_string()).await
}

async fn post(fake: &FakeLangFlow, path: &str, body: &Value) -> Answer {
    try_post(fake, path, body).await.expect("the fake answers")
}

async fn get(fake: &FakeLangFlow, path: &str) -> Answer {
    send(&fake.url(), "GET", path, &[], "").await.expect("the fake answers")
}

async fn run_v1(fake: &FakeLangFlow, flow: &str, body: &Value) -> Answer {
    post(fake, &format!("/api/v1/run/{}", FakeLangFlow::flow_id(flow)), body).await
}

async fn submit(fake: &FakeLangFlow, flow: &str, key: Option<&str>) -> String {
    let tweaks = json!({"seconds": FOR_EVER});
    let body = json!({
        "flow_id": FakeLangFlow::flow_id(flow), "input_value": "x", "mode": "background", "tweaks": tweaks,
        "idempotency_key": key,
    });
    let answer = post(fake, "/api/v2/workflows", &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()["job_id"].as_str().expect("a job has an id").to_owned()
}

async fn status(fake: &FakeLangFlow, job: &str) -> Answer {
    get(fake, &format!("/api/v2/workflows?job_id={job}")).await
}

async fn stop(fake: &FakeLangFlow, job: &str) {
    let answer = post(fake, "/api/v2/workflows/stop", &json!({"job_id": job})).await;
    assert_eq!(answer.status, 200);
}

async fn until_waiting(fake: &FakeLangFlow, count: usize) {
    eventually(PATIENCE, || async { (fake.waiting() == count).then_some(()) }).await;
}

async fn until_status(fake: &FakeLangFlow, job: &str, wanted: &str) {
    let seen = || async {
        let answer = status(fake, job).await.json();
        (answer["status"] == wanted || answer["detail"]["code"] == wanted).then_some(())
    };
    eventually(PATIENCE, seen).await;
}

fn text_of(answer: &Answer) -> String {
    let text = &answer.json()["outputs"][0]["outputs"][0]["outputs"]["message"]["message"];
    text.as_str().expect("a chat output has a text").to_owned()
}

#[tokio::test]
async fn flows_do_what_their_names_say() {
    let fake = start(Options::default()).await;
    for (flow, body, wanted) in [
        ("echo", json!({"input_value": "hi"}), "hi"),
        ("prompt", json!({"input_value": "Ada"}), "Hello Ada"),
        (
            "slow",
            json!({"input_value": "hi", "tweaks": {"SlowEcho-00001": {"seconds": 0.05}}}),
            "waited 0.05 s: hi",
        ),
        (
            "busy",
            json!({"input_value": "hi", "tweaks": {"BusyEcho-00001": {"seconds": "0"}}}),
            "waited 0.0 s: hi",
        ),
        (
            "stream",
            json!({"input_value": "a b", "tweaks": {"TokenEcho-00001": {"pause": 0}}}),
            "a b ",
        ),
        ("webhook", json!({"tweaks": {"Webhook-00001": {"data": "{}"}}}), "hook got {}"),
    ] {
        let answer = run_v1(&fake, flow, &body).await;
        assert_eq!((answer.status, text_of(&answer).as_str()), (200, wanted));
        assert_eq!((fake.runs(flow), fake.completed_runs(flow)), (1, 1));
    }
    let failed = run_v1(&fake, "fail", &json!({"input_value": "it's"})).await;
    assert_eq!(failed.status, 500);
    assert!(failed.json()["detail"].as_str().expect("a text").contains(r#"on input \"it's\""#));
    assert_eq!((fake.runs("fail"), fake.completed_runs("fail")), (1, 0));
}

#[tokio::test]
async fn tweaks_reach_what_they_name_and_nothing_else() {
    let fake = start(Options::default()).await;
    for (tweaks, wanted) in [
        (json!({"TextInput-00001": {"input_value": "by id"}}), "by id"),
        (json!({"Text Input": {"input_value": "by name"}}), "by name"),
        (json!({"input_value": "by field"}), "by field"),
        (
            json!({"TextInput-00001": {"no_such": "x"}, "Nobody-1": {"input_value": "x"}}),
            "default text",
        ),
    ] {
        let answer = run_v1(&fake, "text", &json!({"output_type": "any", "tweaks": tweaks})).await;
        assert_eq!(answer.json()["outputs"][0]["outputs"][0]["results"]["text"]["text"], wanted);
    }
}

#[tokio::test]
async fn a_key_holds_its_job_until_the_job_fails() {
    let fake = start(Options::default()).await;
    let first = submit(&fake, "slow", Some("k")).await;
    assert_eq!(
        submit(&fake, "echo", Some("k")).await,
        first,
        "a key is looked up without the flow"
    );
    until_waiting(&fake, 1).await;
    assert_eq!(submit(&fake, "slow", Some("k")).await, first);
    fake.release();
    until_status(&fake, &first, "completed").await;
    assert_eq!(submit(&fake, "slow", Some("k")).await, first);
    assert_eq!((fake.runs("slow"), fake.runs("echo")), (1, 0));

    let failed = submit(&fake, "fail", Some("f")).await;
    until_status(&fake, &failed, "JOB_FAILED").await;
    assert_ne!(submit(&fake, "fail", Some("f")).await, failed);
    eventually(PATIENCE, || async { (fake.runs("fail") == 2).then_some(()) }).await;
}

#[tokio::test]
async fn five_jobs_run_at_once_and_a_stopped_one_makes_room() {
    let fake = start(Options::default()).await;
    let mut jobs = Vec::new();
    for _ in 0..7 {
        jobs.push(submit(&fake, "slow", None).await);
    }
    until_waiting(&fake, 5).await;
    assert_eq!(status(&fake, &jobs[5]).await.json()["status"], "queued");
    stop(&fake, &jobs[0]).await;
    until_status(&fake, &jobs[5], "in_progress").await;
    assert_eq!(status(&fake, &jobs[0]).await.json()["status"], "cancelled");
    assert_eq!((fake.runs("slow"), fake.completed_runs("slow")), (6, 0));
}

#[tokio::test]
async fn a_restart_loses_running_jobs_and_forgets_queued_ones() {
    let fake = start(Options { jobs_at_once: 1, ..Options::default() }).await;
    let url = fake.url();
    let running = submit(&fake, "slow", Some("r")).await;
    until_waiting(&fake, 1).await;
    let queued = submit(&fake, "slow", Some("q")).await;
    fake.restart().await;

    assert_eq!(fake.url(), url);
    let lost = status(&fake, &running).await;
    assert_eq!(
        (lost.status, &lost.json()["detail"]["error_detail"]["type"]),
        (500, &json!("worker_lost"))
    );
    assert_eq!(status(&fake, &queued).await.json()["status"], "queued");
    assert_eq!(submit(&fake, "slow", Some("q")).await, queued);
    assert_ne!(submit(&fake, "slow", Some("r")).await, running);
    until_waiting(&fake, 1).await;
    assert_eq!(fake.runs("slow"), 2);
    let began: Vec<String> = fake.began("slow").into_iter().map(|run| run.run_id).collect();
    assert!(began.contains(&running) && !began.contains(&queued));
}

#[tokio::test]
async fn what_a_lost_answer_began_can_be_found_again() {
    let fake = start(Options::default()).await;
    fake.set_trouble_on("/run/", Trouble::LoseAnswer, Some(1));
    let body = json!({"input_value": "hi", "session_id": "s-1"});
    let path = format!("/api/v1/run/{}", FakeLangFlow::flow_id("echo"));
    try_post(&fake, &path, &body).await.expect_err("the answer is lost");
    assert_eq!(fake.runs("echo"), 1);
    let messages = get(&fake, "/api/v1/monitor/messages?session_id=s-1").await.json();
    assert_eq!(messages.as_array().map(Vec::len), Some(2));
    assert_eq!(get(&fake, "/api/v1/monitor/traces?session_id=s-1").await.json()["total"], 1);
    assert_eq!(post(&fake, &path, &body).await.status, 200);
}

#[tokio::test]
async fn every_trouble_is_met_and_ends() {
    let fake = start(Options::default()).await;
    let path = format!("/api/v1/run/{}", FakeLangFlow::flow_id("echo"));
    let body = json!({"input_value": "hi"});

    fake.set_trouble(Trouble::Html);
    let page = post(&fake, &path, &body).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    fake.set_trouble(Trouble::Status(429, Some(7)));
    let limited = post(&fake, &path, &body).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    fake.set_trouble(Trouble::Disconnect);
    try_post(&fake, &path, &body).await.expect_err("the connection breaks");
    fake.set_trouble(Trouble::RefuseConnections);
    let refused = try_post(&fake, &path, &body).await.expect_err("the port refuses");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(fake.runs("echo"), 0);

    fake.set_trouble(Trouble::HalfBody);
    try_post(&fake, &path, &body).await.expect_err("the answer breaks off");
    fake.set_trouble(Trouble::Slow(Duration::from_millis(20)));
    assert_eq!(post(&fake, &path, &body).await.status, 200);
    fake.set_trouble(Trouble::Hang);
    tokio::time::timeout(Duration::from_millis(100), try_post(&fake, &path, &body))
        .await
        .expect_err("it hangs");
    fake.set_trouble(Trouble::None);
    assert_eq!(post(&fake, &path, &body).await.status, 200);
    assert_eq!(fake.runs("echo"), 3);
    let refused_ones = 1;
    assert_eq!(fake.requests().len(), 8 - refused_ones);
}

#[tokio::test]
async fn a_stopped_server_refuses() {
    let fake = start(Options::default()).await;
    fake.stop().await;
    let refused = try_post(&fake, "/health", &json!({})).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    fake.restart().await;
    assert_eq!(get(&fake, "/health").await.status, 200);
}

#[tokio::test]
async fn a_dropped_stream_ends_its_run_and_a_dropped_call_does_not() {
    let fake = start(Options::default()).await;
    let body = json!({"input_value": "hi", "tweaks": {"seconds": FOR_EVER}});
    let path = format!("/api/v1/run/{}", FakeLangFlow::flow_id("slow"));
    let stream_path = format!("{path}?stream=true");
    tokio::select! {
        _ = try_post(&fake, &stream_path, &body) => panic!("the stream does not end"),
        () = until_waiting(&fake, 1) => {}
    }
    until_waiting(&fake, 0).await;
    tokio::select! {
        _ = try_post(&fake, &path, &body) => panic!("the call does not end"),
        () = until_waiting(&fake, 1) => {}
    }
    // The server sees the end of the first connection before it answers on a second.
    assert_eq!(get(&fake, "/health").await.status, 200);
    assert_eq!(fake.waiting(), 1);
    fake.release();
    eventually(PATIENCE, || async { (fake.completed_runs("slow") == 1).then_some(()) }).await;
}

#[tokio::test]
async fn a_stop_flickers_when_asked_to() {
    let fake = start(Options { flicker_after_stop: true, ..Options::default() }).await;
    let job = submit(&fake, "slow", None).await;
    until_waiting(&fake, 1).await;
    stop(&fake, &job).await;
    let first = status(&fake, &job).await;
    assert_eq!((first.status, &first.json()["detail"]["error_detail"]), (500, &Value::Null));
    assert_eq!(status(&fake, &job).await.json()["status"], "cancelled");
}

#[tokio::test]
async fn a_long_text_is_cut_in_the_status_only() {
    let fake = start(Options { answer_bytes: Some(7_000), ..Options::default() }).await;
    let job = submit(&fake, "echo", None).await;
    until_status(&fake, &job, "completed").await;
    let text =
        status(&fake, &job).await.json()["output"]["text"].as_str().expect("a text").to_owned();
    assert_eq!((text.len(), text.ends_with("...")), (6_003, true));
    let session = FakeLangFlow::flow_id("echo");
    let messages =
        get(&fake, &format!("/api/v1/monitor/messages?session_id={session}")).await.json();
    assert_eq!(messages[1]["text"].as_str().map(str::len), Some(7_000));
}

#[tokio::test]
async fn older_generations_lack_what_they_lacked() {
    let id = FakeLangFlow::flow_id("echo");
    for (profile, web_pages) in
        [(Profile::V1_7, true), (Profile::V1_7, false), (Profile::V1_0, false)]
    {
        let fake =
            start(Options { profile, web_pages, answer_bytes: Some(1_500), ..Options::default() })
                .await;
        let answer = run_v1(&fake, "echo", &json!({"input_value": "hi"})).await;
        assert_eq!((answer.status, text_of(&answer).len()), (200, 1_500));
        let missing = if web_pages {
            (200, Some("text/html; charset=utf-8"))
        } else {
            (404, Some("application/json"))
        };
        for path in ["/api/v2/workflows?job_id=x", "/api/v1/monitor/traces"] {
            let answer = get(&fake, path).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                missing,
                "{profile:?} {path}"
            );
        }
        let stream =
            post(&fake, &format!("/api/v1/run/{id}?stream=true"), &json!({"input_value": "hi"}))
                .await;
        let is_stream = stream.header("content-type") == Some("text/event-stream; charset=utf-8");
        assert_eq!(is_stream, profile == Profile::V1_7);
        let list = get(&fake, "/api/v1/flows/?get_all=true&header_flows=true").await.json();
        assert_eq!(list[0]["data"].is_object(), profile == Profile::V1_0);
    }
}

#[tokio::test]
async fn flows_can_be_changed_as_in_the_editor() {
    let fake = start(Options::default()).await;
    fake.rename_flow("echo", "parrot");
    fake.remove_flow("fail");
    let list = get(&fake, "/api/v1/flows/?header_flows=true").await.json();
    let names: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(|flow| flow["name"].as_str()).collect();
    assert_eq!(names.len(), 9);
    assert!(names.contains(&"e2e-parrot") && !names.contains(&"e2e-fail"));
    assert_eq!(run_v1(&fake, "fail", &json!({})).await.status, 404);
    let definition =
        get(&fake, &format!("/api/v1/flows/{}", FakeLangFlow::flow_id("llm-no-key"))).await;
    assert!(String::from_utf8_lossy(&definition.body).contains(SECRET));
}
