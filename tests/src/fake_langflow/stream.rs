//! Events of a run as they happen: the v1 stream (bare JSON lines) and the v2 stream (SSE).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::body::{Guard, Reply};
use super::message::{self, Form};
use super::outcome;
use super::run::{Event, Run, Stage, Step};
use super::state::{spawn, zulu};

/// Cancels its run when the connection that it belongs to ends.
pub(super) struct EndsWithConnection(pub(super) Arc<Run>);

impl Drop for EndsWithConnection {
    fn drop(&mut self) {
        self.0.cancel(false);
    }
}

/// Sends the events from a place on, until the run ends.
fn follow(
    run: Arc<Run>,
    from: usize,
    guard: Guard,
    show: fn(&Run, &Event, usize) -> Option<String>,
) -> Reply {
    let (pieces, outlet) = mpsc::unbounded_channel();
    spawn(async move {
        let mut news = run.follow();
        let mut place = from;
        loop {
            let (events, is_over) = run.events_from(place);
            for event in events {
                place += 1;
                if let Some(text) = show(&run, &event, place) {
                    drop(pieces.send(Bytes::from(text)));
                }
            }
            if is_over {
                return;
            }
            tokio::select! {
                _ = news.changed() => {}
                () = pieces.closed() => return,
            }
        }
    });
    Reply::stream(outlet, guard)
}

/// `?stream=true` of v1. It announces itself as SSE and is not: there is no `data:`.
pub(super) fn v1(run: Arc<Run>) -> Reply {
    let guard = EndsWithConnection(Arc::clone(&run));
    follow(run, 0, Some(Box::new(guard)), |run, event, _| {
        let line = |event: &str, data: Value| {
            Some(format!("{}\n\n", json!({"event": event, "data": data})))
        };
        let step = |at: &usize| run.steps()[*at].clone();
        match event {
            Event::Message(at) => line("add_message", message::shown(run, &step(at), Form::Event)),
            Event::Partial { node, message_id, chunk, at } => {
                line("add_message", message::partial(run, *node, message_id, chunk, *at))
            }
            Event::Token { message_id, chunk } => {
                line("token", json!({"chunk": chunk, "id": message_id}))
            }
            Event::Failed(at) => line("error", message::shown(run, &step(at), Form::Event)),
            Event::End if run.stage() == Stage::Failed => {
                line("error", json!({"error": format!("500: {}", outcome::v1_error(run))}))
            }
            Event::End => line("end", json!({"result": outcome::v1_result(run)})),
            Event::Sorted
            | Event::Began
            | Event::Ended(_)
            | Event::Output(_)
            | Event::Cancelled => None,
        }
    })
}

/// The events of a v2 run, after the first `from`.
pub(super) fn v2(run: Arc<Run>, from: usize, guard: Guard) -> Reply {
    follow(run, from, guard, |run, event, id| {
        let data = v2_event(run, event);
        Some(format!("data: {data}\nid: {id}\n\n"))
    })
}

fn v2_event(run: &Run, event: &Event) -> Value {
    let named = |event: &str, data: Value| json!({"event": event, "data": data});
    let nodes = &run.flow.plan.nodes;
    let step = |at: &usize| run.steps()[*at].clone();
    match event {
        Event::Sorted => {
            let first: Vec<&str> = nodes
                .iter()
                .filter(|node| node.inputs.is_empty())
                .map(|node| node.id.as_str())
                .collect();
            let all: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
            named("vertices_sorted", json!({"ids": first, "to_run": all}))
        }
        Event::Began => named("build_start", json!({})),
        Event::Message(at) => named("add_message", message::shown(run, &step(at), Form::JobEvent)),
        Event::Partial { node, message_id, chunk, at } => {
            named("add_message", message::partial(run, *node, message_id, chunk, *at))
        }
        Event::Token { message_id, chunk } => {
            named("token", json!({"chunk": chunk, "id": message_id}))
        }
        Event::Failed(at) => named("error", message::shown(run, &step(at), Form::JobEvent)),
        Event::Ended(at) => named("end_vertex", end_vertex(run, &step(at))),
        Event::Output(at) => {
            let mut output = outcome::v2_output(run, &step(at), true);
            output["component_id"] = nodes[step(at).node].id.as_str().into();
            named("output", output)
        }
        Event::End => {
            let took = (run.ended() - run.created).as_seconds_f64();
            named("end", json!({"build_duration": took}))
        }
        Event::Cancelled => json!({"type": "cancelled"}),
    }
}

fn end_vertex(run: &Run, step: &Step) -> Value {
    let nodes = &run.flow.plan.nodes;
    let node = &nodes[step.node];
    let next: Vec<&str> = match step.failure {
        Some(_) => Vec::new(),
        None => node.next.iter().map(|next| nodes[*next].id.as_str()).collect(),
    };
    let took = step.ended - step.started;
    let mut data = json!({
        "timedelta": took.as_seconds_f64(), "duration": format!("{} ms", took.num_milliseconds()),
        "used_frozen_result": false, "token_usage": null,
    });
    let params;
    if let Some(failure) = &step.failure {
        params = outcome::building_error(node, failure);
        let trace = "Traceback (most recent call last):\n  (shortened)\n";
        let error =
            json!({"message": {"errorMessage": params, "stackTrace": trace}, "type": "error"});
        data["outputs"] = outcome::named(node, error);
        for field in ["results", "logs", "message", "artifacts"] {
            data[field] = json!({});
        }
    } else {
        params = format!("- Message: {}\n", step.text);
        let is_inner = !(node.kind.is_output() || node.inputs.is_empty());
        let shown = outcome::artifacts(run, step, &json!({"text": step.text}).to_string());
        data["results"] = if is_inner { json!({}) } else { outcome::results(run, step) };
        data["outputs"] = outcome::named(node, json!({"message": step.text, "type": "text"}));
        data["logs"] = outcome::named(node, json!([]));
        data["message"] = shown.clone();
        data["artifacts"] = shown;
    }
    json!({
        "build_data": {
            "id": node.id, "inactivated_vertices": [], "next_vertices_ids": next, "top_level_vertices": next,
            "valid": step.failure.is_none(), "params": params, "data": data, "timestamp": zulu(step.ended),
        },
        "output_meta": {
            "component_id": node.id, "display_name": node.display_name, "vertex_type": node.type_name,
            "is_output": node.kind.is_output(), "is_terminal": node.next.is_empty(),
            "output_types": node.output_types,
        },
    })
}
