//! What the keeper of alerts does for somebody who waits: carries out commands, shows an alert,
//! seals secrets anew.

use spark_events::domain::alert::{
    Alert, AlertCommand, AlertEvent, AlertRejection, AlertSecrets, PreviousSecret,
};
use spark_events::domain::source::SealedKey;
use spark_events::limits::{ALERTS_MAX, READ_EVENTS_MAX};
use spark_events::log::Direction;
use spark_events::{AlertId, LogError, Metadata, Position, Revision};

use super::super::AlertsMessage;
use super::super::inbox::Inbox;
use super::super::pulse::Outcomes;
use super::{Keeper, live, missing, take};
use crate::aggregate::{Patience, Shell, ShellError};
use crate::error::DispatchError;
use crate::requests::{Done, Resealed};
use crate::seal::Purpose;

impl Keeper {
    /// Does what it is asked, where somebody still waits for it.
    pub(super) async fn asked(&mut self, message: AlertsMessage) {
        match message {
            AlertsMessage::Execute { id, command, metadata, reply } => {
                let Some(reply) = reply.begin() else { return };
                let _ = reply.send(self.change(id, *command, &metadata).await);
            }
            AlertsMessage::Look { id, reply } => {
                let Some(reply) = reply.begin() else { return };
                let found = live(&self.book, id).cloned();
                let _ = reply.send(found.ok_or_else(|| missing(id)));
            }
            AlertsMessage::Reseal { metadata, reply } => {
                let Some(reply) = reply.begin() else { return };
                let _ = reply.send(self.reseal(&metadata).await);
            }
            AlertsMessage::Stop => {}
        }
    }

    /// The same before the alerts are known: reads the one that it is about first. What is about
    /// all of them is laid aside.
    pub(super) async fn asked_early(&mut self, message: AlertsMessage, inbox: &mut Inbox) {
        let id = match &message {
            AlertsMessage::Execute { id, .. } | AlertsMessage::Look { id, .. } => *id,
            AlertsMessage::Reseal { .. } | AlertsMessage::Stop => return inbox.lay_aside(message),
        };
        match (self.learn_one(id).await, message) {
            (Ok(()), message) => self.asked(message).await,
            (Err(error), AlertsMessage::Execute { reply, .. }) => reply.refuse(error.into()),
            (Err(error), AlertsMessage::Look { reply, .. }) => reply.refuse(error.into()),
            (Err(_), AlertsMessage::Reseal { .. } | AlertsMessage::Stop) => {}
        }
    }

    /// Takes what the stream of an alert holds beyond what is known of it.
    async fn learn_one(&mut self, id: AlertId) -> Result<(), LogError> {
        let mut from = self.book.get(id).map_or(0, |(_, Revision(known))| known + 1);
        loop {
            let (log, stream) = (&self.context.log, id.stream());
            let read =
                log.read_stream(&stream, Some(Revision(from)), Direction::Forward, READ_EVENTS_MAX);
            let events = match read.await {
                Err(LogError::StreamNotFound(_)) => return Ok(()),
                read => read?,
            };
            for event in &events {
                take(&mut self.book, event);
            }
            if events.len() < READ_EVENTS_MAX {
                return Ok(());
            }
            from += events.len() as u64;
        }
    }

    async fn change(
        &mut self,
        id: AlertId,
        command: AlertCommand,
        metadata: &Metadata,
    ) -> Result<Option<Position>, DispatchError> {
        if matches!(command, AlertCommand::Create(_)) && self.book.live().count() >= ALERTS_MAX {
            return Err(DispatchError::Conflict(format!(
                "there are {ALERTS_MAX} alerts already; delete one first: automagik alert delete"
            )));
        }
        let changed = self.execute(id, command, metadata, Patience::FailFast).await;
        changed.map_err(|error| DispatchError::of(error, "alert", id))
    }

    /// Appends what a command leads to, and takes it into the book.
    pub(super) async fn execute(
        &mut self,
        id: AlertId,
        command: AlertCommand,
        metadata: &Metadata,
        patience: Patience,
    ) -> Result<Option<Position>, ShellError<AlertRejection>> {
        let (log, clock) = (self.context.log.clone(), self.context.clock.clone());
        let mut shell = Shell::<Alert>::new(log, clock, id.stream());
        if let Some((state, revision)) = self.book.get(id) {
            shell = shell.known(state.clone(), revision);
        } else {
            // Not there, or deleted: the stream knows which.
            shell.recover(patience).await?;
        }
        let executed = shell.execute(command, metadata, patience).await?;
        if let Some((position, revision)) = executed.position.zip(shell.revision()) {
            let before = self.book.get(id).map(|(state, _)| state);
            self.count(Outcomes::of(before.unwrap_or(&Alert::Absent), &executed.events));
            let starts = executed.events.iter().any(AlertEvent::starts);
            self.book.adopt(id, revision, position, starts, shell.state().clone());
        }
        Ok(executed.position)
    }

    fn count(&self, outcomes: Outcomes) {
        self.pulse.gave_up(outcomes.given_up);
        let meters = &self.context.telemetry.meters;
        meters.deliveries("delivered", outcomes.delivered);
        meters.deliveries("failed", outcomes.failed);
        meters.deliveries("given_up", outcomes.given_up);
    }

    async fn reseal(&mut self, metadata: &Metadata) -> Result<Done<Resealed>, DispatchError> {
        let alerts: Vec<(AlertId, String, AlertSecrets)> = self
            .book
            .live()
            .map(|(id, alert)| (id, alert.spec.name.clone(), alert.secrets.clone()))
            .collect();
        let mut done = Done { value: Resealed::default(), position: None };
        for (id, name, secrets) in alerts {
            if self.is_current(&secrets) {
                continue;
            }
            let Some(secrets) = self.sealed_anew(&secrets)? else {
                done.value.unreadable.push(format!("{name} (alert)"));
                continue;
            };
            let command = AlertCommand::Reseal(secrets);
            done.position = self.change(id, command, metadata).await?.or(done.position);
            done.value.resealed += 1;
        }
        Ok(done)
    }

    fn is_current(&self, secrets: &AlertSecrets) -> bool {
        let sealer = self.context.catalog.sealer();
        let current = |sealed: &SealedKey| sealer.is_current(Purpose::AlertSecret, sealed);
        current(&secrets.secret)
            && secrets.previous.as_ref().is_none_or(|previous| current(&previous.secret))
    }

    /// `None` where the secret that counts cannot be opened. The one before is dropped then.
    fn sealed_anew(&self, secrets: &AlertSecrets) -> Result<Option<AlertSecrets>, DispatchError> {
        let sealer = self.context.catalog.sealer();
        let again = |sealed: &SealedKey| {
            let secret = sealer.open_for(Purpose::AlertSecret, sealed);
            secret.map(|secret| sealer.seal_for(Purpose::AlertSecret, &secret)).transpose()
        };
        let Some(secret) = again(&secrets.secret)? else { return Ok(None) };
        let previous = match &secrets.previous {
            None => None,
            Some(before) => {
                again(&before.secret)?.map(|secret| PreviousSecret { secret, until: before.until })
            }
        };
        Ok(Some(AlertSecrets { secret, previous }))
    }
}
