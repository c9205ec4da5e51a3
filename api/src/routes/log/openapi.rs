//! The operations of the whole log, as the OpenAPI document describes them.

use serde_json::json;
use spark_events::limits;

use super::{Head, LogPage, SORTS};
use crate::error::Row;
use crate::openapi::{Operation, schemas};
use crate::recorded::EventRow;
use crate::routes::events::openapi::filters;
use crate::routes::history::openapi::event;

pub(crate) fn operations() -> Vec<Operation> {
    let name = || schemas::text(0, None);
    let limit = schemas::number(1, Some(limits::LOG_PAGE_MAX as u64));
    let position = || schemas::number(0, None);
    vec![
        Operation::get("listLog", "/log", "Events of everything, by pages")
            .about(
                "Newest first, unless `sort` is `position`. What is filtered by several keys fits \
                 all of them; several values of one key are separated by commas. A page looks at a \
                 bounded number of events, so it may be short, or empty, and not be the last: go \
                 on with `cursor` as long as there is a `next_cursor`.",
            )
            .query("after", "Only behind this position.", position())
            .query("before", "Only before this position.", position())
            .query(
                "since",
                "Recorded at or after this: an instant, or how long ago (`1h`).",
                name(),
            )
            .query("until", "Recorded before this.", name())
            .with(filters)
            .query("sort", "The order.", schemas::words(SORTS))
            .query(
                "limit",
                "How many events a page has at most.",
                schemas::default(limit, limits::PAGE_DEFAULT),
            )
            .query("cursor", "`next_cursor` of the page before.", position())
            .reads()
            .answers::<LogPage>(
                "A page of events.",
                json!({
                    "items": [event()],
                    "limit": 50,
                    "head": 42,
                    "scanned": 1,
                    "has_more": false,
                    "next_cursor": null,
                }),
            )
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::LOG_UNAVAILABLE]),
        Operation::get("readLogHead", "/log/head", "Where the log ends")
            .query("min_position", "Taken as everywhere; the log is never behind.", position())
            .answers::<Head>("The last position; 0 for an empty log.", json!({ "head": 42 }))
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::get("readLogEvent", "/log/{position}", "The event at a position")
            .segment("position", "Its place in the whole log.", position())
            .query("min_position", "Taken as everywhere; the log is never behind.", position())
            .answers::<EventRow<'static>>("The event.", event())
            .fails(&[Row::NOT_FOUND, Row::LOG_UNAVAILABLE]),
    ]
}
