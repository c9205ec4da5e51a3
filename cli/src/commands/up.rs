//! `automagik up`: the whole server in one process. Owns the order of its start and of its end;
//! every part is somebody else's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use spark_actors::{OtlpConfig, Spark, SparkConfig};
use spark_api::{Access, App, AuthKeys, Cors, Live, Metrics, RateLimit, Rates};
use spark_events::limits::{
    LOG_CLOSE_MS_MAX, PROBE_EVERY_MS_MAX, PROBE_EVERY_MS_MIN, WORKER_LOST_AFTER_MS_MAX,
    WORKER_LOST_AFTER_MS_MIN, WORKER_SLOTS_DEFAULT, WORKER_SLOTS_MAX,
};
use spark_events::log::embedded::EmbeddedLog;
use spark_events::{SharedClock, SharedLog, SystemClock};
use spark_projections::Projections;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::args::{Global, env};
use crate::exit::{Exit, Trouble};
use crate::home::{Home, ServerFile};
use crate::logs::LogOptions;
use crate::output::Out;
use crate::settings;

mod banner;
mod langflow;
mod listen;
pub(crate) mod lock;
pub(crate) mod signals;

use banner::{Banner, LangFlowPlan};
use langflow::Companion;
use listen::{listen, url_of};

/// Start the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik up
  automagik up --with-langflow            and run a LangFlow of its own
  automagik up --langflow-url http://localhost:7860 --langflow-api-key sk-...
  automagik up --data-dir ./spark-data --port 9000
The key of the API is made at the first start and kept in the data directory;
AUTOMAGIK_API_KEY sets another one.")]
pub(crate) struct Up {
    /// Address to listen on; 0.0.0.0 lets other machines in
    #[arg(long, default_value = "127.0.0.1", env = "AUTOMAGIK_API_HOST", hide_env_values = true)]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8888, env = "AUTOMAGIK_API_PORT", hide_env_values = true)]
    port: u16,
    /// Install and run a LangFlow in the data directory, as source `langflow`
    #[arg(long, conflicts_with = "langflow_url")]
    with_langflow: bool,
    /// The Python that LangFlow is installed with [default: found in PATH]
    #[arg(long, value_name = "PATH", requires = "with_langflow")]
    langflow_python: Option<String>,
    /// A LangFlow that runs already, as source `langflow`
    /// [env: LANGFLOW_API_URL]
    #[arg(long, value_name = "URL")]
    langflow_url: Option<String>,
    /// The API key of that LangFlow [env: LANGFLOW_API_KEY]
    #[arg(long, value_name = "KEY", requires = "langflow_url")]
    langflow_api_key: Option<String>,
    /// Runs at once, over all sources
    #[arg(long, value_name = "N", default_value_t = WORKER_SLOTS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKER_SLOTS_MAX)))]
    slots: u32,
    /// Make no calls in this process; tasks wait for workers:
    /// automagik worker start
    #[arg(long, conflicts_with = "slots")]
    no_worker: bool,
    /// The silence after which a worker in another process is lost
    /// [default: 30s]
    #[arg(long, value_name = "TIME", env = "AUTOMAGIK_WORKER_LOST_AFTER", hide_env_values = true,
          value_parser = worker_lost_after, default_value = "30s", hide_default_value = true)]
    worker_lost_after: Duration,
    /// How often synced flows are compared with what their sources have, or
    /// never [default: 5m]
    #[arg(long, value_name = "TIME", env = "AUTOMAGIK_DRIFT_EVERY", hide_env_values = true,
          value_parser = parse_drift_every)]
    drift_every: Option<DriftEvery>,
    /// How often every source is probed, such as 30s [default: 1m]
    #[arg(long, value_name = "EVERY", env = "AUTOMAGIK_PROBE_EVERY", hide_env_values = true,
          value_parser = probe_every, default_value = "1m", hide_default_value = true)]
    probe_every: Duration,
    /// Let everybody read /metrics, without a key
    #[arg(long, env = "AUTOMAGIK_OPEN_METRICS", hide_env_values = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    open_metrics: bool,
    /// Pages that may call from a browser: origins with commas, such as
    /// `https://team.example`; * for all [default: none]
    #[arg(long, value_name = "ORIGINS", env = "AUTOMAGIK_API_CORS", hide_env_values = true)]
    cors: Option<Cors>,
    /// Requests a second of each named key, such as 200, or 200/400 with how
    /// many may come at once, or off [default: 200/400]
    #[arg(long, value_name = "RATE", env = "AUTOMAGIK_RATE_LIMIT", hide_env_values = true)]
    rate_limit: Option<RateLimit>,
    #[command(flatten)]
    logs: LogOptions,
}

