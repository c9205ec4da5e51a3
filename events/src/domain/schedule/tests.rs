//! Given / when / then, and the property that every due instant has exactly one outcome.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::codec::DomainEvent;
use crate::domain::fold;
use crate::domain::recurrence::DstRule;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn id() -> ScheduleId {
    ScheduleId(Uuid::from_u128(9))
}

fn spec(recurrence: Recurrence) -> ScheduleSpec {
    ScheduleSpec {
        name: None,
        flow_id: FlowId(Uuid::from_u128(1)),
        source_id: SourceId(Uuid::from_u128(2)),
        catch_up_ms: ScheduleSpec::default_catch_up_ms(&recurrence),
        recurrence,
        input: Payload::Inline("hi".into()),
        tweaks: None,
        overlap: Overlap::Skip,
        retry: RetryPolicy::default(),
        timeout_ms: 60_000,
    }
}

fn every_10s() -> ScheduleSpec {
    spec(Recurrence::interval(10_000, at(0)))
}

#[track_caller]
fn created(spec: ScheduleSpec) -> Schedule {
    let command = ScheduleCommand::Create(Box::new(spec));
    let events = Schedule::Absent.decide(command, at(0)).unwrap();
    fold(Schedule::Absent, &events)
}

#[track_caller]
fn then(schedule: Schedule, command: ScheduleCommand, now: i64) -> (Schedule, Vec<ScheduleEvent>) {
    let events = schedule.decide(command, at(now)).unwrap();
    (fold(schedule, &events), events)
}

fn wake(open: Option<TaskId>) -> ScheduleCommand {
    ScheduleCommand::Wake { id: id(), open }
}

fn task(n: u128) -> TaskId {
    TaskId(Uuid::from_u128(n))
}

/// The outcome of each instant, as seconds; a span is spelt out by its recurrence.
fn outcomes(spec: &ScheduleSpec, events: &[ScheduleEvent]) -> BTreeMap<Timestamp, &'static str> {
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
                    SkipReason::CatchUpWindow => "late",
                };
                let mut due = e.first_due_at;
                let mut count = 1;
                note(due, outcome);
                while due < e.last_due_at {
                    due = spec.recurrence.next_after(due).unwrap().at;
                    note(due, outcome);
                    count += 1;
                }
                assert_eq!((due, count), (e.last_due_at, e.count), "the span is exact");
            }
            ScheduleEvent::Created(_)
            | ScheduleEvent::Triggered(_)
            | ScheduleEvent::Paused(_)
            | ScheduleEvent::Resumed(_)
            | ScheduleEvent::Completed(_)
            | ScheduleEvent::Deleted(_) => {}
        }
    }
    outcomes
}

#[test]
fn an_interval_first_fires_one_interval_after_its_creation() {
    let schedule = created(every_10s());
    assert_eq!(schedule.next_due_at(), Some(at(10)));
    let (schedule, events) = then(schedule, wake(None), 9);
    assert_eq!(events, vec![], "nothing is due yet");
    let (schedule, events) = then(schedule, wake(None), 10);
    let task_id = TaskId::of_occurrence(id(), at(10));
    let fired = ScheduleFired { due_at: at(10), task_id, next_due_at: Some(at(20)) };
    assert_eq!(events, vec![ScheduleEvent::Fired(fired)]);
    assert_eq!(schedule.next_due_at(), Some(at(20)));
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
    };
    assert_eq!(events, vec![ScheduleEvent::Skipped(skipped)]);
    assert_eq!(schedule.next_due_at(), Some(at(40)));
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
    assert_eq!(schedule.next_due_at(), None);
    let (schedule, events) = then(schedule, wake(None), 50);
    assert_eq!(events, vec![]);
    let (schedule, events) = then(schedule, ScheduleCommand::Resume, 52);
    let resumed = ScheduleResumed { paused_at: at(5), at: at(52), next_due_at: Some(at(60)) };
    assert_eq!(events, vec![ScheduleEvent::Resumed(resumed)]);
    assert_eq!(schedule.next_due_at(), Some(at(60)));
    assert_eq!(then(schedule, ScheduleCommand::Resume, 53).1, vec![], "already true");
}

