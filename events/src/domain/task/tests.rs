//! Given / when / then, and the properties that hold for every row of commands.

use proptest::prelude::*;

use super::*;
use crate::codec::DomainEvent;
use crate::domain::failure::FailureClass;
use crate::domain::fold;
use crate::domain::retry::{BadRetryPolicy, GiveUp, RetryPolicy};
use crate::ids::{FlowId, SourceId};
use crate::payload::Payload;
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
        priority: 0,
        queue_timeout_ms: None,
        total_timeout_ms: None,
        definition: None,
        held: false,
        created_at: None,
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
fn only_the_running_attempt_can_be_taken_up_again() {
    let reattach = TaskCommand::Reattach { attempt: 1, worker_id: WorkerId(Uuid::nil()) };
    let job = TaskCommand::RecordJob { attempt: 1, job_id: "j".into() };
    let task = given([create(4), start(1), job.clone(), reattach.clone()]);
    let Task::Running { attempt, .. } = &task else { panic!("{task:?}") };
    assert_eq!((attempt.worker_id, attempt.job_id.as_deref()), (WorkerId(Uuid::nil()), Some("j")));
    assert_eq!(task.decide(job, at(9)), Ok(vec![]), "known already");

    let refused =
        given([create(4), start(1), fail(1, FailureClass::Component)]).decide(reattach, at(9));
    assert_eq!(refused, Err(TaskRejection::StaleAttempt { got: 1, current: 1 }));
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

#[test]
fn priorities_and_limits_of_time_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut TaskSpec)| {
        let mut spec = spec(1);
        change(&mut spec);
        Task::Absent.decide(TaskCommand::Create(spec), at(0)).unwrap_err()
    };
    assert_eq!(refused(|spec| spec.priority = 101), TaskRejection::BadPriority(101));
    assert_eq!(refused(|spec| spec.priority = -101), TaskRejection::BadPriority(-101));
    let hasty = refused(|spec| spec.queue_timeout_ms = Some(999));
    assert_eq!(hasty, TaskRejection::BadQueueTimeout(999));
    let endless = refused(|spec| spec.total_timeout_ms = Some(u64::MAX));
    assert_eq!(endless, TaskRejection::BadTotalTimeout(u64::MAX));
}

fn create_with(change: impl FnOnce(&mut TaskSpec)) -> TaskCommand {
    let mut spec = spec(4);
    change(&mut spec);
    TaskCommand::Create(spec)
}

#[track_caller]
fn gave_up(events: &[TaskEvent]) -> GiveUp {
    let Some(TaskEvent::Failed(failed)) = events.last() else { panic!("{events:?}") };
    failed.why
}

#[test]
fn a_task_that_waits_too_long_for_an_attempt_is_not_tried() {
    let task = given([create_with(|spec| spec.queue_timeout_ms = Some(30_000))]);
    assert_eq!(task.waiting_ends_at(), Some(at(30)));
    assert_eq!(task.decide(TaskCommand::Expire, at(29)), Ok(vec![]));
    assert_eq!(names(&task.decide(start(1), at(29)).unwrap()), ["task.started"]);
    for command in [TaskCommand::Expire, start(1)] {
        let events = task.decide(command, at(30)).unwrap();
        assert_eq!(gave_up(&events), GiveUp::QueueTimeout);
        assert_eq!(fold(task.clone(), &events).status(), Some(TaskStatus::Failed));
    }
}

#[test]
fn the_wait_for_a_further_attempt_counts_from_its_instant() {
    let first = given([create_with(|spec| spec.queue_timeout_ms = Some(30_000))]);
    let first = fold(first.clone(), &first.decide(start(1), at(1)).unwrap());
    assert_eq!(first.decide(TaskCommand::Expire, at(9_000)), Ok(vec![]), "it is not waiting");
    let failed = first.decide(fail(1, FailureClass::Component), at(100)).unwrap();
    let waiting = fold(first, &failed);
    assert_eq!(waiting.waiting_ends_at(), Some(at(135)), "5 s of delay, then 30 s of waiting");
    let ended = waiting.decide(start(2), at(135)).unwrap();
    assert_eq!(gave_up(&ended), GiveUp::QueueTimeout);
    assert_eq!(fold(waiting, &ended).attempts(), 1);
}

