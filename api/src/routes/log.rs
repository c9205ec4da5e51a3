//! The whole log, by pages: events of every stream in the order of their positions, newest or
//! oldest first. Reads the log itself; a page that finds little says how far it looked.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::value::RawValue;
use spark_actors::DispatchError;
use spark_events::{EventLog, KeyId, Position, RecordedEvent, Timestamp, limits};
use utoipa::ToSchema;
use warp::http::Method;

use super::events::filter;
use super::{not_allowed, operation_ids};
use crate::auth::roles;
use crate::call::Call;
use crate::error::ApiError;
use crate::live::Filter;
use crate::query::{Query, invalid};
use crate::recorded::{self, EventRow};
use crate::reply::Reply;

/// Positions that are looked at in one step from newer to older.
const WINDOW: u64 = 1_000;
const SORTS: [&str; 2] = ["-position", "position"];

/// An endpoint of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRoute {
    /// Events, by pages.
    List,
    /// Where it ends.
    Head,
    /// The event at a position.
    Get(u64),
}

pub(super) mod openapi;

operation_ids!(LogRoute {
    Self::List => "listLog",
    Self::Head => "readLogHead",
    Self::Get(_) => "readLogEvent",
});

pub(crate) fn route(method: &Method, rest: &[&str]) -> Result<Option<LogRoute>, ApiError> {
    let found = match rest {
        [] => LogRoute::List,
        ["head"] => LogRoute::Head,
        [position] => match position.parse() {
            Ok(position) => LogRoute::Get(position),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    if method == Method::GET { Ok(Some(found)) } else { not_allowed(method, "GET, HEAD") }
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
struct LogPage {
    #[schema(value_type = Vec<EventRow<'static>>)]
    items: Vec<Box<RawValue>>,
    limit: usize,
    /// Where the log ended.
    head: Position,
    /// How many events were looked at.
    scanned: usize,
    has_more: bool,
    /// What to send as `cursor` to go on; a page may be short, or empty, and not be the last.
    next_cursor: Option<String>,
}

/// Where the log ends.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogHead)]
struct Head {
    head: Position,
}

pub(crate) async fn handle(route: LogRoute, call: &Call<'_>) -> Result<Reply, ApiError> {
    let log = call.app.spark.log().as_ref();
    match route {
        LogRoute::List => Reply::ok(&list(log, call).await?),
        LogRoute::Head => {
            call.query.only(&[])?;
            Reply::ok(&Head { head: log.head().await? })
        }
        LogRoute::Get(position) => {
            call.query.only(&[])?;
            let events = match position.checked_sub(1) {
                Some(before) => log.read_all(Position(before), 1).await?,
                None => Vec::new(),
            };
            match events.first().filter(|event| event.position.0 == position) {
                Some(event) => {
                    if event.stream.category() == KeyId::CATEGORY {
                        call.caller.may(roles::ADMIN)?;
                    }
                    Reply::ok(&recorded::row(event)?)
                }
                None => Err(ApiError::NotFound {
                    kind: "event",
                    text: position.to_string(),
                    suggestions: Vec::new(),
                }),
            }
        }
    }
}

/// What a page is to hold.
struct Wanted {
    filter: Filter,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    fn takes(&self, event: &RecordedEvent) -> bool {
        self.since.is_none_or(|since| event.recorded_at >= since)
            && self.until.is_none_or(|until| event.recorded_at < until)
            && self.filter.wants(event)
    }

    /// Whether nothing that is recorded earlier can be wanted, going back.
    fn is_too_old(&self, event: &RecordedEvent) -> bool {
        self.since.is_some_and(|since| event.recorded_at < since - slack())
    }

    /// Whether nothing that is recorded later can be wanted, going forward.
    fn is_too_new(&self, event: &RecordedEvent) -> bool {
        self.until.is_some_and(|until| event.recorded_at >= until + slack())
    }
}

fn slack() -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(limits::LOG_CLOCK_SLACK_MS).unwrap_or(i64::MAX))
}

async fn list(log: &dyn EventLog, call: &Call<'_>) -> Result<LogPage, ApiError> {
    let query = &call.query;
    let filter =
        filter(call, &["after", "before", "since", "until", "sort", "limit", "cursor"]).await?;
    let limit = query.number("limit", 1..=limits::LOG_PAGE_MAX as u64)?;
    let limit =
        limit.map_or(limits::PAGE_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let instant = |key: &str| {
        let text = query.text(key);
        text.map(|text| crate::query::instant(key, text, call.app.now())).transpose()
    };
    let (since, until) = (instant("since")?, instant("until")?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(invalid("until", "it must be later than since"));
    }
    let position =
        |key: &str| query.read(key, "a position (a whole number)").map(|at| at.map(Position));
    let (after, before, cursor) = (position("after")?, position("before")?, position("cursor")?);
    let head = log.head().await?;
    let wanted = Wanted { filter, since, until };
    let mut after = after.unwrap_or_default();
    let mut before = before.unwrap_or(Position(head.0.saturating_add(1)));
    let mut page = Found::new(limit);
    if newest_first(query)? {
        if let Some(until) = until {
            before = before.min(first_since(log, head, until + slack()).await?);
        }
        back(log, after, cursor.map_or(before, |cursor| cursor.min(before)), &wanted, &mut page)
            .await?;
    } else {
        if let Some(since) = since {
            let first = first_since(log, head, since - slack()).await?;
            after = after.max(Position(first.0.saturating_sub(1)));
        }
        forward(log, cursor.map_or(after, |cursor| cursor.max(after)), before, &wanted, &mut page)
            .await?;
    }
    Ok(LogPage {
        items: page.items,
        limit,
        head,
        scanned: page.scanned,
        has_more: page.next.is_some(),
        next_cursor: page.next.map(|next| next.to_string()),
    })
}

fn newest_first(query: &Query<'_>) -> Result<bool, ApiError> {
    match query.choices("sort", &SORTS, |name| name)?.as_slice() {
        [] => Ok(true),
        [only] => Ok(*only == SORTS[0]),
        _ => Err(invalid("sort", "one order is enough")),
    }
}

/// What a page has so far.
struct Found {
    items: Vec<Box<RawValue>>,
    bytes: usize,
    limit: usize,
    scanned: usize,
    /// Where to go on, where the page broke off.
    next: Option<Position>,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, limit, scanned: 0, next: None }
    }

    /// Looks at an event; `false` ends the page behind it.
    fn take(&mut self, event: &RecordedEvent, wanted: &Wanted) -> Result<bool, ApiError> {
        self.scanned += 1;
        if wanted.takes(event) {
            let row = serde_json::value::to_raw_value(&recorded::row(event)?);
            self.items.push(row.map_err(|error| DispatchError::Internal(error.to_string()))?);
            self.bytes += event.data.len();
        }
        let is_full = self.items.len() >= self.limit
            || self.bytes >= limits::LOG_PAGE_BYTES_MAX
            || self.scanned >= limits::LOG_SCAN_EVENTS_MAX;
        if is_full {
            self.next = Some(event.position);
        }
        Ok(!is_full)
    }
}

