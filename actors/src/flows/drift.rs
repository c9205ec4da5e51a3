//! Drift: a source has something else than was synced. Every source is asked now and then; the
//! hashes of what counts are compared, so moving a node is no drift. A flow that was found changed
//! is recorded once for each state that it is found in.

use std::collections::HashMap;
use std::time::Duration;

use spark_events::FlowId;
use spark_events::domain::component::mask_secrets;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::flow::canonical::content_hash;
use spark_events::domain::flow::diff::diff;
use spark_events::domain::flow::{Drift, Flow, FlowCommand, RemoteDrift};
use spark_events::limits::{
    DRIFT_CHECK_MS_MAX, DRIFT_EVERY_MS_DEFAULT, DRIFT_EVERY_MS_MIN, DRIFT_PAUSE_MS_MAX,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::change_flow;
use super::details::{stored_definition, stored_hash};
use crate::catalog::{SourceEntry, is_up};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::flow_table::FlowEntry;
use crate::langflow::{LangFlow, RemoteFlow};
use crate::requests::Who;
use crate::sources::{client, refused};
use crate::spark::Spark;

/// The loop that compares flows with what their sources have.
pub(crate) struct DriftWatch {
    looper: AbortHandle,
    every: watch::Sender<Option<Duration>>,
}

impl DriftWatch {
    pub(crate) fn start(context: Shared) -> Self {
        let (every, receiver) = watch::channel(Some(Duration::from_millis(DRIFT_EVERY_MS_DEFAULT)));
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and aborted at the end")]
        let looper = tokio::spawn(look_for_ever(context, receiver)).abort_handle();
        Self { looper, every }
    }

    pub(crate) fn stop(&self) {
        self.looper.abort();
    }
}

impl Spark {
    /// Sets how often synced flows are compared with what their sources have; `None`: never. A
    /// time below the bound is raised to it.
    pub fn set_drift_every(&self, every: Option<Duration>) {
        let least = Duration::from_millis(DRIFT_EVERY_MS_MIN);
        self.drift_watch().every.send_replace(every.map(|every| every.max(least)));
    }

    /// Compares a flow with what its source has now, and records what is news.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (no source has the flow yet), `Source`, `Unavailable`.
    pub async fn check_flow(&self, id: FlowId) -> Result<Option<Drift>, DispatchError> {
        let _permit = self.admit()?;
        check_drift(self.context(), id).await
    }
}

/// Compares a flow with what its source has now, and records what is news. For use right before a
/// run; takes [`DRIFT_CHECK_MS_MAX`] at the most.
///
/// # Errors
/// `NotFound`, `Source`, `Unavailable`.
pub(crate) async fn check_drift(
    context: &Shared,
    flow: FlowId,
) -> Result<Option<Drift>, DispatchError> {
    let entry = context.catalog.flow_entry(flow)?;
    let source = context.catalog.source(entry.synced.source_id)?;
    compare(context, flow, &entry, &source, &client(&source)?).await
}

/// What was last fetched of a flow: the definition it was compared with, the source's time of
/// change, and whether it was fetched again in a later round. Times have whole seconds, so a
/// change right after a fetch has the same time; one more look finds it.
struct Seen {
    definition_hash: String,
    updated_at: String,
    twice: bool,
}

async fn look_for_ever(context: Shared, mut every: watch::Receiver<Option<Duration>>) {
    let mut seen = HashMap::new();
    loop {
        let pause = *every.borrow_and_update();
        let pass = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pass => {}
            changed = every.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        for (id, _) in context.catalog.sources() {
            let Ok(entry) = context.catalog.source(id) else { continue };
            if !is_up(&entry.source.probe) {
                continue;
            }
            let flows = context.catalog.flows_of(id);
            let pause = pause.unwrap_or_default();
            if let Err(error) = look(&context, &entry, &flows, &mut seen, pause).await {
                tracing::debug!(source = %id, %error, "flows could not be compared");
            }
        }
        seen.retain(|id, _| context.catalog.flow_entry(*id).is_ok());
    }
}

/// Looks at all synced flows of one source.
async fn look(
    context: &Shared,
    source: &SourceEntry,
    flows: &HashMap<String, FlowId>,
    seen: &mut HashMap<FlowId, Seen>,
    every: Duration,
) -> Result<(), DispatchError> {
    if flows.is_empty() {
        return Ok(());
    }
    let client = client(source)?;
    let listed = client.list_flows().await;
    let listed = listed.map_err(|failure| refused(&source.source.name, failure))?;
    let listed: HashMap<&str, &RemoteFlow> =
        listed.iter().map(|flow| (flow.id.as_str(), flow)).collect();
    // What has to be fetched is spread out, so that a source is not kept busy by this.
    let pause = Duration::from_millis(DRIFT_PAUSE_MS_MAX);
    let pause = pause.min(every / u32::try_from(flows.len() * 2).unwrap_or(u32::MAX));
    for (remote_id, &id) in flows {
        let Ok(entry) = context.catalog.flow_entry(id) else { continue };
        let Some(remote) = listed.get(remote_id.as_str()) else {
            record(context, id, &entry, Some(RemoteDrift::Missing)).await?;
            continue;
        };
        let look = next_look(seen.get(&id), &entry, remote.updated_at.as_deref());
        let Look::Fetch(next) = look else { continue };
        compare(context, id, &entry, source, &client).await?;
        if let Some(next) = next {
            seen.insert(id, next);
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

enum Look {
    /// It cannot have changed.
    Skip,
    /// It may have changed; with what to remember afterwards.
    Fetch(Option<Seen>),
}

fn next_look(seen: Option<&Seen>, entry: &FlowEntry, updated_at: Option<&str>) -> Look {
    // Before 1.13 the list does not say when a flow was changed.
    let Some(updated_at) = updated_at else { return Look::Fetch(None) };
    let definition_hash = &entry.synced.definition_hash;
    let same = seen
        .filter(|seen| seen.updated_at == updated_at && seen.definition_hash == *definition_hash);
    // One that was missing and is listed again has to be looked at, whatever its time.
    let missing = matches!(&entry.drift, Some(Drift { remote: RemoteDrift::Missing, .. }));
    if same.is_some_and(|seen| seen.twice) && !missing {
        return Look::Skip;
    }
    Look::Fetch(Some(Seen {
        definition_hash: definition_hash.clone(),
        updated_at: updated_at.to_owned(),
        twice: same.is_some(),
    }))
}

/// Fetches a flow, compares what counts of it, and records what is news.
async fn compare(
    context: &Shared,
    id: FlowId,
    entry: &FlowEntry,
    source: &SourceEntry,
    client: &LangFlow,
) -> Result<Option<Drift>, DispatchError> {
    let found = remote_drift(context, entry, source, client).await?;
    record(context, id, entry, found).await
}

/// How the source's definition differs from the one held here, in what counts.
pub(super) async fn remote_drift(
    context: &Shared,
    entry: &FlowEntry,
    source: &SourceEntry,
    client: &LangFlow,
) -> Result<Option<RemoteDrift>, DispatchError> {
    let bound = Duration::from_millis(DRIFT_CHECK_MS_MAX);
    let fetched = tokio::time::timeout(bound, client.fetch_flow(&entry.synced.remote_id)).await;
    let remote = match fetched {
        Ok(Ok(remote)) => remote,
        Ok(Err(failure)) if failure.class == FailureClass::NotFound => {
            return Ok(Some(RemoteDrift::Missing));
        }
        Ok(Err(failure)) => return Err(refused(&source.source.name, failure)),
        Err(_) => {
            let message = format!(
                "it did not give the flow {} within {DRIFT_CHECK_MS_MAX} ms",
                entry.synced.name
            );
            let failure = Failure::new(FailureClass::Unreachable, message);
            return Err(refused(&source.source.name, failure));
        }
    };
    let masked = mask_secrets(&remote.data);
    let remote_hash = content_hash(&masked);
    if remote_hash == stored_hash(context, entry).await? {
        return Ok(None);
    }
    let summary = diff(&stored_definition(context, entry).await?, &masked).lines();
    Ok(Some(RemoteDrift::Changed { remote_hash, summary }))
}

async fn record(
    context: &Shared,
    id: FlowId,
    entry: &FlowEntry,
    found: Option<RemoteDrift>,
) -> Result<Option<Drift>, DispatchError> {
    if found.is_none() && entry.drift.is_none() {
        return Ok(None);
    }
    let command = FlowCommand::Compare { with: entry.synced.definition_hash.clone(), found };
    let (flow, position) = change_flow(context, id, command, &Who::system()).await?;
    let Flow::Synced(flow) = flow else { return Ok(None) };
    if position.is_some() {
        let drifted = flow.drift.is_some();
        tracing::info!(flow = %flow.flow.name, drifted, "a flow's source was found changed");
    }
    Ok(flow.drift)
}
