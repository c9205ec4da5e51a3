//! How the server is asked by a worker: each question once, with what its answer means for asking
//! again. Says when the server is away and when it is back, and not at every question.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use spark_actors::remote::{Poll, Polled, Registered, Registration, Reported};
use spark_events::WorkerId;
use spark_events::limits::{CLI_ANSWER_MS_MAX, WORKER_ANSWER_MS_MAX};
use tokio::time::Instant;

use crate::client::{Client, Target};
use crate::exit::{Exit, Trouble, trouble_of};

/// How long the server has been away when that is said again.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(24 * 3_600),
];

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Unsaid {
    /// None came, or the server cannot take it now: ask again.
    Away(Trouble),
    /// The server does not count on this worker any more.
    Gone(String),
    /// Asking again would not help.
    Refused {
        /// The status of the answer.
        status: u16,
        /// What it said.
        trouble: Trouble,
    },
}

/// Where the server is, looked up anew whenever it is away: a server of the data directory may come
/// back with another address.
type Find = Box<dyn Fn() -> Result<Target, Trouble> + Send + Sync>;

/// The way to the server.
pub(crate) struct Link {
    find: Find,
    client: Mutex<Option<Arc<Client>>>,
    /// Since when the server is away, and how often that was said.
    away: Mutex<Option<(Instant, usize)>>,
}

impl Link {
    /// Asks the server that is found.
    pub(crate) fn new(find: impl Fn() -> Result<Target, Trouble> + Send + Sync + 'static) -> Self {
        Self { find: Box::new(find), client: Mutex::default(), away: Mutex::default() }
    }

    /// The server that was asked last.
    pub(super) fn server(&self) -> String {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.as_ref().map(|client| client.server().to_owned()).unwrap_or_default()
    }

    fn client(&self) -> Result<Arc<Client>, Unsaid> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let target = (self.find)().map_err(Unsaid::Away)?;
        let found = Client::new(target).map_err(|error| Unsaid::Refused {
            status: 0,
            trouble: trouble_of(&error).unwrap_or_else(|| Trouble::failed(error.to_string())),
        })?;
        warn_of_clear_text(&found);
        Ok(client.insert(Arc::new(found)).clone())
    }

    /// Looks whether the server that is away has another address by now.
    fn look_again(&self) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(had), Ok(target)) = (&*client, (self.find)())
            && !had.is_of(&target)
        {
            *client = None;
        }
    }

    pub(super) async fn register(&self, registration: &Registration) -> Result<Registered, Unsaid> {
        self.ask(&["workers"], json(registration)?, answer_ms(0)).await
    }

    pub(super) async fn poll(
        &self,
        id: WorkerId,
        poll: &Poll,
        patience: Duration,
    ) -> Result<Polled, Unsaid> {
        self.ask(&["workers", &id.to_string(), "poll"], json(poll)?, patience).await
    }

    /// Sends reports, which are JSON already.
    pub(super) async fn report(&self, id: WorkerId, body: Vec<u8>) -> Result<Reported, Unsaid> {
        // A large result over a slow line takes its time.
        let patience = Duration::from_millis(CLI_ANSWER_MS_MAX);
        self.ask(&["workers", &id.to_string(), "reports"], body, patience).await
    }

    pub(super) async fn leave(&self, id: WorkerId) -> Result<(), Unsaid> {
        let path = ["workers", &id.to_string(), "leave"];
        self.ask::<serde::de::IgnoredAny>(&path, b"{}".to_vec(), answer_ms(0)).await.map(|_| ())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<T, Unsaid> {
        let client = self.client()?;
        let away = |error: reqwest::Error| Unsaid::Away(client.unreachable(&error));
        let response = client.post_bytes(path, body, patience).await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        if status.is_success() {
            // An answer without a body is `null` for whoever expects nothing.
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|error| Unsaid::Refused {
                status: status.as_u16(),
                trouble: not_spark(&client, &format!("its answer is of another shape: {error}")),
            });
        }
        let problem = serde_json::from_slice::<Value>(&body).ok();
        // Every error of Spark has a code, which nobody else's has.
        let is_spark = problem.as_ref().is_some_and(|problem| problem["code"].is_string());
        let mut trouble = client.refusal(status, problem.as_ref());
        if status == StatusCode::UNAUTHORIZED {
            trouble = trouble.then(
                "a worker on another host has a key of its own: automagik key create NAME --role \
                 worker, on the server",
            );
        }
        Err(match status {
            StatusCode::GONE => Unsaid::Gone(trouble.what),
            // Over other data than it had: it never knew this worker.
            StatusCode::NOT_FOUND if path.len() > 1 && is_spark => Unsaid::Gone(trouble.what),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Unsaid::Away(trouble),
            _ if status.is_server_error() => Unsaid::Away(trouble),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Unsaid::Refused {
                status: status.as_u16(),
                trouble: not_spark(&client, "it takes no workers"),
            },
            _ if !is_spark => Unsaid::Refused {
                status: status.as_u16(),
                trouble: not_spark(&client, &format!("it answered {status} in words of its own")),
            },
            _ => Unsaid::Refused { status: status.as_u16(), trouble },
        })
    }

    /// The server was not there: says so at first, and then rarely.
    pub(super) fn away(&self, trouble: &Trouble) {
        self.look_again();
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, said) = *away.get_or_insert_with(|| (Instant::now(), 0));
        let due = said.checked_sub(1).and_then(|again| AGAIN_AFTER.get(again));
        if said > AGAIN_AFTER.len() || due.is_some_and(|due| since.elapsed() < *due) {
            return;
        }
        let why: String = trouble.why.iter().map(|why| format!(" ({why})")).collect();
        let what = &trouble.what;
        if said == 0 {
            let next: String = trouble.next.iter().map(|next| format!("; {next}")).collect();
            tracing::warn!("{what}{why}; trying until it answers{next}");
        } else {
            let seconds = since.elapsed().as_secs();
            tracing::warn!("{what}{why}; still trying after {seconds} s");
        }
        *away = Some((since, said + 1));
    }

    /// The server answered.
    pub(super) fn back(&self) {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((since, _)) = away {
            let away_s = since.elapsed().as_secs();
            tracing::info!(away_s, "the server answers again");
        }
    }
}

fn not_spark(client: &Client, why: &str) -> Trouble {
    let server = client.server();
    Trouble::new(Exit::Failed, format!("{server} does not answer as this Spark does"))
        .because(why)
        .then("check the address: --server URL, or AUTOMAGIK_URL")
        .then("and that both sides have the same version: automagik --version")
}

/// Orders hold the keys of sources.
fn warn_of_clear_text(client: &Client) {
    if client.is_clear_text_to_others() {
        tracing::warn!(
            "the keys of sources travel in clear to {}: put TLS in front of it (https://), or stay \
             within a network that you trust",
            client.server()
        );
    }
}

/// How long an answer may take that the server may hold back for `wait_ms`.
pub(super) fn answer_ms(wait_ms: u64) -> Duration {
    Duration::from_millis(wait_ms.saturating_add(WORKER_ANSWER_MS_MAX))
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Unsaid> {
    serde_json::to_vec(body).map_err(|error| Unsaid::Refused {
        status: 0,
        trouble: Trouble::failed(format!("a question cannot be written down: {error}")),
    })
}
