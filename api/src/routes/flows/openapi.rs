//! The operations of flows, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_events::domain::component::ComponentFields;
use spark_projections::FlowRow;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;
use warp::http::StatusCode;

use super::Checked;
use super::local::{CreateBody, PushBody, UpdateBody};
use super::sync::{SyncBody, Synced, SyncedFlow};
use super::versions::{Comparison, VersionRow};
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::schemas::Removed;
use crate::openapi::{Operation, examples, schemas};
use crate::routes::tasks;

const FLOW: &str = "The flow's id, the start of it, its name, or its id at the source.";

/// A flow that was pushed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct PushedFlow {
    #[serde(flatten)]
    flow: FlowRow,
    /// Whether the source made a new flow of it.
    created: bool,
    /// Secrets that the source lacks now, as `component.field`.
    empty_secrets: Vec<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut all = vec![
        Operation::get("listFlows", "/flows", "List flows")
            .query("source", "Only those of this source.", schemas::text(0, None))
            .query("name", "Only those whose name has this in it.", schemas::text(0, None))
            .query("folder", "Only those in this folder.", schemas::text(0, None))
            .query("drifted", "Only those that were changed at their source, or were not.", schemas::yes_or_no())
            .query("deleted", "Deleted ones too.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<FlowRow>("A page of flows, without definitions.", examples::flow())
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS]),
        Operation::post("createFlow", "/flows", "Make a flow here")
            .about("It can run once it is pushed to a source.")
            .commands()
            .body::<CreateBody>("An export", json!({ "name": "draft", "definition": definition() }))
            .answers_row::<FlowRow>(StatusCode::CREATED, "The flow.", examples::flow())
            .fails(&[Row::CONFLICT, Row::RULE]),
        Operation::post("syncFlows", "/flows/sync", "Take flows from a source")
            .about(
                "One flow answers as its row, with what changed; several answer as a list, with \
                 what failed.",
            )
            .commands()
            .body::<SyncBody>("One", json!({ "flow": "nightly report" }))
            .example("All of a folder", json!({ "source": "home", "folder": "Reports" }))
            .answers_either::<SyncedFlow, Synced>(
                "What was taken.",
                examples::with(examples::flow(), json!({ "changes": null })),
            )
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::READ_MODEL, Row::CONFLICT, Row::RULE])
            .asks_the_source(),
        Operation::get("getFlow", "/flows/{flow}", "One flow")
            .names("flow", FLOW)
            .query("definition", "With its definition.", schemas::flag())
            .reads()
            .answers::<FlowRow>("The flow.", examples::flow())
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::patch("updateFlow", "/flows/{flow}", "Change a flow")
            .about("What is left out stays. A changed flow runs as its source has it until it is pushed.")
            .names("flow", FLOW)
            .commands()
            .body::<UpdateBody>("At most two at once", json!({ "runs_max": 2 }))
            .answers_row::<FlowRow>(StatusCode::OK, "The flow.", examples::flow())
            .fails(&[Row::CONFLICT, Row::RULE]),
        Operation::delete("deleteFlow", "/flows/{flow}", "Forget a flow")
            .about("Not while schedules run it. Its source keeps its own.")
            .names("flow", FLOW)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "not needed any more" }))
            .answers::<Removed>("It is forgotten.", examples::removed())
            .fails(&[Row::CONFLICT]),
        tasks::openapi::run("runFlow", "/flows/{flow}/run", "Run a flow once", json!({})).names("flow", FLOW),
        Operation::post("pushFlow", "/flows/{flow}/push", "Send a flow to its source")
            .names("flow", FLOW)
            .commands()
            .optional_body::<PushBody>("To a source", json!({ "source": "home" }))
            .answers_row::<PushedFlow>(
                StatusCode::OK,
                "The flow, with what the source made of it.",
                examples::with(examples::flow(), json!({ "created": true, "empty_secrets": [] })),
            )
            .fails(&[Row::CONFLICT, Row::RULE])
            .asks_the_source(),
        Operation::post("checkFlow", "/flows/{flow}/check", "Compare a flow with its source")
            .names("flow", FLOW)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "before the release" }))
            .answers::<Checked>(
                "Whether it drifted, and how.",
                json!({ "id": "0192f0c1-2d3e-7000-8000-000000000002", "drifted": false, "drift": null }),
            )
            .fails(&[Row::CONFLICT, Row::RULE])
            .asks_the_source(),
        Operation::get("listComponents", "/flows/{flow}/components", "What a flow is made of")
            .names("flow", FLOW)
            .reads()
            .answers_page::<ComponentFields>("Its components, with the fields that a tweak may set.", component())
            .fails(&[Row::CONFLICT, Row::RULE, Row::LOG_UNAVAILABLE, Row::OVERLOADED]),
        Operation::get("listVersions", "/flows/{flow}/versions", "What a flow was")
            .names("flow", FLOW)
            .reads()
            .answers_page::<VersionRow<'static>>("Its versions, the newest one first.", version())
            .fails(&[Row::LOG_UNAVAILABLE, Row::OVERLOADED]),
        Operation::get("getVersion", "/flows/{flow}/versions/{version}", "What a flow was at one time")
            .names("flow", FLOW)
            .segment("version", "Its number, the start of its hash, `current` or `previous`.", schemas::text(1, None))
            .reads()
            .answers::<VersionRow<'static>>(
                "The version, with its definition.",
                examples::with(version(), json!({ "definition": definition() })),
            )
            .fails(&[Row::CONFLICT, Row::LOG_UNAVAILABLE, Row::OVERLOADED]),
        Operation::get("diffFlows", "/flows/{flow}/diff", "What differs between two versions")
            .about("From the version before to the newest; with `flow`, from this flow to that one.")
            .names("flow", FLOW)
            .query("from", "The older version; `remote` is what the source has.", schemas::text(0, None))
            .query("to", "The newer version.", schemas::text(0, None))
            .query("flow", "Another flow, whose versions `to` names.", schemas::text(0, None))
            .reads()
            .answers::<Comparison>("What differs.", comparison())
            .fails(&[Row::CONFLICT, Row::RULE, Row::LOG_UNAVAILABLE, Row::OVERLOADED])
            .asks_the_source(),
    ];
    let put = all
        .iter()
        .find(|one| one.id() == "updateFlow")
        .map(|patch| patch.also(HttpMethod::Put, "updateFlowByPut"));
    all.extend(put);
    all
}

