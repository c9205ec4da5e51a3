//! The LangFlow that belongs to this server: started or waited for in the background, connected
//! as source `langflow`, given a first flow where it has none. Owns the order of these steps. Whatever
//! fails here is said and tried again; the server itself never waits for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use spark_actors::langflow::{LangFlow, Secret, http_client};
use spark_actors::{AddSource, DispatchError, KeyChange, Spark, SyncFlow, UpdateSource, Who};
use spark_events::SourceId;
use spark_events::domain::failure::FailureClass;
use spark_events::limits::{LANGFLOW_BACKOFF_MS_MAX, LANGFLOW_BACKOFF_MS_MIN};
use spark_projections::{Found, Projections};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::banner::{self, LangFlowPlan};
use crate::home::Home;
use crate::langflow_server::{LangFlowServer, Options};
use crate::output::Out;

/// The name of its source.
const SOURCE: &str = "langflow";

/// The name of its first flow.
const HELLO: &str = "hello-spark";

/// Runs beside the server until it is stopped.
pub(crate) struct Companion {
    /// Whether there is a process of ours to be ended.
    pub(crate) ours: bool,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Companion {
    /// Ends what it runs.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the companion of LangFlow ended in disorder");
        }
    }
}

/// What the steps need.
struct Connection {
    spark: Spark,
    projections: Projections,
    marker: std::path::PathBuf,
    out: Out,
}

/// Starts what the plan asks for.
#[expect(
    clippy::disallowed_methods,
    reason = "the companion owns the task, and the server's stop ends it"
)]
pub(crate) fn start(
    plan: LangFlowPlan,
    home: &Home,
    spark: &Spark,
    projections: &Projections,
    out: &Out,
) -> Option<Companion> {
    let connection = Connection {
        spark: spark.clone(),
        projections: projections.clone(),
        marker: home.dir().join("langflow-source"),
        out: out.clone(),
    };
    let ours = matches!(plan, LangFlowPlan::Own { .. });
    let (stop, stopped) = oneshot::channel();
    let task = match plan {
        LangFlowPlan::None => return None,
        LangFlowPlan::Given { url, api_key } => {
            tokio::spawn(async move { given(&connection, url, api_key, stopped).await })
        }
        LangFlowPlan::Own { python } => {
            let options = Options { data_dir: home.dir().to_owned(), python };
            tokio::spawn(async move { own(&connection, options, stopped).await })
        }
    };
    Some(Companion { ours, stop, task })
}

/// A LangFlow that somebody else runs: connected as soon as it answers.
async fn given(
    connection: &Connection,
    url: String,
    api_key: Option<String>,
    mut stopped: oneshot::Receiver<()>,
) {
    tokio::select! {
        _ = &mut stopped => {}
        () = connection.connect_until_done(&url, api_key.as_deref(), false) => {}
    }
}

/// A LangFlow of our own: kept running until the server stops.
async fn own(connection: &Connection, options: Options, mut stopped: oneshot::Receiver<()>) {
    let say = Arc::new(connection.out.clone());
    let started =
        LangFlowServer::start(options, move |line| say.note(&format!("langflow: {line}")));
    let started = tokio::select! {
        _ = &mut stopped => return,
        started = started => started,
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            connection.out.note(&format!("langflow: {}", causes.join(": ")));
            connection.out.note(
                "langflow: Spark runs without it; mend this, then stop and start: automagik up",
            );
            return;
        }
    };
    tracing::debug!(log = %server.log_path().display(), "LangFlow is up");
    let (url, key) = (server.url().to_owned(), server.api_key().to_owned());
    tokio::select! {
        _ = &mut stopped => {}
        () = connection.connect_until_done(&url, Some(&key), true) => { let _ = stopped.await; }
    }
    server.stop().await;
}

