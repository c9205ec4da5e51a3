//! Runs as background jobs that LangFlow answers about. Time is paused: pauses cost nothing.

use std::sync::{Arc, Mutex};

use super::*;

pub(super) const JOB: &str = "52a4e278-247a-4ea2-a517-f0701ea64870";

pub(super) fn status(status: &str) -> Reply {
    Reply::json(200, &json!({"job_id": JOB, "object": "job", "status": status}))
}

pub(super) fn failed(detail: &Value) -> Reply {
    let detail = json!({"code": "JOB_FAILED", "error": "Job failed", "error_detail": detail});
    Reply::json(500, &json!({ "detail": detail }))
}

pub(super) fn is_submission(asked: &Asked) -> bool {
    asked.line == "POST /api/v2/workflows"
}

pub(super) fn is_stop(asked: &Asked) -> bool {
    asked.line == "POST /api/v2/workflows/stop"
}

pub(super) fn background() -> RunRequest {
    request(CallMode::Background)
}

/// A server that takes any job and then answers looks at it one by one; the last one again and
/// again. A stop is accepted.
pub(super) async fn server(looks: Vec<Reply>) -> Stub {
    let mut looks = looks.into_iter().peekable();
    Stub::start(move |asked| match asked {
        asked if is_submission(asked) => recorded!("v2_background_submit"),
        asked if is_stop(asked) => recorded!("v2_stop"),
        _ => {
            let look = looks.peek().unwrap().clone();
            if looks.len() > 1 {
                looks.next();
            }
            look
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_job_is_submitted_remembered_and_followed() {
    let looks = vec![
        status("queued"),
        recorded!("v2_status_in_progress"),
        recorded!("v2_status_completed"),
    ];
    let stub = server(looks).await;
    let told = Arc::new(Mutex::new(vec![]));
    let mut request = background();
    request.tweaks = Some(json!({"SlowEcho-00001": {"seconds": 3}}));
    let client = client(&stub.url);
    let end = client
        .run(&capabilities(), &request, never(), async |job| {
            told.lock().unwrap().push((job, stub.asked().len()));
        })
        .await;
    assert_eq!(output(end), json!({"text": "waited 3.0 s: hello"}));
    assert_eq!(*told.lock().unwrap(), [(JOB.to_owned(), 1)], "before the first look");
    let asked = stub.asked();
    let body = json!({
        "flow_id": FLOW,
        "input_value": "hello",
        "tweaks": {"SlowEcho-00001": {"seconds": 3}},
        "session_id": "spark-1-1",
        "mode": "background",
        "idempotency_key": "spark:1:1",
    });
    assert_eq!(asked[0].body, body);
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[1].line, format!("GET /api/v2/workflows?job_id={JOB}"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_speaks_in_its_components_words() {
    let stub = server(vec![recorded!("v2_status_failed")]).await;
    let failure = failure(run(&stub, &capabilities(), &background()).await);
    assert_eq!(failure.class, FailureClass::Component);
    assert_eq!(failure.component.as_deref(), Some("Always Fails"));
    assert_eq!(failure.message, "deliberate failure on input 'hello'");
    assert_eq!(failure.status, Some(500));
}

#[tokio::test(start_paused = true)]
async fn ends_without_a_component_are_classified() {
    for (reply, class, said) in [
        (failed(&json!({"type": "worker_lost"})), FailureClass::Interrupted, "restarted"),
        (failed(&json!({"message": "no graph"})), FailureClass::Component, "no graph"),
        (failed(&json!("plain")), FailureClass::Component, "plain"),
        (failed(&Value::Null), FailureClass::Upstream, "gives no reason"),
        (status("cancelled"), FailureClass::Interrupted, "not from here"),
        (recorded!("v2_job_unknown"), FailureClass::Interrupted, "does not know the job"),
        (recorded!("frontend_v2_job_unknown"), FailureClass::Interrupted, "does not know the job"),
        (recorded!("list_auth_wrong_key"), FailureClass::Auth, "Invalid API key"),
        (
            Reply::json(408, &json!({"detail": {"code": "EXECUTION_TIMEOUT", "message": "slow"}})),
            FailureClass::Timeout,
            "slow",
        ),
    ] {
        let stub = server(vec![status("in_progress"), reply]).await;
        let failure = failure(run(&stub, &capabilities(), &background()).await);
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(said), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_submissions_are_classified_and_not_repeated() {
    for (reply, class) in [
        (recorded!("v2_unknown_flow"), FailureClass::NotFound),
        (recorded!("frontend_v2_unknown_flow"), FailureClass::NotFound),
        (recorded!("v2_bad_field"), FailureClass::BadInput),
        (recorded!("list_auth_missing"), FailureClass::Auth),
    ] {
        let stub = Stub::start(move |_| reply.clone()).await;
        let failure = failure(run(&stub, &capabilities(), &background()).await);
        assert_eq!(failure.class, class, "{failure:?}");
        assert_eq!(stub.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_a_person_is_stopped() {
    let stub = server(vec![status("suspended"), status("cancelled")]).await;
    let failure = failure(run(&stub, &capabilities(), &background()).await);
    assert_eq!(failure.class, FailureClass::NeedsPerson);
    let stops: Vec<_> = stub.asked().into_iter().filter(is_stop).map(|a| a.body).collect();
    assert_eq!(stops, [json!({ "job_id": JOB })]);
}

#[tokio::test(start_paused = true)]
async fn several_outputs_of_a_job_are_kept() {
    let stub = server(vec![recorded!("v2_sync_two_outputs")]).await;
    let output = output(run(&stub, &capabilities(), &background()).await);
    let one = |id: &str, name: &str| json!({"component_id": id, "component": name, "type": "message", "text": "hello"});
    let outputs = [one("ChatOutput-00001", "Chat Output"), one("TextOutput-00001", "Text Output")];
    assert_eq!(output, json!({"text": "hello", "outputs": outputs}));
}

/// A finished job with one text, and the run's messages.
async fn cut_server(text: String, messages: Value) -> Stub {
    let one = json!({"type": "message", "display_name": "Chat Output", "content": text});
    let done = json!({"status": "completed", "outputs": {"ChatOutput-1": one}});
    Stub::start(move |asked| match asked.line.as_str() {
        _ if is_submission(asked) => recorded!("v2_background_submit"),
        line if line.starts_with("GET /api/v1/monitor/messages?session_id=spark-1-1") => {
            Reply::json(200, &messages)
        }
        _ => Reply::json(200, &done),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_cut_text_is_fetched_whole_or_said_to_be_cut() {
    let whole = "é word".repeat(2_000);
    let cut: String = whole.chars().take(6_000).chain("...".chars()).collect();
    let ours = json!({"text": whole, "session_metadata": {"graph_run_id": JOB}});
    let other = json!({"text": format!("{whole}!"), "session_metadata": {"graph_run_id": "other"}});
    let stub = cut_server(cut.clone(), json!([ours, other])).await;
    let found = output(run(&stub, &capabilities(), &background()).await);
    assert_eq!(found, json!({ "text": whole }));

    let stub = cut_server(cut.clone(), json!([other])).await;
    let lost = output(run(&stub, &capabilities(), &background()).await);
    assert_eq!(lost["text"], cut.as_str());
    assert_eq!(lost["outputs"][0]["cut"], true);

    let stub = cut_server("to be continued...".into(), json!([])).await;
    let short = output(run(&stub, &capabilities(), &background()).await);
    assert_eq!(short, json!({"text": "to be continued..."}));
    assert_eq!(stub.asked().len(), 2, "no look at the messages");
}

/// Cancels once the job was looked at, and gives the end.
pub(super) async fn cancel(stub: &Stub) -> RunEnd {
    let (stop, wish) = watch::channel(false);
    let (client, request, capabilities) = (client(&stub.url), background(), capabilities());
    let run = client.run(&capabilities, &request, wish, async |_| {});
    let wished = async {
        while stub.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
    };
    tokio::join!(run, wished).0
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_is_stopped_and_that_is_confirmed() {
    // For a moment after a stop, LangFlow calls the job failed without a reason.
    let looks = vec![status("in_progress"), failed(&Value::Null), status("cancelled")];
    let stub = server(looks).await;
    assert_eq!(cancel(&stub).await, RunEnd::Cancelled { remote: RemoteStop::Stopped });
    let stops: Vec<_> = stub.asked().into_iter().filter(is_stop).map(|a| a.body).collect();
    assert_eq!(stops, [json!({ "job_id": JOB })]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_finished_before_its_stop_gives_its_result() {
    let stub = server(vec![status("in_progress"), recorded!("v2_status_completed")]).await;
    assert_eq!(output(cancel(&stub).await), json!({"text": "waited 3.0 s: hello"}));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_refused_or_not_confirmed_is_told() {
    for (reply, remote) in [
        (recorded!("v2_stop_not_cancellable"), RemoteStop::LeftRunning),
        (recorded!("v2_job_unknown"), RemoteStop::NotRunning),
        (Reply::HangUp, RemoteStop::LeftRunning),
        (Reply::Silence, RemoteStop::LeftRunning),
        // Accepted, but the job goes on and on.
        (recorded!("v2_stop"), RemoteStop::LeftRunning),
    ] {
        let stub = Stub::start(move |asked| match asked {
            asked if is_submission(asked) => recorded!("v2_background_submit"),
            asked if is_stop(asked) => reply.clone(),
            _ => status("in_progress"),
        })
        .await;
        assert_eq!(cancel(&stub).await, RunEnd::Cancelled { remote });
    }
}
