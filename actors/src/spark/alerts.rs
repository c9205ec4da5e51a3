//! What can be asked about alerts.

use spark_events::codec::DomainEvent;
use spark_events::domain::alert::signature::SigningSecret;
use spark_events::domain::alert::{
    AlertCommand, AlertCreated, AlertEvent, AlertKind, AlertSpec, AlertUpdated, Attempted,
    NewMessage, test_body,
};
use spark_events::domain::source::SealedKey;
use spark_events::limits::{ALERT_SECRET_KEEP_MS_DEFAULT, NAME_BYTES_MAX};
use spark_events::log::Direction;
use spark_events::{AlertId, LogError, Position, Revision, ids};
use uuid::Uuid;

use super::Spark;
use crate::alerts::{check_url, send_by_hand};
use crate::error::DispatchError;
use crate::langflow::Secret;
use crate::requests::{Delivery, Done, NewAlert, NewAlertSecret, UpdateAlert, Who};
use crate::seal::{Purpose, random_bytes};

impl Spark {
    /// Makes an alert. Its secret is shown once, here.
    ///
    /// # Errors
    /// `Invalid` (URL), `Conflict` (too many), `Rejected`, `Unavailable`, `ShuttingDown`.
    pub async fn create_alert(
        &self,
        request: NewAlert,
        who: &Who,
    ) -> Result<Done<NewAlertSecret>, DispatchError> {
        let _permit = self.admit()?;
        let url = check_url(&request.url)?;
        let name = request.name.unwrap_or_else(|| host_of(&url));
        let (secret, sealed) = self.new_secret()?;
        let spec = AlertSpec {
            name,
            url,
            kinds: request.kinds.unwrap_or_else(AlertKind::usual),
            flow_id: request.flow_id,
            schedule_id: request.schedule_id,
            source_id: request.source_id,
        };
        let id = AlertId::random();
        let created = Box::new(AlertCreated { spec, secret: sealed });
        let position = self.alerts().execute(id, AlertCommand::Create(created), who).await?;
        Ok(Done { value: NewAlertSecret { id, secret }, position })
    }

    /// Changes what is named and leaves the rest as it is.
    ///
    /// # Errors
    /// `NotFound`, and as [`Self::create_alert`].
    pub async fn update_alert(
        &self,
        id: AlertId,
        request: UpdateAlert,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let patch = AlertUpdated {
            name: request.name,
            url: request.url.map(|url| check_url(&url)).transpose()?,
            kinds: request.kinds,
            flow_id: request.flow_id,
            schedule_id: request.schedule_id,
            source_id: request.source_id,
        };
        let command = AlertCommand::Update(Box::new(patch));
        let mut position = self.alerts().execute(id, command, who).await?;
        if let Some(enabled) = request.enabled {
            let command = if enabled { AlertCommand::Enable } else { AlertCommand::Disable };
            position = self.alerts().execute(id, command, who).await?.or(position);
        }
        Ok(Done { value: (), position })
    }

    /// Deletes an alert; messages that were not delivered are given up.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn delete_alert(&self, id: AlertId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let position = self.alerts().execute(id, AlertCommand::Delete, who).await?;
        Ok(Done { value: (), position })
    }

    /// Gives an alert a new secret, shown once, here. Messages are signed with the one before too
    /// for so long ([`ALERT_SECRET_KEEP_MS_DEFAULT`] when absent; 0: no more).
    ///
    /// # Errors
    /// `NotFound`, `Rejected` (too long), `Unavailable`, `ShuttingDown`.
    pub async fn rotate_alert_secret(
        &self,
        id: AlertId,
        keep_ms: Option<u64>,
        who: &Who,
    ) -> Result<Done<NewAlertSecret>, DispatchError> {
        let _permit = self.admit()?;
        let (secret, sealed) = self.new_secret()?;
        let keep_ms = keep_ms.unwrap_or(ALERT_SECRET_KEEP_MS_DEFAULT);
        let command = AlertCommand::RotateSecret { secret: sealed, keep_ms };
        let position = self.alerts().execute(id, command, who).await?;
        Ok(Done { value: NewAlertSecret { id, secret }, position })
    }

    /// Sends a test message now, also where the alert is disabled, and records what came of it. A
    /// receiver that does not take it is no error.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn test_alert(
        &self,
        id: AlertId,
        who: &Who,
    ) -> Result<Done<Delivery>, DispatchError> {
        let _permit = self.admit()?;
        let alert = self.alerts().look(id).await?;
        let message = NewMessage {
            message_id: id.message(ids::new_uuid()),
            kind: AlertKind::Test,
            count: 1,
            through: Position::START,
            body: test_body(id, &alert.spec.name, self.clock().now()),
        };
        let body = message.body.clone();
        let attempted = send_by_hand(self.alerts(), &alert, message.message_id, &body).await;
        let delivery = Delivery::of(&attempted);
        let command = AlertCommand::RecordTest { message: Box::new(message), attempted };
        let position = self.alerts().execute(id, command, who).await?;
        Ok(Done { value: delivery, position })
    }

    /// Sends a message again, now: that which was raised by the event with this revision. A
    /// receiver that does not take it is no error.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn resend_alert(
        &self,
        id: AlertId,
        raised: Revision,
        who: &Who,
    ) -> Result<Done<Delivery>, DispatchError> {
        let _permit = self.admit()?;
        let alert = self.alerts().look(id).await?;
        let (message_id, body) = self.message_at(id, raised).await?;
        let attempted: Attempted = send_by_hand(self.alerts(), &alert, message_id, &body).await;
        let delivery = Delivery::of(&attempted);
        let command = AlertCommand::RecordAttempt(attempted);
        let position = self.alerts().execute(id, command, who).await?;
        Ok(Done { value: delivery, position })
    }

    async fn message_at(
        &self,
        id: AlertId,
        raised: Revision,
    ) -> Result<(Uuid, serde_json::Value), DispatchError> {
        let missing =
            || DispatchError::NotFound { kind: "delivery", id: format!("{id} {}", raised.0) };
        let stream = id.stream();
        let read = self.log().read_stream(&stream, Some(raised), Direction::Forward, 1).await;
        let events = read.map_err(|error| match error {
            LogError::StreamNotFound(_) => missing(),
            other => other.into(),
        })?;
        let event = events.first().ok_or_else(missing)?;
        match AlertEvent::from_recorded(event)? {
            AlertEvent::Raised(raised) => Ok((raised.message_id, raised.body)),
            _ => Err(missing()),
        }
    }

    /// A new secret, in the clear and sealed.
    fn new_secret(&self) -> Result<(String, SealedKey), DispatchError> {
        let secret = SigningSecret::of(random_bytes()).reveal();
        let sealer = self.context().catalog.sealer();
        let sealed = sealer.seal_for(Purpose::AlertSecret, &Secret::new(secret.clone()))?;
        Ok((secret, sealed))
    }
}

/// The host of a URL, as the name of an alert that was given none. Of a long one its start.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    // A host that was parsed has one byte for each character.
    host.chars().take(NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_however_long_it_is() {
        assert_eq!(host_of("https://example.org:8443/hook?token=t"), "example.org:8443");
        assert_eq!(host_of(&format!("https://{}/", "a.".repeat(300))).len(), NAME_BYTES_MAX);
    }
}
