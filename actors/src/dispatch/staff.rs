//! The workers as the queue sees them: how much room each has, and what it can do. Pure
//! bookkeeping.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use spark_events::WorkerId;
use spark_events::domain::labels::Labels;

/// What the queue knows of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desk {
    /// Runs at once.
    pub(crate) slots: u32,
    /// What it can do.
    pub(crate) labels: Labels,
    /// Whether it takes new work now.
    pub(crate) accepting: bool,
}

/// Order of service: the most room, then who was given something the longest ago.
type Rank = (Reverse<u32>, u64, WorkerId);

#[derive(Debug)]
struct Seat {
    desk: Desk,
    running: u32,
    /// The number of the last grant to it.
    last: u64,
    /// How it stands among the open ones, if it does.
    rank: Option<Rank>,
}

impl Seat {
    fn room(&self) -> u32 {
        if self.desk.accepting { self.desk.slots.saturating_sub(self.running) } else { 0 }
    }
}

/// All workers.
#[derive(Debug, Default)]
pub(super) struct Staff {
    seats: HashMap<WorkerId, Seat>,
    /// Those with room.
    open: BTreeSet<Rank>,
    grants: u64,
}

impl Staff {
    /// Adds or changes a worker. Says whether it may take what it could not before.
    pub(super) fn set(&mut self, id: WorkerId, desk: Desk) -> bool {
        let seat = self.seats.entry(id).or_insert_with(|| {
            let (desk, running, last, rank) = (desk.clone(), 0, 0, None);
            Seat { desk, running, last, rank }
        });
        let relabelled = seat.desk.labels != desk.labels;
        seat.desk = desk;
        self.refresh(id) || relabelled
    }

    /// Forgets a worker. What it runs stays counted with its source and flow until it ends.
    pub(super) fn drop(&mut self, id: WorkerId) {
        if let Some(rank) = self.seats.remove(&id).and_then(|seat| seat.rank) {
            self.open.remove(&rank);
        }
    }

    /// Whether it is there.
    pub(super) fn knows(&self, id: WorkerId) -> bool {
        self.seats.contains_key(&id)
    }

    /// Whether nobody has room.
    pub(super) fn is_full(&self) -> bool {
        self.open.is_empty()
    }

    /// The worker with room and with these labels that comes first.
    pub(super) fn first(&self, wanted: &Labels) -> Option<WorkerId> {
        let fits = |(_, _, id): &&Rank| {
            self.seats.get(id).is_some_and(|seat| seat.desk.labels.have_all(wanted))
        };
        self.open.iter().find(fits).map(|(_, _, id)| *id)
    }

    /// A worker begins a run; beyond its slots, where it had it already.
    pub(super) fn begin(&mut self, id: WorkerId) {
        self.grants += 1;
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.running += 1;
            seat.last = self.grants;
            self.refresh(id);
        }
    }

    /// A worker ends a run. Says whether it was full before.
    pub(super) fn end(&mut self, id: WorkerId) -> bool {
        let Some(seat) = self.seats.get_mut(&id) else { return false };
        seat.running = seat.running.saturating_sub(1);
        self.refresh(id)
    }

    /// The labels of one that has room.
    pub(super) fn labels(&self, id: WorkerId) -> Option<&Labels> {
        self.seats.get(&id).filter(|seat| seat.rank.is_some()).map(|seat| &seat.desk.labels)
    }

    /// Puts a worker where it belongs among the open ones. Says whether it was not among them.
    fn refresh(&mut self, id: WorkerId) -> bool {
        let Some(seat) = self.seats.get_mut(&id) else { return false };
        let room = seat.room();
        let rank = (room > 0).then_some((Reverse(room), seat.last, id));
        if rank == seat.rank {
            return false;
        }
        let was_shut = seat.rank.is_none();
        if let Some(old) = std::mem::replace(&mut seat.rank, rank) {
            self.open.remove(&old);
        }
        if let Some(new) = rank {
            self.open.insert(new);
        }
        was_shut && rank.is_some()
    }
}
