//! The life of a schedule in its row.

use spark_events::TaskId;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::schedule::*;
use spark_events::domain::task::{TaskEvent, TaskFailed, Trigger};

use super::support::*;
use crate::schedules::{OutcomeKind, ScheduleFilter, ScheduleRow};
use crate::store::Page;

fn fired(n: u64, next: Option<u64>) -> ScheduleEvent {
    let task_id = TaskId::of_occurrence(SCHEDULE, at(n));
    ScheduleEvent::Fired(ScheduleFired { due_at: at(n), task_id, next_due_at: next.map(at) })
}

fn scheduled() -> Story {
    let mut story = Story::with_flow();
    story.add(SCHEDULE.stream(), schedule("hourly"));
    story
}

async fn row(story: &Story) -> ScheduleRow {
    Model::of(story).reads().schedule(SCHEDULE).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_new_schedule() {
    let row = row(&scheduled()).await;
    assert_eq!((row.status.as_str(), row.next_due_at), ("active", Some(at(1_000))));
    assert_eq!(
        (row.summary.as_str(), row.flow_name.as_deref()),
        ("every 5s", Some("Daily report"))
    );
    assert_eq!((row.fired, row.outcomes.len(), row.revision.0), (0, 0, 0));
    let json = serde_json::to_value(&row).unwrap();
    assert_eq!(json["recurrence"]["kind"], "interval");
    assert_eq!(json["overlap"], "Skip");
    assert_eq!(json["created_at"], "2026-01-01T00:00:03.000000Z");
}

#[tokio::test]
async fn outcomes_are_counted_and_the_last_ten_kept() {
    let mut story = scheduled();
    for n in 0..12 {
        story.add(SCHEDULE.stream(), fired(100 + n, Some(101 + n)));
    }
    let skipped = |reason, count| {
        ScheduleEvent::Skipped(ScheduleSkipped {
            first_due_at: at(200),
            last_due_at: at(200 + count - 1),
            count,
            reason,
            next_due_at: Some(at(300)),
        })
    };
    story.add(SCHEDULE.stream(), skipped(SkipReason::Overlap { task_id: task_id(7) }, 1));
    story.add(SCHEDULE.stream(), skipped(SkipReason::CatchUpWindow, 5));
    let row = row(&story).await;
    assert_eq!((row.fired, row.skipped, row.missed, row.triggered), (12, 1, 5, 0));
    assert_eq!((row.last_due_at, row.next_due_at), (Some(at(204)), Some(at(300))));
    assert_eq!(row.outcomes.len(), 10);
    assert_eq!((row.outcomes[0].outcome, row.outcomes[0].count), (OutcomeKind::Missed, 5));
    assert_eq!(row.outcomes[1].task_id, Some(task_id(7)));
    assert_eq!((row.outcomes[9].outcome, row.outcomes[9].due_at), (OutcomeKind::Fired, at(104)));
}

#[tokio::test]
async fn the_last_task_and_its_failures_are_shown() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), fired(5, Some(6)));
    let id = TaskId::of_occurrence(SCHEDULE, at(5));
    story.created(id, Trigger::Occurrence { schedule_id: SCHEDULE, due_at: at(5) });
    story.started(id, 1);
    let failed = TaskFailed { attempts: 1, why: GiveUp::NotRetryable, failure: failure("no") };
    story.task(id, TaskEvent::Failed(failed));
    let row = row(&story).await;
    assert_eq!((row.last_task_id, row.last_task_status, row.failed), (Some(id), Some("failed"), 1));
}

#[tokio::test]
async fn paused_says_who_and_why_until_resumed() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), ScheduleEvent::Paused(SchedulePaused { at: at(4) }));
    let paused = row(&story).await;
    assert_eq!((paused.status.as_str(), paused.next_due_at), ("paused", None));
    assert_eq!(
        (paused.paused_by.as_deref(), paused.paused_reason.as_deref()),
        (Some("user:ann"), Some("because"))
    );
    let resumed = ScheduleResumed { paused_at: at(4), at: at(5), next_due_at: Some(at(10)) };
    story.add(SCHEDULE.stream(), ScheduleEvent::Resumed(resumed));
    let resumed = row(&story).await;
    assert_eq!((resumed.status.as_str(), resumed.next_due_at), ("active", Some(at(10))));
    assert_eq!((resumed.paused_reason, resumed.paused_at), (None, None));
    story.add(SCHEDULE.stream(), fired(10, None));
    story.add(SCHEDULE.stream(), ScheduleEvent::Completed(ScheduleCompleted {}));
    assert_eq!(row(&story).await.status, "completed");
}

#[tokio::test]
async fn a_deleted_schedule_is_listed_only_on_request() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), ScheduleEvent::Deleted(ScheduleDeleted {}));
    let model = Model::of(&story);
    let reads = model.reads();
    let list = async |filter| reads.list_schedules(filter, Page::default()).await.unwrap().total;
    assert_eq!(list(ScheduleFilter::default()).await, 0);
    let deleted =
        ScheduleFilter { statuses: vec![ScheduleStatus::Deleted], ..ScheduleFilter::default() };
    assert_eq!(list(deleted).await, 1);
    let all =
        ScheduleFilter { include_deleted: true, flow_id: Some(FLOW), ..ScheduleFilter::default() };
    assert_eq!(list(all).await, 1);
}
