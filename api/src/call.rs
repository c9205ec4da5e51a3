//! One request as a handler sees it: who asks and why, the query, the body. Reads headers; knows no
//! resource.

use std::sync::Arc;

use bytes::Bytes;
use spark_actors::{BadKey, IdempotencyKey, Who};
use spark_events::domain::trace::TraceParent;
use spark_events::{Position, Revision, ids, limits};
use uuid::Uuid;
use warp::http::HeaderMap;

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::ApiError;
use crate::query::{Query, invalid};

/// The position that a read must show at least.
const MIN_POSITION: &str = "X-Spark-Min-Position";

/// One request, past authentication.
#[derive(Debug)]
pub struct Call<'a> {
    /// The server's parts.
    pub app: &'a App,
    /// Who asks.
    pub caller: Caller,
    /// The request's id as text.
    pub request_id: &'a str,
    /// The query, decoded.
    pub query: Query<'a>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The revision that the caller wants to change.
    pub expects: Option<Revision>,
    /// The body; empty for `GET`.
    pub body: Bytes,
}

impl Call<'_> {
    /// The asker, with the reason of the body or else of the `X-Spark-Reason` header.
    ///
    /// # Errors
    /// A reason that is too long or not text.
    pub fn who(&self, reason: Option<String>) -> Result<Who, ApiError> {
        // A header that cannot be used is wrong also where the body outweighs it.
        let in_header = self.header_reason()?;
        let reason = match reason {
            Some(reason) if reason.len() > limits::REASON_BYTES_MAX => {
                return Err(ApiError::field("reason", too_long()));
            }
            Some(reason) => Some(reason),
            None => in_header,
        };
        Ok(Who {
            actor: Arc::clone(&self.caller.actor),
            reason: reason.filter(|text| !text.trim().is_empty()).map(Into::into),
            request_id: correlation(self.request_id),
            trace: trace_parent(self.headers).map(|place| place.trace),
            expects: self.expects,
        })
    }

    /// The asker of an endpoint whose body is a reason or nothing.
    ///
    /// # Errors
    /// As [`Call::who`], and a body of another form.
    pub fn action(&self) -> Result<Who, ApiError> {
        let action: body::ActionBody = body::optional(&self.body)?;
        self.query.only(&[])?;
        self.who(action.reason)
    }

    fn header_reason(&self) -> Result<Option<String>, ApiError> {
        const NAME: &str = "X-Spark-Reason";
        let Some(value) = self.headers.get(NAME) else {
            return Ok(None);
        };
        let invalid = |message| ApiError::HeaderInvalid { name: NAME, message };
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| invalid("it is not UTF-8 text".to_owned()))?;
        if text.len() > limits::REASON_BYTES_MAX {
            return Err(invalid(too_long()));
        }
        Ok(Some(text.to_owned()))
    }

    /// The `Idempotency-Key`, where the caller sent one.
    ///
    /// # Errors
    /// A key that is empty, too long or not printable ASCII.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, ApiError> {
        const NAME: &str = "Idempotency-Key";
        let Some(value) = self.headers.get(NAME) else {
            return Ok(None);
        };
        let key = value.to_str().map_err(|_| BadKey).and_then(IdempotencyKey::new);
        key.map(Some)
            .map_err(|error| ApiError::HeaderInvalid { name: NAME, message: error.to_string() })
    }

    /// The position that the caller wants to read at, from the query or the header.
    ///
    /// # Errors
    /// What is no position.
    pub fn min_position(&self) -> Result<Option<Position>, ApiError> {
        let in_query = self.query.min_position()?;
        let Some(value) = self.headers.get(MIN_POSITION) else {
            return Ok(in_query);
        };
        let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        let in_header = read.ok_or_else(|| ApiError::HeaderInvalid {
            name: MIN_POSITION,
            message: "it is not a position (a whole number)".to_owned(),
        })?;
        Ok(in_query.or(Some(Position(in_header))))
    }

    /// Waits until the read model has reached the position that the caller asked for, if any.
    ///
    /// # Errors
    /// `Behind`, and what is no position, or one that the log has not reached.
    pub async fn ready_to_read(&self) -> Result<(), ApiError> {
        let Some(position) = self.min_position()? else { return Ok(()) };
        let head = self.app.spark.log().head().await?;
        if position > head {
            // No write has reached it, so nobody was told of it: waiting would be in vain.
            let message = format!("{position} lies beyond the end of the log, which is {head}");
            return Err(match self.query.min_position()? {
                Some(_) => invalid("min_position", &message),
                None => ApiError::HeaderInvalid { name: MIN_POSITION, message },
            });
        }
        self.app.wait_for(position).await
    }
}

/// The caller's place in a distributed trace, where it named one. What cannot be read is passed
/// over, as the standard asks.
#[must_use]
pub fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

fn too_long() -> String {
    format!("it is too long; at most {} bytes are allowed", limits::REASON_BYTES_MAX)
}

/// The request's id as the caller gave it, where it is short and plain, or else a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let sane = |text: &&str| {
        (1..=limits::REQUEST_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(sane).map_or_else(|| ids::new_uuid().to_string(), str::to_owned)
}

/// The id that stands in the events: the request's own where it is a UUID, else one that follows
/// from its text, so that whoever has the text can find the events.
#[must_use]
pub fn correlation(request_id: &str) -> Uuid {
    Uuid::parse_str(request_id)
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, request_id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderValue;

    use super::*;

    fn id_for(given: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_bytes(given).unwrap());
        request_id(&headers)
    }

    #[test]
    fn only_sane_request_ids_are_taken() {
        assert_eq!(id_for(b"deploy-42"), "deploy-42");
        let long = "x".repeat(limits::REQUEST_ID_BYTES_MAX + 1);
        for bad in [&b""[..], b"a b", b"\xff", long.as_bytes()] {
            assert!(Uuid::parse_str(&id_for(bad)).is_ok(), "{}", bad.escape_ascii());
        }
        assert!(Uuid::parse_str(&request_id(&HeaderMap::new())).is_ok());
    }

    #[test]
    fn events_can_be_found_by_the_request() {
        let id = Uuid::from_u128(7);
        assert_eq!(correlation(&id.to_string()), id);
        assert_eq!(correlation("deploy-42"), correlation("deploy-42"));
        assert_ne!(correlation("deploy-42"), correlation("deploy-43"));
    }
}
