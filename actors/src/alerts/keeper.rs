//! The keeper of the book of alerts: reads the log, appends what follows, sends, and does what it is
//! asked to. The only writer of alerts' streams while the process lives.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spark_events::clock::ms_between;
use spark_events::domain::alert::{
    Alert, AlertBook, AlertCommand, AlertEvent, AlertRejection, AlertSecrets, Attempted, LiveAlert,
    PreviousSecret, Raising,
};
use spark_events::domain::source::SealedKey;
use spark_events::limits::{
    ALERT_DRAIN_MS_MAX, ALERT_KEEP_EVENTS_MAX, ALERT_SENDS_EACH_MAX, ALERT_SENDS_MAX, ALERTS_MAX,
    TIMER_AHEAD_MS_MAX,
};
use spark_events::log::SubscriptionItem;
use spark_events::log::catch_up::CatchUp;
use spark_events::{AlertId, LogError, Metadata, Position, RecordedEvent, Revision, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::AlertsMessage;
use super::causes::{LookError, look_at, take_alert};
use super::send::Sending;
use crate::aggregate::{Patience, Shell, ShellError};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::kept::Kept;
use crate::requests::{Done, Resealed, Who};
use crate::seal::Purpose;

/// The format is raised with every change of the book.
const FILE: Kept = Kept { magic: b"SPKALERT", format: 1, what: "the file of alerts" };

/// The book, and how far in the log it stands.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    position: Position,
    book: AlertBook,
}

/// What came of sending a message of an alert.
type Sent = (AlertId, Attempted);

/// Whether to go on.
enum Flow {
    On,
    Ended,
}

pub(super) struct Keeper {
    context: Shared,
    http: reqwest::Client,
    path: PathBuf,
    book: AlertBook,
    /// Events looked at since the place was kept.
    unkept: u64,
    /// Whether everything that was in the log at the start was looked at. Before that a message
    /// may look as if it was not delivered.
    caught_up: bool,
    sends: JoinSet<Sent>,
    sending: HashSet<(AlertId, Uuid)>,
}

impl Keeper {
    pub(super) fn new(context: Shared, http: reqwest::Client, path: PathBuf) -> Self {
        Self {
            context,
            http,
            path,
            book: AlertBook::default(),
            unkept: 0,
            caught_up: false,
            sends: JoinSet::new(),
            sending: HashSet::new(),
        }
    }

