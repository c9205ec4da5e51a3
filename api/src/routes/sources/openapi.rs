//! The operations of sources, as the OpenAPI document describes them.

use serde_json::json;
use spark_actors::{RemoteListing, Resealed};
use spark_projections::{FlowRow, SourceRow};
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::{AddBody, RequestBody, UpdateBody};
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::{Operation, examples, schemas};

const SOURCE: &str = "The source's id, the start of it, its name or its URL.";

/// A source that was removed, and with `force` what went with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct RemovedSource {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Always true.
    deleted: bool,
    /// How many flows went with it.
    #[schema(required = false)]
    flows: u64,
    /// How many schedules went with it.
    #[schema(required = false)]
    schedules: u64,
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("listSources", "/sources", "List sources")
            .query("status", "`up`, `down`, or both.", schemas::some_of(["up", "down"]))
            .query("deleted", "Removed ones too.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<SourceRow>("A page of sources.", examples::source()),
        Operation::post("addSource", "/sources", "Connect a source")
            .about("It is asked once, and not added if it does not answer or refuses the key.")
            .commands()
            .body::<AddBody>(
                "A LangFlow",
                json!({ "name": "home", "url": "http://localhost:7860", "api_key": "sk-1" }),
            )
            .example(
                "Any server",
                json!({
                    "name": "billing",
                    "url": "http://localhost:9000",
                    "kind": "http",
                    "http": { "auth": "bearer", "health_path": "/health" },
                    "request": { "path": "/invoices", "body": { "text": "{{input}}" } },
                }),
            )
            .answers_row::<SourceRow>(StatusCode::CREATED, "The source.", examples::source())
            .fails(&[Row::CONFLICT, Row::RULE])
            .asks_the_source(),
        Operation::get("getSource", "/sources/{source}", "One source")
            .names("source", SOURCE)
            .reads()
            .answers::<SourceRow>("The source.", examples::source()),
        Operation::patch("updateSource", "/sources/{source}", "Change a source")
            .about("What is left out stays. A new URL or key is tried first.")
            .names("source", SOURCE)
            .commands()
            .body::<UpdateBody>("More at once", json!({ "runs_max": 16 }))
            .answers_row::<SourceRow>(StatusCode::OK, "The source.", examples::source())
            .fails(&[Row::CONFLICT, Row::RULE])
            .asks_the_source(),
        Operation::delete("removeSource", "/sources/{source}", "Remove a source")
            .about("Histories and tasks stay.")
            .names("source", SOURCE)
            .query("force", "Its schedules and flows too, in this order.", schemas::flag())
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "it moved" }))
            .answers::<RemovedSource>("It is removed.", examples::removed())
            .fails(&[Row::CONFLICT, Row::BEHIND]),
        Operation::post("probeSource", "/sources/{source}/probe", "See how a source is doing")
            .about("One that does not answer is an answer too: its status is `down`.")
            .names("source", SOURCE)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "after the update" }))
            .answers_row::<SourceRow>(StatusCode::OK, "The source.", examples::source())
            .fails(&[Row::CONFLICT, Row::RULE]),
        Operation::get("listRemoteFlows", "/sources/{source}/flows", "What flows a source has")
            .names("source", SOURCE)
            .query("folder", "Only those in this folder or project.", schemas::text(0, None))
            .answers_page::<RemoteListing>(
                "All of them.",
                json!({
                    "id": "7f0c9a52-6f0e-4b8e-9d8a-2f6f2f1a0b01",
                    "name": "nightly report",
                    "description": "",
                    "folder": "Reports",
                    "synced_as": "0192f0c1-2d3e-7000-8000-000000000002",
                    "drifted": false,
                }),
            )
            .fails(&[Row::CONFLICT, Row::RULE, Row::OVERLOADED])
            .asks_the_source(),
        Operation::post("addRequest", "/sources/{source}/requests", "Save a request as a flow")
            .about("For sources of the kind `http`. A name that is known already is changed.")
            .names("source", SOURCE)
            .commands()
            .body::<RequestBody>(
                "An invoice",
                json!({
                    "name": "invoice",
                    "request": { "path": "/invoices", "body": { "text": "{{input}}" } },
                }),
            )
            .answers_row::<FlowRow>(StatusCode::CREATED, "The flow.", examples::flow())
            .fails(&[Row::CONFLICT, Row::RULE]),
        Operation::post("resealSources", "/sources/reseal", "Seal all keys of sources anew")
            .about("After the sealing key was replaced. Asking again finishes what broke off.")
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "the key leaked" }))
            .answers::<Resealed>("What was sealed.", json!({ "resealed": 2, "unreadable": [] }))
            .fails(&[Row::CONFLICT, Row::RULE]),
    ]
}
