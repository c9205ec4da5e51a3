//! Flows that are made or edited here, and pushing them to a source. What is stored has its
//! secrets masked; a push puts the source's own secrets back in their places.

use serde_json::Value;
use spark_events::domain::component::{self, Filled, fill_masked};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::flow::canonical::definition_hash;
use spark_events::domain::flow::{Flow, FlowCommand, FlowContent, FlowPushed, import};
use spark_events::limits::NAME_BYTES_MAX;
use spark_events::{FlowId, SourceId, payload};

use super::details::stored_hash;
use super::sync::{Asked, describe};
use super::{change_flow, list};
use crate::aggregate::{Patience, Shell};
use crate::catalog::SourceEntry;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::langflow::{FlowUpload, LangFlow, RemoteDefinition};
use crate::requests::{Done, Who};
use crate::sources::{client, refused};
use crate::spark::Spark;

/// Make a flow here.
#[derive(Clone, Default)]
pub struct CreateFlow {
    /// Its name; the file's own when absent.
    pub name: Option<String>,
    /// Its description; the file's own when absent.
    pub description: Option<String>,
    /// LangFlow's export, or its `data` alone. May hold secrets in plain text.
    pub definition: Value,
    /// The node that takes the input; detected when absent.
    pub input_component: Option<String>,
    /// The node that gives the output; detected when absent.
    pub output_component: Option<String>,
}

/// Change a flow here. `None` leaves a part as it is.
#[derive(Clone, Default)]
pub struct EditFlow {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New definition, in the forms of [`CreateFlow::definition`].
    pub definition: Option<Value>,
    /// The node that takes the input.
    pub input_component: Option<String>,
    /// The node that gives the output.
    pub output_component: Option<String>,
}

/// Send a flow to a source.
#[derive(Debug, Clone, Copy, Default)]
pub struct PushFlow {
    /// Where to; needed once, for a flow that no source has yet.
    pub source: Option<SourceId>,
    /// Send it although the source's own was changed, or is gone.
    pub force: bool,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Whether the source made a new flow of it.
    pub created: bool,
    /// Secrets that the source lacks now, as `component.field`: they have to be set there.
    pub empty_secrets: Vec<String>,
}

impl Spark {
    /// Makes a flow here from LangFlow's export. It can run once it is pushed.
    ///
    /// # Errors
    /// `Invalid` (no flow, no name, bounds, components), `Unavailable`, `ShuttingDown`.
    pub async fn create_flow(
        &self,
        request: CreateFlow,
        who: &Who,
    ) -> Result<Done<FlowId>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let imported = read(&request.definition)?;
        let name = request.name.or(imported.name).ok_or_else(|| {
            DispatchError::Invalid(
                "the file has no name for the flow; give one: --name NAME".into(),
            )
        })?;
        let about = About {
            name,
            description: request.description.or(imported.description).unwrap_or_default(),
            input: request.input_component,
            output: request.output_component,
        };
        let content = content(context, about, &imported.definition, who).await?;
        let id = FlowId::random();
        let command = FlowCommand::Create(Box::new(content));
        let (_, position) = change_flow(context, id, command, who).await?;
        Ok(Done { value: id, position })
    }

    /// Changes a flow here. A flow that a source has runs as it is there until it is pushed.
    ///
    /// # Errors
    /// As [`Self::create_flow`], and `NotFound`.
    pub async fn edit_flow(
        &self,
        id: FlowId,
        request: EditFlow,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let had = load(context, id).await?.content().ok_or_else(|| missing(id))?;
        let definition = match &request.definition {
            Some(file) => read(file)?.definition,
            None => payload::load(context.log.as_ref(), &had.definition).await?,
        };
        let still_there = |id: &String| {
            component::analyse(&definition).iter().any(|component| component.id == *id)
        };
        let about = About {
            name: request.name.unwrap_or(had.name),
            description: request.description.unwrap_or(had.description),
            input: request.input_component.or(had.input_component.filter(still_there)),
            output: request.output_component.or(had.output_component.filter(still_there)),
        };
        let content = content(context, about, &definition, who).await?;
        let command = FlowCommand::Edit(Box::new(content));
        let (_, position) = change_flow(context, id, command, who).await?;
        Ok(Done { value: (), position })
    }

    /// Sends a flow to its source: makes it there, or changes the one it was pushed to or synced
    /// from. Refused where the source's own was changed meanwhile.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (changed or gone at the source, name taken there), `Invalid` (no
    /// source named), `Source`, `Unavailable`, `ShuttingDown`.
    pub async fn push_flow(
        &self,
        id: FlowId,
        request: PushFlow,
        who: &Who,
    ) -> Result<Done<Pushed>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        let flow = load(context, id).await?;
        let content = flow.content().ok_or_else(|| missing(id))?;
        let before = match &flow {
            Flow::Synced(synced) => Some(&synced.flow),
            Flow::Local(_) | Flow::Absent | Flow::Deleted => None,
        };
        let source_id = match (before, request.source) {
            (Some(flow), asked) if asked.is_none_or(|asked| asked == flow.source_id) => {
                flow.source_id
            }
            (Some(_), _) => {
                return Err(DispatchError::Conflict(
                    "the flow belongs to another source; to have it there too, export it and make \
                     a new flow of it: automagik flow export, automagik flow create"
                        .into(),
                ));
            }
            (None, Some(source)) => source,
            (None, None) => {
                return Err(DispatchError::Invalid(
                    "no source has this flow yet; name the one to push it to: --source NAME".into(),
                ));
            }
        };
        let source = context.catalog.source(source_id)?;
        let client = client(&source)?;
        let target = Target { client: &client, source: &source, force: request.force };
        let (sent, empty_secrets, created) = match before {
            Some(had) => target.update(context, id, had.remote_id.as_str(), &content).await?,
            None => target.create(context, &content).await?,
        };
        let folder = client.folder_name(sent.folder_id.as_deref()).await;
        let asked = Asked {
            input: content.input_component.as_deref(),
            output: content.output_component.as_deref(),
            before: None,
        };
        let flow = describe(context, source_id, sent, folder, asked, who).await?;
        let command = FlowCommand::Push(Box::new(FlowPushed { created, flow }));
        let (_, position) = change_flow(context, id, command, who).await?;
        Ok(Done { value: Pushed { created, empty_secrets }, position })
    }
}

