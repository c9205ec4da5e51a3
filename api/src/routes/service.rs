//! The server itself: what it is, whether it lives, whether it is ready, how it is doing.
//! `service/docs.rs`: the document of this API, and its pages for people.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use spark_actors::{DispatchError, SparkHealth};
use spark_events::domain::api_key::Role;
use spark_events::log::LogHealth;
use spark_events::{KeyId, Timestamp};
use utoipa::ToSchema;
use warp::http::Method;

use super::{not_allowed, operation_ids};
use crate::app::given_key;
use crate::call::Call;
use crate::error::ApiError;
use crate::metrics;
use crate::read::{self, ReadsHealth};
use crate::reply::{Reply, rfc3339};

mod docs;
pub(super) mod openapi;

pub use docs::DocsFile;

/// An endpoint of the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceRoute {
    /// Name, version, links.
    Root,
    /// The process answers.
    Live,
    /// Commands are taken.
    Ready,
    /// Everything an operator asks first.
    Health,
    /// How the process is doing, in numbers.
    Metrics,
    /// Whose key this is.
    WhoAmI,
    /// The document that describes this API.
    OpenApi,
    /// The same for people, or a file that belongs to it.
    Docs(DocsFile),
    /// Where the original had the document for people, too.
    Redoc,
}

operation_ids!(ServiceRoute {
    Self::Root => "about",
    Self::Live => "isAlive",
    Self::Ready => "isReady",
    Self::Health => "health",
    Self::Metrics => "metrics",
    Self::WhoAmI => "whoAmI",
    Self::OpenApi => "openApi",
    Self::Docs(DocsFile::Page) => "docs",
    Self::Docs(_) => "docsFile",
    Self::Redoc => "redoc",
});

pub(crate) fn route(method: &Method, tail: &[&str]) -> Result<Option<ServiceRoute>, ApiError> {
    let found = match tail {
        [] => ServiceRoute::Root,
        ["livez"] => ServiceRoute::Live,
        ["readyz"] => ServiceRoute::Ready,
        ["health"] => ServiceRoute::Health,
        ["metrics"] => ServiceRoute::Metrics,
        ["whoami"] => ServiceRoute::WhoAmI,
        ["openapi.json"] => ServiceRoute::OpenApi,
        ["docs"] => ServiceRoute::Docs(DocsFile::Page),
        ["docs", file] => ServiceRoute::Docs(DocsFile::named(file)),
        ["redoc"] => ServiceRoute::Redoc,
        _ => return Ok(None),
    };
    if method == Method::GET { Ok(Some(found)) } else { not_allowed(method, "GET, HEAD") }
}

/// Where things are.
const LINKS: &[(&str, &str)] = &[
    ("sources", "/sources"),
    ("flows", "/flows"),
    ("schedules", "/schedules"),
    ("tasks", "/tasks"),
    ("workers", "/workers"),
    ("keys", "/keys"),
    ("alerts", "/alerts"),
    ("whoami", "/whoami"),
    ("events", "/events"),
    ("log", "/log"),
    ("projections", "/projections"),
    ("metrics", "/metrics"),
    ("history", "/history/{kind}/{id}"),
    ("openapi", "/openapi.json"),
    ("docs", "/docs"),
    ("health", "/health"),
    ("livez", "/livez"),
    ("readyz", "/readyz"),
];

#[derive(Serialize, ToSchema)]
struct About {
    /// Always `automagik`.
    name: &'static str,
    /// Always `online`; how it is doing is in `/health`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
    /// The time of its clock.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    server_time: Timestamp,
    /// Paths of what there is, by name.
    #[schema(value_type = BTreeMap<String, String>)]
    links: BTreeMap<&'static str, String>,
}

/// The key that asks.
#[derive(Serialize, ToSchema)]
struct WhoAmI<'a> {
    /// The key's name.
    name: Option<&'a str>,
    /// What it may do.
    role: Option<Role>,
    /// Null for the key in the data directory.
    id: Option<KeyId>,
    /// What stands in events as the actor of what is done with it.
    actor: &'a str,
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    log: LogHealth,
    #[serde(flatten)]
    reads: ReadsHealth,
    actors: SparkHealth,
}

pub(crate) async fn handle(route: ServiceRoute, call: &Call<'_>) -> Result<Reply, ApiError> {
    // Probes come with keys of their own at some platforms; they are no concern of ours.
    match route {
        ServiceRoute::Root => {
            call.query.only(&[])?;
            Reply::ok(&about(call))
        }
        ServiceRoute::Live => Reply::ok(&json!({ "status": "alive" })),
        ServiceRoute::Ready => match call.app.spark.log().health().trouble {
            None => Reply::ok(&json!({ "status": "ready" })),
            Some(reason) => Err(DispatchError::Unavailable { reason }.into()),
        },
        ServiceRoute::Health => health(call),
        ServiceRoute::Metrics => {
            let text = call.app.metrics.text(call.app).await?;
            Ok(Reply::file(metrics::MEDIA_TYPE, text.into()))
        }
        ServiceRoute::WhoAmI => {
            call.query.only(&[])?;
            Reply::ok(&WhoAmI {
                name: call.caller.name.as_deref(),
                role: call.caller.role,
                id: call.caller.key,
                actor: &call.caller.actor,
            })
        }
        ServiceRoute::OpenApi => docs::openapi(call),
        ServiceRoute::Docs(file) => docs::file(file, call),
        ServiceRoute::Redoc => docs::redoc(call),
    }
}

fn about(call: &Call<'_>) -> About {
    About {
        name: "automagik",
        status: "online",
        version: call.app.version,
        server_time: call.app.now(),
        links: LINKS.iter().map(|(name, path)| (*name, format!("/api/v1{path}"))).collect(),
    }
}

fn health(call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    let (log, mut actors) = (app.spark.log().health(), app.spark.health());
    let mut reads = read::health(app);
    if !may_view(call) {
        // Names of things, and words that may quote what is stored.
        actors.unserved_sources.clear();
        actors.last_crash = None;
        reads = reads.without_reasons();
    }
    let healthy = log.trouble.is_none() && actors.log_trouble.is_none() && reads.healthy;
    Reply::ok(&Health {
        status: if healthy { "healthy" } else { "degraded" },
        version: app.version,
        timestamp: app.now(),
        log,
        reads,
        actors,
    })
}

/// Whether the names of things may be told. No key is needed here, so one that is wrong is as good
/// as none: it is not counted against its sender, which may be a probe with a key of its own.
fn may_view(call: &Call<'_>) -> bool {
    let Some(given) = given_key(call.headers) else { return false };
    let known = || call.app.spark.key_of(given).filter(|key| key.revoked.is_none());
    call.app.keys.is_local(given) || known().is_some_and(|key| key.role.covers(Role::Viewer))
}
