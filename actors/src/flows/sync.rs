//! Taking flows from a source as it has them now, and saying what changed.

use spark_events::domain::component::{self, BadChoice, Component};
use spark_events::domain::flow::canonical::definition_hash;
use spark_events::domain::flow::diff::{FlowChanges, FlowDiff, TextChange, diff};
use spark_events::domain::flow::{FlowCommand, FlowSynced};
use spark_events::{FlowId, Position, SourceId, payload};

use super::details::stored_definition;
use super::{change_flow, in_folder, list};
use crate::catalog::SourceEntry;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::flow_table::FlowEntry;
use crate::langflow::{RemoteDefinition, RemoteFlow};
use crate::requests::{Done, SyncFlow, Who};
use crate::sources::{client, refused};
use crate::spark::Spark;

/// Which flows of a source are to be synced.
#[derive(Debug, Clone)]
pub enum SyncWhich {
    /// These.
    Named(Vec<SyncFlow>),
    /// All, or all in one folder.
    All {
        /// The folder's name or id at the source.
        folder: Option<String>,
        /// Give up edits that were not pushed.
        force: bool,
    },
}

/// What came of syncing several flows.
#[derive(Debug)]
pub struct SyncReport {
    /// Those that are synced now.
    pub synced: Vec<SyncOutcome>,
    /// Those that are not.
    pub failed: Vec<SyncFailure>,
}

/// A flow that was synced.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncOutcome {
    /// The flow.
    pub id: FlowId,
    /// What changed since it was last synced; `None`: it is new.
    pub changes: Option<FlowChanges>,
    /// Where the last event of it is; `None`: nothing had changed.
    pub position: Option<Position>,
}

/// A flow that was not synced.
#[derive(Debug)]
pub struct SyncFailure {
    /// Its name at the source, or what was asked for.
    pub name: String,
    /// Its id at the source, where that is known.
    pub remote_id: Option<String>,
    /// Why.
    pub error: DispatchError,
}

impl Spark {
    /// Syncs one flow, given by its id or its exact name at the source. Syncing it again records
    /// what has changed, if anything has.
    ///
    /// # Errors
    /// `NotFound` (source, or flow at the source), `Conflict` (several flows of that name),
    /// `Rejected` (an edit that was not pushed), `Invalid` (components), `Source`, `Unavailable`,
    /// `ShuttingDown`.
    pub async fn sync_flow(
        &self,
        source_id: SourceId,
        request: SyncFlow,
        who: &Who,
    ) -> Result<Done<FlowId>, DispatchError> {
        let report = self.sync_flows(source_id, SyncWhich::Named(vec![request]), who).await?;
        if let Some(failure) = report.failed.into_iter().next() {
            return Err(failure.error);
        }
        let synced = report.synced.into_iter().next();
        let synced = synced.ok_or(DispatchError::Internal("a sync came to nothing".into()))?;
        Ok(Done { value: synced.id, position: synced.position })
    }

    /// Syncs several flows of a source, one after the other; one that fails does not stop the
    /// others.
    ///
    /// # Errors
    /// `NotFound` (source or folder), `Source` (it cannot list its flows), `ShuttingDown`.
    pub async fn sync_flows(
        &self,
        source_id: SourceId,
        which: SyncWhich,
        who: &Who,
    ) -> Result<SyncReport, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let entry = context.catalog.source(source_id)?;
        let remote = list(&entry).await?;
        let mut report = SyncReport { synced: vec![], failed: vec![] };
        let mut wanted = vec![];
        match which {
            SyncWhich::All { folder, force } => {
                for flow in in_folder(remote, folder.as_deref())? {
                    let request =
                        SyncFlow { remote: flow.id.clone(), force, ..SyncFlow::default() };
                    wanted.push((flow, request));
                }
            }
            SyncWhich::Named(requests) => {
                for request in requests {
                    match pick(&remote, &request.remote) {
                        Ok(flow) => wanted.push((flow.clone(), request)),
                        Err(error) => {
                            let (name, remote_id) = (request.remote, None);
                            report.failed.push(SyncFailure { name, remote_id, error });
                        }
                    }
                }
            }
        }
        for (flow, request) in wanted {
            let (name, remote_id) = (flow.name.clone(), Some(flow.id.clone()));
            match sync_one(context, (source_id, &entry), flow, request, who).await {
                Ok(outcome) => report.synced.push(outcome),
                Err(error) => report.failed.push(SyncFailure { name, remote_id, error }),
            }
        }
        Ok(report)
    }
}

