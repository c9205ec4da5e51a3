//! The start-up index: what is open or scheduled, folded from the whole log. Kept in a file that
//! can be thrown away: without it the fold starts at the beginning.
//!
//! It is brought forward by reading the log from the file's position on, at start and now and
//! then, so that a start never has to read much.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use spark_events::codec::DomainEvent;
use spark_events::domain::flow::{Flow, FlowEvent};
use spark_events::domain::source::{Source, SourceEvent};
use spark_events::domain::task::{TaskEvent, TaskStatus, TimeLimits};
use spark_events::domain::worker::{WorkerEvent, WorkerStage, WorkerStarted};
use spark_events::limits::READ_EVENTS_MAX;
use spark_events::{
    Aggregate, CodecError, EventLog, FlowId, KeyId, LogError, Position, RecordedEvent, ScheduleId,
    SourceId, TaskId, Timestamp, WorkerId,
};

use crate::dispatch::Queued;
use crate::open_tasks::Owner;

mod file;
mod keys;
mod schedules;

use keys::KeyNote;
pub(crate) use schedules::HandOver;
use schedules::{ScheduleNote, Uncounted};

/// Where an open task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskStage {
    /// It must not start before it is released.
    Held,
    Pending,
    /// With the worker that was last said to make the call.
    Running {
        worker: WorkerId,
    },
    Waiting {
        not_before_us: i64,
    },
}

/// An open task, as far as the queue needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenTask {
    pub(crate) source: SourceId,
    pub(crate) flow: FlowId,
    pub(crate) owner: Option<Owner>,
    pub(crate) priority: i32,
    limits: TimeLimits,
    /// From when on its time counts, in microseconds.
    since_us: Option<i64>,
    pub(crate) stage: TaskStage,
}

impl OpenTask {
    /// As the queue sees it.
    pub(crate) fn queued(&self, not_before: Timestamp) -> Queued {
        let (source, flow, priority) = (self.source, self.flow, self.priority);
        Queued { source, flow, priority, not_before }
    }

    /// How it stands in the queue, and when it expires there; `None` while it waits for no slot.
    pub(crate) fn waiting(&self, now: Timestamp) -> Option<(Queued, Option<Timestamp>)> {
        let since = self.since_us.and_then(Timestamp::from_timestamp_micros);
        let not_before = match self.stage {
            TaskStage::Held | TaskStage::Running { .. } => return None,
            TaskStage::Pending => since,
            TaskStage::Waiting { not_before_us } => Timestamp::from_timestamp_micros(not_before_us),
        };
        let not_before = not_before.unwrap_or(now);
        let queued = self.queued(not_before);
        Some((queued, since.and_then(|since| self.limits.waiting_ends_at(since, not_before))))
    }
}

/// The fold of the log.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    position: u64,
    /// Events of each source, as JSON with their types: a source has few.
    sources: BTreeMap<SourceId, Vec<(String, u16, Vec<u8>)>>,
    /// Events of each flow that still count, as JSON with their types: a handful.
    flows: BTreeMap<FlowId, Vec<(String, u16, Vec<u8>)>>,
    schedules: HashMap<ScheduleId, ScheduleNote>,
    pub(crate) tasks: BTreeMap<TaskId, OpenTask>,
    pub(crate) hand_overs: BTreeMap<TaskId, HandOver>,
    pub(crate) uncounted: BTreeMap<TaskId, Uncounted>,
    /// API keys; of the revoked ones the newest.
    keys: BTreeMap<KeyId, KeyNote>,
    /// Workers that have not said goodbye: what each is, as JSON, and its stage.
    workers: BTreeMap<WorkerId, (Vec<u8>, WorkerStage)>,
}

/// Why the log could not be folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("position {position}: {error}")]
    Codec { position: Position, error: CodecError },
}

impl Index {
    /// Reads the file, if there is a good one, and folds what the log holds beyond it; writes the
    /// file anew where at least `write_after` events were folded.
    pub(crate) async fn advance(
        log: &dyn EventLog,
        path: &Path,
        write_after: u64,
    ) -> Result<Self, IndexError> {
        let mut index = file::read(path).unwrap_or_default();
        let mut folded = 0;
        loop {
            let events = log.read_all(Position(index.position), READ_EVENTS_MAX).await?;
            for event in &events {
                let position = event.position;
                index.take(event).map_err(|error| IndexError::Codec { position, error })?;
            }
            folded += events.len() as u64;
            if events.len() < READ_EVENTS_MAX {
                break;
            }
        }
        if folded >= write_after {
            file::write(path, &index);
        }
        Ok(index)
    }

    pub(crate) fn position(&self) -> Position {
        Position(self.position)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = (SourceId, Source)> + '_ {
        self.sources.iter().map(|(id, events)| {
            let events = events.iter().filter_map(|(event_type, version, data)| {
                SourceEvent::decode(event_type, *version, data).ok()
            });
            (*id, events.fold(Source::default(), |state, event| state.evolve(&event)))
        })
    }

