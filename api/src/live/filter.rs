//! What a listener wants to hear of. A pure question about one event.

use spark_events::{RecordedEvent, RequestId, StreamName, codec};

/// What an event must have. What is empty asks for nothing. Two listeners with equal filters are
/// served as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    categories: Vec<&'static str>,
    types: Vec<&'static str>,
    streams: Vec<StreamName>,
    actor: Option<Box<str>>,
}

/// Where in an index a filter stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// It wants nothing but these streams.
    Streams(&'a [StreamName]),
    /// It wants nothing but these categories.
    Categories(Vec<&'static str>),
    /// It may want anything.
    Everything,
}

/// The categories that can be listened to.
pub(crate) fn categories() -> Vec<&'static str> {
    let mut categories: Vec<_> = types().iter().map(|name| category_of(name)).collect();
    categories.dedup();
    categories
}

/// The event types that can be listened to. Chunks of stored payloads are none of them, nor is the
/// memory of requests, which holds what their callers alone were answered.
pub(crate) fn types() -> Vec<&'static str> {
    let all = codec::TYPES.iter().flat_map(|types| types.iter().map(|(name, _)| *name));
    all.filter(|name| category_of(name) != RequestId::CATEGORY).collect()
}

fn category_of(name: &'static str) -> &'static str {
    name.split_once('.').map_or(name, |(category, _)| category)
}

impl Filter {
    /// An event must have one of the categories, one of the types, one of the streams and this
    /// actor, each as far as there is any.
    pub(crate) fn new(
        mut categories: Vec<&'static str>,
        mut types: Vec<&'static str>,
        mut streams: Vec<StreamName>,
        actor: Option<&str>,
    ) -> Self {
        categories.sort_unstable();
        categories.dedup();
        types.sort_unstable();
        types.dedup();
        streams.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        streams.dedup();
        Self { categories, types, streams, actor: actor.map(Into::into) }
    }

    /// Whether an event is one of them.
    pub(crate) fn wants(&self, event: &RecordedEvent) -> bool {
        let category = event.stream.category();
        let within = |all: &[&str], one: &str| all.is_empty() || all.contains(&one);
        ![spark_events::payload::CATEGORY, RequestId::CATEGORY].contains(&category)
            && within(&self.categories, category)
            && within(&self.types, &event.event_type)
            && (self.streams.is_empty() || self.streams.contains(&event.stream))
            && self.actor.as_deref().is_none_or(|actor| *actor == *event.metadata.actor)
    }

    pub(super) fn key(&self) -> Key<'_> {
        if !self.streams.is_empty() {
            return Key::Streams(&self.streams);
        }
        if !self.types.is_empty() {
            let mut categories: Vec<_> = self.types.iter().map(|name| category_of(name)).collect();
            categories.dedup();
            return Key::Categories(categories);
        }
        if self.categories.is_empty() {
            return Key::Everything;
        }
        Key::Categories(self.categories.clone())
    }

    /// The stream, where it is a single one.
    pub(super) fn only_stream(&self) -> Option<&StreamName> {
        match self.streams.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use spark_events::{Metadata, Position, RecordedEvent, Revision, Timestamp};
    use uuid::Uuid;

    use super::*;

    pub(crate) fn event(position: u64, stream: &str, event_type: &str) -> RecordedEvent {
        RecordedEvent {
            position: Position(position),
            stream: StreamName::new(stream).unwrap(),
            revision: Revision(0),
            id: Uuid::nil(),
            event_type: event_type.into(),
            schema_version: 1,
            data: "{}".into(),
            metadata: Metadata {
                correlation_id: Uuid::nil(),
                causation_id: Uuid::nil(),
                actor: Arc::from("user:ana"),
                reason: None,
            },
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn stream(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    #[test]
    fn every_condition_counts_and_an_empty_one_asks_for_nothing() {
        let fired = event(1, "schedule-a", "schedule.fired");
        let wants = |filter: Filter| filter.wants(&fired);
        assert!(wants(Filter::default()));
        assert!(wants(Filter::new(vec!["task", "schedule"], vec![], vec![], Some("user:ana"))));
        assert!(wants(Filter::new(vec![], vec!["schedule.fired"], vec![], None)));
        assert!(wants(Filter::new(
            vec![],
            vec![],
            vec![stream("task-x"), stream("schedule-a")],
            None
        )));
        assert!(!wants(Filter::new(vec!["task"], vec![], vec![], None)));
        assert!(!wants(Filter::new(vec!["schedule"], vec!["schedule.paused"], vec![], None)));
        assert!(!wants(Filter::new(vec![], vec![], vec![stream("schedule-b")], None)));
        assert!(!wants(Filter::new(vec![], vec![], vec![], Some("scheduler"))));
        let chunk = event(2, "blob-00", "blob.chunk_stored");
        assert!(!Filter::default().wants(&chunk), "a payload's chunks are no news");
    }

    #[test]
    fn the_index_finds_whatever_the_filter_wants() {
        assert_eq!(Filter::default().key(), Key::Everything);
        let both = Filter::new(vec!["task"], vec!["task.failed"], vec![stream("task-x")], None);
        assert_eq!(both.key(), Key::Streams(&[stream("task-x")]));
        let types =
            Filter::new(vec![], vec!["task.failed", "flow.edited", "task.created"], vec![], None);
        assert_eq!(types.key(), Key::Categories(vec!["flow", "task"]));
        let one = Filter::new(vec!["flow"], vec![], vec![], Some("system"));
        assert_eq!(one.key(), Key::Categories(vec!["flow"]));
    }

    #[test]
    fn every_type_has_its_category() {
        assert!(categories().contains(&"schedule") && !categories().contains(&"blob"));
        assert!(types().contains(&"worker.lost"));
    }
}
