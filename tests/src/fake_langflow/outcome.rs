//! What a run came to, as v1 and v2 tell it.

use serde_json::{Map, Value, json};

use super::Profile;
use super::message::{self, Form};
use super::plan::{Kind, Node};
use super::run::{Failure, Mode, Run, Stage, Step};
use super::state::{State, now, offset};

/// Where the status of a background job cuts a text.
const TEXT_CHARS_MAX: usize = 6_000;

/// A component's result, under the name of its output.
pub(super) fn results(run: &Run, step: &Step) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let is_chat = matches!(node.kind, Kind::ChatInput | Kind::ChatOutput);
    let shown =
        if is_chat { message::shown(run, step, Form::Result) } else { message::plain(run, step) };
    named(node, shown)
}

/// `{"<output>": value}`.
pub(super) fn named(node: &Node, value: Value) -> Value {
    Value::Object(Map::from_iter([(node.output.clone(), value)]))
}

/// What a component shows of its result: chat components their message, others its text.
pub(super) fn artifacts(run: &Run, step: &Step, repr: &str) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let (sender, name) = match node.kind {
        Kind::ChatInput => ("User", "User"),
        Kind::ChatOutput => ("Machine", "AI"),
        _ => {
            return named(node, json!({"repr": repr, "raw": step.text, "type": "text"}));
        }
    };
    json!({"message": step.text, "sender": sender, "sender_name": name, "files": [], "type": "object"})
}

/// The result that stands for the whole run: that of a chat output, else the last.
pub(super) fn main_result(run: &Run, steps: &[Step]) -> Value {
    let is_chat = |step: &&Step| run.flow.plan.nodes[step.node].kind == Kind::ChatOutput;
    let step = steps.iter().find(is_chat).or_else(|| steps.last());
    step.map(|step| results(run, step)).unwrap_or_default()
}

/// The answer of v1 to a run that went well.
pub(super) fn v1(state: &State, run: &Run) -> String {
    let steps = run.steps();
    let chosen = chosen_by_v1(run, &steps);
    if state.is(Profile::V1_0) {
        return lean(run, &chosen);
    }
    let outputs: Vec<Value> = chosen.iter().map(|step| v1_entry(run, step)).collect();
    v1_envelope(run, &outputs).to_string()
}

/// The same as a value, for the end of a stream.
pub(super) fn v1_result(run: &Run) -> Value {
    let steps = run.steps();
    let outputs: Vec<Value> =
        chosen_by_v1(run, &steps).iter().map(|step| v1_entry(run, step)).collect();
    v1_envelope(run, &outputs)
}

fn v1_envelope(run: &Run, outputs: &[Value]) -> Value {
    let mut inputs = Map::new();
    if let Some(input) = &run.ask.input_value {
        inputs.insert("input_value".to_owned(), input.as_str().into());
    }
    json!({"session_id": run.session(), "outputs": [{"inputs": inputs, "outputs": outputs}]})
}

fn chosen_by_v1<'a>(run: &Run, steps: &'a [Step]) -> Vec<&'a Step> {
    let node = |step: &Step| &run.flow.plan.nodes[step.node];
    if let Some(wanted) = &run.ask.output_component {
        return steps
            .iter()
            .filter(|step| node(step).id == *wanted || node(step).display_name == *wanted)
            .collect();
    }
    let outputs = || steps.iter().filter(|step| node(step).kind.is_output());
    let of_type: Vec<&Step> = match run.ask.output_type.as_str() {
        "debug" => return steps.iter().collect(),
        "any" => return outputs().collect(),
        "text" => outputs().filter(|step| node(step).kind == Kind::TextOutput).collect(),
        _ => outputs().filter(|step| node(step).kind == Kind::ChatOutput).collect(),
    };
    if of_type.is_empty() { outputs().collect() } else { of_type }
}

fn v1_entry(run: &Run, step: &Step) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let session = if node.kind == Kind::ChatOutput { run.session() } else { "" };
    let message = json!({
        "message": step.text, "sender": "Machine", "sender_name": "AI", "session_id": session,
        "stream_url": null, "component_id": node.id, "files": [], "type": "text",
    });
    // An empty text leaves no message.
    let messages = if step.text.is_empty() { Vec::new() } else { vec![message] };
    json!({
        "results": results(run, step),
        "artifacts": artifacts(run, step, &step.text),
        "outputs": named(node, json!({"message": step.text, "type": "text"})),
        "logs": named(node, json!([])),
        "messages": messages,
        "timedelta": null, "duration": null, "component_display_name": node.display_name,
        "component_id": node.id, "used_frozen_result": false, "token_usage": null,
    })
}

