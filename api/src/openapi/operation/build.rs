//! From a declaration to the operation of the document, with what all operations share.

use spark_events::limits;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    ContentBuilder, RefOr, Required, ResponseBuilder, Schema, SecurityRequirement,
};

use super::{Body, Operation};
use crate::openapi::{API_KEY, errors, is_tag, schemas};

impl Operation {
    /// The operation as utoipa writes it.
    pub(crate) fn into_openapi(self) -> utoipa::openapi::path::Operation {
        let tag = self.path.split('/').nth(1).filter(|first| is_tag(first));
        let mut built = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(tag.unwrap_or("service"))
            .summary(Some(self.summary))
            .description(self.description)
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
        let security = match self.is_open {
            true => SecurityRequirement::default(),
            false => SecurityRequirement::new::<_, [&str; 0], _>(API_KEY, []),
        };
        built.security(security).build()
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
