//! The operation of history, as the OpenAPI document describes it.

use serde_json::{Value, json};
use spark_events::codec::DomainEvent;
use spark_events::domain::task::TaskEvent;
use spark_events::limits;

use super::KINDS;
use crate::openapi::{Operation, schemas};
use crate::recorded::EventRow;

pub(crate) fn operations() -> Vec<Operation> {
    let limit = schemas::number(1, Some(limits::PAGE_MAX as u64));
    vec![
        Operation::get("readHistory", "/history/{kind}/{id}", "Every event of one thing")
            .about("As the log holds them, the first one first. Nothing is left out but keys.")
            .segment(
                "kind",
                "What kind of thing; in the singular or the plural.",
                schemas::words(KINDS),
            )
            .names("id", "Its id, the start of it, or its name.")
            .query(
                "from_revision",
                "The first event that is wanted, from 0.",
                schemas::number(0, None),
            )
            .query(
                "limit",
                "How many events at most.",
                schemas::default(limit, limits::PAGE_DEFAULT),
            )
            .reads()
            .answers_page::<EventRow<'static>>("A page of events.", event())
            .fails(&[crate::error::Row::LOG_UNAVAILABLE]),
    ]
}

/// An event as it is shown.
pub(crate) fn event() -> Value {
    json!({
        "position": 42,
        "stream": "task-0192f0c1-2d3e-7000-8000-000000000003",
        "revision": 0,
        "id": "0192f0c1-2d3e-7000-8000-0000000000e1",
        "type": TaskEvent::TYPES[0].0,
        "version": 1,
        "recorded_at": "2026-01-31T09:00:00.000000Z",
        "actor": "user:local",
        "reason": null,
        "correlation_id": "0192f0c1-2d3e-7000-8000-0000000000c1",
        "causation_id": "0192f0c1-2d3e-7000-8000-0000000000c1",
        "data": { "flow_id": "0192f0c1-2d3e-7000-8000-000000000001" },
    })
}
