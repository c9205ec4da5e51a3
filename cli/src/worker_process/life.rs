//! One registration of a worker, from its first poll to its end. Everything that belongs to it (runs,
//! reports) ends with it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use spark_actors::remote::{Delivered, Poll, Polled, Registered, WorkerStatus};
use spark_events::WorkerId;
use spark_events::limits::{DRAIN_MS_MAX, WORKER_LEAVE_MS_MAX};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::link::{Link, Unsaid, answer_ms};
use super::reporter::{Lanes, Reporter, Told};
use super::runs::Runs;
use super::{Pauses, Process, told};
use crate::exit::Trouble;

/// How it ended.
#[derive(Debug)]
pub(super) enum LifeEnd {
    /// In good order.
    Left,
    /// It was told to stop and could not tell the server.
    Unheard,
    /// The server gave it up.
    Gone(String),
    /// The server does not take it any more.
    Refused(Trouble),
}

type Polling = BoxFuture<'static, Result<Polled, Unsaid>>;

/// How far a worker is with its end.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Working,
    /// Takes nothing new; leaves when nothing is left.
    Draining,
    /// Direct runs may end until the first instant; the server is told until the second.
    Stopping {
        direct_until: Instant,
        until: Instant,
    },
}

/// A registered worker.
pub(super) struct Life {
    link: Arc<Link>,
    id: WorkerId,
    patience: Duration,
    session: Uuid,
    after: u64,
    /// Whether the next poll is to say what is here.
    resync: bool,
    status: WorkerStatus,
    stage: Stage,
    runs: Runs,
    hear: mpsc::UnboundedReceiver<Told>,
    pauses: Pauses,
    _lanes: Lanes,
}

impl Life {
    pub(super) fn begin(process: &Process, id: WorkerId, registered: &Registered) -> Self {
        let (tell, hear) = mpsc::unbounded_channel();
        let (reporter, lanes) = Reporter::start(&process.link, id, &tell);
        Self {
            link: process.link.clone(),
            id,
            patience: answer_ms(registered.poll_ms),
            session: registered.session,
            after: 0,
            resync: true,
            status: WorkerStatus::Active,
            stage: Stage::Working,
            runs: Runs::new(process.http.clone(), reporter),
            hear,
            pauses: Pauses::default(),
            _lanes: lanes,
        }
    }

    pub(super) async fn run(mut self, stop: &mut watch::Receiver<bool>) -> LifeEnd {
        let mut polling = self.poll(Duration::ZERO);
        loop {
            if self.runs.is_empty() && !matches!(self.stage, Stage::Working) {
                return self.leave().await;
            }
            let stage = self.stage;
            let next = async {
                match stage {
                    Stage::Working | Stage::Draining => std::future::pending().await,
                    Stage::Stopping { direct_until, until } => {
                        let now = Instant::now();
                        let next = if now < direct_until { direct_until } else { until };
                        tokio::time::sleep_until(next).await;
                    }
                }
            };
            tokio::select! {
                polled = &mut polling => match polled {
                    Ok(polled) => {
                        self.link.back();
                        self.pauses = Pauses::default();
                        self.take(polled);
                        polling = self.poll(Duration::ZERO);
                    }
                    Err(Unsaid::Away(trouble)) => {
                        self.link.away(&trouble);
                        let pause = self.pauses.next();
                        polling = self.poll(pause);
                    }
                    Err(Unsaid::Gone(why)) => return LifeEnd::Gone(why),
                    Err(Unsaid::Refused { trouble, .. }) => return LifeEnd::Refused(trouble),
                },
                heard = self.hear.recv() => match heard {
                    Some(Told::Done(held)) => self.runs.drop_run(held),
                    Some(Told::Gone(why)) => return LifeEnd::Gone(why),
                    Some(Told::Refused(trouble)) => return LifeEnd::Refused(trouble),
                    None => {}
                },
                () = told(stop), if !matches!(self.stage, Stage::Stopping { .. }) => {
                    self.stop();
                    // The open poll would go on asking for work.
                    polling = self.poll(Duration::ZERO);
                }
                () = next => {
                    if let Stage::Stopping { until, .. } = self.stage
                        && Instant::now() >= until
                    {
                        return LifeEnd::Unheard;
                    }
                    self.runs.release(true);
                }
            }
        }
    }

    /// Asks for work after a pause. Only one question is under way at a time.
    fn poll(&self, pause: Duration) -> Polling {
        let poll = Poll {
            session: self.session,
            after: self.after,
            holding: self.resync.then(|| self.runs.holding()),
            leaving: matches!(self.stage, Stage::Stopping { .. }),
        };
        let (link, id, patience) = (self.link.clone(), self.id, self.patience);
        async move {
            tokio::time::sleep(pause).await;
            link.poll(id, &poll, patience).await
        }
        .boxed()
    }

    fn take(&mut self, polled: Polled) {
        let Polled { session, status, resync, items } = polled;
        self.session = session;
        self.resync = resync;
        if resync {
            self.after = 0;
        }
        for delivery in items {
            if delivery.seq <= self.after {
                continue;
            }
            self.after = delivery.seq;
            match delivery.what {
                Delivered::Run(order) => {
                    self.runs.start(*order);
                    // What came after the end had begun goes straight back.
                    if matches!(self.stage, Stage::Stopping { .. }) {
                        self.runs.release(false);
                    }
                }
                Delivered::Cancel(held) => self.runs.cancel(held),
                Delivered::Abort(held) => self.runs.drop_run(held),
            }
        }
        if status != self.status {
            self.status = status;
            self.heed();
        }
    }

    /// Does what the server wants of it.
    fn heed(&mut self) {
        match (self.status, self.stage) {
            (_, Stage::Stopping { .. }) => {}
            (WorkerStatus::Stopping, _) => {
                tracing::info!("told to stop by the server");
                self.stop();
            }
            (WorkerStatus::Draining, _) => {
                tracing::info!(
                    "draining: takes no new work, and leaves when the last run has ended"
                );
                self.stage = Stage::Draining;
            }
            (WorkerStatus::Paused, _) => {
                tracing::info!("paused: takes no new work until it is resumed");
                self.stage = Stage::Working;
            }
            (WorkerStatus::Active, _) => {
                tracing::info!("active: takes work");
                self.stage = Stage::Working;
            }
        }
    }

    fn stop(&mut self) {
        let direct_until = Instant::now() + Duration::from_millis(DRAIN_MS_MAX);
        let until = direct_until + Duration::from_millis(WORKER_LEAVE_MS_MAX);
        self.stage = Stage::Stopping { direct_until, until };
        self.runs.release(false);
    }

    /// Says goodbye, now that nothing is left.
    async fn leave(mut self) -> LifeEnd {
        let until = Instant::now() + Duration::from_millis(WORKER_LEAVE_MS_MAX);
        loop {
            match self.link.leave(self.id).await {
                Ok(()) => return LifeEnd::Left,
                Err(Unsaid::Gone(_)) => return LifeEnd::Left,
                Err(Unsaid::Refused { trouble, .. }) => return LifeEnd::Refused(trouble),
                Err(Unsaid::Away(_)) if Instant::now() >= until => return LifeEnd::Unheard,
                Err(Unsaid::Away(trouble)) => {
                    self.link.away(&trouble);
                    self.pauses.wait().await;
                }
            }
        }
    }
}
