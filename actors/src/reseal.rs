//! A new sealing key, and every source's API key and every alert's secret sealed anew with it. The key before it is kept in
//! a file of its own until all of them are: a process that dies in the middle loses none, and
//! asking again goes on where it ended.

use spark_events::SourceId;
use spark_events::domain::source::{SealedKey, SourceAdded, SourceCommand, SourceUpdated};

use crate::context::Shared;
use crate::error::DispatchError;
use crate::requests::{Done, Resealed, Who};
use crate::seal::{Purpose, Sealer};
use crate::sources::change_source;
use crate::spark::Spark;

impl Spark {
    /// Replaces the sealing key and seals every source's API key and every alert's secret anew. Both
    /// keep working throughout. What the new key makes unreadable is only what events of the past hold.
    ///
    /// # Errors
    /// `Internal` when the key's file cannot be written; `Unavailable`, `ShuttingDown`. Asking again
    /// is safe and finishes what was begun.
    pub async fn reseal_sources(&self, who: &Who) -> Result<Done<Resealed>, DispatchError> {
        let _permit = self.admit()?;
        let keeper = self.source_keeper();
        let _alone = keeper.alone().await;
        let context = self.context();
        let sealer = context.catalog.sealer();
        let file = |error: std::io::Error| {
            DispatchError::Internal(format!("the sealing key cannot be replaced: {error}"))
        };
        sealer.begin_rotation().map_err(file)?;
        let mut done = Done { value: Resealed::default(), position: None };
        for (id, source) in context.catalog.sources() {
            match reseal(context, sealer, id, source, who).await? {
                Outcome::Untouched => {}
                Outcome::Unreadable(name) => done.value.unreadable.push(name),
                Outcome::Resealed(position) => {
                    done.value.resealed += 1;
                    done.position = position.or(done.position);
                }
            }
        }
        let alerts = self.alerts().reseal(who).await?;
        done.value.resealed += alerts.value.resealed;
        done.value.unreadable.extend(alerts.value.unreadable);
        done.position = alerts.position.or(done.position);
        done.value.unreadable.sort();
        sealer.end_rotation().map_err(file)?;
        Ok(done)
    }
}

enum Outcome {
    Untouched,
    Unreadable(String),
    Resealed(Option<spark_events::Position>),
}

async fn reseal(
    context: &Shared,
    sealer: &Sealer,
    id: SourceId,
    source: SourceAdded,
    who: &Who,
) -> Result<Outcome, DispatchError> {
    let Some(sealed) = source.api_key else { return Ok(Outcome::Untouched) };
    if sealer.is_current(Purpose::SourceKey, &sealed) {
        return Ok(Outcome::Untouched);
    }
    let Some(key) = sealer.open_key(&sealed) else {
        return Ok(Outcome::Unreadable(source.name));
    };
    let api_key: Option<SealedKey> = Some(sealer.seal(&key)?);
    let command = SourceCommand::Update(SourceUpdated { api_key, ..SourceUpdated::default() });
    change_source(context, id, command, who).await.map(Outcome::Resealed)
}
