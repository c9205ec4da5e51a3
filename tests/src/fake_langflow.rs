//! A LangFlow server inside the test process, held to recorded answers of the real one
//! (`tests/all/fake_fidelity.rs`).
//!
//! Owns the control surface: start, stop, restart, trouble, and what really ran. It serves ten
//! flows (`echo`, `prompt`, `fail`, `slow`, `busy`, `stream`, `text`, `llm-no-key`, `webhook`,
//! `two-outputs`; on the wire each is named with the prefix `e2e-`), and any flow posted to it
//! that is made of the same components.
//!
//! The server runs on a thread and a runtime of its own: a paused or busy test runtime does not
//! touch it, and stopping it drops every connection at once, as a dying process does.

mod body;
mod call;
mod flows;
mod jobs;
mod library;
mod message;
mod monitor;
mod outcome;
mod plan;
mod routes;
mod run;
mod server;
mod state;
mod stream;
mod trouble;
mod users;
mod v1;
mod v2;
mod v2_body;
mod work;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use trouble::Trouble;

use server::Server;
use state::{State, lock};

/// The name of the only user, for `/api/v1/login`.
pub const USER: &str = "e2e";
/// The password of the only user.
pub const PASSWORD: &str = "fake-password";
/// The secret that stands in the `password: true` field of `llm-no-key`. It must never be seen
/// anywhere but in LangFlow's own answer.
pub const SECRET: &str = "do-not-show-this-provider-key";

/// Which generation of LangFlow is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Everything: v1 run and stream, v2 workflows, traces.
    #[default]
    V1_13,
    /// v1 run and stream; no v2, no traces.
    V1_7,
    /// v1 run only, `/folders/` in place of projects, lists without parameters. Its answers hold
    /// the text once, so it is also the profile for measuring speed.
    V1_0,
}

/// How a fake LangFlow is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The generation to imitate.
    pub profile: Profile,
    /// The key that callers must send. `None`: an open server, which looks at no key.
    pub api_key: Option<String>,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// The address that it listens on; 127.0.0.1 unless said otherwise.
    pub ip: Ipv4Addr,
    /// The least time that any run takes.
    pub latency: Duration,
    /// Chat outputs are filled up to this many bytes.
    pub answer_bytes: Option<usize>,
    /// LangFlow also serves its web pages, which changes what a 404 looks like.
    pub web_pages: bool,
    /// How many background jobs run at once; the others are queued.
    pub jobs_at_once: usize,
    /// The first status read after a stop says `JOB_FAILED`, as the real server does for some
    /// 50 ms.
    pub flicker_after_stop: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            api_key: None,
            port: None,
            ip: Ipv4Addr::LOCALHOST,
            latency: Duration::ZERO,
            answer_bytes: None,
            web_pages: false,
            jobs_at_once: 5,
            flicker_after_stop: false,
        }
    }
}

/// One run that really began, as [`FakeLangFlow::began`] tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Began {
    /// LangFlow's id of the run: trace id and v2 job id.
    pub run_id: String,
    /// The session id of the caller.
    pub session_id: String,
    /// The input, empty where none was given.
    pub input: String,
}

/// A running (or stopped) fake LangFlow. Dropping it stops it.
pub struct FakeLangFlow {
    state: Arc<State>,
    server: Mutex<Option<Server>>,
    address: SocketAddr,
}

