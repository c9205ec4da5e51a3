//! The client of a source, whatever kind of server it is.

use spark_events::domain::failure::Failure;
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::source::{Capabilities, SourceKind};
use spark_events::domain::trace::TraceParent;

use crate::http_source::HttpSource;
use crate::langflow::{BadUrl, LangFlow, Secret};

/// One source as it is called. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum SourceClient {
    LangFlow(LangFlow),
    Http(HttpSource),
}

impl SourceClient {
    pub(crate) fn new(
        http: reqwest::Client,
        kind: &SourceKind,
        url: &str,
        key: Option<Secret>,
    ) -> Result<Self, BadUrl> {
        Ok(match kind {
            // The originals' variable and many a note have the API's path in it.
            SourceKind::Langflow => {
                let url = url.trim().trim_end_matches('/').trim_end_matches("/api/v1");
                Self::LangFlow(LangFlow::new(http, url, key)?)
            }
            SourceKind::Http(settings) => Self::Http(HttpSource::new(http, url, key, settings)?),
        })
    }

    /// The same source, told with every request which run it is for.
    pub(crate) fn within(self, place: Option<TraceParent>) -> Self {
        match self {
            Self::LangFlow(client) => Self::LangFlow(client.within(place)),
            Self::Http(client) => Self::Http(client.within(place)),
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::LangFlow(client) => client.url(),
            Self::Http(client) => client.url(),
        }
    }

    /// The key that goes along.
    pub(crate) fn api_key(&self) -> Option<&Secret> {
        match self {
            Self::LangFlow(client) => client.api_key(),
            Self::Http(client) => client.api_key(),
        }
    }

    pub(crate) async fn probe(&self) -> Result<Capabilities, Failure> {
        match self {
            Self::LangFlow(client) => client.probe().await,
            Self::Http(client) => client.probe().await,
        }
    }
}

/// The definition of a flow that is a request.
pub(crate) fn definition_of(request: &HttpRequest) -> Result<serde_json::Value, serde_json::Error> {
    Ok(serde_json::json!({ "http": serde_json::to_value(request)? }))
}