/// The shortest answer from which a client can still read everything: the text comes once.
/// It is written by hand because benchmarks send many thousands a second.
fn lean(run: &Run, chosen: &[&Step]) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let session = quoted(run.session());
    let input =
        run.ask.input_value.as_deref().map(|input| format!(r#""input_value":{}"#, quoted(input)));
    let outputs: Vec<String> = chosen
        .iter()
        .map(|step| {
            let node = &run.flow.plan.nodes[step.node];
            format!(
                r#"{{"results":{{}},"artifacts":{{}},"outputs":{{{}:{{"message":{},"type":"text"}}}},"logs":{{}},"messages":[],"timedelta":null,"duration":null,"component_display_name":{},"component_id":{}}}"#,
                quoted(&node.output),
                quoted(&step.text),
                quoted(&node.display_name),
                quoted(&node.id)
            )
        })
        .collect();
    format!(
        r#"{{"session_id":{session},"outputs":[{{"inputs":{{{}}},"outputs":[{}]}}]}}"#,
        input.unwrap_or_default(),
        outputs.join(",")
    )
}

/// The step that failed, with its reason.
pub(super) fn failed(steps: &[Step]) -> Option<(&Step, &Failure)> {
    steps.iter().find_map(|step| Some((step, step.failure.as_ref()?)))
}

/// `Error building Component X: ...`.
pub(super) fn building_error(node: &Node, failure: &Failure) -> String {
    format!("Error building Component {}: \n\n{}", node.display_name, failure.text)
}

fn graph_error(run: &Run, steps: &[Step]) -> String {
    let error = failed(steps)
        .map(|(step, failure)| building_error(&run.flow.plan.nodes[step.node], failure));
    format!("Error running graph: {}", error.unwrap_or_default())
}

/// The detail of the HTTP 500 of v1: JSON inside a text.
pub(super) fn v1_error(run: &Run) -> String {
    let message = Value::from(graph_error(run, &run.steps()));
    format!(
        r#"{{"message":{message},"traceback":null,"description":null,"code":null,"suggestion":null}}"#
    )
}

/// The v2 object of a run that has ended, `cut` as the status of a job cuts it.
pub(super) fn v2(run: &Run, cut: bool) -> Value {
    let steps = run.steps();
    let has_failed = run.stage() != Stage::Completed;
    let mut outputs = Map::new();
    let mut errors = Vec::new();
    let mut output = json!({"reason": "failed", "text": null, "source": null});
    if let Some((_, failure)) = failed(&steps) {
        errors.push(json!({
            "error": graph_error(run, &steps), "code": "EXECUTION_ERROR",
            "details": {"flow_id": run.flow.id, "error_type": failure.error_type},
        }));
    } else if !has_failed {
        let sinks = steps.iter().filter(|step| run.flow.plan.nodes[step.node].next.is_empty());
        let wanted = |id: &String| run.ask.output_ids.as_ref().is_none_or(|ids| ids.contains(id));
        for step in sinks {
            let id = &run.flow.plan.nodes[step.node].id;
            if wanted(id) {
                outputs.insert(id.clone(), v2_output(run, step, cut));
            }
        }
        output = match outputs.iter().collect::<Vec<_>>().as_slice() {
            [] => json!({"reason": "none", "text": null, "source": null}),
            [(id, only)] => json!({"reason": "single", "text": only["content"], "source": id}),
            _ => json!({"reason": "multiple", "text": null, "source": null}),
        };
    }
    // Without chat nodes nothing but the job row is left of a v1 run, and that has no session.
    let is_chat = run
        .flow
        .plan
        .nodes
        .iter()
        .any(|node| matches!(node.kind, Kind::ChatInput | Kind::ChatOutput));
    let session =
        if cut && run.mode == Mode::Plain && !is_chat { &run.flow.id } else { run.session() };
    json!({
        "flow_id": run.flow.id, "session_id": (!has_failed).then_some(session),
        "job_id": run.id, "object": "response", "created_timestamp": offset(now()),
        "status": run.stage().name(), "output": output, "errors": errors, "warnings": [], "inputs": {},
        "globals": {}, "outputs": outputs, "human_request": null, "has_errors": has_failed,
    })
}

/// What v2 says of one sink.
pub(super) fn v2_output(run: &Run, step: &Step, cut: bool) -> Value {
    let node = &run.flow.plan.nodes[step.node];
    let mut content = step.text.clone();
    if let (true, Some((at, _))) = (cut, content.char_indices().nth(TEXT_CHARS_MAX)) {
        content.truncate(at);
        content.push_str("...");
    }
    json!({
        "type": "message", "status": "completed", "display_name": node.display_name, "content": content,
        "metadata": {"component_type": node.type_name},
    })
}
