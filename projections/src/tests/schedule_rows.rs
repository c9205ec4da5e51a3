//! The life of a schedule in its row.

use spark_events::domain::overlap::Overlap;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::schedule::*;
use spark_events::domain::task::{TaskDeleted, TaskEvent, TaskFailed, TaskStatus, Trigger};
use spark_events::{TaskId, Timestamp};

use super::support::*;
use crate::schedules::{OutcomeKind, OutcomeReason, ScheduleFilter, ScheduleRow};
use crate::store::Page;

fn fired(n: u64, next: Option<u64>) -> ScheduleEvent {
    let task_id = TaskId::of_occurrence(SCHEDULE, at(n));
    let (due_at, dst, next_due_at, next_starts_at) = (at(n), None, next.map(at), None);
    ScheduleEvent::Fired(ScheduleFired { due_at, task_id, dst, next_due_at, next_starts_at })
}

fn paused(note: Option<&str>, dropped: Vec<Timestamp>) -> ScheduleEvent {
    let note = note.map(Into::into);
    ScheduleEvent::Paused(SchedulePaused { at: at(4), note, dropped })
}

fn resumed(next: u64) -> ScheduleEvent {
    let (paused_at, next_due_at) = (at(4), Some(at(next)));
    ScheduleEvent::Resumed(ScheduleResumed {
        paused_at,
        at: at(5),
        next_due_at,
        next_starts_at: None,
    })
}

fn buffered(origin: Origin, next: u64) -> ScheduleEvent {
    let (next_due_at, next_starts_at) = (Some(at(next)), Some(at(next + 1)));
    ScheduleEvent::Buffered(ScheduleBuffered { origin, overlap: None, next_due_at, next_starts_at })
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
    assert_eq!((row.counts.fired, row.outcomes.len(), row.revision.0), (0, 0, 0));
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
            next_starts_at: None,
        })
    };
    story.add(SCHEDULE.stream(), skipped(SkipReason::Overlap { task_id: task_id(7) }, 1));
    story.add(SCHEDULE.stream(), skipped(SkipReason::CatchUpWindow, 5));
    let row = row(&story).await;
    assert_eq!(
        (row.counts.fired, row.counts.skipped, row.counts.missed, row.counts.triggered),
        (12, 1, 5, 0)
    );
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
    let told = |row: ScheduleRow| (row.last_task_id, row.last_task_status, row.failed);
    assert_eq!(told(row(&story).await), (Some(id), Some("failed"), 1));
    story.task(id, TaskEvent::Deleted(TaskDeleted {}));
    let after = told(row(&story).await);
    assert_eq!(
        after,
        (Some(id), Some("failed"), 1),
        "what is out of sight has happened all the same"
    );
}

#[tokio::test]
async fn paused_says_who_and_why_until_resumed() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), paused(None, vec![]));
    let paused = row(&story).await;
    assert_eq!((paused.status.as_str(), paused.next_due_at), ("paused", None));
    assert_eq!(
        (paused.paused_by.as_deref(), paused.paused_reason.as_deref()),
        (Some("user:ann"), Some("because"))
    );
    story.add(SCHEDULE.stream(), resumed(10));
    let resumed = row(&story).await;
    assert_eq!((resumed.status.as_str(), resumed.next_due_at), ("active", Some(at(10))));
    assert_eq!((resumed.paused_reason, resumed.paused_at), (None, None));
    story.add(SCHEDULE.stream(), fired(10, None));
    story.add(SCHEDULE.stream(), ScheduleEvent::Completed(ScheduleCompleted::default()));
    assert_eq!(row(&story).await.status, "completed");
}

#[tokio::test]
async fn a_deleted_schedule_is_listed_only_on_request() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), ScheduleEvent::Deleted(ScheduleDeleted::default()));
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

