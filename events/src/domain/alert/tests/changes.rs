//! An alert that was changed, clocks that were set, and what is shown of a URL and of a worker.

use super::*;
use crate::ids::WorkerId;

/// The alert is about something else from this position on.
fn change(book: &mut AlertBook, position: u64, patch: AlertUpdated) {
    let (_, Revision(revision)) = book.get(ALERT).unwrap();
    let event = AlertEvent::Updated(Box::new(patch));
    book.take(ALERT, Revision(revision + 1), Position(position), &event);
}

fn about(kinds: &[AlertKind]) -> AlertUpdated {
    AlertUpdated { kinds: Some(kinds.to_vec()), ..AlertUpdated::default() }
}

fn positions(messages: &[NewMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.through.0).collect()
}

#[test]
fn what_was_recorded_before_a_change_is_judged_by_what_counted_then() {
    // The events of alerts are known to the end of the log before anything else is looked at.
    let mut widened = book(AlertSpec { kinds: vec![AlertKind::SourceDown], ..spec() });
    change(&mut widened, 20, about(&[AlertKind::SourceDown, AlertKind::TaskFailed]));
    widened.happened(&cause(15));
    assert!(raise_all(&mut widened, at(0)).is_empty(), "that kind was not asked for then");
    widened.happened(&cause(25));
    assert_eq!(positions(&raise_all(&mut widened, at(0))), [25]);

    let mut lifted = book(AlertSpec { flow_id: Some(FlowId(uuid(9))), ..spec() });
    let any = AlertUpdated { flow_id: Some(Only::Any), ..AlertUpdated::default() };
    change(&mut lifted, 20, any);
    for position in [15, 25] {
        lifted.happened(&cause(position));
    }
    assert_eq!(positions(&raise_all(&mut lifted, at(0))), [25]);

    let mut narrowed = book(spec());
    change(&mut narrowed, 20, about(&[AlertKind::SourceDown]));
    assert!(narrowed.wants_failures(), "what it was about before is still to be looked at");
    for position in [15, 25] {
        narrowed.happened(&cause(position));
    }
    assert_eq!(positions(&raise_all(&mut narrowed, at(0))), [15]);
    narrowed.looked(Position(25));
    assert!(!narrowed.wants_failures());
}

#[test]
fn a_change_is_forgotten_when_everything_before_it_was_looked_at_or_is_nobodys_business() {
    let mut told = book(AlertSpec { kinds: vec![AlertKind::SourceDown], ..spec() });
    let fresh = told.clone();
    let name = AlertUpdated { name: Some("nights".into()), ..AlertUpdated::default() };
    change(&mut told, 20, name);
    told.looked(Position(19));
    let renamed = told.clone();
    told.looked(Position(20));
    assert_eq!(told, renamed, "a name is none of it");
    assert_ne!(told, fresh);

    for n in 0..limits::ALERT_CHANGES_MAX as u64 {
        change(&mut told, 30 + 2 * n, about(&[AlertKind::TaskFailed]));
        change(&mut told, 31 + 2 * n, about(&[AlertKind::SourceDown]));
    }
    assert!(told.wants_failures());
    let (_, Revision(revision)) = told.get(ALERT).unwrap();
    let disabled = AlertEvent::Disabled(AlertDisabled { why: None, dropped: 0 });
    let enabled = AlertEvent::Enabled(AlertEnabled {});
    told.take(ALERT, Revision(revision + 1), Position(900), &disabled);
    told.take(ALERT, Revision(revision + 2), Position(901), &enabled);
    assert!(!told.wants_failures(), "it tells of what happens from there on");
}

#[test]
fn a_message_never_waits_longer_than_the_longest_pause() {
    let mut alert = given([create(spec()), raise(5)]);
    let due = |alert: &Alert, now| live(alert).open[&uuid(5)].is_due(now);
    assert!(due(&alert, at(1)) && due(&alert, at(-1)), "the first attempt waits for nothing");
    let failed = alert.decide(AlertCommand::RecordAttempt(attempted(5, 503)), at(10)).unwrap();
    alert = fold(alert, &failed);
    assert!(!due(&alert, at(11)) && due(&alert, at(15)));
    // The clock was set back by three days: nobody waits for its return.
    assert!(due(&alert, at(-3 * 86_400)));
    let longest = i64::try_from(limits::ALERT_PAUSE_MS_MAX / 1_000).unwrap();
    assert!(!due(&alert, at(15 - longest)) && due(&alert, at(14 - longest)));

    let mut told = AlertBook::default();
    told.adopt(ALERT, Revision(2), Position(10), true, alert);
    assert_eq!(told.due(at(-3 * 86_400)).send, [(ALERT, uuid(5))]);
}

#[test]
fn of_a_url_scheme_and_host_are_shown() {
    for (url, shown) in [
        ("https://h/p?token=t", "https://h/***"),
        ("https://hooks.example.org/services/T0/B0/secret", "https://hooks.example.org/***"),
        ("https://h:8443/p", "https://h:8443/***"),
        ("https://h?token=t", "https://h/***"),
        ("https://h/", "https://h/"),
        ("https://h", "https://h"),
        ("nonsense", "***"),
    ] {
        assert_eq!(shown_url(url), shown);
    }
}

#[test]
fn a_lost_worker_is_told_by_its_name_and_its_host() {
    let title = |name: &str, built_in| {
        let worker = Some(Named { id: WorkerId(uuid(4)), name: Some(name.into()) });
        let hostname = Some("rack-7".into());
        let reason = "it was not heard of for 30 s".into();
        let lost = Cause {
            kind: AlertKind::WorkerLost,
            about: About { worker, ..About::default() },
            what: What::Lost { reason, built_in, hostname, pid: 41 },
            ..cause(11)
        };
        let mut told = book(spec());
        told.happened(&lost);
        let body = raise_all(&mut told, at(0)).remove(0).body;
        assert_eq!(body["data"]["worker"]["name"], name);
        assert_eq!(body["data"]["hostname"], "rack-7");
        body["data"]["title"].as_str().unwrap().to_owned()
    };
    assert!(title("gpu-1", false).starts_with("worker gpu-1 on rack-7 (pid 41) is lost: it was"));
    assert!(title("rack-7", false).starts_with("worker rack-7 (pid 41) is lost"));
    assert!(title("built-in", true).starts_with("the server on rack-7 (pid 41) ended"));
}
