//! The sentence of each verdict: what, who and when, and the next step.

use spark_events::TaskId;
use spark_events::domain::overlap::Overlap;
use uuid::Uuid;

use super::*;

fn at(text: &str) -> Timestamp {
    format!("2026-05-05T{text}:00Z").parse().unwrap()
}

fn witness(event: &str, actor: &str, time: &str) -> Witness {
    Witness {
        position: 7,
        event: event.into(),
        recorded_at: at(time),
        actor: actor.into(),
        reason: (actor == "user:ana").then(|| "holiday".into()),
    }
}

fn said(verdict: Verdict) -> String {
    let why = Why {
        at: at("10:00"),
        verdict,
        witness: Some(witness("schedule.paused", "user:ana", "09:30")),
        set_by: Some(witness("schedule.created", "user:bo", "07:00")),
        backfilled: vec![],
        can_backfill: true,
    };
    sentence(&why, Some(at("08:10")))
}

#[test]
fn every_verdict_says_what_who_and_what_next() {
    let task_id = TaskId(Uuid::from_u128(4));
    let skip = |why| Verdict::Skipped { why, overlap: Overlap::Skip };
    let (since, until) = (at("09:30"), Some(at("11:00")));
    let (previous, next) = (Some(at("09:00")), Some(at("11:00")));
    for (verdict, parts) in [
        (Verdict::Fired { task_id }, ["started task 00000000", "automagik task show"]),
        (Verdict::Waits, ["waits for the end", "cancel the open task"]),
        (
            skip(SkipReason::Overlap { task_id }),
            ["started 2026-05-05T08:10:00Z was still open", "policy Skip, set by user:bo on"],
        ),
        (skip(SkipReason::WaitingAlready), ["another start waited already", "BufferAll"]),
        (
            skip(SkipReason::Replaced { by: Some(at("11:00")) }),
            ["2026-05-05T11:00:00Z took its place", "policy Skip"],
        ),
        (skip(SkipReason::Replaced { by: None }), ["a start by hand took", "policy Skip"]),
        (skip(SkipReason::BufferFull), ["1000 starts waited", "longer than the interval"]),
        (skip(SkipReason::CatchUpWindow), ["too late for the catch-up", "backfill"]),
        (
            skip(SkipReason::Drift { remote_hash: Some("ab".into()) }),
            ["changed at its source", "sync the flow"],
        ),
        (skip(SkipReason::Drift { remote_hash: None }), ["not at its source", "push it"]),
        (Verdict::GivenUp, ["was given up, by user:ana", "backfill"]),
        (Verdict::Paused { since, until: None }, ["by user:ana on", "(holiday), and still is"]),
        (Verdict::Paused { since, until }, ["until 2026-05-05T11:00:00Z", "a backfill of that"]),
        (
            Verdict::NotDue { previous, next },
            ["no due instant by the timetable set by user:bo", "the next one after it is"],
        ),
        (Verdict::Ahead, ["lies ahead", "nothing has to be done"]),
        (Verdict::Unsettled, ["nothing is recorded yet", "automagik status"]),
        (Verdict::BeforeCreation, ["did not exist yet", "backfill"]),
        (Verdict::AfterCompletion, ["had completed, by user:ana", "runs_max"]),
        (Verdict::AfterDeletion, ["did not exist any more", "deleted, by user:ana on"]),
    ] {
        let said = said(verdict.clone());
        assert!(said.contains("2026-05-05T10:00:00Z"), "{said}");
        for part in parts {
            assert!(said.contains(part), "{verdict:?}: {said}");
        }
    }
}

#[test]
fn a_backfill_of_the_instant_is_told_too() {
    let (at, verdict) = (at("10:00"), Verdict::BeforeCreation);
    let backfilled = vec![TaskId(Uuid::from_u128(9))];
    let mut why = Why { at, verdict, witness: None, set_by: None, backfilled, can_backfill: true };
    let told = sentence(&why, None);
    assert!(told.ends_with("A backfill ran it: task 00000000-0000-0000-0000-000000000009"));
    assert!(!told.contains("a backfill of that instant"), "it is not offered again: {told}");
    why.backfilled.clear();
    assert!(
        sentence(&why, None).ends_with("did not exist yet; a backfill of that instant runs it")
    );
    why.can_backfill = false;
    assert!(sentence(&why, None).ends_with("did not exist yet"), "nor where none would find it");
}

#[test]
fn a_question_about_a_second_means_the_instant_within_it() {
    let why = |at: &str, next: &str| Why {
        at: at.parse().unwrap(),
        verdict: Verdict::NotDue { previous: None, next: Some(next.parse().unwrap()) },
        witness: None,
        set_by: None,
        backfilled: vec![],
        can_backfill: false,
    };
    let second = "2026-11-24T13:44:40Z";
    let due = "2026-11-24T13:44:40.840Z";
    assert_eq!(within_the_second(&why(second, due)), Some(due.parse().unwrap()));
    assert_eq!(within_the_second(&why(second, "2026-11-24T13:44:41Z")), None, "another second");
    assert_eq!(within_the_second(&why("2026-11-24T13:44:40.1Z", due)), None, "asked exactly");
}
