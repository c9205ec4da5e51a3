//! Sources: connecting, probing, changing. Sources and flows have neither timers nor effects, so
//! they need no actor: a shell is loaded, asked and dropped, and the expected revision keeps two
//! callers apart.

use std::time::Duration;

use ractor::ActorRef;
use spark_events::domain::failure::Failure;
use spark_events::domain::source::{Probe, Source, SourceAdded, SourceCommand, SourceUpdated};
use spark_events::limits::{FIND_CANDIDATES_MAX, SOURCE_RUNS_DEFAULT};
use spark_events::{Aggregate, FlowId, Position, SourceId, StreamName};
use tokio::task::AbortHandle;

use crate::aggregate::{Patience, Shell};
use crate::carried::carried;
use crate::catalog::{Catalog, SourceEntry, is_up};
use crate::client::SourceClient;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::http_flows::check_request;
use crate::langflow::LangFlow;
use crate::requests::{AddRequest, AddSource, Done, KeyChange, UpdateSource, Who};
use crate::spark::Spark;
use crate::tasks::TasksMessage;

/// The loop that probes the sources, and what changing them needs.
pub(crate) struct Sources {
    context: Shared,
    tasks: ActorRef<TasksMessage>,
    prober: AbortHandle,
    /// Adding and renaming sources is done by one caller at a time, because a name and a URL may
    /// be taken only once and no stream guards that.
    naming: tokio::sync::Mutex<()>,
}

impl Sources {
    pub(crate) fn start(
        context: Shared,
        tasks: ActorRef<TasksMessage>,
        probe_every: Duration,
    ) -> Self {
        let looped = context.clone();
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and aborted at the end")]
        let prober = tokio::spawn(async move {
            loop {
                tokio::time::sleep(probe_every).await;
                for (id, _) in looped.catalog.sources() {
                    if let Err(error) = probe(&looped, id, &Who::system()).await {
                        tracing::debug!(source = %id, %error, "a source could not be probed");
                    }
                }
            }
        })
        .abort_handle();
        Self { context, tasks, prober, naming: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn stop(&self) {
        self.prober.abort();
    }

    /// Waits until no other caller adds, changes or seals sources.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.naming.lock().await
    }

    /// Tells the queue what it needs to know of a source.
    fn tell(&self, source: SourceId, entry: &SourceAdded) {
        let (runs_max, labels) = (entry.runs_max, entry.worker_labels.clone());
        let _ = self.tasks.cast(TasksMessage::SetSource { source, runs_max, labels });
    }
}

impl Spark {
    /// Connects a source. It is probed first and refused with the reason when it does not answer
    /// as LangFlow or refuses the key.
    ///
    /// # Errors
    /// `Invalid` (URL), `Conflict` (name or URL taken), `Source`, `Rejected`, `Unavailable`,
    /// `ShuttingDown`.
    pub async fn add_source(
        &self,
        request: AddSource,
        who: &Who,
    ) -> Result<Done<SourceId>, DispatchError> {
        let _permit = self.admit()?;
        let Sources { context, naming, .. } = self.source_keeper();
        let http = context.catalog.http().clone();
        let client = SourceClient::new(http, &request.kind, &request.url, request.api_key.clone())
            .map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let url = client.url().to_owned();
        let name = request.name.unwrap_or_else(|| default_name(&url));
        let first = request.request.map(|request| AddRequest {
            name: name.clone(),
            request,
            ..AddRequest::default()
        });
        if let Some(first) = &first {
            check_request(&request.kind, &name, &first.request)?;
        }
        let _one_at_a_time = naming.lock().await;
        let id = SourceId::random();
        check_free(&context.catalog, id, &name, &url)?;
        let found = client.probe().await;
        let capabilities = found.map_err(|failure| refused(&url, failure))?;
        let api_key = request.api_key.as_ref().map(|key| context.catalog.sealer().seal(key));
        let added = SourceAdded {
            name,
            url,
            kind: request.kind,
            api_key: api_key.transpose()?,
            runs_max: request.runs_max.unwrap_or(SOURCE_RUNS_DEFAULT),
            worker_labels: request.worker_labels.unwrap_or_default(),
            probe: Probe::Up { capabilities },
        };
        let command = SourceCommand::Add(Box::new(added));
        let mut position = change_source(context, id, command, who).await?;
        self.limit_from_catalog(id);
        if let Some(first) = first {
            position = self.add_request(id, first, who).await?.position.or(position);
        }
        Ok(Done { value: id, position })
    }

