//! Given / when / then, and the properties that hold for every row of commands.

use proptest::prelude::*;

use super::*;
use crate::codec::DomainEvent;
use crate::domain::failure::FailureClass;
use crate::domain::fold;
use crate::domain::retry::{BadRetryPolicy, GiveUp};
use uuid::Uuid;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn worker() -> WorkerId {
    WorkerId(Uuid::from_u128(7))
}

fn spec(attempts_max: u32) -> Box<TaskSpec> {
    Box::new(TaskSpec {
        flow_id: FlowId(Uuid::from_u128(1)),
        source_id: SourceId(Uuid::from_u128(2)),
        input: Payload::Inline("hello".into()),
        tweaks: None,
        trigger: Trigger::Manual,
        retry: RetryPolicy { attempts_max, ..RetryPolicy::default() },
        timeout_ms: 60_000,
    })
}

fn start(attempt: u32) -> TaskCommand {
    let mode = CallMode::Background;
    TaskCommand::Start { attempt, worker_id: worker(), mode, definition_hash: None }
}

fn fail(attempt: u32, class: FailureClass) -> TaskCommand {
    let failure = Failure::new(class, "no");
    TaskCommand::Fail { attempt, failure, log: vec![], jitter_ppm: 1_000_000 }
}

fn complete(attempt: u32) -> TaskCommand {
    let output = Payload::Inline(serde_json::json!({ "text": "hello" }));
    TaskCommand::Complete { attempt, output, log: vec![] }
}

/// The state after commands that are all accepted, a second apart.
#[track_caller]
fn given(commands: impl IntoIterator<Item = TaskCommand>) -> Task {
    commands.into_iter().zip(0..).fold(Task::Absent, |task, (command, second)| {
        let events = task.decide(command, at(second * 1_000)).unwrap();
        fold(task, &events)
    })
}

#[track_caller]
fn names(events: &[TaskEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.encode().unwrap().0).collect()
}

fn create(attempts_max: u32) -> TaskCommand {
    TaskCommand::Create(spec(attempts_max))
}

#[test]
fn a_task_is_created_once() {
    let task = given([create(4)]);
    assert_eq!(task.status(), Some(TaskStatus::Pending));
    assert_eq!(task.decide(create(4), at(1)), Ok(vec![]), "a repeat is already true");
    assert_eq!(task.decide(create(3), at(1)), Err(TaskRejection::Exists));
}

#[test]
fn policies_and_timeouts_out_of_bounds_are_refused() {
    let refused = |spec| Task::Absent.decide(TaskCommand::Create(spec), at(0)).unwrap_err();
    assert_eq!(refused(spec(0)), TaskRejection::BadRetryPolicy(BadRetryPolicy::Attempts(0)));
    let mut hasty = spec(1);
    hasty.timeout_ms = 999;
    assert_eq!(refused(hasty), TaskRejection::BadTimeout(999));
}

#[test]
fn an_attempt_that_completes_ends_the_task() {
    let task = given([create(4), start(1), complete(1)]);
    assert_eq!(task.status(), Some(TaskStatus::Completed));
    assert_eq!(task.attempts(), 1);
    assert_eq!(
        task.decide(TaskCommand::Cancel, at(9)),
        Err(TaskRejection::Ended(TaskStatus::Completed))
    );
}

#[test]
fn a_failed_attempt_is_kept_and_another_one_is_scheduled() {
    let running = given([create(4), start(1)]);
    let events = running.decide(fail(1, FailureClass::Component), at(20)).unwrap();
    assert_eq!(names(&events), ["task.attempt_failed", "task.retry_scheduled"]);
    let waiting = fold(running, &events);
    assert!(
        matches!(waiting, Task::Waiting { attempts: 1, not_before, .. } if not_before == at(25)),
        "{waiting:?}"
    );
    assert_eq!(
        waiting.decide(start(2), at(24)),
        Err(TaskRejection::WrongStage(TaskStatus::Waiting)),
        "not before its instant"
    );
    assert_eq!(names(&waiting.decide(start(2), at(25)).unwrap()), ["task.started"]);
}

#[test]
fn the_last_attempt_and_a_hopeless_failure_end_the_task() {
    for (attempts_max, class, why) in [
        (1, FailureClass::Component, GiveUp::AttemptsExhausted),
        (4, FailureClass::Auth, GiveUp::NotRetryable),
    ] {
        let running = given([create(attempts_max), start(1)]);
        let events = running.decide(fail(1, class), at(20)).unwrap();
        let TaskEvent::Failed(failed) = &events[1] else { panic!("{events:?}") };
        assert_eq!(failed.why, why);
        assert_eq!(fold(running, &events).status(), Some(TaskStatus::Failed));
    }
}

#[test]
fn a_late_answer_of_an_older_attempt_changes_nothing() {
    let second = given([create(4), start(1), fail(1, FailureClass::Timeout), start(2)]);
    for late in [complete(1), fail(1, FailureClass::Timeout)] {
        let stale = TaskRejection::StaleAttempt { got: 1, current: 2 };
        assert_eq!(second.decide(late, at(9_000)), Err(stale));
    }
}