#[tokio::test]
async fn a_start_that_waits_is_shown_until_it_ends() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), buffered(Origin::Occurrence { due_at: at(10) }, 20));
    story.add(SCHEDULE.stream(), buffered(Origin::Occurrence { due_at: at(20) }, 30));
    story.add(SCHEDULE.stream(), buffered(Origin::Trigger { task_id: task_id(9) }, 30));
    let waits = row(&story).await;
    assert_eq!((waits.waiting, waits.counts.buffered, waits.last_due_at), (3, 2, None));
    assert_eq!((waits.next_due_at, waits.next_starts_at), (Some(at(30)), Some(at(31))));
    assert_eq!(waits.outcomes[0].outcome, OutcomeKind::Buffered);
    story.add(SCHEDULE.stream(), fired(10, Some(30)));
    let reason = SkipReason::WaitingAlready;
    let dropped = ScheduleTriggerDropped { task_id: task_id(9), reason };
    story.add(SCHEDULE.stream(), ScheduleEvent::TriggerDropped(dropped));
    story.add(SCHEDULE.stream(), paused(None, vec![at(20)]));
    let ended = row(&story).await;
    assert_eq!((ended.waiting, ended.counts.fired, ended.counts.given_up), (0, 1, 1));
    let shown: Vec<_> =
        ended.outcomes.iter().map(|each| (each.outcome, each.due_at, each.reason)).collect();
    assert_eq!(
        shown,
        [
            (OutcomeKind::GivenUp, at(20), OutcomeReason::Paused),
            (OutcomeKind::Fired, at(10), OutcomeReason::Due),
        ]
    );
    assert_eq!(ended.outcomes[0].note.as_deref(), Some("because"));
    assert_eq!(ended.last_due_at, Some(at(20)));
}

#[tokio::test]
async fn every_reason_to_start_nothing_is_told_apart() {
    let mut story = scheduled();
    let reasons = [
        (SkipReason::WaitingAlready, OutcomeKind::Skipped, OutcomeReason::WaitingAlready),
        (SkipReason::Replaced { by: Some(at(99)) }, OutcomeKind::Skipped, OutcomeReason::Replaced),
        (SkipReason::BufferFull, OutcomeKind::Skipped, OutcomeReason::BufferFull),
        (SkipReason::CatchUpWindow, OutcomeKind::Missed, OutcomeReason::CatchUpWindow),
        (SkipReason::Drift { remote_hash: None }, OutcomeKind::Drift, OutcomeReason::Drift),
    ];
    for (n, (reason, ..)) in (10..).zip(&reasons) {
        let (first_due_at, last_due_at, reason) = (at(n), at(n), reason.clone());
        let (count, next_due_at, next_starts_at) = (1, Some(at(n + 1)), None);
        story.add(
            SCHEDULE.stream(),
            ScheduleEvent::Skipped(ScheduleSkipped {
                first_due_at,
                last_due_at,
                count,
                reason,
                next_due_at,
                next_starts_at,
            }),
        );
    }
    let row = row(&story).await;
    let shown = row.outcomes.iter().rev().map(|each| (each.outcome, each.reason));
    let expected = reasons.iter().map(|(_, kind, reason)| (*kind, *reason));
    assert_eq!(shown.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(row.outcomes[3].replaced_by, Some(at(99)));
    assert_eq!((row.counts.skipped, row.counts.missed, row.counts.drift), (3, 1, 1));
}

#[tokio::test]
async fn an_edit_changes_the_row_and_can_wake_a_completed_schedule() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), fired(10, None));
    story.add(SCHEDULE.stream(), ScheduleEvent::Completed(ScheduleCompleted::default()));
    assert_eq!(row(&story).await.status, "completed");
    let mut spec = schedule_spec("renamed");
    spec.note = Some("asked for by sales".into());
    spec.runs_max = Some(3);
    let zone_data = "2026a".into();
    let edited = ScheduleEdited {
        spec,
        changed: vec!["name".into(), "note".into(), "runs_max".into()],
        at: at(11),
        dropped: vec![at(10)],
        next_due_at: Some(at(60)),
        next_starts_at: Some(at(61)),
        zone_data,
    };
    story.add(SCHEDULE.stream(), ScheduleEvent::Edited(Box::new(edited)));
    let row = row(&story).await;
    assert_eq!((row.status.as_str(), row.next_due_at), ("active", Some(at(60))));
    assert_eq!((row.next_starts_at, row.name.as_deref()), (Some(at(61)), Some("renamed")));
    assert_eq!(row.note.as_deref(), Some("asked for by sales"));
    assert_eq!((row.runs_max, row.runs_left), (Some(3), Some(2)));
    assert_eq!(row.outcomes[0].reason, OutcomeReason::Edited);
    let model = Model::of(&story);
    let reads = model.reads();
    assert_eq!(reads.schedule_named("renamed").await.unwrap(), Some(SCHEDULE));
    assert_eq!(reads.schedule_named("hourly").await.unwrap(), None);
}

