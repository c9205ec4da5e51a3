//! Which open task may start its next attempt now, and who makes it. Pure bookkeeping over ids:
//! limits per source, per flow and of each worker; by priority and then oldest first within a
//! source, sources in turn. So a high priority may hold up the rest of its own source, and never
//! another source. A source that no worker with room fits stands aside until one does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use spark_events::domain::labels::Labels;
use spark_events::{FlowId, SourceId, TaskId, Timestamp, WorkerId};
use uuid::Uuid;

mod lane;
mod staff;
#[cfg(test)]
mod tests;

use lane::{Lane, Place};
pub(crate) use staff::Desk;
use staff::Staff;

/// What the queue knows of a task that wants a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) source: SourceId,
    pub(crate) flow: FlowId,
    /// Higher ones first.
    pub(crate) priority: i32,
    /// From when on it may start.
    pub(crate) not_before: Timestamp,
}

/// How many tasks wait, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depths {
    /// Those that could start if there were a slot, by source.
    pub ready: Vec<(SourceId, usize)>,
    /// Those whose next attempt lies ahead.
    pub later: usize,
}

/// How many tasks of a flow hold a slot, and how many may.
#[derive(Debug, Default)]
struct Gate {
    running: u32,
    runs_max: Option<u32>,
}

impl Gate {
    fn is_open(&self) -> bool {
        self.runs_max.is_none_or(|most| self.running < most)
    }
}

/// The queue of all open tasks that wait for a slot, and the count of those that have one.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    lanes: HashMap<SourceId, Lane>,
    /// Flows that have a limit or a task with a slot.
    gates: HashMap<FlowId, Gate>,
    /// Sources that have a ready task and room, in the order in which they are served.
    turn: VecDeque<SourceId>,
    /// Tasks whose next attempt lies ahead, by the instant and the order they came in.
    later: BTreeMap<(Timestamp, u64), TaskId>,
    /// Where a waiting task stands.
    places: HashMap<TaskId, (Queued, u64)>,
    /// Tasks that hold a slot.
    running: HashMap<TaskId, Held>,
    staff: Staff,
    /// Sources that had their turn when no worker with room fitted, those who wait longest first.
    aside: VecDeque<SourceId>,
    arrivals: u64,
}

/// Who has a task whose worker is gone.
const NOBODY: WorkerId = WorkerId(Uuid::nil());

/// What a task that holds a slot takes up.
#[derive(Debug, Clone, Copy)]
struct Held {
    source: SourceId,
    flow: FlowId,
    worker: WorkerId,
}

