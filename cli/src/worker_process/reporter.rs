//! Reports on their way to the server: sent at once, together with what comes while others are under
//! way, and again until the server has answered. Large results travel by themselves, so that they
//! hold up nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use spark_actors::langflow::RunEnd;
use spark_actors::remote::{Held, News, Receipt, Report};
use spark_events::WorkerId;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits::{WORKER_BATCH_BYTES_MAX, WORKER_REPORTS_MAX};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::Pauses;
use super::link::{Link, Unsaid};
use crate::exit::Trouble;

/// What the worker hears of its reports.
#[derive(Debug)]
pub(super) enum Told {
    /// The last report of an attempt was answered, or the attempt is not ours any more.
    Done(Held),
    /// The server does not count on this worker any more.
    Gone(String),
    /// The server takes nothing from this worker.
    Refused(Trouble),
}

struct Entry {
    held: Held,
    body: String,
    /// Whether nothing follows it.
    last: bool,
    recorded: Option<oneshot::Sender<()>>,
}

/// Takes reports. Cheap to clone; what it was given is sent as long as [`Lanes`] lives.
#[derive(Clone)]
pub(super) struct Reporter {
    small: mpsc::UnboundedSender<Entry>,
    large: mpsc::UnboundedSender<Entry>,
}

/// The senders at work. Dropping it ends them.
pub(super) struct Lanes([AbortHandle; 2]);

impl Drop for Lanes {
    fn drop(&mut self) {
        for lane in &self.0 {
            lane.abort();
        }
    }
}

impl Reporter {
    /// Sends reports of this worker; what is heard of them goes to `tell`. Attempts under way bound
    /// what waits here.
    #[expect(clippy::disallowed_methods, reason = "the lanes own the handles and abort on drop")]
    pub(super) fn start(
        link: &Arc<Link>,
        id: WorkerId,
        tell: &mpsc::UnboundedSender<Told>,
    ) -> (Self, Lanes) {
        let lane = || {
            let (send, receive) = mpsc::unbounded_channel();
            let lane = Lane { link: link.clone(), id, tell: tell.clone(), receive };
            (send, tokio::spawn(lane.run()).abort_handle())
        };
        let ((small, one), (large, other)) = (lane(), lane());
        (Self { small, large }, Lanes([one, other]))
    }

    /// Reports the id of a background job; ends when it is recorded.
    pub(super) async fn submitted(&self, held: Held, job_id: String) {
        let (recorded, heard) = oneshot::channel();
        self.send(held, News::Submitted { job_id }, Some(recorded));
        // Without an answer the run goes on: its idempotency key finds the job again.
        let _ = heard.await;
    }

    /// Reports the end of an attempt.
    pub(super) fn ended(&self, held: Held, end: RunEnd) {
        self.send(held, News::Ended(Box::new(end)), None);
    }

    /// Gives an attempt back.
    pub(super) fn released(&self, held: Held) {
        self.send(held, News::Released, None);
    }

    fn send(&self, held: Held, what: News, recorded: Option<oneshot::Sender<()>>) {
        let last = !matches!(what, News::Submitted { .. });
        let body = written(held, what);
        let lane = if body.len() > WORKER_BATCH_BYTES_MAX { &self.large } else { &self.small };
        // A lane that is gone belongs to a worker that is gone.
        let _ = lane.send(Entry { held, body, last, recorded });
    }
}

fn written(held: Held, what: News) -> String {
    let Held { task_id, attempt } = held;
    serde_json::to_string(&Report { task_id, attempt, what }).unwrap_or_else(|error| {
        let message = format!("the result cannot be written down: {error}");
        unsendable(held, FailureClass::BadAnswer, message)
    })
}

/// The report of an attempt whose own report cannot be sent.
fn unsendable(held: Held, class: FailureClass, message: String) -> String {
    let failure = Failure::new(class, message);
    let Held { task_id, attempt } = held;
    let what = News::Ended(Box::new(RunEnd::Failed { failure, log: vec![] }));
    serde_json::to_string(&Report { task_id, attempt, what }).unwrap_or_default()
}

struct Lane {
    link: Arc<Link>,
    id: WorkerId,
    tell: mpsc::UnboundedSender<Told>,
    receive: mpsc::UnboundedReceiver<Entry>,
}

