//! `automagik up --with-langflow`: a LangFlow of Spark's own, installed into the data directory
//! once and then kept running as a child process. This file owns the order of the steps and the
//! handle; it never talks to Spark's own log or API, so a LangFlow that is down never stops Spark.

mod account;
mod home;
mod install;
mod process;
mod supervise;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use spark_events::limits;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use home::Home;
use supervise::Supervisor;

/// The LangFlow that is installed: the newest one that Spark's client was measured against.
pub(crate) const VERSION: &str = "1.13.0";

/// What the caller may choose.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Spark's data directory; everything lives in its folder `langflow`.
    pub(crate) data_dir: PathBuf,
    /// The Python that makes the virtual environment. Without it the first fitting `python3` or
    /// `python3.x` of the search path is taken.
    pub(crate) python: Option<String>,
}

/// A running LangFlow. It is started again whenever it ends, on the same port. Dropping the
/// handle kills it at once; [`LangFlowServer::stop`] lets it end in order.
#[derive(Debug)]
pub(crate) struct LangFlowServer {
    url: String,
    api_key: String,
    log_path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    supervisor: JoinHandle<()>,
    _lock: File,
}

/// Where progress goes: one short readable line at a time.
type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Every time limit and the ports to choose from, so that tests can be quick.
#[derive(Debug, Clone)]
struct Bounds {
    start: Duration,
    adopt: Duration,
    stop: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
    steady: Duration,
    ports: RangeInclusive<u16>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(limits::LANGFLOW_START_MS_MAX),
            adopt: Duration::from_millis(limits::LANGFLOW_ADOPT_MS_MAX),
            stop: Duration::from_millis(limits::LANGFLOW_STOP_MS_MAX),
            backoff_min: Duration::from_millis(limits::LANGFLOW_BACKOFF_MS_MIN),
            backoff_max: Duration::from_millis(limits::LANGFLOW_BACKOFF_MS_MAX),
            steady: Duration::from_millis(limits::LANGFLOW_STEADY_MS),
            // Beside LangFlow's own 7860, so that a LangFlow the user starts keeps its place, and
            // below the ports that systems hand out for outgoing connections.
            ports: 7861..=7899,
        }
    }
}

impl LangFlowServer {
    /// Installs LangFlow where it is missing, starts it or takes over the one that an earlier
    /// process left running, and waits until it answers. `say` hears of every step, also later of
    /// every restart.
    ///
    /// Cancel-safe: dropping the future ends every process it has started.
    ///
    /// # Errors
    /// When there is no fitting Python, the installation fails, another process uses the same
    /// folder, or LangFlow ends or stays silent; with what to do and the last lines of the log.
    pub(crate) async fn start(
        options: Options,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self> {
        Box::pin(Self::start_within(options, Bounds::default(), Arc::new(say))).await
    }

    async fn start_within(options: Options, bounds: Bounds, say: Say) -> Result<Self> {
        let home = Home::open(&options.data_dir).with_context(|| {
            format!("could not prepare {} for LangFlow", options.data_dir.display())
        })?;
        let lock = home.lock(bounds.adopt, &say).await?;
        let password = home.password()?;
        let client = account::client()?;
        let mut supervisor = Supervisor::new(home.clone(), bounds, say.clone(), client, password);
        if !supervisor.adopt().await? {
            install::ensure(&home, options.python.as_deref(), &say).await?;
            supervisor.choose_port()?;
            supervisor.launch().await?;
        }
        let api_key = supervisor.api_key().await?;
        let url = supervisor.url();
        let (stop, stopped) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "`stop` joins it, dropping this aborts it")]
        let supervisor = tokio::spawn(supervisor.run(stopped));
        Ok(Self { url, api_key, log_path: home.log(), stop: Some(stop), supervisor, _lock: lock })
    }

    /// Where LangFlow is: its API, and its editor for a browser.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The key for `x-api-key`. It stays the same over restarts, unless someone deletes it in
    /// LangFlow.
    #[must_use]
    pub(crate) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The file that LangFlow's output goes to.
    #[must_use]
    pub(crate) fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Ends LangFlow and its workers: asks, waits a bounded time, then kills.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Err(error) = (&mut self.supervisor).await {
            tracing::error!(%error, "the supervisor of LangFlow failed");
        }
    }
}

impl Drop for LangFlowServer {
    fn drop(&mut self) {
        // The aborted supervisor drops its instance, and that kills the process group.
        self.supervisor.abort();
    }
}