#[test]
fn a_pending_task_is_cancelled_at_once_and_a_running_one_when_it_has_stopped() {
    let pending = given([create(4)]);
    assert_eq!(names(&pending.decide(TaskCommand::Cancel, at(1)).unwrap()), ["task.cancelled"]);

    let asked = given([create(4), start(1), TaskCommand::Cancel]);
    assert_eq!(asked.status(), Some(TaskStatus::Running));
    assert_eq!(asked.decide(TaskCommand::Cancel, at(9)), Ok(vec![]), "asked already");
    let stopped = TaskCommand::RecordStopped { attempt: 1, remote: RemoteStop::Stopped };
    let events = asked.decide(stopped, at(9)).unwrap();
    assert_eq!(fold(asked, &events).status(), Some(TaskStatus::Cancelled));
}

#[test]
fn a_task_that_was_to_be_cancelled_is_not_tried_again() {
    let asked = given([create(4), start(1), TaskCommand::Cancel]);
    let events = asked.decide(fail(1, FailureClass::Interrupted), at(9)).unwrap();
    assert_eq!(fold(asked, &events).status(), Some(TaskStatus::Cancelled));
}

#[test]
fn a_result_that_beats_the_cancel_counts() {
    let task = given([create(4), start(1), TaskCommand::Cancel, complete(1)]);
    assert_eq!(task.status(), Some(TaskStatus::Completed));
}

#[test]
fn only_a_background_attempt_can_be_taken_up_again() {
    let reattach = TaskCommand::Reattach { attempt: 1, worker_id: WorkerId(Uuid::nil()) };
    let job = TaskCommand::RecordJob { attempt: 1, job_id: "j".into() };
    let task = given([create(4), start(1), job.clone(), reattach.clone()]);
    let Task::Running { attempt, .. } = &task else { panic!("{task:?}") };
    assert_eq!((attempt.worker_id, attempt.job_id.as_deref()), (WorkerId(Uuid::nil()), Some("j")));
    assert_eq!(task.decide(job, at(9)), Ok(vec![]), "known already");

    let mode = CallMode::Direct;
    let direct =
        TaskCommand::Start { attempt: 1, worker_id: worker(), mode, definition_hash: None };
    let refused = given([create(4), direct]).decide(reattach, at(9));
    assert_eq!(refused, Err(TaskRejection::WrongStage(TaskStatus::Running)));
}

#[test]
fn a_component_log_comes_in_the_same_batch_as_the_end_of_its_attempt() {
    let entry = ComponentLog {
        component: "Chat Input".into(),
        status: "ok".into(),
        started_at: None,
        latency_ms: Some(4),
        error: None,
    };
    let output = Payload::Inline("x".into());
    let command = TaskCommand::Complete { attempt: 1, output, log: vec![entry] };
    let events = given([create(4), start(1)]).decide(command, at(3)).unwrap();
    assert_eq!(names(&events), ["task.log_recorded", "task.completed"]);
}

fn any_class() -> impl Strategy<Value = FailureClass> {
    prop_oneof![
        Just(FailureClass::Component),
        Just(FailureClass::Auth),
        Just(FailureClass::Timeout),
        Just(FailureClass::Interrupted),
    ]
}

fn any_command() -> impl Strategy<Value = TaskCommand> {
    let attempt = 0_u32..6;
    prop_oneof![
        (0_u32..5).prop_map(create),
        attempt.clone().prop_map(start),
        (attempt.clone(), any_class()).prop_map(|(attempt, class)| fail(attempt, class)),
        attempt.clone().prop_map(complete),
        Just(TaskCommand::Cancel),
        attempt.clone().prop_map(|attempt| TaskCommand::RecordStopped {
            attempt,
            remote: RemoteStop::LeftRunning
        }),
        attempt.clone().prop_map(|attempt| TaskCommand::Reattach { attempt, worker_id: worker() }),
        attempt.prop_map(|attempt| TaskCommand::RecordJob { attempt, job_id: "j".into() }),
    ]
}

proptest! {
    #[test]
    fn every_row_of_commands_keeps_the_rules(commands in prop::collection::vec(any_command(), 0..40)) {
        let mut task = Task::default();
        let mut history: Vec<TaskEvent> = Vec::new();
        for (command, second) in commands.into_iter().zip(0..) {
            let ended = task.status().is_some_and(TaskStatus::is_ended);
            // Far enough apart that a retry is always due.
            let Ok(events) = task.decide(command, at(second * 1_000)) else { continue };
            prop_assert!(!ended || events.is_empty(), "an ended task went on: {events:?}");
            for event in &events {
                let (name, version, data) = event.encode().unwrap();
                prop_assert_eq!(&TaskEvent::decode(name, version, &data).unwrap(), event);
                let next = task.clone().evolve(event);
                let silent = matches!(event, TaskEvent::LogRecorded(_) | TaskEvent::AttemptFailed(_));
                prop_assert!(silent || next != task || matches!(event, TaskEvent::Reattached(_)),
                    "{event:?} was emitted and did not evolve {task:?}");
                task = next;
            }
            history.extend(events);
            if let Some(spec) = task.spec() {
                prop_assert!(task.attempts() <= spec.retry.attempts_max);
            }
        }
        prop_assert_eq!(&fold(Task::default(), &history), &task);
        for cut in 0..=history.len() {
            let (first, second) = history.split_at(cut);
            prop_assert_eq!(&fold(fold(Task::default(), first), second), &task);
        }
    }
}
