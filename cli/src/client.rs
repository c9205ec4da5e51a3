//! The HTTP client of the REST API. Owns the key, the address, read-your-writes and the
//! translation of answers to [`Trouble`]; knows no command.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use spark_events::limits::{CLI_ANSWER_MS_MAX, CLI_CONNECT_MS_MAX, PAGE_MAX};

use crate::exit::{Exit, Trouble};
use crate::output::text;
use crate::settings::target::is_local;

mod events;
mod refusal;

use events::Events;

/// How far the log was with our last write.
const POSITION: &str = "x-spark-position";
/// How far the read models must be for the answer to a read.
const MIN_POSITION: &str = "x-spark-min-position";
/// Why something is changed.
const REASON: &str = "x-spark-reason";

/// What makes a repeated request the same request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Where the server is, and how to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Base URL.
    pub(crate) server: String,
    /// The API key, if one was found.
    pub(crate) key: Option<String>,
    /// Why no key is sent, where none is.
    pub(crate) no_key: String,
    /// Whether the server is the one of the data directory.
    pub(crate) is_here: bool,
    /// Why, for the history of what is changed.
    pub(crate) reason: Option<String>,
    /// Where its address and its key were found.
    pub(crate) named: Named,
}

/// Where the address and the key of a server were found, for who has to mend them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// The place of the address; none where it is the server that runs over the data directory.
    pub(crate) server: Option<String>,
    /// The profile, where it named the server.
    pub(crate) profile: Option<String>,
    /// The place of the key that is sent.
    pub(crate) key: String,
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    target: Target,
    position: Mutex<Option<String>>,
}

