//! What became of one instant.

use super::super::why::{Inquiry, Verdict, Why, Witness};
use super::*;

fn witness(second: i64) -> Witness {
    Witness {
        position: 1,
        event: "schedule.x".into(),
        recorded_at: at(second),
        actor: "user:ana".into(),
        reason: None,
    }
}

/// Lives through the commands and asks at the end, at second `now`.
#[track_caller]
fn asked(commands: &[(i64, ScheduleCommand)], about: i64, now: i64) -> Verdict {
    answered(commands, about, now).verdict
}

#[track_caller]
fn answered(commands: &[(i64, ScheduleCommand)], about: i64, now: i64) -> Why {
    let mut schedule = Schedule::Absent;
    let mut inquiry = Inquiry::new(id(), at(about));
    for (second, command) in commands {
        let events = schedule.decide(command.clone(), at(*second)).unwrap();
        for event in &events {
            inquiry.take(event, witness(*second));
        }
        schedule = fold(schedule, &events);
    }
    inquiry.answer(at(now))
}

fn base() -> Vec<(i64, ScheduleCommand)> {
    vec![(0, create(every_10s()))]
}

#[test]
fn every_kind_of_instant_is_told_apart() {
    let mut life = base();
    life.push((10, wake(None)));
    life.push((25, wake(Some(task(5)))));
    life.push((27, ScheduleCommand::Pause));
    life.push((52, RESUME()));
    let task_id = TaskId::of_occurrence(id(), at(10));
    let overlap = Overlap::Skip;
    let why = SkipReason::Overlap { task_id: task(5) };
    assert_eq!(asked(&life, 10, 55), Verdict::Fired { task_id });
    assert_eq!(asked(&life, 20, 55), Verdict::Skipped { why, overlap });
    assert_eq!(asked(&life, 30, 55), Verdict::Paused { since: at(27), until: Some(at(52)) });
    let (previous, next) = (Some(at(10)), Some(at(20)));
    assert_eq!(asked(&life, 13, 55), Verdict::NotDue { previous, next });
    assert_eq!(asked(&life, -5, 55), Verdict::BeforeCreation);
    assert_eq!(asked(&life, 60, 55), Verdict::Ahead);
    assert_eq!(asked(&life, 60, 65), Verdict::Unsettled);
    life.push((58, ScheduleCommand::Delete));
    assert_eq!(asked(&life, 60, 65), Verdict::AfterDeletion);
}

#[test]
fn a_start_that_waited_is_told_by_its_end() {
    let mut life = vec![(0, create(ScheduleSpec { overlap: Overlap::BufferAll, ..every_10s() }))];
    life.push((25, wake(Some(task(5)))));
    assert_eq!(asked(&life, 10, 26), Verdict::Waits);
    life.push((26, wake(None)));
    assert!(matches!(asked(&life, 10, 27), Verdict::Fired { .. }));
    life.push((28, ScheduleCommand::Pause));
    assert_eq!(asked(&life, 20, 29), Verdict::GivenUp);
}

#[test]
fn an_instant_is_judged_by_the_timetable_of_its_time() {
    let mut life = base();
    life.push((10, wake(None)));
    let specs = Some(vec![Recurrence::interval(7_000, at(0))]);
    life.push((15, edit(SchedulePatch { specs, ..SchedulePatch::default() })));
    assert!(matches!(asked(&life, 20, 30), Verdict::NotDue { .. }), "20 is due no more");
    assert_eq!(asked(&life, 21, 20), Verdict::Ahead);
    assert!(matches!(asked(&life, 7, 30), Verdict::NotDue { .. }), "7 was not due then");
}

#[test]
fn a_backfill_can_run_what_is_due_by_the_timetable_of_now() {
    let can = |life: &[_], about| answered(life, about, 30).can_backfill;
    let mut life = base();
    assert!(can(&life, 10) && !can(&life, 13), "13 is due never");
    assert!(!can(&life, 40), "40 lies ahead");
    let specs = Some(vec![Recurrence::interval(7_000, at(0))]);
    life.push((15, edit(SchedulePatch { specs, ..SchedulePatch::default() })));
    assert!(!can(&life, 10) && can(&life, 14), "by the timetable of then and of now");
    life.push((25, ScheduleCommand::Delete));
    assert!(!can(&life, 14), "nothing is run for a deleted schedule");
}
