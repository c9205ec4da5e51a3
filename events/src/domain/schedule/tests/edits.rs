//! Changing a schedule in place.

use super::*;

fn every(seconds: u64) -> SchedulePatch {
    let specs = Some(vec![Recurrence::interval(seconds * 1_000, at(0))]);
    SchedulePatch { specs, ..SchedulePatch::default() }
}

#[test]
fn an_edit_starts_nothing_and_the_new_time_counts_from_now_on() {
    let (schedule, events) = then(created(every_10s()), edit(every(7)), 8);
    assert_eq!(events.len(), 1);
    assert_eq!(due(&schedule), Some(at(14)), "7 has passed before the edit and is not due");
    let (_, events) = then(schedule, wake(None), 13);
    assert_eq!(events, vec![]);
}

#[test]
fn an_edit_of_something_else_leaves_the_next_instant_alone() {
    let note = SchedulePatch { note: Some(Some("why".into())), ..SchedulePatch::default() };
    let (schedule, events) = then(created(every_10s()), edit(note.clone()), 5);
    assert!(matches!(&events[..], [ScheduleEvent::Edited(e)] if e.changed == ["note"]));
    assert_eq!(due(&schedule), Some(at(10)));
    assert_eq!(then(schedule, edit(note), 6).1, vec![], "already true");
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let before = ScheduleSpec { name: Some("nightly".into()), ..every_10s() };
    let patch = SchedulePatch {
        timeout_ms: Some(5_000),
        attempts_max: Some(2),
        ..SchedulePatch::default()
    };
    let (schedule, _) = then(created(before.clone()), edit(patch), 5);
    let retry = RetryPolicy { attempts_max: 2, ..before.retry.clone() };
    assert_eq!(schedule.spec(), Some(&ScheduleSpec { timeout_ms: 5_000, retry, ..before }));
}

#[test]
fn an_edit_that_cannot_work_changes_nothing() {
    let schedule = created(every_10s());
    for patch in [
        every(0),
        SchedulePatch { timeout_ms: Some(1), ..SchedulePatch::default() },
        SchedulePatch { catch_up_ms: Some(1), ..SchedulePatch::default() },
        SchedulePatch { runs_max: Some(Some(0)), ..SchedulePatch::default() },
        SchedulePatch { pause_after: Some(Some(0)), ..SchedulePatch::default() },
        SchedulePatch { attempts_max: Some(0), ..SchedulePatch::default() },
    ] {
        assert!(schedule.decide(edit(patch.clone()), at(5)).is_err(), "{patch:?}");
    }
}

#[test]
fn a_paused_schedule_stays_paused_and_counts_from_its_resumption() {
    let (schedule, _) = then(created(every_10s()), ScheduleCommand::Pause, 5);
    let (schedule, _) = then(schedule, edit(every(7)), 8);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Paused));
    let (schedule, _) = then(schedule, RESUME(), 20);
    assert_eq!(due(&schedule), Some(at(21)));
}

#[test]
fn a_completed_schedule_comes_back_with_a_new_time() {
    let schedule = created(spec(Recurrence::Once { at: at(10) }));
    let (schedule, _) = then(schedule, wake(None), 10);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
    let (schedule, _) = then(schedule, edit(every(7)), 11);
    assert_eq!(due(&schedule), Some(at(14)));
}

#[test]
fn the_limit_of_starts_below_what_was_started_completes_it() {
    let (schedule, _) = then(created(every_10s()), wake(None), 10);
    let patch = SchedulePatch { runs_max: Some(Some(1)), ..SchedulePatch::default() };
    let (schedule, events) = then(schedule, edit(patch), 11);
    assert!(matches!(events.last(), Some(ScheduleEvent::Completed(_))), "{events:?}");
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
}

#[test]
fn exclusions_and_an_end_are_part_of_the_timetable() {
    let patch = SchedulePatch {
        end_at: Some(Some(at(30))),
        exclusions: Some(vec![Exclusion::Span { from: at(15), until: at(25) }]),
        ..SchedulePatch::default()
    };
    let (schedule, _) = then(created(every_10s()), edit(patch), 5);
    assert_eq!(schedule.spec().unwrap().timetable.end_at, Some(at(30)));
}
