//! How a route declares its operation. Everything that operations share, parameters, headers and
//! errors, is added here by one word, so that a declaration says only what is its own.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use spark_events::limits;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};
use warp::http::StatusCode;

use super::schemas::{self, Known};
use crate::body;
use crate::error::{ApiError, Row};
use crate::reply::Page;

mod build;

pub(super) use build::request_id;
use build::{headed, parameter};

/// One endpoint as the document describes it.
#[derive(Clone)]
pub struct Operation {
    id: &'static str,
    /// The id that its route has: its own, unless several methods lead to the same.
    route: &'static str,
    method: HttpMethod,
    path: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    answers: BTreeMap<u16, Response>,
    errors: Vec<Row>,
    writes: bool,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Operation").field(&self.id).finish()
    }
}

/// Reads a body as the handler does.
pub type ReadBody = fn(&[u8]) -> Result<(), ApiError>;

/// What an operation is sent.
#[derive(Clone)]
struct Body {
    schema: RefOr<Schema>,
    required: Required,
    examples: Vec<(&'static str, Value)>,
    read: ReadBody,
}

impl Operation {
    /// `GET`, with the operation's id, its path below `/api/v1`, and what it does in a few words.
    #[must_use]
    pub fn get(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, id, path, summary)
    }

    /// `POST`.
    #[must_use]
    pub fn post(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, id, path, summary)
    }

    /// `PUT`.
    #[must_use]
    pub fn put(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Put, id, path, summary)
    }

    /// `PATCH`.
    #[must_use]
    pub fn patch(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Patch, id, path, summary)
    }

    /// `DELETE`.
    #[must_use]
    pub fn delete(id: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, id, path, summary)
    }

    fn new(
        method: HttpMethod,
        id: &'static str,
        path: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            id,
            route: id,
            method,
            path,
            summary,
            description: None,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            // A query is read before anything else, and a defect can be anywhere.
            errors: vec![Row::QUERY_INVALID, Row::INTERNAL],
            writes: false,
            schemas: Vec::new(),
        }
    }

    /// What a caller should know beyond the summary.
    #[must_use]
    pub fn about(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// A segment of the path that names a thing: its id, the start of it, or its name.
    #[must_use]
    pub fn names(self, name: &'static str, description: &'static str) -> Self {
        self.segment(name, description, schemas::text(1, None)).fails(&[
            Row::NOT_FOUND,
            Row::AMBIGUOUS,
            Row::READ_MODEL,
        ])
    }

    /// A segment of the path with a schema of its own.
    #[must_use]
    pub fn segment(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let (required, schema) = (Required::True, schema.into());
        let is_any_text = schemas::is_any_text(&schema);
        self.parameters.push(parameter(name, ParameterIn::Path, required, description, schema));
        let this = self.fails(&[Row::PATH_UNREADABLE]);
        // What is none of the words, or no number, is no such path.
        if is_any_text { this } else { this.fails(&[Row::PATH_UNKNOWN]) }
    }

    /// What several operations have in common.
    #[must_use]
    pub fn with(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }

    /// A key of the query.
    #[must_use]
    pub fn query(
        self,
        name: &'static str,
        description: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        self.key(name, Required::False, description, schema)
    }

    /// A key of the query that must be there.
    #[must_use]
    pub fn needs_query(
        self,
        name: &'static str,
        description: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        self.key(name, Required::True, description, schema)
    }

    fn key(
        mut self,
        name: &'static str,
        required: Required,
        description: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        self.parameters.push(parameter(name, ParameterIn::Query, required, description, schema));
        self
    }

    /// A header of the request.
    #[must_use]
    pub fn header(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        let required = Required::False;
        self.parameters.push(parameter(name, ParameterIn::Header, required, description, schema));
        self.fails(&[Row::HEADER_INVALID])
    }

    /// The keys of a list that is cut into pages.
    #[must_use]
    pub fn paged(self) -> Self {
        let limit = schemas::number(1, Some(limits::PAGE_MAX as u64));
        let limit = schemas::default(limit, limits::PAGE_DEFAULT);
        let offset = schemas::default(schemas::number(0, Some(u64::from(u32::MAX))), 0);
        self.query("limit", "How many rows a page has at most.", limit)
            .query("offset", "How many rows are passed over.", offset)
            .query(
                "cursor",
                "`next_cursor` of the page before. Not together with an `offset`.",
                schemas::text(0, None),
            )
    }

    /// It reads the read models, and waits for a position where it is given one.
    #[must_use]
    pub fn reads(self) -> Self {
        let position = || schemas::number(0, None);
        self.query(
            "min_position",
            "The position in the log that the answer must show at least.",
            position(),
        )
        .header(
            "X-Spark-Min-Position",
            "The same as `min_position`, which outweighs it.",
            position(),
        )
        .fails(&[Row::BEHIND, Row::READ_MODEL])
    }

    /// It carries out a command, for a reason that may be given.
    #[must_use]
    pub fn commands(mut self) -> Self {
        self.writes = true;
        self.header(
            "X-Spark-Reason",
            "Why, for the history, as UTF-8; the body's `reason` outweighs it.",
            schemas::text(0, Some(limits::REASON_BYTES_MAX)),
        )
        .fails(&[
            Row::OVERLOADED,
            Row::LOG_UNAVAILABLE,
            Row::SHUTTING_DOWN,
            Row::COMMAND_TIMEOUT,
        ])
    }

    /// It takes an idempotency key.
    #[must_use]
    pub fn idempotent(self) -> Self {
        self.header(
            "Idempotency-Key",
            "The same key and the same request lead to one task, however often it is sent.",
            schemas::idempotency_key(),
        )
        .fails(&[Row::KEY_REUSED])
    }

    /// The body that it must be sent, with an example.
    #[must_use]
    pub fn body<T: ToSchema + DeserializeOwned>(self, name: &'static str, example: Value) -> Self {
        let read: ReadBody = |body| body::object::<T>(body).map(drop);
        self.sent::<T>(Required::True, read, name, example)
    }

    /// The body that it may be sent, with an example.
    #[must_use]
    pub fn optional_body<T: ToSchema + DeserializeOwned + Default>(
        self,
        name: &'static str,
        example: Value,
    ) -> Self {
        let read: ReadBody = |body| body::optional::<T>(body).map(drop);
        self.sent::<T>(Required::False, read, name, example)
    }

    fn sent<T: ToSchema>(
        mut self,
        required: Required,
        read: ReadBody,
        name: &'static str,
        example: Value,
    ) -> Self {
        let schema = self.schema_of::<T>();
        self.body = Some(Body { schema, required, examples: vec![(name, example)], read });
        self.fails(&[
            Row::JSON_MALFORMED,
            Row::FIELD_INVALID,
            Row::BODY_TOO_LARGE,
            Row::BODY_UNREADABLE,
            Row::BODY_TIMEOUT,
        ])
    }

    /// Another example of the body.
    #[must_use]
    pub fn example(mut self, name: &'static str, example: Value) -> Self {
        if let Some(body) = &mut self.body {
            body.examples.push((name, example));
        }
        self
    }

    /// 200 with a value.
    #[must_use]
    pub fn answers<T: ToSchema>(self, description: &'static str, example: Value) -> Self {
        self.answers_with::<T>(StatusCode::OK, description, example)
    }

    /// 200 with a page of rows, of which one is the example.
    #[must_use]
    pub fn answers_page<T: ToSchema>(mut self, description: &'static str, row: Value) -> Self {
        let _: RefOr<Schema> = self.schema_of::<T>();
        let name = format!("{}Page", T::name());
        self.schemas.push((name.clone(), Page::<T>::schema()));
        let page = Ref::from_schema_name(name).into();
        self.json(StatusCode::OK, description, page, schemas::page(row))
    }

    /// A value under another status of success.
    #[must_use]
    pub fn answers_with<T: ToSchema>(
        mut self,
        status: StatusCode,
        description: &'static str,
        example: Value,
    ) -> Self {
        let schema = self.schema_of::<T>();
        self.json(status, description, schema, example)
    }

    /// The row that a write led to; or what is known of it, where the read model lags behind.
    #[must_use]
    pub fn answers_row<T: ToSchema>(
        mut self,
        status: StatusCode,
        description: &'static str,
        example: Value,
    ) -> Self {
        let (row, known) = (self.schema_of::<T>(), self.schema_of::<Known>());
        self.json(status, description, schemas::either([row, known]), example)
    }

    /// 200 with one of two values; where the read model lags behind, with what is known.
    #[must_use]
    pub fn answers_either<A: ToSchema, B: ToSchema>(
        self,
        description: &'static str,
        example: Value,
    ) -> Self {
        self.answers_either_with::<A, B>(StatusCode::OK, description, example)
    }

    /// The same under another status of success.
    #[must_use]
    pub fn answers_either_with<A: ToSchema, B: ToSchema>(
        mut self,
        status: StatusCode,
        description: &'static str,
        example: Value,
    ) -> Self {
        let several = [self.schema_of::<A>(), self.schema_of::<B>(), self.schema_of::<Known>()];
        self.json(status, description, schemas::either(several), example)
    }

    /// An answer that is no JSON: its media type, and its schema where it has one.
    #[must_use]
    pub fn answers_text(mut self, kind: &'static str, description: &'static str) -> Self {
        // What is made of events has no schema of its own in OpenAPI 3.1.
        let schema = (kind != "text/event-stream").then(|| schemas::text(0, None));
        let content = ContentBuilder::new().schema(schema).build();
        let response = match self.answers.remove(&200) {
            Some(response) => ResponseBuilder::from(response),
            None => headed(ResponseBuilder::new().description(description), false),
        };
        self.answers.insert(200, response.content(kind, content).build());
        self
    }

    /// A browser keeps the answer and asks again whether it changed.
    #[must_use]
    pub fn cached(self) -> Self {
        self.header("If-None-Match", "The `ETag` of what is known already.", schemas::text(0, None))
            .without(Row::HEADER_INVALID)
            .answers_nothing(StatusCode::NOT_MODIFIED, "It is what is known already.")
    }

    fn without(mut self, row: Row) -> Self {
        self.errors.retain(|one| *one != row);
        self
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(mut self, status: StatusCode, description: &'static str) -> Self {
        let response = ResponseBuilder::new().description(description);
        self.answers.insert(status.as_u16(), headed(response, false).build());
        self
    }

    fn json(
        mut self,
        status: StatusCode,
        description: &'static str,
        schema: RefOr<Schema>,
        example: Value,
    ) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
        let response =
            ResponseBuilder::new().description(description).content("application/json", content);
        self.answers.insert(status.as_u16(), headed(response, self.writes).build());
        self
    }

    /// What else may come instead of a result.
    #[must_use]
    pub fn fails(mut self, rows: &[Row]) -> Self {
        self.errors.extend(
            rows.iter().filter(|row| !self.errors.contains(row)).copied().collect::<Vec<_>>(),
        );
        self
    }

    /// What may come of asking a source, which is another server.
    #[must_use]
    pub fn asks_the_source(self) -> Self {
        self.fails(&[
            Row::SOURCE_UNREACHABLE,
            Row::SOURCE_AUTH,
            Row::SOURCE_NOT_FOUND,
            Row::SOURCE_BUSY,
            Row::SOURCE_TIMEOUT,
            Row::SOURCE_FAILED,
        ])
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> HttpMethod {
        self.method.clone()
    }

    /// The same under another method, with an id of its own.
    #[must_use]
    pub fn also(&self, method: HttpMethod, id: &'static str) -> Self {
        Self { id, method, ..self.clone() }
    }

    /// The id of the route that it stands for.
    #[must_use]
    pub fn route(&self) -> &'static str {
        self.route
    }

    /// Its method as HTTP writes it.
    #[must_use]
    pub fn method_name(&self) -> &'static str {
        match self.method {
            HttpMethod::Get => "GET",
            HttpMethod::Post => "POST",
            HttpMethod::Put => "PUT",
            HttpMethod::Delete => "DELETE",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Options => "OPTIONS",
            HttpMethod::Head => "HEAD",
            HttpMethod::Trace => "TRACE",
        }
    }

    /// Its path below `/api/v1`.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The schemas that it refers to.
    pub(crate) fn schemas(&self) -> Vec<(String, RefOr<Schema>)> {
        self.schemas.clone()
    }

    /// The examples of its body, and what reads them.
    #[must_use]
    pub fn examples(&self) -> Vec<(Value, ReadBody)> {
        let body = self.body.iter();
        body.flat_map(|body| body.examples.iter().map(|(_, one)| (one.clone(), body.read)))
            .collect()
    }

    fn schema_of<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        schemas::reference::<T>(&mut self.schemas)
    }
}
