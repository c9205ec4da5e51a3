//! The LangFlow that a scenario runs against: the fake one, or a real one that
//! `langflow/serve.sh` starts. Both are asked over HTTP, and both keep a key.
//!
//! What is here must hold for both; what only the fake can do is behind [`Target::fake`].

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_langflow::{FakeLangFlow, Options, Profile};
use crate::plain_http::{self, Answer};

mod real;

use real::RealLangFlow;

/// The key of the fake.
const FAKE_KEY: &str = "sk-fake-key-of-the-scenarios";

enum Kind {
    Fake(FakeLangFlow),
    Real(Mutex<Option<RealLangFlow>>),
}

/// A LangFlow server with the flows of `make_flows.py`, which takes no call without a key.
pub struct Target {
    kind: Kind,
    url: String,
    key: String,
}

impl Target {
    /// A fake of the newest generation.
    pub async fn start_fake() -> Self {
        Self::start_fake_of(Profile::V1_13).await
    }

    /// A fake of this generation.
    pub async fn start_fake_of(profile: Profile) -> Self {
        Self::start_fake_with(Options { profile, ..Options::default() }).await
    }

    /// A fake of the newest generation that listens on this address.
    pub async fn start_fake_on(ip: Ipv4Addr) -> Self {
        Self::start_fake_with(Options { ip, ..Options::default() }).await
    }

    async fn start_fake_with(options: Options) -> Self {
        let options = Options { api_key: Some(FAKE_KEY.to_owned()), ..options };
        let fake = FakeLangFlow::start(options).await;
        Self { url: fake.url(), key: FAKE_KEY.to_owned(), kind: Kind::Fake(fake) }
    }

    /// A real one; installs it, where that was not done before.
    pub async fn start_real() -> Self {
        let real = RealLangFlow::install_and_start().await;
        let (url, key) = (real.url(), real.key().to_owned());
        Self { kind: Kind::Real(Mutex::new(Some(real))), url, key }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A key that it takes.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The fake, if it is one.
    #[must_use]
    pub fn fake(&self) -> Option<&FakeLangFlow> {
        match &self.kind {
            Kind::Fake(fake) => Some(fake),
            Kind::Real(_) => None,
        }
    }

    /// The shortest distance of a schedule whose runs it keeps up with, in seconds.
    #[must_use]
    pub fn beat(&self) -> u64 {
        match &self.kind {
            Kind::Fake(_) => 1,
            Kind::Real(_) => 3,
        }
    }

    /// Stops it. What it knows stays.
    pub async fn stop(&self) {
        match &self.kind {
            Kind::Fake(fake) => fake.stop().await,
            Kind::Real(real) => {
                let mut server = real.lock().expect("no panic while it was held").take();
                if let Some(server) = server.as_mut() {
                    server.stop().await;
                }
                *real.lock().expect("no panic while it was held") = server;
            }
        }
    }

    /// Starts it again on the same address.
    pub async fn start(&self) {
        match &self.kind {
            Kind::Fake(fake) => fake.restart().await,
            Kind::Real(real) => {
                let mut server = real.lock().expect("no panic while it was held").take();
                if let Some(server) = server.as_mut() {
                    server.start_again().await;
                }
                *real.lock().expect("no panic while it was held") = server;
            }
        }
    }

    /// Makes a further key; gives its id and the key.
    ///
    /// # Panics
    /// When it does not.
    pub async fn new_key(&self) -> (String, String) {
        let made = self.call("POST", "/api/v1/api_key/", &json!({ "name": "further" })).await;
        assert_eq!(made.status, 200, "{made:?}");
        let made = made.json();
        let text = |name: &str| made[name].as_str().expect("a new key has an id").to_owned();
        (text("id"), text("api_key"))
    }

    /// Deletes a key, as its owner would in the settings.
    ///
    /// # Panics
    /// When it does not.
    pub async fn delete_key(&self, id: &str) {
        let path = format!("/api/v1/api_key/{id}");
        let answer = self.call("DELETE", &path, &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// What it says of a background job.
    ///
    /// # Panics
    /// When it knows no such job.
    pub async fn job_status(&self, job_id: &str) -> String {
        let path = format!("/api/v2/workflows?job_id={job_id}");
        let answer = self.call("GET", &path, &Value::Null).await;
        let status = answer.json()["status"].as_str().map(str::to_owned);
        status.unwrap_or_else(|| panic!("job {job_id}: {answer:?}"))
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("x-api-key", self.key()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let sent = plain_http::send(&self.url, method, path, &headers, body);
        match tokio::time::timeout(Duration::from_secs(120), sent).await {
            Ok(answer) => answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")),
            Err(_) => panic!("{method} {path}: LangFlow does not answer"),
        }
    }
}

/// A file to which a `slow` run appends a line at its end: a witness that is not Spark's.
pub struct Marker(PathBuf);

impl Marker {
    /// A file in this folder, which does not exist yet.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        Self(folder.join(name))
    }

    /// The value of the option `--tweak` that names it to the run.
    #[must_use]
    pub fn tweak(&self) -> String {
        format!("SlowEcho-00001.marker={}", self.0.display())
    }

    /// The inputs of the runs that ended, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(|line| line.trim_start_matches("done ").to_owned()).collect()
    }
}
