//! What every supervisor needs: the table of its living children, and the pause before a crashed
//! one is started again. Holds no domain state.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ractor::{ActorId, ActorRef, Message};
use spark_events::limits::{CRASH_BACKOFF_MS_MAX, CRASH_BACKOFF_MS_MIN};

/// The living children of one supervisor. A supervision event of an actor that is not in the
/// table belongs to an older incarnation and is ignored by asking [`Children::forget`].
#[derive(Debug)]
pub(crate) struct Children<Id, M> {
    by_id: HashMap<Id, ActorRef<M>>,
    by_actor: HashMap<ActorId, Id>,
    /// Crashes in a row of a child; cleared when it comes to a good end.
    crashes: HashMap<Id, u32>,
}

impl<Id: Copy + Eq + Hash, M: Message> Default for Children<Id, M> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), by_actor: HashMap::new(), crashes: HashMap::new() }
    }
}

impl<Id: Copy + Eq + Hash, M: Message> Children<Id, M> {
    pub(crate) fn insert(&mut self, id: Id, actor: ActorRef<M>) {
        if let Some(old) = self.by_id.insert(id, actor.clone()) {
            self.by_actor.remove(&old.get_id());
        }
        self.by_actor.insert(actor.get_id(), id);
    }

    pub(crate) fn get(&self, id: Id) -> Option<&ActorRef<M>> {
        self.by_id.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a child out of the table on purpose: it works off its mailbox and ends.
    pub(crate) fn passivate(&mut self, id: Id) {
        self.crashes.remove(&id);
        if let Some(actor) = self.by_id.remove(&id) {
            self.by_actor.remove(&actor.get_id());
            // A child that has ended meanwhile needs no drain.
            let _ = actor.drain();
        }
    }

    /// Takes an ended child out; `None` when it was not the current incarnation.
    pub(crate) fn forget(&mut self, actor: ActorId) -> Option<Id> {
        let id = self.by_actor.remove(&actor)?;
        self.by_id.remove(&id);
        Some(id)
    }

    /// Counts a crash of a child and says how long to wait before starting it again.
    pub(crate) fn crashed(&mut self, id: Id) -> Duration {
        let crashes = self.crashes.entry(id).or_default();
        *crashes = crashes.saturating_add(1);
        crash_backoff(*crashes)
    }
}

/// The pause after the n-th crash in a row (from 1): doubling between the two bounds.
pub(crate) fn crash_backoff(crashes: u32) -> Duration {
    let doublings = crashes.saturating_sub(1).min(32);
    let ms = CRASH_BACKOFF_MS_MIN.saturating_mul(1 << doublings);
    Duration::from_millis(ms.min(CRASH_BACKOFF_MS_MAX))
}

/// Crashes of all actors since the start, for health.
#[derive(Debug, Default)]
pub(crate) struct CrashCount {
    count: AtomicU64,
    last: Mutex<Option<String>>,
}

impl CrashCount {
    pub(crate) fn record(&self, what: String) {
        tracing::error!(crash = %what, "an actor crashed and will be started again");
        self.count.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_a_crash_doubles_up_to_its_bound() {
        let pauses: Vec<u128> =
            [1, 2, 3, 11, u32::MAX].map(|n| crash_backoff(n).as_millis()).into();
        assert_eq!(pauses, [100, 200, 400, 60_000, 60_000]);
    }
}