#[tokio::test]
async fn a_schedule_that_paused_itself_says_why() {
    let mut story = scheduled();
    let ended = ScheduleTaskEnded { task_id: task_id(1), status: TaskStatus::Failed, failures: 2 };
    story.add(SCHEDULE.stream(), ScheduleEvent::TaskEnded(ended));
    assert_eq!(row(&story).await.failures, 2);
    story.add(SCHEDULE.stream(), paused(Some("paused itself"), vec![]));
    let itself = row(&story).await;
    assert_eq!((itself.pause_note.as_deref(), itself.failures), (Some("paused itself"), 0));
    story.add(SCHEDULE.stream(), resumed(10));
    assert_eq!(row(&story).await.pause_note, None);
}

#[tokio::test]
async fn a_backfill_is_shown_and_its_tasks_are_found_by_their_instants() {
    let mut story = scheduled();
    story.add(SCHEDULE.stream(), fired(10, Some(20)));
    let first = TaskId::of_occurrence(SCHEDULE, at(10));
    story.created(first, Trigger::Occurrence { schedule_id: SCHEDULE, due_at: at(10) });
    let (number, overlap) = (1, Overlap::BufferAll);
    let started = ScheduleBackfillStarted {
        number,
        from: at(10),
        to: at(15),
        only: BackfillOnly::All,
        overlap,
        active_max: 1,
        due: vec![at(10), at(15)],
    };
    story.add(SCHEDULE.stream(), ScheduleEvent::BackfillStarted(Box::new(started)));
    let task_id = TaskId::of_backfill(SCHEDULE, at(10), number);
    let made = ScheduleBackfilled { number, due_at: at(10), task_id };
    story.add(SCHEDULE.stream(), ScheduleEvent::Backfilled(made));
    let trigger = Trigger::Backfill { schedule_id: SCHEDULE, due_at: at(10), number };
    story.created(task_id, trigger);
    story.started(task_id, 1);
    let under_way = row(&story).await;
    assert_eq!((under_way.backfills[0].left, under_way.backfills[0].count), (1, 2));
    assert_eq!((under_way.counts.backfilled, under_way.counts.fired), (1, 1));
    assert_eq!(under_way.last_task_id, Some(task_id));
    assert_eq!(under_way.last_due_at, Some(at(10)), "a backfill takes no occurrence");
    let model = Model::of(&story);
    let found = model.reads().tasks_of_instants(SCHEDULE, vec![at(15), at(10)]).await.unwrap();
    assert_eq!(found, [(at(10), TaskStatus::Running, task_id)]);
    let waiting = model.reads().waiting_instants(SCHEDULE).await.unwrap();
    assert_eq!(waiting, [at(15)]);
    let ended = ScheduleBackfillEnded { number, left: 1 };
    story.add(SCHEDULE.stream(), ScheduleEvent::BackfillEnded(ended));
    assert_eq!(row(&story).await.backfills, []);
    let over = Model::of(&story);
    assert!(over.reads().waiting_instants(SCHEDULE).await.unwrap().is_empty());
}
