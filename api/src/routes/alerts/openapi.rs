//! The operations of alerts, as the OpenAPI document describes them.

use serde::Serialize;
use serde_json::{Value, json};
use spark_actors::Delivery;
use spark_projections::{AlertRow, DeliveryRow};
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::{CreateBody, DELIVERY_STATUSES, RotateBody, UpdateBody};
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::{Operation, schemas};

/// An alert whose secret was just made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct AlertWithSecret {
    /// The alert.
    #[schema(inline)]
    #[serde(flatten)]
    alert: AlertRow,
    /// What its messages are signed with. It is told now and never again, also not to who repeats
    /// the request under its idempotency key.
    #[schema(required = false)]
    secret: String,
}

/// That an alert is deleted.
#[derive(Serialize, ToSchema)]
struct AlertDeleted {
    /// Its id.
    id: String,
    /// That it is gone.
    deleted: bool,
}

const ALERT: &str = "The alert's id, the start of it, or its name.";

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = of_alerts();
    operations.extend(of_messages());
    operations
}

fn of_alerts() -> Vec<Operation> {
    vec![
        Operation::get("listAlerts", "/alerts", "List alerts")
            .query("status", "Only those in this status.", schemas::words(["enabled", "disabled"]))
            .query("deleted", "Deleted ones too.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<AlertRow>("A page of alerts.", alert()),
        Operation::post("createAlert", "/alerts", "Make an alert")
            .about(
                "Messages are sent by POST as Standard Webhooks has them: signed in the headers \
                 webhook-id, webhook-timestamp and webhook-signature. It tells of what happens from \
                 now on. The secret stands in this answer and nowhere else.",
            )
            .commands()
            .body::<CreateBody>(
                "Everything that somebody should see to",
                json!({ "url": "https://example.org/hook", "name": "on call" }),
            )
            .example(
                "One schedule",
                json!({
                    "url": "https://example.org/hook", "schedule": "nightly",
                    "kinds": ["task_failed", "task_recovered", "occurrence_missed"]
                }),
            )
            .answers_row::<AlertWithSecret>(
                StatusCode::CREATED,
                "The alert, with its secret.",
                with_secret(),
            )
            .fails(&[Row::CONFLICT, Row::RULE, Row::READ_MODEL, Row::NOT_FOUND, Row::AMBIGUOUS]),
        Operation::get("getAlert", "/alerts/{alert}", "One alert")
            .names("alert", ALERT)
            .reads()
            .answers::<AlertRow>("The alert.", alert()),
        Operation::patch("updateAlert", "/alerts/{alert}", "Change an alert")
            .about("What is absent stays. Disabling gives up what was not delivered; enabling tells of what happens from then on.")
            .names("alert", ALERT)
            .commands()
            .body::<UpdateBody>("Disable it", json!({ "enabled": false, "reason": "holidays" }))
            .example("Of any flow", json!({ "flow": null }))
            .answers_row::<AlertRow>(StatusCode::OK, "The alert.", alert())
            .fails(&[Row::CONFLICT, Row::RULE]),
        Operation::delete("deleteAlert", "/alerts/{alert}", "Delete an alert")
            .about("Its history stays; messages that were not delivered are given up.")
            .names("alert", ALERT)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "moved" }))
            .answers::<AlertDeleted>(
                "It is deleted.",
                json!({ "id": "0192f0c1-2d3e-7000-8000-00000000000d", "deleted": true }),
            ),
        Operation::post("rotateAlertSecret", "/alerts/{alert}/rotate-secret", "Give an alert a new secret")
            .about("Messages are signed with both secrets for a while (24 hours unless it is said otherwise), so that the receiver can change over.")
            .names("alert", ALERT)
            .commands()
            .optional_body::<RotateBody>("For two days", json!({ "keep": "2d" }))
            .answers_row::<AlertWithSecret>(
                StatusCode::OK,
                "The alert, with its new secret.",
                with_secret(),
            )
            .fails(&[Row::RULE]),
    ]
}

fn of_messages() -> Vec<Operation> {
    vec![
        Operation::post("testAlert", "/alerts/{alert}/test", "Send a test message now")
            .about(
                "A real, signed message, also where the alert is disabled. Answers what came \
                 back; a receiver that does not take it is no error of this request.",
            )
            .names("alert", ALERT)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "new receiver" }))
            .answers::<Delivery>("What came of it.", tried()),
        Operation::get("listDeliveries", "/alerts/{alert}/deliveries", "List what an alert sent")
            .about("The newest 200 of each alert; its history has them all.")
            .names("alert", ALERT)
            .query("status", "Only those in this status.", schemas::words(DELIVERY_STATUSES))
            .paged()
            .reads()
            .answers_page::<DeliveryRow>("A page of deliveries.", delivery()),
        Operation::post(
            "retryDelivery",
            "/alerts/{alert}/deliveries/{delivery}/retry",
            "Send a message again now",
        )
        .about("The same message, under the same id, whether it was delivered before or not.")
        .names("alert", ALERT)
        .names("delivery", "The message's id, or the start of it.")
        .commands()
        .optional_body::<ActionBody>("A reason", json!({ "reason": "the receiver was mended" }))
        .answers::<Delivery>("What came of it.", tried()),
    ]
}

fn alert() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-00000000000d",
        "name": "on call",
        "url": "https://example.org/***",
        "kinds": ["task_failed", "task_recovered", "source_down"],
        "flow_id": null,
        "flow_name": null,
        "schedule_id": null,
        "schedule_name": null,
        "source_id": null,
        "source_name": null,
        "status": "enabled",
        "reason": null,
        "previous_secret_until": null,
        "waiting": 0,
        "delivered": 12,
        "failed": 0,
        "last_delivered_at": "2026-01-31T08:00:00.000000Z",
        "last_failed_at": null,
        "last_error": null,
        "created_at": "2026-01-31T08:00:00.000000Z",
        "updated_at": "2026-01-31T08:00:00.000000Z",
        "revision": 24,
    })
}

fn with_secret() -> Value {
    let mut alert = alert();
    alert["secret"] = "whsec_ and many letters".into();
    alert
}

fn tried() -> Value {
    json!({
        "message_id": "7d0cb1d8-6f0a-5b43-9c55-0f4e4f2c7a11",
        "delivered": false,
        "status": 401,
        "duration_ms": 12,
        "answer": "bad signature",
        "error": "the receiver answered 401",
        "remedy": "the receiver refuses it: compare the secret there with this alert's",
    })
}

fn delivery() -> Value {
    json!({
        "id": "7d0cb1d8-6f0a-5b43-9c55-0f4e4f2c7a11",
        "alert_id": "0192f0c1-2d3e-7000-8000-00000000000d",
        "kind": "task_failed",
        "title": "schedule nightly (flow report) failed after 4 attempts: component: no",
        "count": 1,
        "status": "delivered",
        "raised_at": "2026-01-31T08:00:00.000000Z",
        "next_attempt_at": null,
        "attempts": [{
            "attempt": 1,
            "at": "2026-01-31T08:00:00.000000Z",
            "delivered": true,
            "status": 204,
            "duration_ms": 12,
            "answer": null,
            "error": null,
        }],
        "raised_revision": 1,
    })
}
