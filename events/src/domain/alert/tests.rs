//! Given events, when a command, then events: alerts, their messages and the book that keeps them.

use serde_json::json;

use super::*;
use crate::domain::failure::FailureClass;
use crate::domain::fold;
use crate::domain::retry::GiveUp;
use crate::domain::source::SealedKey;
use crate::ids::{FlowId, ScheduleId, SourceId, TaskId};
use crate::log::Revision;

mod changes;

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn spec() -> AlertSpec {
    AlertSpec {
        name: "on call".into(),
        url: "https://example.org/hook".into(),
        kinds: AlertKind::usual(),
        flow_id: None,
        schedule_id: None,
        source_id: None,
    }
}

fn create(spec: AlertSpec) -> AlertCommand {
    AlertCommand::Create(Box::new(AlertCreated { spec, secret: SealedKey("a".into()) }))
}

fn message(n: u64) -> NewMessage {
    NewMessage {
        message_id: uuid(u128::from(n)),
        kind: AlertKind::TaskFailed,
        count: 1,
        through: Position(n),
        body: json!({ "n": n }),
    }
}

fn attempted(n: u64, status: u16) -> Attempted {
    Attempted {
        message_id: uuid(u128::from(n)),
        answer: Answer { status: Some(status), body: None, duration_ms: 1 },
        error: (status >= 300).then(|| format!("the receiver answered {status}")),
        retry_after_ms: None,
        by_hand: false,
        jitter_ppm: 0,
    }
}

fn raise(n: u64) -> AlertCommand {
    AlertCommand::Raise(Box::new(message(n)))
}

/// An alert after commands, one a second.
#[track_caller]
fn given(commands: impl IntoIterator<Item = AlertCommand>) -> Alert {
    commands.into_iter().zip(0..).fold(Alert::Absent, |alert, (command, second)| {
        let events = alert.decide(command, at(second)).unwrap();
        fold(alert, &events)
    })
}

fn live(alert: &Alert) -> &LiveAlert {
    alert.live().unwrap()
}

#[test]
fn an_alert_must_be_able_to_tell_of_something() {
    let refused = |spec| Alert::Absent.decide(create(spec), at(0)).unwrap_err();
    assert_eq!(refused(AlertSpec { name: " ".into(), ..spec() }), AlertRejection::BadName);
    assert_eq!(refused(AlertSpec { url: String::new(), ..spec() }), AlertRejection::UrlTooLong);
    assert_eq!(refused(AlertSpec { kinds: vec![], ..spec() }), AlertRejection::NoKinds);
    let workers = AlertSpec {
        kinds: vec![AlertKind::WorkerLost, AlertKind::SourceDown],
        flow_id: Some(FlowId(uuid(1))),
        ..spec()
    };
    assert_eq!(refused(workers.clone()), AlertRejection::NeverMatches);
    let more = AlertSpec { kinds: AlertKind::usual(), ..workers };
    let alert = given([create(more)]);
    assert_eq!(alert.decide(create(spec()), at(0)), Err(AlertRejection::Exists));
}

#[test]
fn a_kind_is_read_by_its_name_or_by_the_type_of_its_messages() {
    for kind in AlertKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(kind.message_type().parse(), Ok(kind));
    }
    assert_eq!("test".parse::<AlertKind>(), Err(()));
}

#[test]
fn a_message_is_raised_once_and_in_the_order_of_the_log() {
    let alert = given([create(spec()), raise(5)]);
    assert_eq!(alert.decide(raise(5), at(9)), Ok(vec![]));
    assert_eq!(alert.decide(raise(4), at(9)), Ok(vec![]));
    assert_eq!(live(&alert).through(AlertKind::TaskFailed), Position(5));
    assert_eq!(live(&alert).through(AlertKind::SourceDown), Position::START);
}

