//! Which tasks a list shows and a bulk command takes: one form for the query of the one and the body
//! of the other.

use serde::Deserialize;
use spark_events::domain::failure::FailureClass;
use spark_events::domain::task::TaskStatus;
use spark_events::{Timestamp, limits};
use spark_projections::{TaskFilter, TaskSort};

use crate::app::App;
use crate::error::ApiError;
use crate::query::{Query, invalid};
use crate::read;

/// Every class of failure.
pub(super) const CLASSES: [FailureClass; 15] = [
    FailureClass::Unreachable,
    FailureClass::Auth,
    FailureClass::RateLimit,
    FailureClass::NotFound,
    FailureClass::BadInput,
    FailureClass::Component,
    FailureClass::Timeout,
    FailureClass::BadAnswer,
    FailureClass::Upstream,
    FailureClass::TooLarge,
    FailureClass::NeedsPerson,
    FailureClass::Interrupted,
    FailureClass::WorkerLost,
    FailureClass::Crashed,
    FailureClass::Gone,
];

/// The keys of a list's query, those of paging among them.
pub(super) const KEYS: [&str; 15] = [
    "status", "flow", "schedule", "source", "worker", "trigger", "class", "since", "until", "q",
    "deleted", "sort", "limit", "offset", "cursor",
];

/// The filter as a caller writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Filter)]
pub struct FilterBody {
    /// A list, or a text with commas.
    pub status: Option<Several>,
    /// The flow's id, a prefix of it, or its name.
    pub flow: Option<String>,
    /// The schedule's id, a prefix of it, or its name.
    pub schedule: Option<String>,
    /// The source's id, a prefix of it, its name or its URL.
    pub source: Option<String>,
    /// The worker of the last attempt: its id, a prefix of it, or its name.
    pub worker: Option<String>,
    /// Why the task was made.
    pub trigger: Option<String>,
    /// The class of the last failure.
    pub class: Option<String>,
    /// Made at this instant or later: RFC 3339, or how long ago, such as `1h`.
    pub since: Option<String>,
    /// Made before this instant: as `since`.
    pub until: Option<String>,
    /// Words that stand in its texts.
    pub q: Option<String>,
    /// Deleted ones too.
    #[serde(default)]
    pub deleted: bool,
}

/// One text with commas, or several texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "expected a text with commas, or a list of texts")]
pub enum Several {
    /// `failed,cancelled`
    Text(String),
    /// `["failed", "cancelled"]`
    List(Vec<String>),
}

impl Several {
    fn parts(&self) -> Vec<&str> {
        let parts: Vec<&str> = match self {
            Self::Text(text) => text.split(',').collect(),
            Self::List(list) => list.iter().map(String::as_str).collect(),
        };
        parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
    }
}

/// Where a filter was written, for the error that names its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Query,
    Body,
}

impl Place {
    fn wrong(self, key: &str, message: &str) -> ApiError {
        match self {
            Self::Query => invalid(key, message),
            Self::Body => ApiError::field(format!("filter.{key}"), message),
        }
    }

    fn choose<T: Copy>(
        self,
        key: &str,
        part: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, ApiError> {
        let found = all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(part));
        found.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            self.wrong(key, &format!("{part:?} is not one of {}", names.join(", ")))
        })
    }

    fn instant(self, key: &str, text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
        crate::query::instant_of(text, now).map_err(|message| self.wrong(key, &message))
    }
}

impl FilterBody {
    /// The filter in the query of a list.
    pub(super) fn of_query(query: &Query<'_>) -> Result<Self, ApiError> {
        let text = |key: &str| query.text(key).map(str::to_owned);
        Ok(Self {
            status: text("status").map(Several::Text),
            flow: text("flow"),
            schedule: text("schedule"),
            source: text("source"),
            worker: text("worker"),
            trigger: text("trigger"),
            class: text("class"),
            since: text("since"),
            until: text("until"),
            q: text("q"),
            deleted: query.flag("deleted")?,
        })
    }

    /// Whether nothing narrows it.
    pub(super) fn is_empty(&self) -> bool {
        Self { deleted: false, ..self.clone() } == Self::default()
    }

    /// What it stands for, with what is named looked up.
    pub(super) async fn resolve(&self, app: &App, place: Place) -> Result<TaskFilter, ApiError> {
        let mut filter = self.checked(place, app.now())?;
        let (flow, schedule, source) = (&self.flow, &self.schedule, &self.source);
        filter.flow_id = read::given(flow.as_ref().map(|text| read::flow_id(app, text))).await?;
        filter.schedule_id =
            read::given(schedule.as_ref().map(|text| read::schedule_id(app, text))).await?;
        filter.source_id =
            read::given(source.as_ref().map(|text| read::source_id(app, text))).await?;
        let worker = self.worker.as_ref();
        filter.worker_id = read::given(worker.map(|text| read::worker_id(app, text))).await?;
        Ok(filter)
    }

