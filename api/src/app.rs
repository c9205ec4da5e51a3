//! The parts that every request needs, and a request's way through them: id, route, key, body,
//! handler, answer. Whatever happens on that way, there is an answer.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt};
use spark_actors::Spark;
use spark_events::{Position, Timestamp, limits};
use spark_projections::{Projections, Reads};
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

use crate::auth::roles::need;
use crate::auth::{self, AuthKeys};
use crate::call::{Call, request_id};
use crate::error::ApiError;
use crate::live::Live;
use crate::query::Query;
use crate::reply::{Reply, error_response};
use crate::routes::{self, Route};

/// The server's parts.
pub struct App {
    /// Takes the commands.
    pub spark: Spark,
    /// Answers the queries.
    pub projections: Projections,
    /// Events as they happen, for those who listen.
    pub live: Live,
    /// Who may call.
    pub keys: AuthKeys,
    /// The program's version.
    pub version: &'static str,
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
        let Incoming { method, path, query, headers, body } = incoming;
        let head = Head { method: &method, path: &path, query: &query, headers: &headers, id: &id };
        let handled = AssertUnwindSafe(self.handle(head, body)).catch_unwind().await;
        match handled.unwrap_or(Err(ApiError::Crashed)) {
            Ok(reply) => reply.into_response(&id),
            Err(error) => {
                if error.is_ours() {
                    tracing::error!(request_id = %id, %method, path, %error, "request failed");
                } else {
                    tracing::debug!(request_id = %id, %method, path, %error, "request refused");
                }
                error_response(&error, &id)
            }
        }
    }

    async fn handle<B, D, E>(&self, head: Head<'_>, body: B) -> Result<Reply, ApiError>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
        E: std::fmt::Display,
    {
        let Head { method, path, query, headers, id } = head;
        let route = routes::route(method, path);
        // Whoever has no key does not learn which paths there are.
        let needed = route.as_ref().ok().map(need);
        let key = headers.get("x-api-key").map(|key| key.as_bytes());
        let caller = auth::caller(self, needed, key, id).await?;
        let route = route?;
        caller.may(need(&route))?;
        let query = Query::parse(query)?;
        let takes_body = ![Method::GET, Method::HEAD].contains(method);
        let body = if takes_body { read_body(body).await? } else { Bytes::new() };
        let call = Call { app: self, caller, request_id: id, query, headers, body };
        dispatch(route, &call).await
    }
}

/// The futures of the handlers are large, so each is boxed here rather than held by every
/// connection at the size of the largest.
async fn dispatch(route: Route<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    match route {
        Route::Service(route) => routes::service::handle(route, call),
        Route::Sources(route) => Box::pin(routes::sources::handle(route, call)).await,
        Route::Flows(route) => Box::pin(routes::flows::handle(route, call)).await,
        Route::Schedules(route) => Box::pin(routes::schedules::handle(route, call)).await,
        Route::Tasks(route) => Box::pin(routes::tasks::handle(route, call)).await,
        Route::History(route) => Box::pin(routes::history::handle(route, call)).await,
        Route::Events(_) => Box::pin(routes::events::handle(call)).await,
        Route::Workers(route) => Box::pin(routes::workers::handle(route, call)).await,
        Route::Keys(route) => Box::pin(routes::keys::handle(route, call)).await,
    }
}

/// Reads the body, bounded in size and time.
async fn read_body<D: Buf, E: std::fmt::Display>(
    body: impl Stream<Item = Result<D, E>>,
) -> Result<Bytes, ApiError> {
    let mut body = std::pin::pin!(body);
    let read = async {
        // Most bodies come in one piece, which needs no copy.
        let Some(mut first) = next(&mut body).await? else {
            return Ok(Bytes::new());
        };
        let first = first.copy_to_bytes(first.remaining());
        let Some(mut piece) = next(&mut body).await? else {
            return checked(first);
        };
        let mut all = BytesMut::from(&first[..]);
        loop {
            if (all.len() + piece.remaining()) as u64 > limits::REQUEST_BODY_BYTES_MAX {
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
    match tokio::time::timeout(Duration::from_millis(limits::REQUEST_BODY_MS_MAX), read).await {
        Ok(body) => body,
        Err(_) => Err(ApiError::BodyTimeout),
    }
}

fn checked(body: Bytes) -> Result<Bytes, ApiError> {
    if body.len() as u64 > limits::REQUEST_BODY_BYTES_MAX {
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
