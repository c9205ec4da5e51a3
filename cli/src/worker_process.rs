//! A worker in a process of its own: registers with the server, takes work by long poll, makes the
//! calls and reports what became of them. Repeats everything until it was answered, over restarts of
//! the server. Never prints what an order holds.
//!
//! - `link.rs`: how the server is asked. `reporter.rs`: reports, in batches, until answered.
//! - `runs.rs`: what is under way here. `life.rs`: from a registration to its end.
//! - `state.rs`: who runs under which name on this machine, and who did.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use spark_actors::remote::{PROTOCOL, Registered, Registration};
use spark_events::domain::labels::Labels;
use spark_events::limits::{WORKER_PAUSE_MS_MAX, WORKER_PAUSE_MS_MIN};
use spark_events::{Clock, SystemClock, WorkerId};
use tokio::sync::watch;
use tokio::time::Instant;

mod life;
mod link;
mod reporter;
mod runs;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use life::{Life, LifeEnd};
pub(crate) use link::Link;
use link::Unsaid;
use state::Place;

/// What a worker is started as.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Its name among workers.
    pub(crate) name: String,
    /// This machine's name.
    pub(crate) hostname: String,
    /// Runs at once.
    pub(crate) slots: u32,
    /// What it offers.
    pub(crate) labels: Labels,
}

/// A worker that has not registered yet.
pub(crate) struct Process {
    pub(crate) plan: Plan,
    pub(crate) link: Arc<Link>,
    pub(crate) place: Place,
    /// What sources are called through.
    pub(crate) http: reqwest::Client,
}

/// How a worker that was not refused came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was reported or given back, and the server knows.
    Left,
    /// It was told to stop and the server could not be told: that will notice by itself.
    Unheard,
}

impl Process {
    /// Works until it is told to stop, by `stop` or by the server. Whenever the server counts it as
    /// lost it drops what it has and registers anew.
    ///
    /// # Errors
    /// The server refuses it for good: name, version, clock, key.
    pub(crate) async fn run(&mut self, mut stop: watch::Receiver<bool>) -> Result<End> {
        let mut pauses = Pauses::default();
        loop {
            let begun = Instant::now();
            let Some((id, registered)) = self.register(&mut stop).await? else {
                return Ok(End::Left);
            };
            let Registered { lost_after_ms, ref server_version, .. } = registered;
            tracing::info!(worker = %id, server_version, lost_after_ms, "registered");
            match Life::begin(self, id, &registered).run(&mut stop).await {
                LifeEnd::Left => {
                    self.place.forget();
                    return Ok(End::Left);
                }
                LifeEnd::Unheard => return Ok(End::Unheard),
                LifeEnd::Refused(trouble) => return Err(trouble.into()),
                LifeEnd::Gone(why) if *stop.borrow() => {
                    tracing::warn!(why, "the server gave this worker up before it had stopped");
                    return Ok(End::Left);
                }
                LifeEnd::Gone(why) => {
                    tracing::warn!(why, "registering anew; what ran here is dropped");
                    // A server that takes it in and gives it up at once is not asked all the time.
                    if begun.elapsed() > Duration::from_millis(WORKER_PAUSE_MS_MAX) {
                        pauses = Pauses::default();
                    }
                    pauses.wait().await;
                }
            }
        }
    }

    /// Registers under a new id, however long the server is away. `None`: told to stop meanwhile.
    async fn register(
        &mut self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<(WorkerId, Registered)>> {
        let mut id = WorkerId::random();
        // The newest is asked for first: whether its registration arrived is not known.
        let mut earlier = self.place.ids().to_vec();
        self.place.remember(id)?;
        let mut pauses = Pauses::default();
        loop {
            let registration = self.registration(id, earlier.last().copied());
            let asked = tokio::select! {
                asked = self.link.register(&registration) => asked,
                () = told(stop) => return Ok(None),
            };
            match asked {
                Ok(registered) => {
                    self.link.back();
                    self.place.registered(id, self.link.server())?;
                    return Ok(Some((id, registered)));
                }
                Err(Unsaid::Refused { status: 409, .. }) if earlier.len() > 1 => {
                    earlier.pop();
                }
                Err(Unsaid::Refused { trouble, .. }) => return Err(trouble.into()),
                Err(Unsaid::Gone(why)) => {
                    // It was taken in, nobody heard the answer, and by now it was given up.
                    tracing::debug!(worker = %id, why, "registering under another id");
                    earlier = self.place.ids().to_vec();
                    id = WorkerId::random();
                    self.place.remember(id)?;
                    tokio::select! {
                        () = pauses.wait() => {}
                        () = told(stop) => return Ok(None),
                    }
                }
                Err(Unsaid::Away(trouble)) => {
                    self.link.away(&trouble);
                    tokio::select! {
                        () = pauses.wait() => {}
                        () = told(stop) => return Ok(None),
                    }
                }
            }
        }
    }

    fn registration(&self, id: WorkerId, replaces: Option<WorkerId>) -> Registration {
        let Plan { name, hostname, slots, labels } = self.plan.clone();
        Registration {
            id,
            replaces,
            name,
            hostname,
            pid: std::process::id(),
            slots,
            labels: labels.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            clock: SystemClock.now(),
        }
    }
}

/// Ends when it is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Pauses that grow, between questions that were not answered.
#[derive(Debug, Default)]
struct Pauses {
    last_ms: u64,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        self.last_ms = (self.last_ms * 2).clamp(WORKER_PAUSE_MS_MIN, WORKER_PAUSE_MS_MAX);
        Duration::from_millis(self.last_ms)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }
}
