//! What becomes of the instants that are due and of the starts that wait: the catch-up window, the
//! overlap policy and the limit of starts, applied in one pass in the order of the instants.

use super::{
    Drifted, Live, Next, Open, Origin, ScheduleBuffered, ScheduleCompleted, ScheduleEvent,
    ScheduleFired, ScheduleSkipped, ScheduleSpec, ScheduleTriggerDropped, ScheduleTriggered,
    SkipReason, Stage, Waiting,
};
use crate::clock::{Timestamp, ms_between};
use crate::domain::overlap::{self, Admission, Overlap};
use crate::domain::recurrence::{DstNote, Occurrence, Recurrence, TimetablePlanner};
use crate::ids::{ScheduleId, TaskId};
use crate::limits;

impl From<Occurrence> for Next {
    fn from(occurrence: Occurrence) -> Self {
        Self { due_at: occurrence.due_at, starts_at: occurrence.starts_at }
    }
}

/// The next occurrence after `now`.
pub(super) fn next(spec: &ScheduleSpec, id: ScheduleId, now: Timestamp) -> Option<Next> {
    spec.timetable.planner(id).ok()?.next_after(now).map(Next::from)
}

/// The first occurrence of a new schedule. A single instant that has just passed still counts:
/// "now" was read from the clock a moment before it got here.
pub(super) fn first(spec: &ScheduleSpec, id: ScheduleId, now: Timestamp) -> Option<Next> {
    let instants = spec.timetable.specs.iter().filter_map(|spec| match spec {
        Recurrence::Once { at } => Some(*at),
        Recurrence::Cron { .. } | Recurrence::Calendar { .. } | Recurrence::Interval { .. } => None,
    });
    let after = instants
        .filter(|at| *at <= now)
        .min()
        .map_or(now, |at| at - chrono::TimeDelta::microseconds(1));
    next(spec, id, after)
}

/// A start that a pass decides about.
struct Pending {
    waiting: Waiting,
    /// Set for an instant that this pass has come across; `None` for a start that waited.
    new: Option<Walked>,
    admission: Admission,
    /// Set where the start is dropped before any policy is asked.
    doomed: Option<SkipReason>,
}

/// An instant that has come, and the one after it.
struct Walked {
    dst: Option<DstNote>,
    following: Option<Next>,
}

impl Live {
    /// One pass; at most about [`limits::WAKE_EVENTS_MAX`] events. What is left is for the next.
    pub(super) fn wake(
        &self,
        id: ScheduleId,
        open: Open,
        drift: Option<&Drifted>,
        now: Timestamp,
    ) -> Vec<ScheduleEvent> {
        let mut pending = self.waiting(now);
        if let Stage::Active { next } = self.stage
            && next.starts_at <= now
        {
            let Ok(planner) = self.spec.timetable.planner(id) else { return vec![] };
            self.walk(&planner, next, now, &mut pending);
        }
        if let Some(Drifted { remote_hash }) = drift {
            for start in &mut pending {
                if matches!(start.waiting.origin, Origin::Occurrence { .. }) {
                    let remote_hash = remote_hash.clone();
                    start.doomed.get_or_insert(SkipReason::Drift { remote_hash });
                }
            }
        }
        self.admit(&mut pending, open);
        let mut events = Outcomes::new(self, id, open).record(&pending);
        let starts = |event: &ScheduleEvent| {
            matches!(event, ScheduleEvent::Fired(_) | ScheduleEvent::Triggered(_))
        };
        let others_start = events.iter().any(starts) || self.progress.waits_for_room(&events);
        events.extend(self.continue_backfill(id, open, others_start));
        events
    }

    /// The starts that wait, those dropped that have waited too long.
    fn waiting(&self, now: Timestamp) -> Vec<Pending> {
        let pending = |waiting: &Waiting| {
            let late = match waiting.origin {
                Origin::Occurrence { due_at } => ms_between(due_at, now) > self.spec.catch_up_ms,
                Origin::Trigger { .. } => false,
            };
            Pending {
                waiting: *waiting,
                new: None,
                admission: Admission::Drop,
                doomed: late.then_some(SkipReason::CatchUpWindow),
            }
        };
        self.progress.waiting.iter().map(pending).collect()
    }

