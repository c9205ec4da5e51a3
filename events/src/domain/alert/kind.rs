//! What an alert can be about, and about which things: the kinds and the filters. Pure matching.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::AlertRejection;
use crate::ids::{FlowId, ScheduleId, SourceId};
use crate::limits;

/// A kind of thing that a message can be about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A task failed and is not tried again.
    TaskFailed,
    /// After failed tasks of a schedule, or of a flow run without one, a later one completed.
    TaskRecovered,
    /// Due instants started nothing, because they came too late.
    OccurrenceMissed,
    /// Due instants started nothing for another reason, such as an open task.
    OccurrenceSkipped,
    /// A schedule paused itself after failures.
    SchedulePaused,
    /// A worker ended without saying so.
    WorkerLost,
    /// A source does not answer, or refuses its key.
    SourceDown,
    /// A source that was down answers again.
    SourceRecovered,
    /// Somebody tried whether messages arrive. Nobody has to ask for it.
    Test,
}

impl AlertKind {
    /// The kinds that an alert can be about.
    pub const ALL: [Self; 8] = [
        Self::TaskFailed,
        Self::TaskRecovered,
        Self::OccurrenceMissed,
        Self::OccurrenceSkipped,
        Self::SchedulePaused,
        Self::WorkerLost,
        Self::SourceDown,
        Self::SourceRecovered,
    ];

    /// What an alert is about when nobody says: everything that somebody should see to. An
    /// occurrence that is skipped by the schedule's own policy is what was asked for.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| *kind != Self::OccurrenceSkipped).collect()
    }

    /// The kind as it stands in JSON, such as `task_failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailed => "task_failed",
            Self::TaskRecovered => "task_recovered",
            Self::OccurrenceMissed => "occurrence_missed",
            Self::OccurrenceSkipped => "occurrence_skipped",
            Self::SchedulePaused => "schedule_paused",
            Self::WorkerLost => "worker_lost",
            Self::SourceDown => "source_down",
            Self::SourceRecovered => "source_recovered",
            Self::Test => "test",
        }
    }

    /// The type of its messages, as Standard Webhooks has it: words with a full stop between.
    #[must_use]
    pub fn message_type(self) -> String {
        if self == Self::Test {
            return "alert.test".to_owned();
        }
        self.as_str().replacen('_', ".", 1)
    }

    /// Whether it is about a flow, so that choosing a flow can choose it.
    fn has_flow(self) -> bool {
        match self {
            Self::TaskFailed
            | Self::TaskRecovered
            | Self::OccurrenceMissed
            | Self::OccurrenceSkipped
            | Self::SchedulePaused => true,
            Self::WorkerLost | Self::SourceDown | Self::SourceRecovered | Self::Test => false,
        }
    }

    fn has_source(self) -> bool {
        self.has_flow() || matches!(self, Self::SourceDown | Self::SourceRecovered)
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // The type of a message is taken too: it is what a receiver knows.
        let text = text.trim().to_ascii_lowercase().replace(['.', '-'], "_");
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Where messages go, and about what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertSpec {
    /// A name for people.
    pub name: String,
    /// Where messages are sent. Whoever makes an alert has checked that it is one.
    pub url: String,
    /// About what.
    pub kinds: Vec<AlertKind>,
    /// About this flow only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<FlowId>,
    /// About this schedule only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_id: Option<ScheduleId>,
    /// About this source, and what runs there, only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
}

/// What a thing that happened is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Subject {
    /// The flow.
    pub flow: Option<FlowId>,
    /// The schedule.
    pub schedule: Option<ScheduleId>,
    /// The source.
    pub source: Option<SourceId>,
}

impl AlertSpec {
    /// Whether this is to be told of a thing of this kind.
    #[must_use]
    pub fn matches(&self, kind: AlertKind, subject: Subject) -> bool {
        self.kinds.contains(&kind)
            && (self.flow_id.is_none() || self.flow_id == subject.flow)
            && (self.schedule_id.is_none() || self.schedule_id == subject.schedule)
            && (self.source_id.is_none() || self.source_id == subject.source)
    }

    /// Whether both match the same things.
    pub(super) fn is_about_the_same_as(&self, other: &Self) -> bool {
        let about =
            |spec: &Self| (spec.flow_id, spec.schedule_id, spec.source_id, spec.kinds.clone());
        about(self) == about(other)
    }

    /// The same with each kind once, in their order.
    pub(super) fn in_order(mut self) -> Self {
        self.kinds.sort_unstable();
        self.kinds.dedup();
        self
    }

    pub(super) fn check(&self) -> Result<(), AlertRejection> {
        let length = 1..=limits::NAME_BYTES_MAX;
        if !length.contains(&self.name.trim().len()) || self.name.chars().any(char::is_control) {
            return Err(AlertRejection::BadName);
        }
        if !(1..=limits::ALERT_URL_BYTES_MAX).contains(&self.url.len()) {
            return Err(AlertRejection::UrlTooLong);
        }
        if self.kinds.is_empty() || self.kinds.contains(&AlertKind::Test) {
            return Err(AlertRejection::NoKinds);
        }
        let possible = |kind: &AlertKind| {
            ((self.flow_id.is_none() && self.schedule_id.is_none()) || kind.has_flow())
                && (self.source_id.is_none() || kind.has_source())
        };
        if self.kinds.iter().any(possible) { Ok(()) } else { Err(AlertRejection::NeverMatches) }
    }
}

/// A URL as it is shown: its scheme and host. Many receivers know whom to let in by a token in the
/// path or the query.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match &rest[host.len()..] {
        "" | "/" => url.to_owned(),
        _ => format!("{scheme}://{host}/***"),
    }
}