#[test]
fn a_message_that_fails_is_tried_again_by_the_list_and_then_given_up() {
    let mut alert = given([create(spec()), raise(5)]);
    let mut pauses = vec![];
    let mut now = at(10);
    while let Some(open) = live(&alert).open.get(&uuid(5)) {
        now = now.max(open.next_at);
        let events = alert.decide(AlertCommand::RecordAttempt(attempted(5, 503)), now).unwrap();
        let [AlertEvent::DeliveryFailed(failed)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(failed.attempt, Some(u32::try_from(pauses.len()).unwrap() + 1));
        pauses.push(failed.next_at.map(|next| (next - now).num_milliseconds()));
        alert = fold(alert, &events);
    }
    let list = limits::ALERT_RETRY_MS.map(|ms| Some(i64::try_from(ms).unwrap()));
    assert_eq!(pauses[..9], list);
    assert_eq!(pauses[9..], [None], "given up after ten attempts");
    assert_eq!(alert.decide(AlertCommand::RecordAttempt(attempted(5, 200)), now), Ok(vec![]));
}

#[test]
fn a_receiver_may_ask_for_more_time_within_bounds_and_jitter_adds_a_tenth() {
    assert_eq!(pause_ms(1, None, 1_000_000), Some(5_500));
    assert_eq!(pause_ms(1, Some(60_000), 0), Some(60_000));
    assert_eq!(pause_ms(1, Some(u64::MAX), 0), Some(limits::ALERT_RETRY_AFTER_MS_MAX));
    assert_eq!(pause_ms(2, Some(1), 0), Some(300_000));
    assert_eq!(pause_ms(10, None, 0), None);
    assert_eq!(pause_ms(u32::MAX, None, 0), None);
}

#[test]
fn gone_disables_the_alert_and_drops_what_waits() {
    let alert = given([create(spec()), raise(5), raise(6)]);
    let events = alert.decide(AlertCommand::RecordAttempt(attempted(5, 410)), at(9)).unwrap();
    let [AlertEvent::DeliveryFailed(failed), AlertEvent::Disabled(disabled)] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((failed.next_at, disabled.dropped), (None, 1));
    assert!(disabled.why.as_deref().unwrap().contains("410"), "{disabled:?}");
    let alert = fold(alert, &events);
    assert!(!live(&alert).enabled && live(&alert).open.is_empty());
    assert_eq!(alert.decide(raise(7), at(10)), Ok(vec![]));
}

#[test]
fn an_attempt_by_hand_changes_nothing_about_those_to_come_but_for_success() {
    let alert = given([create(spec()), raise(5), AlertCommand::RecordAttempt(attempted(5, 500))]);
    let by_hand = |status| Attempted { by_hand: true, ..attempted(5, status) };
    let failed = alert.decide(AlertCommand::RecordAttempt(by_hand(500)), at(9)).unwrap();
    let after = fold(alert.clone(), &failed);
    assert_eq!(after, alert);
    let delivered = alert.decide(AlertCommand::RecordAttempt(by_hand(200)), at(9)).unwrap();
    assert!(live(&fold(alert, &delivered)).open.is_empty());
}

#[test]
fn a_test_is_recorded_and_leaves_nothing_open() {
    let alert = given([create(spec()), AlertCommand::Disable]);
    for (status, count) in [(200, 2), (503, 2)] {
        let test = NewMessage { kind: AlertKind::Test, through: Position::START, ..message(9) };
        let attempted = attempted(9, status);
        let command = AlertCommand::RecordTest { message: Box::new(test), attempted };
        let events = alert.decide(command, at(9)).unwrap();
        assert_eq!(events.len(), count);
        assert_eq!(fold(alert.clone(), &events), alert);
    }
}

#[test]
fn the_secret_before_counts_until_its_time_is_over() {
    let rotate = |keep_ms| AlertCommand::RotateSecret { secret: SealedKey("b".into()), keep_ms };
    let alert = given([create(spec()), rotate(60_000)]);
    let previous = PreviousSecret { secret: SealedKey("a".into()), until: at(61) };
    let secrets = AlertSecrets { secret: SealedKey("b".into()), previous: Some(previous) };
    assert_eq!(live(&alert).secrets, secrets);
    assert_eq!(live(&given([create(spec()), rotate(0)])).secrets.previous, None);
    let too_long = rotate(limits::ALERT_SECRET_KEEP_MS_MAX + 1);
    assert_eq!(alert.decide(too_long, at(9)), Err(AlertRejection::BadKeep));
}

#[test]
fn few_are_told_one_by_one_and_many_at_once() {
    let fresh = given([create(spec())]);
    let next = |alert: &Alert, waiting, now| live(alert).next(AlertKind::TaskFailed, waiting, now);
    assert_eq!(next(&fresh, 0, at(0)), Next::Nothing);
    assert_eq!(next(&fresh, 5, at(0)), Next::One);
    assert_eq!(next(&fresh, 6, at(0)), Next::All);
    // Raised at the seconds 1 to 5.
    let full = given([create(spec()), raise(1), raise(2), raise(3), raise(4), raise(5)]);
    assert_eq!(next(&full, 1, at(6)), Next::NotBefore(at(61)));
    assert_eq!(next(&full, 1, at(61)), Next::One);
    assert_eq!(next(&full, 800, at(61)), Next::All);
    let other = live(&full).next(AlertKind::SourceDown, 1, at(6));
    assert_eq!(other, Next::One, "each kind is counted by itself");
    let many = AlertCommand::Raise(Box::new(NewMessage { count: 800, ..message(900) }));
    let after_many = given([create(spec()), many]);
    assert_eq!(next(&after_many, 1, at(2)), Next::NotBefore(at(61)));
}

#[test]
fn while_nobody_takes_messages_they_are_gathered() {
    let mut alert = given([create(spec())]);
    for n in 1..=limits::ALERT_OPEN_MAX as u64 {
        let events = alert.decide(raise(n), at(100 * i64::try_from(n).unwrap())).unwrap();
        alert = fold(alert, &events);
    }
    let next = live(&alert).next(AlertKind::TaskFailed, 3, at(1_000_000));
    assert_eq!(next, Next::Nothing);
    assert_eq!(alert.decide(raise(999), at(1_000_000)), Err(AlertRejection::TooManyOpen));
    let delivered = alert.decide(AlertCommand::RecordAttempt(attempted(1, 200)), at(9)).unwrap();
    let alert = fold(alert, &delivered);
    assert_eq!(live(&alert).next(AlertKind::TaskFailed, 30, at(1_000_000)), Next::All);
}

const ALERT: AlertId = AlertId(Uuid::from_u128(77));

fn cause(position: u64) -> Cause {
    Cause {
        kind: AlertKind::TaskFailed,
        event: CauseEvent {
            id: uuid(u128::from(position)),
            event_type: "task.failed".into(),
            stream: format!("task-{}", uuid(1)),
            position: Position(position),
            recorded_at: at(0),
        },
        since_position: Position(position),
        about: About {
            task_id: Some(TaskId(uuid(u128::from(position)))),
            flow: Some(Named { id: FlowId(uuid(1)), name: Some("echo".into()) }),
            schedule: Some(Named { id: ScheduleId(uuid(2)), name: Some("nightly".into()) }),
            source: Some(Named { id: SourceId(uuid(3)), name: Some("dev".into()) }),
            worker: None,
        },
        what: What::Failed {
            failure: Trouble {
                component: Some("Agent".into()),
                ..Trouble::new(FailureClass::Component, "no\nsuch   tool")
            },
            attempts: 4,
            why: GiveUp::AttemptsExhausted,
            since: at(-60),
            failures: 2,
        },
    }
}

/// A book with one alert that was made at position 10.
fn book(spec: AlertSpec) -> AlertBook {
    let mut book = AlertBook::default();
    let created = AlertCreated { spec, secret: SealedKey("a".into()) };
    book.take(ALERT, Revision(0), Position(10), &AlertEvent::Created(Box::new(created)));
    book
}

/// Raises everything that is due, as whoever keeps the book does; the messages.
fn raise_all(book: &mut AlertBook, now: Timestamp) -> Vec<NewMessage> {
    let mut raised = vec![];
    loop {
        let due = book.due(now).raise;
        if due.is_empty() {
            return raised;
        }
        for Raising { alert, message } in due {
            let (state, Revision(revision)) = book.get(alert).unwrap();
            let command = AlertCommand::Raise(Box::new(message.clone()));
            let events = state.decide(command, now).unwrap();
            let state = fold(state.clone(), &events);
            book.adopt(alert, Revision(revision + 1), Position::START, false, state);
            book.told(alert, message.kind, message.count);
            raised.push(message);
        }
    }
}

#[test]
fn an_alert_tells_of_what_happens_after_it_was_made_and_matches() {
    let mut told = book(spec());
    told.happened(&cause(9));
    assert!(raise_all(&mut told, at(0)).is_empty(), "from before it was made");
    told.happened(&cause(11));
    let messages = raise_all(&mut told, at(0));
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].message_id, ALERT.message(uuid(11)));
    told.happened(&cause(11));
    assert!(raise_all(&mut told, at(0)).is_empty(), "told already");
    for (other, count) in [
        (AlertSpec { flow_id: Some(FlowId(uuid(1))), ..spec() }, 1),
        (AlertSpec { flow_id: Some(FlowId(uuid(9))), ..spec() }, 0),
        (AlertSpec { schedule_id: Some(ScheduleId(uuid(2))), ..spec() }, 1),
        (AlertSpec { source_id: Some(SourceId(uuid(9))), ..spec() }, 0),
        (AlertSpec { kinds: vec![AlertKind::SourceDown], ..spec() }, 0),
    ] {
        let mut told = book(other.clone());
        told.happened(&cause(11));
        assert_eq!(raise_all(&mut told, at(0)).len(), count, "{other:?}");
    }
}