fn definition() -> Value {
    let node = |kind: &str, name: &str| {
        let text = json!({ "type": "str", "value": "" });
        let template = json!({ "input_value": text });
        json!({
            "id": format!("{kind}-00001"),
            "data": {
                "id": format!("{kind}-00001"),
                "type": kind,
                "node": { "display_name": name, "template": template },
            },
        })
    };
    json!({
        "nodes": [node("ChatInput", "Chat Input"), node("ChatOutput", "Chat Output")],
        "edges": [{ "source": "ChatInput-00001", "target": "ChatOutput-00001" }],
    })
}

fn component() -> Value {
    json!({
        "id": "ChatInput-00001",
        "kind": "ChatInput",
        "name": "Chat Input",
        "is_input": true,
        "is_output": false,
        "fields": [{
            "name": "input_value",
            "display_name": "Text",
            "type": "str",
            "list": false,
            "value": "",
            "options": [],
            "secret": false,
        }],
    })
}

fn version() -> Value {
    json!({
        "number": 1,
        "hash": "9f86d081884c7d65",
        "how": "synced",
        "name": "nightly report",
        "description": "",
        "components": 2,
        "at": "2026-01-31T08:00:00.000000Z",
        "by": "user:local",
        "reason": null,
    })
}

fn comparison() -> Value {
    json!({
        "from": "nightly report version 1",
        "to": "nightly report version 2",
        "differs": true,
        "components": [{
            "id": "Prompt-00001",
            "kind": "Prompt",
            "name": "Prompt",
            "change": "changed",
            "fields": [{ "field": "template", "old": "Hello", "new": "Good morning" }],
        }],
        "connections": [],
    })
}
