//! All alerts, and what they have to tell: a fold of the log. Says which events are worth a look,
//! who is to be told of what, and what is due. Pure; whoever keeps it follows the log, looks up
//! names, appends and sends.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::{about_many, about_one};
use super::{
    Alert, AlertEvent, AlertKind, AlertSpec, Cause, Gathered, LiveAlert, NewMessage, Next,
};
use crate::clock::Timestamp;
use crate::domain::Aggregate;
use crate::ids::{AlertId, FlowId, ScheduleId, SourceId, TaskId};
use crate::limits;
use crate::log::{Position, Revision};

/// All alerts, and what they have to tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertBook {
    alerts: BTreeMap<AlertId, Booked>,
    /// Rows of failed tasks, by the id of their schedule, else of their flow.
    failing: BTreeMap<Uuid, Failing>,
    /// Tasks made after a failure, which end the row when they complete.
    watched: BTreeMap<TaskId, Uuid>,
    /// Sources that are down, and since when.
    down: BTreeMap<SourceId, (Timestamp, Position)>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Booked {
    state: Alert,
    revision: Revision,
    /// What happened up to here is none of its business.
    from: Position,
    /// What it was about before it was changed, each up to a position, the oldest first: events
    /// that are still to be looked at are judged by what counted when they were recorded.
    before: VecDeque<(Position, AlertSpec)>,
    waiting: BTreeMap<AlertKind, Gathered>,
}

impl Booked {
    fn enabled(&self) -> Option<&LiveAlert> {
        self.state.live().ok().filter(|alert| alert.enabled)
    }
}

/// A row of failed tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// When the first of them failed.
    pub since: Timestamp,
    /// Where that stands in the log.
    pub position: Position,
    /// How many there are.
    pub failures: u64,
}

/// A message that an alert is to raise now.
#[derive(Debug, Clone, PartialEq)]
pub struct Raising {
    /// The alert.
    pub alert: AlertId,
    /// The message.
    pub message: NewMessage,
}

/// What is to be done next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Due {
    /// Messages to raise.
    pub raise: Vec<Raising>,
    /// Messages to send, of those that were raised.
    pub send: Vec<(AlertId, Uuid)>,
    /// When to ask again, if nothing else happens.
    pub again_at: Option<Timestamp>,
}

/// The thing whose tasks make a row: the schedule, else the flow.
fn row_of(schedule: Option<ScheduleId>, flow: FlowId) -> Uuid {
    schedule.map_or(flow.0, |schedule| schedule.0)
}

impl AlertBook {
    /// Takes an event of an alert. One that is known already changes nothing.
    pub fn take(&mut self, id: AlertId, revision: Revision, at: Position, event: &AlertEvent) {
        let known = self.alerts.get(&id);
        if known.is_some_and(|booked| booked.revision >= revision) {
            return;
        }
        let state = known.map(|booked| booked.state.clone()).unwrap_or_default().evolve(event);
        if state == Alert::Absent {
            return;
        }
        self.adopt(id, revision, at, event.starts(), state);
        if let AlertEvent::Raised(raised) = event {
            self.told(id, raised.kind, raised.count);
        }
    }

    /// Takes the state of an alert after an event at this position; `starts` says whether the alert
    /// tells of things from there on.
    pub fn adopt(
        &mut self,
        id: AlertId,
        revision: Revision,
        at: Position,
        starts: bool,
        state: Alert,
    ) {
        if state == Alert::Deleted {
            self.alerts.remove(&id);
            return;
        }
        let booked = self.alerts.entry(id).or_insert_with(|| Booked {
            state: Alert::Absent,
            revision,
            from: Position::START,
            before: VecDeque::new(),
            waiting: BTreeMap::new(),
        });
        if starts {
            booked.from = at;
            booked.before.clear();
        } else {
            booked.changes(at, &state);
        }
        booked.state = state;
        booked.revision = revision;
        if booked.enabled().is_none() {
            booked.waiting.clear();
        }
    }

    /// An alert as far as it is known, and the revision that this stands for.
    #[must_use]
    pub fn get(&self, id: AlertId) -> Option<(&Alert, Revision)> {
        self.alerts.get(&id).map(|booked| (&booked.state, booked.revision))
    }

    /// The alerts that are there.
    pub fn live(&self) -> impl Iterator<Item = (AlertId, &LiveAlert)> {
        self.alerts.iter().filter_map(|(id, booked)| Some((*id, booked.state.live().ok()?)))
    }

    /// Whether some alert is told of this kind.
    #[must_use]
    pub fn wants(&self, kind: AlertKind) -> bool {
        self.alerts.values().any(|booked| {
            booked.enabled().is_some_and(|alert| {
                let mut specs = booked.before.iter().map(|(_, spec)| spec).chain([&alert.spec]);
                specs.any(|spec| spec.kinds.contains(&kind))
            })
        })
    }

    /// Whether failed tasks are worth a look.
    #[must_use]
    pub fn wants_failures(&self) -> bool {
        self.wants(AlertKind::TaskFailed) || self.wants(AlertKind::TaskRecovered)
    }

    /// Whether new tasks are worth a look: something fails, so one of them may end that.
    #[must_use]
    pub fn wants_new_tasks(&self) -> bool {
        !self.failing.is_empty()
    }

    /// Whether the end of this task is worth a look.
    #[must_use]
    pub fn watches(&self, task: TaskId) -> bool {
        self.watched.contains_key(&task)
    }

    /// A task was made.
    pub fn task_created(&mut self, task: TaskId, schedule: Option<ScheduleId>, flow: FlowId) {
        let row = row_of(schedule, flow);
        if self.failing.contains_key(&row) && self.watched.len() < limits::ALERT_WATCHED_MAX {
            self.watched.insert(task, row);
        }
    }

