//! Runs through v1.

use super::*;

async fn answered(reply: Reply) -> (RunEnd, Vec<Asked>) {
    let stub = Stub::start(move |_| reply.clone()).await;
    let end = run(&stub, &capabilities(), &request(CallMode::Direct)).await;
    (end, stub.asked())
}

#[tokio::test]
async fn a_plain_run_is_one_request() {
    let (end, asked) = answered(recorded!("run_success")).await;
    assert_eq!(end, RunEnd::Completed { output: json!({"text": "hello"}), log: vec![] });
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(asked.line, format!("POST /api/v1/run/{FLOW}"));
    assert_eq!(asked.key.as_deref(), Some(KEY));
    let body = json!({
        "input_value": "hello",
        "input_type": "chat",
        "output_type": "any",
        "session_id": "spark-1-1",
    });
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn several_outputs_are_kept_and_a_wanted_one_is_picked() {
    let stub = Stub::start(|_| recorded!("run_success_two_outputs")).await;
    let mut request = request(CallMode::Direct);
    let both = output(run(&stub, &capabilities(), &request).await);
    let expected = json!({
        "text": "hello",
        "outputs": [
            {"component_id": "ChatOutput-00001", "component": "Chat Output", "type": "text", "text": "hello"},
            {"component_id": "TextOutput-00001", "component": "Text Output", "type": "text", "text": "hello"},
        ],
    });
    assert_eq!(both, expected);
    request.output_component = Some("TextOutput-00001".into());
    let one = output(run(&stub, &capabilities(), &request).await);
    assert_eq!(one, json!({"text": "hello"}));
    assert_eq!(stub.asked()[1].body["output_component"], "TextOutput-00001");
}

#[tokio::test]
async fn an_output_that_the_flow_has_lost_is_named() {
    let stub = Stub::start(|_| recorded!("run_success_no_outputs")).await;
    let mut request = request(CallMode::Direct);
    request.output_component = Some("NoSuch-1".into());
    let output = output(run(&stub, &capabilities(), &request).await);
    assert_eq!(output, json!({"text": null, "missing_output": "NoSuch-1"}));
}

#[tokio::test]
async fn an_output_that_is_no_text_is_kept_as_a_value() {
    let inner = json!({
        "component_id": "Save-1",
        "component_display_name": "Save",
        "outputs": {"data": {"message": {"rows": 3}, "type": "object"}},
    });
    let answer = json!({"outputs": [null, {"outputs": [null, inner]}]});
    let (end, _) = answered(Reply::json(200, &answer)).await;
    let one = json!({"component_id": "Save-1", "component": "Save", "type": "object", "value": {"rows": 3}});
    assert_eq!(output(end), json!({"text": null, "outputs": [one]}));
}

async fn check_refusal(reply: Reply, class: FailureClass, status: u16, said: &str) {
    let failure = failure(answered(reply).await.0);
    assert_eq!((failure.class, failure.status), (class, Some(status)), "{failure:?}");
    assert!(failure.message.contains(said), "{failure:?}");
}

#[tokio::test]
async fn refusals_are_classified_in_langflows_words() {
    use FailureClass::{Auth, BadInput, NeedsPerson, NotFound};
    check_refusal(recorded!("run_unknown_flow"), NotFound, 404, "Flow identifier").await;
    check_refusal(recorded!("run_auth_missing"), Auth, 403, "must be passed").await;
    check_refusal(recorded!("run_auth_wrong_key"), Auth, 403, "Invalid or missing").await;
    check_refusal(recorded!("run_bad_json"), BadInput, 422, "body.16: JSON decode error").await;
    check_refusal(recorded!("run_tweak_conflict"), BadInput, 400, "with the same name").await;
    check_refusal(recorded!("run_tweak_refused"), BadInput, 422, "field is protected").await;
    let asks = json!({"detail": "This flow uses Human-in-the-Loop (..)"});
    check_refusal(Reply::json(400, &asks), NeedsPerson, 400, "Human-in-the-Loop").await;
}

#[tokio::test]
async fn trouble_of_the_server_and_answers_of_others_are_told_apart() {
    use FailureClass::{BadAnswer, RateLimit, Upstream};
    check_refusal(recorded!("frontend_unknown_page"), BadAnswer, 200, "web page").await;
    check_refusal(Reply::json(200, &json!([1])), BadAnswer, 200, "another shape").await;
    let gateway = Reply::page(502, "<title>Bad Gateway</title>");
    check_refusal(gateway, Upstream, 502, "Bad Gateway").await;
    check_refusal(Reply::json(500, &json!({"detail": "no"})), Upstream, 500, "no").await;
    check_refusal(Reply::json(503, &json!({"detail": "busy"})), RateLimit, 503, "busy").await;
}

#[tokio::test]
async fn a_failing_component_is_named_and_speaks_for_itself() {
    for (reply, component, message) in [
        (recorded!("run_component_failure"), "Always Fails", "deliberate failure on input 'hello'"),
        (
            recorded!("run_llm_no_key"),
            "Language Model",
            "OpenAI API key is required when using OpenAI provider. Please provide it in the \
             component or configure it globally as OPENAI_API_KEY.",
        ),
    ] {
        let failure = failure(answered(reply).await.0);
        assert_eq!(failure.class, FailureClass::Component);
        assert_eq!(failure.component.as_deref(), Some(component));
        assert_eq!(failure.message, message);
        assert_eq!(failure.status, Some(500));
    }
}

#[tokio::test]
async fn a_wish_to_wait_is_passed_on() {
    let failure = failure(answered(recorded!("login_rate_limited")).await.0);
    assert_eq!(failure.class, FailureClass::RateLimit);
    assert_eq!(failure.retry_after_ms, Some(60_000));
}

#[tokio::test]
async fn a_broken_connection_is_unreachable() {
    let failure = failure(answered(Reply::HangUp).await.0);
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.message.contains("broke off"), "{failure:?}");
}

