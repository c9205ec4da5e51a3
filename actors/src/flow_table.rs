//! Flows as an attempt and the checks before it need them, in memory. Part of the catalog, which
//! guards it; holds nothing that the log does not have.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use spark_events::domain::component::ComponentFields;
use spark_events::domain::flow::{Drift, Flow, FlowSettings, FlowSynced};
use spark_events::{FlowId, SourceId};

use crate::error::DispatchError;

/// A flow that a source has.
#[derive(Debug, Clone)]
pub(crate) struct FlowEntry {
    /// As it was last synced or pushed.
    pub(crate) synced: Arc<FlowSynced>,
    /// What its source has instead, as far as is known.
    pub(crate) drift: Option<Drift>,
    /// Spark's own settings of it.
    pub(crate) settings: FlowSettings,
    /// What was found out about its definition; made when first needed.
    pub(crate) known: Arc<Known>,
}

/// What follows from a definition and is costly to find out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The hash of what counts of it.
    pub(crate) content_hash: OnceLock<String>,
    /// The fields of its components.
    pub(crate) fields: OnceLock<Vec<ComponentFields>>,
}

/// All flows.
#[derive(Debug, Default)]
pub(crate) struct FlowTable {
    synced: HashMap<FlowId, FlowEntry>,
    /// Names of flows that were made here and not pushed.
    local: HashMap<FlowId, String>,
}

impl FlowTable {
    /// Takes the state of a flow.
    pub(crate) fn put(&mut self, id: FlowId, flow: &Flow) {
        let before = self.synced.remove(&id);
        self.local.remove(&id);
        match flow {
            Flow::Absent | Flow::Deleted => {}
            Flow::Local(local) => {
                self.local.insert(id, local.content.name.clone());
            }
            Flow::Synced(flow) => {
                let same =
                    |entry: &FlowEntry| entry.synced.definition_hash == flow.flow.definition_hash;
                let known = before.filter(same).map(|entry| entry.known).unwrap_or_default();
                let (drift, settings) = (flow.drift.clone(), flow.settings);
                let entry = FlowEntry { synced: flow.flow.clone().into(), drift, settings, known };
                self.synced.insert(id, entry);
            }
        }
    }

    /// A flow that can run.
    pub(crate) fn get(&self, id: FlowId) -> Result<FlowEntry, DispatchError> {
        if let Some(entry) = self.synced.get(&id) {
            return Ok(entry.clone());
        }
        Err(match self.local.get(&id) {
            Some(name) => DispatchError::Conflict(format!(
                "flow {name} was made here and no source has it yet; push it first: automagik \
                 flow push \"{name}\""
            )),
            None => DispatchError::NotFound { kind: "flow", id: id.to_string() },
        })
    }

    /// The flows of a source.
    pub(crate) fn of(&self, source: SourceId) -> impl Iterator<Item = (FlowId, &FlowEntry)> {
        let flows = self.synced.iter().map(|(id, flow)| (*id, flow));
        flows.filter(move |(_, flow)| flow.synced.source_id == source)
    }

    /// The flows that have a limit of runs at once.
    pub(crate) fn limits(&self) -> Vec<(FlowId, u32)> {
        let limit = |(id, flow): (&FlowId, &FlowEntry)| Some((*id, flow.settings.runs_max?));
        self.synced.iter().filter_map(limit).collect()
    }

    /// How many flows are known to have drifted.
    pub(crate) fn drifted(&self) -> usize {
        self.synced.values().filter(|flow| flow.drift.is_some()).count()
    }
}
