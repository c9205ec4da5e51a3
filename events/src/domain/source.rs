//! A source: a server that Spark talks to, LangFlow or any that takes HTTP requests.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use super::failure::FailureClass;
use super::labels::Labels;
use crate::clock::Timestamp;
use crate::ids::SourceId;
use crate::limits;

mod kind;

pub use kind::{BadHttpSettings, HttpSettings, KeyHeader, SourceKind};
pub(crate) use kind::{is_header_name, is_path};

/// A source's API key, sealed. Only its holder can open it; this crate cannot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedKey(pub String);

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedKey(..)")
    }
}

/// What a source was found to offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capabilities {
    /// LangFlow's version, such as `1.13.0`; empty where the source is none.
    pub version: String,
    /// Whether the background job API (v2) can be used.
    pub background_jobs: bool,
    /// Whether runs leave traces that can be fetched.
    pub traces: bool,
    /// Whether a direct run can be streamed, and so be cancelled by closing the connection.
    pub stream: bool,
}

impl Capabilities {
    /// The least that a source can offer: one direct call, which nothing is known about.
    #[must_use]
    pub fn least() -> Self {
        Self { version: String::new(), background_jobs: false, traces: false, stream: false }
    }
}

/// What the last probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Probe {
    /// It answers.
    Up {
        /// What it offers.
        capabilities: Capabilities,
    },
    /// It does not, or refuses the key.
    Down {
        /// In which way.
        class: FailureClass,
        /// What was seen.
        message: String,
    },
}

/// What can be asked of a source.
#[derive(Debug, Clone)]
pub enum SourceCommand {
    /// Connect it. It was probed before.
    Add(Box<SourceAdded>),
    /// Change what is given, keep the rest.
    Update(SourceUpdated),
    /// A probe brought this.
    RecordProbe(Probe),
    /// Forget it.
    Remove,
}

/// Why a source refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceRejection {
    /// There is no such source.
    #[error("there is no such source")]
    Absent,
    /// There is one with this id.
    #[error("a source with this id exists already")]
    Exists,
    /// It was removed.
    #[error("the source was removed; add it again")]
    Removed,
    /// The name is empty or too long.
    #[error("a source's name must have 1 to {max} characters without control characters", max = limits::NAME_BYTES_MAX)]
    BadName,
    /// The limit of runs at once is out of bounds.
    #[error("the limit of runs at once must be from 1 to {max}, got {0}", max = limits::SOURCE_RUNS_MAX)]
    BadRunsMax(u32),
    /// A key cannot be given and taken away at once.
    #[error("a key cannot be set and removed at once; give one of the two")]
    KeySetAndRemoved,
    /// What only a source of the kind `http` has cannot be used.
    #[error(transparent)]
    BadHttpSettings(#[from] BadHttpSettings),
}

/// An event of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceEvent {
    /// It was connected.
    Added(Box<SourceAdded>),
    /// Something about it was changed.
    Updated(SourceUpdated),
    /// A probe found it otherwise than the one before.
    Probed(SourceProbed),
    /// It was forgotten.
    Removed(SourceRemoved),
}

/// See [`SourceEvent::Added`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceAdded {
    /// A name for people, unique among sources.
    pub name: String,
    /// Base URL without a trailing slash.
    pub url: String,
    /// What kind of server it is. Never changes.
    #[serde(default, skip_serializing_if = "SourceKind::is_langflow")]
    pub kind: SourceKind,
    /// The API key, if one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SealedKey>,
    /// Runs at once.
    pub runs_max: u32,
    /// What a worker must have to make its calls.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub worker_labels: Labels,
    /// What the probe found.
    pub probe: Probe,
}

/// See [`SourceEvent::Updated`]. `None` means unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceUpdated {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The new API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SealedKey>,
    /// Whether the key was taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api_key_removed: bool,
    /// The new limit of runs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_max: Option<u32>,
    /// What a worker must have from now on to make its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_labels: Option<Labels>,
}

/// See [`SourceEvent::Probed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceProbed {
    /// What was found.
    pub probe: Probe,
}

/// See [`SourceEvent::Removed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRemoved {}

/// A source: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Source {
    /// Before its first event.
    #[default]
    Absent,
    /// Connected. The newest value of every field.
    Connected(Box<SourceAdded>),
    /// Forgotten.
    Removed,
}

impl Source {
    fn connected(&self) -> Result<&SourceAdded, SourceRejection> {
        match self {
            Self::Absent => Err(SourceRejection::Absent),
            Self::Removed => Err(SourceRejection::Removed),
            Self::Connected(source) => Ok(source),
        }
    }
}

