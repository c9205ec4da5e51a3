//! What a flow was at each sync, edit and push, and what differs between two of these, between two
//! flows, or from what the source has now. Read from the log: the history of a flow is its stream.

use serde_json::Value;
use spark_events::codec::DomainEvent;
use spark_events::domain::component::mask_secrets;
use spark_events::domain::flow::diff::{FlowDiff, diff};
use spark_events::domain::flow::{FlowContent, FlowEvent};
use spark_events::limits::{READ_EVENTS_MAX, VERSION_PREFIX_DIGITS_MIN};
use spark_events::log::Direction;
use spark_events::{FlowId, LogError, Payload, RecordedEvent, Revision, Timestamp, payload};

use crate::context::Shared;
use crate::error::DispatchError;
use crate::sources::{client, refused};
use crate::spark::Spark;

/// One state of a flow's content.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowVersion {
    /// From 1, in the order of the flow's events.
    pub number: u64,
    /// SHA-256 (hex) of the masked definition's JSON.
    pub hash: String,
    /// Where it came from: `synced`, `created`, `edited` or `pushed`.
    pub how: &'static str,
    /// The flow's name then.
    pub name: String,
    /// The flow's description then.
    pub description: String,
    /// How many components it had.
    pub components: usize,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What they gave as the reason.
    pub reason: Option<String>,
    /// The masked definition.
    pub definition: Payload,
}

/// Which version is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionRef {
    /// The newest.
    Current,
    /// The one before it.
    Previous,
    /// By its number.
    Number(u64),
    /// By the start of its hash; of several with this hash, the newest.
    Hash(String),
}

impl VersionRef {
    /// Reads what a person types; `None` where it can be no version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix('v').unwrap_or(text);
        match text {
            "current" | "latest" => Some(Self::Current),
            "previous" => Some(Self::Previous),
            // A long row of digits is the start of a hash.
            _ if digits.len() < 7 && digits.parse::<u64>().is_ok() => {
                digits.parse().ok().map(Self::Number)
            }
            hash if hash.len() >= VERSION_PREFIX_DIGITS_MIN
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Some(Self::Hash(hash.to_ascii_lowercase()))
            }
            _ => None,
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSide {
    /// A version that the log has.
    Version(FlowId, VersionRef),
    /// What the source has now.
    Remote(FlowId),
}

/// What is to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffAsked {
    /// The older side.
    pub from: DiffSide,
    /// The newer side.
    pub to: DiffSide,
}

impl Spark {
    /// The versions of a flow, oldest first. A deleted flow has its versions still.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn flow_versions(&self, id: FlowId) -> Result<Vec<FlowVersion>, DispatchError> {
        let _permit = self.admit()?;
        versions(self.context(), id).await
    }

    /// One version of a flow with its definition, whose secrets are masked.
    ///
    /// # Errors
    /// `NotFound` (flow or version), `Unavailable`.
    pub async fn flow_version(
        &self,
        id: FlowId,
        which: &VersionRef,
    ) -> Result<(FlowVersion, Value), DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let all = versions(context, id).await?;
        let version = find(&all, which)?.clone();
        let definition = definition_of(context, &version).await?;
        Ok((version, definition))
    }

    /// What differs between two sides, and what these are called.
    ///
    /// # Errors
    /// `NotFound` (flow, version, or flow at the source), `Source`, `Unavailable`.
    pub async fn diff_flows(
        &self,
        asked: &DiffAsked,
    ) -> Result<(String, String, FlowDiff), DispatchError> {
        let _permit = self.admit()?;
        let (from, old) = side(self.context(), &asked.from).await?;
        let (to, new) = side(self.context(), &asked.to).await?;
        Ok((from, to, diff(&old, &new)))
    }
}

async fn side(context: &Shared, side: &DiffSide) -> Result<(String, Value), DispatchError> {
    match side {
        DiffSide::Version(id, which) => {
            let all = versions(context, *id).await?;
            let version = find(&all, which)?;
            let label = format!("{} version {}", version.name, version.number);
            Ok((label, definition_of(context, version).await?))
        }
        DiffSide::Remote(id) => {
            let flow = context.catalog.flow(*id)?;
            let source = context.catalog.source(flow.source_id)?;
            let fetched = client(&source)?.fetch_flow(&flow.remote_id).await;
            let fetched = fetched.map_err(|failure| refused(&source.source.name, failure))?;
            let label = format!("{} at source {}", fetched.name, source.source.name);
            Ok((label, mask_secrets(&fetched.data)))
        }
    }
}

pub(super) async fn definition_of(
    context: &Shared,
    version: &FlowVersion,
) -> Result<Value, DispatchError> {
    Ok(payload::load(context.log.as_ref(), &version.definition).await?)
}

pub(super) fn find<'a>(
    all: &'a [FlowVersion],
    which: &VersionRef,
) -> Result<&'a FlowVersion, DispatchError> {
    let (found, asked) = match which {
        VersionRef::Current => (all.last(), "current".to_owned()),
        VersionRef::Previous => {
            if let [only] = all {
                return Err(DispatchError::Conflict(format!(
                    "flow {0:?} has one version so far, so there is none before it; compare it \
                     with what its source has: automagik flow diff {0:?} remote",
                    only.name
                )));
            }
            (all.len().checked_sub(2).and_then(|at| all.get(at)), "previous".to_owned())
        }
        VersionRef::Number(number) => {
            (all.iter().find(|version| version.number == *number), number.to_string())
        }
        VersionRef::Hash(start) => {
            let mut from_newest = all.iter().rev();
            let found = from_newest.find(|version| version.hash.starts_with(start.as_str()));
            (found, start.clone())
        }
    };
    found.ok_or(DispatchError::NotFound { kind: "version of the flow", id: asked })
}

pub(super) async fn versions(
    context: &Shared,
    id: FlowId,
) -> Result<Vec<FlowVersion>, DispatchError> {
    let missing = || DispatchError::NotFound { kind: "flow", id: id.to_string() };
    let stream = id.stream();
    let mut versions = vec![];
    let mut from = Revision(0);
    loop {
        let log = &context.log;
        let read = log.read_stream(&stream, Some(from), Direction::Forward, READ_EVENTS_MAX);
        let events = match read.await {
            Ok(events) => events,
            Err(LogError::StreamNotFound(_)) => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        for event in &events {
            let number = versions.len() as u64 + 1;
            versions.extend(version(event, number)?);
            from = Revision(event.revision.0 + 1);
        }
        if events.len() < READ_EVENTS_MAX {
            return if versions.is_empty() { Err(missing()) } else { Ok(versions) };
        }
    }
}

fn version(event: &RecordedEvent, number: u64) -> Result<Option<FlowVersion>, DispatchError> {
    let (how, content) = match FlowEvent::from_recorded(event)? {
        FlowEvent::Synced(flow) => ("synced", FlowContent::from(&*flow)),
        FlowEvent::Pushed(pushed) => ("pushed", FlowContent::from(&pushed.flow)),
        FlowEvent::Created(content) => ("created", *content),
        FlowEvent::Edited(content) => ("edited", *content),
        FlowEvent::Updated(_)
        | FlowEvent::DriftDetected(_)
        | FlowEvent::DriftCleared(_)
        | FlowEvent::Deleted(_) => return Ok(None),
    };
    Ok(Some(FlowVersion {
        number,
        hash: content.definition_hash,
        how,
        name: content.name,
        description: content.description,
        components: content.components.len(),
        at: event.recorded_at,
        by: event.metadata.actor.to_string(),
        reason: event.metadata.reason.as_deref().map(str::to_owned),
        definition: content.definition,
    }))
}
