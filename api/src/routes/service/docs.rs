//! The OpenAPI document and Swagger UI, whose files are part of the program: nothing is fetched
//! from elsewhere, when it is built or when it runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use warp::http::StatusCode;
use warp::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH,
    LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use crate::call::Call;
use crate::error::ApiError;
use crate::openapi;
use crate::reply::Reply;

/// The page may load its own files and talk to its own server, and nothing else. Swagger UI sets
/// styles of single elements, and its icons are `data:` images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const PAGE: &str = include_str!("docs.html");
const START: &str = include_str!("docs.js");

/// A file of the documentation for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocsFile {
    /// The page itself.
    Page,
    /// What starts Swagger UI.
    Start,
    /// Swagger UI.
    Script,
    /// How it looks.
    Style,
    /// Its icon.
    Icon,
    /// What does not exist.
    Missing,
}

impl DocsFile {
    /// Every file but the page.
    pub(super) const FILES: [Self; 4] = [Self::Start, Self::Script, Self::Style, Self::Icon];

    /// The file of this name below `/docs`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::FILES.into_iter().find(|file| file.name() == name).unwrap_or(Self::Missing)
    }

    /// Its name, which Swagger UI's own files have there too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Page => "index.html",
            Self::Start => "start.js",
            Self::Script => "swagger-ui-bundle.js",
            Self::Style => "swagger-ui.css",
            Self::Icon => "favicon-32x32.png",
            Self::Missing => "",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Page => "text/html; charset=utf-8",
            Self::Start | Self::Script => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Icon => "image/png",
            Self::Missing => "application/octet-stream",
        }
    }
}

pub(super) fn openapi(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let json = openapi::json(call.app.version);
    Ok(cached(call, "application/json", Bytes::from_static(json.as_bytes())))
}

pub(super) fn file(file: DocsFile, call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let own =
        |text: &'static str| Ok(cached(call, file.kind(), Bytes::from_static(text.as_bytes())));
    let reply = match file {
        DocsFile::Missing => {
            return Err(ApiError::PathUnknown { path: "below /api/v1/docs".to_owned() });
        }
        DocsFile::Page => own(PAGE),
        DocsFile::Start => own(START),
        DocsFile::Script | DocsFile::Style | DocsFile::Icon => vendored(file, call),
    }?;
    let policy = HeaderValue::from_static(POLICY);
    Ok(reply
        .with_header(CONTENT_SECURITY_POLICY, policy)
        .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
}

/// The original had a second page there; one is enough.
pub(super) fn redoc(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let docs = HeaderValue::from_static("/api/v1/docs");
    Ok(Reply::empty(StatusCode::PERMANENT_REDIRECT).with_header(LOCATION, docs))
}

/// A file that Swagger UI brings along. It is stored compressed and sent so: every browser takes it.
fn vendored(file: DocsFile, call: &Call<'_>) -> Result<Reply, ApiError> {
    let config = Arc::new(utoipa_swagger_ui::Config::default());
    let found = utoipa_swagger_ui::serve(file.name(), config);
    let missing = || {
        let text = format!("the file {} of Swagger UI is missing", file.name());
        ApiError::from(spark_actors::DispatchError::Internal(text))
    };
    let found = found.ok().flatten().ok_or_else(missing)?;
    let is_compressed = found.gzpipped;
    let reply = cached(call, file.kind(), Bytes::from(found.bytes.into_owned()));
    Ok(match is_compressed {
        true => reply.with_header(CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        false => reply,
    })
}

/// An answer that a browser keeps and asks again about: it changes with the program only.
fn cached(call: &Call<'_>, kind: &'static str, bytes: Bytes) -> Reply {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let given = call.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = given.is_some_and(|given| {
        given.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
    });
    let reply = match known {
        true => Reply::empty(StatusCode::NOT_MODIFIED),
        false => Reply::file(kind, bytes),
    };
    let reply = match HeaderValue::try_from(tag) {
        Ok(tag) => reply.with_header(ETAG, tag),
        Err(_) => reply,
    };
    reply
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}
