//! Sources and flows as an attempt needs them: kept in memory, filled from the log at start,
//! changed by the commands that change them. Holds no state of its own that the log does not have.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use spark_events::domain::flow::{Drift, Flow, FlowSynced};
use spark_events::domain::source::{Probe, SourceAdded};
use spark_events::{FlowId, SourceId};

use crate::client::SourceClient;
use crate::error::DispatchError;
use crate::flow_table::{FlowEntry, FlowTable};
use crate::seal::Sealer;

/// A source, ready to be called.
#[derive(Debug, Clone)]
pub(crate) struct SourceEntry {
    /// As the log has it.
    pub(crate) source: SourceAdded,
    /// The client; an error text when the URL or the sealed key cannot be used.
    pub(crate) client: Result<SourceClient, String>,
}

#[derive(Debug, Default)]
struct Entries {
    sources: HashMap<SourceId, SourceEntry>,
    flows: FlowTable,
}

/// All sources and flows.
#[derive(Debug)]
pub(crate) struct Catalog {
    http: reqwest::Client,
    sealer: Sealer,
    // A std lock: it is held for map look-ups only, never across an await.
    entries: RwLock<Entries>,
    /// Held while a flow is changed in the log and then here, so that two changes of one flow
    /// arrive here in the order in which the log has them.
    flow_changes: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub(crate) fn new(http: reqwest::Client, sealer: Sealer) -> Self {
        Self {
            http,
            sealer,
            entries: RwLock::default(),
            flow_changes: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn put_source(&self, id: SourceId, source: SourceAdded) {
        let client = self.client(&source);
        self.write(|entries| {
            entries.sources.insert(id, SourceEntry { source, client });
        });
    }

    fn client(&self, source: &SourceAdded) -> Result<SourceClient, String> {
        let key = match &source.api_key {
            None => None,
            Some(sealed) => Some(self.sealer.open_key(sealed).ok_or(
                "its API key cannot be opened: the sealing key in the data directory was \
                 replaced; give the source its key again: automagik source update NAME --api-key KEY",
            )?),
        };
        SourceClient::new(self.http.clone(), &source.kind, &source.url, key)
            .map_err(|error| error.to_string())
    }

    pub(crate) fn drop_source(&self, id: SourceId) {
        self.write(|entries| {
            entries.sources.remove(&id);
        });
    }

    /// Takes the state of a flow.
    pub(crate) fn put_flow(&self, id: FlowId, flow: &Flow) {
        self.write(|entries| entries.flows.put(id, flow));
    }

    /// The right to change flows. See [`crate::flows::change_flow`].
    pub(crate) async fn changing_flows(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.flow_changes.lock().await
    }

    pub(crate) fn source(&self, id: SourceId) -> Result<SourceEntry, DispatchError> {
        self.read(|entries| entries.sources.get(&id).cloned())
            .ok_or_else(|| DispatchError::NotFound { kind: "source", id: id.to_string() })
    }

    pub(crate) fn flow(&self, id: FlowId) -> Result<std::sync::Arc<FlowSynced>, DispatchError> {
        Ok(self.flow_entry(id)?.synced)
    }

    pub(crate) fn flow_entry(&self, id: FlowId) -> Result<FlowEntry, DispatchError> {
        self.read(|entries| entries.flows.get(id))
    }

    /// What a flow's source has in its place, as far as is known. Asks nobody.
    pub(crate) fn drift(&self, id: FlowId) -> Option<Drift> {
        self.flow_entry(id).ok()?.drift
    }

    /// How many flows are known to have drifted.
    pub(crate) fn drifted_flows(&self) -> usize {
        self.read(|entries| entries.flows.drifted())
    }

    /// The flows that have a limit of runs at once.
    pub(crate) fn flow_limits(&self) -> Vec<(FlowId, u32)> {
        self.read(|entries| entries.flows.limits())
    }

    pub(crate) fn sources(&self) -> Vec<(SourceId, SourceAdded)> {
        self.read(|entries| {
            entries.sources.iter().map(|(id, entry)| (*id, entry.source.clone())).collect()
        })
    }

    /// The first source other than `id` that has this name or this URL.
    pub(crate) fn source_like(&self, id: SourceId, name: &str, url: &str) -> Option<SourceAdded> {
        self.read(|entries| {
            let mut others = entries.sources.iter().filter(|(other, _)| **other != id);
            others
                .find(|(_, entry)| entry.source.name == name || entry.source.url == url)
                .map(|(_, entry)| entry.source.clone())
        })
    }

    /// Names of the flows of a source, in order.
    pub(crate) fn names_of_flows(&self, source: SourceId) -> Vec<String> {
        let mut names: Vec<String> = self.read(|entries| {
            entries.flows.of(source).map(|(_, flow)| flow.synced.name.clone()).collect()
        });
        names.sort();
        names
    }

    /// Ids of the flows of a source, by their id there.
    pub(crate) fn flows_of(&self, source: SourceId) -> HashMap<String, FlowId> {
        self.read(|entries| {
            let flows = entries.flows.of(source);
            flows.map(|(id, flow)| (flow.synced.remote_id.clone(), id)).collect()
        })
    }
}

/// Whether the last probe found the source answering.
pub(crate) fn is_up(probe: &Probe) -> bool {
    matches!(probe, Probe::Up { .. })
}