#[test]
fn a_message_says_what_happened_to_what_since_when_and_what_to_do() {
    let mut told = book(spec());
    told.happened(&cause(11));
    let body = raise_all(&mut told, at(0)).remove(0).body;
    let expected = json!({
        "type": "task.failed",
        "timestamp": "2027-01-15T08:00:00.000000Z",
        "data": {
            "title": "schedule nightly (flow echo) failed after 4 attempts, 2 in a row: component in Agent: no such tool",
            "remedy": "open the flow in LangFlow and mend the component named here",
            "look": "automagik task show 00000000-0000-0000-0000-00000000000b",
            "task_id": uuid(11),
            "flow": { "id": uuid(1), "name": "echo" },
            "schedule": { "id": uuid(2), "name": "nightly" },
            "source": { "id": uuid(3), "name": "dev" },
            "failure": { "class": "component", "message": "no\nsuch   tool", "component": "Agent" },
            "attempts": 4,
            "why": "attempts_exhausted",
            "since": "2027-01-15T07:59:00.000000Z",
            "failures": 2,
            "event": {
                "id": uuid(11), "type": "task.failed", "stream": format!("task-{}", uuid(1)),
                "position": 11, "recorded_at": "2027-01-15T08:00:00.000000Z"
            },
            "alert": { "id": ALERT, "name": "on call" }
        }
    });
    assert_eq!(body, expected);
}

