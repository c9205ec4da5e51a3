//! Chat messages in the three forms in which LangFlow shows them: as a component's result, as an
//! event, and as a row of the message table.

use serde_json::{Value, json};

use super::plan::Kind;
use super::run::{Failure, Run, Step};
use super::state::{Stamp, spaced};

/// In which place a message is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Inside a component's results.
    Result,
    /// As an `add_message` or `error` event of a v1 stream.
    Event,
    /// As an event of a v2 job, or the error of its status.
    JobEvent,
}

struct Message<'a> {
    id: &'a str,
    text: String,
    sender: &'a str,
    sender_name: &'a str,
    context: Value,
    source: Option<(&'a str, &'a str)>,
    failure: Option<&'a Failure>,
    at: Stamp,
    state: &'a str,
}

fn of_step<'a>(run: &'a Run, step: &'a Step) -> Message<'a> {
    let nodes = &run.flow.plan.nodes;
    let node = &nodes[step.node];
    let base = Message {
        id: &step.message_id,
        text: step.text.clone(),
        sender: "Machine",
        sender_name: "AI",
        context: "".into(),
        source: None,
        failure: step.failure.as_ref(),
        at: step.started,
        state: "complete",
    };
    if let Some(failure) = &step.failure {
        let source = Some((node.id.as_str(), node.display_name.as_str()));
        let name = node.display_name.as_str();
        let text = format!("{}\n", failure.text);
        return Message {
            text,
            sender: name,
            sender_name: name,
            context: Value::Null,
            source,
            ..base
        };
    }
    if node.kind == Kind::ChatInput {
        return Message { sender: "User", sender_name: "User", ..base };
    }
    let source = node
        .source()
        .map(|source| (nodes[source].id.as_str(), nodes[source].display_name.as_str()));
    Message { source, ..base }
}

impl Message<'_> {
    fn properties(&self, state: &str) -> Value {
        let colour = self.failure.map(|_| "red");
        let (id, name) = self.source.unzip();
        json!({
            "text_color": colour, "background_color": colour, "edited": false,
            "source": {"id": id, "display_name": name, "source": name},
            "icon": self.failure.map(|_| "error"), "allow_markdown": false, "positive_feedback": null,
            "state": state, "targets": [], "usage": null, "build_duration": null,
        })
    }

    fn content_blocks(&self, grouped: bool) -> Value {
        let Some(failure) = self.failure else {
            return json!([]);
        };
        let mut content = json!({
            "type": "error", "duration": null, "header": {}, "component": self.sender, "field": null,
            "reason": format!("**{}**\n - **Details: {}**\n", failure.error_type, failure.text),
            "solution": null, "code": null, "traceback": "Traceback (most recent call last):\n  (shortened)\n",
        });
        let mut block = json!({"title": "Error", "allow_markdown": true, "media_url": null});
        if grouped {
            content["id"] = Value::Null;
            content["contents"] = json!([]);
            block["type"] = "group".into();
            block["id"] = Value::Null;
            block["duration"] = Value::Null;
            block["header"] = json!({});
        }
        block["contents"] = json!([content]);
        json!([block])
    }

    /// What every form has.
    fn base(&self, run: &Run, state: &str, grouped: bool) -> Value {
        json!({
            "timestamp": spaced(self.at), "sender": self.sender, "sender_name": self.sender_name,
            "session_id": run.session(), "context_id": self.context, "text": self.text, "files": [],
            "edit": false, "properties": self.properties(state), "duration": null,
            "category": if self.failure.is_some() { "error" } else { "message" },
            "content_blocks": self.content_blocks(grouped), "flow_id": run.flow.id,
            "session_metadata": {"graph_run_id": run.id},
        })
    }

    fn shown(&self, run: &Run, form: Form) -> Value {
        let mut inner = self.base(run, "complete", false);
        inner["error"] = false.into();
        inner["run_id"] = run.id.as_str().into();
        inner["id"] = self.id.into();
        let mut outer = self.base(run, self.state, form == Form::JobEvent);
        outer["error"] = false.into();
        outer["run_id"] = run.id.as_str().into();
        if form != Form::Result {
            outer["id"] = self.id.into();
        }
        wrap(outer, inner)
    }
}

fn wrap(mut outer: Value, inner: Value) -> Value {
    outer["text_key"] = "text".into();
    outer["default_value"] = "".into();
    outer["data"] = inner;
    outer
}

/// The message that a step left, in a form.
pub(super) fn shown(run: &Run, step: &Step, form: Form) -> Value {
    of_step(run, step).shown(run, form)
}

/// The message that a step left, as a row of `/monitor/messages`.
pub(super) fn stored(run: &Run, step: &Step) -> Value {
    let message = of_step(run, step);
    let mut row = message.base(run, "complete", false);
    row["id"] = message.id.into();
    row["files"] = "[]".into();
    row
}

/// The first words of a message that comes word by word, from the node at this place.
pub(super) fn partial(run: &Run, node: usize, message_id: &str, chunk: &str, at: Stamp) -> Value {
    let node = &run.flow.plan.nodes[node];
    let message = Message {
        id: message_id,
        text: chunk.to_owned(),
        sender: "Machine",
        sender_name: "AI",
        context: "".into(),
        source: Some((&node.id, &node.display_name)),
        failure: None,
        at,
        state: "partial",
    };
    message.shown(run, Form::Event)
}

/// The result of a component that is not part of the chat.
pub(super) fn plain(run: &Run, step: &Step) -> Value {
    let message = Message { sender: "", sender_name: "", source: None, ..of_step(run, step) };
    let mut inner = message.base(run, "complete", false);
    for (field, value) in [
        ("sender", Value::Null),
        ("sender_name", Value::Null),
        ("session_id", "".into()),
        ("context_id", "".into()),
        ("run_id", Value::Null),
        ("session_metadata", Value::Null),
        ("error", false.into()),
    ] {
        inner[field] = value;
    }
    wrap(inner.clone(), inner)
}