    /// Adds the instants that have come, a bounded number of them.
    fn walk(
        &self,
        planner: &TimetablePlanner,
        first: Next,
        now: Timestamp,
        pending: &mut Vec<Pending>,
    ) {
        let just_before = first.due_at - chrono::TimeDelta::microseconds(1);
        let mut ahead = planner.walk(just_before).peekable();
        let again = ahead.next_if(|due| due.due_at == first.due_at);
        let mut current = Some((first, again.and_then(|due| due.dst)));
        for _ in 0..limits::DUE_WALK_MAX {
            let Some((next, dst)) = current.filter(|(next, _)| next.starts_at <= now) else {
                return;
            };
            let following = ahead.next();
            let late = ms_between(next.starts_at, now) > self.spec.catch_up_ms;
            pending.push(Pending {
                waiting: Waiting {
                    origin: Origin::Occurrence { due_at: next.due_at },
                    overlap: None,
                },
                new: Some(Walked { dst, following: following.map(Next::from) }),
                admission: Admission::Drop,
                doomed: late.then_some(SkipReason::CatchUpWindow),
            });
            current = following.map(|due| (Next::from(due), due.dst));
        }
    }

    /// Asks the policies about every start that is not dropped already.
    fn admit(&self, pending: &mut [Pending], open: Open) {
        let asked: Vec<usize> =
            (0..pending.len()).filter(|place| pending[*place].doomed.is_none()).collect();
        let policies: Vec<Overlap> = asked
            .iter()
            .map(|place| pending[*place].waiting.overlap.unwrap_or(self.spec.overlap))
            .collect();
        let (admissions, _) = overlap::admit(&policies, open.rival.is_some());
        let mut waiting = 0;
        for (place, admission) in asked.iter().zip(admissions) {
            pending[*place].admission = match admission {
                Admission::ReplacedBy(newer) => Admission::ReplacedBy(asked[newer]),
                Admission::Start | Admission::Wait | Admission::Drop => admission,
            };
            if admission == Admission::Wait {
                waiting += 1;
                if waiting > limits::BUFFERED_STARTS_MAX {
                    pending[*place].doomed = Some(SkipReason::BufferFull);
                }
            }
        }
    }
}

impl super::Progress {
    /// Whether something that waits had no room in this pass.
    fn waits_for_room(&self, events: &[ScheduleEvent]) -> bool {
        let buffered = |event: &ScheduleEvent| matches!(event, ScheduleEvent::Buffered(_));
        !self.waiting.is_empty() || events.iter().any(buffered)
    }
}

/// Turns decisions into events.
struct Outcomes<'a> {
    live: &'a Live,
    id: ScheduleId,
    /// The task that is in the way: open before, or started by this pass.
    rival: Option<TaskId>,
    fired: u64,
    next: Option<Next>,
    events: Vec<ScheduleEvent>,
    /// The event whose span the next skipped instant may join.
    span: Option<usize>,
}

impl<'a> Outcomes<'a> {
    fn new(live: &'a Live, id: ScheduleId, open: Open) -> Self {
        let (fired, next) = (live.progress.fired, live.next());
        Self { live, id, rival: open.rival, fired, next, events: vec![], span: None }
    }

    fn record(mut self, pending: &[Pending]) -> Vec<ScheduleEvent> {
        for (place, start) in pending.iter().enumerate() {
            if self.events.len() >= limits::WAKE_EVENTS_MAX {
                return self.events;
            }
            if let Some(walked) = &start.new {
                self.next = walked.following;
            }
            self.outcome(start, pending);
            if self.is_used_up() {
                let dropped = given_up(pending, place);
                if self.live.next().is_some() || !dropped.is_empty() {
                    self.events.push(ScheduleEvent::Completed(ScheduleCompleted { dropped }));
                }
                return self.events;
            }
        }
        if self.next.is_none() && self.live.next().is_some() {
            self.events.push(ScheduleEvent::Completed(ScheduleCompleted::default()));
        }
        self.events
    }

