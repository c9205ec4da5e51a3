//! An answer on its way out: status, JSON, headers. Owns how results and errors are written onto
//! the wire; knows nothing of what they mean.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde::{Serialize, Serializer};
use spark_events::domain::request::RequestAnswered;
use spark_events::{Position, Revision, Timestamp};
use warp::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::{Reply as _, Response};

use crate::conditions;
use crate::error::ApiError;
use crate::repeats;

/// The position that a write reached.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("x-spark-position");
/// Says that an answer was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A time in JSON, for serde: RFC 3339 in UTC, always with microseconds and `Z`, as in the rows.
pub(crate) fn rfc3339<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&at.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

/// The answer of a handler.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content: Content,
    position: Option<Position>,
    /// The tag of a row's answer.
    etag: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What an answer consists of.
#[derive(Debug)]
enum Content {
    Json(Vec<u8>),
    /// Something whole that is no JSON, with its media type.
    File(&'static str, Bytes),
    /// Nothing.
    Empty,
    /// Events as they happen (`text/event-stream`).
    Events(Pieces),
}

/// The pieces of an answer that is written as it comes about.
struct Pieces(Mutex<Pin<Box<dyn Stream<Item = Bytes> + Send>>>);

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pieces(..)")
    }
}

/// The server wants a stream that could be shared, which futures of the log are not. Nobody shares
/// this one: the lock is never taken.
impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pieces = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        pieces.as_mut().poll_next(context).map(|piece| piece.map(Ok))
    }
}

/// A page of rows, in the form that every list has.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
    /// Whether there are more than `total`: they were not counted to their end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_capped: bool,
    /// How many a page has at most.
    pub limit: usize,
    /// How many were passed over.
    pub offset: u64,
    /// Whether another page follows.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The only page of a list that is never long.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            total: items.len() as u64,
            total_is_capped: false,
            limit: items.len(),
            offset: 0,
            has_more: false,
            next_cursor: None,
            items,
        }
    }
}

impl Reply {
    /// 200 with a value.
    ///
    /// # Errors
    /// Where the value has no JSON form, which none of ours should lack.
    pub fn ok(value: &impl Serialize) -> Result<Self, ApiError> {
        let json = serde_json::to_vec(value).map_err(|error| {
            spark_actors::DispatchError::Internal(format!("an answer has no JSON form: {error}"))
        })?;
        Ok(Self::whole(StatusCode::OK, Content::Json(json)))
    }

    /// 200 with JSON that is written already.
    #[must_use]
    pub fn json(json: Bytes) -> Self {
        Self::whole(StatusCode::OK, Content::Json(json.into()))
    }

    /// 200 with events as they happen. The stream is asked for its next piece only when the
    /// connection has room, and dropped when the caller goes away.
    #[must_use]
    pub fn events(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::whole(StatusCode::OK, Content::Events(Pieces(Mutex::new(Box::pin(pieces)))))
    }

    /// 200 with something that is no JSON, or is JSON already.
    #[must_use]
    pub fn file(kind: &'static str, bytes: Bytes) -> Self {
        Self::whole(StatusCode::OK, Content::File(kind, bytes))
    }