fn check_name(name: &str) -> Result<(), SourceRejection> {
    let length = 1..=limits::NAME_BYTES_MAX;
    if !length.contains(&name.trim().len()) || name.chars().any(char::is_control) {
        return Err(SourceRejection::BadName);
    }
    Ok(())
}

fn check_runs_max(runs_max: u32) -> Result<(), SourceRejection> {
    if !(1..=limits::SOURCE_RUNS_MAX).contains(&runs_max) {
        return Err(SourceRejection::BadRunsMax(runs_max));
    }
    Ok(())
}

impl Aggregate for Source {
    const CATEGORY: &'static str = SourceId::CATEGORY;
    type Command = SourceCommand;
    type Event = SourceEvent;
    type Rejection = SourceRejection;

    fn decide(
        &self,
        command: SourceCommand,
        _now: Timestamp,
    ) -> Result<Vec<SourceEvent>, SourceRejection> {
        match command {
            SourceCommand::Add(added) => {
                if *self != Self::Absent {
                    return Err(SourceRejection::Exists);
                }
                check_name(&added.name)?;
                check_runs_max(added.runs_max)?;
                if let SourceKind::Http(settings) = &added.kind {
                    settings.check()?;
                }
                Ok(vec![SourceEvent::Added(added)])
            }
            SourceCommand::Update(patch) => {
                let current = self.connected()?;
                patch.name.as_deref().map_or(Ok(()), check_name)?;
                patch.runs_max.map_or(Ok(()), check_runs_max)?;
                if patch.api_key_removed && patch.api_key.is_some() {
                    return Err(SourceRejection::KeySetAndRemoved);
                }
                if patched(current.clone(), &patch) == *current {
                    return Ok(vec![]);
                }
                Ok(vec![SourceEvent::Updated(patch)])
            }
            SourceCommand::RecordProbe(probe) => {
                if self.connected()?.probe == probe {
                    return Ok(vec![]);
                }
                Ok(vec![SourceEvent::Probed(SourceProbed { probe })])
            }
            SourceCommand::Remove => match self {
                Self::Removed => Ok(vec![]),
                Self::Absent | Self::Connected(_) => {
                    self.connected()?;
                    Ok(vec![SourceEvent::Removed(SourceRemoved {})])
                }
            },
        }
    }

    fn evolve(self, event: &SourceEvent) -> Self {
        match (self, event) {
            (Self::Absent, SourceEvent::Added(added)) => Self::Connected(added.clone()),
            (Self::Connected(source), SourceEvent::Updated(patch)) => {
                Self::Connected(Box::new(patched(*source, patch)))
            }
            (Self::Connected(mut source), SourceEvent::Probed(e)) => {
                source.probe = e.probe.clone();
                Self::Connected(source)
            }
            (Self::Connected(_), SourceEvent::Removed(_)) => Self::Removed,
            (state, _) => state,
        }
    }
}

