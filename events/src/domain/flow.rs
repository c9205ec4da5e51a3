//! A flow: a workflow definition, synced from a source.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::component::Component;
use crate::clock::Timestamp;
use crate::ids::{FlowId, SourceId};
use crate::payload::Payload;

/// What can be asked of a flow.
#[derive(Debug, Clone)]
pub enum FlowCommand {
    /// Take what the source has now.
    Sync(Box<FlowSynced>),
    /// Forget it, keep the history.
    Delete,
}

/// Why a flow refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowRejection {
    /// There is no such flow.
    #[error("there is no such flow")]
    Absent,
}

/// An event of a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowEvent {
    /// It was synced for the first time, or something about it had changed at the source.
    Synced(Box<FlowSynced>),
    /// It was forgotten.
    Deleted(FlowDeleted),
}

/// See [`FlowEvent::Synced`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowSynced {
    /// The source that has it.
    pub source_id: SourceId,
    /// Its id there.
    pub remote_id: String,
    /// Its name there.
    pub name: String,
    /// Its description there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The folder or project it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The node that takes the input, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_component: Option<String>,
    /// The node that gives the output, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_component: Option<String>,
    /// Its components, as far as they can be run or tweaked.
    #[serde(default)]
    pub components: Vec<Component>,
    /// The definition with its secrets masked.
    pub definition: Payload,
    /// SHA-256 (hex) of the masked definition's JSON.
    pub definition_hash: String,
}

/// See [`FlowEvent::Deleted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowDeleted {}

/// A flow: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Flow {
    /// Before its first event.
    #[default]
    Absent,
    /// As it was last synced.
    Synced(Box<FlowSynced>),
    /// Forgotten; syncing it again brings it back.
    Deleted,
}

impl Aggregate for Flow {
    const CATEGORY: &'static str = FlowId::CATEGORY;
    type Command = FlowCommand;
    type Event = FlowEvent;
    type Rejection = FlowRejection;

    fn decide(
        &self,
        command: FlowCommand,
        _now: Timestamp,
    ) -> Result<Vec<FlowEvent>, FlowRejection> {
        match (self, command) {
            (Self::Synced(have), FlowCommand::Sync(new)) if *have == new => Ok(vec![]),
            (Self::Absent | Self::Synced(_) | Self::Deleted, FlowCommand::Sync(new)) => {
                Ok(vec![FlowEvent::Synced(new)])
            }
            (Self::Absent, FlowCommand::Delete) => Err(FlowRejection::Absent),
            (Self::Deleted, FlowCommand::Delete) => Ok(vec![]),
            (Self::Synced(_), FlowCommand::Delete) => Ok(vec![FlowEvent::Deleted(FlowDeleted {})]),
        }
    }

    fn evolve(self, event: &FlowEvent) -> Self {
        match (self, event) {
            (_, FlowEvent::Synced(flow)) => Self::Synced(flow.clone()),
            (Self::Synced(_), FlowEvent::Deleted(_)) => Self::Deleted,
            (state, FlowEvent::Deleted(_)) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold;

    fn synced(hash: &str) -> FlowCommand {
        FlowCommand::Sync(Box::new(FlowSynced {
            source_id: SourceId(uuid::Uuid::nil()),
            remote_id: "r".into(),
            name: "echo".into(),
            description: String::new(),
            folder: None,
            input_component: None,
            output_component: None,
            components: vec![],
            definition: Payload::Inline(serde_json::Value::Null),
            definition_hash: hash.into(),
        }))
    }

    #[track_caller]
    fn then(flow: Flow, command: FlowCommand) -> (Flow, usize) {
        let events = flow.decide(command, Timestamp::UNIX_EPOCH).unwrap();
        (fold(flow, &events), events.len())
    }

    #[test]
    fn syncing_again_records_only_what_has_changed() {
        let (flow, first) = then(Flow::Absent, synced("a"));
        let (flow, same) = then(flow, synced("a"));
        let (_, changed) = then(flow, synced("b"));
        assert_eq!((first, same, changed), (1, 0, 1));
    }

    #[test]
    fn a_deleted_flow_comes_back_with_the_next_sync() {
        let (flow, _) = then(Flow::Absent, synced("a"));
        let (flow, _) = then(flow, FlowCommand::Delete);
        assert_eq!(flow, Flow::Deleted);
        let (flow, again) = then(flow, FlowCommand::Delete);
        assert_eq!(again, 0, "already true");
        assert!(matches!(then(flow, synced("a")).0, Flow::Synced(_)));
        let absent = Flow::Absent.decide(FlowCommand::Delete, Timestamp::UNIX_EPOCH);
        assert_eq!(absent, Err(FlowRejection::Absent));
    }
}
