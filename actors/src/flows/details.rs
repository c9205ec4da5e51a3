//! What follows from a flow's definition: found out when first needed, and kept with the flow
//! until its definition changes.

use serde_json::Value;
use spark_events::domain::component::{self, ComponentFields};
use spark_events::domain::flow::canonical::content_hash;
use spark_events::{FlowId, payload};

use super::versions::{VersionRef, definition_of, find, versions};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::flow_table::FlowEntry;
use crate::spark::Spark;

impl Spark {
    /// The components of a flow with the fields that a tweak may set, of what runs; for a flow
    /// that no source has yet, of what was made here.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn flow_components(&self, id: FlowId) -> Result<Vec<ComponentFields>, DispatchError> {
        let _permit = self.admit()?;
        let context = self.context();
        match context.catalog.flow_entry(id) {
            Ok(entry) => Ok(fields(context, &entry).await?.to_vec()),
            Err(DispatchError::Conflict(_)) => {
                let all = versions(context, id).await?;
                let definition = definition_of(context, find(&all, &VersionRef::Current)?).await?;
                Ok(component::fields(&definition))
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks the tweaks of a run: that they name components and fields that there are, with values
/// that fit.
pub(crate) async fn check_tweaks(
    context: &Shared,
    id: FlowId,
    tweaks: &Value,
) -> Result<(), DispatchError> {
    let invalid = |error: component::BadTweaks| DispatchError::Invalid(error.to_string());
    let entry = context.catalog.flow_entry(id)?;
    component::check_tweaks(&entry.synced.components, tweaks).map_err(invalid)?;
    component::check_values(fields(context, &entry).await?, tweaks).map_err(invalid)
}

async fn fields<'a>(
    context: &Shared,
    entry: &'a FlowEntry,
) -> Result<&'a [ComponentFields], DispatchError> {
    if let Some(fields) = entry.known.fields.get() {
        return Ok(fields);
    }
    let definition = stored_definition(context, entry).await?;
    Ok(entry.known.fields.get_or_init(|| component::fields(&definition)))
}

/// The hash of what counts of the stored definition.
pub(super) async fn stored_hash<'a>(
    context: &Shared,
    entry: &'a FlowEntry,
) -> Result<&'a str, DispatchError> {
    if let Some(hash) = entry.known.content_hash.get() {
        return Ok(hash);
    }
    let definition = stored_definition(context, entry).await?;
    Ok(entry.known.content_hash.get_or_init(|| content_hash(&definition)))
}

/// The definition as it was last synced or pushed, masked.
pub(super) async fn stored_definition(
    context: &Shared,
    entry: &FlowEntry,
) -> Result<Value, DispatchError> {
    Ok(payload::load(context.log.as_ref(), &entry.synced.definition).await?)
}
