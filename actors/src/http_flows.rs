//! Flows of a source of the kind `http`: requests that were written here, saved as flows so that
//! everything that runs a flow runs them too.

use spark_events::domain::flow::canonical::definition_hash;
use spark_events::domain::flow::{FlowCommand, FlowSynced};
use spark_events::domain::http_request::HttpRequest;
use spark_events::domain::source::SourceKind;
use spark_events::limits::NAME_BYTES_MAX;
use spark_events::{FlowId, SourceId, payload};

use crate::client::definition_of;
use crate::error::DispatchError;
use crate::flows::change_flow;
use crate::requests::{AddRequest, Done, Who};
use crate::spark::Spark;

impl Spark {
    /// Saves a request of a source of the kind `http` as a flow. A name that the source has already
    /// is changed; the history keeps what it was.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (a LangFlow source), `Invalid` (name or request), `Unavailable`,
    /// `ShuttingDown`.
    pub async fn add_request(
        &self,
        source_id: SourceId,
        request: AddRequest,
        who: &Who,
    ) -> Result<Done<FlowId>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let source = context.catalog.source(source_id)?.source;
        if source.kind.is_langflow() {
            return Err(DispatchError::Conflict(format!(
                "source {0} is a LangFlow server: its flows are made in LangFlow and synced from \
                 there: automagik flow sync FLOW --source {0}",
                source.name
            )));
        }
        let AddRequest { name, description, request } = request;
        let request = request.completed();
        check_request(&source.kind, &name, &request)?;
        let definition =
            definition_of(&request).map_err(|error| DispatchError::Internal(error.to_string()))?;
        let definition_hash = definition_hash(&definition);
        let log = context.log.as_ref();
        let definition = payload::store(log, definition, who.metadata()).await?;
        let id = FlowId::of_remote(source_id, &name);
        let flow = FlowSynced {
            source_id,
            remote_id: name.clone(),
            name,
            description,
            folder: None,
            input_component: None,
            output_component: None,
            components: vec![],
            definition,
            definition_hash,
        };
        let command = FlowCommand::Sync { flow: Box::new(flow), force: false };
        let (_, position) = change_flow(context, id, command, who).await?;
        Ok(Done { value: id, position })
    }
}

/// Says what can never work, before anything is stored.
pub(crate) fn check_request(
    kind: &SourceKind,
    name: &str,
    request: &HttpRequest,
) -> Result<(), DispatchError> {
    if kind.is_langflow() {
        return Err(DispatchError::Invalid(
            "a LangFlow source takes no request; connect the server as one of the kind http".into(),
        ));
    }
    let length = 1..=NAME_BYTES_MAX;
    if !length.contains(&name.trim().len()) || name.chars().any(char::is_control) {
        return Err(DispatchError::Invalid(format!(
            "a request's name must have 1 to {NAME_BYTES_MAX} characters without control characters"
        )));
    }
    request.check().map_err(|error| DispatchError::Invalid(error.to_string()))
}