    /// Changes a source. A new URL or key is probed first.
    ///
    /// # Errors
    /// As [`Self::add_source`], and `NotFound`.
    pub async fn update_source(
        &self,
        id: SourceId,
        request: UpdateSource,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let Sources { context, naming, .. } = self.source_keeper();
        let entry = context.catalog.source(id)?;
        let http = context.catalog.http().clone();
        let url = request.url.as_deref().unwrap_or(&entry.source.url);
        let key = match (&request.api_key, &entry.source.api_key) {
            (KeyChange::Set(key), _) => Some(key.clone()),
            (KeyChange::Keep, Some(sealed)) => context.catalog.sealer().open_key(sealed),
            (KeyChange::Keep, None) | (KeyChange::Remove, _) => None,
        };
        let client = SourceClient::new(http, &entry.source.kind, url, key)
            .map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let _one_at_a_time = naming.lock().await;
        let name = request.name.as_deref().unwrap_or(&entry.source.name);
        check_free(&context.catalog, id, name, client.url())?;
        let probed = if request.url.is_some() || request.api_key != KeyChange::Keep {
            let found = client.probe().await;
            Some(found.map_err(|failure| refused(client.url(), failure))?)
        } else {
            None
        };
        let sealer = context.catalog.sealer();
        let (api_key, api_key_removed) = match &request.api_key {
            KeyChange::Keep => (None, false),
            KeyChange::Set(key) => (Some(sealer.seal(key)?), false),
            KeyChange::Remove => (None, true),
        };
        let patch = SourceUpdated {
            name: request.name,
            url: request.url.map(|_| client.url().to_owned()),
            api_key,
            api_key_removed,
            runs_max: request.runs_max,
            worker_labels: request.worker_labels,
        };
        let mut position = change_source(context, id, SourceCommand::Update(patch), who).await?;
        if let Some(capabilities) = probed {
            let command = SourceCommand::RecordProbe(Probe::Up { capabilities });
            let who = who.without_condition();
            position = change_source(context, id, command, &who).await?.or(position);
        }
        self.limit_from_catalog(id);
        Ok(Done { value: (), position })
    }

    /// Probes a source now and records what is found, when that is news.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`. A source that is down is no error.
    pub async fn probe_source(&self, id: SourceId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let position = probe(&self.source_keeper().context, id, who).await?;
        Ok(Done { value: (), position })
    }

    /// Forgets a source. Its flows must be deleted first.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Unavailable`, `ShuttingDown`.
    pub async fn remove_source(&self, id: SourceId, who: &Who) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let context = &self.source_keeper().context;
        let flows = context.catalog.names_of_flows(id);
        if !flows.is_empty() {
            return Err(DispatchError::Conflict(format!(
                "{} flow(s) use this source: {}; delete them first (automagik flow delete), or all \
                 at once with their schedules (automagik source remove --force)",
                flows.len(),
                listed(&flows)
            )));
        }
        let position = change_source(context, id, SourceCommand::Remove, who).await?;
        Ok(Done { value: (), position })
    }

    /// The flows of a source that are known here.
    #[must_use]
    pub fn flows_of_source(&self, id: SourceId) -> Vec<FlowId> {
        self.source_keeper().context.catalog.flows_of(id).into_values().collect()
    }