fn patched(mut source: SourceAdded, patch: &SourceUpdated) -> SourceAdded {
    if let Some(name) = &patch.name {
        source.name.clone_from(name);
    }
    if let Some(url) = &patch.url {
        source.url.clone_from(url);
    }
    if patch.api_key_removed {
        source.api_key = None;
    }
    if let Some(api_key) = &patch.api_key {
        source.api_key = Some(api_key.clone());
    }
    if let Some(runs_max) = patch.runs_max {
        source.runs_max = runs_max;
    }
    if let Some(worker_labels) = &patch.worker_labels {
        source.worker_labels.clone_from(worker_labels);
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fold;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn up(version: &str) -> Probe {
        let version = version.into();
        let capabilities =
            Capabilities { version, background_jobs: true, traces: true, stream: true };
        Probe::Up { capabilities }
    }

    fn added() -> SourceAdded {
        SourceAdded {
            name: "local".into(),
            url: "http://127.0.0.1:7860".into(),
            kind: SourceKind::Langflow,
            api_key: Some(SealedKey("sealed".into())),
            runs_max: 4,
            worker_labels: Labels::default(),
            probe: up("1.13.0"),
        }
    }

    #[track_caller]
    fn given(commands: impl IntoIterator<Item = SourceCommand>) -> Source {
        commands.into_iter().fold(Source::Absent, |source, command| {
            let events = source.decide(command, now()).unwrap();
            fold(source, &events)
        })
    }

    fn add(source: SourceAdded) -> SourceCommand {
        SourceCommand::Add(Box::new(source))
    }

    #[test]
    fn a_source_is_added_once_with_a_name_and_a_limit_that_can_work() {
        let refused = |source| Source::Absent.decide(add(source), now()).unwrap_err();
        for name in ["", "  ", "a\nb", &"x".repeat(limits::NAME_BYTES_MAX + 1)] {
            let source = SourceAdded { name: name.into(), ..added() };
            assert_eq!(refused(source), SourceRejection::BadName, "{name:?}");
        }
        let source = SourceAdded { runs_max: 0, ..added() };
        assert_eq!(refused(source), SourceRejection::BadRunsMax(0));
        let connected = given([add(added())]);
        assert_eq!(connected.decide(add(added()), now()), Err(SourceRejection::Exists));
    }

    #[test]
    fn an_update_changes_what_it_names_and_nothing_else() {
        let patch = SourceUpdated { runs_max: Some(9), ..SourceUpdated::default() };
        let source = given([add(added()), SourceCommand::Update(patch.clone())]);
        let expected = SourceAdded { runs_max: 9, ..added() };
        assert_eq!(source, Source::Connected(Box::new(expected)));
        assert_eq!(source.decide(SourceCommand::Update(patch), now()), Ok(vec![]));
    }

    #[test]
    fn a_key_is_taken_away_once_and_never_while_it_is_given() {
        let remove = SourceUpdated { api_key_removed: true, ..SourceUpdated::default() };
        let source = given([add(added()), SourceCommand::Update(remove.clone())]);
        assert_eq!(source, Source::Connected(Box::new(SourceAdded { api_key: None, ..added() })));
        assert_eq!(source.decide(SourceCommand::Update(remove.clone()), now()), Ok(vec![]));
        let both = SourceUpdated { api_key: Some(SealedKey("b".into())), ..remove };
        let refused = source.decide(SourceCommand::Update(both), now());
        assert_eq!(refused, Err(SourceRejection::KeySetAndRemoved));
    }

    #[test]
    fn a_kind_is_written_only_where_it_is_not_langflow() {
        let langflow = serde_json::to_value(added()).unwrap();
        assert!(langflow.get("kind").is_none(), "{langflow}");
        assert_eq!(serde_json::from_value::<SourceAdded>(langflow).unwrap(), added());
        let settings = HttpSettings { auth: KeyHeader::Bearer, health_path: Some("/up".into()) };
        let http = SourceAdded { kind: SourceKind::Http(settings), ..added() };
        let json = serde_json::to_value(&http).unwrap();
        let kind = serde_json::json!({"http": {"auth": "bearer", "health_path": "/up"}});
        assert_eq!(json["kind"], kind);
        assert_eq!(serde_json::from_value::<SourceAdded>(json).unwrap(), http);
    }

    #[test]
    fn settings_that_no_request_can_carry_are_refused() {
        let refused = |auth, health_path: Option<&str>| {
            let health_path = health_path.map(str::to_owned);
            let kind = SourceKind::Http(HttpSettings { auth, health_path });
            Source::Absent.decide(add(SourceAdded { kind, ..added() }), now()).unwrap_err()
        };
        for name in ["", "a b", "X:Key", "X\r\nHost"] {
            let error = refused(KeyHeader::Header(name.into()), None);
            let expected = BadHttpSettings::HeaderName(name.into());
            assert_eq!(error, SourceRejection::BadHttpSettings(expected));
        }
        for path in ["", "health", "/a b", "/a#b"] {
            let error = refused(KeyHeader::Bearer, Some(path));
            let expected = BadHttpSettings::HealthPath(path.into());
            assert_eq!(error, SourceRejection::BadHttpSettings(expected));
        }
    }

    #[test]
    fn only_news_of_a_probe_is_recorded() {
        let source = given([add(added())]);
        let same = SourceCommand::RecordProbe(up("1.13.0"));
        assert_eq!(source.decide(same, now()), Ok(vec![]));
        let class = FailureClass::Unreachable;
        let down = Probe::Down { class, message: "refused".into() };
        let events = source.decide(SourceCommand::RecordProbe(down), now()).unwrap();
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn a_removed_source_is_gone_for_good() {
        let removed = given([add(added()), SourceCommand::Remove]);
        assert_eq!(removed, Source::Removed);
        assert_eq!(removed.decide(SourceCommand::Remove, now()), Ok(vec![]));
        let update = SourceCommand::Update(SourceUpdated::default());
        assert_eq!(removed.decide(update, now()), Err(SourceRejection::Removed));
        assert_eq!(
            Source::Absent.decide(SourceCommand::Remove, now()),
            Err(SourceRejection::Absent)
        );
    }

    #[test]
    fn a_sealed_key_is_not_printed() {
        assert!(!format!("{:?}", added()).contains("sealed\""));
    }
}
