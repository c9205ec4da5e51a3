//! What can go wrong while building read models, and while reading them.

use rusqlite::ErrorCode;
use spark_events::{CodecError, LogError, Position};

/// Why a read model could not be built or kept up to date.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// An event does not fit what the read model holds.
    #[error("event {event_type} at position {position} cannot be applied: {reason}")]
    Apply {
        /// Where the event is.
        position: Position,
        /// Its type.
        event_type: String,
        /// What does not fit.
        reason: String,
    },
    /// An event cannot be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The read models' file cannot be read or written.
    #[error(
        "the read models' file cannot be used: {0}; free disk space, or delete the file and restart to rebuild it"
    )]
    Store(#[from] rusqlite::Error),
    /// A thread could not be started.
    #[error("a thread for the read models cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The log cannot be asked where it ends.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No projection has this name.
    #[error("there is no projection {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The runner has ended.
    #[error("the projections were stopped; restart the process")]
    Stopped,
}

impl ProjectionError {
    /// True for trouble with the file, which has nothing to do with the event at hand: the same
    /// work may succeed later without any change.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Store(error) if is_outage(error))
    }
}

fn is_outage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}

/// Why a read was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The read models have not reached the position that was asked for.
    #[error("the read models are at position {reached}, {wanted} was asked for; try again")]
    Behind {
        /// The position asked for.
        wanted: Position,
        /// How far they are.
        reached: Position,
    },
    /// The cursor was not made here.
    #[error("the cursor {0:?} cannot be read; take next_cursor from the page before")]
    BadCursor(String),
    /// The page is out of bounds.
    #[error("a page has from 1 to {max} rows, got {got}", max = spark_events::limits::PAGE_MAX)]
    BadLimit {
        /// The rows asked for.
        got: usize,
    },
    /// Two ways of paging at once.
    #[error("a page is named by a cursor or by an offset, not by both")]
    CursorAndOffset,
    /// Nothing can be searched for by this text.
    #[error(
        "a search needs from 1 to {max} words of letters or digits, got {words}; a star behind a word finds all that begin like it",
        max = spark_events::limits::SEARCH_WORDS_MAX
    )]
    BadSearch {
        /// The words it has.
        words: usize,
    },
    /// The file cannot be read.
    #[error("the read models' file cannot be read: {0}")]
    Store(#[from] rusqlite::Error),
    /// A read ended without an answer: the process is shutting down.
    #[error("the read was broken off; the process is shutting down")]
    Stopped,
}
