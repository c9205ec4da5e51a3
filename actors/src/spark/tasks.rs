//! What can be asked of tasks: making them, stopping them, trying them again, putting them away.

use spark_events::codec::DomainEvent;
use spark_events::domain::component;
use spark_events::domain::flow::FlowSynced;
use spark_events::domain::source::Probe;
use spark_events::domain::task::{Task, TaskCommand, TaskEvent, TaskSpec, TaskStatus, Trigger};
use spark_events::limits::READ_EVENTS_MAX;
use spark_events::log::Direction;
use spark_events::{FlowId, Metadata, TaskId};

use super::{CheckedOptions, ENDED_FIRST, Spark};
use crate::definition;
use crate::error::{DispatchError, Rejection};
use crate::open_tasks::Owner;
use crate::requests::{
    Creation, Done, IdempotencyKey, NewTask, RetryTask, RunOptions, RunVersion, Who,
};
use crate::tasks::TasksMessage;
use spark_events::domain::task::TaskRejection;

impl Spark {
    /// Runs a flow once.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (input, tweaks, policies), `Overloaded`, `Unavailable`,
    /// `ShuttingDown`, `Timeout`.
    pub async fn create_task(
        &self,
        request: NewTask,
        who: &Who,
    ) -> Result<Done<TaskId>, DispatchError> {
        self.create_task_with(request, Creation::default(), who).await
    }

    /// Makes a task that may be held, and that is made once however often it is asked for with
    /// the same key. Where it exists already, the position is `None`.
    ///
    /// # Errors
    /// As [`Self::create_task`]; `Rejected` with [`TaskRejection::Exists`] where the key was used
    /// for something else.
    pub async fn create_task_with(
        &self,
        request: NewTask,
        how: Creation,
        who: &Who,
    ) -> Result<Done<TaskId>, DispatchError> {
        let _permit = self.admit()?;
        let spec = TaskSpec { held: how.held, ..self.task_spec(request, who).await? };
        self.make(how.key, spec, who).await
    }

    /// Tries an ended task again, as a new task with the same input that names the old one.
    ///
    /// # Errors
    /// As [`Self::create_task`]; `Conflict` while the old task is open.
    pub async fn retry_task(&self, id: TaskId, who: &Who) -> Result<Done<TaskId>, DispatchError> {
        self.retry_task_with(id, RetryTask::default(), who).await
    }

    /// The same with another input, other tweaks or another definition of the flow.
    ///
    /// # Errors
    /// As [`Self::retry_task`]; `Invalid` for a definition that there is not, or that the source
    /// cannot run; `Rejected` as [`Self::create_task_with`].
    pub async fn retry_task_with(
        &self,
        id: TaskId,
        request: RetryTask,
        who: &Who,
    ) -> Result<Done<TaskId>, DispatchError> {
        let _permit = self.admit()?;
        let old = self.read_task(id).await?;
        let Some(spec) = ended(&old, id)?.cloned() else {
            return Err(DispatchError::NotFound { kind: "task", id: id.to_string() });
        };
        // The flow may have moved to another source by a new sync; it must still be here.
        let present = self.context().catalog.flow(spec.flow_id)?;
        let then = self.version(id, spec.flow_id, &request.version).await?;
        let tweaks = match request.tweaks {
            None => spec.tweaks.clone(),
            Some(tweaks) => {
                let components = &then.as_ref().unwrap_or(&present).components;
                component::check_tweaks(components, &tweaks)
                    .map_err(|error| DispatchError::Invalid(error.to_string()))?;
                Some(tweaks)
            }
        };
        let input = match request.input {
            None => spec.input.clone(),
            Some(input) => {
                let options = RunOptions { input, ..RunOptions::default() };
                self.options(spec.flow_id, options, who).await?.input
            }
        };
        let again = TaskSpec {
            input,
            tweaks,
            trigger: Trigger::RetryOf { task_id: id },
            priority: request.priority.unwrap_or(spec.priority),
            definition: then.map(|flow| flow.definition_hash),
            held: false,
            created_at: None,
            ..spec
        };
        self.make(request.key, again, who).await
    }

    /// Stops a task: at once where no attempt is running, else as soon as the source has stopped.
    ///
    /// # Errors
    /// `NotFound`, `Rejected` when it has ended, `Unavailable`, `ShuttingDown`, `Timeout`.
    pub async fn cancel_task(&self, id: TaskId, who: &Who) -> Result<Done<()>, DispatchError> {
        self.command_task(id, TaskCommand::Cancel, who).await
    }

    /// Ends a task now, whatever it is doing; a run at the source is left to itself.
    ///
    /// # Errors
    /// As [`Self::cancel_task`].
    pub async fn terminate_task(&self, id: TaskId, who: &Who) -> Result<Done<()>, DispatchError> {
        self.command_task(id, TaskCommand::Terminate, who).await
    }

    /// Lets a held task start. One that was released before is left as it is.
    ///
    /// # Errors
    /// As [`Self::cancel_task`].
    pub async fn release_task(&self, id: TaskId, who: &Who) -> Result<Done<()>, DispatchError> {
        self.command_task(id, TaskCommand::Release, who).await
    }

