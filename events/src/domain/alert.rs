//! An alert: where messages about failures are sent, and about which ones.
//!
//! A message is raised (recorded with all that is sent), then sent until it is delivered or given
//! up. Within [`limits::ALERT_WINDOW_MS`] at most [`limits::ALERT_WINDOW_MESSAGES_MAX`] messages of
//! one kind are raised; what comes beyond is gathered into one message (see [`LiveAlert::next`]).
//! `through` of the newest message of a kind says up to where in the log everything of that kind is
//! told, so that nothing is told twice and nothing is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Aggregate;
use crate::clock::{Timestamp, ms_between, plus_ms};
use crate::ids::AlertId;
use crate::limits;
use crate::log::Position;

mod book;
mod cause;
mod command;
mod events;
mod kind;
mod message;
pub mod signature;
#[cfg(test)]
mod tests;

pub use book::{AlertBook, Due, Raising};
pub use cause::*;
pub use command::*;
pub use events::*;
pub use kind::*;
pub use message::test_body;

/// The status that a receiver answers with where it wants no more messages, ever.
const GONE: u16 = 410;

/// An alert: its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Alert {
    /// Before its first event.
    #[default]
    Absent,
    /// There.
    Live(Box<LiveAlert>),
    /// Deleted.
    Deleted,
}

/// An alert that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveAlert {
    /// Where messages go, and about what.
    pub spec: AlertSpec,
    /// What they are signed with.
    pub secrets: AlertSecrets,
    /// Whether it tells of anything.
    pub enabled: bool,
    /// Messages that were raised and not delivered.
    pub open: BTreeMap<Uuid, OpenMessage>,
    progress: BTreeMap<AlertKind, Progress>,
}

/// A message that was raised and not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenMessage {
    /// What it is about.
    pub kind: AlertKind,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the next one is due.
    pub next_at: Timestamp,
    /// What is sent.
    pub body: Value,
}

impl OpenMessage {
    /// Whether it is to be sent now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        // A wait that no pause explains is left by a clock that was set back.
        let longest = if self.attempts == 0 { 0 } else { limits::ALERT_PAUSE_MS_MAX };
        self.next_at <= now || ms_between(now, self.next_at) > longest
    }
}

/// How far the things of one kind are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    through: Position,
    /// When the span of counting began.
    opened_at: Option<Timestamp>,
    /// Messages raised in it.
    raised: u32,
}

/// What is to be done with things that wait to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing now.
    Nothing,
    /// Nothing before this instant.
    NotBefore(Timestamp),
    /// Tell the first of them by itself.
    One,
    /// Tell all of them in one message.
    All,
}

impl Progress {
    fn window_ends_at(&self) -> Option<Timestamp> {
        self.opened_at.map(|opened| plus_ms(opened, limits::ALERT_WINDOW_MS))
    }

    fn is_over(&self, now: Timestamp) -> bool {
        // A window of the future is left by a clock that was set back.
        self.opened_at.is_none_or(|opened| now < opened)
            || self.window_ends_at().is_some_and(|ends| now >= ends)
    }
}

impl LiveAlert {
    /// Up to where in the log everything of this kind is told.
    #[must_use]
    pub fn through(&self, kind: AlertKind) -> Position {
        self.progress.get(&kind).map_or(Position::START, |progress| progress.through)
    }

    /// What to do while so many things of a kind wait. Few are told one by one, as long as the
    /// span of counting has room; many, or what the span had no room for, at once.
    #[must_use]
    pub fn next(&self, kind: AlertKind, waiting: u64, now: Timestamp) -> Next {
        if waiting == 0 || !self.enabled || self.open.len() >= limits::ALERT_OPEN_MAX {
            return Next::Nothing;
        }
        let few = waiting <= u64::from(limits::ALERT_WINDOW_MESSAGES_MAX);
        let Some(progress) = self.progress.get(&kind).filter(|progress| !progress.is_over(now))
        else {
            return if few { Next::One } else { Next::All };
        };
        if few && progress.raised < limits::ALERT_WINDOW_MESSAGES_MAX {
            return Next::One;
        }
        progress.window_ends_at().map_or(Next::Nothing, Next::NotBefore)
    }

    fn raised(&mut self, raised: &AlertRaised) {
        let (kind, at) = (raised.kind, raised.at);
        let body = raised.body.clone();
        self.open.insert(raised.message_id, OpenMessage { kind, attempts: 0, next_at: at, body });
        if kind == AlertKind::Test {
            return;
        }
        let progress = self.progress.entry(kind).or_default();
        progress.through = raised.through.max(progress.through);
        if progress.is_over(at) {
            progress.opened_at = Some(at);
            progress.raised = 0;
        }
        // After many at once the next ones wait for the end of the span too.
        let counts = if raised.count > 1 { limits::ALERT_WINDOW_MESSAGES_MAX } else { 1 };
        progress.raised = progress.raised.saturating_add(counts);
    }

