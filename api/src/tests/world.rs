//! A Spark on a log in memory with two sources, two flows, and a way to ask the API.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use spark_actors::{Spark, SparkConfig, Who};
use spark_events::codec::DomainEvent;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::flow::{FlowEvent, FlowSynced};
use spark_events::domain::source::{Probe, SealedKey, SourceAdded, SourceEvent};
use spark_events::log::memory::MemoryLog;
use spark_events::{
    ExpectedRevision, FlowId, NewEvent, Payload, SharedLog, SourceId, StreamName, SystemClock, ids,
};
use spark_projections::Projections;
use warp::http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::Incoming;
use crate::openapi::tests::conform;
use crate::{Access, App, AuthKeys, Live, Metrics};

pub(crate) const KEY: &str = "test-key";

pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) source: SourceId,
    pub(crate) flow: FlowId,
    dir: tempfile::TempDir,
}

/// An answer, its body read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// The code of a problem, which must have this status.
    #[track_caller]
    pub(crate) fn code(self, status: u16) -> String {
        let json = self.expect(status);
        assert_eq!(json["status"], status, "{json}");
        json["code"].as_str().unwrap().to_owned()
    }
}

async fn append<E: DomainEvent>(log: &SharedLog, stream: StreamName, event: &E) {
    let (event_type, schema_version, data) = event.encode().unwrap();
    let id = ids::new_uuid();
    let event =
        NewEvent { id, event_type, schema_version, data, metadata: Who::system().metadata() };
    log.append(&stream, ExpectedRevision::NoStream, vec![event]).await.unwrap();
}

/// A source where nothing listens.
fn added(name: &str, port: u16, api_key: Option<SealedKey>) -> SourceEvent {
    SourceEvent::Added(Box::new(SourceAdded {
        name: name.to_owned(),
        url: format!("http://127.0.0.1:{port}"),
        kind: spark_events::domain::source::SourceKind::Langflow,
        api_key,
        runs_max: 4,
        worker_labels: spark_events::domain::labels::Labels::default(),
        probe: Probe::Down { class: FailureClass::Unreachable, message: "refused".to_owned() },
    }))
}

fn flow(source_id: SourceId, remote_id: &str, name: &str) -> FlowEvent {
    FlowEvent::Synced(Box::new(FlowSynced {
        source_id,
        remote_id: remote_id.to_owned(),
        name: name.to_owned(),
        description: String::new(),
        folder: None,
        input_component: None,
        output_component: None,
        components: Vec::new(),
        definition: Payload::Inline(serde_json::json!({ "nodes": [] })),
        definition_hash: "00".to_owned(),
    }))
}

pub(crate) const REMOTE_ID: &str = "7f0c9a52-6f0e-4b8e-9d8a-2f6f2f1a0b01";

/// Everything is in the log before Spark starts, as after a restart.
pub(crate) async fn world() -> World {
    world_with(Access::default()).await
}

/// The same, open to these pages and so often.
pub(crate) async fn world_with(access: Access) -> World {
    let clock = Arc::new(SystemClock);
    let log: SharedLog = Arc::new(MemoryLog::new(clock.clone()));
    let (source, keyed) = (SourceId::random(), SourceId::random());
    append(&log, source.stream(), &added("home", 1, None)).await;
    let key = SealedKey("not to be seen".to_owned());
    append(&log, keyed.stream(), &added("keyed", 2, Some(key))).await;
    let id = FlowId::of_remote(source, REMOTE_ID);
    append(&log, id.stream(), &flow(source, REMOTE_ID, "nightly report")).await;
    let other = FlowId::of_remote(source, "other");
    append(&log, other.stream(), &flow(source, "other", "hourly")).await;
    let dir = tempfile::tempdir().unwrap();
    World { app: app(&dir, log, access).await, source, flow: id, dir }
}

/// A Spark over a log, its read model caught up.
async fn app(dir: &tempfile::TempDir, log: SharedLog, access: Access) -> Arc<App> {
    let spark = Spark::start(SparkConfig {
        log: Arc::clone(&log),
        clock: Arc::new(SystemClock),
        data_dir: dir.path().to_owned(),
        worker_slots: 4,
        worker_lost_after: std::time::Duration::from_secs(30),
        probe_every: std::time::Duration::from_secs(60),
        hostname: "test".to_owned(),
    });
    let spark = spark.await.unwrap();
    let projections = Projections::start(dir.path().join("reads.db"), log).unwrap();
    let live = Live::new(Arc::clone(spark.log()));
    let metrics = Metrics::new(Vec::new(), false, "0.0.0");
    let keys = AuthKeys::local(KEY);
    let app = App { spark, projections, live, metrics, keys, access, version: "0.0.0" };
    let head = app.spark.log().head().await.unwrap();
    app.wait_for(head).await.unwrap();
    Arc::new(app)
}

impl World {
    /// The same log under a new Spark.
    pub(crate) async fn restarted(self) -> Self {
        let Self { app: old, source, flow, dir } = self;
        old.spark.shutdown().await;
        let log = Arc::clone(old.spark.log());
        drop(old);
        World { app: app(&dir, log, Access::default()).await, source, flow, dir }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("x-api-key", KEY.as_bytes())], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Value>) -> Answer {
        let body: Value = body.into();
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send("POST", path, &[("x-api-key", KEY.as_bytes())], &body).await
    }

    /// Asks below `/api/v1` with any headers and any body, in pieces of a few bytes.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Answer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_bytes(value).unwrap())
        });
        let pieces =
            body.chunks(64 * 1024).map(|piece| Ok::<_, String>(Bytes::copy_from_slice(piece)));
        let incoming = Incoming {
            method: method.parse().unwrap(),
            path: format!("/api/v1{path}"),
            query: query.to_owned(),
            headers: headers.collect(),
            peer: Some(std::net::IpAddr::from([192, 0, 2, 1])),
            body: futures_util::stream::iter(pieces.collect::<Vec<_>>()),
        };
        let (method, path) = (method.to_owned(), incoming.path.clone());
        let answer = read(self.app.respond(incoming).await).await;
        conform::answer(&method, &path, answer.status, &answer.headers, &answer.json);
        answer
    }
}

async fn read(response: warp::reply::Response) -> Answer {
    use hyper::body::Body;
    let (parts, body) = response.into_parts();
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        if let Ok(data) = frame.unwrap().into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let json = match kind.is_some_and(|kind| kind.ends_with("json")) {
        true => serde_json::from_slice(&bytes).unwrap(),
        false => Value::Null,
    };
    Answer { status: parts.status.as_u16(), headers: parts.headers, json }
}
