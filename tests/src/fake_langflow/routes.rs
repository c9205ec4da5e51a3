//! Which path is answered by whom, in which generation, and for whom.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body::Reply;
use super::call::Call;
use super::state::State;
use super::users::{self, Door};
use super::{Profile, flows, library, monitor, v1, v2};

/// Answers a request.
pub(super) async fn answer(state: &Arc<State>, call: &Call) -> Reply {
    let path = call.path();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if let Some(reply) = open_door(state, call, &parts) {
        return reply;
    }
    if let ("POST", ["api", "v1", kind @ ("run" | "webhook"), flow]) =
        (call.method(), parts.as_slice())
    {
        if let Some(refusal) = users::refusal(state, call, Door::Run) {
            return refusal;
        }
        return if *kind == "run" {
            v1::run(state, call, flow).await
        } else {
            v1::webhook(state, call, flow)
        };
    }
    let ["api", version @ ("v1" | "v2"), rest @ ..] = parts.as_slice() else {
        return unknown_path(state);
    };
    if let Some(refusal) = users::refusal(state, call, Door::Lists) {
        return refusal;
    }
    let reply = match *version {
        "v2" if state.is(Profile::V1_13) => v2_routes(state, call, rest).await,
        "v2" => None,
        _ => match flow_routes(state, call, rest) {
            Some(reply) => Some(reply),
            None => other_routes(state, call, rest),
        },
    };
    reply.unwrap_or_else(|| unknown_path(state))
}

/// What needs no key.
fn open_door(state: &State, call: &Call, parts: &[&str]) -> Option<Reply> {
    Some(match (call.method(), parts) {
        ("GET", ["health"]) => Reply::json(200, &json!({"status": "ok"})),
        ("GET", ["health_check" | "healthz"]) => {
            Reply::json(200, &json!({"status": "ok", "chat": "ok", "db": "ok"}))
        }
        ("GET", ["api", "v1", "version"]) => {
            let version = match state.options.profile {
                Profile::V1_13 => "1.13.0",
                Profile::V1_7 => "1.7.3",
                Profile::V1_0 => "1.0.19",
            };
            Reply::json(
                200,
                &json!({"version": version, "main_version": version, "package": "Langflow"}),
            )
        }
        ("GET", ["api", "v1", "auto_login"]) => state.users.auto_login(),
        ("POST", ["api", "v1", "login"]) => state.users.login(call),
        _ => return None,
    })
}

async fn v2_routes(state: &Arc<State>, call: &Call, rest: &[&str]) -> Option<Reply> {
    Some(match (call.method(), rest) {
        ("POST", ["workflows"]) => v2::start(state, call).await,
        ("GET", ["workflows"]) => v2::status(state, call),
        ("POST", ["workflows", "stop"]) => v2::stop(state, call),
        ("GET", ["workflows", id, "events"]) => v2::events(state, call, id),
        _ => return None,
    })
}

fn flow_routes(state: &State, call: &Call, rest: &[&str]) -> Option<Reply> {
    let has_projects = !state.is(Profile::V1_0);
    Some(match (call.method(), rest) {
        ("GET", [list @ ("flows" | "projects" | "folders")]) => {
            let host = call.header("host").unwrap_or_default();
            Reply::redirect(format!("http://{host}/api/v1/{list}/{}", call.raw_query()))
        }
        ("GET", ["flows", ""]) => flows::list(state, call),
        ("GET", ["flows", id]) => flows::get(state, id),
        ("POST", ["flows", ""]) => with_body(call, |body| flows::create(state, &body)),
        ("PATCH", ["flows", id]) => with_body(call, |body| flows::update(state, id, &body)),
        ("DELETE", ["flows", id]) => flows::delete(state, id),
        ("GET", ["projects", ""]) if has_projects => flows::projects(),
        ("GET", ["folders", ""]) if !has_projects => flows::projects(),
        (_, ["folders", more @ ..]) if has_projects => {
            Reply::redirect(format!("/api/v1/projects/{}", more.join("/")))
        }
        ("GET", ["all"]) => Reply::json(200, &library::catalogue()),
        ("POST", ["custom_component"]) => with_body(call, |body| {
            match library::custom_component(body["code"].as_str().unwrap_or_default()) {
                Some(made) => Reply::json(200, &made),
                None => Reply::detail(
                    400,
                    "the fake LangFlow knows only the components of its own flows",
                ),
            }
        }),
        ("POST", ["validate", "prompt"]) => {
            with_body(call, |body| Reply::json(200, &library::validate_prompt(&body)))
        }
        _ => return None,
    })
}

fn other_routes(state: &State, call: &Call, rest: &[&str]) -> Option<Reply> {
    let has_traces = state.is(Profile::V1_13);
    Some(match (call.method(), rest) {
        ("GET", ["users", "whoami"]) => users::whoami(),
        ("GET", ["api_key", ""]) => state.users.list_keys(),
        ("POST", ["api_key", ""]) => with_body(call, |body| state.users.create_key(state, &body)),
        ("DELETE", ["api_key", id]) => state.users.delete_key(id),
        ("GET", ["monitor", "messages"]) => monitor::messages(state, call),
        ("GET", ["monitor", "transactions"]) => monitor::transactions(state, call),
        ("GET", ["monitor", "traces"]) if has_traces => monitor::traces(state, call),
        ("GET", ["monitor", "traces", id]) if has_traces => monitor::one_trace(state, id),
        _ => return None,
    })
}

fn with_body(call: &Call, answer: impl FnOnce(Value) -> Reply) -> Reply {
    match call.json() {
        Ok(body) => answer(body.unwrap_or_default()),
        Err(reply) => reply,
    }
}

fn unknown_path(state: &State) -> Reply {
    if state.options.web_pages {
        // The web pages' own router takes over.
        return Reply::html();
    }
    Reply::detail(404, "Not Found")
}

/// A 404. With web pages it loses its `detail` where that is an object; up to 1.7 it became a page.
pub(super) fn not_found(state: &State, detail: impl Into<Value>) -> Reply {
    let detail = detail.into();
    match (state.options.web_pages, state.is(Profile::V1_13)) {
        (true, false) => Reply::html(),
        (true, true) if detail.is_object() => Reply::json(404, &detail),
        _ => Reply::detail(404, detail),
    }
}
