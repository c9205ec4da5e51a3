//! `POST /api/v1/run/...` and `POST /api/v1/webhook/...`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Profile;
use super::body::Reply;
use super::call::Call;
use super::jobs::run_through;
use super::plan::Kind;
use super::routes;
use super::run::{Ask, Mode, Run, Stage, execute};
use super::state::{State, spawn};
use super::{outcome, stream};

/// Runs a flow, named by its id or its endpoint name.
pub(super) async fn run(state: &Arc<State>, call: &Call, flow: &str) -> Reply {
    let body = match call.json() {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let Some(found) = state.flows.find(flow) else {
        return routes::not_found(state, format!("Flow identifier {flow} not found"));
    };
    let ask = match ask(state, body) {
        Ok(ask) => ask,
        Err(reply) => return reply,
    };
    if let Some(refusal) = refused_tweaks(&ask.tweaks) {
        return refusal;
    }
    let is_chat_input_tweaked = found.plan.nodes.iter().any(|node| {
        let tweak = ask.tweaks.get(&node.id).or_else(|| ask.tweaks.get(&node.display_name));
        node.kind == Kind::ChatInput
            && tweak.is_some_and(|fields| fields.get("input_value").is_some())
    });
    if ask.input_value.is_some() && is_chat_input_tweaked {
        let text = "If you pass an input_value to the chat input, you cannot pass a tweak with the same name.";
        return Reply::detail(400, text);
    }
    let is_stream = call.query_is_true("stream").unwrap_or(false) && !state.is(Profile::V1_0);
    let mode = if is_stream { Mode::Stream } else { Mode::Plain };
    let run = Run::new(state, found, ask, mode);
    if is_stream {
        let task = spawn(execute(Arc::clone(state), Arc::clone(&run)));
        run.carried_by(task.abort_handle());
        return stream::v1(run);
    }
    run_through(state, &run).await;
    if run.stage() == Stage::Completed {
        Reply::raw_json(200, outcome::v1(state, &run))
    } else {
        Reply::detail(500, outcome::v1_error(&run))
    }
}

/// Reads the body. Since 1.7 a body of the wrong types is dropped without a word.
fn ask(state: &State, body: Option<Value>) -> Result<Ask, Reply> {
    let fields = match body {
        None => Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            let missing = |field: &str| json!({"type": "missing", "loc": ["body", field], "msg": "Field required"});
            return Err(Reply::detail(422, json!([missing("input_request"), missing("context")])));
        }
    };
    if let Some(field) = wrong_type(&fields) {
        if state.is(Profile::V1_0) {
            let item = json!({"type": "string_type", "loc": ["body", field], "msg": "Input should be a valid string"});
            return Err(Reply::detail(422, json!([item])));
        }
        return Ok(Ask::default());
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Ask {
        input_value: text("input_value"),
        input_type: text("input_type").unwrap_or_default(),
        output_type: text("output_type").unwrap_or_default(),
        output_component: text("output_component").filter(|name| !name.is_empty()),
        output_ids: None,
        tweaks: fields.get("tweaks").and_then(Value::as_object).cloned().unwrap_or_default(),
        session_id: text("session_id"),
    })
}

fn wrong_type(fields: &Map<String, Value>) -> Option<&'static str> {
    let is_legal = |name: &str, value: &Value| match name {
        "tweaks" => value.is_object(),
        "input_type" => matches!(value.as_str(), Some("chat" | "text" | "any")),
        "output_type" => matches!(value.as_str(), Some("chat" | "text" | "any" | "debug")),
        _ => value.is_string(),
    };
    ["input_value", "input_type", "output_type", "output_component", "session_id", "tweaks"]
        .into_iter()
        .find(|name| {
            fields.get(*name).is_some_and(|value| !value.is_null() && !is_legal(name, value))
        })
}

/// Code cannot be tweaked.
pub(super) fn refused_tweaks(tweaks: &Map<String, Value>) -> Option<Reply> {
    let of_node = |value: &Value| value.get("code").is_some();
    if !tweaks.contains_key("code") && !tweaks.values().any(of_node) {
        return None;
    }
    let detail = json!({
        "error": "Refused tweaks", "code": "TWEAKS_REFUSED", "fields": ["code"],
        "message": "The field is protected and keeps the value set by the flow author.",
    });
    Some(Reply::detail(422, detail))
}

/// Starts a flow in the background and says no more of it.
pub(super) fn webhook(state: &Arc<State>, call: &Call, flow: &str) -> Reply {
    if call.body.is_empty() {
        let text =
            "Request body is empty. You should provide a JSON payload containing the flow ID.";
        return Reply::detail(400, text);
    }
    let Some(found) = state.flows.find(flow) else {
        return routes::not_found(state, format!("Flow identifier {flow} not found"));
    };
    let payload = String::from_utf8_lossy(&call.body).into_owned();
    let webhooks = found.plan.nodes.iter().filter(|node| node.kind == Kind::Webhook);
    let tweaks = webhooks.map(|node| (node.id.clone(), json!({"data": payload}))).collect();
    let run = Run::new(state, found, Ask { tweaks, ..Ask::default() }, Mode::Plain);
    drop(spawn(execute(Arc::clone(state), run)));
    Reply::json(202, &json!({"message": "Task started in the background", "status": "in progress"}))
}