impl FakeLangFlow {
    /// Starts a server on 127.0.0.1 that answers as soon as this returns.
    ///
    /// # Panics
    /// When the port cannot be had.
    pub async fn start(options: Options) -> Self {
        let wanted = SocketAddr::from((options.ip, options.port.unwrap_or(0)));
        let listener = server::listen(wanted);
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::new(options, address.port()));
        let server = Server::launch(Arc::clone(&state), listener);
        Self { state, server: Mutex::new(Some(server)), address }
    }

    /// Where it listens: `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port, for a later server on the same address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends the server as `kill -9` would: connections drop, the port refuses, runs in progress
    /// are lost. What it knows (flows, jobs, messages) stays for [`restart`](Self::restart).
    pub async fn stop(&self) {
        self.halt();
    }

    /// Stops it, if it runs, and starts it again on the same address. Jobs that were running are
    /// failed with `worker_lost`; queued ones stay queued for ever, as with the real server.
    pub async fn restart(&self) {
        self.halt();
        let listener = server::listen(self.address);
        let server = Server::launch(Arc::clone(&self.state), listener);
        *lock(&self.server) = Some(server);
    }

    fn halt(&self) {
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.stop();
            self.state.lose_running();
        }
    }

    /// How many times the flow really began to execute, over restarts too.
    #[must_use]
    pub fn runs(&self, flow_name: &str) -> u64 {
        self.state.counters(&wire_name(flow_name)).began()
    }

    /// How many runs of the flow came to a good end.
    #[must_use]
    pub fn completed_runs(&self, flow_name: &str) -> u64 {
        self.state.counters(&wire_name(flow_name)).completed()
    }

    /// The runs of the flow that began, oldest first. Bounded: only the latest are kept.
    #[must_use]
    pub fn began(&self, flow_name: &str) -> Vec<Began> {
        self.state.runs.began(&wire_name(flow_name))
    }

    /// The latest requests, oldest first, as (method, path with query). Bounded.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        self.state.requests()
    }

    /// The latest requests that had a `traceparent`, oldest first, as (path with query, header).
    #[must_use]
    pub fn traced(&self) -> Vec<(String, String)> {
        self.state.traced()
    }

    /// The id of a built-in flow. It is the same on every fake, as if one export had been
    /// imported everywhere.
    ///
    /// # Panics
    /// When there is no such built-in flow.
    #[must_use]
    pub fn flow_id(flow_name: &str) -> String {
        library::id_of(&wire_name(flow_name))
    }

    /// The background jobs as (job id, status), oldest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<(String, String)> {
        self.state.runs.jobs()
    }

    /// Puts the server into trouble, for every request from now on; `Trouble::None` ends it.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.set_trouble_on("", trouble, None);
    }

    /// Trouble only for requests whose path contains `path_part`, and only for the next `times`
    /// of them where that is given.
    pub fn set_trouble_on(&self, path_part: &str, trouble: Trouble, times: Option<u32>) {
        let refuse = matches!(trouble, Trouble::RefuseConnections);
        self.state.troubles.set(path_part, trouble, times);
        if let Some(server) = lock(&self.server).as_ref() {
            server.refuse(refuse);
        }
    }

    /// How many `slow` and `busy` runs are waiting at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.gate.waiting()
    }

    /// Ends the wait of every `slow` and `busy` run that waits now, however long it was to last.
    pub fn release(&self) {
        self.state.gate.release();
    }

    /// Renames a flow, as a user would in the editor.
    pub fn rename_flow(&self, flow_name: &str, new_name: &str) {
        self.state.flows.rename(&wire_name(flow_name), &wire_name(new_name));
    }

    /// Changes a flow, as a user would in the editor. `change` gets all that
    /// `GET /api/v1/flows/{id}` shows.
    pub fn edit_flow(&self, flow_name: &str, change: impl FnOnce(&mut serde_json::Value)) {
        self.state.flows.edit(&wire_name(flow_name), change);
    }

    /// All that the server itself knows of a flow, secrets included.
    ///
    /// # Panics
    /// When it has no such flow.
    #[must_use]
    pub fn flow(&self, flow_name: &str) -> serde_json::Value {
        self.state.flows.full(&wire_name(flow_name)).expect("the server has the flow")
    }

    /// Deletes a flow.
    pub fn remove_flow(&self, flow_name: &str) {
        self.state.flows.remove_named(&wire_name(flow_name));
    }
}

impl Drop for FakeLangFlow {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Names on the wire carry the prefix of `make_flows.py`; callers may leave it out.
fn wire_name(name: &str) -> String {
    if name.starts_with(library::PREFIX) {
        name.to_owned()
    } else {
        format!("{}{name}", library::PREFIX)
    }
}
