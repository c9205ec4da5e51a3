//! What the keeper of alerts is asked: in order, except that what cannot be done yet is laid aside.
//! It outlives the keeper, so that a crash loses no question that was not begun.

use std::collections::VecDeque;

use spark_events::limits::ALERT_COMMANDS_MAX;
use tokio::sync::mpsc;

use super::AlertsMessage;

pub(super) struct Inbox {
    received: mpsc::Receiver<AlertsMessage>,
    aside: VecDeque<AlertsMessage>,
}

impl Inbox {
    pub(super) fn new(received: mpsc::Receiver<AlertsMessage>) -> Self {
        Self { received, aside: VecDeque::new() }
    }

    /// The next message, those that were laid aside first; `None` where no more will come.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<AlertsMessage> {
        match self.aside.pop_front() {
            Some(message) => Some(message),
            None => self.received.recv().await,
        }
    }

    /// The next message that was not laid aside. Waits while too many were. Cancel-safe.
    pub(super) async fn next_new(&mut self) -> Option<AlertsMessage> {
        if self.aside.len() >= ALERT_COMMANDS_MAX {
            std::future::pending::<()>().await;
        }
        self.received.recv().await
    }

    /// For [`Self::next`].
    pub(super) fn lay_aside(&mut self, message: AlertsMessage) {
        self.aside.push_back(message);
    }

    /// Lays everything aside until it is to stop.
    pub(super) async fn stopped(&mut self) {
        while let Some(message) = self.next_new().await {
            match message {
                AlertsMessage::Stop => return,
                message => self.lay_aside(message),
            }
        }
    }
}
