//! Background jobs through lost answers, restarts of LangFlow, and crashes of ours. Time is
//! paused: minutes of an outage cost nothing.

use spark_events::limits;
use tokio::time::Instant;

use super::jobs::{JOB, background, failed, is_stop, is_submission, server, status};
use super::*;

fn submissions(stub: &Stub) -> Vec<String> {
    let asked = stub.asked().into_iter().filter(is_submission);
    asked.map(|asked| asked.body["idempotency_key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_submission_whose_answer_was_lost_is_repeated_with_its_key() {
    for lost in [Reply::HangUp, Reply::page(502, "<html>"), Reply::Silence] {
        let mut answers = vec![recorded!("v2_background_submit"), lost.clone(), lost];
        let stub = Stub::start(move |asked| match asked {
            asked if is_submission(asked) => answers.pop().unwrap(),
            _ => recorded!("v2_status_completed"),
        })
        .await;
        output(run(&stub, &capabilities(), &background()).await);
        assert_eq!(submissions(&stub), ["spark:1:1"; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_repeated_a_bounded_number_of_times() {
    let stub = Stub::start(|_| Reply::HangUp).await;
    let failure = failure(run(&stub, &capabilities(), &background()).await);
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert_eq!(submissions(&stub).len(), 1 + limits::JOB_SUBMIT_RETRIES_MAX as usize);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_never_left_fails_at_once() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let client = client(&format!("http://127.0.0.1:{port}"));
    let began = Instant::now();
    let end = client.run(&capabilities(), &background(), never(), async |_| {}).await;
    assert_eq!(failure(end).class, FailureClass::Unreachable);
    assert_eq!(began.elapsed().as_millis(), 0, "no pause was made");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_while_the_job_lives_on() {
    let away = [Reply::HangUp, Reply::page(502, "<html>"), Reply::page(200, "<html>")];
    let busy = Reply::json(503, &json!({"detail": "busy"}));
    let mut looks = vec![status("in_progress")];
    looks.extend(away);
    looks.extend([busy, status("in_progress"), recorded!("v2_status_completed")]);
    let stub = server(looks).await;
    assert_eq!(
        output(run(&stub, &capabilities(), &background()).await),
        json!({"text": "waited 3.0 s: hello"})
    );
    assert_eq!(submissions(&stub).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_an_end_is_given_up() {
    let stub = server(vec![status("in_progress"), Reply::HangUp]).await;
    let began = Instant::now();
    let failure = failure(run(&stub, &capabilities(), &background()).await);
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.message.contains("away for 120 s"), "{failure:?}");
    let waited = began.elapsed().as_millis();
    assert!(waited >= u128::from(limits::JOB_UNREACHABLE_MS_MAX), "{waited}");
}

/// A request for a job that is known from before a crash.
fn attached() -> RunRequest {
    RunRequest { job_id: Some(JOB.into()), ..background() }
}

async fn run_attached(stub: &Stub) -> RunEnd {
    let told = async |_| panic!("the job was known before");
    client(&stub.url).run(&capabilities(), &attached(), never(), told).await
}

#[tokio::test(start_paused = true)]
async fn a_known_job_is_taken_up_again_and_not_submitted() {
    let stub = server(vec![status("in_progress"), recorded!("v2_status_completed")]).await;
    output(run_attached(&stub).await);
    assert!(submissions(&stub).is_empty());
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_known_job_that_is_gone_is_submitted_with_the_same_key() {
    for gone in [recorded!("v2_job_unknown"), status("cancelled")] {
        let stub = server(vec![gone, recorded!("v2_status_completed")]).await;
        output(run_attached(&stub).await);
        assert_eq!(submissions(&stub), ["spark:1:1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_job_that_failed_is_not_submitted_again() {
    let stub = server(vec![failed(&json!({"type": "worker_lost"}))]).await;
    assert_eq!(failure(run_attached(&stub).await).class, FailureClass::Interrupted);
    assert!(submissions(&stub).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_known_job_is_stopped_when_that_was_wished_before_the_crash() {
    let stub = server(vec![status("cancelled")]).await;
    let (_stop, wish) = watch::channel(true);
    let end = client(&stub.url).run(&capabilities(), &attached(), wish, async |_| {}).await;
    assert_eq!(end, RunEnd::Cancelled { remote: RemoteStop::Stopped });
    assert!(is_stop(&stub.asked()[0]));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_langflow_forgot_in_its_queue_is_stopped_and_submitted_again() {
    let mut stopped = false;
    let mut submitted = 0;
    let mut looks = 0;
    let stub = Stub::start(move |asked| match asked {
        asked if is_submission(asked) => {
            submitted += 1;
            recorded!("v2_background_submit")
        }
        asked if is_stop(asked) => {
            stopped = true;
            recorded!("v2_stop")
        }
        _ if submitted == 2 => recorded!("v2_status_completed"),
        _ if stopped => status("cancelled"),
        _ => {
            looks += 1;
            if looks == 3 { Reply::HangUp } else { status("queued") }
        }
    })
    .await;
    let began = Instant::now();
    output(run(&stub, &capabilities(), &background()).await);
    assert_eq!(submissions(&stub), ["spark:1:1"; 2]);
    let waited = began.elapsed().as_millis();
    assert!(waited >= u128::from(limits::JOB_QUEUED_AFTER_OUTAGE_MS_MAX), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_without_an_outage_is_waited_for() {
    let mut looks = vec![status("queued"); 1_000];
    looks.push(recorded!("v2_status_completed"));
    let stub = server(looks).await;
    output(run(&stub, &capabilities(), &background()).await);
    assert_eq!(submissions(&stub).len(), 1);
    assert!(!stub.asked().iter().any(is_stop));
}
