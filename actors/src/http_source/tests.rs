//! A request against a server that answers so: what is sent, and what the answer means.

use serde_json::json;
use spark_events::domain::source::KeyHeader;

use super::*;
use crate::langflow::http_client;
use crate::langflow::stub::{Asked, Reply, Stub};

const VALUES: Values<'_> = Values {
    input: "hello",
    task_id: "t-1",
    attempt: 3,
    due_at: None,
    idempotency_key: "spark:t-1:3",
};

fn client(url: &str, auth: KeyHeader, health_path: Option<&str>) -> HttpSource {
    let settings = HttpSettings { auth, health_path: health_path.map(str::to_owned) };
    let key = Some(Secret::new("sk-secret".into()));
    HttpSource::new(http_client().unwrap(), url, key, &settings).unwrap()
}

fn request(json: Value) -> HttpRequest {
    let request: HttpRequest = serde_json::from_value(json).unwrap();
    request.check().unwrap();
    request.completed()
}

/// Makes one request to a server that answers so.
async fn run(
    json: Value,
    answer: impl FnMut(&Asked) -> Reply + Send + 'static,
) -> (RunEnd, Vec<Asked>) {
    let stub = Stub::start(answer).await;
    let (_never, cancel) = watch::channel(false);
    let client = client(&stub.url, KeyHeader::default(), None);
    let end = client.run(&request(json), &VALUES, cancel).await;
    (end, stub.asked())
}

