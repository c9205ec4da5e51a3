//! Events as they happen: from which position, and which of them. Hands the rest to `live`.

use std::future::ready;

use futures_util::StreamExt as _;
use spark_events::{KeyId, Position, StreamName, limits};
use warp::http::Method;

use super::history::Kind;
use super::{Route, not_allowed, operation_ids};
use crate::auth::roles;
use crate::call::Call;
use crate::error::ApiError;
use crate::live::{self, Filter};
use crate::query::invalid;
use crate::read;
use crate::reply::Reply;

const AFTER: &str = "after";
/// What a client sends that was cut off and comes back.
const LAST: &str = "Last-Event-ID";
pub(crate) const KINDS: [Kind; 7] =
    [Kind::Task, Kind::Schedule, Kind::Flow, Kind::Source, Kind::Worker, Kind::Key, Kind::Alert];

pub(super) mod openapi;

/// The one endpoint of events as they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRoute;

operation_ids!(EventRoute {
    Self => "listenToEvents",
});

pub(crate) fn route(method: &Method) -> Result<Route<'static>, ApiError> {
    if method == Method::GET {
        Ok(Route::Events(EventRoute))
    } else {
        not_allowed(method, "GET, HEAD")
    }
}

pub(crate) async fn handle(call: &Call<'_>) -> Result<Reply, ApiError> {
    let filter = filter(call, &[AFTER]).await?;
    let after = after(call).await?;
    let (spark, key) = (call.app.spark.clone(), call.caller.key);
    let heard = live::listen(&call.app.live, key, filter, after).await?;
    // A key that is taken back ends what it listens to: with the next event, or the next heartbeat.
    let heard = heard.take_while(move |_| ready(key.is_none_or(|key| !spark.is_revoked(key))));
    Ok(Reply::events(heard))
}

/// The position after which the listener wants to hear; `None` for from now on. Where a client was
/// cut off it repeats its query, so its header counts.
async fn after(call: &Call<'_>) -> Result<Option<Position>, ApiError> {
    let asked = call.query.read(AFTER, "a position (a whole number)")?.map(Position);
    let bad = |message: String| ApiError::HeaderInvalid { name: LAST, message };
    let last = match call.headers.get(LAST).filter(|value| !value.is_empty()) {
        None => None,
        Some(value) => {
            let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
            Some(Position(read.ok_or_else(|| bad("it is not a position (a whole number)".into()))?))
        }
    };
    let Some(after) = last.or(asked) else { return Ok(None) };
    let head = call.app.spark.log().head().await?;
    if after <= head {
        return Ok(Some(after));
    }
    // Waiting for it would pass over what comes until then.
    let message = format!("{after} lies beyond the end of the log, which is {head}");
    Err(if last.is_some() { bad(message) } else { invalid(AFTER, &message) })
}

/// Which events are meant. `more` are the other keys that the endpoint takes.
pub(super) async fn filter(call: &Call<'_>, more: &[&str]) -> Result<Filter, ApiError> {
    let mut allowed = more.to_vec();
    allowed.extend(["category", "type", "stream", "actor"]);
    allowed.extend(KINDS.map(Kind::as_str));
    call.query.only(&allowed)?;
    call.ready_to_read().await?;
    let mut categories = call.query.choices("category", &live::categories(), |name| name)?;
    // Who has which key is for those who may list them; see `auth::roles`.
    if call.caller.may(roles::ADMIN).is_err() {
        if categories.is_empty() {
            categories.extend(live::categories());
        }
        categories.retain(|category| *category != KeyId::CATEGORY);
        if categories.is_empty() {
            call.caller.may(roles::ADMIN)?;
        }
    }
    let types = known_types(call)?;
    let mut streams = Vec::new();
    for text in call.query.text("stream").into_iter().flat_map(|value| value.split(',')) {
        let stream = StreamName::new(text.trim()).map_err(|error| invalid("stream", &error))?;
        if !live::categories().contains(&stream.category()) {
            let message = format!("there are no streams of the category {:?}", stream.category());
            return Err(invalid("stream", &message));
        }
        streams.push(stream);
    }
    for kind in KINDS {
        let Some(text) = call.query.text(kind.as_str()) else { continue };
        if kind == Kind::Key {
            // Before the look-up: its near misses and candidates are names of keys.
            call.caller.may(roles::ADMIN)?;
        }
        let id = read::any_id(call.app, kind, text).await?;
        let stream = StreamName::new(format!("{}-{id}", kind.as_str()));
        streams.push(stream.map_err(|error| invalid(kind.as_str(), &error))?);
    }
    for (key, count) in
        [("category", categories.len()), ("type", types.len()), ("stream", streams.len())]
    {
        if count > limits::LISTENER_VALUES_MAX {
            let most = limits::LISTENER_VALUES_MAX;
            return Err(invalid(key, &format!("at most {most} may be named, not {count}")));
        }
    }
    Ok(Filter::new(categories, types, streams, call.query.text("actor")))
}

/// There are too many types to name them all in an error.
fn known_types(call: &Call<'_>) -> Result<Vec<&'static str>, ApiError> {
    let known = live::types();
    let texts = call.query.text("type").into_iter().flat_map(|value| value.split(','));
    let one = |text: &str| {
        let text = text.trim();
        known.iter().copied().find(|name| *name == text).ok_or_else(|| {
            let category = |name: &str| name.split('.').next().map(str::to_owned);
            let near = known.iter().copied().filter(|name| category(name) == category(text));
            let near: Vec<_> = near.collect();
            let near =
                if near.is_empty() { known.first().copied().into_iter().collect() } else { near };
            let near = near.join(", ");
            invalid("type", &format!("no event is called {text:?}; they are called like {near}"))
        })
    };
    texts.map(one).collect()
}