impl Connection {
    /// Tries until it is connected, or until trying again makes no sense.
    async fn connect_until_done(&self, url: &str, key: Option<&str>, ours: bool) {
        let mut pause_ms = LANGFLOW_BACKOFF_MS_MIN;
        loop {
            match Box::pin(self.connect(url, key, ours)).await {
                Ok(hello) => return self.tell(url, hello),
                Err(error) if !comes_back(&error) => {
                    self.out.note(&format!("langflow: {error}"));
                    let known = self.known_name(url).await;
                    self.out.note(&remedy(url, known.as_deref()));
                    return;
                }
                Err(error) if pause_ms == LANGFLOW_BACKOFF_MS_MIN => {
                    self.out.note(&format!("langflow: {error}; trying on"));
                }
                Err(error) => tracing::debug!(%error, "LangFlow is not there yet"),
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(LANGFLOW_BACKOFF_MS_MAX);
        }
    }

    /// The name of the source of that URL, where there is one.
    async fn known_name(&self, url: &str) -> Option<String> {
        let id = self.known(url).await.ok().flatten()?;
        Some(self.projections.reads().source(id).await.ok().flatten()?.name)
    }

    fn tell(&self, url: &str, hello: bool) {
        match hello {
            true => self.out.note(&banner::hello(url)),
            false => {
                let program = banner::program();
                self.out.note(&format!(
                    "langflow: {url} is connected; see its flows: {program} flow list --remote"
                ));
            }
        }
    }

    /// Connects it and sees to a first flow. Whether the hello flow is there.
    async fn connect(
        &self,
        url: &str,
        key: Option<&str>,
        ours: bool,
    ) -> Result<bool, DispatchError> {
        let who = Who { reason: Some("started with `automagik up`".into()), ..Who::system() };
        let id = self.register(url, key, &who).await?;
        let flows = self.spark.remote_flows(id, None).await?;
        if let Some(hello) = flows.iter().find(|flow| flow.name == HELLO) {
            if hello.synced_as.is_none() {
                self.sync(id, &hello.id, &who).await?;
            }
            return Ok(true);
        }
        let used = flows.iter().any(|flow| flow.synced_as.is_some());
        // A LangFlow that has flows and belongs to somebody is left as it is.
        if used || !(ours || flows.is_empty()) {
            return Ok(false);
        }
        let internal = |error: String| DispatchError::Internal(error);
        let http = http_client().map_err(|error| internal(error.to_string()))?;
        let langflow = LangFlow::new(http, url, key.map(|key| Secret::new(key.to_owned())))
            .map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let remote = langflow.create_hello_flow(HELLO).await.map_err(|failure| {
            DispatchError::Source { source_name: SOURCE.to_owned(), failure: Box::new(failure) }
        })?;
        self.sync(id, &remote, &who).await?;
        Ok(true)
    }

    async fn sync(&self, id: SourceId, remote: &str, who: &Who) -> Result<(), DispatchError> {
        let request = SyncFlow { remote: remote.to_owned(), ..SyncFlow::default() };
        self.spark.sync_flow(id, request, who).await.map(drop)
    }

    /// The source, with this address and key. It is changed only where they changed, so that a
    /// start leaves no event that says nothing.
    async fn register(
        &self,
        url: &str,
        key: Option<&str>,
        who: &Who,
    ) -> Result<SourceId, DispatchError> {
        let api_key = key.map(|key| Secret::new(key.to_owned()));
        let Some(id) = self.known(url).await? else {
            let request = AddSource {
                name: Some(SOURCE.to_owned()),
                url: url.to_owned(),
                api_key,
                ..AddSource::default()
            };
            let done = self.spark.add_source(request, who).await?;
            self.mark(done.value, url, key);
            return Ok(done.value);
        };
        if self.marked(id, url, key) {
            self.spark.probe_source(id, who).await?;
            return Ok(id);
        }
        let request = UpdateSource {
            url: Some(url.to_owned()),
            api_key: api_key.map_or(KeyChange::Keep, KeyChange::Set),
            ..UpdateSource::default()
        };
        self.spark.update_source(id, request, who).await?;
        self.mark(id, url, key);
        Ok(id)
    }

    /// The source of that URL, else the one of our name, as far as the log goes now.
    async fn known(&self, url: &str) -> Result<Option<SourceId>, DispatchError> {
        let unread = |error: String| DispatchError::Unavailable { reason: error };
        let head = self.spark.log().head().await?;
        let wait = Duration::from_millis(spark_events::limits::READ_WAIT_MS_MAX);
        self.projections.wait_for(head, wait).await.map_err(|error| unread(error.to_string()))?;
        let reads = self.projections.reads();
        for text in [url, SOURCE] {
            let found = reads.find_source(text).await.map_err(|error| unread(error.to_string()))?;
            if let Found::One(id) = found {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Remembers what the source was given last: a digest, not the key itself.
    fn mark(&self, id: SourceId, url: &str, key: Option<&str>) {
        if let Err(error) = std::fs::write(&self.marker, digest(id, url, key)) {
            tracing::warn!(%error, "cannot remember the key of LangFlow; it is set again at the next start");
        }
    }

    fn marked(&self, id: SourceId, url: &str, key: Option<&str>) -> bool {
        std::fs::read_to_string(&self.marker).is_ok_and(|mark| mark == digest(id, url, key))
    }
}

/// What to do where it makes no sense to try again. A source that is there is not added again.
fn remedy(url: &str, known: Option<&str>) -> String {
    match known {
        Some(name) => format!(
            "langflow: source {name} is as it was; mend this, then: automagik source update {name} \
             --api-key KEY"
        ),
        None => format!(
            "langflow: it is not connected; mend this, then: automagik source add {url} --api-key \
             KEY"
        ),
    }
}

fn digest(id: SourceId, url: &str, key: Option<&str>) -> String {
    use sha2::Digest;
    // As JSON, so that no part can be taken for another.
    let parts: Value = serde_json::json!([id.to_string(), url, key]);
    let sum = sha2::Sha256::digest(parts.to_string());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the same may work later without anybody doing anything.
fn comes_back(error: &DispatchError) -> bool {
    match error {
        DispatchError::Source { failure, .. } => matches!(
            failure.class,
            FailureClass::Unreachable
                | FailureClass::RateLimit
                | FailureClass::Timeout
                | FailureClass::BadAnswer
                | FailureClass::Upstream
        ),
        DispatchError::Overloaded { .. }
        | DispatchError::Timeout { .. }
        | DispatchError::Unanswered { .. }
        | DispatchError::Unavailable { .. } => true,
        DispatchError::Rejected(_)
        | DispatchError::NotFound { .. }
        | DispatchError::Conflict(_)
        | DispatchError::Invalid(_)
        | DispatchError::NotAdmitted(_)
        | DispatchError::WorkerTaken { .. }
        | DispatchError::WorkerGone { .. }
        | DispatchError::Moved { .. }
        | DispatchError::ShuttingDown
        | DispatchError::Internal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_changes_with_each_part_and_holds_no_key() {
        let id = SourceId::random();
        let mark = digest(id, "http://a", Some("secret"));
        assert_eq!(mark, digest(id, "http://a", Some("secret")));
        assert!(!mark.contains("secret") && mark.len() == 64);
        let others = [
            digest(SourceId::random(), "http://a", Some("secret")),
            digest(id, "http://b", Some("secret")),
            digest(id, "http://a", Some("other")),
            digest(id, "http://a", None),
        ];
        assert!(others.iter().all(|other| *other != mark));
    }

    #[test]
    fn a_source_that_is_there_is_to_be_updated_and_not_added_again() {
        let known = remedy("http://a", Some("local"));
        assert!(known.ends_with("automagik source update local --api-key KEY"), "{known}");
        let new = remedy("http://a", None);
        assert!(new.ends_with("automagik source add http://a --api-key KEY"), "{new}");
    }

    #[test]
    fn only_what_may_mend_itself_is_tried_again() {
        use spark_events::domain::failure::Failure;
        let source = |class| DispatchError::Source {
            source_name: SOURCE.to_owned(),
            failure: Box::new(Failure::new(class, "it failed")),
        };
        assert!(comes_back(&source(FailureClass::Unreachable)));
        assert!(comes_back(&source(FailureClass::Upstream)));
        assert!(!comes_back(&source(FailureClass::Auth)));
        assert!(!comes_back(&DispatchError::ShuttingDown));
    }
}
