//! What the writer remembers of the streams it wrote to last. A cache: bounded, and thrown away
//! whole when a commit fails.

use std::collections::HashMap;

use crate::ids::StreamName;
use crate::limits::LOG_STREAMS_CACHED_MAX;

/// A stream as the file knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its row in `streams`.
    pub(super) id: i64,
    /// The revision of its last event.
    pub(super) revision: u64,
}

/// Two generations: a hit in the old one moves the entry to the young one, and when the young one
/// is full the old one is dropped. Nearly an LRU, without its bookkeeping.
#[derive(Default)]
pub(super) struct Streams {
    young: HashMap<StreamName, Known>,
    old: HashMap<StreamName, Known>,
}

impl Streams {
    pub(super) fn get(&mut self, name: &StreamName) -> Option<Known> {
        if let Some(known) = self.young.get(name) {
            return Some(*known);
        }
        let (name, known) = self.old.remove_entry(name)?;
        self.insert(name, known);
        Some(known)
    }

    pub(super) fn set(&mut self, name: &StreamName, known: Known) {
        match self.young.get_mut(name) {
            Some(place) => *place = known,
            None => self.insert(name.clone(), known),
        }
    }

    fn insert(&mut self, name: StreamName, known: Known) {
        if self.young.len() >= LOG_STREAMS_CACHED_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, known);
    }
}
