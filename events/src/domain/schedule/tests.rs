//! Given / when / then, and the property that every due instant has exactly one outcome.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the events it is about")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::codec::DomainEvent;
use crate::domain::fold;
use crate::domain::recurrence::{DstRule, Exclusion, Recurrence, Timetable};
use crate::domain::retry::RetryPolicy;
use crate::ids::{FlowId, SourceId};
use crate::payload::Payload;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn id() -> ScheduleId {
    ScheduleId(Uuid::from_u128(9))
}

fn spec(recurrence: Recurrence) -> ScheduleSpec {
    let timetable = Timetable::from(recurrence);
    ScheduleSpec {
        name: None,
        note: None,
        flow_id: FlowId(Uuid::from_u128(1)),
        source_id: SourceId(Uuid::from_u128(2)),
        catch_up_ms: ScheduleSpec::default_catch_up_ms(&timetable),
        timetable,
        input: Payload::Inline("hi".into()),
        tweaks: None,
        overlap: Overlap::Skip,
        retry: RetryPolicy::default(),
        timeout_ms: 60_000,
        queue_timeout_ms: None,
        total_timeout_ms: None,
        priority: None,
        runs_max: None,
        pause_after: None,
        on_drift: OnDrift::Run,
    }
}

fn create(spec: ScheduleSpec) -> ScheduleCommand {
    ScheduleCommand::Create { id: id(), spec: Box::new(spec) }
}

fn every_10s() -> ScheduleSpec {
    spec(Recurrence::interval(10_000, at(0)))
}

#[track_caller]
fn created(spec: ScheduleSpec) -> Schedule {
    let events = Schedule::Absent.decide(create(spec), at(0)).unwrap();
    fold(Schedule::Absent, &events)
}

#[track_caller]
fn then(schedule: Schedule, command: ScheduleCommand, now: i64) -> (Schedule, Vec<ScheduleEvent>) {
    let events = schedule.decide(command, at(now)).unwrap();
    (fold(schedule, &events), events)
}

fn open(rival: Option<TaskId>) -> Open {
    Open { rival, backfilled: 0 }
}

fn wake(rival: Option<TaskId>) -> ScheduleCommand {
    ScheduleCommand::Wake { id: id(), open: open(rival), drift: None }
}

fn due(schedule: &Schedule) -> Option<Timestamp> {
    schedule.next().map(|next| next.due_at)
}

fn edit(patch: SchedulePatch) -> ScheduleCommand {
    ScheduleCommand::Edit { id: id(), patch: Box::new(patch) }
}

const RESUME: fn() -> ScheduleCommand = || ScheduleCommand::Resume { id: id() };

fn trigger(n: u128) -> ScheduleCommand {
    ScheduleCommand::Trigger { task_id: task(n), overlap: None, open: Open::default() }
}

fn task(n: u128) -> TaskId {
    TaskId(Uuid::from_u128(n))
}

/// The outcome of each instant; a span is spelt out by its recurrence.
fn outcomes(spec: &ScheduleSpec, events: &[ScheduleEvent]) -> BTreeMap<Timestamp, &'static str> {
    let planner = spec.timetable.planner(id()).unwrap();
    let mut outcomes = BTreeMap::new();
    let mut note = |at, outcome| {
        assert_eq!(outcomes.insert(at, outcome), None, "{at} has two outcomes");
    };
    for event in events {
        match event {
            ScheduleEvent::Fired(e) => note(e.due_at, "fired"),
            ScheduleEvent::Skipped(e) => {
                let outcome = match e.reason {
                    SkipReason::Overlap { .. } => "overlap",
                    SkipReason::WaitingAlready => "waiting already",
                    SkipReason::Replaced { .. } => "replaced",
                    SkipReason::BufferFull => "full",
                    SkipReason::CatchUpWindow => "late",
                    SkipReason::Drift { .. } => "drift",
                };
                let mut due = e.first_due_at;
                let mut count = 1;
                note(due, outcome);
                while due < e.last_due_at {
                    due = planner.next_after(due).unwrap().due_at;
                    note(due, outcome);
                    count += 1;
                }
                assert_eq!((due, count), (e.last_due_at, e.count), "the span is exact");
            }
            ScheduleEvent::Paused(SchedulePaused { dropped, .. })
            | ScheduleEvent::Completed(ScheduleCompleted { dropped })
            | ScheduleEvent::Deleted(ScheduleDeleted { dropped }) => {
                dropped.iter().for_each(|due_at| note(*due_at, "dropped"));
            }
            ScheduleEvent::Edited(e) => e.dropped.iter().for_each(|at| note(*at, "dropped")),
            ScheduleEvent::Created(_)
            | ScheduleEvent::Buffered(_)
            | ScheduleEvent::Triggered(_)
            | ScheduleEvent::TriggerDropped(_)
            | ScheduleEvent::BackfillStarted(_)
            | ScheduleEvent::Backfilled(_)
            | ScheduleEvent::BackfillEnded(_)
            | ScheduleEvent::TaskEnded(_)
            | ScheduleEvent::Resumed(_) => {}
        }
    }
    outcomes
}

