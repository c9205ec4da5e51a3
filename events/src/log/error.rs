//! What can go wrong at the log. A closed set; a backend's own error is only a hidden source.

use std::sync::Arc;

use super::{ExpectedRevision, Position, Revision};
use crate::ids::StreamName;

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A failure of the event log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The stream is not where the writer believed it to be. Nothing was stored.
    #[error("stream {stream} is at {actual:?}, not at {expected:?}")]
    WrongRevision {
        /// The stream.
        stream: StreamName,
        /// What the writer believed.
        expected: ExpectedRevision,
        /// Where the stream is; `None` when it does not exist.
        actual: Option<Revision>,
    },
    /// The stream has no event.
    #[error("stream {0} does not exist")]
    StreamNotFound(StreamName),
    /// The log cannot be read or written now (disk full, locked, unreachable). Nothing was
    /// stored as far as the log knows; the same append may be sent again.
    #[error("the event log is unavailable: {reason}")]
    Unavailable {
        /// What the backend said, in words for an operator.
        reason: String,
        /// The backend's own error.
        #[source]
        source: Option<Source>,
    },
    /// An event or a batch is over a bound. Nothing was stored.
    #[error("{what} is {actual}, over the bound of {max}")]
    TooLarge {
        /// What is too large: `event bytes`, `events in one append` or `bytes in one append`.
        what: &'static str,
        /// Its size.
        actual: usize,
        /// The bound.
        max: usize,
    },
    /// What is stored cannot be read as an event.
    #[error("the event log is corrupt at position {position}: {reason}")]
    Corrupt {
        /// Where.
        position: Position,
        /// What is wrong there.
        reason: String,
    },
    /// The log was closed.
    #[error("the event log is closed")]
    Closed,
}

impl LogError {
    /// An outage with its cause.
    pub fn unavailable(
        reason: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { reason: reason.into(), source: Some(Arc::new(source)) }
    }

    /// True when the same call may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Errors compare by what they say; the backend's hidden source does not count. For tests that
/// compare two backends.
impl PartialEq for LogError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
