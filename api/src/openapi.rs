//! The OpenAPI document: put together from the operations that the routes declare, the schemas of
//! the very types that are read and written, and the one table of errors. Made once, when it is
//! first asked for.
//!
//! - [`operation`]: how a route declares its operation.
//! - [`errors`]: the answers that are no results, from the table in `error.rs`.
//! - [`schemas`]: schemas of what has no type of its own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;
use utoipa::openapi::info::LicenseBuilder;
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Schema, Server, Tag,
};

use crate::routes;

pub mod errors;
pub(crate) mod examples;
pub mod operation;
pub mod schemas;

pub use operation::Operation;

/// The name of the scheme by which callers are known.
pub(crate) const API_KEY: &str = "apiKey";
/// The path under which every operation stands.
pub(crate) const BASE: &str = "/api/v1";

const ABOUT: &str = "Spark runs LangFlow flows on time, every time, and can prove it.\n\n\
Every request but those of probes and of this document needs an API key in the `X-API-Key` header. \
A thing is named by its id, the start of its id, or its name. A write answers with the position \
that it reached in the log (`X-Spark-Position`); a read that is given it (`X-Spark-Min-Position`) \
shows at least that much; `min_position` in the query says the same, and is taken by every endpoint, \
though only reads wait for it. A key of the query with an empty value is the same as none. Every answer has an `X-Request-Id`, which also stands in the events that \
the request led to. What is no result is `application/problem+json` (RFC 9457) with a stable code.";

const WHERE_THE_KEY_IS: &str = "A key that the server knows. The first one is in the file `api-key` \
of its data directory (`~/.automagik/api-key`, unless it was started with another directory or with \
`AUTOMAGIK_API_KEY`); others are made with `automagik key create NAME --role ROLE`.";

/// The resources, in the order in which they are shown.
const TAGS: &[(&str, &str)] = &[
    ("service", "The server itself."),
    ("sources", "The servers that Spark talks to."),
    ("flows", "What can be run."),
    ("schedules", "When flows are run, with which input."),
    ("tasks", "The executions of flows."),
    ("workers", "The processes that make the calls."),
    ("keys", "Who else may call, and what they may do."),
    ("alerts", "Where messages about failures are sent, and about which ones."),
    ("events", "Events as they happen."),
    ("projections", "The read models, and how far they are."),
    ("log", "Every event of everything, in one order."),
    ("history", "Every event of one thing, as the log holds it."),
];

/// The document as JSON, for a program of this version.
pub(crate) fn json(version: &str) -> &'static str {
    static JSON: OnceLock<String> = OnceLock::new();
    JSON.get_or_init(|| document(version).to_string())
}

/// The document.
pub(crate) fn document(version: &str) -> Value {
    let mut paths: BTreeMap<String, PathItem> = BTreeMap::new();
    let mut schemas: Vec<(String, RefOr<Schema>)> = errors::schemas();
    for operation in routes::operations() {
        schemas.extend(operation.schemas());
        let (method, path) = (operation.method(), operation.path().to_owned());
        let item = PathItem::new(method, operation.into_openapi());
        paths.entry(path).or_default().merge_operations(item);
    }
    let paths =
        paths.into_iter().fold(PathsBuilder::new(), |all, (path, item)| all.path(path, item));
    let mut components = Components::new();
    components.schemas = schemas.into_iter().collect();
    components.examples = errors::examples();
    let key = ApiKeyValue::with_description("X-API-Key", WHERE_THE_KEY_IS);
    components.add_security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)));
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build();
    let info = InfoBuilder::new()
        .title("Spark")
        .version(version)
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let document: OpenApi = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(BASE)]))
        .paths(paths.build())
        .components(Some(components))
        .tags(Some(TAGS.iter().copied().map(tag).collect::<Vec<_>>()))
        .build();
    // It consists of texts, numbers and maps with texts as keys, which always have a JSON form.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    schemas::bound_integers(&mut document);
    schemas::lift_descriptions(&mut document);
    document
}

fn tag((name, description): (&str, &str)) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// Whether a segment of a path is the name of a resource.
fn is_tag(segment: &str) -> bool {
    TAGS.iter().any(|(name, _)| *name == segment)
}

#[cfg(test)]
pub(crate) mod tests;
