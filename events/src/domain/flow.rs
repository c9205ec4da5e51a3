//! A flow: a workflow definition, synced from a source or made here and pushed to one.
//!
//! - `flow/events.rs`: what happens to it. `flow/canonical.rs`: what of a definition counts.
//! - `flow/diff.rs`: what differs between two definitions. `flow/import.rs`: reading a file.

use super::Aggregate;
use crate::clock::Timestamp;
use crate::ids::FlowId;

pub mod canonical;
pub mod diff;
mod events;
pub mod import;
#[cfg(test)]
mod tests;

pub use events::{
    Drift, DriftCleared, FlowContent, FlowDeleted, FlowEvent, FlowPushed, FlowSynced, FlowUpdated,
    RemoteDrift, RunsLimit,
};

/// What can be asked of a flow.
#[derive(Debug, Clone)]
pub enum FlowCommand {
    /// Take what the source has now.
    Sync {
        /// As the source has it.
        flow: Box<FlowSynced>,
        /// Give up an edit that was not pushed.
        force: bool,
    },
    /// Make it here.
    Create(Box<FlowContent>),
    /// Change its definition here.
    Edit(Box<FlowContent>),
    /// Record that a source took it.
    Push(Box<FlowPushed>),
    /// Change settings.
    Update(FlowUpdated),
    /// Record what a look at the source found.
    Compare {
        /// The hash of the definition that the source's was compared with. When that is not the
        /// one held any more, the look says nothing.
        with: String,
        /// What is different there; `None`: nothing.
        found: Option<RemoteDrift>,
    },
    /// Forget it, keep the history.
    Delete,
}

/// Why a flow refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowRejection {
    /// There is no such flow.
    #[error("there is no such flow")]
    Absent,
    /// A flow with this id exists.
    #[error("there is a flow with this id already")]
    Exists,
    /// A sync would lose an edit.
    #[error(
        "flow {name} was edited here and not pushed; push it (automagik flow push) or give the \
         edit up (automagik flow sync --force)"
    )]
    UnpushedEdit {
        /// The flow's name.
        name: String,
    },
}

/// The settings of a flow that are Spark's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowSettings {
    /// How many runs of it there may be at once; `None`: as many as its source allows.
    pub runs_max: Option<u32>,
}

/// A flow that a source has.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncedFlow {
    /// As it was last synced or pushed: this is what runs.
    pub flow: FlowSynced,
    /// What it shall become with the next push.
    pub edit: Option<FlowContent>,
    /// What the source has instead, as far as is known.
    pub drift: Option<Drift>,
    /// Settings.
    pub settings: FlowSettings,
}

/// A flow that was made here and never pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalFlow {
    /// As it was last edited.
    pub content: FlowContent,
    /// Settings.
    pub settings: FlowSettings,
}

/// A flow: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Flow {
    /// Before its first event.
    #[default]
    Absent,
    /// Made here; cannot run before it is pushed.
    Local(Box<LocalFlow>),
    /// At a source.
    Synced(Box<SyncedFlow>),
    /// Forgotten; syncing it again brings it back.
    Deleted,
}

impl Flow {
    /// The content that the next push would send, and that an export gives.
    #[must_use]
    pub fn content(&self) -> Option<FlowContent> {
        match self {
            Self::Local(local) => Some(local.content.clone()),
            Self::Synced(synced) => {
                Some(synced.edit.clone().unwrap_or_else(|| FlowContent::from(&synced.flow)))
            }
            Self::Absent | Self::Deleted => None,
        }
    }

    fn settings(&self) -> FlowSettings {
        match self {
            Self::Local(local) => local.settings,
            Self::Synced(synced) => synced.settings,
            Self::Absent | Self::Deleted => FlowSettings::default(),
        }
    }

    fn sync(
        &self,
        new: Box<FlowSynced>,
        force: bool,
        now: Timestamp,
    ) -> Result<Vec<FlowEvent>, FlowRejection> {
        let Self::Synced(have) = self else { return Ok(vec![FlowEvent::Synced(new)]) };
        if have.edit.is_some() && !force {
            return Err(FlowRejection::UnpushedEdit { name: have.flow.name.clone() });
        }
        let mut events = vec![];
        if have.flow != *new || have.edit.is_some() {
            events.push(FlowEvent::Synced(new));
        }
        if have.drift.is_some() {
            events.push(FlowEvent::DriftCleared(DriftCleared { at: now }));
        }
        Ok(events)
    }

    fn compare(&self, with: &str, found: Option<RemoteDrift>, now: Timestamp) -> Vec<FlowEvent> {
        let Self::Synced(have) = self else { return vec![] };
        if have.flow.definition_hash != with {
            return vec![];
        }
        match (&have.drift, found) {
            (None, None) => vec![],
            (Some(_), None) => vec![FlowEvent::DriftCleared(DriftCleared { at: now })],
            (Some(known), Some(found)) if same_remote(&known.remote, &found) => vec![],
            (_, Some(remote)) => vec![FlowEvent::DriftDetected(Drift { remote, at: now })],
        }
    }
}