    /// A status without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::whole(status, Content::Empty)
    }

    fn whole(status: StatusCode, content: Content) -> Self {
        Self { status, content, position: None, etag: None, headers: Vec::new() }
    }

    /// With a header field of its own.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The row that a write led to, or what is known of it where the read model does not show it
    /// yet: the write happened, so an error would be a lie.
    ///
    /// # Errors
    /// As [`Reply::ok`].
    pub fn written(
        row: Result<impl Serialize, ApiError>,
        known: impl Serialize,
        position: Option<Position>,
    ) -> Result<Self, ApiError> {
        let reply = match row {
            Ok(row) => Self::ok(&row)?,
            Err(error) => {
                tracing::debug!(%error, "a write is answered without its row");
                Self::ok(&known)?
            }
        };
        Ok(reply.at(position))
    }

    /// The same as 201.
    #[must_use]
    pub fn as_created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// The same as 202.
    #[must_use]
    pub fn as_accepted(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    /// Names the position that the write reached.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    /// The answer is a row at this revision.
    #[must_use]
    pub fn of(mut self, revision: Revision) -> Self {
        if let Content::Json(json) = &self.content {
            self.etag = Some(conditions::tag(revision, json));
        }
        self
    }

    /// The answer is a row at this revision, and shows what is another at each look; `lasting` is
    /// the answer without that.
    #[must_use]
    pub fn of_lasting(mut self, revision: Revision, lasting: &impl Serialize) -> Self {
        let lasting = serde_json::to_vec(lasting).ok();
        self.etag = lasting.map(|lasting| conditions::weak_tag(revision, &lasting));
        self
    }

    /// What is remembered of it, for whoever asks for the same again.
    #[must_use]
    pub fn remembered(&self) -> RequestAnswered {
        let answer = match &self.content {
            Content::Json(json) => repeats::kept(json),
            Content::File(..) | Content::Empty | Content::Events(_) => None,
        };
        RequestAnswered { status: self.status.as_u16(), answer, position: self.position }
    }

    /// The answer to what was asked for before.
    ///
    /// # Errors
    /// As [`Reply::ok`].
    pub fn again(answered: RequestAnswered) -> Result<Self, ApiError> {
        let (status, position) = (answered.status, answered.position);
        let reply = Self::ok(&repeats::told(answered))?.at(position);
        let status = StatusCode::from_u16(status).unwrap_or_default();
        Ok(Self { status, ..reply }.with_header(REPLAYED, HeaderValue::from_static("true")))
    }

    /// 304 instead, where the caller has this answer already.
    #[must_use]
    pub fn unless_known(self, headers: &HeaderMap) -> Self {
        match &self.etag {
            Some(etag) if conditions::is_known(headers, etag) => {
                Self { status: StatusCode::NOT_MODIFIED, content: Content::Empty, ..self }
            }
            _ => self,
        }
    }

    /// The bytes of the answer.
    #[must_use]
    pub fn into_response(self, request_id: &str) -> Response {
        let mut response = match self.content {
            Content::Json(json) => whole(self.status, json, "application/json", request_id),
            Content::File(kind, bytes) => whole(self.status, bytes, kind, request_id),
            Content::Empty => headed(Response::default(), self.status, None, request_id),
            Content::Events(pieces) => {
                let response = warp::reply::stream(pieces).into_response();
                let kind = Some("text/event-stream");
                let mut response = headed(response, self.status, kind, request_id);
                let headers = response.headers_mut();
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                // A proxy that gathers an answer before it passes it on would hold back the events.
                headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
                response
            }
        };
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            response.headers_mut().insert(ETAG, etag);
        }
        response.headers_mut().extend(self.headers);
        if let Some(Position(position)) = self.position {
            response.headers_mut().insert(POSITION, position.into());
        }
        response
    }
}

/// An error as an answer.
pub(crate) fn error_response(error: &ApiError, request_id: &str) -> Response {
    let problem = error.problem(request_id);
    // A problem consists of texts and numbers, which always have a JSON form.
    let json = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = whole(error.row().status, json, "application/problem+json", request_id);
    let headers = response.headers_mut();
    match error {
        ApiError::KeyMissing | ApiError::KeyWrong | ApiError::KeyRevoked { .. } => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
        }
        ApiError::MethodNotAllowed { allow, .. } => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        _ => {}
    }
    if let Some(seconds) = error.retry_after_s() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn whole(
    status: StatusCode,
    body: impl Into<Bytes>,
    kind: &'static str,
    request_id: &str,
) -> Response {
    headed(Response::new(body.into().into()), status, Some(kind), request_id)
}

fn headed(
    mut response: Response,
    status: StatusCode,
    kind: Option<&'static str>,
    request_id: &str,
) -> Response {
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
