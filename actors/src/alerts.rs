//! Alerts: follows the log, raises messages about what alerts are to tell of, and sends them until
//! they are delivered or given up. One task keeps the book (`spark_events::domain::alert`) and
//! is the only writer of alerts' streams; nobody on the way of a task waits for it.
//!
//! Nothing is lost: what is to be told follows from the log. A message is recorded with all that
//! is sent before it is sent, and its delivery after it. A process that dies in between sends it
//! again, under the same id. How far the log was looked at is kept in a file that can be thrown
//! away; then the whole log is looked at again, and what is told already is not told twice.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use spark_events::domain::alert::{AlertCommand, Attempted, LiveAlert};
use spark_events::limits::{
    ALERT_COMMANDS_MAX, ALERT_DRAIN_MS_MAX, CRASH_BACKOFF_MS_MAX, LOG_RETRY_MS_MAX,
};
use spark_events::{AlertId, Metadata, Position};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::context::Shared;
use crate::error::DispatchError;
use crate::requests::{Done, Resealed, Who};
use crate::supervision::crash_backoff;

mod causes;
mod inbox;
mod keeper;
mod place;
mod pulse;
mod question;
mod send;

use inbox::Inbox;
use keeper::Keeper;
pub use pulse::AlertsHealth;
use pulse::Pulse;
use question::{Reply, question};
use send::Sending;
pub(crate) use send::check_url;

/// What the keeper of the book is told.
enum AlertsMessage {
    /// Do this for somebody who waits.
    Execute {
        id: AlertId,
        command: Box<AlertCommand>,
        metadata: Metadata,
        reply: Reply<Option<Position>>,
    },
    /// How an alert is.
    Look { id: AlertId, reply: Reply<LiveAlert> },
    /// Seal all secrets with the current sealing key.
    Reseal { metadata: Metadata, reply: Reply<Done<Resealed>> },
    /// Let what is being sent end, and end.
    Stop,
}

/// The handle to the keeper of the book.
pub(crate) struct Alerts {
    context: Shared,
    http: reqwest::Client,
    commands: mpsc::Sender<AlertsMessage>,
    pulse: Arc<Pulse>,
    // A std lock: it is held to take the handle out, never across an await.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Alerts {
    /// Begins to follow the log. `path` is where its place is kept.
    pub(crate) fn start(context: Shared, http: reqwest::Client, path: PathBuf) -> Self {
        let (commands, received) = mpsc::channel(ALERT_COMMANDS_MAX);
        let pulse = Arc::<Pulse>::default();
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and ended by `stop`")]
        let keeper = tokio::spawn(keep(
            context.clone(),
            http.clone(),
            path,
            Arc::clone(&pulse),
            Inbox::new(received),
        ));
        Self { context, http, commands, pulse, keeper: Mutex::new(Some(keeper)) }
    }

    /// How alerts are doing. Waits for nobody.
    pub(crate) fn health(&self) -> AlertsHealth {
        self.pulse.health()
    }

    /// Ends in order, bounded: what is being sent may end, and is recorded.
    pub(crate) async fn stop(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut keeper) = keeper else { return };
        let limit = Duration::from_millis(ALERT_DRAIN_MS_MAX + LOG_RETRY_MS_MAX);
        let ended = tokio::time::timeout(limit, async {
            let _ = self.commands.send(AlertsMessage::Stop).await;
            let _ = (&mut keeper).await;
        });
        if ended.await.is_err() {
            // What was being sent is sent again after the next start.
            keeper.abort();
        }
    }

    /// Executes a command.
    pub(crate) async fn execute(
        &self,
        id: AlertId,
        command: AlertCommand,
        who: &Who,
    ) -> Result<Option<Position>, DispatchError> {
        let (command, metadata) = (Box::new(command), who.metadata());
        self.ask(|reply| AlertsMessage::Execute { id, command, metadata, reply }).await
    }

    /// An alert as it is.
    pub(crate) async fn look(&self, id: AlertId) -> Result<LiveAlert, DispatchError> {
        self.ask(|reply| AlertsMessage::Look { id, reply }).await
    }

    /// Seals all secrets with the current sealing key.
    pub(crate) async fn reseal(&self, who: &Who) -> Result<Done<Resealed>, DispatchError> {
        let metadata = who.metadata();
        self.ask(|reply| AlertsMessage::Reseal { metadata, reply }).await
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(Reply<T>) -> AlertsMessage,
    ) -> Result<T, DispatchError> {
        let (reply, asked) = question();
        self.commands.try_send(message(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DispatchError::Overloaded { what: "alerts" },
            mpsc::error::TrySendError::Closed(_) => DispatchError::ShuttingDown,
        })?;
        asked.answered(&self.context.log).await
    }
}

/// Sends a message for somebody who waits for what comes of it. Records nothing.
pub(crate) async fn send_by_hand(
    alerts: &Alerts,
    alert: &LiveAlert,
    message_id: Uuid,
    body: &Value,
) -> Attempted {
    let now = alerts.context.clock.now();
    let sealer = alerts.context.catalog.sealer();
    let sending = Sending::new(sealer, alert, message_id, body, now);
    sending.send(&alerts.http, now, true).await
}

/// Keeps the book until it is told to stop. A panic, or a log that does what it should not, is
/// counted, and the book begun again from the log after a pause, as an actor would be.
async fn keep(
    context: Shared,
    http: reqwest::Client,
    path: PathBuf,
    pulse: Arc<Pulse>,
    mut inbox: Inbox,
) {
    let mut crashes = 0;
    loop {
        let began = Instant::now();
        let keeper = Keeper::new(context.clone(), http.clone(), path.clone(), Arc::clone(&pulse));
        pulse.runs(true);
        let kept = AssertUnwindSafe(Box::pin(keeper.run(&mut inbox))).catch_unwind().await;
        pulse.runs(false);
        let what = match kept {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("the keeper of alerts: {error}"),
            Err(_) => "the keeper of alerts".to_owned(),
        };
        context.crashes.record(what);
        // What went well for longer than the longest pause does not crash in a row.
        let went_well = began.elapsed() > Duration::from_millis(CRASH_BACKOFF_MS_MAX);
        crashes = if went_well { 1 } else { crashes + 1 };
        if tokio::time::timeout(crash_backoff(crashes), inbox.stopped()).await.is_ok() {
            return;
        }
    }
}