    /// Puts an ended task out of sight; its history stays.
    ///
    /// # Errors
    /// As [`Self::cancel_task`]; `Rejected` while it is open.
    pub async fn delete_task(&self, id: TaskId, who: &Who) -> Result<Done<()>, DispatchError> {
        self.command_task(id, TaskCommand::Delete, who).await
    }

    async fn command_task(
        &self,
        id: TaskId,
        command: TaskCommand,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let mut tries = 0;
        loop {
            let (command, terms) = (command.clone(), who.terms());
            let reply = |reply| TasksMessage::Command { id, command, terms, reply: Some(reply) };
            match self.ask(&self.0.tree.tasks, reply).await {
                // An incarnation ends with its attempt, and whatever waits in its mailbox with it.
                // The next one is asked the same; what had happened after all is true already.
                Err(DispatchError::Internal(why)) if why == ENDED_FIRST && tries < 3 => tries += 1,
                answered => return answered,
            }
        }
    }

    /// Makes a task under the key's id, or a new one. A task that exists is compared here, so that
    /// asking again disturbs nobody.
    async fn make(
        &self,
        key: Option<IdempotencyKey>,
        spec: TaskSpec,
        who: &Who,
    ) -> Result<Done<TaskId>, DispatchError> {
        let Some(key) = key else {
            return self.submit(TaskId::random(), spec, who.metadata()).await;
        };
        let id = key.task_id(&who.actor);
        let existing = match self.read_task(id).await {
            Ok(task) => task,
            Err(DispatchError::NotFound { .. }) => {
                return self.submit(id, spec, who.metadata()).await;
            }
            Err(error) => return Err(error),
        };
        if existing.spec().is_some_and(|existing| existing.asks_the_same(&spec)) {
            return Ok(Done { value: id, position: None });
        }
        Err(DispatchError::Rejected(Rejection::Task(TaskRejection::Exists)))
    }

    async fn submit(
        &self,
        id: TaskId,
        spec: TaskSpec,
        metadata: Metadata,
    ) -> Result<Done<TaskId>, DispatchError> {
        self.0.context.open_tasks.open(id, Owner::of(&spec.trigger))?;
        let spec = Box::new(spec);
        let message = |reply| TasksMessage::Create { id, spec, metadata, reply: Some(reply) };
        let done = self.ask(&self.0.tree.tasks, message).await?;
        Ok(Done { value: id, position: done.position })
    }

    async fn task_spec(&self, request: NewTask, who: &Who) -> Result<TaskSpec, DispatchError> {
        let flow = self.0.context.catalog.flow(request.flow_id)?;
        let options = self.options(request.flow_id, request.options, who).await?;
        let CheckedOptions {
            input,
            tweaks,
            retry,
            timeout_ms,
            priority,
            queue_timeout_ms,
            total_timeout_ms,
        } = options;
        Ok(TaskSpec {
            flow_id: request.flow_id,
            source_id: flow.source_id,
            input,
            tweaks,
            trigger: Trigger::Manual,
            retry,
            timeout_ms,
            priority,
            queue_timeout_ms,
            total_timeout_ms,
            definition: None,
            held: false,
            created_at: None,
        })
    }

    /// The flow as it was in the version that is asked for; `None` for the present one.
    async fn version(
        &self,
        old: TaskId,
        flow: FlowId,
        version: &RunVersion,
    ) -> Result<Option<FlowSynced>, DispatchError> {
        let hash = match version {
            RunVersion::Now => return Ok(None),
            RunVersion::Hash(hash) => hash.clone(),
            RunVersion::Then => self.definition_of(old).await?,
        };
        let context = self.context();
        let then = definition::find(context.log.as_ref(), flow, &hash).await?;
        let present = context.catalog.flow(flow)?;
        let source = context.catalog.source(present.source_id)?;
        let refuses = match &source.source.probe {
            Probe::Up { capabilities } => !capabilities.background_jobs,
            // Whether it can is seen when it is back.
            Probe::Down { .. } => false,
        };
        if refuses && then.definition_hash != present.definition_hash {
            return Err(DispatchError::Invalid(definition::not_offered(&source.source.name)));
        }
        Ok(Some(then))
    }

    /// The hash of the definition that the last attempt of a task ran.
    async fn definition_of(&self, id: TaskId) -> Result<String, DispatchError> {
        let log = &self.context().log;
        let stream = id.stream();
        let read = log.read_stream(&stream, None, Direction::Backward, READ_EVENTS_MAX);
        for event in &read.await? {
            if let TaskEvent::Started(started) = TaskEvent::from_recorded(event)?
                && let Some(hash) = started.definition_hash
            {
                return Ok(hash);
            }
        }
        Err(DispatchError::Invalid(format!(
            "no attempt of task {id} ran a definition that is known; retry it with the present \
             one: --flow-version now"
        )))
    }
}

/// What an ended task was to do.
fn ended(task: &Task, id: TaskId) -> Result<Option<&TaskSpec>, DispatchError> {
    if matches!(task, Task::Deleted { .. }) {
        return Err(DispatchError::Rejected(Rejection::Task(TaskRejection::Deleted)));
    }
    if task.status().is_some_and(|status| !status.is_ended()) {
        return Err(DispatchError::Conflict(format!(
            "task {id} is still {}; wait for its end or cancel it first",
            task.status().map_or("open", TaskStatus::as_str)
        )));
    }
    Ok(task.spec())
}
