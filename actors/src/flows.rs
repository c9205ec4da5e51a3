//! Flows from LangFlow: browsing, syncing, forgetting. See `sources.rs` for why they need no actor.

use sha2::{Digest, Sha256};
use spark_events::domain::component;
use spark_events::domain::flow::{Flow, FlowCommand, FlowSynced};
use spark_events::{FlowId, SourceId, payload};

use crate::catalog::SourceEntry;
use crate::error::DispatchError;
use crate::langflow::RemoteFlow;
use crate::requests::{Done, RemoteListing, SyncFlow, Who};
use crate::sources::{change, client, refused};
use crate::spark::Spark;

impl Spark {
    /// The flows that a source has now, and which of them are synced.
    ///
    /// # Errors
    /// `NotFound`, `Source`.
    pub async fn remote_flows(&self, id: SourceId) -> Result<Vec<RemoteListing>, DispatchError> {
        let _permit = self.admit()?;
        let catalog = &self.context().catalog;
        let entry = catalog.source(id)?;
        let synced = catalog.flows_of(id);
        let mut flows: Vec<RemoteListing> = list(&entry)
            .await?
            .into_iter()
            .map(|flow| RemoteListing {
                synced_as: synced.get(&flow.id).copied(),
                id: flow.id,
                name: flow.name,
                description: flow.description,
                folder: flow.folder,
            })
            .collect();
        flows.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
        Ok(flows)
    }

    /// Syncs one flow, given by its id or its exact name at the source. Syncing it again records
    /// what has changed, if anything has.
    ///
    /// # Errors
    /// `NotFound` (source, or flow at the source), `Conflict` (several flows of that name),
    /// `Invalid` (components), `Source`, `Unavailable`, `ShuttingDown`.
    pub async fn sync_flow(
        &self,
        source_id: SourceId,
        request: SyncFlow,
        who: &Who,
    ) -> Result<Done<FlowId>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let entry = context.catalog.source(source_id)?;
        let remote = pick(list(&entry).await?, &request.remote)?;
        let client = client(&entry)?;
        let definition = client
            .fetch_flow(&remote.id)
            .await
            .map_err(|failure| refused(&entry.source.name, failure))?;
        // Secrets are masked before anything is analysed, hashed or stored.
        let masked = component::mask_secrets(&definition.data);
        let components = component::analyse(&masked);
        let input_component =
            component::choose_input(&components, request.input_component.as_deref())
                .map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let output_component =
            component::choose_output(&components, request.output_component.as_deref())
                .map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let definition_hash = hash(&masked);
        let log = context.log.as_ref();
        let definition = payload::store(log, masked, who.metadata()).await?;
        let id = FlowId::of_remote(source_id, &remote.id);
        let synced = FlowSynced {
            source_id,
            remote_id: remote.id,
            name: remote.name,
            description: remote.description,
            folder: remote.folder,
            input_component,
            output_component,
            components,
            definition,
            definition_hash,
        };
        let command = FlowCommand::Sync(Box::new(synced));
        let (flow, position) = change::<Flow>(context, id.stream(), command, who)
            .await
            .map_err(|error| DispatchError::of(error, "flow", id))?;
        if let Flow::Synced(flow) = flow {
            context.catalog.put_flow(id, *flow);
        }
        Ok(Done { value: id, position })
    }

    /// Forgets a flow; its history and its tasks stay.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn delete_flow(&self, id: FlowId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let (_, position) = change::<Flow>(context, id.stream(), FlowCommand::Delete, who)
            .await
            .map_err(|error| DispatchError::of(error, "flow", id))?;
        context.catalog.drop_flow(id);
        Ok(Done { value: (), position })
    }
}

async fn list(entry: &SourceEntry) -> Result<Vec<RemoteFlow>, DispatchError> {
    let listed = client(entry)?.list_flows().await;
    listed.map_err(|failure| refused(&entry.source.name, failure))
}

/// Finds a flow by its id, or by its exact name when only one has it.
fn pick(flows: Vec<RemoteFlow>, wanted: &str) -> Result<RemoteFlow, DispatchError> {
    let mut found: Vec<RemoteFlow> =
        flows.into_iter().filter(|flow| flow.id == wanted || flow.name == wanted).collect();
    match (found.pop(), found.len()) {
        (Some(flow), 0) => Ok(flow),
        (None, _) => {
            Err(DispatchError::NotFound { kind: "flow at the source", id: wanted.to_owned() })
        }
        (Some(last), _) => {
            let ids: Vec<String> = found.into_iter().chain([last]).map(|flow| flow.id).collect();
            Err(DispatchError::Conflict(format!(
                "{} flows at the source have the name {wanted:?}; give one of their ids: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}

pub(crate) fn hash(definition: &serde_json::Value) -> String {
    let digest = Sha256::digest(definition.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
