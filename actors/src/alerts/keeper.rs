//! The keeper of the book of alerts: reads the log, appends what follows, sends, and does what it is
//! asked to (`orders.rs`). The only writer of alerts' streams while the process lives.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spark_events::clock::ms_between;
use spark_events::domain::alert::{
    AlertBook, AlertCommand, AlertRejection, Attempted, LiveAlert, Raising,
};
use spark_events::limits::{
    ALERT_DRAIN_MS_MAX, ALERT_KEEP_EVENTS_MAX, ALERT_SENDS_EACH_MAX, ALERT_SENDS_MAX,
    TIMER_AHEAD_MS_MAX,
};
use spark_events::log::SubscriptionItem;
use spark_events::log::catch_up::CatchUp;
use spark_events::{AlertId, LogError, Metadata, Position, RecordedEvent, Revision, Timestamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::AlertsMessage;
use super::causes::{LookError, look_at, take_alert};
use super::inbox::Inbox;
use super::place::Place;
use super::pulse::Pulse;
use super::send::Sending;
use crate::aggregate::{Patience, ShellError};
use crate::context::Shared;
use crate::error::DispatchError;
use crate::requests::Who;

mod orders;

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
    pulse: Arc<Pulse>,
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
    pub(super) fn new(
        context: Shared,
        http: reqwest::Client,
        path: PathBuf,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            context,
            http,
            path,
            pulse,
            book: AlertBook::default(),
            unkept: 0,
            caught_up: false,
            sends: JoinSet::new(),
            sending: HashSet::new(),
        }
    }

    /// Keeps the book until it is to stop or the log is closed.
    ///
    /// # Errors
    /// What keeps it from going on; it is to be begun again from the log.
    pub(super) async fn run(self, inbox: &mut Inbox) -> Result<(), LogError> {
        match self.follow(inbox).await {
            Err(LogError::Closed) => Ok(()),
            ended => ended,
        }
    }

    async fn follow(mut self, inbox: &mut Inbox) -> Result<(), LogError> {
        let place = self.place().await;
        self.book = place.book;
        if let Flow::Ended = self.learn(place.position, inbox).await? {
            return Ok(());
        }
        let mut log = CatchUp::new(self.context.log.clone(), place.position);
        let mut again_at = None;
        // Whether something happened since it was asked what is due.
        let mut fresh = true;
        loop {
            if self.caught_up && std::mem::take(&mut fresh) {
                again_at = self.act().await?;
            }
            self.pulse.waits(&self.book);
            let pause = again_at.map(|at| self.until(at));
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = inbox.next() => match message {
                    None | Some(AlertsMessage::Stop) => break,
                    Some(message) => {
                        self.asked(message).await;
                        fresh = true;
                    }
                },
                item = log.next() => match self.heard(item)? {
                    Some(SubscriptionItem::Events(events)) => {
                        fresh |= self.look(&events).await?;
                        self.book.looked(log.position());
                        self.keep_now_and_then(log.position()).await;
                    }
                    Some(SubscriptionItem::CaughtUp) => {
                        self.caught_up = true;
                        fresh = true;
                        self.keep_now_and_then(log.position()).await;
                    }
                    None => {}
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
        self.keep(log.position()).await;
        Ok(())
    }

    /// Where to begin.
    async fn place(&self) -> Place {
        let kept = Place::read(self.path.clone()).await;
        // One that is ahead of the log is of another log, such as the one before a backup came back.
        let head = self.context.log.head().await;
        let kept = kept.filter(|place| head.is_ok_and(|head| place.position <= head));
        kept.unwrap_or_default()
    }

    /// What the log said; `None` where it could not be followed for a moment.
    ///
    /// # Errors
    /// `Closed`.
    fn heard(
        &self,
        item: Result<SubscriptionItem, LogError>,
    ) -> Result<Option<SubscriptionItem>, LogError> {
        self.pulse.follows(item.as_ref().err());
        match item {
            Ok(item) => Ok(Some(item)),
            Err(LogError::Closed) => Err(LogError::Closed),
            Err(error) => {
                tracing::error!(%error, "alerts cannot follow the event log");
                Ok(None)
            }
        }
    }

    /// Reads the events of alerts to the end of the log, so that whatever is looked at afterwards
    /// meets the alerts as they are, and what is told already is known. Whoever asks for something
    /// meanwhile does not wait for the end.
    async fn learn(&mut self, from: Position, inbox: &mut Inbox) -> Result<Flow, LogError> {
        let mut log = CatchUp::new(self.context.log.clone(), from);
        loop {
            tokio::select! {
                message = inbox.next_new() => match message {
                    None | Some(AlertsMessage::Stop) => return Ok(Flow::Ended),
                    Some(message) => self.asked_early(message, inbox).await,
                },
                item = log.next() => match self.heard(item)? {
                    Some(SubscriptionItem::CaughtUp) => return Ok(Flow::On),
                    Some(SubscriptionItem::Events(events)) => {
                        let of_alerts =
                            events.iter().filter(|e| e.stream.category() == AlertId::CATEGORY);
                        for event in of_alerts {
                            take(&mut self.book, event);
                        }
                    }
                    None => {}
                },
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
                Err(LookError::Log(LogError::Closed)) => return Err(LogError::Closed),
                // What belongs to it is damaged. That keeps nobody from being told of the rest.
                Err(error) => unreadable(event, &error),
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
            // Neither damage nor size will be better the next time.
            Err(ShellError::Log(error)) if !is_lasting(&error) => return Err(error),
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

    async fn keep_now_and_then(&mut self, position: Position) {
        if self.caught_up && self.unkept >= ALERT_KEEP_EVENTS_MAX {
            self.keep(position).await;
        }
    }

    async fn keep(&mut self, position: Position) {
        // Before that the book tells of a place in between.
        if !self.caught_up {
            return;
        }
        Place { position, book: self.book.clone() }.keep(self.path.clone()).await;
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

/// Whether it comes again however often the same is tried.
fn is_lasting(error: &LogError) -> bool {
    matches!(error, LogError::Corrupt { .. } | LogError::TooLarge { .. })
}

/// Takes an event of an alert into the book; one that cannot be read is passed over.
fn take(book: &mut AlertBook, event: &RecordedEvent) {
    if let Err(error) = take_alert(book, event) {
        unreadable(event, &error);
    }
}