#[tokio::test]
async fn an_answer_over_the_bound_is_refused_unread() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let huge = Reply::Raw(format!("{head}content-length: 99999999999\r\n\r\n"));
    let failure = failure(answered(huge).await.0);
    assert_eq!(failure.class, FailureClass::TooLarge);
}

#[tokio::test]
async fn a_key_that_the_server_repeats_is_masked() {
    let answer = Reply::json(400, &json!({"detail": format!("who is {KEY} and {KEY}?")}));
    let failure = failure(answered(answer).await.0);
    assert!(!format!("{failure:?}").contains(KEY), "{failure:?}");
    assert!(failure.message.contains("who is ******** and ********?"), "{failure:?}");
}

#[tokio::test]
async fn a_cancelled_plain_run_is_left_running() {
    let stub = Stub::start(|_| Reply::Silence).await;
    let (stop, wish) = watch::channel(false);
    let client = client(&stub.url);
    let request = request(CallMode::Direct);
    let capabilities = capabilities();
    let run = client.run(&capabilities, &request, wish, async |_| {});
    let wished = async {
        while stub.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
    };
    let (end, ()) = tokio::join!(run, wished);
    assert_eq!(end, RunEnd::Cancelled { remote: RemoteStop::LeftRunning });
}

#[tokio::test]
async fn a_run_cancelled_before_its_start_sends_nothing() {
    let stub = Stub::start(|_| Reply::HangUp).await;
    for (mode, stream) in
        [(CallMode::Direct, false), (CallMode::Direct, true), (CallMode::Background, true)]
    {
        let (_stop, wish) = watch::channel(true);
        let capabilities = Capabilities { stream, ..capabilities() };
        let client = client(&stub.url);
        let end = client.run(&capabilities, &request(mode), wish, async |_| {}).await;
        assert_eq!(end, RunEnd::Cancelled { remote: RemoteStop::NotRunning });
    }
    assert!(stub.asked().is_empty());
}

