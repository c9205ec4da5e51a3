//! The most recent committed events in memory, bounded by count and bytes. Live readers are
//! served from here; who is further behind reads the file.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use crate::limits::{LOG_TAIL_BYTES_MAX, LOG_TAIL_EVENTS_MAX};
use crate::log::{Position, RecordedEvent};

/// Committed groups, oldest first. Positions have no holes, inside a group or between groups.
#[derive(Default)]
pub(super) struct Tail {
    groups: RwLock<Groups>,
}

#[derive(Default)]
struct Groups {
    groups: VecDeque<Group>,
    events: usize,
    bytes: usize,
}

struct Group {
    /// Shared, so that readers copy outside the lock and never hold up the writer.
    events: Arc<Vec<RecordedEvent>>,
    bytes: usize,
}

impl Tail {
    /// Adds a committed group, which is not empty, and drops what is over the bounds.
    pub(super) fn push(&self, events: Vec<RecordedEvent>) {
        let bytes = events.iter().map(|event| event.data.len()).sum();
        let mut tail = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        tail.events += events.len();
        tail.bytes += bytes;
        tail.groups.push_back(Group { events: Arc::new(events), bytes });
        while tail.events > LOG_TAIL_EVENTS_MAX || tail.bytes > LOG_TAIL_BYTES_MAX {
            let Some(oldest) = tail.groups.pop_front() else {
                break;
            };
            tail.events -= oldest.events.len();
            tail.bytes -= oldest.bytes;
        }
    }

    /// The events after a position, or `None` when the next one is no longer (or was never) here.
    /// Takes at least one event, and no further one after `bytes_max`.
    pub(super) fn after(
        &self,
        after: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Option<Vec<RecordedEvent>> {
        let groups = self.covering(after, limit)?;
        let mut bytes = 0;
        let events = groups.iter().flat_map(|group| {
            let start = group.partition_point(|event| event.position <= after);
            &group[start..]
        });
        let within = events.take(limit).take_while(|event| {
            let room = bytes < bytes_max;
            bytes += event.data.len();
            room
        });
        Some(within.cloned().collect())
    }

    /// The groups that hold the first `limit` events after a position.
    fn covering(&self, after: Position, limit: usize) -> Option<Vec<Arc<Vec<RecordedEvent>>>> {
        let tail = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = tail.groups.front()?.events.first()?.position;
        if oldest.0 > after.0 + 1 {
            return None;
        }
        let first = tail
            .groups
            .partition_point(|group| group.events.last().is_none_or(|e| e.position <= after));
        let mut groups = Vec::new();
        let mut events = 0;
        for group in tail.groups.iter().skip(first) {
            if events >= limit {
                break;
            }
            // Only the first group can begin before the position.
            events += group.events.len() - group.events.partition_point(|e| e.position <= after);
            groups.push(Arc::clone(&group.events));
        }
        Some(groups)
    }
}