/// What a push came to at the source: the flow there, the secrets it lacks, whether it is new.
type Sent = (RemoteDefinition, Vec<String>, bool);

struct Target<'a> {
    client: &'a LangFlow,
    source: &'a SourceEntry,
    force: bool,
}

impl Target<'_> {
    async fn create(&self, context: &Shared, content: &FlowContent) -> Result<Sent, DispatchError> {
        let name = &self.source.source.name;
        // LangFlow would put a number behind a name that is taken.
        let taken = list(self.source).await?.into_iter().find(|flow| flow.name == content.name);
        if let Some(taken) = taken {
            return Err(DispatchError::Conflict(format!(
                "source {name} has a flow named {:?} already ({}); sync that one, or give this one \
                 another name: automagik flow edit --name",
                content.name, taken.id
            )));
        }
        let Filled { definition, empty } = fill_masked(&stored(context, content).await?, None);
        let sent = self.client.create_flow(&upload(content, &definition)).await;
        Ok((sent.map_err(|failure| refused(name, failure))?, empty, true))
    }

    async fn update(
        &self,
        context: &Shared,
        id: FlowId,
        remote_id: &str,
        content: &FlowContent,
    ) -> Result<Sent, DispatchError> {
        let name = &self.source.source.name;
        let present = match self.client.fetch_flow(remote_id).await {
            Ok(present) => present,
            Err(failure) if failure.class == FailureClass::NotFound && self.force => {
                return self.create(context, content).await;
            }
            Err(failure) if failure.class == FailureClass::NotFound => {
                return Err(DispatchError::Conflict(format!(
                    "source {name} does not have the flow {:?} any more; --force makes it there \
                     anew",
                    content.name
                )));
            }
            Err(failure) => return Err(refused(name, failure)),
        };
        if !self.force {
            self.check_unchanged(context, id, &present, content).await?;
        }
        let masked = stored(context, content).await?;
        let Filled { definition, empty } = fill_masked(&masked, Some(&present.data));
        let sent = self.client.update_flow(remote_id, &upload(content, &definition)).await;
        Ok((sent.map_err(|failure| refused(name, failure))?, empty, false))
    }

    async fn check_unchanged(
        &self,
        context: &Shared,
        id: FlowId,
        present: &RemoteDefinition,
        content: &FlowContent,
    ) -> Result<(), DispatchError> {
        let present = component::mask_secrets(&present.data);
        let hash = spark_events::domain::flow::canonical::content_hash(&present);
        if hash == stored_hash(context, &context.catalog.flow_entry(id)?).await? {
            return Ok(());
        }
        Err(DispatchError::Conflict(format!(
            "the flow {name:?} was changed at source {source} since it was synced; look at the \
             difference (automagik flow diff \"{name}\" remote), then sync it, or overwrite it with \
             --force",
            name = content.name,
            source = self.source.source.name
        )))
    }
}

fn upload<'a>(content: &'a FlowContent, definition: &'a Value) -> FlowUpload<'a> {
    FlowUpload { name: &content.name, description: &content.description, data: definition }
}

async fn stored(context: &Shared, content: &FlowContent) -> Result<Value, DispatchError> {
    Ok(payload::load(context.log.as_ref(), &content.definition).await?)
}

fn read(file: &Value) -> Result<import::Imported, DispatchError> {
    import::read(file).map_err(|error| DispatchError::Invalid(error.to_string()))
}

fn missing(id: FlowId) -> DispatchError {
    DispatchError::NotFound { kind: "flow", id: id.to_string() }
}

async fn load(context: &Shared, id: FlowId) -> Result<Flow, DispatchError> {
    let mut shell = Shell::<Flow>::new(context.log.clone(), context.clock.clone(), id.stream());
    let recovered = shell.recover(Patience::FailFast).await;
    recovered.map_err(|error| DispatchError::of(error, "flow", id))?;
    Ok(shell.state().clone())
}

/// What is said of a flow beside its definition.
struct About {
    name: String,
    description: String,
    input: Option<String>,
    output: Option<String>,
}

/// A flow's content with its secrets masked and its definition stored.
async fn content(
    context: &Shared,
    about: About,
    definition: &Value,
    who: &Who,
) -> Result<FlowContent, DispatchError> {
    let name = about.name.trim().to_owned();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(DispatchError::Invalid(format!(
            "a flow's name has from 1 to {NAME_BYTES_MAX} bytes"
        )));
    }
    let invalid = |error: component::BadChoice| DispatchError::Invalid(error.to_string());
    // Secrets are masked before anything is analysed, hashed or stored.
    let masked = component::mask_secrets(definition);
    let components = component::analyse(&masked);
    let input = component::choose_input(&components, about.input.as_deref()).map_err(invalid)?;
    let output = component::choose_output(&components, about.output.as_deref()).map_err(invalid)?;
    let definition_hash = definition_hash(&masked);
    let definition = payload::store(context.log.as_ref(), masked, who.metadata()).await?;
    Ok(FlowContent {
        name,
        description: about.description,
        input_component: input,
        output_component: output,
        components,
        definition,
        definition_hash,
    })
}
