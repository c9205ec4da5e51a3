//! From a declaration to the operation of the document, with what all operations share.

use spark_events::limits;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, Object, RefOr, Required, ResponseBuilder, Schema, SecurityRequirement,
};

use warp::http::Method;

use super::{Body, Operation};
use crate::auth::roles::{Need, need};
use crate::conditions;
use crate::error::Row;
use crate::openapi::{API_KEY, BASE, errors, is_tag, schemas};
use crate::repeats;
use crate::routes::{Route, route};

/// What may be wrong with an API key.
const KEY: [Row; 4] = [Row::TOO_MANY, Row::KEY_MISSING, Row::KEY_WRONG, Row::KEY_REVOKED];

impl Operation {
    /// A path that leads to it, with something in the place of each segment that may vary.
    pub(crate) fn sample_path(&self) -> String {
        let sample = |segment: &str| {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let Some(name) = name else { return segment.to_owned() };
            let parameter = self.parameters.iter().find(|one| one.name == name);
            match parameter.and_then(|one| one.schema.as_ref()) {
                Some(RefOr::T(Schema::Object(schema))) => sample_of(schema),
                _ => "a".to_owned(),
            }
        };
        let segments: Vec<String> = self.path.split('/').map(sample).collect();
        format!("{BASE}{}", segments.join("/"))
    }

    /// What a caller must come with; the same table decides when it is called.
    pub(crate) fn need(&self) -> Need {
        self.with_route(need).unwrap_or(Need::AnyKey)
    }

    /// What one of the tables over all routes says of this one.
    fn with_route<T>(&self, ask: impl FnOnce(&Route<'_>) -> T) -> Option<T> {
        let method = Method::from_bytes(self.method_name().as_bytes()).unwrap_or_default();
        let path = self.sample_path();
        route(&method, &path).ok().map(|route| ask(&route))
    }

    /// With what makes it a request on a condition.
    fn conditional(mut self) -> Self {
        if self.with_route(conditions::changes_one) == Some(true) {
            self = self
                .header(
                    "If-Match",
                    "The `ETag` of the row as it was seen, or its `revision` in quotes: the change \
                     happens only if nothing has changed since.",
                    schemas::text(1, None),
                )
                .fails(&[Row::MOVED]);
        }
        if self.method_name() == "POST" && self.with_route(repeats::is_remembered) == Some(true) {
            self = self
                .header(
                    "Idempotency-Key",
                    "The same key and the same request happen once within 24 hours, however often \
                     they are sent; a repeated one is answered as before, without any secret.",
                    schemas::idempotency_key(),
                )
                .fails(&[Row::KEY_REUSED, Row::REQUEST_UNDER_WAY])
                .fails(&[Row::LOG_UNAVAILABLE, Row::SHUTTING_DOWN, Row::OVERLOADED]);
        }
        if self.with_route(conditions::is_row) == Some(true) {
            let refuses_headers = self.errors.contains(&Row::HEADER_INVALID);
            self = self.cached();
            if refuses_headers {
                self = self.fails(&[Row::HEADER_INVALID]);
            }
            if let Some(answer) = self.answers.remove(&200) {
                let tag = HeaderBuilder::new()
                    .schema(Some(schemas::text(1, None)))
                    .description(Some("The row's revision and a hash of this answer."))
                    .build();
                let answer = ResponseBuilder::from(answer).header("ETag", tag).build();
                self.answers.insert(200, answer);
            }
        }
        self
    }

    /// The operation as utoipa writes it.
    pub(crate) fn into_openapi(mut self) -> utoipa::openapi::path::Operation {
        self = self.conditional();
        let need = self.need();
        let description = match need {
            Need::Nobody => join(self.description, "Needs no API key."),
            Need::AnyKey => join(self.description, "Needs an API key of any role."),
            Need::Role(role) => {
                join(self.description, &format!("Needs an API key with the role `{role}`."))
            }
        };
        match need {
            Need::Nobody => {}
            Need::AnyKey => self = self.fails(&KEY),
            Need::Role(_) => self = self.fails(&KEY).fails(&[Row::ROLE_TOO_LOW]),
        }
        let tag = self.path.split('/').nth(1).filter(|first| is_tag(first));
        let mut built = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(tag.unwrap_or("service"))
            .summary(Some(self.summary))
            .description(Some(description))
            .parameters((!self.parameters.is_empty()).then_some(self.parameters));
        if let Some(Body { schema, required, examples, .. }) = self.body {
            let examples =
                examples.into_iter().map(|(name, value)| (name, schemas::example(value)));
            let content =
                ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
            let body = RequestBodyBuilder::new()
                .required(Some(required))
                .content("application/json", content);
            built = built.request_body(Some(body.build()));
        }
        for (status, response) in self.answers {
            built = built.response(status.to_string(), response);
        }
        for (status, response) in errors::responses(&self.errors) {
            built = built.response(status.to_string(), response);
        }
        let security = match need {
            Need::Nobody => SecurityRequirement::default(),
            Need::AnyKey | Need::Role(_) => {
                SecurityRequirement::new::<_, [&str; 0], _>(API_KEY, [])
            }
        };
        built.security(security).build()
    }
}

/// A description with a last sentence.
fn join(description: Option<&str>, last: &str) -> String {
    description.map_or_else(|| last.to_owned(), |text| format!("{text}\n\n{last}"))
}

/// A text that a schema lets be.
fn sample_of(schema: &Object) -> String {
    let word = schema.enum_values.iter().flatten().next().and_then(|one| one.as_str());
    match word {
        Some(word) => word.to_owned(),
        None if schema.minimum.is_some() => "1".to_owned(),
        None => "a".to_owned(),
    }
}

/// The headers that every answer has, and every answer of a command.
pub(super) fn headed(response: ResponseBuilder, writes: bool) -> ResponseBuilder {
    let response = response.header("X-Request-Id", request_id());
    if !writes {
        return response;
    }
    let position = HeaderBuilder::new()
        .schema(Some(schemas::number(0, None)))
        .description(Some("The position in the log that the command reached."))
        .build();
    response.header("X-Spark-Position", position)
}

/// The header that names the request.
pub(in crate::openapi) fn request_id() -> Header {
    HeaderBuilder::new()
        .schema(Some(schemas::text(1, Some(limits::REQUEST_ID_BYTES_MAX))))
        .description(Some("The request, as in the server's log and in the events it led to."))
        .build()
}

/// A parameter of the request.
pub(super) fn parameter(
    name: &str,
    place: ParameterIn,
    required: Required,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}