async fn failure(json: Value, reply: Reply) -> Failure {
    match run(json, move |_| reply.clone()).await.0 {
        RunEnd::Failed { failure, log } if log.is_empty() => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_filled_and_its_result_taken_out() {
    let json = json!({
        "method": "PUT", "path": "/agents/{{attempt}}/run", "headers": {"X-Team": "a b"},
        "body": {"q": "{{input}}", "key": "{{idempotency_key}}"}, "output": "/result/text"
    });
    let (end, asked) =
        run(json, |_| Reply::json(200, &json!({"result": {"text": "hi"}, "more": 1}))).await;
    assert_eq!(end, RunEnd::Completed { output: json!({"text": "hi"}), log: vec![] });
    assert_eq!(asked[0].line, "PUT /agents/3/run");
    assert_eq!(asked[0].body, json!({"q": "hello", "key": "spark:t-1:3"}));
    let head = asked[0].head.to_ascii_lowercase();
    for line in [
        "x-api-key: sk-secret",
        "x-team: a b",
        "idempotency-key: spark:t-1:3",
        "content-type: application/json",
    ] {
        assert!(head.contains(line), "{head}");
    }
}

#[tokio::test]
async fn a_key_goes_along_as_the_source_says() {
    for (auth, line) in [
        (KeyHeader::Bearer, "authorization: bearer sk-secret"),
        (KeyHeader::Header("X-Token".into()), "x-token: sk-secret"),
    ] {
        let stub = Stub::start(|_| Reply::json(200, &json!({}))).await;
        client(&stub.url, auth, Some("/up")).probe().await.unwrap();
        let asked = stub.asked();
        assert_eq!(asked[0].line, "GET /up");
        assert!(asked[0].head.to_ascii_lowercase().contains(line), "{}", asked[0].head);
    }
}

#[tokio::test]
async fn a_refusal_has_the_class_that_decides_about_another_attempt() {
    use FailureClass as C;
    for (status, class) in [
        (400, C::BadInput),
        (401, C::Auth),
        (403, C::Auth),
        (404, C::NotFound),
        (408, C::Timeout),
        (422, C::BadInput),
        (500, C::Upstream),
        (502, C::Upstream),
        (204, C::BadAnswer),
    ] {
        let json = json!({"success": {"status": [200]}});
        let failure = failure(json, Reply::json(status, &json!({"why": "so"}))).await;
        assert_eq!((failure.class, failure.status), (class, Some(status)), "{failure}");
    }
}

#[tokio::test]
async fn a_busy_server_says_how_long_to_wait() {
    let further = "retry-after: 7\r\n".to_owned();
    let reply = Reply::Answer(429, further, "text/plain".into(), "slow down".into());
    let failure = failure(json!({}), reply).await;
    assert_eq!(failure.class, FailureClass::RateLimit);
    assert_eq!(failure.retry_after_ms, Some(7_000));
    assert_eq!(failure.body.as_deref(), Some("slow down"));
}

#[tokio::test]
async fn an_answer_that_is_no_success_shows_what_was_found() {
    let json = json!({"success": {"path": "/status", "equals": "ok"}});
    let failure = failure(json, Reply::json(200, &json!({"status": "out of credit"}))).await;
    assert_eq!(failure.class, FailureClass::Upstream);
    assert!(failure.message.contains("\"out of credit\""), "{failure}");
}

#[tokio::test]
async fn the_key_never_comes_back_with_an_answer() {
    let echo = |status| Reply::json(status, &json!({"you": "sent sk-secret"}));
    let (end, _) = run(json!({}), move |_| echo(200)).await;
    assert!(matches!(end, RunEnd::Completed { .. }), "{end:?}");
    assert!(!format!("{end:?}").contains("sk-secret"), "{end:?}");
    let failure = failure(json!({}), echo(500)).await;
    assert!(!format!("{failure:?}").contains("sk-secret"), "{failure:?}");
}

#[tokio::test]
async fn a_body_over_the_bound_of_an_error_is_cut() {
    let reply = Reply::page(500, &"x".repeat(limits::ERROR_BODY_BYTES_MAX * 2));
    let body = failure(json!({}), reply).await.body.unwrap();
    assert!(body.len() <= limits::ERROR_BODY_BYTES_MAX && body.ends_with("(cut)"));
}

#[tokio::test]
async fn an_input_that_does_not_fit_its_gap_is_sent_nowhere() {
    let json = json!({"body": "{{input_json}}"});
    let (end, asked) = run(json, |_| panic!("nothing may be sent")).await;
    let RunEnd::Failed { failure, .. } = end else { panic!("{end:?}") };
    assert_eq!(failure.class, FailureClass::BadInput);
    assert!(failure.message.contains("the input is not JSON"), "{failure}");
    assert!(asked.is_empty());
}

#[tokio::test]
async fn the_key_goes_to_no_other_server() {
    let elsewhere = Stub::start(|_| panic!("the key must not go here")).await;
    let further = format!("location: {}/x\r\n", elsewhere.url);
    let reply = Reply::Answer(307, further, String::new(), String::new());
    let failure = failure(json!({}), reply).await;
    assert_eq!(failure.class, FailureClass::BadAnswer);
    assert!(failure.message.contains(&elsewhere.url), "{failure}");
}

#[tokio::test]
async fn cancelling_closes_the_connection() {
    let stub = Stub::start(|_| Reply::Silence).await;
    let (stop, cancel) = watch::channel(false);
    let client = client(&stub.url, KeyHeader::default(), None);
    let request = request(json!({}));
    let run = client.run(&request, &VALUES, cancel);
    let wish = async {
        stub.came().await;
        stop.send_replace(true);
    };
    let (end, ()) = tokio::join!(run, wish);
    assert_eq!(end, RunEnd::Cancelled { remote: RemoteStop::LeftRunning });
    stub.hung_up().await;
}

#[tokio::test]
async fn without_a_health_path_any_answer_counts_as_up() {
    let stub = Stub::start(|_| Reply::json(405, &json!({}))).await;
    let found = client(&stub.url, KeyHeader::Bearer, None).probe().await;
    assert_eq!(found, Ok(Capabilities::least()));
    let failure = client(&stub.url, KeyHeader::Bearer, Some("/up")).probe().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::BadInput);
    let gone = client("http://127.0.0.1:1", KeyHeader::Bearer, None).probe().await.unwrap_err();
    assert_eq!(gone.class, FailureClass::Unreachable);
    assert!(gone.message.contains("is the server running there?"), "{gone}");
}