#[test]
fn a_flood_becomes_one_message_a_minute_that_counts_and_leaves_nothing_out() {
    let mut told = book(spec());
    let mut raised = vec![];
    // 20 failures a second for ten minutes.
    let mut position = 10;
    for second in 0..600 {
        for _ in 0..20 {
            position += 1;
            told.happened(&cause(position));
            raised.extend(raise_all(&mut told, at(second)));
            // The receiver takes everything.
            let (state, revision) = told.get(ALERT).unwrap();
            let mut alert = live(state).clone();
            alert.open.clear();
            told.adopt(ALERT, revision, Position::START, false, Alert::Live(Box::new(alert)));
        }
    }
    raised.extend(raise_all(&mut told, at(700)));
    assert!(raised.len() <= 5 + 10, "{} messages", raised.len());
    assert_eq!(raised.iter().map(|message| message.count).sum::<u64>(), 600 * 20);
    assert_eq!(raised.last().unwrap().through, Position(position));
    let many = &raised[6].body["data"];
    assert_eq!(many["classes"]["component"], many["count"]);
    assert_eq!(many["examples"].as_array().unwrap().len(), limits::ALERT_EXAMPLES_MAX);
    assert!(many["title"].as_str().unwrap().ends_with("tasks failed"), "{many}");
}

