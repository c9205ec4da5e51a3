//! The life of a task in its row.

use serde_json::json;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::*;

use super::support::*;
use crate::tasks::TaskFilter;

/// Fails, is taken up again after a crash, fails for good.
fn failing() -> Story {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Occurrence { schedule_id: SCHEDULE, due_at: at(3) });
    story.started(id, 1);
    story.task(
        id,
        TaskEvent::AttemptFailed(TaskAttemptFailed {
            attempt: 1,
            failure: failure("first"),
            duration_ms: 800,
        }),
    );
    story.task(
        id,
        TaskEvent::RetryScheduled(TaskRetryScheduled {
            attempt: 2,
            not_before: at(60),
            delay_ms: 5_000,
        }),
    );
    story.started(id, 2);
    story.task(id, TaskEvent::Submitted(TaskSubmitted { attempt: 2, job_id: "job-2".into() }));
    story.task(id, TaskEvent::Reattached(TaskReattached { attempt: 2, worker_id: WORKER }));
    story.task(
        id,
        TaskEvent::AttemptFailed(TaskAttemptFailed {
            attempt: 2,
            failure: failure("second"),
            duration_ms: 2_100,
        }),
    );
    story.task(
        id,
        TaskEvent::Failed(TaskFailed {
            attempts: 2,
            why: GiveUp::AttemptsExhausted,
            failure: failure("second"),
        }),
    );
    story
}

#[tokio::test]
async fn every_attempt_of_a_failed_task_is_kept() {
    let story = failing();
    let detail = Model::of(&story).reads().task(task_id(1)).await.unwrap().unwrap();
    let task = &detail.task;
    assert_eq!((task.status, task.attempts, task.attempts_max), ("failed", 2, 4));
    assert_eq!(task.error, Some(failure("second")));
    assert_eq!(task.why, Some("attempts_exhausted"));
    assert_eq!(
        (task.trigger, task.schedule_id, task.due_at),
        ("occurrence", Some(SCHEDULE), Some(at(3)))
    );
    assert_eq!((task.started_at, task.finished_at), (Some(at(4)), Some(at(11))));
    assert_eq!(task.duration_ms, Some(7_000));
    assert_eq!((task.flow_name.as_deref(), task.output.clone()), (Some("Daily report"), None));
    assert_eq!((task.revision.0, task.next_attempt_at), (8, None));
    let [first, second] = &detail.attempt_rows[..] else { panic!("{detail:#?}") };
    assert_eq!((first.attempt, first.outcome, first.duration_ms), (1, "failed", Some(800)));
    assert_eq!(
        (&first.failure, &first.job_id, first.reattached),
        (&Some(failure("first")), &None, 0)
    );
    assert_eq!((second.attempt, second.finished_at), (2, Some(at(10))));
    assert_eq!(
        (&second.failure, &second.job_id, second.reattached),
        (&Some(failure("second")), &Some("job-2".into()), 1)
    );
    assert_eq!((second.worker_id, second.mode), (Some(WORKER), Some("background")));
}

#[tokio::test]
async fn a_waiting_task_says_why_and_until_when() {
    let mut model = Model::new();
    model.feed(&failing(), 6);
    let detail = model.reads().task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((detail.task.status, detail.task.next_attempt_at), ("waiting", Some(at(60))));
    assert_eq!(detail.task.error, Some(failure("first")));
    assert_eq!(detail.attempt_rows.len(), 1);
}

