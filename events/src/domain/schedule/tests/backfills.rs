//! Backfills.

use super::*;

fn request(due: &[i64], overlap: Overlap, active_max: u32) -> ScheduleCommand {
    ScheduleCommand::Backfill(Box::new(BackfillRequest {
        from: at(-100),
        to: at(0),
        only: BackfillOnly::Missing,
        overlap,
        active_max,
        due: due.iter().map(|second| at(*second)).collect(),
    }))
}

fn started(events: &[ScheduleEvent]) -> Vec<Timestamp> {
    let started = events.iter().filter_map(|event| match event {
        ScheduleEvent::Backfilled(e) => Some(e.due_at),
        _ => None,
    });
    started.collect()
}

fn busy(backfilled: u32) -> ScheduleCommand {
    let open = Open { rival: Some(task(1)), backfilled };
    ScheduleCommand::Wake { id: id(), open, drift: None }
}

#[test]
fn it_runs_one_after_another_even_while_paused_and_ignores_the_window() {
    let (schedule, _) = then(created(every_10s()), ScheduleCommand::Pause, 5);
    let long_ago = [-1_000_000, -999_990];
    let (schedule, _) = then(schedule, request(&long_ago, Overlap::BufferAll, 1), 6);
    let (schedule, events) = then(schedule, busy(0), 6);
    assert_eq!(events, vec![], "an open task is in the way");
    let (schedule, events) = then(schedule, wake(None), 7);
    assert_eq!(started(&events), [at(-1_000_000)]);
    let (schedule, events) = then(schedule, busy(1), 7);
    assert_eq!(events, vec![]);
    let (schedule, events) = then(schedule, wake(None), 8);
    assert_eq!(started(&events), [at(-999_990)]);
    assert!(matches!(events.last(), Some(ScheduleEvent::BackfillEnded(e)) if e.left == 0));
    assert!(!schedule.live().unwrap().progress.waits());
}

#[test]
fn at_once_means_as_many_as_may_be_open() {
    let due: Vec<i64> = (1..=7).map(|n| n * -10).collect();
    let (schedule, _) = then(created(every_10s()), request(&due, Overlap::AllowAll, 3), 5);
    let (schedule, events) = then(schedule, busy(0), 5);
    assert_eq!(started(&events), [at(-10), at(-20), at(-30)]);
    let (schedule, events) = then(schedule, busy(3), 5);
    assert_eq!(events, vec![]);
    let (schedule, events) = then(schedule, busy(1), 5);
    assert_eq!(started(&events).len(), 2);
    let (_, events) = then(schedule, busy(0), 5);
    assert_eq!(started(&events).len(), 2, "and no more than are left");
}

#[test]
fn its_tasks_have_ids_of_their_own() {
    let (schedule, _) = then(created(every_10s()), request(&[-10], Overlap::BufferAll, 1), 5);
    let (_, events) = then(schedule, wake(None), 5);
    let ScheduleEvent::Backfilled(backfilled) = &events[0] else { panic!("{events:?}") };
    assert_eq!(backfilled.task_id, TaskId::of_backfill(id(), at(-10), 1));
    assert_ne!(backfilled.task_id, TaskId::of_occurrence(id(), at(-10)));
    assert_ne!(backfilled.task_id, TaskId::of_backfill(id(), at(-10), 2));
}

#[test]
fn it_takes_no_occurrence_and_no_start() {
    let spec = ScheduleSpec { runs_max: Some(1), ..every_10s() };
    let (schedule, _) = then(created(spec), request(&[-20, -10], Overlap::AllowAll, 9), 5);
    let (schedule, _) = then(schedule, wake(None), 6);
    assert_eq!(due(&schedule), Some(at(10)));
    assert_eq!(schedule.live().unwrap().progress.fired, 0);
}

#[test]
fn a_cancelled_one_starts_nothing_more() {
    let (schedule, _) = then(created(every_10s()), request(&[-20, -10], Overlap::BufferAll, 1), 5);
    let (schedule, events) = then(schedule, ScheduleCommand::CancelBackfill { number: 1 }, 6);
    assert_eq!(
        events,
        vec![ScheduleEvent::BackfillEnded(ScheduleBackfillEnded { number: 1, left: 2 })]
    );
    assert_eq!(then(schedule.clone(), wake(None), 7).1, vec![]);
    let again = schedule.decide(ScheduleCommand::CancelBackfill { number: 1 }, at(7));
    assert_eq!(again, Err(ScheduleRejection::NoSuchBackfill(1)));
}

#[test]
fn what_cannot_work_is_refused_with_its_bound() {
    let schedule = created(every_10s());
    let refused = |command| schedule.decide(command, at(5)).unwrap_err();
    let too_many: Vec<i64> =
        (0..=limits::BACKFILL_INSTANTS_MAX).map(|n| -i64::try_from(n).unwrap()).collect();
    let count = too_many.len() as u64;
    assert_eq!(
        refused(request(&too_many, Overlap::BufferAll, 1)),
        ScheduleRejection::BackfillTooLong(count)
    );
    assert_eq!(
        refused(request(&[], Overlap::BufferAll, 1)),
        ScheduleRejection::NothingToBackfill(BackfillOnly::Missing)
    );
    assert_eq!(
        refused(request(&[-1], Overlap::Skip, 1)),
        ScheduleRejection::BackfillOverlap(Overlap::Skip)
    );
    assert_eq!(refused(request(&[-1], Overlap::AllowAll, 0)), ScheduleRejection::BackfillActive(0));
    let mut many = schedule.clone();
    for _ in 0..limits::BACKFILLS_MAX {
        many = then(many, request(&[-1], Overlap::BufferAll, 1), 5).0;
    }
    assert_eq!(
        many.decide(request(&[-1], Overlap::BufferAll, 1), at(5)),
        Err(ScheduleRejection::TooManyBackfills)
    );
}