    /// What an attempt leads to.
    fn attempted(&self, attempted: Attempted, now: Timestamp) -> Vec<AlertEvent> {
        let Attempted { message_id, answer, error, by_hand, .. } = attempted;
        let open = self.open.get(&message_id);
        let attempt = open.filter(|_| !by_hand).map(|open| open.attempts.saturating_add(1));
        let Some(error) = error else {
            return vec![AlertEvent::Delivered(AlertDelivered { message_id, attempt, answer })];
        };
        let gone = answer.status == Some(GONE);
        let next_at = match (attempt, open) {
            _ if gone || !self.enabled => None,
            (Some(attempt), _) => pause_ms(attempt, attempted.retry_after_ms, attempted.jitter_ppm)
                .map(|ms| plus_ms(now, ms)),
            (None, open) => open.map(|open| open.next_at),
        };
        let failed = AlertDeliveryFailed { message_id, attempt, answer, error, next_at };
        let mut events = vec![AlertEvent::DeliveryFailed(failed)];
        if gone && self.enabled {
            let others = self.open.keys().filter(|id| **id != message_id).count();
            let why = "the receiver answered 410 Gone: it wants no more messages";
            events.push(AlertEvent::Disabled(AlertDisabled {
                why: Some(why.into()),
                dropped: others as u64,
            }));
        }
        events
    }
}

/// The pause after a failed attempt (from 1): the list's, up to a tenth longer so that many do not
/// come at once, or what the receiver asked for where that is longer. `None` after the last.
fn pause_ms(attempt: u32, asked_ms: Option<u64>, jitter_ppm: u32) -> Option<u64> {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = *limits::ALERT_RETRY_MS.get(at)?;
    let pause = pause + pause / 10 * u64::from(jitter_ppm.min(1_000_000)) / 1_000_000;
    Some(pause.max(asked_ms.unwrap_or(0).min(limits::ALERT_RETRY_AFTER_MS_MAX)))
}

fn patched(mut spec: AlertSpec, patch: &AlertUpdated) -> AlertSpec {
    if let Some(name) = &patch.name {
        spec.name.clone_from(name);
    }
    if let Some(url) = &patch.url {
        spec.url.clone_from(url);
    }
    if let Some(kinds) = &patch.kinds {
        spec.kinds.clone_from(kinds);
    }
    if let Some(only) = patch.flow_id {
        spec.flow_id = only.one();
    }
    if let Some(only) = patch.schedule_id {
        spec.schedule_id = only.one();
    }
    if let Some(only) = patch.source_id {
        spec.source_id = only.one();
    }
    spec.in_order()
}

impl Alert {
    /// The alert, where it is there.
    ///
    /// # Errors
    /// `Absent`, `Deleted`.
    pub fn live(&self) -> Result<&LiveAlert, AlertRejection> {
        match self {
            Self::Absent => Err(AlertRejection::Absent),
            Self::Deleted => Err(AlertRejection::Deleted),
            Self::Live(alert) => Ok(alert),
        }
    }
}

impl Aggregate for Alert {
    const CATEGORY: &'static str = AlertId::CATEGORY;
    type Command = AlertCommand;
    type Event = AlertEvent;
    type Rejection = AlertRejection;

    fn decide(
        &self,
        command: AlertCommand,
        now: Timestamp,
    ) -> Result<Vec<AlertEvent>, AlertRejection> {
        let alert = match (command, self) {
            (AlertCommand::Create(mut created), Self::Absent) => {
                created.spec = created.spec.in_order();
                created.spec.check()?;
                return Ok(vec![AlertEvent::Created(created)]);
            }
            (AlertCommand::Create(_), Self::Live(_) | Self::Deleted) => {
                return Err(AlertRejection::Exists);
            }
            (AlertCommand::Delete, Self::Deleted) => return Ok(vec![]),
            (command, state) => (command, state.live()?),
        };
        decide_live(alert.1, alert.0, now)
    }