    fn limit_from_catalog(&self, id: SourceId) {
        if let Ok(entry) = self.source_keeper().context.catalog.source(id) {
            self.source_keeper().tell(id, &entry.source);
        }
    }
}

/// Loads an aggregate, asks it, and gives its state afterwards.
pub(crate) async fn change<A: Aggregate>(
    context: &Shared,
    stream: StreamName,
    command: A::Command,
    who: &Who,
) -> Result<(A, Option<Position>), crate::aggregate::ShellError<A::Rejection>> {
    let mut shell = Shell::<A>::new(context.log.clone(), context.clock.clone(), stream);
    shell.recover(Patience::FailFast).await?;
    let executed =
        shell.execute_at(who.expects, command, &who.metadata(), Patience::FailFast).await?;
    Ok((shell.state().clone(), executed.position))
}

/// Changes a source, in the log and then in the catalog.
pub(crate) async fn change_source(
    context: &Shared,
    id: SourceId,
    command: SourceCommand,
    who: &Who,
) -> Result<Option<Position>, DispatchError> {
    let (context, who) = (context.clone(), who.clone());
    carried(async move {
        let changed = change::<Source>(&context, id.stream(), command, &who).await;
        let (source, position) = changed.map_err(|error| DispatchError::of(error, "source", id))?;
        match source {
            Source::Connected(source) => context.catalog.put_source(id, *source),
            Source::Absent | Source::Removed => context.catalog.drop_source(id),
        }
        Ok(position)
    })
    .await
}

async fn probe(
    context: &Shared,
    id: SourceId,
    who: &Who,
) -> Result<Option<Position>, DispatchError> {
    let entry = context.catalog.source(id)?;
    let probe = match entry.client.as_ref() {
        Ok(client) => match client.probe().await {
            Ok(capabilities) => Probe::Up { capabilities },
            Err(Failure { class, message, .. }) => Probe::Down { class, message },
        },
        Err(error) => {
            let class = spark_events::domain::failure::FailureClass::Auth;
            Probe::Down { class, message: error.clone() }
        }
    };
    if is_up(&probe) != is_up(&entry.source.probe) {
        let name = &entry.source.name;
        tracing::info!(source = %name, up = is_up(&probe), "a source changed its state");
    }
    change_source(context, id, SourceCommand::RecordProbe(probe), who).await
}

/// The client of a LangFlow server, for what no other server has: flows to list and to sync.
pub(crate) fn client(entry: &SourceEntry) -> Result<LangFlow, DispatchError> {
    let name = &entry.source.name;
    match entry.client.clone() {
        Ok(SourceClient::LangFlow(client)) => Ok(client),
        Ok(SourceClient::Http(_)) => Err(DispatchError::Conflict(format!(
            "source {name} is of the kind http and has no flows to list or sync; what is run \
             there is a request of yours: automagik source add-request {name}"
        ))),
        Err(why) => Err(DispatchError::Invalid(format!("source {name}: {why}"))),
    }
}

pub(crate) fn refused(source_name: &str, failure: Failure) -> DispatchError {
    DispatchError::Source { source_name: source_name.to_owned(), failure: Box::new(failure) }
}

fn check_free(catalog: &Catalog, id: SourceId, name: &str, url: &str) -> Result<(), DispatchError> {
    match catalog.source_like(id, name, url) {
        None => Ok(()),
        Some(other) => Err(DispatchError::Conflict(format!(
            "source {} has the URL {} already; change it with: automagik source update {}",
            other.name, other.url, other.name
        ))),
    }
}

/// The first of many names.
fn listed(names: &[String]) -> String {
    let mut text = names[..names.len().min(FIND_CANDIDATES_MAX)].join(", ");
    if names.len() > FIND_CANDIDATES_MAX {
        text.push_str(" and others");
    }
    text
}

/// The host and port of a URL, as the name of a source that was given none.
fn default_name(url: &str) -> String {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}