fn streaming() -> Capabilities {
    Capabilities { stream: true, ..capabilities() }
}

#[tokio::test]
async fn a_streamed_run_ends_with_its_result_and_its_log() {
    let stub = Stub::start(|asked| match asked.line.as_str() {
        line if line.contains("/run/") => recorded!("run_stream_success"),
        line if line.contains("/traces/016b1618-263e-463c-b57a-4867c9ef51b2") => {
            recorded!("trace_of_failure")
        }
        line => panic!("{line}"),
    })
    .await;
    let capabilities = Capabilities { traces: true, ..streaming() };
    let end = run(&stub, &capabilities, &request(CallMode::Direct)).await;
    let RunEnd::Completed { output, log } = end else { panic!("{end:?}") };
    assert_eq!(output, json!({"text": "one two three "}));
    let log: Vec<_> = log.into_iter().map(|ComponentLog { component, .. }| component).collect();
    assert_eq!(log, ["Chat Input", "Always Fails"]);
    assert!(stub.lines()[0].ends_with("?stream=true"));
}

#[tokio::test]
async fn a_streamed_failure_names_the_component() {
    let stub = Stub::start(|_| recorded!("run_stream_failure")).await;
    let failure = failure(run(&stub, &streaming(), &request(CallMode::Direct)).await);
    assert_eq!(failure.class, FailureClass::Component);
    assert_eq!(failure.component.as_deref(), Some("Always Fails"));
    assert_eq!(failure.message, "deliberate failure on input 'hello'");
    assert!(failure.body.unwrap().starts_with("Traceback"));
}

#[tokio::test]
async fn a_streamed_error_without_a_message_before_it_is_read_too() {
    let error = r#"{"event": "error", "data": {"error": "500: {\"message\":\"Error running graph: Error building Component X: \\n\\nboom\"}"}}"#;
    let body = format!("data: {error}\n\n");
    let stream = Reply::Answer(200, String::new(), "text/event-stream".into(), body);
    let stub = Stub::start(move |_| stream.clone()).await;
    let failure = failure(run(&stub, &streaming(), &request(CallMode::Direct)).await);
    assert_eq!((failure.component.as_deref(), failure.message.as_str()), (Some("X"), "boom"));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_no_result() {
    let stub = Stub::start(|_| {
        let start = "{\"event\": \"token\", \"data\": {\"chunk\": \"one\"}}\n\n".to_owned();
        Reply::Answer(200, String::new(), "text/event-stream".into(), start)
    })
    .await;
    let failure = failure(run(&stub, &streaming(), &request(CallMode::Direct)).await);
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.message.contains("before its end"), "{failure:?}");
}

#[tokio::test]
async fn a_refused_stream_is_read_as_any_refusal() {
    for (reply, class) in [
        (recorded!("run_unknown_flow"), FailureClass::NotFound),
        (recorded!("frontend_unknown_page"), FailureClass::BadAnswer),
    ] {
        let stub = Stub::start(move |_| reply.clone()).await;
        let failure = failure(run(&stub, &streaming(), &request(CallMode::Direct)).await);
        assert_eq!(failure.class, class);
    }
}

#[tokio::test]
async fn cancelling_a_streamed_run_hangs_up() {
    let first = "{\"event\": \"token\", \"data\": {}}\n\n";
    let stub = Stub::start(move |_| Reply::OpenStream(first.into())).await;
    let (stop, wish) = watch::channel(false);
    let client = client(&stub.url);
    let (request, capabilities) = (request(CallMode::Direct), streaming());
    let run = client.run(&capabilities, &request, wish, async |_| {});
    let wished = async {
        while stub.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
    };
    let (end, ()) = tokio::join!(run, wished);
    assert_eq!(end, RunEnd::Cancelled { remote: RemoteStop::Stopped });
    stub.hung_up().await;
}
