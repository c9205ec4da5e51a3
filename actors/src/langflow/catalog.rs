//! The flows of a source: listed as headers, fetched one by one.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits::SOURCE_LIST_MS_MAX;

use super::LangFlow;
use super::http::segment;

/// A flow as the source lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFlow {
    /// Its id at the source.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// The id of its folder or project.
    pub folder_id: Option<String>,
    /// The name of its folder or project.
    pub folder: Option<String>,
    /// A name that URLs at the source may use for it.
    pub endpoint_name: Option<String>,
    /// When it was last changed, as the source writes it. Missing before LangFlow 1.13.
    pub updated_at: Option<String>,
}

/// A flow with its definition, **with its secrets in plain text**: mask it before anything else
/// ([`spark_events::domain::component::mask_secrets`]).
#[derive(Clone, PartialEq)]
pub struct RemoteDefinition {
    /// Its id at the source.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// The id of its folder or project.
    pub folder_id: Option<String>,
    /// A name that URLs at the source may use for it.
    pub endpoint_name: Option<String>,
    /// When it was last changed, as the source writes it.
    pub updated_at: Option<String>,
    /// Nodes and edges.
    pub data: Value,
}

impl std::fmt::Debug for RemoteDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("RemoteDefinition");
        out.field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A flow on its way to a source. **It may hold secrets in plain text.**
#[derive(Serialize)]
pub(crate) struct FlowUpload<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its description.
    pub(crate) description: &'a str,
    /// Nodes and edges.
    pub(crate) data: &'a Value,
}

#[derive(Deserialize)]
struct Header {
    id: String,
    name: String,
    description: Option<String>,
    folder_id: Option<String>,
    endpoint_name: Option<String>,
    updated_at: Option<String>,
    is_component: Option<bool>,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(flatten)]
    header: Header,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct Folder {
    id: String,
    name: String,
}

impl LangFlow {
    /// All flows that the key's user may run, with the names of their folders; no components and
    /// none of LangFlow's examples.
    ///
    /// # Errors
    /// Whatever keeps the source from answering. Missing folder names are no error.
    pub async fn list_flows(&self) -> Result<Vec<RemoteFlow>, Failure> {
        let headers = self.headers().await?;
        let folders = self.folders().await;
        let described = |header: Header| RemoteFlow {
            folder: header.folder_id.as_ref().and_then(|id| folders.get(id)).cloned(),
            id: header.id,
            name: header.name,
            description: header.description.unwrap_or_default(),
            folder_id: header.folder_id,
            endpoint_name: header.endpoint_name,
            updated_at: header.updated_at,
        };
        let flows = headers.into_iter().filter(|header| header.is_component != Some(true));
        Ok(flows.map(described).collect())
    }

    async fn headers(&self) -> Result<Vec<Header>, Failure> {
        let path = "/api/v1/flows/?get_all=true&header_flows=true&remove_example_flows=true";
        let timeout = Duration::from_millis(SOURCE_LIST_MS_MAX);
        self.json(self.get(path).timeout(timeout)).await
    }

    async fn folders(&self) -> HashMap<String, String> {
        // Projects since 1.4, folders before.
        let mut folders = self.json::<Vec<Folder>>(self.get("/api/v1/projects/")).await;
        if folders.is_err() {
            folders = self.json(self.get("/api/v1/folders/")).await;
        }
        let folders = folders.unwrap_or_else(|failure| {
            tracing::debug!(url = self.url(), %failure, "the folders could not be listed");
            vec![]
        });
        folders.into_iter().map(|folder| (folder.id, folder.name)).collect()
    }

    /// One flow with its definition.
    ///
    /// # Errors
    /// `NotFound` where the source has no flow with this id, and whatever keeps it from
    /// answering.
    pub async fn fetch_flow(&self, id: &str) -> Result<RemoteDefinition, Failure> {
        let missing = || Failure::new(FailureClass::NotFound, format!("there is no flow {id:?}"));
        let escaped = segment(id).ok_or_else(missing)?;
        let timeout = Duration::from_millis(SOURCE_LIST_MS_MAX);
        let request = self.get(&format!("/api/v1/flows/{escaped}")).timeout(timeout);
        let whole: Whole = self.json(request).await.map_err(|failure| match failure.status {
            // Not a UUID, which every flow's id is.
            Some(422) => Failure { status: Some(422), ..missing() },
            Some(_) | None => failure,
        })?;
        Ok(whole.into())
    }

    /// Makes a flow at the source and gives it as the source has it since. A name that is taken
    /// there gets a number, so look first.
    ///
    /// # Errors
    /// Whatever keeps the source from taking it.
    pub(crate) async fn create_flow(
        &self,
        flow: &FlowUpload<'_>,
    ) -> Result<RemoteDefinition, Failure> {
        self.upload(self.request(Method::POST, "/api/v1/flows/"), flow).await
    }

    /// Changes a flow at the source and gives it as the source has it since.
    ///
    /// # Errors
    /// `NotFound` where the source has no flow with this id, and whatever keeps it from taking it.
    pub(crate) async fn update_flow(
        &self,
        id: &str,
        flow: &FlowUpload<'_>,
    ) -> Result<RemoteDefinition, Failure> {
        let missing = || Failure::new(FailureClass::NotFound, format!("there is no flow {id:?}"));
        let escaped = segment(id).ok_or_else(missing)?;
        self.upload(self.request(Method::PATCH, &format!("/api/v1/flows/{escaped}")), flow).await
    }

    async fn upload(
        &self,
        request: RequestBuilder,
        flow: &FlowUpload<'_>,
    ) -> Result<RemoteDefinition, Failure> {
        let timeout = Duration::from_millis(SOURCE_LIST_MS_MAX);
        let whole: Whole = self.json(request.timeout(timeout).json(flow)).await?;
        Ok(whole.into())
    }

    /// The name of a folder.
    pub(crate) async fn folder_name(&self, id: Option<&str>) -> Option<String> {
        self.folders().await.remove(id?)
    }
}

impl From<Whole> for RemoteDefinition {
    fn from(Whole { header, data }: Whole) -> Self {
        Self {
            id: header.id,
            name: header.name,
            description: header.description.unwrap_or_default(),
            folder_id: header.folder_id,
            endpoint_name: header.endpoint_name,
            updated_at: header.updated_at,
            data: data.unwrap_or(Value::Null),
        }
    }
}
