//! The operations of projections, as the OpenAPI document describes them.

use serde_json::{Value, json};

use super::{Row, SkipBody};
use crate::body::ActionBody;
use crate::error::Row as Failure;
use crate::openapi::{Operation, schemas};

const NAME: &str = "The projection's name.";

pub(crate) fn operations() -> Vec<Operation> {
    let one = |operation: Operation| {
        operation
            .segment("name", NAME, schemas::text(1, None))
            .commands()
            .answers::<Row>("The projection.", row())
            .fails(&[Failure::NOT_FOUND, Failure::READ_MODEL])
    };
    vec![
        Operation::get("listProjections", "/projections", "How far each read model is")
            .query(
                "min_position",
                "Taken as everywhere; this list is never waited for.",
                schemas::number(0, None),
            )
            .answers_page::<Row>("Every projection.", row())
            .fails(&[Failure::LOG_UNAVAILABLE]),
        one(Operation::post(
            "rebuildProjection",
            "/projections/{name}/rebuild",
            "Build a read model anew from the whole log",
        ))
        .about("Until it has caught up, its lists are incomplete.")
        .optional_body::<ActionBody>("A reason", json!({ "reason": "a row looks wrong" })),
        one(Operation::post(
            "retryProjection",
            "/projections/{name}/retry",
            "Let a halted read model try its event again",
        ))
        .optional_body::<ActionBody>("A reason", json!({ "reason": "the disk has room again" })),
        one(Operation::post(
            "skipEvent",
            "/projections/{name}/skip",
            "Let a halted read model pass over the event that it stands before",
        ))
        .about("It is recorded as an event, and counts whenever the read model is built anew.")
        .body::<SkipBody>("The event that it stands before", json!({ "position": 4711 }))
        .fails(&[Failure::CONFLICT, Failure::RULE]),
    ]
}

fn row() -> Value {
    json!({
        "name": "tasks",
        "state": "ok",
        "position": 4712,
        "lag": 0,
        "halted": null,
        "skipped_unknown": 0,
        "skipped": [4711],
    })
}
