//! What kind of server a source is, and how it is given its key.

use serde::{Deserialize, Serialize};

use crate::limits;

/// What kind of server a source is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A LangFlow server. Events that name no kind are about one.
    #[default]
    Langflow,
    /// Any server that takes HTTP requests: an agent server, a webhook.
    Http(HttpSettings),
}

impl SourceKind {
    /// Whether this is the kind that is not written into events.
    #[must_use]
    pub fn is_langflow(&self) -> bool {
        *self == Self::Langflow
    }

    /// The kind in one word, as it stands in answers.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Langflow => "langflow",
            Self::Http(_) => "http",
        }
    }
}

/// How a source of the kind `http` is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// How the key is sent.
    #[serde(default)]
    pub auth: KeyHeader,
    /// The path that a probe asks for; without one, any answer to a request of the URL itself
    /// counts as being up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
}

/// How a key is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyHeader {
    /// As `Authorization: Bearer KEY`.
    Bearer,
    /// As the value of a header of this name.
    Header(String),
}

impl Default for KeyHeader {
    fn default() -> Self {
        Self::Header("X-API-Key".to_owned())
    }
}

/// Why settings of a source of the kind `http` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHttpSettings {
    /// The name of the key's header is none.
    #[error(
        "{0:?} is not a header's name: it has 1 to {max} letters, digits and dashes",
        max = limits::HEADER_NAME_BYTES_MAX
    )]
    HeaderName(String),
    /// The health path is none.
    #[error(
        "the health path {0:?} must begin with a slash, have no spaces or #, and at most {max} bytes",
        max = limits::HTTP_PATH_BYTES_MAX
    )]
    HealthPath(String),
}

impl HttpSettings {
    /// Says what cannot work.
    ///
    /// # Errors
    /// [`BadHttpSettings`].
    pub fn check(&self) -> Result<(), BadHttpSettings> {
        if let KeyHeader::Header(name) = &self.auth
            && !is_header_name(name)
        {
            return Err(BadHttpSettings::HeaderName(name.clone()));
        }
        match &self.health_path {
            Some(path) if !is_path(path) => Err(BadHttpSettings::HealthPath(path.clone())),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a text can be the name of a header.
pub(crate) fn is_header_name(name: &str) -> bool {
    (1..=limits::HEADER_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a text can stand behind a source's URL: a path, with a query if need be.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= limits::HTTP_PATH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}