/// Whether two looks found the source in the same state, whatever they say of it.
fn same_remote(known: &RemoteDrift, found: &RemoteDrift) -> bool {
    match (known, found) {
        (RemoteDrift::Missing, RemoteDrift::Missing) => true,
        (
            RemoteDrift::Changed { remote_hash: known, .. },
            RemoteDrift::Changed { remote_hash: found, .. },
        ) => known == found,
        _ => false,
    }
}

impl Aggregate for Flow {
    const CATEGORY: &'static str = FlowId::CATEGORY;
    type Command = FlowCommand;
    type Event = FlowEvent;
    type Rejection = FlowRejection;

    fn decide(
        &self,
        command: FlowCommand,
        now: Timestamp,
    ) -> Result<Vec<FlowEvent>, FlowRejection> {
        match (self, command) {
            (Self::Absent, FlowCommand::Create(content)) => Ok(vec![FlowEvent::Created(content)]),
            (_, FlowCommand::Create(_)) => Err(FlowRejection::Exists),
            (_, FlowCommand::Sync { flow, force }) => self.sync(flow, force, now),
            (Self::Deleted, FlowCommand::Delete) => Ok(vec![]),
            (Self::Absent | Self::Deleted, _) => Err(FlowRejection::Absent),
            (Self::Local(_) | Self::Synced(_), FlowCommand::Edit(content)) => {
                let same = self.content().is_some_and(|have| have == *content);
                Ok(if same { vec![] } else { vec![FlowEvent::Edited(content)] })
            }
            (Self::Local(_), FlowCommand::Push(pushed)) => Ok(vec![FlowEvent::Pushed(pushed)]),
            (Self::Synced(have), FlowCommand::Push(pushed)) => {
                let mut events = vec![FlowEvent::Pushed(pushed)];
                if have.drift.is_some() {
                    events.push(FlowEvent::DriftCleared(DriftCleared { at: now }));
                }
                Ok(events)
            }
            (Self::Local(_) | Self::Synced(_), FlowCommand::Update(patch)) => {
                let news = |limit: &RunsLimit| limit.number() != self.settings().runs_max;
                let patch = FlowUpdated { runs_max: patch.runs_max.filter(news) };
                let same = patch == FlowUpdated::default();
                Ok(if same { vec![] } else { vec![FlowEvent::Updated(patch)] })
            }
            (_, FlowCommand::Compare { with, found }) => Ok(self.compare(&with, found, now)),
            (_, FlowCommand::Delete) => Ok(vec![FlowEvent::Deleted(FlowDeleted {})]),
        }
    }

    fn evolve(mut self, event: &FlowEvent) -> Self {
        let settings = self.settings();
        match event {
            FlowEvent::Synced(flow) => Self::at_source(flow, settings),
            FlowEvent::Pushed(pushed) => Self::at_source(&pushed.flow, settings),
            FlowEvent::Created(content) => Self::local(content, settings),
            FlowEvent::Deleted(_) => match self {
                Self::Absent => Self::Absent,
                Self::Local(_) | Self::Synced(_) | Self::Deleted => Self::Deleted,
            },
            FlowEvent::Edited(content) => {
                match &mut self {
                    Self::Local(local) => local.content = (**content).clone(),
                    Self::Synced(synced) => {
                        let back = FlowContent::from(&synced.flow) == **content;
                        synced.edit = (!back).then(|| (**content).clone());
                    }
                    Self::Absent | Self::Deleted => {}
                }
                self
            }
            FlowEvent::Updated(patch) => {
                let settings = match &mut self {
                    Self::Local(local) => &mut local.settings,
                    Self::Synced(synced) => &mut synced.settings,
                    Self::Absent | Self::Deleted => return self,
                };
                if let Some(limit) = patch.runs_max {
                    settings.runs_max = limit.number();
                }
                self
            }
            FlowEvent::DriftDetected(drift) => self.with_drift(Some(drift.clone())),
            FlowEvent::DriftCleared(_) => self.with_drift(None),
        }
    }
}

impl Flow {
    fn at_source(flow: &FlowSynced, settings: FlowSettings) -> Self {
        let flow = flow.clone();
        Self::Synced(Box::new(SyncedFlow { flow, edit: None, drift: None, settings }))
    }

    fn local(content: &FlowContent, settings: FlowSettings) -> Self {
        Self::Local(Box::new(LocalFlow { content: content.clone(), settings }))
    }

    fn with_drift(mut self, drift: Option<Drift>) -> Self {
        if let Self::Synced(synced) = &mut self {
            synced.drift = drift;
        }
        self
    }
}
