//! Taking flows from a source: one, several, a folder, or all.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use spark_actors::{SyncFailure, SyncFlow, SyncOutcome, SyncWhich};
use spark_events::domain::flow::diff::FlowChanges;
use spark_events::limits::{FLOW_VALUE_CHARS_MAX, FLOWS_NAMED_MAX};

use spark_projections::FlowRow;
use utoipa::ToSchema;

use super::row_at;
use crate::body;
use crate::call::Call;
use crate::error::{ApiError, FieldError};
use crate::options::Wrong;
use crate::read;
use crate::reply::Reply;
use crate::shown;

/// Sync flows of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sync)]
pub struct SyncBody {
    /// The source; not needed where there is only one.
    pub source: Option<String>,
    /// The flow's id or name at the source.
    pub flow: Option<String>,
    /// Ids or names of several flows at the source.
    pub flows: Option<Vec<String>>,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
    /// Every flow of the source.
    #[serde(default)]
    pub all: bool,
    /// Every flow in this folder of the source.
    pub folder: Option<String>,
    /// Give up edits that were not pushed.
    #[serde(default)]
    pub force: bool,
    /// Why.
    pub reason: Option<String>,
}

/// What is to be synced, and in which form that is answered.
#[derive(Debug)]
pub enum SyncWhat {
    /// One flow, answered as its row.
    One(SyncFlow),
    /// Several, answered as a list.
    Several(SyncWhich),
}

impl TryFrom<SyncBody> for SyncWhat {
    type Error = Vec<FieldError>;

    fn try_from(body: SyncBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let chosen = [
            ("all", body.all),
            ("flow", body.flow.is_some()),
            ("flows", body.flows.is_some()),
            ("folder", body.folder.is_some()),
        ];
        let mut given = chosen.iter().filter(|(_, given)| *given).map(|(field, _)| *field);
        let first = given.next();
        for more in given {
            wrong.push(more, format!("cannot be combined with {}", first.unwrap_or_default()));
        }
        let components = [
            ("input_component", body.input_component.is_some()),
            ("output_component", body.output_component.is_some()),
        ];
        if body.flow.is_none() {
            for (field, _) in components.iter().filter(|(_, given)| *given) {
                wrong.push(field, "can be given for one flow only");
            }
        }
        let force = body.force;
        let named = |remote: String| SyncFlow { remote, force, ..SyncFlow::default() };
        match (body.flow.filter(|flow| !flow.trim().is_empty()), body.flows) {
            (Some(remote), _) => wrong.finish(Self::One(SyncFlow {
                input_component: body.input_component,
                output_component: body.output_component,
                ..named(remote)
            })),
            (None, Some(flows)) => {
                if !(1..=FLOWS_NAMED_MAX).contains(&flows.len()) {
                    wrong.push("flows", format!("names from 1 to {FLOWS_NAMED_MAX} flows"));
                }
                let flows = flows.into_iter().map(named).collect();
                wrong.finish(Self::Several(SyncWhich::Named(flows)))
            }
            (None, None) => {
                if !body.all && body.folder.is_none() {
                    wrong.push(
                        "flow",
                        "is missing: give the flow's id or name at the source, or all",
                    );
                }
                let which = SyncWhich::All { folder: body.folder, force };
                wrong.finish(Self::Several(which))
            }
        }
    }
}

/// A flow, with what changed since the sync before; null for a new one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `outcome_row` puts together")]
pub(super) struct SyncedFlow {
    #[serde(flatten)]
    flow: FlowRow,
    /// What changed.
    changes: Option<FlowChanges>,
}

/// A flow that could not be synced, and why.
#[derive(Serialize, ToSchema)]
struct NotSynced {
    /// Its name, or what it was called in the request.
    name: String,
    /// Its id at the source, where it was found there.
    remote_id: Option<String>,
    /// The stable code.
    code: &'static str,
    /// What happened.
    detail: String,
}

/// What came of syncing several flows.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Synced {
    /// The flows, each with what changed since the sync before.
    #[schema(value_type = Vec<SyncedFlow>)]
    items: Vec<Box<RawValue>>,
    /// How many they are.
    total: usize,
    /// What could not be synced.
    failed: Vec<NotSynced>,
}

pub(super) async fn sync(call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    call.query.only(&[])?;
    let mut body: SyncBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    let source = body.source.take();
    let what = SyncWhat::try_from(body)?;
    let source = match source {
        Some(text) => read::source_id(app, &text).await?,
        None => read::only_source(app).await?,
    };
    let (one, which) = match what {
        SyncWhat::One(request) => (true, SyncWhich::Named(vec![request])),
        SyncWhat::Several(which) => (false, which),
    };
    let report = app.spark.sync_flows(source, which, &who).await?;
    match report.synced.as_slice() {
        [outcome] if one => {
            let row = outcome_row(call, outcome).await;
            Reply::written(row, read::known(outcome.id), outcome.position)
        }
        synced => {
            let mut failed = report.failed;
            if one && let Some(failure) = failed.pop() {
                return Err(failure.error.into());
            }
            many(call, synced, failed).await
        }
    }
}

async fn many(
    call: &Call<'_>,
    synced: &[SyncOutcome],
    failed: Vec<SyncFailure>,
) -> Result<Reply, ApiError> {
    let position = synced.iter().filter_map(|outcome| outcome.position).max();
    let mut items = Vec::with_capacity(synced.len());
    for outcome in synced {
        items.push(match outcome_row(call, outcome).await {
            Ok(row) => row,
            Err(_) => to_raw_value(&read::known(outcome.id)).unwrap_or_default(),
        });
    }
    let failed = failed.into_iter().map(failure).collect();
    Ok(Reply::ok(&Synced { total: items.len(), items, failed })?.at(position))
}

/// The flow's row, with what changed since the sync before; null for a new one. Long values are
/// cut here and whole in the difference of two versions.
async fn outcome_row(call: &Call<'_>, outcome: &SyncOutcome) -> Result<Box<RawValue>, ApiError> {
    let row = row_at(call, outcome.id, outcome.position).await?;
    let changes = outcome.changes.clone().map(|mut changes| {
        changes.definition = changes.definition.shortened(FLOW_VALUE_CHARS_MAX);
        changes
    });
    shown::with(&row, "changes", &changes)
}

fn failure(failure: SyncFailure) -> NotSynced {
    let error = ApiError::from(failure.error);
    NotSynced {
        name: failure.name,
        remote_id: failure.remote_id,
        code: error.row().code,
        detail: error.to_string(),
    }
}
