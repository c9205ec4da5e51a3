//! What every backend decides alike: the bounds of an append and the expected revision. Does no I/O.

use super::{ExpectedRevision, LogError, NewEvent, Revision};
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_BYTES_MAX};

/// Refuses a batch that is over a bound, before anything is stored.
pub(crate) fn check_bounds(events: &[NewEvent]) -> Result<(), LogError> {
    let within = |what, actual, max| {
        if actual <= max { Ok(()) } else { Err(LogError::TooLarge { what, actual, max }) }
    };
    within("events in one append", events.len(), APPEND_EVENTS_MAX)?;
    let mut bytes = 0;
    for event in events {
        within("event bytes", event.data.len(), EVENT_BYTES_MAX)?;
        bytes += event.data.len();
    }
    within("bytes in one append", bytes, APPEND_BYTES_MAX)
}

impl ExpectedRevision {
    /// Whether a stream whose last revision is `actual` is where the writer believes it to be.
    pub(crate) fn accepts(self, actual: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_none(),
            Self::StreamExists => actual.is_some(),
            Self::Exact(revision) => actual == Some(revision),
        }
    }

    /// The revision that the first event of the batch would get, where the expectation names one.
    /// There a backend looks for an earlier copy of the same batch.
    pub(crate) fn first_revision(self) -> Option<Revision> {
        match self {
            Self::NoStream => Some(Revision(0)),
            Self::Exact(Revision(last)) => last.checked_add(1).map(Revision),
            Self::Any | Self::StreamExists => None,
        }
    }
}
