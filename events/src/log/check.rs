//! Whether a whole log keeps its promises: positions that rise, revisions without gaps, events that
//! can be read. Fed with every event in order; reads nothing itself.

use std::collections::HashMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Position, RecordedEvent};
use crate::codec;
use crate::limits::LOG_FINDINGS_MAX;
use crate::payload;

/// Something that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The event at which it shows.
    pub position: Position,
    /// The event's stream.
    pub stream: String,
    /// What is wrong.
    pub what: String,
}

/// What was seen of a log so far.
#[derive(Debug, Default)]
pub struct Check {
    events: u64,
    last: Position,
    /// The next revision of each stream, by a hash of its name: names are long, and there may be
    /// millions.
    next: HashMap<[u8; 16], u64>,
    findings: Vec<Finding>,
    /// How many were found, also those that are not kept.
    found: u64,
}

impl Check {
    /// Looks at the next event.
    pub fn take(&mut self, event: &RecordedEvent) {
        self.events += 1;
        if event.position <= self.last {
            let last = self.last;
            self.find(event, format!("position {} comes after position {last}", event.position));
        }
        self.last = event.position;
        let next = self.next.entry(key(event)).or_default();
        let expected = std::mem::replace(next, event.revision.0.saturating_add(1));
        if event.revision.0 != expected {
            let is = event.revision.0;
            self.find(event, format!("revision {is} stands where {expected} is due"));
        }
        let read = if event.stream.category() == payload::CATEGORY {
            serde_json::from_slice::<serde::de::IgnoredAny>(&event.data)
                .map(drop)
                .map_err(|error| format!("{} holds no JSON: {error}", event.event_type))
        } else {
            codec::check(event).map_err(|error| error.to_string())
        };
        if let Err(why) = read {
            self.find(event, why);
        }
    }

    /// How many events were seen.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many streams were seen.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.next.len()
    }

    /// The last position that was seen.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// How many things are wrong.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found
    }

    /// The first things that are wrong, at most [`LOG_FINDINGS_MAX`].
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn find(&mut self, event: &RecordedEvent, what: String) {
        self.found += 1;
        if self.findings.len() < LOG_FINDINGS_MAX {
            let stream = event.stream.to_string();
            self.findings.push(Finding { position: event.position, stream, what });
        }
    }
}

fn key(event: &RecordedEvent) -> [u8; 16] {
    let hash = Sha256::digest(event.stream.as_str().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::{StreamName, new_uuid};
    use crate::log::{Metadata, Revision};

    fn event(position: u64, stream: &str, revision: u64, kind: &str, data: &str) -> RecordedEvent {
        let id = new_uuid();
        RecordedEvent {
            position: Position(position),
            stream: StreamName::new(stream).unwrap(),
            revision: Revision(revision),
            id,
            event_type: kind.into(),
            schema_version: 1,
            data: data.to_owned().into(),
            metadata: Metadata {
                correlation_id: id,
                causation_id: id,
                actor: "system".into(),
                reason: None,
            },
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_breaks_a_promise_is_found_where_it_shows() {
        let released =
            |position, revision| event(position, "worker-a", revision, "worker.stopped", "{}");
        let mut good = Check::default();
        [released(1, 0), released(3, 1)].iter().for_each(|event| good.take(event));
        assert_eq!((good.found(), good.events(), good.streams()), (0, 2, 1));
        let mut bad = Check::default();
        let events = [
            released(1, 0),
            released(1, 1),
            released(2, 3),
            event(3, "task-b", 0, "task.deleted", "{"),
            event(4, "task-b", 1, "task.teleported", "{}"),
            event(5, "blob-c", 0, "blob.chunk_stored", "nothing"),
            event(6, "other-c", 0, "other.thing", "{}"),
        ];
        events.iter().for_each(|event| bad.take(event));
        let found: Vec<_> =
            bad.findings().iter().map(|it| (it.position.0, it.what.as_str())).collect();
        assert_eq!(found[0], (1, "position 1 comes after position 1"));
        assert_eq!(found[1], (2, "revision 3 stands where 2 is due"));
        assert!(found[2].0 == 3 && found[2].1.contains("cannot be read"), "{found:?}");
        assert!(found[3].0 == 4 && found[3].1.contains("unknown event type"), "{found:?}");
        assert!(found[4].0 == 5 && found[4].1.contains("no JSON"), "{found:?}");
        assert!(found[5].0 == 6 && found[5].1.contains("unknown event type"), "{found:?}");
        assert_eq!(bad.found(), 6);
    }
}