#[test]
fn a_fold_that_begins_again_tells_nothing_twice() {
    let mut told = book(spec());
    for position in 11..=13 {
        told.happened(&cause(position));
    }
    let kept = told.clone();
    assert_eq!(raise_all(&mut told, at(0)).len(), 3);
    let (Alert::Live(state), _) = told.get(ALERT).unwrap() else { panic!() };
    assert_eq!(state.open.len(), 3);
    // The process dies. What it kept is older than what it raised: two of three messages.
    let mut again = kept;
    let mut state = Alert::Live(Box::new(LiveAlert { open: BTreeMap::new(), ..*state.clone() }));
    for (n, revision) in [(11, 1), (12, 2)] {
        let message = NewMessage { message_id: ALERT.message(uuid(n)), ..message(n as u64) };
        let event = raised(message, at(0));
        state = fold(state, [&event]);
        again.take(ALERT, Revision(revision), Position(20 + revision), &event);
    }
    // And it reads some of the log again.
    again.happened(&cause(12));
    let messages = raise_all(&mut again, at(1));
    assert_eq!(messages.iter().map(|m| m.through).collect::<Vec<_>>(), [Position(13)]);
}

#[test]
fn a_row_of_failures_is_over_when_a_task_made_after_it_began_completes() {
    let mut told = book(spec());
    let (flow, schedule) = (FlowId(uuid(1)), Some(ScheduleId(uuid(2))));
    let task = |n| TaskId(uuid(n));
    told.task_created(task(1), schedule, flow);
    told.task_created(task(2), schedule, flow);
    let first = told.task_failed(task(1), schedule, flow, (at(0), Position(11)));
    assert_eq!((first.since, first.failures), (at(0), 1));
    // It began before the failure: it says nothing about what comes after it.
    assert!(!told.watches(task(2)));
    assert_eq!(told.task_completed(task(2)), None);
    told.task_created(task(3), schedule, flow);
    told.task_created(task(4), None, flow);
    assert!(told.watches(task(3)) && !told.watches(task(4)), "a row for each schedule");
    let second = told.task_failed(task(3), schedule, flow, (at(5), Position(12)));
    assert_eq!((second.since, second.failures), (at(0), 2));
    told.task_created(task(5), schedule, flow);
    told.task_created(task(6), schedule, flow);
    assert_eq!(told.task_completed(task(5)), Some(second));
    assert_eq!(told.task_completed(task(6)), None, "it is over once");
    assert!(!told.wants_new_tasks());
}

#[test]
fn the_end_of_a_trouble_is_told_to_those_who_were_there_at_its_beginning() {
    let mut told = book(spec());
    let recovered =
        Cause { kind: AlertKind::TaskRecovered, since_position: Position(9), ..cause(12) };
    told.happened(&recovered);
    assert!(raise_all(&mut told, at(0)).is_empty());
    told.happened(&Cause { since_position: Position(11), ..recovered });
    assert_eq!(raise_all(&mut told, at(0)).len(), 1);
}

#[test]
fn a_source_goes_down_once_and_comes_up_once() {
    let mut told = book(spec());
    let id = SourceId(uuid(3));
    assert!(told.source_down(id, at(0), Position(11)));
    assert!(!told.source_down(id, at(5), Position(12)), "still down, for another reason");
    assert_eq!(told.source_up(id), Some((at(0), Position(11))));
    assert_eq!(told.source_up(id), None);
}

#[test]
fn a_disabled_alert_tells_nothing_of_the_time_between() {
    let mut told = book(spec());
    let disabled = AlertDisabled { why: None, dropped: 0 };
    told.happened(&cause(11));
    told.take(ALERT, Revision(1), Position(12), &AlertEvent::Disabled(disabled));
    told.happened(&cause(13));
    assert!(!told.wants_failures());
    told.take(ALERT, Revision(2), Position(14), &AlertEvent::Enabled(AlertEnabled {}));
    told.happened(&cause(13));
    assert!(raise_all(&mut told, at(0)).is_empty());
    told.happened(&cause(15));
    assert_eq!(raise_all(&mut told, at(0)).len(), 1);
}

#[test]
fn a_book_that_was_kept_is_the_same_book() {
    let mut told = book(spec());
    told.happened(&cause(11));
    told.task_failed(TaskId(uuid(1)), None, FlowId(uuid(1)), (at(0), Position(11)));
    told.source_down(SourceId(uuid(3)), at(0), Position(11));
    let kept = serde_json::to_vec(&told).unwrap();
    assert_eq!(serde_json::from_slice::<AlertBook>(&kept).unwrap(), told);
}
