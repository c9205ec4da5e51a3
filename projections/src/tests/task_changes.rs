//! What the row of a task shows of a hold, a deletion, the limits of its time and a backfill.

use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::*;
use spark_events::{Payload, TaskId};

use super::support::*;
use crate::find::Found;
use crate::store::Page;
use crate::tasks::{TaskCounts, TaskDetail, TaskFilter, TaskRow};

/// What the read model shows is what it shows when it is built again from the log.
fn of(story: &Story) -> Model {
    let live = live(story);
    assert_eq!(live.dump(), Model::of(story).dump());
    live
}

/// Fed one event at a time, as it goes while the tasks live.
fn live(story: &Story) -> Model {
    let mut model = Model::new();
    for end in 1..=story.events.len() {
        model.feed(story, end);
    }
    model
}

async fn detail(model: &Model, id: TaskId) -> TaskDetail {
    model.reads().task(id).await.unwrap().unwrap()
}

async fn listed(model: &Model, filter: TaskFilter) -> Vec<TaskRow> {
    let page = model.reads().list_tasks(filter, Page::default()).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items
}

fn held_spec() -> TaskSpec {
    TaskSpec {
        priority: -5,
        queue_timeout_ms: Some(30_000),
        total_timeout_ms: Some(90_000),
        definition: Some("abcd".into()),
        held: true,
        ..task_spec(FLOW, Trigger::Manual)
    }
}

fn expired(attempts: u32, why: GiveUp) -> TaskEvent {
    let failure = Failure::new(FailureClass::Timeout, "too late");
    TaskEvent::Failed(TaskFailed { attempts, why, failure })
}

fn completed(id: TaskId) -> Story {
    let mut story = Story::with_flow();
    story.created(id, Trigger::Manual);
    story.started(id, 1);
    story.completed(id, 1, "the answer");
    story
}

#[tokio::test]
async fn a_held_task_is_pending_and_says_so_until_it_is_released() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.task(id, TaskEvent::Created(Box::new(held_spec())));
    let held = detail(&of(&story), id).await.task;
    assert_eq!((held.status, held.held, held.released_at), ("pending", true, None));
    assert_eq!((held.priority, held.definition.as_deref()), (-5, Some("abcd")));
    assert_eq!((held.queue_timeout_ms, held.total_timeout_ms), (Some(30_000), Some(90_000)));

    story.task(id, TaskEvent::Released(TaskReleased { at: at(50) }));
    let free = detail(&of(&story), id).await.task;
    assert_eq!((free.status, free.held, free.released_at), ("pending", false, Some(at(50))));
    assert_eq!((free.priority, free.revision.0), (-5, 1));
}

#[tokio::test]
async fn a_held_task_that_was_stopped_is_no_more_held() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.task(id, TaskEvent::Created(Box::new(held_spec())));
    let remote = RemoteStop::NotRunning;
    story.task(id, TaskEvent::Cancelled(TaskCancelled { attempts: 0, remote }));
    let task = detail(&of(&story), id).await.task;
    assert_eq!(
        (task.status, task.held, task.remote_stop),
        ("cancelled", false, Some("not_running"))
    );
    assert_eq!((task.why, task.cancel_requested), (None, true));
}

#[tokio::test]
async fn an_ordinary_task_pays_nothing_for_what_few_have() {
    let model = of(&completed(task_id(1)));
    let row = model.dump().into_iter().find(|row| row.starts_with("tasks: ")).unwrap();
    assert!(!row.contains('{'), "{row}");
    let task = detail(&model, task_id(1)).await.task;
    assert_eq!((task.priority, task.held, task.why), (0, false, None));
    assert_eq!((task.definition, task.queue_timeout_ms, task.backfill), (None, None, None));
}

#[tokio::test]
async fn a_deleted_task_is_found_by_its_full_id_and_listed_only_on_request() {
    let id = task_id(1);
    let mut story = completed(id);
    story.created(task_id(2), Trigger::Manual);
    let deleted = story.task(id, TaskEvent::Deleted(TaskDeleted {}));
    let model = of(&story);
    let ids = |rows: Vec<TaskRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(listed(&model, TaskFilter::default()).await), [task_id(2)]);
    let too = TaskFilter { include_deleted: true, ..TaskFilter::default() };
    let rows = listed(&model, too).await;
    assert_eq!((rows[1].status, rows[1].deleted_at), ("completed", Some(at(deleted.0))));
    assert_eq!(ids(rows), [task_id(2), id]);
    let counts = model.reads().task_counts(TaskFilter::default()).await.unwrap();
    assert_eq!(counts, TaskCounts { pending: 1, ..TaskCounts::default() });
    assert_eq!(model.reads().find_task(&id.to_string()).await.unwrap(), Found::One(id));
    let row = detail(&model, id).await;
    assert_eq!(row.task.output, Some(text("the answer")), "its texts stay");
    assert_eq!(row.attempt_rows[0].outcome, "completed");
}

