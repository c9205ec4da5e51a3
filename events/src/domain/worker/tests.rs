//! The life of a worker, given / when / then.

use super::*;
use crate::domain::fold;

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn here(pid: u32, built_in: bool) -> WorkerStarted {
    WorkerStarted {
        hostname: "host".into(),
        pid,
        slots: 4,
        built_in,
        version: "0.1.0".into(),
        name: None,
        labels: Labels::default(),
        protocol: None,
        replaces: None,
    }
}

fn started(pid: u32) -> WorkerCommand {
    WorkerCommand::Start(here(pid, false))
}

fn lost() -> WorkerCommand {
    WorkerCommand::RecordLost { reason: "silent".into() }
}

#[track_caller]
fn given(commands: impl IntoIterator<Item = WorkerCommand>) -> Worker {
    commands.into_iter().fold(Worker::Absent, |worker, command| {
        let events = worker.decide(command, now()).unwrap();
        fold(worker, &events)
    })
}

#[track_caller]
fn stage(worker: &Worker) -> WorkerStage {
    let Worker::Here { stage, .. } = worker else { panic!("{worker:?}") };
    *stage
}

#[test]
fn a_worker_ends_once_in_good_order_or_not() {
    let active = given([started(1)]);
    assert_eq!(active.decide(started(1), now()), Ok(vec![]), "already true");
    assert_eq!(active.decide(started(2), now()), Err(WorkerRejection::Exists));
    for end in [WorkerCommand::Stop, lost()] {
        let gone = fold(active.clone(), &active.decide(end, now()).unwrap());
        assert_eq!(gone, Worker::Gone);
        assert_eq!(gone.decide(WorkerCommand::Stop, now()), Ok(vec![]));
        assert_eq!(gone.decide(lost(), now()), Ok(vec![]));
        assert_eq!(gone.decide(started(1), now()), Err(WorkerRejection::Exists));
        assert_eq!(gone.decide(WorkerCommand::Pause, now()), Err(WorkerRejection::Gone));
    }
    assert_eq!(Worker::Absent.decide(lost(), now()), Err(WorkerRejection::Absent));
    assert_eq!(Worker::Absent.decide(WorkerCommand::Drain, now()), Err(WorkerRejection::Absent));
}

#[test]
fn a_worker_is_paused_and_drained_and_takes_work_again() {
    let paused = given([started(1), WorkerCommand::Pause]);
    assert_eq!(stage(&paused), WorkerStage::Paused);
    assert_eq!(paused.decide(WorkerCommand::Pause, now()), Ok(vec![]), "already true");
    let draining = given([started(1), WorkerCommand::Pause, WorkerCommand::Drain]);
    assert_eq!(stage(&draining), WorkerStage::Draining);
    assert_eq!(draining.decide(WorkerCommand::Pause, now()), Err(WorkerRejection::IsDraining));
    let resumed = given([started(1), WorkerCommand::Drain, WorkerCommand::Resume]);
    assert_eq!(stage(&resumed), WorkerStage::Active);
}

#[test]
fn a_stop_is_not_taken_back_and_the_built_in_one_is_not_stopped() {
    let stopping = given([started(1), WorkerCommand::AskToStop]);
    assert_eq!(stage(&stopping), WorkerStage::Stopping);
    assert_eq!(stopping.decide(WorkerCommand::AskToStop, now()), Ok(vec![]));
    for late in [WorkerCommand::Pause, WorkerCommand::Resume, WorkerCommand::Drain] {
        assert_eq!(stopping.decide(late, now()), Err(WorkerRejection::IsStopping));
    }
    let built_in = given([WorkerCommand::Start(here(1, true))]);
    assert_eq!(built_in.decide(WorkerCommand::AskToStop, now()), Err(WorkerRejection::BuiltIn));
    assert!(built_in.decide(WorkerCommand::Drain, now()).is_ok());
}

#[test]
fn a_worker_that_cannot_work_is_refused() {
    let refused = |started| Worker::Absent.decide(WorkerCommand::Start(started), now());
    for name in ["", " ", "a ", "a\nb", BUILT_IN_NAME, &"x".repeat(limits::NAME_BYTES_MAX + 1)] {
        let started = WorkerStarted { name: Some(name.into()), ..here(1, false) };
        assert_eq!(refused(started), Err(WorkerRejection::BadName), "{name:?}");
    }
    for hostname in ["", "a\nb", &"x".repeat(limits::NAME_BYTES_MAX + 1)] {
        let started = WorkerStarted { hostname: hostname.into(), ..here(1, false) };
        assert_eq!(refused(started), Err(WorkerRejection::BadText("host name")), "{hostname:?}");
    }
    for slots in [0, limits::WORKER_SLOTS_MAX + 1] {
        let started = WorkerStarted { slots, ..here(1, false) };
        assert_eq!(refused(started), Err(WorkerRejection::BadSlots(slots)));
    }
}