/// Names and values behind the question mark.
pub(crate) type Query<'a> = &'a [(&'a str, String)];

impl Client {
    /// A client; does not connect yet.
    pub(crate) fn new(target: Target) -> Result<Self> {
        let base = parse_base(&target.server)?;
        let local = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        // Redirects are not followed: the key would go wherever they point.
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("automagik/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(CLI_CONNECT_MS_MAX))
            .redirect(reqwest::redirect::Policy::none());
        if local {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Without TLS no certificates are needed, and reading the system's takes time.
            builder = builder.tls_certs_only(Vec::new());
        }
        let http = builder.build().context("cannot set up the HTTP client")?;
        Ok(Self { http, base, target, position: Mutex::default() })
    }

    /// The server's base URL.
    pub(crate) fn server(&self) -> &str {
        &self.target.server
    }

    /// Whether it would talk to this server with this key.
    pub(crate) fn is_of(&self, target: &Target) -> bool {
        self.target.server == target.server && self.target.key == target.key
    }

    /// Whether what is sent can be read on the way, and leaves this machine.
    pub(crate) fn is_clear_text_to_others(&self) -> bool {
        self.base.scheme() == "http" && !is_local(&self.base)
    }

    /// Reads `/api/v1/<path>`.
    pub(crate) async fn get(&self, path: &[&str], query: Query<'_>) -> Result<Value> {
        self.call(Method::GET, &self.api(path, query), None, 0).await
    }

    /// Reads with a time that the server may take beyond the usual.
    pub(crate) async fn get_within(
        &self,
        path: &[&str],
        query: Query<'_>,
        extra_ms: u64,
    ) -> Result<Value> {
        self.call(Method::GET, &self.api(path, query), None, extra_ms).await
    }

    /// Reads a path outside the versioned API. An answer 503 is data here: health says why.
    pub(crate) async fn health(&self) -> Result<Value> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/health", self.base.path().trim_end_matches('/')));
        let response = self.send(Method::GET, &url, None, 0).await?;
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.json(response).await,
            _ => self.answer(response).await,
        }
    }

    /// Listens to events as they happen. A connection that says nothing for so long is dead.
    pub(crate) async fn listen(
        &self,
        path: &[&str],
        query: Query<'_>,
        silence: Duration,
    ) -> Result<Events> {
        let url = self.api(path, query);
        let mut request = self.http.get(url).header("accept", "text/event-stream");
        if let Some(key) = &self.target.key {
            request = request.header("x-api-key", key);
        }
        let sent = tokio::time::timeout(Duration::from_millis(CLI_ANSWER_MS_MAX), request.send());
        let late = |_| Trouble::new(Exit::Failed, format!("no answer from {}", self.target.server));
        let response =
            sent.await.map_err(late)?.map_err(|error| self.target.unreachable(&error))?;
        if response.status() != StatusCode::OK {
            // Reads the problem and makes an error of it.
            self.answer(response).await?;
            let what = format!("{} answers, but not with events", self.target.server);
            return Err(Trouble::new(Exit::Failed, what).into());
        }
        Ok(Events::new(response, self.target.clone(), silence))
    }

    /// Sends a body with `POST`.
    pub(crate) async fn post(&self, path: &[&str], body: Value) -> Result<Value> {
        self.call(Method::POST, &self.api(path, &[]), Some(body), 0).await
    }

    /// Sends JSON that is written already with `POST`; the answer is the caller's to judge.
    ///
    /// # Errors
    /// What went wrong on the way; see [`Self::unreachable`].
    pub(crate) async fn post_bytes(
        &self,
        path: &[&str],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Response, reqwest::Error> {
        let request = self.request(Method::POST, &self.api(path, &[]), None, 0);
        request.timeout(timeout).header(CONTENT_TYPE, "application/json").body(body).send().await
    }

    /// Why nothing came back.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        self.target.unreachable(error)
    }

    /// What an answer says that is no success.
    pub(crate) fn refusal(&self, status: StatusCode, problem: Option<&Value>) -> Trouble {
        self.target.refused(status, problem)
    }

    /// Sends a body with `POST`, once however often it is repeated with the same key.
    pub(crate) async fn post_once(
        &self,
        path: &[&str],
        body: Value,
        key: Option<&str>,
    ) -> Result<Value> {
        let Some(key) = key else { return self.post(path, body).await };
        let value = HeaderValue::from_str(key).map_err(|_| {
            Trouble::usage("the idempotency key cannot be sent")
                .because("it has characters other than printable ASCII")
                .then("a UUID is a good one: --idempotency-key \"$(uuidgen)\"")
        })?;
        let request = self.request(Method::POST, &self.api(path, &[]), Some(body), 0);
        let sent = request.header(IDEMPOTENCY_KEY, value).send().await;
        self.answer(sent.map_err(|error| self.target.unreachable(&error))?).await
    }

    /// Changes fields with `PATCH`.
    pub(crate) async fn patch(&self, path: &[&str], body: Value) -> Result<Value> {
        self.call(Method::PATCH, &self.api(path, &[]), Some(body), 0).await
    }

    /// The same with something behind the question mark.
    pub(crate) async fn patch_with(
        &self,
        path: &[&str],
        query: Query<'_>,
        body: Value,
    ) -> Result<Value> {
        self.call(Method::PATCH, &self.api(path, query), Some(body), 0).await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Value> {
        self.delete_with(path, &[]).await
    }

    /// Removes something, in a certain way.
    pub(crate) async fn delete_with(&self, path: &[&str], query: Query<'_>) -> Result<Value> {
        self.call(Method::DELETE, &self.api(path, query), None, 0).await
    }

    /// Reads a list, page after page, up to `limit` rows: one envelope that holds all of them.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: Query<'_>,
        limit: usize,
    ) -> Result<Value> {
        self.list_from(path, query, limit, "cursor").await
    }

    /// The same where the next page is asked for by another name than `cursor`.
    pub(crate) async fn list_from(
        &self,
        path: &[&str],
        query: Query<'_>,
        limit: usize,
        cursor_name: &str,
    ) -> Result<Value> {
        let mut all: Option<Value> = None;
        let mut cursor: Option<String> = None;
        loop {
            let held = all.as_ref().map_or(0, |all| rows(all).len());
            let mut query = query.to_vec();
            query.push(("limit", limit.saturating_sub(held).clamp(1, PAGE_MAX).to_string()));
            if let Some(cursor) = cursor.take() {
                query.push((cursor_name, cursor));
            }
            let page = self.get(path, &query).await?;
            let next = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            let got = rows(&page).len();
            let merged = merge(all.take(), page);
            let full = rows(&merged).len() >= limit;
            match next {
                Some(next) if got > 0 && !full => cursor = Some(next),
                _ => return Ok(merged),
            }
            all = Some(merged);
        }
    }

    fn api(&self, path: &[&str], query: Query<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn call(
        &self,
        method: Method,
        url: &Url,
        body: Option<Value>,
        extra_ms: u64,
    ) -> Result<Value> {
        let response = self.send(method, url, body, extra_ms).await?;
        self.answer(response).await
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<Value>,
        extra_ms: u64,
    ) -> Result<Response> {
        let request = self.request(method, url, body, extra_ms);
        request.send().await.map_err(|error| self.target.unreachable(&error).into())
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        body: Option<Value>,
        extra_ms: u64,
    ) -> RequestBuilder {
        let read = method == Method::GET;
        let timeout = Duration::from_millis(CLI_ANSWER_MS_MAX.saturating_add(extra_ms));
        let mut request = self.http.request(method, url.clone()).timeout(timeout);
        if let Some(key) = &self.target.key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        // The header takes UTF-8; a line break it would not take.
        let reason = self.target.reason.as_deref().filter(|_| !read).map(text::one_line);
        if let Some(reason) = reason.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
        {
            request = request.header(REASON, reason);
        }
        let position = self.position.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(position) = position.filter(|_| read) {
            request = request.header(MIN_POSITION, position);
        }
        request
    }

    async fn answer(&self, response: Response) -> Result<Value> {
        if let Some(position) = response.headers().get(POSITION).and_then(|at| at.to_str().ok()) {
            let mut held = self.position.lock().unwrap_or_else(PoisonError::into_inner);
            *held = Some(position.to_owned());
        }
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        if status.is_success() {
            return self.json(response).await;
        }
        let text = response.text().await.unwrap_or_default();
        let problem = serde_json::from_str(&text).ok();
        Err(self.target.refused(status, problem.as_ref()).into())
    }

    async fn json(&self, response: Response) -> Result<Value> {
        let text = response.text().await.map_err(|error| self.target.unreachable(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| {
            let what = format!("{} answers, but not as Spark does", self.target.server);
            Trouble::new(Exit::Failed, what)
                .because("the answer is not JSON")
                .then("check the address: --server URL, or AUTOMAGIK_URL")
                .into()
        })
    }
}

/// The rows of a list, whether in an envelope or bare.
pub(crate) fn rows(list: &Value) -> &[Value] {
    let items = list.get("items").and_then(Value::as_array).or_else(|| list.as_array());
    items.map_or(&[], Vec::as_slice)
}

/// A page behind those before it; the envelope is the last page's.
fn merge(before: Option<Value>, mut page: Value) -> Value {
    if let Some(before) = before {
        let mut items = rows(&before).to_vec();
        items.extend_from_slice(rows(&page));
        page["limit"] = items.len().into();
        page["items"] = items.into();
    }
    page
}

/// The base URL of a server.
pub(crate) fn parse_base(server: &str) -> Result<Url, Trouble> {
    let bad = |why: String| {
        Trouble::usage(format!("{server:?} is not the URL of a server"))
            .because(why)
            .then("write it like http://127.0.0.1:8888")
    };
    // What the parser says of it ("relative URL without a base") helps nobody.
    let url = Url::parse(server).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| bad("it must begin with http:// or https:// and name a host".into()))
}

#[cfg(test)]
pub(crate) mod tests;
