//! How a page of the log is found: in short steps, so that a page costs a bounded amount of memory
//! however large the events are that it looks at and leaves out.

use chrono::TimeDelta;
use serde_json::value::RawValue;
use spark_actors::DispatchError;
use spark_events::{EventLog, Position, RecordedEvent, Timestamp, limits};

use crate::error::ApiError;
use crate::live::Filter;
use crate::recorded;

/// What a page is to hold.
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Wanted {
    fn takes(&self, event: &RecordedEvent) -> bool {
        self.since.is_none_or(|since| event.recorded_at >= since)
            && self.until.is_none_or(|until| event.recorded_at < until)
            && self.filter.wants(event)
    }

    /// Whether nothing that is recorded earlier can be wanted, going back.
    fn is_too_old(&self, event: &RecordedEvent) -> bool {
        self.since.is_some_and(|since| event.recorded_at < since - slack())
    }

    /// Whether nothing that is recorded later can be wanted, going forward.
    fn is_too_new(&self, event: &RecordedEvent) -> bool {
        self.until.is_some_and(|until| event.recorded_at >= until + slack())
    }
}

pub(super) fn slack() -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(limits::LOG_CLOCK_SLACK_MS).unwrap_or(i64::MAX))
}

/// What a page has so far.
pub(super) struct Found {
    pub(super) items: Vec<Box<RawValue>>,
    bytes: usize,
    limit: usize,
    pub(super) scanned: usize,
    /// Where to go on, where the page broke off.
    pub(super) next: Option<Position>,
}

impl Found {
    pub(super) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit, scanned: 0, next: None }
    }

    /// Looks at an event; `false` ends the page behind it.
    fn take(&mut self, event: &RecordedEvent, wanted: &Wanted) -> Result<bool, ApiError> {
        self.scanned += 1;
        if wanted.takes(event) {
            let row = serde_json::value::to_raw_value(&recorded::row(event)?);
            self.items.push(row.map_err(|error| DispatchError::Internal(error.to_string()))?);
            self.bytes += event.data.len();
        }
        let is_full = self.items.len() >= self.limit
            || self.bytes >= limits::LOG_PAGE_BYTES_MAX
            || self.scanned >= limits::LOG_SCAN_EVENTS_MAX;
        if is_full {
            self.next = Some(event.position);
        }
        Ok(!is_full)
    }
}

/// Oldest first, from behind one position up to another.
pub(super) async fn forward(
    log: &dyn EventLog,
    mut after: Position,
    before: Position,
    wanted: &Wanted,
    page: &mut Found,
) -> Result<(), ApiError> {
    loop {
        let events = log.read_all(after, limits::LOG_STEP_EVENTS).await?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.position;
        for event in &events {
            if event.position >= before || wanted.is_too_new(event) || !page.take(event, wanted)? {
                return Ok(());
            }
        }
    }
}

/// Newest first, from before one position back to another. The log reads forward only, so it is
/// taken window by window.
pub(super) async fn back(
    log: &dyn EventLog,
    after: Position,
    mut before: Position,
    wanted: &Wanted,
    page: &mut Found,
) -> Result<(), ApiError> {
    while before.0 > after.0.saturating_add(1) {
        let low = Position(before.0.saturating_sub(limits::LOG_STEP_EVENTS as u64 + 1)).max(after);
        // As many positions as there are in between, which the last step has fewer of.
        let count = usize::try_from(before.0 - low.0 - 1).unwrap_or(limits::LOG_STEP_EVENTS);
        let events = log.read_all(low, count).await?;
        for event in events.iter().rev().filter(|event| event.position < before) {
            if wanted.is_too_old(event) || !page.take(event, wanted)? {
                return Ok(());
            }
        }
        before = Position(low.0.saturating_add(1));
    }
    Ok(())
}

/// The position of the first event that is recorded at or after an instant, found by halves: times
/// rise with positions but where a clock was set back. Behind the end where there is none.
pub(super) async fn first_since(
    log: &dyn EventLog,
    head: Position,
    at: Timestamp,
) -> Result<Position, ApiError> {
    let (mut low, mut high) = (0, head.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match log.read_all(Position(middle), 1).await?.first() {
            Some(event) if event.recorded_at < at => low = event.position.0,
            _ => high = middle,
        }
    }
    Ok(Position(low.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spark_events::log::faulty::FaultyLog;
    use spark_events::log::memory::MemoryLog;
    use spark_events::{
        ExpectedRevision, Metadata, NewEvent, StreamName, SystemClock, ids, payload,
    };

    use super::*;

    async fn append(log: &dyn EventLog, stream: &StreamName, count: usize) {
        let id = ids::new_uuid();
        let metadata =
            Metadata { correlation_id: id, causation_id: id, actor: "system".into(), reason: None };
        let event = || NewEvent {
            id: ids::new_uuid(),
            event_type: "task.started",
            schema_version: 1,
            data: "{}".into(),
            metadata: metadata.clone(),
        };
        let events = (0..count).map(|_| event()).collect();
        log.append(stream, ExpectedRevision::Any, events).await.unwrap();
    }

    /// An event may have hundreds of kilobytes, so what lies in memory at once is a matter of how
    /// many are read at once.
    #[tokio::test]
    async fn a_page_is_found_in_short_steps_whatever_lies_in_between() {
        let log = FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock))));
        let task = StreamName::new("task-a").unwrap();
        let chunks = StreamName::new(format!("{}-00", payload::CATEGORY)).unwrap();
        for _ in 0..3 {
            append(&log, &chunks, limits::APPEND_EVENTS_MAX - 1).await;
            append(&log, &task, 1).await;
        }
        let all = 3 * limits::APPEND_EVENTS_MAX;
        let end = Position(all as u64 + 1);
        let wanted = Wanted { filter: Filter::default(), since: None, until: None };
        let mut pages = [Found::new(limits::LOG_PAGE_MAX), Found::new(limits::LOG_PAGE_MAX)];
        let [one, other] = &mut pages;
        forward(&log, Position::START, end, &wanted, one).await.unwrap();
        back(&log, Position::START, end, &wanted, other).await.unwrap();
        for page in &pages {
            assert_eq!((page.items.len(), page.scanned, page.next), (3, all, None));
        }
        assert!(log.longest_read() <= limits::LOG_STEP_EVENTS, "{}", log.longest_read());
    }
}