    fn evolve(self, event: &AlertEvent) -> Self {
        match (self, event) {
            (Self::Absent, AlertEvent::Created(created)) => {
                let AlertCreated { spec, secret } = created.as_ref().clone();
                Self::Live(Box::new(LiveAlert {
                    spec,
                    secrets: AlertSecrets { secret, previous: None },
                    enabled: true,
                    open: BTreeMap::new(),
                    progress: BTreeMap::new(),
                }))
            }
            (Self::Live(_), AlertEvent::Deleted(_)) => Self::Deleted,
            (Self::Live(mut alert), event) => {
                evolve_live(&mut alert, event);
                Self::Live(alert)
            }
            (state, _) => state,
        }
    }
}

fn decide_live(
    alert: &LiveAlert,
    command: AlertCommand,
    now: Timestamp,
) -> Result<Vec<AlertEvent>, AlertRejection> {
    match command {
        AlertCommand::Create(_) => Err(AlertRejection::Exists),
        AlertCommand::Update(mut patch) => {
            let changed = patched(alert.spec.clone(), &patch);
            changed.check()?;
            if changed == alert.spec {
                return Ok(vec![]);
            }
            patch.kinds = patch.kinds.map(|_| changed.kinds);
            Ok(vec![AlertEvent::Updated(patch)])
        }
        AlertCommand::Enable if alert.enabled => Ok(vec![]),
        AlertCommand::Enable => Ok(vec![AlertEvent::Enabled(AlertEnabled {})]),
        AlertCommand::Disable if !alert.enabled => Ok(vec![]),
        AlertCommand::Disable => {
            let dropped = alert.open.len() as u64;
            Ok(vec![AlertEvent::Disabled(AlertDisabled { why: None, dropped })])
        }
        AlertCommand::RotateSecret { secret, keep_ms } => {
            if keep_ms > limits::ALERT_SECRET_KEEP_MS_MAX {
                return Err(AlertRejection::BadKeep);
            }
            let previous_until = (keep_ms > 0).then(|| plus_ms(now, keep_ms));
            Ok(vec![AlertEvent::SecretRotated(AlertSecretRotated { secret, previous_until })])
        }
        AlertCommand::Reseal(secrets) if secrets == alert.secrets => Ok(vec![]),
        AlertCommand::Reseal(secrets) => Ok(vec![AlertEvent::Resealed(secrets)]),
        AlertCommand::Raise(message) => {
            if !alert.enabled || message.through <= alert.through(message.kind) {
                return Ok(vec![]);
            }
            if alert.open.len() >= limits::ALERT_OPEN_MAX {
                return Err(AlertRejection::TooManyOpen);
            }
            Ok(vec![raised(*message, now)])
        }
        AlertCommand::RecordAttempt(attempted) => {
            // Given up or delivered meanwhile; an attempt by hand is worth a record even so.
            if !attempted.by_hand && !alert.open.contains_key(&attempted.message_id) {
                return Ok(vec![]);
            }
            Ok(alert.attempted(attempted, now))
        }
        AlertCommand::RecordTest { message, attempted } => {
            let mut events = vec![raised(*message, now)];
            events.extend(alert.attempted(Attempted { by_hand: true, ..attempted }, now));
            Ok(events)
        }
        AlertCommand::Delete => Ok(vec![AlertEvent::Deleted(AlertDeleted {})]),
    }
}

fn raised(message: NewMessage, at: Timestamp) -> AlertEvent {
    let NewMessage { message_id, kind, count, through, body } = message;
    AlertEvent::Raised(Box::new(AlertRaised { message_id, kind, count, through, at, body }))
}

fn evolve_live(alert: &mut LiveAlert, event: &AlertEvent) {
    match event {
        AlertEvent::Created(_) | AlertEvent::Deleted(_) => {}
        AlertEvent::Updated(patch) => alert.spec = patched(alert.spec.clone(), patch),
        AlertEvent::Enabled(_) => alert.enabled = true,
        AlertEvent::Disabled(_) => {
            alert.enabled = false;
            alert.open.clear();
        }
        AlertEvent::SecretRotated(e) => {
            let before = std::mem::replace(&mut alert.secrets.secret, e.secret.clone());
            alert.secrets.previous =
                e.previous_until.map(|until| PreviousSecret { secret: before, until });
        }
        AlertEvent::Resealed(secrets) => alert.secrets = secrets.clone(),
        AlertEvent::Raised(e) => alert.raised(e),
        AlertEvent::Delivered(e) => {
            alert.open.remove(&e.message_id);
        }
        AlertEvent::DeliveryFailed(e) => match (e.next_at, e.attempt) {
            (None, _) => {
                alert.open.remove(&e.message_id);
            }
            (Some(next_at), Some(attempts)) => {
                if let Some(open) = alert.open.get_mut(&e.message_id) {
                    open.attempts = attempts;
                    open.next_at = next_at;
                }
            }
            (Some(_), None) => {}
        },
    }
}