#[tokio::test]
async fn a_completed_task_has_its_output_its_attempt_and_its_log() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Manual);
    story.started(id, 1);
    let entry = ComponentLog {
        component: "Chat Input".into(),
        status: "ok".into(),
        started_at: Some(at(4)),
        latency_ms: Some(12),
        error: None,
    };
    story.task(id, TaskEvent::LogRecorded(TaskLogRecorded { attempt: 1, entries: vec![entry] }));
    story.completed(id, 1, "the answer");
    let detail = Model::of(&story).reads().task(id).await.unwrap().unwrap();
    assert_eq!(detail.task.output, Some(text("the answer")));
    let json = serde_json::to_value(&detail).unwrap();
    assert_eq!(json["created_at"], "2026-01-01T00:00:03.000000Z");
    assert_eq!(
        (&json["status"], &json["trigger"], &json["error"]),
        (&json!("completed"), &json!("manual"), &json!(null))
    );
    assert_eq!((&json["attempts"], &json["created_by"]), (&json!(1), &json!("user:ann")));
    assert_eq!(
        json["attempt_rows"],
        json!([{
            "attempt": 1, "worker_id": WORKER, "mode": "background", "job_id": null,
            "definition_hash": null,
            "started_at": "2026-01-01T00:00:04.000000Z", "finished_at": "2026-01-01T00:00:06.000000Z",
            "duration_ms": 900, "outcome": "completed", "failure": null, "reattached": 0,
        }])
    );
    assert_eq!(
        json["log"],
        json!([{
            "attempt": 1, "component": "Chat Input", "status": "ok",
            "started_at": "2026-01-01T00:00:04.000000Z", "latency_ms": 12, "error": null,
        }])
    );
}

#[tokio::test]
async fn a_completed_task_shows_no_error_but_its_failed_attempt() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Manual);
    story.started(id, 1);
    story.task(
        id,
        TaskEvent::AttemptFailed(TaskAttemptFailed {
            attempt: 1,
            failure: failure("once"),
            duration_ms: 1,
        }),
    );
    story.task(
        id,
        TaskEvent::RetryScheduled(TaskRetryScheduled {
            attempt: 2,
            not_before: at(9),
            delay_ms: 1,
        }),
    );
    story.started(id, 2);
    story.completed(id, 2, "at last");
    let detail = Model::of(&story).reads().task(id).await.unwrap().unwrap();
    assert_eq!((detail.task.status, detail.task.error), ("completed", None));
    let outcomes: Vec<_> = detail.attempt_rows.iter().map(|a| (a.attempt, a.outcome)).collect();
    assert_eq!(outcomes, [(1, "failed"), (2, "completed")]);
}

#[tokio::test]
async fn a_cancelled_task_says_who_and_what_became_of_the_run() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::RetryOf { task_id: task_id(9) });
    story.started(id, 1);
    story.task(id, TaskEvent::CancelRequested(TaskCancelRequested { attempt: 1 }));
    let mut model = Model::of(&story);
    let before = model.reads().task(id).await.unwrap().unwrap().task;
    assert_eq!((before.status, before.cancel_requested), ("running", true));
    story
        .task(id, TaskEvent::Cancelled(TaskCancelled { attempts: 1, remote: RemoteStop::Stopped }));
    model.feed(&story, story.events.len());
    let detail = model.reads().task(id).await.unwrap().unwrap();
    assert_eq!((detail.task.status, detail.task.remote_stop), ("cancelled", Some("stopped")));
    assert_eq!(detail.task.cancelled_by.as_deref(), Some("user:ann"));
    assert_eq!(detail.task.cancel_reason.as_deref(), Some("because"));
    assert_eq!(detail.task.retry_of, Some(task_id(9)));
    assert_eq!(detail.attempt_rows[0].outcome, "cancelled");
}

#[tokio::test]
async fn tasks_are_counted_by_status() {
    let mut story = failing();
    for n in 2..=4 {
        story.created(task_id(n), Trigger::Manual);
    }
    story.started(task_id(2), 1);
    let model = Model::of(&story);
    let counts = model.reads().task_counts(TaskFilter::default()).await.unwrap();
    assert_eq!((counts.pending, counts.running, counts.failed, counts.total()), (2, 1, 1, 4));
    let of_schedule = TaskFilter { schedule_id: Some(SCHEDULE), ..TaskFilter::default() };
    let counts = model.reads().task_counts(of_schedule).await.unwrap();
    assert_eq!((counts.failed, counts.total()), (1, 1));
}
