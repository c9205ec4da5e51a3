//! An attempt and its worker: how it is handed over, and what becomes of it when the worker is gone.

use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use spark_events::WorkerId;
use spark_events::clock::ms_between;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::source::Probe;
use spark_events::domain::task::{
    Attempt, CallMode, HandOver, Task, TaskCommand, TaskSpec, WorkerEnd,
};

use super::{ReceiptPort, TaskMessage, TaskState, answer, fail};
use crate::catalog::SourceEntry;
use crate::error::DispatchError;
use crate::langflow;
use crate::remote::{Held, Receipt};
use crate::remote_worker::RemoteMessage;
use crate::work::{Assignment, LimitOf, TimeLimit, capabilities_of};

impl TaskState {
    /// Begins the next attempt, or takes up the running one, in the slot just given.
    pub(super) async fn begin(
        &mut self,
        worker_id: WorkerId,
        myself: ActorRef<TaskMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(spec) = self.shell.state().spec().cloned() else {
            self.settle();
            return Ok(());
        };
        if self.context.workers.reach(worker_id).is_none() {
            // It has gone in the moment it was chosen.
            self.wait_again();
            return Ok(());
        }
        self.act_as(worker_id);
        if let Task::Running { attempt, .. } = self.shell.state() {
            let attempt = attempt.number;
            self.execute(TaskCommand::Reattach { attempt, worker_id }).await?;
        } else {
            let target = self.target(&spec);
            let continues = self.shell.state().continues().is_some();
            let mode =
                target.as_ref().map_or(CallMode::Direct, |(_, source)| mode_of(source, continues));
            let attempt = self.shell.state().attempts() + 1;
            let present = target.as_ref().ok().map(|(flow, _)| flow.definition_hash.clone());
            let definition_hash = spec.definition.clone().or(present);
            self.execute(TaskCommand::Start { attempt, worker_id, mode, definition_hash }).await?;
        }
        self.hand(myself)
    }

    /// Hands the running attempt to its worker.
    fn hand(&self, myself: ActorRef<TaskMessage>) -> Result<(), ActorProcessingErr> {
        let Task::Running { attempt, spec, .. } = self.shell.state() else {
            // It was cancelled, or ran out of time, in the moment it was given the slot.
            self.settle();
            return Ok(());
        };
        let (flow, source) = match self.target(spec) {
            Ok(target) => target,
            Err(failure) => return fail(attempt.number, failure, vec![], None),
        };
        let assignment = Box::new(Assignment {
            task_id: self.id,
            trace: self.metadata.correlation_id,
            attempt: attempt.clone(),
            time: self.time_limit(spec),
            spec: (**spec).clone(),
            flow,
            source,
            task: myself,
        });
        let reach = self.context.workers.reach(attempt.worker_id);
        match reach.map(|reach| reach.run(assignment)) {
            Some(Ok(())) => Ok(()),
            // It has gone since the attempt was recorded, and never got it.
            None | Some(Err(())) => {
                self.wait_again();
                Ok(())
            }
        }
    }

    /// The worker is there and never got the attempt: it is handed over again.
    pub(super) fn hand_again(
        &self,
        number: u32,
        myself: ActorRef<TaskMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match self.shell.state() {
            Task::Running { attempt, .. } if attempt.number == number => self.hand(myself),
            _ => Ok(()),
        }
    }