#[test]
fn an_interval_first_fires_one_interval_after_its_creation() {
    let schedule = created(every_10s());
    assert_eq!(due(&schedule), Some(at(10)));
    let (schedule, events) = then(schedule, wake(None), 9);
    assert_eq!(events, vec![], "nothing is due yet");
    let (schedule, events) = then(schedule, wake(None), 10);
    let task_id = TaskId::of_occurrence(id(), at(10));
    let (next_due_at, next_starts_at, dst) = (Some(at(20)), None, None);
    let fired = ScheduleFired { due_at: at(10), task_id, dst, next_due_at, next_starts_at };
    assert_eq!(events, vec![ScheduleEvent::Fired(fired)]);
    assert_eq!(due(&schedule), Some(at(20)));
}

#[test]
fn skip_drops_and_records_what_comes_due_while_a_task_is_open() {
    let (schedule, events) = then(created(every_10s()), wake(Some(task(5))), 35);
    let reason = SkipReason::Overlap { task_id: task(5) };
    let skipped = ScheduleSkipped {
        first_due_at: at(10),
        last_due_at: at(30),
        count: 3,
        reason,
        next_due_at: Some(at(40)),
        next_starts_at: None,
    };
    assert_eq!(events, vec![ScheduleEvent::Skipped(skipped)]);
    assert_eq!(due(&schedule), Some(at(40)));
}

#[test]
fn after_an_outage_at_most_one_late_task_starts_under_skip() {
    let spec = every_10s();
    let (_, events) = then(created(spec.clone()), wake(None), 35);
    let outcomes: Vec<_> = outcomes(&spec, &events).into_values().collect();
    assert_eq!(outcomes, ["fired", "overlap", "overlap"]);
}

#[test]
fn allow_all_starts_every_instant_within_the_window() {
    let spec = ScheduleSpec { overlap: Overlap::AllowAll, ..every_10s() };
    let (_, events) = then(created(spec.clone()), wake(Some(task(5))), 35);
    assert_eq!(outcomes(&spec, &events).into_values().collect::<Vec<_>>(), ["fired"; 3]);
}

#[test]
fn what_is_later_than_the_window_is_recorded_and_not_started() {
    let spec = ScheduleSpec { catch_up_ms: 20_000, ..every_10s() };
    let (_, events) = then(created(spec.clone()), wake(None), 55);
    let outcomes: Vec<_> = outcomes(&spec, &events).into_values().collect();
    assert_eq!(outcomes, ["late", "late", "late", "fired", "overlap"]);
}

#[test]
fn a_one_time_schedule_fires_once_and_is_completed() {
    let schedule = created(spec(Recurrence::Once { at: at(0) }));
    let (schedule, events) = then(schedule, wake(None), 0);
    assert!(
        matches!(events.as_slice(), [ScheduleEvent::Fired(_), ScheduleEvent::Completed(_)]),
        "{events:?}"
    );
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
    assert_eq!(then(schedule, wake(None), 100).1, vec![]);
}

