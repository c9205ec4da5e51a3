//! What a fake server knows, shared by its routes and by the test that holds it. Survives a
//! restart. Owns the clock and the ids; never answers a request.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::flows::Flows;
use super::jobs::Runs;
use super::trouble::Troubles;
use super::users::Users;
use super::{Options, Profile};

/// How many requests are remembered.
const REQUESTS_MAX: usize = 10_000;

/// An instant on the fake server's own clock.
pub(super) type Stamp = DateTime<Utc>;

/// Locks, also after a panic elsewhere: the data is only counters and lists.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a task that may outlive its caller. It ends with the server's runtime.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime belongs to one server and dies with it, tasks included"
)]
pub(super) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(task)
}

/// The time, as another machine would tell it.
#[expect(
    clippy::disallowed_methods,
    reason = "a LangFlow server has a clock of its own, which is not Spark's"
)]
pub(super) fn now() -> Stamp {
    Stamp::from(SystemTime::now())
}

/// `2026-11-23 17:12:48.093445 UTC`: messages.
pub(super) fn spaced(at: Stamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f UTC").to_string()
}

/// `2026-11-23T17:12:48.093445Z`: traces and transactions.
pub(super) fn zulu(at: Stamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// `2026-11-23T17:12:52.644054+00:00`: jobs.
pub(super) fn offset(at: Stamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// `2026-11-23T17:12:46+00:00`: flows and keys.
pub(super) fn seconds(at: Stamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// How often a flow ran. Kept by flow name, so that it outlives edits of the flow.
#[derive(Default)]
pub(super) struct Counters {
    began: AtomicU64,
    completed: AtomicU64,
}

impl Counters {
    pub(super) fn began(&self) -> u64 {
        self.began.load(Ordering::SeqCst)
    }

    pub(super) fn completed(&self) -> u64 {
        self.completed.load(Ordering::SeqCst)
    }

    pub(super) fn count_begin(&self) {
        self.began.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn count_completion(&self) {
        self.completed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where slow runs wait: for their time, or until the test releases them.
pub(super) struct Gate {
    waiting: AtomicUsize,
    releases: watch::Sender<u64>,
}

impl Gate {
    fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), releases: watch::Sender::new(0) }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
    }

    pub(super) async fn wait(&self, time: Duration) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let mut released = self.releases.subscribe();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        tokio::select! {
            () = sleep_until(Instant::now() + time) => {}
            _ = released.changed() => {}
        }
    }
}

/// Everything one fake server knows.
pub(super) struct State {
    pub(super) options: Options,
    pub(super) flows: Flows,
    pub(super) runs: Runs,
    pub(super) users: Users,
    pub(super) troubles: Troubles,
    pub(super) gate: Gate,
    requests: Mutex<VecDeque<(String, String, Option<String>)>>,
    counters: Mutex<HashMap<String, Arc<Counters>>>,
    ids: AtomicU64,
    seed: u64,
}

impl State {
    pub(super) fn new(options: Options, port: u16) -> Self {
        Self {
            users: Users::new(options.api_key.clone()),
            flows: Flows::built_in(),
            runs: Runs::new(options.jobs_at_once),
            troubles: Troubles::new(),
            gate: Gate::new(),
            requests: Mutex::new(VecDeque::new()),
            counters: Mutex::new(HashMap::new()),
            ids: AtomicU64::new(0),
            seed: u64::from(port) ^ (u64::from(std::process::id()) << 16),
            options,
        }
    }

    pub(super) fn is(&self, profile: Profile) -> bool {
        self.options.profile == profile
    }

    /// A UUID that no other call, and no other fake of this process, gets.
    pub(super) fn new_id(&self) -> String {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        let high = scramble(self.seed.wrapping_add(count));
        let bytes = (u128::from(high) << 64 | u128::from(scramble(high ^ count))).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    pub(super) fn counters(&self, flow_name: &str) -> Arc<Counters> {
        let mut all = lock(&self.counters);
        if let Some(found) = all.get(flow_name) {
            return Arc::clone(found);
        }
        Arc::clone(all.entry(flow_name.to_owned()).or_default())
    }

    pub(super) fn note_request(&self, method: &str, path: &str, place: Option<&str>) {
        let mut requests = lock(&self.requests);
        if requests.len() == REQUESTS_MAX {
            requests.pop_front();
        }
        requests.push_back((method.to_owned(), path.to_owned(), place.map(str::to_owned)));
    }

    pub(super) fn requests(&self) -> Vec<(String, String)> {
        lock(&self.requests)
            .iter()
            .map(|(method, path, _)| (method.clone(), path.clone()))
            .collect()
    }

    pub(super) fn traced(&self) -> Vec<(String, String)> {
        let requests = lock(&self.requests);
        requests
            .iter()
            .filter_map(|(_, path, place)| Some((path.clone(), place.clone()?)))
            .collect()
    }

    /// What a start after a crash finds.
    pub(super) fn lose_running(&self) {
        self.runs.lose_running();
    }
}

/// The finalizer of SplitMix64: spreads a counter over 64 bits.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Whether a text is a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}
