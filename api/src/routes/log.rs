//! The whole log, by pages: events of every stream in the order of their positions, newest or
//! oldest first. Reads the log itself; a page that finds little says how far it looked.

use serde::Serialize;
use serde_json::value::RawValue;
use spark_events::{EventLog, KeyId, Position, RecordedEvent, limits};
use utoipa::ToSchema;
use warp::http::Method;

use self::scan::{Found, Wanted, back, first_since, forward, slack};
use super::events::filter;
use super::{not_allowed, operation_ids};
use crate::auth::roles;
use crate::call::Call;
use crate::error::ApiError;
use crate::live::Filter;
use crate::query::{Query, invalid};
use crate::recorded::{self, EventRow};
use crate::reply::Reply;

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
mod scan;

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
            // What no page shows is not there by its position either, whoever asks.
            let shown = |event: &&RecordedEvent| {
                event.position.0 == position && Filter::default().wants(event)
            };
            match events.first().filter(shown) {
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
