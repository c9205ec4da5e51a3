//! The ready tasks of one source: a queue for each flow, and the heads of those queues whose flow
//! has room, so that a flow at its limit holds up nobody but itself.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use spark_events::domain::labels::Labels;
use spark_events::limits::SOURCE_RUNS_DEFAULT;
use spark_events::{FlowId, TaskId, Timestamp};

/// Order of service within a source: the higher priority, then when it may start, then the order
/// it came in.
pub(super) type Place = (Reverse<i32>, Timestamp, u64, TaskId);

/// The ready tasks of one flow, and which of them stands for it in the lane.
#[derive(Debug, Default)]
struct FlowQueue {
    places: BTreeSet<Place>,
    head: Option<Place>,
}

/// The ready tasks of one source.
#[derive(Debug)]
pub(super) struct Lane {
    flows: HashMap<FlowId, FlowQueue>,
    heads: BTreeSet<(Place, FlowId)>,
    pub(super) running: u32,
    pub(super) runs_max: u32,
    /// What a worker must have to be given its tasks.
    pub(super) labels: Labels,
    /// Whether the source stands in the dispatcher's turn, or aside.
    pub(super) in_turn: bool,
}

impl Default for Lane {
    /// A source that nobody has set a limit for, such as one that was removed: its tasks must get
    /// their turn all the same, to end with the reason.
    fn default() -> Self {
        Self {
            flows: HashMap::new(),
            heads: BTreeSet::new(),
            running: 0,
            runs_max: SOURCE_RUNS_DEFAULT,
            labels: Labels::default(),
            in_turn: false,
        }
    }
}

impl Lane {
    /// Adds a task. `open`: whether its flow has room.
    pub(super) fn insert(&mut self, flow: FlowId, place: Place, open: bool) {
        self.flows.entry(flow).or_default().places.insert(place);
        self.refresh(flow, open);
    }

    /// Takes a task out, wherever it stands.
    pub(super) fn remove(&mut self, flow: FlowId, place: &Place, open: bool) {
        if let Some(queue) = self.flows.get_mut(&flow) {
            queue.places.remove(place);
            self.refresh(flow, open);
        }
    }

    /// Puts the right head of a flow into the lane, or none while the flow has no room.
    pub(super) fn refresh(&mut self, flow: FlowId, open: bool) {
        let Some(queue) = self.flows.get_mut(&flow) else { return };
        let head = queue.places.first().copied().filter(|_| open);
        if queue.head != head {
            if let Some(old) = queue.head.take() {
                self.heads.remove(&(old, flow));
            }
            if let Some(new) = head {
                self.heads.insert((new, flow));
            }
            queue.head = head;
        }
        if queue.places.is_empty() {
            self.flows.remove(&flow);
        }
    }

    /// Who is next, if anybody may start.
    pub(super) fn next(&self) -> Option<(Place, FlowId)> {
        self.heads.first().copied()
    }

    /// How many tasks wait in it.
    pub(super) fn len(&self) -> usize {
        self.flows.values().map(|queue| queue.places.len()).sum()
    }

    /// Whether somebody may start now.
    pub(super) fn can_start(&self) -> bool {
        self.running < self.runs_max && !self.heads.is_empty()
    }
}