/// A time, or never.
#[derive(Debug, Clone, Copy)]
struct DriftEvery(Option<std::time::Duration>);

fn parse_drift_every(text: &str) -> Result<DriftEvery, String> {
    if matches!(text, "never" | "off" | "0") {
        return Ok(DriftEvery(None));
    }
    crate::args::parse_duration(text).map(|every| DriftEvery(Some(every)))
}

/// The silence after which a worker is lost.
fn worker_lost_after(text: &str) -> Result<Duration, String> {
    let silence = crate::args::parse_duration(text.trim())?;
    let bounds = Duration::from_millis(WORKER_LOST_AFTER_MS_MIN)
        ..=Duration::from_millis(WORKER_LOST_AFTER_MS_MAX);
    if !bounds.contains(&silence) {
        return Err("it must be from 2s to 10m".to_owned());
    }
    Ok(silence)
}

/// A pause between two probes of a source.
fn probe_every(text: &str) -> Result<Duration, String> {
    let every = crate::args::parse_duration(text.trim())?;
    let bounds =
        Duration::from_millis(PROBE_EVERY_MS_MIN)..=Duration::from_millis(PROBE_EVERY_MS_MAX);
    if !bounds.contains(&every) {
        return Err("it must be from 1s to 24h".to_owned());
    }
    Ok(every)
}

impl Up {
    /// The same without a worker of its own.
    pub(crate) fn without_worker(self) -> Self {
        Self { no_worker: true, ..self }
    }

    /// Which LangFlow belongs to this server, if any.
    fn plan(&self) -> LangFlowPlan {
        if self.with_langflow {
            return LangFlowPlan::Own { python: self.langflow_python.clone() };
        }
        let named = self.langflow_url.clone();
        let (url, key) = match named {
            Some(url) => (Some(url), self.langflow_api_key.clone()),
            None => (env("LANGFLOW_API_URL"), env("LANGFLOW_API_KEY")),
        };
        match url {
            // The originals' variable had the API's path in it.
            Some(url) => LangFlowPlan::Given {
                url: url.trim_end_matches('/').trim_end_matches("/api/v1").to_owned(),
                api_key: key,
            },
            None => LangFlowPlan::None,
        }
    }
}

/// Everything that runs, in the order of its start.
struct Server {
    home: Home,
    log: SharedLog,
    projections: Projections,
    spark: Spark,
    api: JoinHandle<()>,
    stop_api: oneshot::Sender<()>,
    companion: Option<Companion>,
    _lock: std::fs::File,
}