impl Dispatcher {
    /// An empty queue, without a worker.
    pub(crate) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            gates: HashMap::new(),
            turn: VecDeque::new(),
            later: BTreeMap::new(),
            places: HashMap::new(),
            running: HashMap::new(),
            staff: Staff::default(),
            aside: VecDeque::new(),
            arrivals: 0,
        }
    }

    /// Sets a source's limit of runs at once.
    pub(crate) fn set_limit(&mut self, source: SourceId, runs_max: u32) {
        self.lanes.entry(source).or_default().runs_max = runs_max;
        self.queue_turn(source);
    }

    /// Sets what a worker must have to be given the tasks of a source.
    pub(crate) fn set_labels(&mut self, source: SourceId, labels: Labels) {
        let lane = self.lanes.entry(source).or_default();
        if lane.labels == labels {
            return;
        }
        lane.labels = labels;
        if let Some(at) = self.aside.iter().position(|other| *other == source) {
            self.aside.remove(at);
            self.turn.push_front(source);
        }
    }

    /// Adds a worker, or changes what is known of it.
    pub(crate) fn set_worker(&mut self, worker: WorkerId, desk: Desk) {
        if self.staff.set(worker, desk) {
            self.recall(worker);
        }
    }

    /// Forgets a worker. The tasks that it has keep their place until they come back or end.
    pub(crate) fn drop_worker(&mut self, worker: WorkerId) {
        self.staff.drop(worker);
        for held in self.running.values_mut().filter(|held| held.worker == worker) {
            held.worker = NOBODY;
        }
    }

    /// The tasks that a worker has.
    pub(crate) fn tasks_of(&self, worker: WorkerId) -> Vec<TaskId> {
        let held = self.running.iter().filter(|(_, held)| held.worker == worker);
        held.map(|(task, _)| *task).collect()
    }

    /// Sets or lifts a flow's limit of runs at once.
    pub(crate) fn set_flow_limit(&mut self, flow: FlowId, runs_max: Option<u32>) {
        self.gates.entry(flow).or_default().runs_max = runs_max;
        self.gate_moved(flow);
    }

    /// Puts a task into the queue. A task that holds a slot gives it up.
    pub(crate) fn enqueue(&mut self, task: TaskId, queued: Queued, now: Timestamp) {
        self.remove(task);
        self.arrivals += 1;
        self.places.insert(task, (queued, self.arrivals));
        if queued.not_before <= now {
            self.make_ready(task, queued, self.arrivals);
        } else {
            self.later.insert((queued.not_before, self.arrivals), task);
        }
    }

    /// Takes a task out, wherever it stands; its slot becomes free.
    pub(crate) fn remove(&mut self, task: TaskId) {
        if let Some((queued, arrival)) = self.places.remove(&task) {
            self.later.remove(&(queued.not_before, arrival));
            let open = self.is_open(queued.flow);
            if let Some(lane) = self.lanes.get_mut(&queued.source) {
                lane.remove(queued.flow, &place(task, queued, arrival), open);
            }
        }
        if let Some(Held { source, flow, worker }) = self.running.remove(&task) {
            if let Some(lane) = self.lanes.get_mut(&source) {
                lane.running = lane.running.saturating_sub(1);
            }
            let gate = self.gates.entry(flow).or_default();
            gate.running = gate.running.saturating_sub(1);
            self.gate_moved(flow);
            self.queue_turn(source);
            if self.staff.end(worker) {
                self.recall(worker);
            }
        }
    }

    /// A worker has this task already, whatever the limits say.
    pub(crate) fn adopt(&mut self, task: TaskId, queued: Queued, worker: WorkerId) {
        self.remove(task);
        let worker = if self.staff.knows(worker) { worker } else { NOBODY };
        self.lanes.entry(queued.source).or_default().running += 1;
        self.hold(task, Held { source: queued.source, flow: queued.flow, worker });
        self.gate_moved(queued.flow);
    }

    /// The next task that may start, which now holds a slot of the worker; `None` when all must
    /// wait.
    pub(crate) fn grant(&mut self, now: Timestamp) -> Option<(TaskId, WorkerId)> {
        self.ripen(now);
        while !self.staff.is_full() {
            let source = self.turn.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&source) else { continue };
            lane.in_turn = false;
            if !lane.can_start() {
                continue;
            }
            let Some((place, flow)) = lane.next() else { continue };
            let Some(worker) = self.staff.first(&lane.labels) else {
                lane.in_turn = true;
                self.aside.push_back(source);
                continue;
            };
            let task = place.3;
            lane.running += 1;
            self.hold(task, Held { source, flow, worker });
            let open = self.is_open(flow);
            if let Some(lane) = self.lanes.get_mut(&source) {
                lane.remove(flow, &place, open);
            }
            self.places.remove(&task);
            self.gate_moved(flow);
            self.queue_turn(source);
            return Some((task, worker));
        }
        None
    }

    fn hold(&mut self, task: TaskId, held: Held) {
        self.gates.entry(held.flow).or_default().running += 1;
        self.running.insert(task, held);
        self.staff.begin(held.worker);
    }

    /// A worker has room that had none: those whom it fits have their turn, first of all, because
    /// others were served while they stood aside.
    fn recall(&mut self, worker: WorkerId) {
        let Some(labels) = self.staff.labels(worker) else { return };
        if self.aside.is_empty() {
            return;
        }
        let fits = |source: &SourceId| {
            self.lanes.get(source).is_none_or(|lane| labels.have_all(&lane.labels))
        };
        let (called, aside): (VecDeque<_>, VecDeque<_>) = self.aside.iter().partition(|s| fits(s));
        self.aside = aside;
        for source in called.into_iter().rev() {
            self.turn.push_front(source);
        }
    }

    /// When the next task ripens, if one lies ahead.
    pub(crate) fn next_ripe_at(&self) -> Option<Timestamp> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many tasks wait for a slot, by source, and how many of their time.
    pub(crate) fn depths(&self) -> Depths {
        let of_lane = |(source, lane): (&SourceId, &Lane)| (*source, lane.len());
        Depths { ready: self.lanes.iter().map(of_lane).collect(), later: self.later.len() }
    }

    /// Tasks that hold a slot.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    fn make_ready(&mut self, task: TaskId, queued: Queued, arrival: u64) {
        let open = self.is_open(queued.flow);
        let lane = self.lanes.entry(queued.source).or_default();
        lane.insert(queued.flow, place(task, queued, arrival), open);
        self.queue_turn(queued.source);
    }

    fn ripen(&mut self, now: Timestamp) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let ((_, arrival), task) = entry.remove_entry();
            if let Some((queued, _)) = self.places.get(&task).copied() {
                self.make_ready(task, queued, arrival);
            }
        }
    }

    fn is_open(&self, flow: FlowId) -> bool {
        self.gates.get(&flow).is_none_or(Gate::is_open)
    }

    /// A flow's count or limit has changed: its queues stand open or closed accordingly.
    fn gate_moved(&mut self, flow: FlowId) {
        let Some(gate) = self.gates.get(&flow) else { return };
        let (open, limited) = (gate.is_open(), gate.runs_max.is_some());
        if !limited && gate.running == 0 {
            self.gates.remove(&flow);
        }
        let mut opened = vec![];
        // A flow has one source, unless it was moved; there are few sources.
        for (source, lane) in &mut self.lanes {
            lane.refresh(flow, open);
            if lane.can_start() && !lane.in_turn {
                opened.push(*source);
            }
        }
        opened.sort_unstable();
        for source in opened {
            self.queue_turn(source);
        }
    }

    fn queue_turn(&mut self, source: SourceId) {
        if let Some(lane) = self.lanes.get_mut(&source)
            && !lane.in_turn
            && lane.can_start()
        {
            lane.in_turn = true;
            self.turn.push_back(source);
        }
    }
}

fn place(task: TaskId, queued: Queued, arrival: u64) -> Place {
    (Reverse(queued.priority), queued.not_before, arrival, task)
}
