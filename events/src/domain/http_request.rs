//! What a flow of a source of the kind `http` is: one HTTP request with gaps for the input, the
//! rule by which its answer counts as a success, and the place of the result in that answer.
//! Checked when it is saved, so that a mistake is not found at three in the morning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::source::{is_header_name, is_path};
use crate::limits;

mod judge;
mod template;

pub use judge::Unmet;
pub use template::{BadTemplate, Values};

/// The method of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Take it and tell what came of it.
    #[default]
    Post,
    /// Only look.
    Get,
    /// Set.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
}

impl HttpMethod {
    /// As it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// Which statuses are a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum StatusRule {
    /// `"2xx"`, and no other text.
    Class(String),
    /// These.
    Listed(Vec<u16>),
}

impl Default for StatusRule {
    fn default() -> Self {
        Self::Class("2xx".to_owned())
    }
}

/// When an answer is a success.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuccessRule {
    /// Its status.
    #[serde(default)]
    pub status: StatusRule,
    /// JSON pointer to the value that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What that value must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
}

/// A request with gaps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// The method.
    #[serde(default)]
    pub method: HttpMethod,
    /// What stands behind the source's URL, with gaps; empty for the URL itself.
    #[serde(default)]
    pub path: String,
    /// Headers without secrets; the source's key is added to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, JSON with gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// When the answer is a success.
    #[serde(default)]
    pub success: SuccessRule,
    /// JSON pointer to the result; the whole body when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// A request with its gaps filled.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// What stands behind the source's URL.
    pub path: String,
    /// The body as JSON text.
    pub body: Option<String>,
}

/// Why a request cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHttpRequest {
    /// The path is none.
    #[error(
        "the path {0:?} must be empty or begin with a slash, have no spaces or #, and at most \
         {max} bytes",
        max = limits::HTTP_PATH_BYTES_MAX
    )]
    Path(String),
    /// A gap in path or body is not one that can be filled.
    #[error("{place}: {why}")]
    Template {
        /// `path` or a JSON pointer into the body.
        place: String,
        /// What is wrong there.
        why: BadTemplate,
    },
    /// A header's name or value is none.
    #[error(
        "the header {0:?} cannot be sent: letters, digits and dashes in its name, printable ASCII in its value"
    )]
    Header(String),
    /// A header that would carry a secret or that is ours to send.
    #[error(
        "the header {0:?} cannot be set here: a key belongs to the source (automagik source \
         update NAME --api-key KEY), and the length, the host and Idempotency-Key are ours"
    )]
    ReservedHeader(String),
    /// Too many headers.
    #[error("{0} headers are too many; at most {max}", max = limits::HTTP_HEADERS_MAX)]
    Headers(usize),
    /// A body with a method that has none.
    #[error("a {0} request has no body; leave it out, or take POST, PUT or PATCH")]
    BodyWith(&'static str),
    /// The body is too large.
    #[error("the body has {0} bytes, more than {max}", max = limits::HTTP_BODY_TEMPLATE_BYTES_MAX)]
    BodyTooLarge(usize),
    /// A pointer is none.
    #[error(
        "{field}: {pointer:?} is not a JSON pointer; it begins with a slash, as in /result/text"
    )]
    Pointer {
        /// `success.path` or `output`.
        field: &'static str,
        /// What was given.
        pointer: String,
    },
    /// The status rule is none.
    #[error(
        "success.status must be \"2xx\" or a list of statuses from 100 to 599 such as [200, 202]"
    )]
    Status,
    /// Half a rule.
    #[error("success.path and success.equals are given together or not at all")]
    HalfARule,
}

/// Sent by us, or holding secrets. In lower case.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "idempotency-key",
    "proxy-authorization",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

impl HttpRequest {
    /// The request as it is saved: a method that has a body and was given none sends the input.
    #[must_use]
    pub fn completed(mut self) -> Self {
        if self.body.is_none() && self.method.has_body() {
            self.body = Some(json!({"input": "{{input}}"}));
        }
        self
    }

    /// Says what can never work.
    ///
    /// # Errors
    /// [`BadHttpRequest`].
    pub fn check(&self) -> Result<(), BadHttpRequest> {
        self.check_path()?;
        self.check_headers()?;
        self.check_body()?;
        self.check_success()?;
        pointer("output", self.output.as_deref())
    }

    fn check_path(&self) -> Result<(), BadHttpRequest> {
        let gaps = template::check_text(&self.path);
        gaps.map_err(|why| BadHttpRequest::Template { place: "path".to_owned(), why })?;
        if self.path.is_empty() || is_path(&self.path) {
            return Ok(());
        }
        Err(BadHttpRequest::Path(self.path.clone()))
    }

    fn check_headers(&self) -> Result<(), BadHttpRequest> {
        if self.headers.len() > limits::HTTP_HEADERS_MAX {
            return Err(BadHttpRequest::Headers(self.headers.len()));
        }
        for (name, value) in &self.headers {
            let printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            let short = value.len() <= limits::HEADER_VALUE_BYTES_MAX;
            if !(is_header_name(name) && printable && short) {
                return Err(BadHttpRequest::Header(name.clone()));
            }
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(BadHttpRequest::ReservedHeader(name.clone()));
            }
        }
        Ok(())
    }

    fn check_body(&self) -> Result<(), BadHttpRequest> {
        let Some(body) = &self.body else { return Ok(()) };
        if !self.method.has_body() {
            return Err(BadHttpRequest::BodyWith(self.method.as_str()));
        }
        let bytes = body.to_string().len();
        if bytes > limits::HTTP_BODY_TEMPLATE_BYTES_MAX {
            return Err(BadHttpRequest::BodyTooLarge(bytes));
        }
        template::check_value(body, &mut "body".to_owned())
            .map_err(|(place, why)| BadHttpRequest::Template { place, why })
    }

    fn check_success(&self) -> Result<(), BadHttpRequest> {
        let good = match &self.success.status {
            StatusRule::Class(class) => class == "2xx",
            StatusRule::Listed(listed) => {
                !listed.is_empty() && listed.iter().all(|status| (100..=599).contains(status))
            }
        };
        if !good {
            return Err(BadHttpRequest::Status);
        }
        if self.success.path.is_some() != self.success.equals.is_some() {
            return Err(BadHttpRequest::HalfARule);
        }
        pointer("success.path", self.success.path.as_deref())
    }

    /// Fills the gaps.
    ///
    /// # Errors
    /// [`BadTemplate`] where the input does not fit its gap.
    pub fn fill(&self, values: &Values<'_>) -> Result<Filled, BadTemplate> {
        let path = template::fill_path(&self.path, values)?;
        let body = self.body.as_ref().map(|body| template::fill_value(body, values)).transpose()?;
        let body = body.map(|body| body.to_string());
        match body.as_deref().map_or(0, str::len) {
            bytes if bytes > limits::HTTP_BODY_BYTES_MAX => Err(BadTemplate::TooLarge(bytes)),
            _ => Ok(Filled { path, body }),
        }
    }
}

fn pointer(field: &'static str, pointer: Option<&str>) -> Result<(), BadHttpRequest> {
    match pointer {
        Some(text) if !(text.is_empty() || text.starts_with('/')) => {
            Err(BadHttpRequest::Pointer { field, pointer: text.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
