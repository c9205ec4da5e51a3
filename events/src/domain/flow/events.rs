//! The events of a flow and what they carry.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::component::Component;
use crate::ids::SourceId;
use crate::payload::Payload;

/// An event of a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowEvent {
    /// It was synced for the first time, or something about it had changed at the source.
    Synced(Box<FlowSynced>),
    /// It was made here, from a file; no source has it yet.
    Created(Box<FlowContent>),
    /// Its definition was changed here; the source has the earlier one until it is pushed.
    Edited(Box<FlowContent>),
    /// The source took what was created or edited here.
    Pushed(Box<FlowPushed>),
    /// A setting was changed.
    Updated(FlowUpdated),
    /// The source has another definition than the one that was synced, or none any more.
    DriftDetected(Drift),
    /// The source has what was synced again, or what it has was taken over.
    DriftCleared(DriftCleared),
    /// It was forgotten.
    Deleted(FlowDeleted),
}

impl FlowEvent {
    /// Whether nothing of an earlier event of the same flow counts any more after this one.
    #[must_use]
    pub fn supersedes(&self, earlier: &Self) -> bool {
        match self {
            Self::Deleted(_) => true,
            Self::Synced(_) | Self::Created(_) | Self::Pushed(_) => {
                !matches!(earlier, Self::Updated(_))
            }
            // The settings have one field, so the last change of them is all there is.
            Self::Updated(_) => matches!(earlier, Self::Updated(_)),
            Self::Edited(_) => matches!(earlier, Self::Edited(_)),
            Self::DriftDetected(_) | Self::DriftCleared(_) => {
                matches!(earlier, Self::DriftDetected(_) | Self::DriftCleared(_))
            }
        }
    }
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

/// What a flow is, wherever it comes from. See [`FlowEvent::Created`] and [`FlowEvent::Edited`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowContent {
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
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

impl From<&FlowSynced> for FlowContent {
    fn from(flow: &FlowSynced) -> Self {
        Self {
            name: flow.name.clone(),
            description: flow.description.clone(),
            input_component: flow.input_component.clone(),
            output_component: flow.output_component.clone(),
            components: flow.components.clone(),
            definition: flow.definition.clone(),
            definition_hash: flow.definition_hash.clone(),
        }
    }
}

/// See [`FlowEvent::Pushed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowPushed {
    /// Whether the source made a new flow of it, rather than changing the one it had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub created: bool,
    /// The flow as the source has it since.
    pub flow: FlowSynced,
}

/// See [`FlowEvent::Updated`]. Only what changed is present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowUpdated {
    /// How many runs of the flow there may be at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_max: Option<RunsLimit>,
}

/// How many runs of one flow there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsLimit {
    /// As many as the source allows.
    None,
    /// At most this many.
    AtMost(u32),
}

impl RunsLimit {
    /// The number, where there is one.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::AtMost(number) => Some(number),
        }
    }
}

/// What a source has in place of what was synced, since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drift {
    /// What the source has instead.
    #[serde(flatten)]
    pub remote: RemoteDrift,
    /// When that was found.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

impl Drift {
    /// What changed, a line each, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match &self.remote {
            RemoteDrift::Changed { summary, .. } => summary.clone(),
            RemoteDrift::Missing => vec!["the source does not have the flow any more".to_owned()],
        }
    }
}

/// What a source has in the place of the definition that was synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RemoteDrift {
    /// Another definition.
    Changed {
        /// The hash of its content.
        remote_hash: String,
        /// What is different about it, a line for each component.
        summary: Vec<String>,
    },
    /// Nothing: the flow is gone there.
    Missing,
}

impl RemoteDrift {
    /// The hash of what the source has; `None` where it has the flow no more.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        match self {
            Self::Changed { remote_hash, .. } => Some(remote_hash),
            Self::Missing => None,
        }
    }
}

/// See [`FlowEvent::DriftCleared`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftCleared {
    /// When that was found.
    pub at: Timestamp,
}

/// See [`FlowEvent::Deleted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowDeleted {}