#[test]
fn the_total_timeout_ends_waits_and_stops_retries() {
    let limited = || create_with(|spec| spec.total_timeout_ms = Some(60_000));
    let pending = given([limited()]);
    let ended = pending.decide(TaskCommand::Expire, at(60)).unwrap();
    assert_eq!(gave_up(&ended), GiveUp::TotalTimeout);

    let running = fold(pending.clone(), &pending.decide(start(1), at(1)).unwrap());
    assert_eq!(running.total_ends_at(), Some(at(60)));
    let soon = running.decide(fail(1, FailureClass::Component), at(54)).unwrap();
    assert_eq!(names(&soon), ["task.attempt_failed", "task.retry_scheduled"]);
    let late = running.decide(fail(1, FailureClass::Component), at(55)).unwrap();
    assert_eq!(gave_up(&late), GiveUp::TotalTimeout, "the retry would start at the very end");
    assert_eq!(fold(running, &late).status(), Some(TaskStatus::Failed));
}

#[test]
fn a_held_task_waits_for_its_release_and_its_time_counts_from_there() {
    let hold = create_with(|spec| {
        (spec.held, spec.queue_timeout_ms) = (true, Some(30_000));
    });
    let held = given([hold]);
    assert_eq!(held.status(), Some(TaskStatus::Pending));
    assert_eq!((held.waiting_ends_at(), held.not_before()), (None, None));
    assert_eq!(held.decide(TaskCommand::Expire, at(9_000)), Ok(vec![]));
    assert_eq!(held.decide(start(1), at(1)), Err(TaskRejection::WrongStage(TaskStatus::Pending)));
    let released = fold(held.clone(), &held.decide(TaskCommand::Release, at(9_000)).unwrap());
    assert_eq!(released.waiting_ends_at(), Some(at(9_030)));
    assert_eq!(released.decide(TaskCommand::Release, at(9_001)), Ok(vec![]), "already true");
    assert_eq!(names(&released.decide(start(1), at(9_001)).unwrap()), ["task.started"]);
    assert_eq!(names(&held.decide(TaskCommand::Cancel, at(1)).unwrap()), ["task.cancelled"]);
}

#[test]
fn a_forced_stop_is_recorded_at_once_and_leaves_the_run_to_itself() {
    let running = given([create(4), start(1)]);
    let events = running.decide(TaskCommand::Terminate, at(9)).unwrap();
    let cancelled = TaskCancelled { attempts: 1, remote: RemoteStop::LeftRunning };
    assert_eq!(events, [TaskEvent::Cancelled(cancelled)]);
    let ended = fold(running, &events);
    assert_eq!(ended.decide(TaskCommand::Terminate, at(9)), Ok(vec![]), "already true");
    let late = ended.decide(complete(1), at(10));
    assert_eq!(late, Err(TaskRejection::Ended(TaskStatus::Cancelled)));
    let pending = given([create(4)]).decide(TaskCommand::Terminate, at(9)).unwrap();
    let cancelled = TaskCancelled { attempts: 0, remote: RemoteStop::NotRunning };
    assert_eq!(pending, [TaskEvent::Cancelled(cancelled)]);
}