    /// Everything but what has to be looked up.
    fn checked(&self, place: Place, now: Timestamp) -> Result<TaskFilter, ApiError> {
        let status =
            |part: &str| place.choose("status", part, &TaskStatus::ALL, TaskStatus::as_str);
        let parts = self.status.as_ref().map(Several::parts).unwrap_or_default();
        let instant = |key, text: &Option<String>| {
            text.as_deref().map(|text| place.instant(key, text, now)).transpose()
        };
        let (since, until) = (instant("since", &self.since)?, instant("until", &self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(place.wrong("until", "it must be later than since"));
        }
        let trigger =
            |text: &String| place.choose("trigger", text, &TaskFilter::TRIGGERS, |name| name);
        let class = |text: &String| place.choose("class", text, &CLASSES, FailureClass::as_str);
        Ok(TaskFilter {
            statuses: parts.into_iter().map(status).collect::<Result<_, _>>()?,
            trigger: self.trigger.as_ref().map(trigger).transpose()?,
            class: self.class.as_ref().map(class).transpose()?,
            since,
            until,
            text: self.q.clone(),
            include_deleted: self.deleted,
            ..TaskFilter::default()
        })
    }
}

/// The order of a list.
pub(super) fn sort(query: &Query<'_>) -> Result<TaskSort, ApiError> {
    let Some(text) = query.text("sort") else {
        return Ok(TaskSort::default());
    };
    Place::Query.choose("sort", text, &TaskSort::ALL, TaskSort::as_str)
}

/// Waits until the texts up to the caller's position can be searched, where the filter has words.
pub(super) async fn searchable(
    app: &App,
    filter: &TaskFilter,
    position: Option<spark_events::Position>,
) -> Result<(), ApiError> {
    const WAIT: std::time::Duration = std::time::Duration::from_millis(limits::READ_WAIT_MS_MAX);
    if let (Some(_), Some(position)) = (&filter.text, position) {
        app.projections.wait_for_search(position, WAIT).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_timestamp(1_767_225_600, 0).unwrap()
    }

    fn checked(raw: &str) -> Result<TaskFilter, ApiError> {
        FilterBody::of_query(&Query::parse(raw)?)?.checked(Place::Query, now())
    }

    #[test]
    fn every_key_narrows() {
        let filter = checked(
            "status=failed,running&trigger=manual&class=rate_limit&since=1h&until=2026-01-01T00:00:00Z&q=boom&deleted=true",
        )
        .unwrap();
        assert_eq!(filter.statuses, [TaskStatus::Failed, TaskStatus::Running]);
        assert_eq!((filter.trigger, filter.class), (Some("manual"), Some(FailureClass::RateLimit)));
        assert_eq!(filter.since, Some(now() - chrono::TimeDelta::hours(1)));
        assert_eq!((filter.until, filter.text.as_deref()), (Some(now()), Some("boom")));
        assert!(filter.include_deleted);
    }

    #[test]
    fn what_is_not_allowed_is_told_with_what_is() {
        for (raw, part) in [
            ("status=done", "\"done\" is not one of pending, running"),
            ("trigger=cron", "is not one of manual, occurrence, schedule_triggered, retry_of"),
            ("class=oops", "\"oops\" is not one of unreachable, auth"),
            ("since=soon", "neither an instant such as 2026-01-31T09:00:00Z nor a time back"),
            ("until=90", "neither an instant"),
            ("since=1h&until=2h", "it must be later than since"),
            ("deleted=maybe", "is not true or false"),
        ] {
            let text = checked(raw).unwrap_err().to_string();
            assert!(text.contains(part), "{raw}: {text}");
        }
        let query = Query::parse("sort=duration").unwrap();
        let text = sort(&query).unwrap_err().to_string();
        assert!(text.contains("\"duration\" is not one of -created, created"), "{text}");
    }

    #[test]
    fn a_body_may_list_its_statuses_and_is_empty_without_a_key() {
        let body: FilterBody =
            serde_json::from_str(r#"{"status": ["failed", "cancelled"]}"#).unwrap();
        assert_eq!(body.checked(Place::Body, now()).unwrap().statuses.len(), 2);
        assert!(!body.is_empty());
        let deleted: FilterBody = serde_json::from_str(r#"{"deleted": true}"#).unwrap();
        assert!(deleted.is_empty(), "that alone narrows nothing");
        assert!(serde_json::from_str::<FilterBody>(r#"{"sort": "created"}"#).is_err());
    }
}
