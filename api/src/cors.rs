//! Cross-origin requests: which pages in a browser may call, and what they may see of an answer.
//! Keys travel in a header and never in a cookie, so no answer ever allows credentials.

use std::str::FromStr;

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, ORIGIN, VARY,
};
use warp::http::{HeaderMap, Method, StatusCode};

use crate::reply::Reply;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What a page may send.
const SENT: HeaderValue = HeaderValue::from_static(
    "X-API-Key, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, \
     Last-Event-ID, X-Request-Id, X-Spark-Min-Position, X-Spark-Reason, traceparent",
);
/// What a page may read of an answer.
const SHOWN: HeaderValue = HeaderValue::from_static(
    "ETag, Allow, Retry-After, WWW-Authenticate, Idempotency-Replayed, X-Request-Id, \
     X-Spark-Position",
);
/// How long a browser keeps the answer to a preflight.
const KEPT_S: HeaderValue = HeaderValue::from_static("600");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins whose pages may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// None.
    #[default]
    Nobody,
    /// These, as a browser writes them.
    Only(Vec<HeaderValue>),
    /// All. Whoever calls needs a key all the same.
    Everybody,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin; write it as a browser does, such as https://team.example or \
     http://localhost:3000, without a path; several with commas; * for all"
)]
pub struct BadOrigin(String);

impl FromStr for Cors {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let parts: Vec<&str> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => Ok(Self::Nobody),
            ["*"] => Ok(Self::Everybody),
            _ => parts.into_iter().map(origin).collect::<Result<_, _>>().map(Self::Only),
        }
    }
}

/// An origin as a browser sends it: lower case, no slash at the end.
fn origin(text: &str) -> Result<HeaderValue, BadOrigin> {
    let bad = || BadOrigin(text.chars().take(100).collect());
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, host) = lower.split_once("://").ok_or_else(bad)?;
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*\\".contains(&b))
    };
    if plain(scheme) && plain(host) {
        HeaderValue::from_str(&lower).map_err(|_| bad())
    } else {
        Err(bad())
    }
}

impl Cors {
    /// What the answer to a page of this origin allows; `None` where the origin may not call.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match self {
            Self::Nobody => None,
            Self::Only(origins) => origins.contains(origin).then(|| origin.clone()),
            Self::Everybody => Some(ANY),
        }
    }

    /// The answer to a browser that asks whether a page may call. It comes without a key.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Reply> {
        let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        self.allowed(headers)?;
        let reply = Reply::empty(StatusCode::NO_CONTENT);
        let reply = reply.with_header(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let reply = reply.with_header(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        Some(reply.with_header(ACCESS_CONTROL_MAX_AGE, KEPT_S))
    }

    /// Adds to any answer what lets a page of an allowed origin read it.
    pub(crate) fn mark(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if matches!(self, Self::Only(_)) {
            // Also without an origin: a cache must not give that answer to a page.
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed(asked) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let two = "https://Team.example/, http://localhost:3000".parse::<Cors>().unwrap();
        let origins =
            ["https://team.example", "http://localhost:3000"].map(HeaderValue::from_static);
        assert_eq!(two, Cors::Only(origins.into()));
        assert_eq!("*".parse(), Ok(Cors::Everybody));
        assert_eq!(" , ".parse(), Ok(Cors::Nobody));
        for bad in
            ["localhost:3000", "https://", "https://a/b", "https://*.a", "a,*", "https://a b"]
        {
            assert!(bad.parse::<Cors>().is_err(), "{bad}");
        }
    }
}
