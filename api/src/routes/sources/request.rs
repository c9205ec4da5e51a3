//! Requests of a source of the kind `http`.

use serde::Deserialize;
use spark_actors::AddRequest;
use spark_events::domain::http_request::HttpRequest;

/// Save a request as a flow.
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRequest)]
pub struct RequestBody {
    /// The flow's name; one that the source has already is changed.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The request; absent, it posts the input to the source's URL.
    #[serde(default)]
    pub request: HttpRequest,
    /// Why.
    pub reason: Option<String>,
}

impl From<RequestBody> for AddRequest {
    fn from(body: RequestBody) -> Self {
        Self { name: body.name, description: body.description, request: body.request }
    }
}
