//! The answers that are no results. Their codes, statuses and titles come from the table in
//! `error.rs`; nothing is written twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::example::Example;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use warp::http::StatusCode;

use super::{operation, schemas};
use crate::error::{Problem, Row};

/// The media type of a problem.
const PROBLEM: &str = "application/problem+json";

/// One answer for each status among these errors.
pub(super) fn responses(rows: &[Row]) -> BTreeMap<u16, Response> {
    let mut by_status: BTreeMap<u16, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_status.entry(row.status.as_u16()).or_default().push(*row);
    }
    by_status.into_iter().map(|(status, rows)| (status, response(rows))).collect()
}

fn response(mut rows: Vec<Row>) -> Response {
    rows.sort_by_key(|row| row.code);
    let lines = rows.iter().map(|row| format!("`{}`: {}", row.code, row.title));
    let examples = rows.iter().map(|row| {
        (row.code, RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{}", row.code))))
    });
    let codes = schemas::words(rows.iter().map(|row| row.code));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(ObjectBuilder::new().property("code", codes));
    let content = ContentBuilder::new()
        .schema(Some(Schema::AllOf(schema.build())))
        .examples_from_iter(examples)
        .build();
    let mut response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n\n"))
        .content(PROBLEM, content)
        .header("X-Request-Id", operation::request_id());
    let status = rows.first().map(|row| row.status);
    let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
    if status.is_some_and(|status| later.contains(&status)) {
        let again = HeaderBuilder::new()
            .schema(Some(schemas::number(0, None)))
            .description(Some("After how many seconds to try again."));
        response = response.header("Retry-After", again.build());
    }
    if status == Some(StatusCode::UNAUTHORIZED) {
        let scheme = HeaderBuilder::new()
            .schema(Some(schemas::text(1, None)))
            .description(Some("How callers are known: `ApiKey`."));
        response = response.header("WWW-Authenticate", scheme.build());
    }
    response.build()
}

/// An example of every error.
pub(super) fn examples() -> BTreeMap<String, RefOr<Example>> {
    Row::ALL.iter().map(|row| (row.code.to_owned(), schemas::example(example(row)))).collect()
}

fn example(row: &Row) -> Value {
    json!({
        "type": format!("urn:automagik:error:{}", row.code),
        "title": row.title,
        "status": row.status.as_u16(),
        "detail": "what happened this time, why, and what to do next",
        "code": row.code,
        "request_id": "0192f0c1-2d3e-7000-8000-000000000001",
    })
}

/// The schemas that errors refer to.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    schemas::reference::<Problem<'_>>(&mut schemas);
    schemas
}