#[test]
fn nothing_fires_while_paused_and_nothing_is_made_up_for() {
    let (schedule, _) = then(created(every_10s()), ScheduleCommand::Pause, 5);
    assert_eq!(due(&schedule), None);
    let (schedule, events) = then(schedule, wake(None), 50);
    assert_eq!(events, vec![]);
    let (schedule, events) = then(schedule, RESUME(), 52);
    let (next_due_at, next_starts_at) = (Some(at(60)), None);
    let resumed = ScheduleResumed { paused_at: at(5), at: at(52), next_due_at, next_starts_at };
    assert_eq!(events, vec![ScheduleEvent::Resumed(resumed)]);
    assert_eq!(due(&schedule), Some(at(60)));
    assert_eq!(then(schedule, RESUME(), 53).1, vec![], "already true");
}

#[test]
fn a_one_time_schedule_whose_instant_passed_in_a_pause_is_completed_on_resume() {
    let schedule = created(spec(Recurrence::Once { at: at(10) }));
    let (schedule, _) = then(schedule, ScheduleCommand::Pause, 5);
    let (schedule, _) = then(schedule, RESUME(), 20);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
}

#[test]
fn a_manual_trigger_takes_no_occurrence_and_works_while_paused() {
    let (schedule, events) = then(created(every_10s()), trigger(3), 5);
    assert_eq!(events, vec![ScheduleEvent::Triggered(ScheduleTriggered { task_id: task(3) })]);
    assert_eq!(due(&schedule), Some(at(10)));
    let (schedule, _) = then(schedule, ScheduleCommand::Pause, 6);
    assert_eq!(then(schedule, trigger(3), 7).1.len(), 1);
}

#[test]
fn a_deleted_schedule_refuses_everything_but_deleting() {
    let (schedule, _) = then(created(every_10s()), ScheduleCommand::Delete, 5);
    assert_eq!(schedule, Schedule::Deleted);
    assert_eq!(schedule.decide(ScheduleCommand::Delete, at(6)), Ok(vec![]));
    for command in [
        ScheduleCommand::Pause,
        RESUME(),
        trigger(1),
        edit(SchedulePatch::default()),
        ScheduleCommand::CancelBackfill { number: 1 },
    ] {
        assert_eq!(schedule.decide(command, at(6)), Err(ScheduleRejection::Deleted));
    }
    assert_eq!(schedule.decide(wake(None), at(99)), Ok(vec![]));
}

#[test]
fn a_recurrence_that_cannot_work_is_refused() {
    let create = |recurrence| Schedule::Absent.decide(create(spec(recurrence)), at(0)).unwrap_err();
    let february = Recurrence::Cron {
        expression: "0 0 31 2 *".into(),
        timezone: "UTC".into(),
        dst: DstRule::Once,
    };
    assert_eq!(create(february), ScheduleRejection::Recurrence(RecurrenceError::NeverMatches));
    assert!(matches!(
        create(Recurrence::Once { at: at(-3_600) }),
        ScheduleRejection::Recurrence(_)
    ));
    assert!(matches!(
        create(Recurrence::Interval { every_ms: 999, phase_ms: 0 }),
        ScheduleRejection::Recurrence(_)
    ));
}

#[test]
fn a_long_outage_is_walked_in_passes_that_fit_into_one_append() {
    let spec = ScheduleSpec { overlap: Overlap::AllowAll, ..every_10s() };
    let mut schedule = created(spec.clone());
    let mut all = vec![];
    let now = 10 * (2 * i64::try_from(limits::DUE_WALK_MAX).unwrap() + 7);
    for pass in 0.. {
        assert!(pass < 20, "it comes to an end");
        let (next, events) = then(schedule, wake(None), now);
        assert!(events.len() <= limits::APPEND_EVENTS_MAX, "pass {pass}: {}", events.len());
        schedule = next;
        if events.is_empty() {
            break;
        }
        all.extend(events);
    }
    assert_eq!(outcomes(&spec, &all).len(), 2 * limits::DUE_WALK_MAX + 7);
    assert_eq!(due(&schedule), Some(at(now + 10)));
}

mod backfills;
mod edits;
mod overlaps;
mod whys;
