//! Schedules in the start-up index: where each stands, which of its tasks may not have been made,
//! and which ends it has not counted.

use serde::{Deserialize, Serialize};
use spark_events::codec::DomainEvent;
use spark_events::domain::schedule::{Next, Progress, ScheduleEvent, Stage};
use spark_events::domain::task::{TaskStatus, Trigger};
use spark_events::{CodecError, RecordedEvent, Revision, ScheduleId, TaskId, Timestamp};

use super::Index;
use crate::schedule::Dormant;

/// A schedule, as far as the timetable needs it. Instants in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScheduleNote {
    revision: u64,
    /// The event that holds the specification.
    spec_revision: u64,
    stage: NoteStage,
    counts_ends: bool,
    progress: Progress,
}

/// The domain's `Stage` in few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum NoteStage {
    Active { due_us: i64, starts_us: i64 },
    Paused { since_us: i64 },
    Completed,
}

fn at(us: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(us).unwrap_or(Timestamp::MAX_UTC)
}

impl From<Stage> for NoteStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Active { next } => Self::Active {
                due_us: next.due_at.timestamp_micros(),
                starts_us: next.starts_at.timestamp_micros(),
            },
            Stage::Paused { since } => Self::Paused { since_us: since.timestamp_micros() },
            Stage::Completed => Self::Completed,
        }
    }
}

impl From<NoteStage> for Stage {
    fn from(note: NoteStage) -> Self {
        match note {
            NoteStage::Active { due_us, starts_us } => {
                Self::Active { next: Next { due_at: at(due_us), starts_at: at(starts_us) } }
            }
            NoteStage::Paused { since_us } => Self::Paused { since: at(since_us) },
            NoteStage::Completed => Self::Completed,
        }
    }
}

/// A task that was fired and is not known to have been created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandOver {
    pub(crate) schedule: ScheduleId,
    due_at_us: Option<i64>,
    backfill: Option<u32>,
}

impl HandOver {
    /// What asked for the task.
    pub(crate) fn trigger(&self) -> Trigger {
        let schedule_id = self.schedule;
        match (self.due_at_us.map(at), self.backfill) {
            (Some(due_at), None) => Trigger::Occurrence { schedule_id, due_at },
            (Some(due_at), Some(number)) => Trigger::Backfill { schedule_id, due_at, number },
            (None, _) => Trigger::ScheduleTriggered { schedule_id },
        }
    }
}

/// The end of a task that its schedule is not known to have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uncounted {
    pub(crate) schedule: ScheduleId,
    pub(crate) status: TaskStatus,
}

