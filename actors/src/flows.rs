//! Flows: browsing what sources have, forgetting, settings. See `sources.rs` for why they need no
//! actor.
//!
//! - `flows/sync.rs`: taking flows from a source. `flows/local.rs`: flows made or edited here, and
//!   pushing them. `flows/drift.rs`: noticing that a source has something else.
//! - `flows/versions.rs`: what a flow was, and what differs. `flows/details.rs`: what follows from
//!   a definition.

use spark_events::domain::flow::{Flow, FlowCommand, FlowUpdated, RunsLimit};
use spark_events::limits::FLOW_RUNS_MAX;
use spark_events::{FlowId, Position, SourceId};

use crate::carried::carried;
use crate::catalog::SourceEntry;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::langflow::RemoteFlow;
use crate::requests::{Done, RemoteListing, Who};
use crate::sources::{change, client, refused};
use crate::spark::Spark;
use crate::tasks::TasksMessage;

mod details;
pub(crate) mod drift;
mod local;
mod sync;
mod versions;

pub(crate) use details::check_tweaks;
pub(crate) use drift::DriftWatch;
pub use local::{CreateFlow, EditFlow, PushFlow, Pushed};
pub use sync::{SyncFailure, SyncOutcome, SyncReport, SyncWhich};
pub use versions::{DiffAsked, DiffSide, FlowVersion, VersionRef};

impl Spark {
    /// The flows that a source has now, or those in one folder there, and which are synced.
    ///
    /// # Errors
    /// `NotFound`, `Source`.
    pub async fn remote_flows(
        &self,
        id: SourceId,
        folder: Option<&str>,
    ) -> Result<Vec<RemoteListing>, DispatchError> {
        let _permit = self.admit()?;
        let catalog = &self.context().catalog;
        let entry = catalog.source(id)?;
        let synced = catalog.flows_of(id);
        let mut flows: Vec<RemoteListing> = in_folder(list(&entry).await?, folder)?
            .into_iter()
            .map(|flow| {
                let synced_as = synced.get(&flow.id).copied();
                RemoteListing {
                    synced_as,
                    drifted: synced_as.is_some_and(|id| catalog.drift(id).is_some()),
                    id: flow.id,
                    name: flow.name,
                    description: flow.description,
                    folder: flow.folder,
                }
            })
            .collect();
        flows.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
        Ok(flows)
    }

    /// Sets how many runs of a flow there may be at once; `None`: as many as its source allows.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `Unavailable`, `ShuttingDown`.
    pub async fn limit_flow(
        &self,
        id: FlowId,
        runs_max: Option<u32>,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let limit = match runs_max {
            None => RunsLimit::None,
            Some(number) if (1..=FLOW_RUNS_MAX).contains(&number) => RunsLimit::AtMost(number),
            Some(_) => {
                return Err(DispatchError::Invalid(format!(
                    "a flow's limit of runs at once is from 1 to {FLOW_RUNS_MAX}, or none; to run \
                     nothing, pause its schedules"
                )));
            }
        };
        let command = FlowCommand::Update(FlowUpdated { runs_max: Some(limit) });
        let (_, position) = change_flow(self.context(), id, command, who).await?;
        self.apply_flow_limit(id, runs_max);
        Ok(Done { value: (), position })
    }

    /// Forgets a flow; its history and its tasks stay.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn delete_flow(&self, id: FlowId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let (_, position) = change_flow(self.context(), id, FlowCommand::Delete, who).await?;
        self.apply_flow_limit(id, None);
        Ok(Done { value: (), position })
    }

    /// Brings the limit of one flow to whoever gives slots.
    fn apply_flow_limit(&self, flow: FlowId, runs_max: Option<u32>) {
        // A supervisor that has ended gives no slots any more.
        let _ = self.tasks().cast(TasksMessage::SetFlowLimit { flow, runs_max });
    }
}

/// Changes a flow, in the log and then in the catalog.
pub(crate) async fn change_flow(
    context: &Shared,
    id: FlowId,
    command: FlowCommand,
    who: &Who,
) -> Result<(Flow, Option<Position>), DispatchError> {
    let (context, who) = (context.clone(), who.clone());
    carried(async move {
        let _one_at_a_time = context.catalog.changing_flows().await;
        let changed = change::<Flow>(&context, id.stream(), command, &who).await;
        let (flow, position) = changed.map_err(|error| DispatchError::of(error, "flow", id))?;
        context.catalog.put_flow(id, &flow);
        Ok((flow, position))
    })
    .await
}

async fn list(entry: &SourceEntry) -> Result<Vec<RemoteFlow>, DispatchError> {
    let listed = client(entry)?.list_flows().await;
    listed.map_err(|failure| refused(&entry.source.name, failure))
}

/// The flows of a folder, given by its name or its id at the source.
fn in_folder(
    flows: Vec<RemoteFlow>,
    folder: Option<&str>,
) -> Result<Vec<RemoteFlow>, DispatchError> {
    let Some(folder) = folder else { return Ok(flows) };
    let is_there = |flow: &RemoteFlow| {
        [&flow.folder, &flow.folder_id].into_iter().any(|name| name.as_deref() == Some(folder))
    };
    let inside: Vec<RemoteFlow> = flows.into_iter().filter(is_there).collect();
    if inside.is_empty() {
        let id = folder.to_owned();
        return Err(DispatchError::NotFound { kind: "folder with flows at the source", id });
    }
    Ok(inside)
}
