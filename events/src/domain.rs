//! The aggregates as pure functions. Nothing below this module reads a clock, makes an id, draws
//! a random number or does I/O: all of that arrives as an argument.
#![deny(clippy::wildcard_enum_match_arm)]

use crate::clock::Timestamp;
use crate::codec::DomainEvent;

pub mod alert;
pub mod api_key;
pub mod component;
pub mod failure;
pub mod flow;
pub mod http_request;
pub mod labels;
pub mod overlap;
pub mod projection;
pub mod recurrence;
pub mod request;
pub mod retry;
pub mod schedule;
pub mod source;
pub mod task;
pub mod trace;
pub mod worker;

/// Something with a stream of its own, whose state is the fold of its events.
///
/// The implementing type *is* the state: an enum with a variant per stage of life. `Default` is
/// the state before the first event.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The first part of its stream names.
    const CATEGORY: &'static str;
    /// What can be asked of it.
    type Command: Clone + Send + 'static;
    /// What can happen to it.
    type Event: DomainEvent;
    /// Why a command was refused: a rule said no. Data, not a failure.
    type Rejection: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// Decides what a command leads to. A command that is already true gives no events.
    ///
    /// # Errors
    /// The rejection that names the rule.
    fn decide(
        &self,
        command: Self::Command,
        now: Timestamp,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after an event. Total: an event that does not fit leaves the state as it is.
    #[must_use]
    fn evolve(self, event: &Self::Event) -> Self;
}

/// The state that a row of events leads to.
pub fn fold<'a, A: Aggregate>(state: A, events: impl IntoIterator<Item = &'a A::Event>) -> A
where
    A::Event: 'a,
{
    events.into_iter().fold(state, A::evolve)
}