async fn sync_one(
    context: &Shared,
    (source_id, entry): (SourceId, &SourceEntry),
    remote: RemoteFlow,
    request: SyncFlow,
    who: &Who,
) -> Result<SyncOutcome, DispatchError> {
    let fetched = client(entry)?.fetch_flow(&remote.id).await;
    let fetched = fetched.map_err(|failure| refused(&entry.source.name, failure))?;
    // A flow that was made here and pushed keeps the id it has here.
    let known = context.catalog.flows_of(source_id).get(&remote.id).copied();
    let id = known.unwrap_or_else(|| FlowId::of_remote(source_id, &remote.id));
    let before = context.catalog.flow_entry(id).ok();
    let asked = Asked {
        input: request.input_component.as_deref(),
        output: request.output_component.as_deref(),
        before: before.as_ref().map(|entry| &*entry.synced),
    };
    let folder = remote.folder;
    let fetched =
        RemoteDefinition { name: remote.name, description: remote.description, ..fetched };
    let flow = describe(context, source_id, fetched, folder, asked, who).await?;
    let changes = match &before {
        Some(before) => Some(changes(context, before, &flow).await?),
        None => None,
    };
    let command = FlowCommand::Sync { flow: Box::new(flow), force: request.force };
    let (_, position) = change_flow(context, id, command, who).await?;
    Ok(SyncOutcome { id, changes, position })
}

/// Which components take the input and give the output.
pub(super) struct Asked<'a> {
    pub(super) input: Option<&'a str>,
    pub(super) output: Option<&'a str>,
    /// The flow as it was known until now: what somebody chose for it stays.
    pub(super) before: Option<&'a FlowSynced>,
}

/// A flow as a source has it, with its secrets masked and its definition stored.
pub(super) async fn describe(
    context: &Shared,
    source_id: SourceId,
    remote: RemoteDefinition,
    folder: Option<String>,
    asked: Asked<'_>,
    who: &Who,
) -> Result<FlowSynced, DispatchError> {
    // Secrets are masked before anything is analysed, hashed or stored.
    let masked = component::mask_secrets(&remote.data);
    let components = component::analyse(&masked);
    let (input, output) = choose(&components, &asked)?;
    let definition_hash = definition_hash(&masked);
    let definition = payload::store(context.log.as_ref(), masked, who.metadata()).await?;
    Ok(FlowSynced {
        source_id,
        remote_id: remote.id,
        name: remote.name,
        description: remote.description,
        folder,
        input_component: input,
        output_component: output,
        components,
        definition,
        definition_hash,
    })
}

type Chosen = (Option<String>, Option<String>);

/// The input and the output: what is asked for, else what was chosen before against what would
/// have been detected, else what is detected.
fn choose(components: &[Component], asked: &Asked<'_>) -> Result<Chosen, DispatchError> {
    let invalid = |error: BadChoice| DispatchError::Invalid(error.to_string());
    let kept = |chosen: Option<&String>, detected: Result<Option<String>, BadChoice>| {
        let by_hand = detected.ok().flatten().as_ref() != chosen;
        let id = chosen.filter(|_| by_hand)?;
        components.iter().any(|component| component.id == *id).then(|| id.clone())
    };
    let before = asked.before;
    let input = before.and_then(|flow| {
        kept(flow.input_component.as_ref(), component::choose_input(&flow.components, None))
    });
    let output = before.and_then(|flow| {
        kept(flow.output_component.as_ref(), component::choose_output(&flow.components, None))
    });
    let input = component::choose_input(components, asked.input.or(input.as_deref()));
    let output = component::choose_output(components, asked.output.or(output.as_deref()));
    Ok((input.map_err(invalid)?, output.map_err(invalid)?))
}

/// What differs between a flow as it was known and as it is to be known.
pub(super) async fn changes(
    context: &Shared,
    before: &FlowEntry,
    flow: &FlowSynced,
) -> Result<FlowChanges, DispatchError> {
    let had = &before.synced;
    let definition = if had.definition_hash == flow.definition_hash {
        FlowDiff::default()
    } else {
        let old = stored_definition(context, before).await?;
        diff(&old, &payload::load(context.log.as_ref(), &flow.definition).await?)
    };
    let folder = |flow: &FlowSynced| flow.folder.clone().unwrap_or_default();
    Ok(FlowChanges {
        name: TextChange::of(&had.name, &flow.name),
        description: TextChange::of(&had.description, &flow.description),
        folder: TextChange::of(&folder(had), &folder(flow)),
        definition,
    })
}

/// Finds a flow by its id, or by its exact name when only one has it.
fn pick<'a>(flows: &'a [RemoteFlow], wanted: &str) -> Result<&'a RemoteFlow, DispatchError> {
    let found: Vec<&RemoteFlow> =
        flows.iter().filter(|flow| flow.id == wanted || flow.name == wanted).collect();
    match found.as_slice() {
        [flow] => Ok(flow),
        [] => Err(DispatchError::NotFound { kind: "flow at the source", id: wanted.to_owned() }),
        several => {
            let ids: Vec<&str> = several.iter().map(|flow| flow.id.as_str()).collect();
            Err(DispatchError::Conflict(format!(
                "{} flows at the source have the name {wanted:?}; give one of their ids: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}