    pub(crate) fn flows(&self) -> impl Iterator<Item = (FlowId, Flow)> + '_ {
        self.flows.iter().map(|(id, events)| {
            let events = events.iter().filter_map(|(event_type, version, data)| {
                FlowEvent::decode(event_type, *version, data).ok()
            });
            (*id, events.fold(Flow::default(), |state, event| state.evolve(&event)))
        })
    }

    /// Workers that have not said goodbye.
    pub(crate) fn workers(
        &self,
    ) -> impl Iterator<Item = (WorkerId, WorkerStarted, WorkerStage)> + '_ {
        self.workers.iter().filter_map(|(id, (data, stage))| {
            serde_json::from_slice(data).ok().map(|started| (*id, started, *stage))
        })
    }

    fn take(&mut self, event: &RecordedEvent) -> Result<(), CodecError> {
        self.position = event.position.0;
        let Some(id) = event.stream.uuid() else { return Ok(()) };
        match event.stream.category() {
            TaskId::CATEGORY => self.task(TaskId(id), event)?,
            ScheduleId::CATEGORY => self.schedule(ScheduleId(id), event)?,
            SourceId::CATEGORY => {
                let stored =
                    (event.event_type.to_string(), event.schema_version, event.data.to_vec());
                match SourceEvent::from_recorded(event)? {
                    SourceEvent::Removed(_) => {
                        self.sources.remove(&SourceId(id));
                    }
                    SourceEvent::Added(_) | SourceEvent::Updated(_) => {
                        self.sources.entry(SourceId(id)).or_default().push(stored);
                    }
                    SourceEvent::Probed(_) => {
                        // Only the last probe counts.
                        let events = self.sources.entry(SourceId(id)).or_default();
                        events.retain(|(event_type, ..)| *event_type != stored.0);
                        events.push(stored);
                    }
                }
            }
            FlowId::CATEGORY => self.flow(FlowId(id), event)?,
            WorkerId::CATEGORY => self.worker(WorkerId(id), event)?,
            KeyId::CATEGORY => self.key(KeyId(id), event)?,
            _ => {}
        }
        Ok(())
    }

    fn worker(&mut self, id: WorkerId, event: &RecordedEvent) -> Result<(), CodecError> {
        let decoded = WorkerEvent::from_recorded(event)?;
        match (&decoded, WorkerStage::of(&decoded)) {
            (WorkerEvent::Started(_), _) => {
                self.workers.insert(id, (event.data.to_vec(), WorkerStage::Active));
            }
            (_, None) => {
                self.workers.remove(&id);
            }
            (_, Some(stage)) => {
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.1 = stage;
                }
            }
        }
        Ok(())
    }

    fn flow(&mut self, id: FlowId, event: &RecordedEvent) -> Result<(), CodecError> {
        let decoded = FlowEvent::from_recorded(event)?;
        if matches!(decoded, FlowEvent::Deleted(_)) {
            self.flows.remove(&id);
            return Ok(());
        }
        let known = self.flows.entry(id).or_default();
        // Only what the state is still made of is kept.
        known.retain(|(event_type, version, data)| {
            FlowEvent::decode(event_type, *version, data)
                .is_ok_and(|earlier| !decoded.supersedes(&earlier))
        });
        known.push((event.event_type.to_string(), event.schema_version, event.data.to_vec()));
        Ok(())
    }

    fn task(&mut self, id: TaskId, event: &RecordedEvent) -> Result<(), CodecError> {
        let stage = match TaskEvent::from_recorded(event)? {
            TaskEvent::Created(spec) => {
                self.hand_overs.remove(&id);
                let owner = Owner::of(&spec.trigger);
                let stage = if spec.held { TaskStage::Held } else { TaskStage::Pending };
                let task = OpenTask {
                    source: spec.source_id,
                    flow: spec.flow_id,
                    owner,
                    priority: spec.priority,
                    limits: spec.time_limits(),
                    since_us: spec.created_at.map(|at| at.timestamp_micros()),
                    stage,
                };
                self.tasks.insert(id, task);
                return Ok(());
            }
            TaskEvent::Released(e) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.since_us = Some(e.at.timestamp_micros());
                }
                TaskStage::Pending
            }
            TaskEvent::Started(e) => TaskStage::Running { worker: e.worker_id },
            TaskEvent::Reattached(e) => TaskStage::Running { worker: e.worker_id },
            TaskEvent::RetryScheduled(e) => {
                TaskStage::Waiting { not_before_us: e.not_before.timestamp_micros() }
            }
            TaskEvent::Completed(_) => {
                self.task_ended(id, TaskStatus::Completed);
                return Ok(());
            }
            TaskEvent::Failed(_) => {
                self.task_ended(id, TaskStatus::Failed);
                return Ok(());
            }
            TaskEvent::Cancelled(_) => {
                self.tasks.remove(&id);
                return Ok(());
            }
            TaskEvent::Submitted(_)
            | TaskEvent::LogRecorded(_)
            | TaskEvent::AttemptFailed(_)
            | TaskEvent::CancelRequested(_)
            | TaskEvent::Deleted(_) => return Ok(()),
        };
        if let Some(task) = self.tasks.get_mut(&id) {
            task.stage = stage;
        }
        Ok(())
    }
}
