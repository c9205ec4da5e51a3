//! The operation of events as they happen, as the OpenAPI document describes it.

use crate::error::Row;
use crate::live;
use crate::openapi::{Operation, schemas};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("listenToEvents", "/events", "Events as they happen")
            .about(
                "Server-sent events. `id` is the position in the log, `event` the type, `data` the \
                 event as in histories. A listener that was cut off sends the last `id` it saw as \
                 `Last-Event-ID` and misses nothing. What is filtered by several keys fits all of \
                 them; several values of one key are separated by commas. The answer never ends, so \
                 a page that waits for the whole of it shows nothing; from a terminal: \
                 `curl -N -H \"X-API-Key: $KEY\" http://127.0.0.1:8888/api/v1/events`.",
            )
            .query(
                "after",
                "The position after which to begin; from now on when absent.",
                schemas::number(0, None),
            )
            .header(
                "Last-Event-ID",
                "The same as `after`, which it outweighs.",
                schemas::number(0, None),
            )
            .with(filters)
            .reads()
            .answers_text("text/event-stream", "The events, until the listener leaves.")
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::LOG_UNAVAILABLE, Row::OVERLOADED]),
    ]
}

/// What narrows events, wherever they are asked for.
pub(in crate::routes) fn filters(operation: Operation) -> Operation {
    let name = || schemas::text(0, None);
    operation
        .query("category", "Events of these categories.", schemas::some_of(live::categories()))
        .query("type", "Events of these types.", schemas::some_of(live::types()))
        .query("stream", "Events of these streams, by their names.", name())
        .query("actor", "Events that this one led to.", name())
        .query("task", "Events of this task.", name())
        .query("schedule", "Events of this schedule.", name())
        .query("flow", "Events of this flow.", name())
        .query("source", "Events of this source.", name())
        .query("worker", "Events of this worker.", name())
        .query("alert", "Events of this alert.", name())
        .query("key", "Events of this API key; only an admin may ask.", name())
}
