//! `/api/v1/monitor/...`: messages, traces and transactions, made from the remembered runs.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Profile;
use super::body::Reply;
use super::call::{Call, cut_page};
use super::message::stored;
use super::plan::Kind;
use super::run::{Run, Stage, Step};
use super::state::{State, zulu};
use super::{outcome, routes};

/// The remembered runs that the call's `session_id` and `flow_id` pick, oldest first.
fn asked_for(state: &State, call: &Call) -> Vec<Arc<Run>> {
    let session = call.query("session_id");
    let flow = call.query("flow_id");
    state.runs.pick(|run| {
        session.as_ref().is_none_or(|session| run.session() == session)
            && flow.as_ref().is_none_or(|flow| run.flow.id == *flow)
    })
}

/// `GET /api/v1/monitor/messages`.
pub(super) fn messages(state: &State, call: &Call) -> Reply {
    let mut rows = Vec::new();
    for run in asked_for(state, call) {
        let nodes = &run.flow.plan.nodes;
        let says = |step: &&Step| {
            step.failure.is_some()
                || matches!(nodes[step.node].kind, Kind::ChatInput | Kind::ChatOutput)
        };
        rows.extend(run.steps().iter().filter(says).map(|step| stored(&run, step)));
    }
    Reply::json(200, &rows.into())
}

/// `GET /api/v1/monitor/traces`.
pub(super) fn traces(state: &State, call: &Call) -> Reply {
    let status = call.query("status");
    let mut traces: Vec<Value> =
        asked_for(state, call).iter().filter_map(|run| trace(run)).collect();
    traces.retain(|trace| status.as_ref().is_none_or(|status| trace["status"] == *status));
    traces.reverse();
    let (page, size) = call.page();
    let (items, pages) = cut_page(&traces, page, size);
    Reply::json(200, &json!({"traces": items, "total": traces.len(), "pages": pages}))
}

/// `GET /api/v1/monitor/traces/{id}`.
pub(super) fn one_trace(state: &State, id: &str) -> Reply {
    let found = state.runs.find(id).and_then(|run| Some((trace(&run)?, run)));
    let Some((mut trace, run)) = found else {
        return routes::not_found(state, "Trace not found");
    };
    trace["endTime"] = zulu(run.ended()).into();
    trace["spans"] = run.steps().iter().map(|step| span(state, &run, step)).collect();
    Reply::json(200, &trace)
}

/// A run that has ended; one that died with the server leaves none.
fn trace(run: &Run) -> Option<Value> {
    let stage = run.stage();
    if !stage.is_final() || stage == Stage::Lost {
        return None;
    }
    let steps = run.steps();
    let output = match (stage, outcome::failed(&steps)) {
        (_, Some((_, failure))) => json!({"error": failure.text}),
        (Stage::Completed, None) => outcome::main_result(run, &steps),
        _ => Value::Null,
    };
    Some(json!({
        "id": run.id, "name": format!("{} - {}", run.flow.name, run.flow.id),
        "status": if stage == Stage::Failed { "error" } else { "ok" }, "startTime": zulu(run.created),
        "totalLatencyMs": (run.ended() - run.created).num_milliseconds(), "totalTokens": 0,
        "flowId": run.flow.id, "sessionId": run.session(),
        "input": run.ask.input_value.as_ref().map(|input| json!({"input_value": input})), "output": output,
    }))
}

fn span(state: &State, run: &Run, step: &Step) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let failure = step.failure.as_ref().map(|failure| failure.text.as_str());
    json!({
        "id": state.new_id(), "name": node.display_name, "type": "chain",
        "status": if failure.is_some() { "error" } else { "ok" }, "startTime": zulu(step.started),
        "endTime": zulu(step.ended), "latencyMs": (step.ended - step.started).num_milliseconds(),
        "inputs": inputs(run, step, true),
        "outputs": match failure {
            Some(failure) => json!({"error": failure}),
            None => outcome::results(run, step),
        },
        "error": failure, "modelName": null, "tokenUsage": null, "children": [],
    })
}

/// The fields that a component worked with; connected ones only where asked for.
fn inputs(run: &Run, step: &Step, with_connected: bool) -> Map<String, Value> {
    let node = &run.flow.plan.nodes[step.node];
    let steps = run.steps();
    let mut fields = node.fields.clone();
    for (field, source) in &node.inputs {
        fields.remove(field);
        if let (true, Some(source)) =
            (with_connected, steps.iter().find(|step| step.node == *source))
        {
            fields.insert(field.clone(), source.text.as_str().into());
        }
    }
    if matches!(node.kind, Kind::ChatInput | Kind::ChatOutput) {
        fields.insert("session_id".to_owned(), run.session().into());
    }
    if matches!(node.kind, Kind::ChatInput | Kind::TextInput) {
        fields.insert("input_value".to_owned(), step.text.as_str().into());
    }
    fields
}

/// `GET /api/v1/monitor/transactions`.
pub(super) fn transactions(state: &State, call: &Call) -> Reply {
    let mut rows = Vec::new();
    for run in asked_for(state, call) {
        rows.extend(run.steps().iter().map(|step| transaction(state, &run, step)));
    }
    rows.reverse();
    if state.is(Profile::V1_0) {
        return Reply::json(200, &rows.into());
    }
    let (page, size) = call.page();
    let (items, pages) = cut_page(&rows, page, size);
    Reply::json(
        200,
        &json!({"items": items, "total": rows.len(), "page": page, "size": size, "pages": pages}),
    )
}

fn transaction(state: &State, run: &Run, step: &Step) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let outputs = step
        .failure
        .is_none()
        .then(|| outcome::named(node, json!({"message": step.text, "type": "text"})));
    json!({
        "id": state.new_id(), "timestamp": zulu(step.ended), "vertex_id": node.id, "target_id": null,
        "inputs": inputs(run, step, false), "outputs": outputs,
        "status": if step.failure.is_some() { "error" } else { "success" },
    })
}