    /// An attempt that cannot have reached its worker was made by nobody, so another one makes it.
    pub(super) fn worker_gone(
        &self,
        worker: WorkerId,
        end: WorkerEnd,
        arrived: bool,
    ) -> Result<(), ActorProcessingErr> {
        match self.shell.state() {
            Task::Running { attempt, .. } if attempt.worker_id == worker => {
                if arrived {
                    return self.hand_over(None, end, None);
                }
                self.wait_again();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A running attempt that waits for a worker to follow it, beyond the task's total timeout: no
    /// worker is there whose own timer would end it.
    pub(super) async fn expire_unfollowed(&mut self) -> Result<(), ActorProcessingErr> {
        let Task::Running { attempt, .. } = self.shell.state() else { return Ok(()) };
        if self.context.workers.reach(attempt.worker_id).is_some() {
            // It was given a slot meanwhile.
            return Ok(());
        }
        let is_over =
            self.shell.state().total_ends_at().is_some_and(|at| at <= self.context.clock.now());
        if !is_over {
            self.wait_again();
            return Ok(());
        }
        let message = "the task did not end within its total timeout: no worker came that could \
                       follow the attempt, whose background job may still run at the source";
        self.end_running(Failure::new(FailureClass::Timeout, message)).await
    }

    /// The worker of the running attempt does not follow it any more.
    pub(super) fn hand_over(
        &self,
        number: Option<u32>,
        end: WorkerEnd,
        reply: Option<ReceiptPort>,
    ) -> Result<(), ActorProcessingErr> {
        let is_it = |attempt: &Attempt| number.is_none_or(|number| number == attempt.number);
        let receipt = match self.shell.state() {
            Task::Running { attempt, .. } if is_it(attempt) => match attempt.hand_over(end) {
                HandOver::TakeUpAgain => {
                    self.wait_again();
                    Receipt::Recorded
                }
                HandOver::Fail(failure) => return fail(attempt.number, failure, vec![], reply),
            },
            _ => Receipt::Stale,
        };
        answer(reply, receipt)
    }

    fn target(&self, spec: &TaskSpec) -> Result<(Arc<FlowSynced>, SourceEntry), Failure> {
        let gone = |error: DispatchError| {
            Failure::new(FailureClass::Gone, format!("{error}: it was removed here"))
        };
        let flow = self.context.catalog.flow(spec.flow_id).map_err(gone)?;
        let source = self.context.catalog.source(flow.source_id).map_err(gone)?;
        Ok((flow, source))
    }

    /// The attempt's own limit, or what is left of the task's where that is less.
    fn time_limit(&self, spec: &TaskSpec) -> TimeLimit {
        let ends_at = self.shell.state().total_ends_at();
        let left_ms = ends_at.map(|at| ms_between(self.context.clock.now(), at));
        match left_ms.filter(|left_ms| *left_ms < spec.timeout_ms) {
            Some(left_ms) => TimeLimit { ms: left_ms, of: LimitOf::Total },
            None => TimeLimit { ms: spec.timeout_ms, of: LimitOf::Attempt },
        }
    }

    /// After the death of the process. A worker in another process may still be making the call. A
    /// background job may still be alive at the source and is taken up again with the next slot. A
    /// direct call of the built-in worker died with the process.
    pub(super) async fn boot(
        &mut self,
        myself: ActorRef<TaskMessage>,
    ) -> Result<(), ActorProcessingErr> {
        if let Task::Running { attempt, .. } = self.shell.state() {
            if let Some(remote) = self.context.workers.remote(attempt.worker_id) {
                let held = Held { task_id: self.id, attempt: attempt.number };
                let cancelled = attempt.cancel_requested;
                if remote.cast(RemoteMessage::Expect { held, cancelled, task: myself }).is_ok() {
                    return Ok(());
                }
            }
            if attempt.mode == CallMode::Background {
                self.wait_again();
                return Ok(());
            }
        }
        let message = "Spark ended in the middle of the attempt (killed, crashed or restarted)";
        self.end_running(Failure::new(FailureClass::Interrupted, message)).await
    }

    /// Goes back into the queue, with the attempt under way if there is one. That must have a
    /// background job that can be taken up again, or have been made by nobody.
    fn wait_again(&self) {
        match self.shell.state() {
            Task::Running { attempt, spec, .. } => {
                self.requeue(spec, attempt.started_at, self.shell.state().total_ends_at());
            }
            _ => self.settle(),
        }
    }
}

/// How a call is made. One that is to find a background job is made as such, also where the source
/// is down now and what it offers is not known.
fn mode_of(source: &SourceEntry, continues: bool) -> CallMode {
    if continues && matches!(source.source.probe, Probe::Down { .. }) {
        return CallMode::Background;
    }
    langflow::mode_for(&capabilities_of(source))
}