    pub(super) async fn run(mut self, commands: &mut mpsc::Receiver<AlertsMessage>) {
        let kept = FILE.read(&self.path).and_then(|bytes| {
            let place = serde_json::from_slice::<Place>(&bytes).ok();
            if place.is_none() {
                FILE.discarded(&self.path);
            }
            place
        });
        // One that is ahead of the log is of another log, such as the one before a backup came back.
        let head = self.context.log.head().await;
        let kept = kept.filter(|place| head.is_ok_and(|head| place.position <= head));
        let place = kept.unwrap_or_default();
        self.book = place.book;
        if let Flow::Ended = self.learn(place.position).await {
            return;
        }
        let mut log = CatchUp::new(self.context.log.clone(), place.position);
        let mut again_at = None;
        // Whether something happened since it was asked what is due.
        let mut fresh = true;
        loop {
            if self.caught_up && std::mem::take(&mut fresh) {
                match self.act().await {
                    Ok(at) => again_at = at,
                    Err(error) => return self.give_up(&error),
                }
            }
            let pause = again_at.map(|at| self.until(at));
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = commands.recv() => match message {
                    None | Some(AlertsMessage::Stop) => break,
                    Some(message) => {
                        self.asked(message).await;
                        fresh = true;
                    }
                },
                item = log.next() => match item {
                    Ok(SubscriptionItem::Events(events)) => {
                        match self.look(&events).await {
                            Ok(news) => fresh |= news,
                            Err(error) => return self.give_up(&error),
                        }
                        self.keep_now_and_then(log.position());
                    }
                    Ok(SubscriptionItem::CaughtUp) => {
                        self.caught_up = true;
                        fresh = true;
                        self.keep_now_and_then(log.position());
                    }
                    Err(LogError::Closed) => return,
                    Err(error) => tracing::error!(%error, "alerts cannot follow the event log"),
                },
                Some(sent) = self.sends.join_next() => {
                    if let Ok(sent) = sent {
                        self.record(sent).await;
                    }
                    fresh = true;
                }
                () = timer => fresh = true,
            }
        }
        self.drain().await;
        self.keep(log.position());
    }

    fn give_up(&self, error: &LogError) {
        if *error != LogError::Closed {
            tracing::error!(%error, "alerts cannot go on");
        }
    }

    /// Reads the events of alerts to the end of the log, so that whatever is looked at afterwards
    /// meets the alerts as they are, and what is told already is known.
    async fn learn(&mut self, from: Position) -> Flow {
        let mut log = CatchUp::new(self.context.log.clone(), from);
        loop {
            match log.next().await {
                Ok(SubscriptionItem::CaughtUp) => return Flow::On,
                Ok(SubscriptionItem::Events(events)) => {
                    for event in events.iter().filter(|e| e.stream.category() == AlertId::CATEGORY)
                    {
                        if let Err(error) = take_alert(&mut self.book, event) {
                            unreadable(event, &error);
                        }
                    }
                }
                Err(LogError::Closed) => return Flow::Ended,
                Err(error) => tracing::error!(%error, "alerts cannot follow the event log"),
            }
        }
    }

    /// Looks at events; says whether something is to be told, or an alert was changed.
    async fn look(&mut self, events: &[RecordedEvent]) -> Result<bool, LogError> {
        self.unkept += events.len() as u64;
        let mut news = false;
        for event in events {
            match look_at(&self.context, &mut self.book, event).await {
                Ok(None) => {}
                Ok(Some(cause)) => {
                    self.book.happened(&cause);
                    news = true;
                }
                Err(LookError::Log(error)) => return Err(error),
                Err(LookError::Codec(error)) => unreadable(event, &error),
            }
        }
        Ok(news)
    }

    /// Raises and sends what is due; says when to ask again.
    async fn act(&mut self) -> Result<Option<Timestamp>, LogError> {
        loop {
            let now = self.context.clock.now();
            let due = self.book.due(now);
            if due.raise.is_empty() {
                self.send(due.send, now);
                return Ok(due.again_at);
            }
            for raising in due.raise {
                self.raise(raising).await?;
            }
        }
    }

    async fn raise(&mut self, raising: Raising) -> Result<(), LogError> {
        let Raising { alert, message } = raising;
        let (kind, count) = (message.kind, message.count);
        let metadata = about_message(message.message_id);
        let command = AlertCommand::Raise(Box::new(message));
        match self.execute(alert, command, &metadata, Patience::WaitOut).await {
            Ok(_) => {}
            Err(ShellError::Log(error)) => return Err(error),
            // Another kind took the last place a moment ago; it waits on.
            Err(ShellError::Rejected(AlertRejection::TooManyOpen)) => return Ok(()),
            Err(error) => tracing::error!(%alert, %error, "a message could not be raised"),
        }
        // Also where it can never be raised, so that it is not tried for ever.
        self.book.told(alert, kind, count);
        Ok(())
    }

    fn send(&mut self, due: Vec<(AlertId, Uuid)>, now: Timestamp) {
        let mut each: BTreeMap<AlertId, usize> = BTreeMap::new();
        for (alert, _) in &self.sending {
            *each.entry(*alert).or_default() += 1;
        }
        for (id, message_id) in due {
            let of_this = each.entry(id).or_default();
            if self.sending.len() >= ALERT_SENDS_MAX {
                return;
            }
            if *of_this >= ALERT_SENDS_EACH_MAX || self.sending.contains(&(id, message_id)) {
                continue;
            }
            let Some(alert) = live(&self.book, id) else { continue };
            let Some(open) = alert.open.get(&message_id) else { continue };
            let sealer = self.context.catalog.sealer();
            let sending = Sending::new(sealer, alert, message_id, &open.body, now);
            let http = self.http.clone();
            *of_this += 1;
            self.sending.insert((id, message_id));
            self.sends.spawn(async move { (id, sending.send(&http, now, false).await) });
        }
    }

    /// Records what came of a message.
    async fn record(&mut self, (id, attempted): Sent) {
        let message_id = attempted.message_id;
        if let Some(error) = &attempted.error {
            tracing::warn!(alert = %id, %message_id, error, "a message was not delivered");
        }
        let metadata = about_message(message_id);
        let command = AlertCommand::RecordAttempt(attempted);
        let recorded = self.execute(id, command, &metadata, Patience::WaitOut).await;
        if let Err(error) = recorded {
            tracing::debug!(alert = %id, %error, "what came of a message was not recorded");
        }
        self.sending.remove(&(id, message_id));
    }

    async fn asked(&mut self, message: AlertsMessage) {
        match message {
            AlertsMessage::Execute { id, command, metadata, reply } => {
                let _ = reply.send(self.change(id, *command, &metadata).await);
            }
            AlertsMessage::Look { id, reply } => {
                let found = live(&self.book, id).cloned();
                let _ = reply.send(found.ok_or_else(|| missing(id)));
            }
            AlertsMessage::Reseal { metadata, reply } => {
                let _ = reply.send(self.reseal(&metadata).await);
            }
            AlertsMessage::Stop => {}
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
    async fn execute(
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
            let starts = executed
                .events
                .iter()
                .any(|event| matches!(event, AlertEvent::Created(_) | AlertEvent::Enabled(_)));
            let state = shell.state().clone();
            self.book.adopt(id, revision, starts.then_some(position), state);
        }
        Ok(executed.position)
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

    /// Lets what is being sent end, bounded.
    async fn drain(&mut self) {
        let limit = Duration::from_millis(ALERT_DRAIN_MS_MAX);
        let drained = tokio::time::timeout(limit, async {
            while let Some(sent) = self.sends.join_next().await {
                if let Ok(sent) = sent {
                    self.record(sent).await;
                }
            }
        });
        if drained.await.is_err() {
            tracing::info!("messages that are being sent are sent again after the next start");
        }
    }

    /// How long until an instant; at most so long that a clock that was set is noticed.
    fn until(&self, at: Timestamp) -> Duration {
        let ms = ms_between(self.context.clock.now(), at);
        Duration::from_millis(ms.clamp(1, TIMER_AHEAD_MS_MAX))
    }

    fn keep_now_and_then(&mut self, position: Position) {
        if self.caught_up && self.unkept >= ALERT_KEEP_EVENTS_MAX {
            self.keep(position);
        }
    }

    fn keep(&mut self, position: Position) {
        // Before that the book tells of a place in between.
        if !self.caught_up {
            return;
        }
        let place = Place { position, book: self.book.clone() };
        match serde_json::to_vec(&place) {
            Ok(bytes) => FILE.write(&self.path, &bytes),
            Err(error) => tracing::warn!(%error, "the place of alerts in the log is not kept"),
        }
        self.unkept = 0;
    }
}

fn live(book: &AlertBook, id: AlertId) -> Option<&LiveAlert> {
    book.get(id).and_then(|(state, Revision(_))| state.live().ok())
}

fn missing(id: AlertId) -> DispatchError {
    DispatchError::NotFound { kind: "alert", id: id.to_string() }
}

/// Everything about a message belongs together.
fn about_message(message_id: Uuid) -> Metadata {
    Who { request_id: message_id, ..Who::system() }.metadata()
}

fn unreadable(event: &RecordedEvent, error: &dyn std::fmt::Display) {
    tracing::error!(position = %event.position, %error, "alerts pass over an event they cannot read");
}