/// Oldest first, from behind one position up to another.
async fn forward(
    log: &dyn EventLog,
    mut after: Position,
    before: Position,
    wanted: &Wanted,
    page: &mut Found,
) -> Result<(), ApiError> {
    loop {
        let events = log.read_all(after, limits::LOG_PAGE_MAX).await?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.position;
        for event in &events {
            if event.position >= before || wanted.is_too_new(event) || !page.take(event, wanted)? {
                return Ok(());
            }
        }
    }
}

/// Newest first, from before one position back to another. The log reads forward only, so it is
/// taken window by window.
async fn back(
    log: &dyn EventLog,
    after: Position,
    mut before: Position,
    wanted: &Wanted,
    page: &mut Found,
) -> Result<(), ApiError> {
    while before.0 > after.0.saturating_add(1) {
        let low = Position(before.0.saturating_sub(WINDOW + 1)).max(after);
        let mut events = Vec::new();
        let mut at = low;
        while at.0.saturating_add(1) < before.0 {
            let read = log.read_all(at, limits::LOG_PAGE_MAX).await?;
            let Some(last) = read.last() else { break };
            at = last.position;
            events.extend(read.into_iter().filter(|event| event.position < before));
        }
        for event in events.iter().rev() {
            if wanted.is_too_old(event) || !page.take(event, wanted)? {
                return Ok(());
            }
        }
        before = Position(low.0.saturating_add(1));
    }
    Ok(())
}

/// The position of the first event that is recorded at or after an instant, found by halves: times
/// rise with positions but where a clock was set back. Behind the end where there is none.
async fn first_since(
    log: &dyn EventLog,
    head: Position,
    at: Timestamp,
) -> Result<Position, ApiError> {
    let (mut low, mut high) = (0, head.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match log.read_all(Position(middle), 1).await?.first() {
            Some(event) if event.recorded_at < at => low = event.position.0,
            _ => high = middle,
        }
    }
    Ok(Position(low.saturating_add(1)))
}