#[tokio::test]
async fn a_task_that_expired_in_the_queue_has_an_error_and_no_attempt() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Manual);
    let ended = story.task(id, expired(0, GiveUp::QueueTimeout));
    let mut model = of(&story);
    let row = detail(&model, id).await;
    assert_eq!((row.task.status, row.task.why), ("failed", Some("queue_timeout")));
    assert_eq!(row.task.error.unwrap().message, "too late");
    assert_eq!((row.task.attempts, row.task.started_at), (0, None));
    assert_eq!((row.task.finished_at, row.attempt_rows), (Some(at(ended.0)), vec![]));
    model.index_texts();
    let class = TaskFilter { class: Some(FailureClass::Timeout), ..TaskFilter::default() };
    let words = TaskFilter { text: Some("late".into()), ..TaskFilter::default() };
    for filter in [class, words] {
        assert_eq!(listed(&model, filter.clone()).await.len(), 1, "{filter:?}");
    }
}

#[tokio::test]
async fn a_task_that_expired_before_a_further_attempt_keeps_those_it_made() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Manual);
    for attempt in [1, 2] {
        story.started(id, attempt);
        let failure = failure(&format!("no {attempt}"));
        let failed = TaskAttemptFailed { attempt, failure, duration_ms: 5 };
        story.task(id, TaskEvent::AttemptFailed(failed));
        let (attempt, not_before) = (attempt + 1, at(90));
        let again = TaskRetryScheduled { attempt, not_before, delay_ms: 5 };
        story.task(id, TaskEvent::RetryScheduled(again));
    }
    story.task(id, expired(2, GiveUp::TotalTimeout));
    let model = of(&story);
    let TaskDetail { task, attempt_rows, .. } = detail(&model, id).await;
    assert_eq!((task.status, task.attempts, task.why), ("failed", 2, Some("total_timeout")));
    assert_eq!((task.error.unwrap().message, task.next_attempt_at), ("too late".into(), None));
    let said: Vec<_> = attempt_rows.iter().map(|row| (row.attempt, row.failure.clone())).collect();
    assert_eq!(said, [(1, Some(failure("no 1"))), (2, Some(failure("no 2")))]);
    for (class, fits) in [(FailureClass::Timeout, 1), (FailureClass::Component, 0)] {
        let filter = TaskFilter { class: Some(class), ..TaskFilter::default() };
        assert_eq!(listed(&model, filter).await.len(), fits, "the last failure counts: {class:?}");
    }
}

#[tokio::test]
async fn a_total_timeout_that_a_failed_attempt_ran_into_is_told_with_that_attempt() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.created(id, Trigger::Manual);
    story.started(id, 1);
    let (failed, why) = (failure("boom"), GiveUp::TotalTimeout);
    let attempt = TaskAttemptFailed { attempt: 1, failure: failed.clone(), duration_ms: 5 };
    story.task(id, TaskEvent::AttemptFailed(attempt));
    story.task(id, TaskEvent::Failed(TaskFailed { attempts: 1, why, failure: failed.clone() }));
    let row = detail(&of(&story), id).await;
    assert_eq!((row.task.why, &row.task.error), (Some("total_timeout"), &Some(failed)));
    assert_eq!(row.attempt_rows.len(), 1);
}

#[tokio::test]
async fn a_task_of_a_backfill_names_it() {
    let (mut story, id) = (Story::with_flow(), task_id(1));
    story.add(SCHEDULE.stream(), schedule("nightly"));
    let (schedule_id, due_at) = (SCHEDULE, at(2));
    let input = Payload::Inline("then".into());
    let spec = task_spec(FLOW, Trigger::Backfill { schedule_id, due_at, number: 2 });
    story.task(id, TaskEvent::Created(Box::new(TaskSpec { input, ..spec })));
    story.created(task_id(2), Trigger::Manual);
    let model = of(&story);
    let filter = TaskFilter { trigger: Some("backfill"), ..TaskFilter::default() };
    let rows = listed(&model, filter).await;
    let [row] = &rows[..] else { panic!("{rows:#?}") };
    assert_eq!((row.id, row.trigger, row.backfill), (id, "backfill", Some(2)));
    assert_eq!((row.schedule_name.as_deref(), row.due_at), (Some("nightly"), Some(due_at)));
}