    /// A task failed for good. Says which row of failures it stands in.
    pub fn task_failed(
        &mut self,
        task: TaskId,
        schedule: Option<ScheduleId>,
        flow: FlowId,
        (at, position): (Timestamp, Position),
    ) -> Failing {
        self.watched.remove(&task);
        let row = self.failing.entry(row_of(schedule, flow)).or_insert(Failing {
            since: at,
            position,
            failures: 0,
        });
        row.failures += 1;
        *row
    }

    /// A task completed. Says which row of failures it ended, if it did.
    pub fn task_completed(&mut self, task: TaskId) -> Option<Failing> {
        let row = self.watched.remove(&task)?;
        let failing = self.failing.remove(&row)?;
        self.watched.retain(|_, watched| *watched != row);
        Some(failing)
    }

    /// A schedule or a flow is gone, and with it its row of failures.
    pub fn forget_row(&mut self, id: Uuid) {
        if self.failing.remove(&id).is_some() {
            self.watched.retain(|_, watched| *watched != id);
        }
    }

    /// A source was found down. Whether that is news.
    pub fn source_down(&mut self, id: SourceId, at: Timestamp, position: Position) -> bool {
        let news = !self.down.contains_key(&id);
        if news {
            self.down.insert(id, (at, position));
        }
        news
    }

    /// A source was found up, or is gone. Says since when it was down, if it was.
    pub fn source_up(&mut self, id: SourceId) -> Option<(Timestamp, Position)> {
        self.down.remove(&id)
    }

    /// Whether some alert tells of this and wants more than to count it.
    #[must_use]
    pub fn wants_words(&self, cause: &Cause) -> bool {
        self.alerts.values().any(|booked| {
            booked.is_told(cause) && booked.waiting.get(&cause.kind).is_none_or(Gathered::has_room)
        })
    }

    /// Something happened: every alert that is to tell of it will.
    pub fn happened(&mut self, cause: &Cause) {
        for booked in self.alerts.values_mut() {
            if booked.is_told(cause) {
                booked.waiting.entry(cause.kind).or_default().add(cause);
            }
        }
    }

    /// Everything up to a position was looked at.
    pub fn looked(&mut self, through: Position) {
        for booked in self.alerts.values_mut() {
            while booked.before.front().is_some_and(|(until, _)| *until <= through) {
                booked.before.pop_front();
            }
        }
    }

    /// What is to be raised and sent now, and when to ask again. Of each alert and kind at most
    /// one message at a time is raised; ask again after it was.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Due {
        let mut due = Due::default();
        let mut later = |at: Timestamp| {
            due.again_at = Some(due.again_at.map_or(at, |earlier| earlier.min(at)));
        };
        for (id, booked) in &self.alerts {
            let Some(alert) = booked.enabled() else { continue };
            for (kind, waiting) in &booked.waiting {
                let message = match alert.next(*kind, waiting.count, now) {
                    Next::Nothing => None,
                    Next::NotBefore(at) => {
                        later(at);
                        None
                    }
                    Next::One => one(*id, alert, waiting),
                    Next::All => all(*id, alert, *kind, waiting, now),
                };
                due.raise.extend(message.map(|message| Raising { alert: *id, message }));
            }
            for (message_id, open) in &alert.open {
                if open.is_due(now) {
                    due.send.push((*id, *message_id));
                } else {
                    later(open.next_at);
                }
            }
        }
        due
    }

    /// A message was raised: what it tells waits no more.
    pub fn told(&mut self, id: AlertId, kind: AlertKind, count: u64) {
        let Some(booked) = self.alerts.get_mut(&id) else { return };
        let Some(waiting) = booked.waiting.get_mut(&kind) else { return };
        if count > 1 {
            *waiting = Gathered::default();
        } else {
            waiting.take_first();
        }
        if waiting.count == 0 {
            booked.waiting.remove(&kind);
        }
    }
}

impl Booked {
    /// The alert has another state from a position on.
    fn changes(&mut self, at: Position, state: &Alert) {
        let specs = self.state.live().ok().zip(state.live().ok());
        let Some((old, new)) = specs.map(|(old, new)| (&old.spec, &new.spec)) else { return };
        if old.is_about_the_same_as(new) {
            return;
        }
        self.before.push_back((at, old.clone()));
        if self.before.len() > limits::ALERT_CHANGES_MAX {
            self.before.pop_front();
        }
    }

    /// Whether this is to tell of something: it wants it, it was there when it happened, and has
    /// not told of it yet.
    fn is_told(&self, cause: &Cause) -> bool {
        self.enabled().is_some_and(|alert| {
            let at = cause.event.position;
            let earlier = self.before.iter().find(|(until, _)| at < *until);
            let spec = earlier.map_or(&alert.spec, |(_, spec)| spec);
            spec.matches(cause.kind, cause.about.subject())
                && cause.event.position > alert.through(cause.kind)
                && cause.since_position > self.from
        })
    }
}

fn one(id: AlertId, alert: &LiveAlert, waiting: &Gathered) -> Option<NewMessage> {
    let cause = waiting.first.front()?;
    Some(NewMessage {
        message_id: id.message(cause.event.id),
        kind: cause.kind,
        count: 1,
        through: cause.event.position,
        body: about_one(id, &alert.spec.name, cause),
    })
}

fn all(
    id: AlertId,
    alert: &LiveAlert,
    kind: AlertKind,
    waiting: &Gathered,
    now: Timestamp,
) -> Option<NewMessage> {
    let first = waiting.first.front()?;
    let (through, _) = waiting.last?;
    Some(NewMessage {
        message_id: id.message(first.event.id),
        kind,
        count: waiting.count,
        through,
        body: about_many(id, &alert.spec.name, kind, waiting, now),
    })
}
