//! A request as the routes see it: read whole, query decoded.

use bytes::Bytes;
use hyper::http::request::Parts;
use serde_json::Value;

use super::body::Reply;

/// One request.
pub(super) struct Call {
    parts: Parts,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        Self { parts, body }
    }

    pub(super) fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    pub(super) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The query with its question mark, or nothing.
    pub(super) fn raw_query(&self) -> String {
        self.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A query parameter, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    pub(super) fn query_is_true(&self, name: &str) -> Option<bool> {
        self.query(name).map(|value| matches!(value.as_str(), "true" | "1" | "yes" | "on"))
    }

    /// The page asked for: (page, size).
    pub(super) fn page(&self) -> (usize, usize) {
        let number =
            |name, default| self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        (number("page", 1).max(1), number("size", 50).max(1))
    }

    /// The body as JSON; `None` when there is no body. What is not JSON is answered as LangFlow
    /// answers it.
    pub(super) fn json(&self) -> Result<Option<Value>, Reply> {
        if self.body.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|error| {
            let at =
                if error.is_eof() { self.body.len() } else { error.column().saturating_sub(1) };
            Reply::json(
                422,
                &serde_json::json!({"detail": [
                    {"type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error"}
                ]}),
            )
        })
    }
}

/// One page of a list: the items on it, and how many pages there are.
pub(super) fn cut_page<T: Clone>(all: &[T], page: usize, size: usize) -> (Vec<T>, usize) {
    let from = (page - 1).saturating_mul(size).min(all.len());
    let to = from.saturating_add(size).min(all.len());
    (all[from..to].to_vec(), all.len().div_ceil(size))
}