impl Index {
    pub(crate) fn schedules(&self) -> impl Iterator<Item = (ScheduleId, Dormant)> + '_ {
        self.schedules.iter().map(move |(id, note)| {
            let dormant = Dormant {
                revision: Revision(note.revision),
                spec_revision: Revision(note.spec_revision),
                stage: note.stage.into(),
                counts_ends: note.counts_ends,
                progress: note.progress.clone(),
            };
            (*id, dormant)
        })
    }

    /// Notes the end of a task that its schedule has to count: a failure, or a success after one.
    pub(super) fn task_ended(&mut self, id: TaskId, status: TaskStatus) {
        let owner = self.tasks.remove(&id).and_then(|task| task.owner);
        let Some(schedule) = owner.map(|owner| owner.schedule) else { return };
        let Some(note) = self.schedules.get(&schedule).filter(|note| note.counts_ends) else {
            return;
        };
        let counts = status == TaskStatus::Failed
            || note.progress.failures > 0
            || self.uncounted.values().any(|ended| ended.schedule == schedule);
        if counts {
            self.uncounted.insert(id, Uncounted { schedule, status });
        }
    }

    fn forget_ends(&mut self, of: ScheduleId) {
        self.uncounted.retain(|_, ended| ended.schedule != of);
    }

    pub(super) fn schedule(
        &mut self,
        id: ScheduleId,
        recorded: &RecordedEvent,
    ) -> Result<(), CodecError> {
        let event = ScheduleEvent::from_recorded(recorded)?;
        let revision = recorded.revision.0;
        let fired = match &event {
            ScheduleEvent::Created(e) => {
                let next = event
                    .next()
                    .unwrap_or(Next { due_at: e.next_due_at, starts_at: e.next_due_at });
                let note = ScheduleNote {
                    revision,
                    spec_revision: revision,
                    stage: Stage::Active { next }.into(),
                    counts_ends: e.spec.pause_after.is_some(),
                    progress: Progress::default(),
                };
                self.schedules.insert(id, note);
                return Ok(());
            }
            ScheduleEvent::Deleted(_) => {
                self.schedules.remove(&id);
                self.forget_ends(id);
                return Ok(());
            }
            ScheduleEvent::Fired(e) => Some((e.task_id, Some(e.due_at), None)),
            ScheduleEvent::Triggered(e) => Some((e.task_id, None, None)),
            ScheduleEvent::Backfilled(e) => Some((e.task_id, Some(e.due_at), Some(e.number))),
            ScheduleEvent::TaskEnded(e) => {
                self.uncounted.remove(&e.task_id);
                None
            }
            // Whoever resumes it starts the count anew.
            ScheduleEvent::Paused(_) => {
                self.forget_ends(id);
                None
            }
            ScheduleEvent::Edited(e) if e.spec.pause_after.is_none() => {
                self.forget_ends(id);
                None
            }
            _ => None,
        };
        if let Some((task_id, due_at, backfill)) = fired {
            let due_at_us = due_at.map(|due_at| due_at.timestamp_micros());
            self.hand_overs.insert(task_id, HandOver { schedule: id, due_at_us, backfill });
        }
        if let Some(note) = self.schedules.get_mut(&id) {
            note.revision = revision;
            if let ScheduleEvent::Edited(e) = &event {
                note.spec_revision = revision;
                note.counts_ends = e.spec.pause_after.is_some();
            }
            note.stage = Stage::from(note.stage).after(&event).into();
            note.progress.take(&event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spark_events::clock::Clock;
    use spark_events::domain::failure::{Failure, FailureClass};
    use spark_events::domain::recurrence::{Recurrence, Timetable};
    use spark_events::domain::retry::{GiveUp, RetryPolicy};
    use spark_events::domain::schedule::{
        OnDrift, ScheduleCreated, SchedulePaused, ScheduleSpec, ScheduleTaskEnded,
    };
    use spark_events::domain::task::{TaskCompleted, TaskEvent, TaskFailed, TaskSpec};
    use spark_events::log::memory::MemoryLog;
    use spark_events::{
        EventLog, ExpectedRevision, FlowId, NewEvent, Payload, SourceId, StreamName, SystemClock,
        ids,
    };

    use super::*;
    use crate::requests::Who;

    const SCHEDULE: ScheduleId = ScheduleId(uuid::Uuid::nil());

    /// A log with a schedule that counts failures.
    struct Told {
        log: MemoryLog,
        flow: FlowId,
        source: SourceId,
    }

    impl Told {
        async fn start() -> Self {
            let log = MemoryLog::new(Arc::new(SystemClock));
            let told = Self { log, flow: FlowId::random(), source: SourceId::random() };
            let now = SystemClock.now();
            let timetable = Timetable::from(Recurrence::interval(60_000, now));
            let spec = ScheduleSpec {
                name: None,
                note: None,
                flow_id: told.flow,
                source_id: told.source,
                catch_up_ms: ScheduleSpec::default_catch_up_ms(&timetable),
                timetable,
                input: Payload::Inline("".into()),
                tweaks: None,
                overlap: spark_events::domain::overlap::Overlap::Skip,
                retry: RetryPolicy::default(),
                timeout_ms: 60_000,
                queue_timeout_ms: None,
                total_timeout_ms: None,
                priority: None,
                runs_max: None,
                pause_after: Some(3),
                on_drift: OnDrift::Run,
            };
            let (next_due_at, next_starts_at) = (now, None);
            let zone_data = "2025b".into();
            let created = ScheduleCreated { spec, next_due_at, next_starts_at, zone_data };
            told.schedule(ScheduleEvent::Created(Box::new(created))).await;
            told
        }

        async fn append(&self, stream: StreamName, event: impl DomainEvent) {
            let (event_type, schema_version, data) = event.encode().unwrap();
            let metadata = Who::system().metadata();
            let id = ids::new_uuid();
            let event = NewEvent { id, event_type, schema_version, data, metadata };
            self.log.append(&stream, ExpectedRevision::Any, vec![event]).await.unwrap();
        }

        async fn schedule(&self, event: ScheduleEvent) {
            self.append(SCHEDULE.stream(), event).await;
        }

        /// A task of the schedule, from its creation to its end.
        async fn task(&self, status: TaskStatus) -> TaskId {
            let id = TaskId::random();
            let spec = TaskSpec {
                flow_id: self.flow,
                source_id: self.source,
                input: Payload::Inline("".into()),
                tweaks: None,
                trigger: Trigger::ScheduleTriggered { schedule_id: SCHEDULE },
                retry: RetryPolicy::default(),
                timeout_ms: 60_000,
                priority: 0,
                queue_timeout_ms: None,
                total_timeout_ms: None,
                definition: None,
                held: false,
                created_at: None,
            };
            self.append(id.stream(), TaskEvent::Created(Box::new(spec))).await;
            let (failure, why) =
                (Failure::new(FailureClass::Component, "no"), GiveUp::NotRetryable);
            let output = Payload::Inline("".into());
            let end = match status {
                TaskStatus::Failed => TaskEvent::Failed(TaskFailed { attempts: 1, why, failure }),
                _ => TaskEvent::Completed(TaskCompleted { attempt: 1, output, duration_ms: 1 }),
            };
            self.append(id.stream(), end).await;
            id
        }

        async fn counted(&self, task_id: TaskId, status: TaskStatus, failures: u32) {
            let ended = ScheduleTaskEnded { task_id, status, failures };
            self.schedule(ScheduleEvent::TaskEnded(ended)).await;
        }

        async fn uncounted(&self) -> Vec<TaskId> {
            let dir = tempfile::tempdir().unwrap();
            let index = Index::advance(&self.log, &dir.path().join("index.bin"), u64::MAX).await;
            index.unwrap().uncounted.into_keys().collect()
        }
    }

    #[tokio::test]
    async fn only_ends_that_change_the_count_are_kept_until_they_are_counted() {
        use TaskStatus::{Completed, Failed};
        let told = Told::start().await;
        for _ in 0..3 {
            told.task(Completed).await;
        }
        assert!(told.uncounted().await.is_empty(), "a success among successes counts for nothing");
        let first = told.task(Failed).await;
        assert_eq!(told.uncounted().await, [first]);
        let second = told.task(Completed).await;
        assert_eq!(told.uncounted().await.len(), 2, "it will end the count of the first");
        told.counted(first, Failed, 1).await;
        told.counted(second, Completed, 0).await;
        assert!(told.uncounted().await.is_empty());
        told.task(Failed).await;
        let (at, note, dropped) = (SystemClock.now(), None, vec![]);
        told.schedule(ScheduleEvent::Paused(SchedulePaused { at, note, dropped })).await;
        assert!(told.uncounted().await.is_empty(), "a pause starts the count anew");
    }
}