/// Starts the server, and ends it in order when it is told to.
pub(crate) async fn run(up: Up, global: &Global, out: &Out) -> Result<Exit> {
    let begun = Instant::now();
    up.logs.start(out);
    settings::old::notes().iter().for_each(|note| out.note(note));
    private_files();
    let home = global.home();
    home.create()?;
    let lock = lock::take(&home)?;
    home.whole()?;
    let listener = listen(&up.host, up.port).await?;
    let address = listener.local_addr()?;
    let mut signals = signals::Signals::new()?;
    let plan = up.plan();
    let given_key = global.given_key();
    let drift_every = up.drift_every;
    let has_worker = !up.no_worker;
    let server = start(up, home, lock, listener, given_key.clone()).await?;
    match OtlpConfig::from_env(env, env!("CARGO_PKG_VERSION")) {
        Ok(Some(traces)) => server.spark.export_traces(traces),
        Ok(None) => {}
        Err(error) => out.note(&error.to_string()),
    }
    if let Some(DriftEvery(every)) = drift_every {
        server.spark.set_drift_every(every);
    }
    let banner = Banner {
        url: url_of(address),
        open_to_others: !address.ip().is_loopback(),
        home: server.home.clone(),
        key_given: given_key.is_some(),
        langflow: plan.clone(),
        has_worker,
        took: begun.elapsed(),
    };
    out.note(&banner.text());
    let mut server = server;
    server.companion = langflow::start(plan, &server.home, &server.spark, &server.projections, out);
    signals.first().await;
    out.note("stopping; ctrl-c again ends it at once, which loses nothing either");
    signals.exit_on_next();
    stop(server, out).await;
    out.note("stopped");
    Ok(Exit::Ok)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server owns the API's task, and its stop ends it"
)]
async fn start(
    up: Up,
    home: Home,
    lock: std::fs::File,
    listener: TcpListener,
    given_key: Option<String>,
) -> Result<Server> {
    let key = match given_key {
        Some(key) => key,
        None => home.key_or_new()?,
    };
    let clock: SharedClock = Arc::new(SystemClock);
    let (path, log_clock) = (home.events(), Arc::clone(&clock));
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(&path, log_clock)).await?;
    let log: SharedLog =
        Arc::new(opened.map_err(|error| unusable("event log", &home.events(), &error))?);
    let projections = Projections::start(home.reads(), Arc::clone(&log)).map_err(|error| {
        unusable("read models", &home.reads(), &error)
            .then("move that file away; it is built again from the event log at the next start")
    })?;
    let config = SparkConfig {
        log: Arc::clone(&log),
        clock,
        data_dir: home.dir().to_owned(),
        worker_slots: if up.no_worker { 0 } else { up.slots },
        worker_lost_after: up.worker_lost_after,
        probe_every: up.probe_every,
        hostname: hostname(),
    };
    let spark = Box::pin(Spark::start(config)).await.map_err(|error| {
        Trouble::new(Exit::Failed, "the server could not start from its event log")
            .because(error.to_string())
            .then("run it again with AUTOMAGIK_LOG_LEVEL=debug, and look at what it says last")
    })?;
    let url = url_of(listener.local_addr()?);
    let app = App {
        spark: spark.clone(),
        projections: projections.clone(),
        live: Live::new(Arc::clone(&log)),
        metrics: Metrics::new(
            vec![("log", home.events()), ("read_models", home.reads())],
            up.open_metrics,
            env!("CARGO_PKG_VERSION"),
        ),
        keys: AuthKeys::local(&key),
        access: Access {
            cors: up.cors.unwrap_or_default(),
            rates: Rates::new(up.rate_limit.unwrap_or_default()),
        },
        version: env!("CARGO_PKG_VERSION"),
    };
    let (stop_api, stopped) = oneshot::channel();
    // A dropped sender means the same as a sent word: stop.
    let until = async move { drop(stopped.await) };
    let api = tokio::spawn(spark_api::run(listener, app, until));
    home.write_server(&ServerFile { url, pid: std::process::id() })?;
    Ok(Server { home, log, projections, spark, api, stop_api, companion: None, _lock: lock })
}

/// The ordered end: first nobody asks any more, then nothing is done any more, then everything
/// that was done is stored.
async fn stop(server: Server, out: &Out) {
    out.note("  no new requests, and tasks under way come to an end");
    server.home.remove_server();
    drop(server.stop_api);
    // Both at once: a request that waits for a task is answered only when the tasks end.
    let (api, ()) = tokio::join!(server.api, Box::pin(server.spark.shutdown()));
    if let Err(error) = api {
        tracing::error!(%error, "the API ended in disorder");
    }
    if let Some(companion) = server.companion {
        if companion.ours {
            out.note("  LangFlow stops");
        }
        companion.stop().await;
    }
    out.note("  read models catch up");
    server.projections.stop().await;
    out.note("  the event log closes");
    let close = tokio::time::timeout(Duration::from_millis(LOG_CLOSE_MS_MAX), server.log.close());
    if close.await.is_err() {
        tracing::error!("the event log took too long to close; what was acknowledged is stored");
    }
}

/// A file that the server cannot be started with.
pub(crate) fn unusable(
    what: &str,
    path: &std::path::Path,
    error: &dyn std::error::Error,
) -> Trouble {
    let mut trouble =
        Trouble::new(Exit::Failed, format!("cannot open the {what} {}", path.display()));
    let mut cause = Some(error);
    while let Some(inner) = cause {
        trouble = trouble.because(inner.to_string());
        cause = inner.source();
    }
    trouble
}

/// Every file that this process makes from now on is its owner's alone.
pub(crate) fn private_files() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

#[cfg(unix)]
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
pub(crate) fn hostname() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

/// The folder that LangFlow's files lie in, for whoever asks before it runs.
fn langflow_folder(home: &Home) -> PathBuf {
    home.dir().join("langflow")
}
