//! What can be asked about schedules.

use spark_events::domain::overlap::Overlap;
use spark_events::domain::schedule::{
    BackfillRequest, ScheduleCommand, ScheduleEvent, ScheduleSpec,
};
use spark_events::{ScheduleId, TaskId};

use super::Spark;
use crate::error::DispatchError;
use crate::requests::{Done, EditSchedule, NewSchedule, Triggered, Who};
use crate::schedules::SchedulesMessage;

impl Spark {
    /// Runs a flow again and again.
    ///
    /// # Errors
    /// As [`Self::create_task`], and `Rejected` for a timetable that cannot work.
    pub async fn create_schedule(
        &self,
        request: NewSchedule,
        who: &Who,
    ) -> Result<Done<ScheduleId>, DispatchError> {
        let _permit = self.admit()?;
        let flow = self.context().catalog.flow(request.flow_id)?;
        let options = self.options(request.flow_id, request.options, who).await?;
        let default_catch_up_ms = ScheduleSpec::default_catch_up_ms(&request.timetable);
        let spec = Box::new(ScheduleSpec {
            name: request.name,
            note: request.note,
            flow_id: request.flow_id,
            source_id: flow.source_id,
            catch_up_ms: request.catch_up_ms.unwrap_or(default_catch_up_ms),
            timetable: request.timetable,
            input: options.input,
            tweaks: options.tweaks,
            overlap: request.overlap,
            retry: options.retry,
            timeout_ms: options.timeout_ms,
            queue_timeout_ms: options.queue_timeout_ms,
            total_timeout_ms: options.total_timeout_ms,
            priority: Some(options.priority).filter(|priority| *priority != 0),
            runs_max: request.runs_max,
            pause_after: request.pause_after,
            on_drift: request.on_drift,
        });
        let id = ScheduleId::random();
        let done = self.schedule(id, ScheduleCommand::Create { id, spec }, who).await?;
        Ok(Done { value: id, position: done.position })
    }

    /// Changes what is named and leaves the rest as it is. Starts nothing by itself: a new
    /// timetable counts from now on.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (input, tweaks), `Rejected`, `Unavailable`, `ShuttingDown`, `Timeout`,
    /// `Unanswered`.
    pub async fn edit_schedule(
        &self,
        id: ScheduleId,
        request: EditSchedule,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let EditSchedule { flow_id, mut patch, input } = request;
        if let Some(Some(tweaks)) = &patch.tweaks {
            crate::flows::check_tweaks(self.context(), flow_id, tweaks).await?;
        }
        if let Some(input) = input {
            patch.input = Some(self.stored_input(input, who).await?);
        }
        let command = ScheduleCommand::Edit { id, patch: Box::new(patch) };
        Ok(self.schedule(id, command, who).await?.map(|_| ()))
    }

    /// Stops a schedule from firing until it is resumed.
    ///
    /// # Errors
    /// `NotFound`, `Rejected`, `Unavailable`, `ShuttingDown`, `Timeout`,
    /// `Unanswered`.
    pub async fn pause_schedule(
        &self,
        id: ScheduleId,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        Ok(self.schedule(id, ScheduleCommand::Pause, who).await?.map(|_| ()))
    }

    /// Lets a paused schedule fire again, from now on; what came due meanwhile is not made up for.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn resume_schedule(
        &self,
        id: ScheduleId,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        Ok(self.schedule(id, ScheduleCommand::Resume { id }, who).await?.map(|_| ()))
    }

    /// Starts a task of a schedule now. Takes no occurrence and works while paused. With an
    /// overlap policy of its own it may have to wait, or be refused.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn trigger_schedule(
        &self,
        id: ScheduleId,
        overlap: Option<Overlap>,
        who: &Who,
    ) -> Result<Done<Triggered>, DispatchError> {
        let _permit = self.admit()?;
        let task_id = TaskId::random();
        let open = self.context().open_tasks.of_schedule(id);
        let command = ScheduleCommand::Trigger { task_id, overlap, open };
        let done = self.schedule(id, command, who).await?;
        let waits = |event: &ScheduleEvent| matches!(event, ScheduleEvent::Buffered(_));
        Ok(done.map(|events| Triggered { task_id, waits: events.iter().any(waits) }))
    }

    /// Runs instants of the past, which the caller has chosen. Gives the backfill's number.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn backfill_schedule(
        &self,
        id: ScheduleId,
        request: BackfillRequest,
        who: &Who,
    ) -> Result<Done<u32>, DispatchError> {
        let _permit = self.admit()?;
        let command = ScheduleCommand::Backfill(Box::new(request));
        let done = self.schedule(id, command, who).await?;
        let number = |event: &ScheduleEvent| match event {
            ScheduleEvent::BackfillStarted(e) => Some(e.number),
            _ => None,
        };
        Ok(done.map(|events| events.iter().find_map(number).unwrap_or_default()))
    }

    /// Lets a backfill start nothing more; what it has started goes on.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn cancel_backfill(
        &self,
        id: ScheduleId,
        number: u32,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let command = ScheduleCommand::CancelBackfill { number };
        Ok(self.schedule(id, command, who).await?.map(|_| ()))
    }

    /// Deletes a schedule; its history and its tasks stay.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    pub async fn delete_schedule(
        &self,
        id: ScheduleId,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        Ok(self.schedule(id, ScheduleCommand::Delete, who).await?.map(|_| ()))
    }

    async fn schedule(
        &self,
        id: ScheduleId,
        command: ScheduleCommand,
        who: &Who,
    ) -> Result<Done<Vec<ScheduleEvent>>, DispatchError> {
        let terms = who.terms();
        let message = |reply| SchedulesMessage::Execute { id, command, terms, reply };
        self.ask(&self.0.tree.schedules, message).await
    }
}
