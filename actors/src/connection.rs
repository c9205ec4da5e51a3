//! A connection to one server: sends with the key, bounds time and size, and maps what goes wrong on
//! the way to a `Failure`. Knows nothing of what is asked and answered.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::source::KeyHeader;
use spark_events::domain::trace::TraceParent;
use spark_events::limits;

use crate::langflow::{BadUrl, Secret};

mod mask;

/// The header by which a server is told for which run it works (W3C Trace Context).
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// A key as it is sent.
#[derive(Clone)]
struct Key {
    name: HeaderName,
    /// Marked as sensitive, made once and not per request.
    value: HeaderValue,
    /// The key again, to find and mask it should the server repeat it.
    secret: Secret,
}

impl Key {
    fn new(secret: Secret, header: &KeyHeader) -> Result<Self, BadUrl> {
        let (name, text) = match header {
            KeyHeader::Bearer => ("authorization", format!("Bearer {}", secret.expose())),
            KeyHeader::Header(name) => (name.as_str(), secret.expose().to_owned()),
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadUrl::Key)?;
        let mut value = HeaderValue::from_str(&text).map_err(|_| BadUrl::Key)?;
        value.set_sensitive(true);
        Ok(Self { name, value, secret })
    }
}

/// One server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    http: reqwest::Client,
    /// Without a trailing slash.
    url: Arc<str>,
    key: Option<Key>,
    /// The run that is worked for, as it is told to the server.
    place: Option<HeaderValue>,
    /// What should be running there, for messages.
    server: &'static str,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection to the server at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL is not http or https or has more than host, port and path; the key cannot be sent.
    pub(crate) fn new(
        http: reqwest::Client,
        url: &str,
        api_key: Option<Secret>,
        header: &KeyHeader,
        server: &'static str,
    ) -> Result<Self, BadUrl> {
        let url = url.trim();
        let bad = |reason: &dyn std::fmt::Display| BadUrl::NotAUrl {
            url: url.to_owned(),
            reason: reason.to_string(),
        };
        let parsed = reqwest::Url::parse(url).map_err(|error| bad(&error))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(BadUrl::Scheme(parsed.scheme().to_owned()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(BadUrl::UserInfo);
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(BadUrl::Query);
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(bad(&"it has no host"));
        }
        let key = api_key.filter(|key| !key.expose().is_empty());
        let key = key.map(|key| Key::new(key, header)).transpose()?;
        let url = parsed.as_str().trim_end_matches('/').into();
        Ok(Self { http, url, key, place: None, server })
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_json(&self) -> bool {
        self.content_type.starts_with("application/json")
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) failure: Failure,
    /// Whether the request may have reached the server. If not, nothing happened there.
    pub(crate) sent: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        error.failure
    }
}

impl Connection {
    /// A request with the key and without a time limit. `path` is empty or begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(place) = &self.place {
            request = request.header(TRACE_PARENT, place.clone());
        }
        match &self.key {
            Some(key) => request.header(key.name.clone(), key.value.clone()),
            None => request,
        }
    }

    /// Tells the server with every request for which run it is.
    pub(crate) fn set_place(&mut self, place: Option<TraceParent>) {
        // Digits and dashes, which any header can carry.
        self.place = place.and_then(|place| HeaderValue::from_str(&place.to_string()).ok());
    }

    /// The base URL, without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The key that goes along.
    pub(crate) fn api_key(&self) -> Option<&Secret> {
        self.key.as_ref().map(|key| &key.secret)
    }

    /// Whether a key goes along.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Sends and reads the whole answer, whatever its status.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, CallError> {
        let response = self.open(request).await?;
        self.read(response).await
    }

    /// Sends and returns as soon as the head of the answer is there.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response, CallError> {
        request.send().await.map_err(|error| self.broken(&error))
    }

    /// Reads the rest of an answer, up to the bound.
    pub(crate) async fn read(&self, mut response: Response) -> Result<Answer, CallError> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let mut answer = Answer {
            status,
            content_type: header(headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
            location: header(headers, LOCATION).map(str::to_owned),
            retry_after_ms: header(headers, RETRY_AFTER).and_then(retry_after),
            body: Vec::new(),
        };
        let expected = response.content_length().unwrap_or(0);
        if expected > limits::RESPONSE_BYTES_MAX as u64 {
            return Err(self.too_large());
        }
        answer.body.reserve_exact(usize::try_from(expected).unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if answer.body.len() + chunk.len() > limits::RESPONSE_BYTES_MAX {
                return Err(self.too_large());
            }
            answer.body.extend_from_slice(&chunk);
        }
        if status >= 400 {
            self.mask_key(&mut answer.body);
        }
        Ok(answer)
    }

    /// Replaces the key in what the server said, should it repeat it.
    pub(crate) fn mask_key(&self, body: &mut Vec<u8>) {
        let Some(key) = &self.key else { return };
        if let Some(masked) = mask::masked(body, key.secret.expose().as_bytes()) {
            *body = masked;
        }
    }

    pub(crate) fn too_large(&self) -> CallError {
        let message = format!(
            "{} answered with more than {} MiB",
            self.url,
            limits::RESPONSE_BYTES_MAX / (1024 * 1024)
        );
        CallError { failure: Failure::new(FailureClass::TooLarge, message), sent: true }
    }

    /// What a connection's trouble means. Refused and silent alike mean "not up": a LangFlow that
    /// starts first refuses connections and then accepts them without answering.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> CallError {
        let (url, server, cause) = (&self.url, self.server, root_cause(error));
        let message = if error.is_connect() && error.is_timeout() {
            format!("{url} took no connection in time; is {server} running there?")
        } else if error.is_connect() {
            format!("{url} cannot be reached: {cause}; is {server} running there?")
        } else if error.is_timeout() {
            format!("{url} gave no answer in time; it may be starting or overloaded")
        } else if error.is_builder() {
            let message = format!("the request to {url} could not be made: {cause}");
            return CallError {
                failure: Failure::new(FailureClass::BadInput, message),
                sent: false,
            };
        } else {
            format!("the connection to {url} broke off: {cause}")
        };
        let failure = Failure::new(FailureClass::Unreachable, message);
        CallError { failure, sent: !error.is_connect() }
    }
}

/// What was at the bottom of it.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn header(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Seconds only: LangFlow sends no dates, and a date would need a clock that agrees.
fn retry_after(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok()?.checked_mul(1_000)
}
