//! A projection, as far as the log knows of it: the events that it passes over because somebody
//! decided so. What it is and how far it is, is none of the log's business.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::clock::Timestamp;
use crate::ids::{BadStreamName, StreamName};
use crate::limits::PROJECTION_SKIPS_MAX;
use crate::log::Position;

/// What can be asked of a projection.
#[derive(Debug, Clone)]
pub enum ProjectionCommand {
    /// Pass over one event.
    Skip(ProjectionSkipped),
}

/// Why a projection refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionRejection {
    /// So many events are passed over that the read model is worth nothing.
    #[error("{PROJECTION_SKIPS_MAX} events are passed over already; mend what reads them instead")]
    TooMany,
}

/// An event of a projection.
#[derive(Debug, Clone, PartialEq)]
pub enum ProjectionEvent {
    /// It passes over an event, now and whenever it is built anew.
    Skipped(ProjectionSkipped),
}

/// See [`ProjectionEvent::Skipped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionSkipped {
    /// Where the event is.
    pub position: Position,
    /// Its type.
    pub event_type: String,
    /// What was wrong with it.
    pub why: String,
}

/// The events that a projection passes over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skips(pub BTreeSet<Position>);

/// The stream of the projection of a name.
///
/// # Errors
/// A name that cannot be part of a stream's name.
pub fn stream(name: &str) -> Result<StreamName, BadStreamName> {
    StreamName::new(format!("{}-{name}", Skips::CATEGORY))
}

impl Aggregate for Skips {
    const CATEGORY: &'static str = "projection";
    type Command = ProjectionCommand;
    type Event = ProjectionEvent;
    type Rejection = ProjectionRejection;

    fn decide(
        &self,
        command: ProjectionCommand,
        _now: Timestamp,
    ) -> Result<Vec<ProjectionEvent>, ProjectionRejection> {
        let ProjectionCommand::Skip(skipped) = command;
        if self.0.contains(&skipped.position) {
            return Ok(vec![]);
        }
        if self.0.len() >= PROJECTION_SKIPS_MAX {
            return Err(ProjectionRejection::TooMany);
        }
        Ok(vec![ProjectionEvent::Skipped(skipped)])
    }

    fn evolve(mut self, event: &ProjectionEvent) -> Self {
        let ProjectionEvent::Skipped(skipped) = event;
        self.0.insert(skipped.position);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold;

    fn skip(position: u64) -> ProjectionCommand {
        let position = Position(position);
        let (event_type, why) = ("task.started".into(), "unreadable".into());
        ProjectionCommand::Skip(ProjectionSkipped { position, event_type, why })
    }

    #[test]
    fn an_event_is_passed_over_once_and_not_without_end() {
        let now = Timestamp::UNIX_EPOCH;
        let first = Skips::default().decide(skip(7), now).unwrap();
        let state = fold(Skips::default(), &first);
        assert_eq!(state.0, BTreeSet::from([Position(7)]));
        assert_eq!(state.decide(skip(7), now), Ok(vec![]), "already true");
        let full = Skips((0..PROJECTION_SKIPS_MAX as u64).map(Position).collect());
        assert_eq!(full.decide(skip(u64::MAX), now), Err(ProjectionRejection::TooMany));
        assert_eq!(stream("tasks").unwrap().as_str(), "projection-tasks");
    }
}