impl Lane {
    async fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut pauses = Pauses::default();
        loop {
            if waiting.is_empty() {
                let Some(entry) = self.receive.recv().await else { return };
                waiting.push_back(entry);
            }
            while let Ok(entry) = self.receive.try_recv() {
                waiting.push_back(entry);
            }
            let batch = batch(&mut waiting);
            match self.link.report(self.id, body(&batch)).await {
                Ok(reported) => {
                    self.link.back();
                    let again = self.heard(batch, &reported.items);
                    if again.is_empty() {
                        pauses = Pauses::default();
                        continue;
                    }
                    put_back(&mut waiting, again);
                    pauses.wait().await;
                }
                Err(Unsaid::Away(trouble)) => {
                    self.link.away(&trouble);
                    put_back(&mut waiting, batch);
                    pauses.wait().await;
                }
                Err(Unsaid::Gone(why)) => {
                    let _ = self.tell.send(Told::Gone(why));
                    return;
                }
                Err(Unsaid::Refused { status: 401 | 403, trouble }) => {
                    let _ = self.tell.send(Told::Refused(trouble));
                    return;
                }
                Err(Unsaid::Refused { status, trouble }) => {
                    for entry in split(batch, status, &trouble).into_iter().rev() {
                        self.alone(entry).await;
                    }
                }
            }
        }
    }

    /// Sends one report whose batch was refused.
    async fn alone(&mut self, mut entry: Entry) {
        let mut pauses = Pauses::default();
        loop {
            match self.link.report(self.id, body(std::slice::from_ref(&entry))).await {
                Ok(reported) => match self.heard(vec![entry], &reported.items).pop() {
                    Some(again) => entry = again,
                    None => return,
                },
                Err(Unsaid::Away(trouble)) => self.link.away(&trouble),
                Err(Unsaid::Gone(why)) => {
                    let _ = self.tell.send(Told::Gone(why));
                    return;
                }
                Err(Unsaid::Refused { status, trouble }) => {
                    tracing::error!(task = %entry.held.task_id, why = trouble.what, "a report was refused");
                    entry = failed(entry, status, &trouble);
                }
            }
            pauses.wait().await;
        }
    }

    /// Tells what became of each report; gives those that are to be said again.
    fn heard(&self, batch: Vec<Entry>, receipts: &[Receipt]) -> Vec<Entry> {
        let mut again = vec![];
        for (place, entry) in batch.into_iter().enumerate() {
            // A receipt that is missing says nothing, so the report is repeated.
            match receipts.get(place).copied().unwrap_or(Receipt::Retry) {
                Receipt::Retry => again.push(entry),
                receipt => {
                    if entry.last || receipt == Receipt::Stale {
                        let _ = self.tell.send(Told::Done(entry.held));
                    }
                    if let Some(recorded) = entry.recorded {
                        let _ = recorded.send(());
                    }
                }
            }
        }
        again
    }
}

/// The next reports that fit into one request; at least one.
fn batch(waiting: &mut VecDeque<Entry>) -> Vec<Entry> {
    let (mut batch, mut bytes) = (vec![], 0);
    while let Some(next) = waiting.front() {
        bytes += next.body.len();
        let full = batch.len() == WORKER_REPORTS_MAX || bytes > WORKER_BATCH_BYTES_MAX;
        if full && !batch.is_empty() {
            break;
        }
        batch.extend(waiting.pop_front());
    }
    batch
}

fn put_back(waiting: &mut VecDeque<Entry>, batch: Vec<Entry>) {
    for entry in batch.into_iter().rev() {
        waiting.push_front(entry);
    }
}

fn body(batch: &[Entry]) -> Vec<u8> {
    let bytes: usize = batch.iter().map(|entry| entry.body.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 16);
    body.extend_from_slice(b"{\"items\":[");
    for (place, entry) in batch.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry.body.as_bytes());
    }
    body.extend_from_slice(b"]}");
    body
}

/// What is sent instead of a batch that was refused: its reports one by one, and instead of a single
/// one a failure that says why.
fn split(mut batch: Vec<Entry>, status: u16, trouble: &Trouble) -> Vec<Entry> {
    if batch.len() == 1 {
        return batch.drain(..).map(|entry| failed(entry, status, trouble)).collect();
    }
    batch
}

fn failed(entry: Entry, status: u16, trouble: &Trouble) -> Entry {
    let class = if status == 413 { FailureClass::TooLarge } else { FailureClass::BadAnswer };
    let message = format!("the server refused the result: {}", trouble.what);
    Entry { body: unsendable(entry.held, class, message), last: true, ..entry }
}
