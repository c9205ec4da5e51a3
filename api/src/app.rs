//! The parts that every request needs, and a request's way through them: id, route, key, body,
//! handler, answer. Whatever happens on that way, there is an answer.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use chrono::TimeDelta;
use futures_util::{FutureExt, Stream, StreamExt};
use spark_actors::Spark;
use spark_events::{Position, Timestamp, limits};
use spark_projections::{Projections, Reads};
use tracing::Instrument;
use warp::http::header::AUTHORIZATION;
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

use crate::auth::roles::{Need, need};
use crate::auth::{self, AuthKeys};
use crate::call::{Call, correlation, request_id, trace_parent};
use crate::conditions;
use crate::cors::Cors;
use crate::error::ApiError;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::query::Query;
use crate::rates::Rates;
use crate::read;
use crate::repeats;
use crate::reply::{Reply, error_response};
use crate::routes::service::ServiceRoute;
use crate::routes::{self, Route};

/// The server's parts.
pub struct App {
    /// Takes the commands.
    pub spark: Spark,
    /// Answers the queries.
    pub projections: Projections,
    /// Events as they happen, for those who listen.
    pub live: Live,
    /// How the process is doing, in numbers.
    pub metrics: Metrics,
    /// Who may call.
    pub keys: AuthKeys,
    /// From which pages, and how often.
    pub access: Access,
    /// The program's version.
    pub version: &'static str,
}

/// From which pages in a browser, and how often, callers may ask.
#[derive(Debug, Default)]
pub struct Access {
    /// The origins of the pages.
    pub cors: Cors,
    /// How often.
    pub rates: Rates,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A request as it came in, its body still on the way.
#[derive(Debug)]
pub struct Incoming<B> {
    /// The method.
    pub method: Method,
    /// The path, percent-encoded.
    pub path: String,
    /// The query without its question mark; empty when there is none.
    pub query: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// Where it came from.
    pub peer: Option<IpAddr>,
    /// The body.
    pub body: B,
}

/// A request but for its body.
#[derive(Clone, Copy)]
struct Head<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    peer: Option<IpAddr>,
    id: &'a str,
}

impl App {
    /// The readers of the read models.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.projections.reads()
    }

    /// The wall-clock instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.spark.clock().now()
    }

    /// Waits, bounded, until the read model has reached a position.
    ///
    /// # Errors
    /// `Behind` when it has not in time.
    pub async fn wait_for(&self, position: Position) -> Result<(), ApiError> {
        const WAIT: Duration = Duration::from_millis(limits::READ_WAIT_MS_MAX);
        Ok(self.projections.wait_for(position, WAIT).await?)
    }

    /// Answers one request. Never panics: a handler that does is answered for.
    pub async fn respond<B, D, E>(&self, incoming: Incoming<B>) -> Response
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
        E: std::fmt::Display,
    {
        let id = request_id(&incoming.headers);
        let Incoming { method, path, query, headers, peer, body } = incoming;
        let head =
            Head { method: &method, path: &path, query: &query, headers: &headers, peer, id: &id };
        let (begun, route) = (Instant::now(), routes::route(&method, &path));
        let operation = route.as_ref().map_or("(unknown)", Route::operation_id);
        let span = tracing::info_span!("request", request_id = %id, operation);
        let handled = AssertUnwindSafe(self.handle(head, route, body)).catch_unwind();
        let handled = handled.instrument(span).await;
        let mut response = match handled.unwrap_or(Err(ApiError::Crashed)) {
            Ok(reply) => reply.into_response(&id),
            Err(error) => {
                if error.is_ours() {
                    tracing::error!(request_id = %id, %method, path, %error, "request failed");
                } else {
                    tracing::debug!(request_id = %id, %method, path, %error, "request refused");
                }
                error_response(&error, &id)
            }
        };
        self.access.cors.mark(&headers, response.headers_mut());
        let status = response.status().as_u16();
        let took = begun.elapsed();
        self.spark.meters().api_request(operation, status, took);
        if self.spark.is_traced() && ![Method::GET, Method::HEAD].contains(&method) {
            let now = self.now();
            let times = (now - TimeDelta::from_std(took).unwrap_or_default(), now);
            let (request, place) = (correlation(&id), trace_parent(&headers));
            self.spark.trace_request(operation, request, place, times, status);
        }
        response
    }

    async fn handle<B, D, E>(
        &self,
        head: Head<'_>,
        route: Result<Route<'_>, ApiError>,
        body: B,
    ) -> Result<Reply, ApiError>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
        E: std::fmt::Display,
    {
        let Head { method, path, query, headers, peer, id } = head;
        // A browser asks for its page, and has no key for that.
        if let Some(reply) = self.access.cors.preflight(method, headers) {
            return Ok(reply);
        }
        // Whoever has no key does not learn which paths there are.
        let need = |route: &Route<'_>| match route {
            Route::Service(ServiceRoute::Metrics) if self.metrics.is_open() => Need::Nobody,
            route => need(route),
        };
        let needed = match &route {
            Ok(route) => Some(need(route)),
            // A path that is open says to everybody which methods it takes.
            Err(ApiError::MethodNotAllowed { .. }) => {
                let read = routes::route(&Method::GET, path).ok();
                read.map(|route| need(&route)).filter(|need| *need == Need::Nobody)
            }
            Err(_) => None,
        };
        let caller = auth::caller(self, needed, given_key(headers), peer, id).await?;
        let route = route?;
        caller.may(need(&route))?;
        let parsed = Query::parse(query)?;
        let takes_body = ![Method::GET, Method::HEAD].contains(method);
        let body = if takes_body { read_body(body, bounds(&route)).await? } else { Bytes::new() };
        let expects = conditions::expected(&route, headers)?;
        let call =
            Call { app: self, caller, request_id: id, query: parsed, headers, expects, body };
        match repeats::once(method, path, query, route, &call).await {
            Ok(reply) => Ok(reply.unless_known(headers)),
            Err(error) => Err(read::explained(self, error).await),
        }
    }
}

