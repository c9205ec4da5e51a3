//! Where spans are sent, by the variables that OpenTelemetry names, and the sending: in batches, over
//! OTLP as protobuf over HTTP. A collector that does not answer costs its spans and a warning now and
//! then, and nothing else.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use spark_events::limits;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::connection::root_cause;

/// The name under which spans appear unless it is said otherwise.
const SERVICE: &str = "automagik-spark";
/// How often it is told, at most, that spans were lost.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Where spans are sent, and as whose.
#[derive(Clone)]
pub struct OtlpConfig {
    url: reqwest::Url,
    /// May hold secrets.
    headers: HeaderMap,
    resource: Vec<(String, String)>,
}

impl std::fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpConfig").field("collector", &self.collector()).finish_non_exhaustive()
    }
}

/// Why spans cannot be sent as the environment asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {why}; no traces are sent")]
pub struct BadOtlp {
    variable: &'static str,
    why: String,
}

impl OtlpConfig {
    /// What the variables ask for (`OTEL_EXPORTER_OTLP_ENDPOINT`, `.._TRACES_ENDPOINT`,
    /// `.._HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SDK_DISABLED`,
    /// `OTEL_TRACES_EXPORTER`); `None` where they ask for nothing. `version` is the program's.
    ///
    /// # Errors
    /// A variable that cannot be used.
    pub fn from_env(
        get: impl Fn(&str) -> Option<String>,
        version: &str,
    ) -> Result<Option<Self>, BadOtlp> {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let is = |name, wanted: &str| get(name).is_some_and(|v| v.eq_ignore_ascii_case(wanted));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let (variable, url) = match (get(TRACES), get(ENDPOINT)) {
            (Some(url), _) => (TRACES, url),
            (None, Some(base)) => (ENDPOINT, format!("{}/v1/traces", base.trim_end_matches('/'))),
            (None, None) => return Ok(None),
        };
        let bad = |variable, why: &str| BadOtlp { variable, why: why.to_owned() };
        let url = reqwest::Url::parse(url.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| bad(variable, "is no http or https URL"))?;
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            if get(name).is_some_and(|protocol| protocol != "http/protobuf") {
                return Err(bad(name, "is not http/protobuf, which is all that is spoken here"));
            }
        }
        let mut headers = HeaderMap::new();
        for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            for (key, value) in pairs(&get(name).unwrap_or_default()) {
                let header = HeaderName::from_bytes(key.as_bytes()).ok();
                let value = HeaderValue::from_str(&value).ok();
                let why = "is no list of headers such as x-token=abc,x-tenant=1";
                let (header, mut value) = header.zip(value).ok_or_else(|| bad(name, why))?;
                value.set_sensitive(true);
                headers.insert(header, value);
            }
        }
        let mut resource = pairs(&get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let named =
            |resource: &[(String, String)], name| resource.iter().any(|(key, _)| key == name);
        if let Some(service) = get("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), service));
        }
        for (name, value) in [("service.name", SERVICE), ("service.version", version)] {
            if !named(&resource, name) {
                resource.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Some(Self { url, headers, resource }))
    }

    /// Where it is, as it may be shown: a password or a token may stand in the rest of the URL.
    fn collector(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{host}{port}", self.url.scheme())
    }

    fn resource(&self) -> Resource {
        let attributes = self.resource.iter().map(|(key, value)| text(key, value)).collect();
        Resource { attributes, ..Resource::default() }
    }
}

/// `a=1,b=2`, with values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        Some((key.trim().to_owned(), unescaped(value.trim())))
    };
    text.split(',').filter_map(pair).collect()
}

