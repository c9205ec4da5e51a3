//! The server itself: what it is, whether it lives, whether it is ready, how it is doing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use spark_actors::{DispatchError, SparkHealth};
use spark_events::domain::api_key::Role;
use spark_events::log::LogHealth;
use spark_events::{KeyId, Timestamp};
use warp::http::Method;

use super::not_allowed;
use crate::call::Call;
use crate::error::ApiError;
use crate::read::{self, ReadsHealth};
use crate::reply::{Reply, rfc3339};

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
    /// Whose key this is.
    WhoAmI,
}

pub(crate) fn route(method: &Method, tail: &[&str]) -> Result<Option<ServiceRoute>, ApiError> {
    let found = match tail {
        [] => ServiceRoute::Root,
        ["livez"] => ServiceRoute::Live,
        ["readyz"] => ServiceRoute::Ready,
        ["health"] => ServiceRoute::Health,
        ["whoami"] => ServiceRoute::WhoAmI,
        _ => return Ok(None),
    };
    if method == Method::GET { Ok(Some(found)) } else { not_allowed(method, "GET, HEAD") }
}

/// Where things are.
const LINKS: [(&str, &str); 12] = [
    ("sources", "/sources"),
    ("flows", "/flows"),
    ("schedules", "/schedules"),
    ("tasks", "/tasks"),
    ("workers", "/workers"),
    ("keys", "/keys"),
    ("whoami", "/whoami"),
    ("events", "/events"),
    ("history", "/history/{kind}/{id}"),
    ("health", "/health"),
    ("livez", "/livez"),
    ("readyz", "/readyz"),
];

#[derive(Serialize)]
struct About {
    name: &'static str,
    status: &'static str,
    version: &'static str,
    #[serde(serialize_with = "rfc3339")]
    server_time: Timestamp,
    links: BTreeMap<&'static str, String>,
}

/// The key that asks.
#[derive(Serialize)]
struct WhoAmI<'a> {
    name: Option<&'a str>,
    role: Option<Role>,
    /// `None` for the key in the data directory.
    id: Option<KeyId>,
    actor: &'a str,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(serialize_with = "rfc3339")]
    timestamp: Timestamp,
    log: LogHealth,
    #[serde(flatten)]
    reads: ReadsHealth,
    actors: SparkHealth,
}

pub(crate) fn handle(route: ServiceRoute, call: &Call<'_>) -> Result<Reply, ApiError> {
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
        ServiceRoute::WhoAmI => {
            call.query.only(&[])?;
            Reply::ok(&WhoAmI {
                name: call.caller.name.as_deref(),
                role: call.caller.role,
                id: call.caller.key,
                actor: &call.caller.actor,
            })
        }
    }
}

fn about(call: &Call<'_>) -> About {
    About {
        name: "automagik",
        status: "online",
        version: call.app.version,
        server_time: call.app.now(),
        links: LINKS.map(|(name, path)| (name, format!("/api/v1{path}"))).into(),
    }
}

fn health(call: &Call<'_>) -> Result<Reply, ApiError> {
    let app = call.app;
    let (log, actors) = (app.spark.log().health(), app.spark.health());
    let reads = read::health(app);
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