    fn is_used_up(&self) -> bool {
        self.fired > self.live.progress.fired
            && self.live.spec.runs_max.is_some_and(|max| self.fired >= max)
    }

    fn outcome(&mut self, start: &Pending, pending: &[Pending]) {
        let dropped = match (&start.doomed, start.admission) {
            (Some(reason), _) => Some(reason.clone()),
            (None, Admission::Drop) => Some(match self.rival {
                Some(task_id) => SkipReason::Overlap { task_id },
                None => SkipReason::WaitingAlready,
            }),
            (None, Admission::ReplacedBy(newer)) => {
                let by = match pending[newer].waiting.origin {
                    Origin::Occurrence { due_at } => Some(due_at),
                    Origin::Trigger { .. } => None,
                };
                Some(SkipReason::Replaced { by })
            }
            (None, Admission::Start | Admission::Wait) => None,
        };
        match (dropped, start.admission) {
            (Some(reason), _) => self.dropped(start, reason),
            (None, Admission::Wait) => self.waits(start),
            (None, _) => self.starts(start),
        }
    }

    fn starts(&mut self, start: &Pending) {
        self.span = None;
        let (next_due_at, next_starts_at) = Next::fields(self.next);
        match start.waiting.origin {
            Origin::Occurrence { due_at } => {
                let task_id = TaskId::of_occurrence(self.id, due_at);
                let dst = start.new.as_ref().and_then(|walked| walked.dst);
                let fired = ScheduleFired { due_at, task_id, dst, next_due_at, next_starts_at };
                self.events.push(ScheduleEvent::Fired(fired));
                self.fired += 1;
                self.rival = Some(task_id);
            }
            Origin::Trigger { task_id } => {
                self.events.push(ScheduleEvent::Triggered(ScheduleTriggered { task_id }));
                self.rival = Some(task_id);
            }
        }
    }

    fn waits(&mut self, start: &Pending) {
        // A start that waited before goes on waiting, and nothing has happened.
        if start.new.is_some() {
            self.span = None;
            let (next_due_at, next_starts_at) = Next::fields(self.next);
            let Waiting { origin, overlap } = start.waiting;
            let buffered = ScheduleBuffered { origin, overlap, next_due_at, next_starts_at };
            self.events.push(ScheduleEvent::Buffered(buffered));
        }
    }

    /// Records a dropped start, in the event before it where that one has the same reason and the
    /// instant just before this one.
    fn dropped(&mut self, start: &Pending, reason: SkipReason) {
        let due_at = match start.waiting.origin {
            Origin::Trigger { task_id } => {
                let dropped = ScheduleTriggerDropped { task_id, reason };
                self.events.push(ScheduleEvent::TriggerDropped(dropped));
                return;
            }
            Origin::Occurrence { due_at } => due_at,
        };
        let (next_due_at, next_starts_at) = Next::fields(self.next);
        let new = start.new.is_some();
        if let Some(ScheduleEvent::Skipped(span)) = self.span.and_then(|at| self.events.get_mut(at))
            && new
            && span.reason == reason
        {
            span.last_due_at = due_at;
            span.count += 1;
            (span.next_due_at, span.next_starts_at) = (next_due_at, next_starts_at);
            return;
        }
        self.span = new.then_some(self.events.len());
        self.events.push(ScheduleEvent::Skipped(ScheduleSkipped {
            first_due_at: due_at,
            last_due_at: due_at,
            count: 1,
            reason,
            next_due_at,
            next_starts_at,
        }));
    }
}

/// The due instants that wait and never start, because the start at `place` was the last one.
fn given_up(pending: &[Pending], place: usize) -> Vec<Timestamp> {
    let waits = |(at, start): (usize, &Pending)| {
        let due_at = match start.waiting.origin {
            Origin::Occurrence { due_at } => due_at,
            Origin::Trigger { .. } => return None,
        };
        let decided = at <= place;
        let waits = start.doomed.is_none() && start.admission == Admission::Wait;
        // An instant that this pass has come across but not dealt with is due no more.
        (if decided { waits } else { start.new.is_none() }).then_some(due_at)
    };
    pending.iter().enumerate().filter_map(waits).collect()
}