#[test]
fn only_an_ended_task_is_deleted_and_only_once() {
    for open in [given([create(4)]), given([create(4), start(1)])] {
        let refused = open.decide(TaskCommand::Delete, at(9)).unwrap_err();
        assert_eq!(refused, TaskRejection::StillOpen(open.status().unwrap()));
    }
    assert_eq!(Task::Absent.decide(TaskCommand::Delete, at(9)), Err(TaskRejection::Absent));
    let deleted = given([create(4), start(1), complete(1), TaskCommand::Delete]);
    assert_eq!(deleted.status(), Some(TaskStatus::Completed), "how it ended is still known");
    assert_eq!(deleted.decide(TaskCommand::Delete, at(9_000)), Ok(vec![]), "already true");
    assert_eq!(deleted.decide(TaskCommand::Cancel, at(9_000)), Err(TaskRejection::Deleted));
    assert_eq!(deleted.decide(create(4), at(9_000)), Ok(vec![]), "a repeat makes no second one");
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
        Just(TaskCommand::Terminate),
        Just(TaskCommand::Release),
        Just(TaskCommand::Expire),
        Just(TaskCommand::Delete),
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
            let only_deleted = matches!(events.as_slice(), [] | [TaskEvent::Deleted(_)]);
            prop_assert!(!ended || only_deleted, "an ended task went on: {events:?}");
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

#[track_caller]
fn continues(task: &Task) -> Option<u32> {
    let Task::Running { attempt, .. } = task else { panic!("{task:?}") };
    attempt.continues
}

#[test]
fn after_a_lost_worker_the_next_attempt_continues_its_background_job() {
    let lost = || [create(9), start(1), fail(1, FailureClass::WorkerLost), start(2)];
    let second = given(lost());
    assert_eq!(continues(&second), Some(1));
    let Task::Running { attempt, .. } = &second else { panic!("{second:?}") };
    assert_eq!((attempt.number, attempt.known_as()), (2, 1));
    let both = given(lost().into_iter().chain([fail(2, FailureClass::WorkerLost), start(3)]));
    assert_eq!(continues(&both), Some(1), "the source knows all of them as the first");
    let never = given(lost().into_iter().chain([fail(2, FailureClass::Unreachable), start(3)]));
    assert_eq!(continues(&never), Some(1), "the second never got hold of the job");
    let job = TaskCommand::RecordJob { attempt: 2, job_id: "j".into() };
    let found = [job, fail(2, FailureClass::Component), start(3)];
    assert_eq!(continues(&given(lost().into_iter().chain(found))), None, "the job is known to end");
}

#[test]
fn nothing_is_continued_where_no_job_can_be_left() {
    let other = given([create(9), start(1), fail(1, FailureClass::Interrupted), start(2)]);
    assert_eq!(continues(&other), None);
    let direct = |attempt| TaskCommand::Start {
        attempt,
        worker_id: worker(),
        mode: CallMode::Direct,
        definition_hash: None,
    };
    let lost = given([create(9), direct(1), fail(1, FailureClass::WorkerLost), start(2)]);
    assert_eq!(continues(&lost), None, "a direct call ended with its worker");
    let now_direct = given([create(9), start(1), fail(1, FailureClass::WorkerLost), direct(2)]);
    assert_eq!(continues(&now_direct), None, "a direct call has no key");
}

#[test]
fn a_background_job_outlives_its_worker_unless_the_worker_may_be_alive() {
    let attempt = |mode| {
        let start =
            TaskCommand::Start { attempt: 1, worker_id: worker(), mode, definition_hash: None };
        let task = given([create(4), start]);
        let Task::Running { attempt, .. } = task else { panic!("{task:?}") };
        attempt
    };
    let class = |mode, end| match attempt(mode).hand_over(end) {
        HandOver::TakeUpAgain => None,
        HandOver::Fail(failure) => Some(failure.class),
    };
    let (background, direct) = (CallMode::Background, CallMode::Direct);
    assert_eq!(class(background, WorkerEnd::Lost), Some(FailureClass::WorkerLost));
    assert_eq!(class(direct, WorkerEnd::Lost), Some(FailureClass::WorkerLost));
    assert_eq!(class(background, WorkerEnd::Replaced), None);
    assert_eq!(class(direct, WorkerEnd::Replaced), Some(FailureClass::WorkerLost));
    assert_eq!(class(background, WorkerEnd::Left), None);
    assert_eq!(class(direct, WorkerEnd::Left), Some(FailureClass::Interrupted));
}
