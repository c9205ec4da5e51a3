//! How LangFlow is asked: short calls, and answers that must be its JSON. What an answer means is
//! decided in `refusal.rs`, what goes wrong on the way in `connection.rs`.

use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, NoProxy, Proxy, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits;

use super::LangFlow;
use super::refusal::refusal;
pub(super) use crate::connection::{Answer, CallError};

/// Why no HTTP client could be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up: {0}")]
pub struct HttpClientError(#[from] reqwest::Error);

/// The HTTP client that all sources share. It follows redirects only within one server, because
/// the API key goes along, and never uses a proxy for this machine itself.
///
/// # Errors
/// TLS cannot be set up, or a proxy in the environment is no URL.
pub fn http_client() -> Result<reqwest::Client, HttpClientError> {
    Ok(builder()?
        .redirect(Policy::custom(within_one_server))
        .pool_max_idle_per_host(limits::SOURCE_RUNS_MAX as usize)
        .build()?)
}

/// The HTTP client that messages are sent with. It follows no redirect: a signed message goes
/// where its alert says and nowhere else.
///
/// # Errors
/// As [`http_client`].
pub(crate) fn message_client() -> Result<reqwest::Client, HttpClientError> {
    Ok(builder()?
        .redirect(Policy::none())
        .pool_max_idle_per_host(limits::ALERT_SENDS_EACH_MAX)
        .build()?)
}

fn builder() -> Result<reqwest::ClientBuilder, reqwest::Error> {
    // Fails only where a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("automagik-spark/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(limits::SOURCE_CONNECT_MS_MAX))
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_idle_timeout(Duration::from_millis(limits::SOURCE_IDLE_MS_MAX))
        .no_proxy();
    for proxy in proxies()? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// The proxies of the environment, without effect on loopback addresses.
fn proxies() -> Result<Vec<Proxy>, reqwest::Error> {
    let variable = |names: [&str; 2]| {
        let set = names.iter().find_map(|name| std::env::var(name).ok());
        set.filter(|value| !value.is_empty())
    };
    let direct = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let direct = NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{direct}"));
    let all = variable(["all_proxy", "ALL_PROXY"]);
    let http = variable(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone());
    let https = variable(["https_proxy", "HTTPS_PROXY"]).or(all);
    let http = http.map(Proxy::http).transpose()?;
    let https = https.map(Proxy::https).transpose()?;
    Ok(http.into_iter().chain(https).map(|proxy| proxy.no_proxy(direct.clone())).collect())
}

fn within_one_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last();
    let same = from.is_some_and(|from| from.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= limits::SOURCE_REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

impl LangFlow {
    /// A request with the key and without a time limit. `path` begins with a slash.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.connection.request(method, path)
    }

    /// A short call: GET.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        let timeout = Duration::from_millis(limits::SOURCE_CALL_MS_MAX);
        self.request(Method::GET, path).timeout(timeout)
    }

    /// A short call: POST.
    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        let timeout = Duration::from_millis(limits::SOURCE_CALL_MS_MAX);
        self.request(Method::POST, path).timeout(timeout)
    }

    /// Sends and reads the whole answer, whatever its status.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        self.connection.send(request).await
    }

    /// Sends and returns as soon as the head of the answer is there.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, CallError> {
        self.connection.open(request).await
    }

    /// Reads the rest of an answer, up to the bound.
    pub(super) async fn read(&self, response: Response) -> Result<Answer, CallError> {
        self.connection.read(response).await
    }

    /// Replaces the key in what the server said, should it repeat it.
    pub(super) fn mask_key(&self, body: &mut Vec<u8>) {
        self.connection.mask_key(body);
    }

    pub(super) fn too_large(&self) -> CallError {
        self.connection.too_large()
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> CallError {
        self.connection.broken(error)
    }

    /// Sends, and takes only a successful answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let answer = self.send(request).await?;
        self.accept(&answer)
    }

    /// The contents of an answer that must be a success in JSON.
    pub(super) fn accept<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        if !answer.is_success() || !answer.is_json() {
            return Err(refusal(self.url(), answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let message = format!("{} answered with JSON of another shape: {error}", self.url());
            let mut failure = Failure::new(FailureClass::BadAnswer, message);
            failure.status = Some(answer.status);
            failure
        })
    }
}

/// One segment of a path, escaped. `None` for what can be no segment.
pub(super) fn segment(text: &str) -> Option<String> {
    use std::fmt::Write;
    // Dot segments would climb out of the path, escaped or not.
    if text.is_empty() || text.chars().all(|c| c == '.') {
        return None;
    }
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    Some(escaped)
}