/// Undoes percent-encoding; what is none stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An attribute.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// An attribute that is a number.
pub(super) fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Sends spans until it is told to stop or nobody can send any more; then what is left, once.
pub(super) async fn export(
    config: OtlpConfig,
    http: reqwest::Client,
    mut spans: mpsc::Receiver<Span>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut sender = Sender { config, http, lost: 0, warned: None };
    let mut batch = Vec::new();
    loop {
        let mut due = None;
        let open = loop {
            let room = limits::TRACE_BATCH_SPANS_MAX - batch.len();
            if room == 0 {
                break true;
            }
            let wait = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                biased;
                stop = stopping.wait_for(|stop| *stop) => {
                    drop(stop);
                    break false;
                }
                count = spans.recv_many(&mut batch, room) => {
                    if count == 0 {
                        break false;
                    }
                    let delay = Duration::from_millis(limits::TRACE_DELAY_MS_MAX);
                    due.get_or_insert_with(|| Instant::now() + delay);
                }
                () = tokio::time::sleep_until(wait), if due.is_some() => break true,
            }
        };
        if !open {
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
            }
        }
        if !batch.is_empty() {
            sender.send(std::mem::take(&mut batch)).await;
        }
        if !open {
            return;
        }
    }
}

struct Sender {
    config: OtlpConfig,
    http: reqwest::Client,
    /// Spans that were lost since it was last told.
    lost: usize,
    warned: Option<Instant>,
}

impl Sender {
    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len();
        let scope =
            InstrumentationScope { name: SERVICE.to_owned(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(self.config.resource());
        let all = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
        let body = ExportTraceServiceRequest { resource_spans: vec![all] }.encode_to_vec();
        let sent = self
            .http
            .post(self.config.url.clone())
            .headers(self.config.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .timeout(Duration::from_millis(limits::TRACE_SEND_MS_MAX))
            .body(body)
            .send()
            .await;
        let why = match sent {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => format!("it answered {}", answer.status()),
            Err(error) => root_cause(&error),
        };
        self.lost += count;
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            let collector = self.config.collector();
            let lost = std::mem::take(&mut self.lost);
            tracing::warn!(collector, lost, why, "the collector of traces did not take spans");
            self.warned = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, BadOtlp> {
        let get = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        OtlpConfig::from_env(get, "1.2.3")
    }

    #[test]
    fn nothing_is_sent_unless_it_is_asked_for() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert!(config(&[]).unwrap().is_none());
        assert!(config(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
        assert!(config(&[base, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        assert!(config(&[base, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
        assert!(config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
    }

    #[test]
    fn the_variables_say_where_and_as_whose() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        let one = config(&[base]).unwrap().unwrap();
        assert_eq!(one.url.as_str(), "http://c:4318/v1/traces");
        assert_eq!(one.resource[0], ("service.name".to_owned(), SERVICE.to_owned()));
        assert_eq!(one.resource[1], ("service.version".to_owned(), "1.2.3".to_owned()));
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/in");
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=b,team=a%20b");
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc, x-tenant=1");
        let all = [base, whole, attributes, headers, ("OTEL_SERVICE_NAME", "mine")];
        let two = config(&all).unwrap().unwrap();
        assert_eq!(two.url.as_str(), "https://t/in");
        assert_eq!(two.headers["authorization"], "Basic abc");
        assert!(two.headers["x-tenant"].is_sensitive());
        let own = |name: &str| two.resource.iter().filter(|(key, _)| key == name).count();
        assert_eq!((own("service.name"), own("team")), (1, 1));
        assert!(two.resource.contains(&("team".to_owned(), "a b".to_owned())));
        assert!(!format!("{two:?}").contains("abc"), "a header may be a secret");
    }

    #[test]
    fn only_the_host_of_the_collector_is_shown() {
        let url = "https://me:hush@c.example:4318/in/hush?token=hush";
        let config = config(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)]).unwrap().unwrap();
        assert_eq!(config.collector(), "https://c.example:4318");
        let shown = format!("{config:?}");
        assert!(shown.contains("c.example") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (variables, name) in [
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (vec![base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (vec![base, ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")], "OTEL_EXPORTER_OTLP_HEADERS"),
        ] {
            let error = config(&variables).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.ends_with("no traces are sent"), "{error}");
        }
    }
}
