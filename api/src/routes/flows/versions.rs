//! What a flow was, what differs, and what it is made of. Comes from the log, not from the read
//! models.

use serde::Serialize;
use serde_json::Value;
use spark_actors::{DiffAsked, DiffSide, FlowVersion, VersionRef};
use spark_events::domain::flow::diff::FlowDiff;
use spark_events::{FlowId, Timestamp};
use utoipa::ToSchema;

use crate::call::Call;
use crate::error::ApiError;
use crate::query::invalid;
use crate::read;
use crate::reply::{Page, Reply, rfc3339};

/// A version as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FlowVersion)]
pub(super) struct VersionRow<'a> {
    /// Its number, from 1.
    number: u64,
    /// The hash of its definition.
    hash: &'a str,
    /// What made it: `synced`, `edited` or the like.
    how: &'static str,
    /// The flow's name then.
    name: &'a str,
    /// The flow's description then.
    description: &'a str,
    /// How many components it has.
    components: usize,
    /// When it was made.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who made it.
    by: &'a str,
    /// Why, where somebody said so.
    reason: Option<&'a str>,
    /// The whole of it, with secrets masked, where it is asked for alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Value>,
}

/// What differs between two versions.
#[derive(Serialize, ToSchema)]
pub(super) struct Comparison {
    /// The one side, for people.
    from: String,
    /// The other side.
    to: String,
    /// Whether anything differs.
    differs: bool,
    #[serde(flatten)]
    diff: FlowDiff,
}

fn row(version: &FlowVersion, definition: Option<Value>) -> VersionRow<'_> {
    VersionRow {
        number: version.number,
        hash: &version.hash,
        how: version.how,
        name: &version.name,
        description: &version.description,
        components: version.components,
        at: version.at,
        by: &version.by,
        reason: version.reason.as_deref(),
        definition,
    }
}

/// Everything in one page: a flow has few versions.
fn page<T>(items: Vec<T>) -> Page<T> {
    let (total, limit) = (items.len() as u64, items.len());
    Page {
        items,
        total,
        total_is_capped: false,
        limit,
        offset: 0,
        has_more: false,
        next_cursor: None,
    }
}

pub(super) async fn list(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    call.ready_to_read().await?;
    let id = read::flow_id(call.app, id).await?;
    let versions = call.app.spark.flow_versions(id).await?;
    Reply::ok(&page(versions.iter().rev().map(|version| row(version, None)).collect()))
}

pub(super) async fn one(call: &Call<'_>, id: &str, which: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    call.ready_to_read().await?;
    let which = VersionRef::parse(which).ok_or_else(|| ApiError::NotFound {
        kind: "version of the flow",
        text: which.to_owned(),
        suggestions: vec![],
    })?;
    let id = read::flow_id(call.app, id).await?;
    let (version, definition) = call.app.spark.flow_version(id, &which).await?;
    Reply::ok(&row(&version, Some(definition)))
}

pub(super) async fn components(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    call.ready_to_read().await?;
    let id = read::flow_id(call.app, id).await?;
    Reply::ok(&page(call.app.spark.flow_components(id).await?))
}

/// The differences, with what was compared. Without `from` and `to`: from the version before to
/// the newest; with `flow`: from the newest of this flow to the newest of that one.
pub(super) async fn diff(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    let (app, query) = (call.app, &call.query);
    query.only(&["from", "to", "flow"])?;
    call.ready_to_read().await?;
    let id = read::flow_id(app, id).await?;
    let other = read::given(query.text("flow").map(|text| read::flow_id(app, text))).await?;
    let from = if other.is_some() { VersionRef::Current } else { VersionRef::Previous };
    let asked = DiffAsked {
        from: side(call, "from", id, from)?,
        to: side(call, "to", other.unwrap_or(id), VersionRef::Current)?,
    };
    let (from, to, diff) = app.spark.diff_flows(&asked).await?;
    Reply::ok(&Comparison { from, to, differs: !diff.is_empty(), diff })
}

fn side(call: &Call<'_>, key: &str, id: FlowId, default: VersionRef) -> Result<DiffSide, ApiError> {
    match call.query.text(key) {
        None => Ok(DiffSide::Version(id, default)),
        Some("remote") => Ok(DiffSide::Remote(id)),
        Some(text) => VersionRef::parse(text).map(|which| DiffSide::Version(id, which)).ok_or_else(
            || invalid(key, "is no version: give its number, the start of its hash, previous, current or remote"),
        ),
    }
}
