//! Which open task may start its next attempt now. Pure bookkeeping over ids: limits per source
//! and for the worker, oldest first within a source, sources in turn.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use spark_events::limits::SOURCE_RUNS_DEFAULT;
use spark_events::{SourceId, TaskId, Timestamp};

/// Order of service within a source: when it may start, then the order it came in.
type Place = (Timestamp, u64, TaskId);

#[derive(Debug)]
struct Lane {
    ready: BTreeSet<Place>,
    running: u32,
    runs_max: u32,
    /// Whether the source stands in `turn`.
    in_turn: bool,
}

impl Default for Lane {
    /// A source that nobody has set a limit for, such as one that was removed: its tasks must get
    /// their turn all the same, to end with the reason.
    fn default() -> Self {
        Self { ready: BTreeSet::new(), running: 0, runs_max: SOURCE_RUNS_DEFAULT, in_turn: false }
    }
}

/// The queue of all open tasks that wait for a slot, and the count of those that have one.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    lanes: HashMap<SourceId, Lane>,
    /// Sources that have a ready task and room, in the order in which they are served.
    turn: VecDeque<SourceId>,
    /// Tasks whose next attempt lies ahead.
    later: BTreeMap<Place, SourceId>,
    /// Where a waiting task stands.
    places: HashMap<TaskId, (SourceId, Place)>,
    /// Tasks that hold a slot.
    running: HashMap<TaskId, SourceId>,
    slots: u32,
    arrivals: u64,
}

impl Dispatcher {
    /// An empty queue in front of a worker with this many slots.
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            lanes: HashMap::new(),
            turn: VecDeque::new(),
            later: BTreeMap::new(),
            places: HashMap::new(),
            running: HashMap::new(),
            slots,
            arrivals: 0,
        }
    }

    /// Sets a source's limit of runs at once.
    pub(crate) fn set_limit(&mut self, source: SourceId, runs_max: u32) {
        self.lanes.entry(source).or_default().runs_max = runs_max;
        self.queue_turn(source);
    }

    /// Puts a task into the queue, from `not_before` on. A task that holds a slot gives it up.
    pub(crate) fn enqueue(
        &mut self,
        task: TaskId,
        source: SourceId,
        not_before: Timestamp,
        now: Timestamp,
    ) {
        self.remove(task);
        self.arrivals += 1;
        let place = (not_before, self.arrivals, task);
        self.places.insert(task, (source, place));
        if not_before <= now {
            self.lanes.entry(source).or_default().ready.insert(place);
            self.queue_turn(source);
        } else {
            self.later.insert(place, source);
        }
    }

    /// Takes a task out, wherever it stands; its slot becomes free.
    pub(crate) fn remove(&mut self, task: TaskId) {
        if let Some((source, place)) = self.places.remove(&task) {
            self.later.remove(&place);
            if let Some(lane) = self.lanes.get_mut(&source) {
                lane.ready.remove(&place);
            }
        }
        if let Some(source) = self.running.remove(&task) {
            if let Some(lane) = self.lanes.get_mut(&source) {
                lane.running = lane.running.saturating_sub(1);
            }
            self.queue_turn(source);
        }
    }

    /// The next task that may start, which now holds a slot; `None` when all must wait.
    pub(crate) fn grant(&mut self, now: Timestamp) -> Option<TaskId> {
        self.ripen(now);
        if self.running.len() >= self.slots as usize {
            return None;
        }
        while let Some(source) = self.turn.pop_front() {
            let Some(lane) = self.lanes.get_mut(&source) else { continue };
            lane.in_turn = false;
            if lane.running >= lane.runs_max {
                continue;
            }
            let Some((_, _, task)) = lane.ready.pop_first() else { continue };
            lane.running += 1;
            self.places.remove(&task);
            self.running.insert(task, source);
            self.queue_turn(source);
            return Some(task);
        }
        None
    }

    /// When the next task ripens, if one lies ahead.
    pub(crate) fn next_ripe_at(&self) -> Option<Timestamp> {
        self.later.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// Tasks that hold a slot.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    fn ripen(&mut self, now: Timestamp) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (place, source) = entry.remove_entry();
            self.lanes.entry(source).or_default().ready.insert(place);
            self.queue_turn(source);
        }
    }

    fn queue_turn(&mut self, source: SourceId) {
        if let Some(lane) = self.lanes.get_mut(&source)
            && !lane.in_turn
            && !lane.ready.is_empty()
            && lane.running < lane.runs_max
        {
            lane.in_turn = true;
            self.turn.push_back(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }
    fn task(n: u128) -> TaskId {
        TaskId(Uuid::from_u128(n))
    }
    fn source(n: u128) -> SourceId {
        SourceId(Uuid::from_u128(n))
    }
    fn granted(queue: &mut Dispatcher, now: Timestamp) -> Vec<TaskId> {
        std::iter::from_fn(|| queue.grant(now)).collect()
    }

    #[test]
    fn a_source_never_runs_more_than_its_limit() {
        let mut queue = Dispatcher::new(10);
        queue.set_limit(source(1), 2);
        for n in 1..=5 {
            queue.enqueue(task(n), source(1), at(0), at(0));
        }
        assert_eq!(granted(&mut queue, at(0)), [task(1), task(2)]);
        queue.remove(task(1));
        assert_eq!(granted(&mut queue, at(0)), [task(3)]);
        queue.set_limit(source(1), 4);
        assert_eq!(granted(&mut queue, at(0)), [task(4), task(5)]);
    }

    #[test]
    fn sources_take_turns_and_share_the_slots() {
        let mut queue = Dispatcher::new(3);
        for s in 1..=2 {
            queue.set_limit(source(s), 10);
        }
        for n in 1..=4 {
            queue.enqueue(task(n), source(1), at(0), at(0));
        }
        queue.enqueue(task(9), source(2), at(0), at(0));
        assert_eq!(granted(&mut queue, at(0)), [task(1), task(9), task(2)]);
        assert_eq!(queue.running(), 3);
    }

    #[test]
    fn tasks_of_an_unknown_source_get_their_turn_too() {
        let mut queue = Dispatcher::new(3);
        queue.enqueue(task(1), source(1), at(0), at(0));
        assert_eq!(granted(&mut queue, at(0)), [task(1)]);
    }

    #[test]
    fn a_retry_waits_for_its_instant() {
        let mut queue = Dispatcher::new(3);
        queue.set_limit(source(1), 10);
        queue.enqueue(task(1), source(1), at(0), at(0));
        assert_eq!(granted(&mut queue, at(0)), [task(1)]);
        queue.enqueue(task(1), source(1), at(5), at(0));
        assert_eq!(queue.running(), 0, "a task that waits again gives up its slot");
        assert_eq!(granted(&mut queue, at(4)), []);
        assert_eq!(queue.next_ripe_at(), Some(at(5)));
        assert_eq!(granted(&mut queue, at(5)), [task(1)]);
    }

    #[test]
    fn a_removed_task_is_never_granted() {
        let mut queue = Dispatcher::new(3);
        queue.set_limit(source(1), 10);
        queue.enqueue(task(1), source(1), at(0), at(0));
        queue.enqueue(task(2), source(1), at(9), at(0));
        queue.remove(task(1));
        queue.remove(task(2));
        assert_eq!(granted(&mut queue, at(10)), []);
    }
}