#[test]
fn a_one_time_schedule_whose_instant_passed_in_a_pause_is_completed_on_resume() {
    let schedule = created(spec(Recurrence::Once { at: at(10) }));
    let (schedule, _) = then(schedule, ScheduleCommand::Pause, 5);
    let (schedule, _) = then(schedule, ScheduleCommand::Resume, 20);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
}

#[test]
fn a_manual_trigger_takes_no_occurrence_and_works_while_paused() {
    let trigger = ScheduleCommand::Trigger { task_id: task(3) };
    let (schedule, events) = then(created(every_10s()), trigger.clone(), 5);
    assert_eq!(events, vec![ScheduleEvent::Triggered(ScheduleTriggered { task_id: task(3) })]);
    assert_eq!(schedule.next_due_at(), Some(at(10)));
    let (schedule, _) = then(schedule, ScheduleCommand::Pause, 6);
    assert_eq!(then(schedule, trigger, 7).1.len(), 1);
}

#[test]
fn a_deleted_schedule_refuses_everything_but_deleting() {
    let (schedule, _) = then(created(every_10s()), ScheduleCommand::Delete, 5);
    assert_eq!(schedule, Schedule::Deleted);
    assert_eq!(schedule.decide(ScheduleCommand::Delete, at(6)), Ok(vec![]));
    for command in [
        ScheduleCommand::Pause,
        ScheduleCommand::Resume,
        ScheduleCommand::Trigger { task_id: task(1) },
    ] {
        assert_eq!(schedule.decide(command, at(6)), Err(ScheduleRejection::Deleted));
    }
    assert_eq!(schedule.decide(wake(None), at(99)), Ok(vec![]));
}

#[test]
fn a_recurrence_that_cannot_work_is_refused() {
    let create = |recurrence| {
        let command = ScheduleCommand::Create(Box::new(spec(recurrence)));
        Schedule::Absent.decide(command, at(0)).unwrap_err()
    };
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
fn a_long_outage_is_walked_in_bounded_passes() {
    let spec = ScheduleSpec { overlap: Overlap::AllowAll, ..every_10s() };
    let mut schedule = created(spec.clone());
    let mut all = vec![];
    let now = 10 * (2 * i64::try_from(limits::DUE_WALK_MAX).unwrap() + 7);
    for pass in 0..3 {
        let (next, events) = then(schedule, wake(None), now);
        assert!(outcomes(&spec, &events).len() <= limits::DUE_WALK_MAX, "pass {pass}");
        schedule = next;
        all.extend(events);
    }
    assert_eq!(outcomes(&spec, &all).len(), 2 * limits::DUE_WALK_MAX + 7);
    assert_eq!(schedule.next_due_at(), Some(at(now + 10)));
}

proptest! {
    #[test]
    fn every_due_instant_has_exactly_one_outcome(
        every_s in 1_u64..90,
        catch_up_s in 10_u64..200,
        allow_all in any::<bool>(),
        steps in prop::collection::vec((1_i64..120, any::<bool>()), 1..30),
    ) {
        let mut spec = spec(Recurrence::interval(every_s * 1_000, at(0)));
        spec.catch_up_ms = catch_up_s * 1_000;
        spec.overlap = if allow_all { Overlap::AllowAll } else { Overlap::Skip };
        let mut schedule = created(spec.clone());
        let mut all = vec![];
        let mut now = 0;
        for (step, busy) in steps {
            now += step;
            let events = schedule.decide(wake(busy.then(|| task(1))), at(now)).unwrap();
            for event in &events {
                let (name, version, data) = event.encode().unwrap();
                prop_assert_eq!(&ScheduleEvent::decode(name, version, &data).unwrap(), event);
            }
            schedule = fold(schedule, &events);
            all.extend(events);
        }
        let step = i64::try_from(every_s).unwrap();
        let expected: Vec<Timestamp> = (1..).map(|n| at(n * step)).take_while(|t| *t <= at(now)).collect();
        let got: Vec<Timestamp> = outcomes(&spec, &all).into_keys().collect();
        prop_assert_eq!(got, expected);
    }
}
