//! How the process is doing, in the text form that Prometheus reads (OpenMetrics 1.0): what was
//! counted while it happened, and what is looked up when somebody asks. Nothing here costs anything
//! while nobody asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use spark_actors::{Depths, DispatchError};
use spark_events::{Position, limits};
use spark_projections::{Page, SourceFilter, WorkerFilter};
use tokio::sync::{Mutex, Semaphore};

use crate::app::App;
use crate::error::ApiError;

mod process;

/// What the text is.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The source of whatever belongs to none of those that have a name here.
const OTHER: &str = "(other)";
/// What a worker that is there may be doing.
const WORKER_STATUSES: [&str; 4] = ["active", "paused", "draining", "stopping"];

type Real = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Worker {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Store {
    store: &'static str,
}

/// What is told of the process.
pub struct Metrics {
    /// One caller at a time: what is looked up is put into the gauges first.
    gauges: Mutex<Gauges>,
    room: Arc<Semaphore>,
    stores: Vec<(&'static str, PathBuf)>,
    open: bool,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("open", &self.open).finish_non_exhaustive()
    }
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Gauges {
    ours: Registry,
    process: Registry,
    open_tasks: Gauge,
    running_tasks: Gauge,
    later_tasks: Gauge,
    queue_depth: Family<Source, Gauge>,
    source_up: Family<Source, Gauge>,
    active_schedules: Gauge,
    drifted_flows: Gauge,
    crashes: Counter,
    alerts_running: Gauge,
    alert_messages: Gauge,
    workers: Family<Worker, Gauge>,
    listeners: Gauge,
    connections: Gauge,
    log_position: Gauge,
    log_up: Gauge,
    lag_events: Gauge,
    lag_seconds: Real,
    halted: Gauge,
    store_bytes: Family<Store, Gauge>,
    resident: Gauge,
    cpu: Counter<f64, AtomicU64>,
    open_files: Gauge,
}

impl Metrics {
    /// `stores`: the databases by name. `open`: whether no key is needed to ask.
    #[must_use]
    pub fn new(stores: Vec<(&'static str, PathBuf)>, open: bool, version: &'static str) -> Self {
        let mut gauges = Gauges { ours: Registry::with_prefix("spark"), ..Gauges::default() };
        gauges.register(version);
        let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        Self { gauges: Mutex::new(gauges), room, stores, open }
    }

    /// Whether no key is needed to ask.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A permit for each connection.
    pub(crate) fn room(&self) -> Arc<Semaphore> {
        Arc::clone(&self.room)
    }

    /// All of it as text. What cannot be looked up now keeps its last value.
    ///
    /// # Errors
    /// None that is expected.
    pub async fn text(&self, app: &App) -> Result<String, ApiError> {
        let mut gauges = self.gauges.lock().await;
        gauges.look(self, app).await;
        let mut all = String::with_capacity(16 * 1024);
        app.spark
            .meters()
            .write(&mut all)
            .and_then(|()| text::encode_registry(&mut all, &gauges.ours))
            .and_then(|()| text::encode_registry(&mut all, &gauges.process))
            .and_then(|()| text::encode_eof(&mut all))
            .map_err(|error| DispatchError::Internal(format!("numbers have no text: {error}")))?;
        Ok(all)
    }
}

impl Gauges {
    fn register(&mut self, version: &'static str) {
        let to = &mut self.ours;
        to.register("build", "The program", Info::new(vec![("version", version)]));
        let what = "Tasks that have not ended";
        to.register("tasks_open", what, self.open_tasks.clone());
        let what = "Tasks that hold a slot";
        to.register("tasks_running", what, self.running_tasks.clone());
        let what = "Tasks whose next attempt lies ahead";
        to.register("tasks_later", what, self.later_tasks.clone());
        let what = "Tasks that could start if there were a slot, by source";
        to.register("queue_depth", what, self.queue_depth.clone());
        let what = "Whether the last probe found the source up";
        to.register("source_up", what, self.source_up.clone());
        let what = "Schedules with a next instant";
        to.register("schedules_active", what, self.active_schedules.clone());
        let what = "Flows that were changed at their source";
        to.register("flows_drifted", what, self.drifted_flows.clone());
        let what = "Actors that crashed and were started again";
        to.register("actor_crashes", what, self.crashes.clone());
        let what = "Whether the log is followed for alerts";
        to.register("alerts_running", what, self.alerts_running.clone());
        let what = "Messages of alerts that were raised and not delivered yet";
        to.register("alert_messages_waiting", what, self.alert_messages.clone());
        let what = "Workers that are there, by status";
        to.register("workers", what, self.workers.clone());
        let what = "Clients that listen to events";
        to.register("listeners", what, self.listeners.clone());
        let what = "Connections to the API";
        to.register("connections", what, self.connections.clone());
        let what = "Position of the last event";
        to.register("log_position", what, self.log_position.clone());
        let what = "Whether the event log takes writes";
        to.register("log_up", what, self.log_up.clone());
        let what = "Events that the read models do not show yet";
        to.register("projection_lag_events", what, self.lag_events.clone());
        let what = "Age of the oldest event that the read models do not show yet";
        to.register_with_unit("projection_lag", what, Unit::Seconds, self.lag_seconds.clone());
        let what = "Projections that stand still at an event";
        to.register("projections_halted", what, self.halted.clone());
        let what = "Size of a database with its write-ahead log";
        to.register_with_unit("store", what, Unit::Bytes, self.store_bytes.clone());
        let to = &mut self.process;
        let what = "Resident memory";
        to.register_with_unit("process_resident_memory", what, Unit::Bytes, self.resident.clone());
        let what = "Processor time, of user and system";
        to.register_with_unit("process_cpu", what, Unit::Seconds, self.cpu.clone());
        to.register("process_open_fds", "Open files", self.open_files.clone());
    }

    async fn look(&mut self, metrics: &Metrics, app: &App) {
        self.look_at_actors(app);
        self.look_at_log(app).await;
        self.look_at_sources(app).await;
        for status in WORKER_STATUSES {
            let filter =
                WorkerFilter { status: Some(status.to_owned()), ..WorkerFilter::default() };
            let page = Page { limit: 1, ..Page::default() };
            if let Ok(workers) = app.reads().list_workers(filter, page).await {
                self.workers.get_or_create(&Worker { status }).set(signed(workers.total));
            }
        }
        self.listeners.set(signed(app.live.listeners() as u64));
        let connections = limits::CONNECTIONS_MAX.saturating_sub(metrics.room.available_permits());
        self.connections.set(signed(connections as u64));
        for (store, path) in &metrics.stores {
            let bytes = process::size_of_store(path);
            self.store_bytes.get_or_create(&Store { store }).set(signed(bytes));
        }
        if let Some(used) = process::used() {
            self.resident.set(signed(used.resident_bytes));
            self.cpu.inc_by((used.cpu_seconds - self.cpu.get()).max(0.0));
            self.open_files.set(signed(used.open_files));
        }
    }

    fn look_at_actors(&self, app: &App) {
        let health = app.spark.health();
        self.open_tasks.set(signed(health.open_tasks));
        self.running_tasks.set(signed(health.running_tasks));
        self.active_schedules.set(signed(health.active_schedules));
        self.drifted_flows.set(signed(health.drifted_flows));
        self.alerts_running.set(i64::from(health.alerts.running));
        self.alert_messages.set(signed(health.alerts.waiting));
        self.crashes.inc_by(health.crashes.saturating_sub(self.crashes.get()));
        let halted = app.projections.health().iter().filter(|one| one.halted.is_some()).count();
        self.halted.set(signed(halted as u64));
    }

    async fn look_at_log(&self, app: &App) {
        let log = app.spark.log();
        self.log_up.set(i64::from(log.health().trouble.is_none()));
        let Ok(Position(head)) = log.head().await else { return };
        self.log_position.set(signed(head));
        let shown = app.projections.position();
        self.lag_events.set(signed(head.saturating_sub(shown.0)));
        let oldest = if shown.0 < head { log.read_all(shown, 1).await.ok() } else { None };
        let oldest = oldest.as_ref().and_then(|events| events.first());
        let age = oldest.map_or(0.0, |event| (app.now() - event.recorded_at).as_seconds_f64());
        self.lag_seconds.set(age.max(0.0));
    }

    async fn look_at_sources(&self, app: &App) {
        let Depths { ready, later } = app.spark.queue_depths().await.unwrap_or_default();
        self.later_tasks.set(signed(later as u64));
        let page = Page { limit: limits::PAGE_MAX, ..Page::default() };
        let Ok(sources) = app.reads().list_sources(SourceFilter::default(), page).await else {
            return;
        };
        // Sources come and go, and so do their names.
        self.queue_depth.clear();
        self.source_up.clear();
        for source in &sources.items {
            let label = Source { source: source.name.clone() };
            self.source_up.get_or_create(&label).set(i64::from(source.status == "up"));
            self.queue_depth.get_or_create(&label).set(0);
        }
        for (id, depth) in ready {
            let named = sources.items.iter().find(|source| source.id == id);
            if named.is_none() && depth == 0 {
                continue;
            }
            let source = named.map_or(OTHER, |source| source.name.as_str()).to_owned();
            self.queue_depth.get_or_create(&Source { source }).inc_by(signed(depth as u64));
        }
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
