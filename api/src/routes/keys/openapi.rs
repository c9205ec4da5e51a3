//! The operations of API keys, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_events::domain::api_key::Role;
use spark_projections::KeyRow;
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::CreateBody;
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::{Operation, schemas};

/// A key that was just made, with its secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct CreatedKey {
    /// The key.
    #[schema(inline)]
    #[serde(flatten)]
    key: KeyRow,
    /// What its holder sends. It is told once: where the request is repeated under its
    /// `Idempotency-Key`, this is absent.
    secret: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let roles = || schemas::words(Role::ALL.map(Role::as_str));
    vec![
        Operation::get("listKeys", "/keys", "List API keys")
            .query("role", "Only those with this role.", roles())
            .query("revoked", "Revoked ones too.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<KeyRow>("A page of keys.", key()),
        Operation::post("createKey", "/keys", "Make an API key")
            .about("The secret stands in this answer and nowhere else; only its hash is kept.")
            .commands()
            .body::<CreateBody>("A key for a build", json!({ "name": "ci", "role": "operator" }))
            .answers_row::<CreatedKey>(StatusCode::CREATED, "The key, with its secret.", created())
            .fails(&[Row::CONFLICT, Row::RULE, Row::READ_MODEL]),
        Operation::get("getKey", "/keys/{key}", "One API key")
            .names("key", "The key's id, the start of it, or its name.")
            .reads()
            .answers::<KeyRow>("The key.", key()),
        Operation::delete("revokeKey", "/keys/{key}", "Revoke an API key")
            .names("key", "The key's id, the start of it, or its name.")
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "it was lost" }))
            .answers_row::<KeyRow>(StatusCode::OK, "The key, revoked.", key())
            .fails(&[Row::STAGE]),
    ]
}

fn key() -> Value {
    json!({
        "id": "0192f0c1-2d3e-7000-8000-00000000000c",
        "name": "ci",
        "role": "operator",
        "status": "active",
        "hint": "x7Qk",
        "created_at": "2026-01-31T08:00:00.000000Z",
        "created_by": "user:local",
        "last_used_at": null,
        "revoked_at": null,
        "revoked_by": null,
        "reason": null,
        "revision": 0,
    })
}

fn created() -> Value {
    let mut created = key();
    created["secret"] = "a secret of many letters".into();
    created
}
