//! The operations of the server itself, as the OpenAPI document describes them.

use serde_json::json;
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::{About, DocsFile, Health, WhoAmI};
use crate::error::Row;
use crate::metrics;
use crate::openapi::{Operation, schemas};

/// What a probe answers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler writes")]
struct Probed {
    /// `alive` or `ready`.
    status: String,
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("about", "/", "What this server is, and where things are").answers::<About>(
            "The server.",
            json!({
                "name": "automagik",
                "status": "online",
                "version": "0.1.0",
                "server_time": "2026-01-31T09:00:00.000000Z",
                "links": { "tasks": "/api/v1/tasks" },
            }),
        ),
        Operation::get("isAlive", "/livez", "Whether the process answers")
            .about("For a liveness probe. `/livez` at the root is the same.")
            .answers::<Probed>("It does.", json!({ "status": "alive" })),
        Operation::get("isReady", "/readyz", "Whether commands are taken")
            .about("For a readiness probe. `/readyz` at the root is the same.")
            .answers::<Probed>("They are.", json!({ "status": "ready" }))
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::get("health", "/health", "How the server is doing")
            .about(
                "`/health` at the root is the same. A server that has trouble is `degraded`. Sources \
                 are named only to whoever sends a key that may see them.",
            )
            .answers::<Health>("How it is doing.", health()),
        Operation::get("metrics", "/metrics", "How the process is doing, in numbers")
            .about(
                "For Prometheus, in the form of OpenMetrics. `/metrics` at the root is the same. The \
                 key may be sent as `Authorization: Bearer`; whoever runs the server may let \
                 everybody read it without one.",
            )
            .answers_text(metrics::MEDIA_TYPE, "The numbers."),
        Operation::get("whoAmI", "/whoami", "Whose key this is").answers::<WhoAmI<'static>>(
            "The key that asks. The one in the data directory has no id.",
            json!({ "name": "local", "role": "admin", "id": null, "actor": "user:local" }),
        ),
        Operation::get("openApi", "/openapi.json", "This document")
            .answers::<serde_json::Value>("The document.", json!({ "openapi": "3.1.0" }))
            .cached(),
        Operation::get("docs", "/docs", "This document for people: Swagger UI")
            .about("Needs nothing from elsewhere.")
            .answers_text("text/html; charset=utf-8", "The page.")
            .cached(),
        Operation::get("docsFile", "/docs/{file}", "A file of Swagger UI")
            .segment("file", "Its name.", schemas::words(DocsFile::FILES.map(DocsFile::name)))
            .answers_text("text/javascript; charset=utf-8", "The file.")
            .answers_text("text/css; charset=utf-8", "The file.")
            .answers_text("image/png", "The file.")
            .cached(),
        Operation::get("redoc", "/redoc", "Where to find the document for people")
            .answers_nothing(StatusCode::PERMANENT_REDIRECT, "It is at `/api/v1/docs`."),
    ]
}

fn health() -> serde_json::Value {
    json!({
        "status": "healthy",
        "version": "0.1.0",
        "timestamp": "2026-01-31T09:00:00.000000Z",
        "log": { "backend": "embedded", "trouble": null },
        "read_models": { "position": 42, "searchable": 42, "trouble": null },
        "projections": [
            { "name": "tasks", "position": 42, "halted": null, "skipped_unknown": 0, "skipped": [] },
        ],
        "actors": {
            "log_trouble": null,
            "open_tasks": 3,
            "running_tasks": 1,
            "active_schedules": 12,
            "drifted_flows": 0,
            "crashes": 0,
            "last_crash": null,
            "workers": 1,
            "accepting_workers": 1,
            "unserved": 1,
            "unserved_sources": [{ "name": "dev", "worker_labels": ["gpu"] }],
            "alerts": { "running": true, "trouble": null, "waiting": 0, "given_up": 0 },
        },
    })
}