/// The key that a caller sent: `X-API-Key`, or `Authorization: Bearer` for those who can send
/// nothing else.
pub(crate) fn given_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// The futures of the handlers are large, so each is boxed here rather than held by every
/// connection at the size of the largest.
pub(crate) async fn dispatch(route: Route<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    match route {
        Route::Service(route) => Box::pin(routes::service::handle(route, call)).await,
        Route::Sources(route) => Box::pin(routes::sources::handle(route, call)).await,
        Route::Flows(route) => Box::pin(routes::flows::handle(route, call)).await,
        Route::Schedules(route) => Box::pin(routes::schedules::handle(route, call)).await,
        Route::Tasks(route) => Box::pin(routes::tasks::handle(route, call)).await,
        Route::Projections(route) => Box::pin(routes::projections::handle(route, call)).await,
        Route::Log(route) => Box::pin(routes::log::handle(route, call)).await,
        Route::History(route) => Box::pin(routes::history::handle(route, call)).await,
        Route::Events(_) => Box::pin(routes::events::handle(call)).await,
        Route::Workers(route) => Box::pin(routes::workers::handle(route, call)).await,
        Route::Keys(route) => Box::pin(routes::keys::handle(route, call)).await,
        Route::Alerts(route) => Box::pin(routes::alerts::handle(route, call)).await,
    }
}

/// The most bytes that a body may have, and the longest that it may take to arrive.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: u64,
    ms: u64,
}

fn bounds(route: &Route<'_>) -> Bounds {
    match route {
        // They bring the results of runs.
        Route::Workers(routes::workers::WorkerRoute::Reports(_)) => Bounds {
            bytes: limits::WORKER_REPORTS_BYTES_MAX,
            ms: limits::WORKER_REPORTS_BODY_MS_MAX,
        },
        _ => Bounds { bytes: limits::REQUEST_BODY_BYTES_MAX, ms: limits::REQUEST_BODY_MS_MAX },
    }
}

/// Reads the body, bounded in size and time.
async fn read_body<D: Buf, E: std::fmt::Display>(
    body: impl Stream<Item = Result<D, E>>,
    bounds: Bounds,
) -> Result<Bytes, ApiError> {
    let mut body = std::pin::pin!(body);
    let read = async {
        // Most bodies come in one piece, which needs no copy.
        let Some(mut first) = next(&mut body).await? else {
            return Ok(Bytes::new());
        };
        let first = first.copy_to_bytes(first.remaining());
        let Some(mut piece) = next(&mut body).await? else {
            return checked(first, bounds);
        };
        let mut all = BytesMut::from(&first[..]);
        loop {
            if (all.len() + piece.remaining()) as u64 > bounds.bytes {
                return Err(ApiError::BodyTooLarge);
            }
            while piece.has_remaining() {
                let chunk = piece.chunk();
                all.extend_from_slice(chunk);
                let length = chunk.len();
                piece.advance(length);
            }
            match next(&mut body).await? {
                Some(following) => piece = following,
                None => return Ok(all.freeze()),
            }
        }
    };
    match tokio::time::timeout(Duration::from_millis(bounds.ms), read).await {
        Ok(body) => body,
        Err(_) => Err(ApiError::BodyTimeout),
    }
}

fn checked(body: Bytes, bounds: Bounds) -> Result<Bytes, ApiError> {
    if body.len() as u64 > bounds.bytes {
        return Err(ApiError::BodyTooLarge);
    }
    Ok(body)
}

async fn next<D, E: std::fmt::Display>(
    body: &mut (impl Stream<Item = Result<D, E>> + Unpin),
) -> Result<Option<D>, ApiError> {
    match body.next().await {
        None => Ok(None),
        Some(Ok(piece)) => Ok(Some(piece)),
        Some(Err(error)) => Err(ApiError::BodyUnreadable(error.to_string())),
    }
}
