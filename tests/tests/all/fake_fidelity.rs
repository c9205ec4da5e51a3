//! Holds the fake LangFlow to recorded answers of the real one.
//!
//! Every file in `fixtures/langflow` is replayed in the order of the recording, and the answer is
//! compared: status, headers, the shape of the JSON, and the values that mean something. Ids
//! differ between servers, so each id of the recording is matched with the one that the fake gave
//! in the same place, and replaced where it comes up later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use spark_tests::eventually;
use spark_tests::fake_langflow::{FakeLangFlow, Options, PASSWORD};
use spark_tests::plain_http::{Answer, send};

const KEY: &str = "sk-fidelity";
const PATIENCE: Duration = Duration::from_secs(20);

/// Recordings that the fake does not answer, each with the reason.
const NOT_IMITATED: [(&str, &str); 0] = [];

/// The order of `record_fixtures.py`; later answers depend on earlier requests.
const IN_ORDER: &str = "health health_check version projects_list folders_list_redirect flows_list_headers \
    flows_list_page flow_echo flow_prompt flow_fail flow_slow flow_busy flow_stream flow_text flow_llm_no_key \
    flow_webhook flow_two_outputs flow_unknown flow_bad_id flows_page_too_large path_unknown whoami flow_created \
    flow_updated flow_deleted flow_create_nameless run_success run_success_two_outputs run_success_text_tweak \
    run_success_no_outputs run_component_failure run_llm_no_key run_unknown_flow run_tweak_refused \
    run_tweak_conflict run_bad_json run_no_body run_not_an_object run_wrong_types run_auth_missing \
    run_auth_wrong_key list_auth_missing list_auth_wrong_key list_auth_bad_token run_stream_success \
    run_stream_failure webhook_accepted webhook_empty v2_sync_success v2_sync_two_outputs v2_sync_failure \
    v2_unknown_flow v2_bad_field v2_missing_flow v2_bad_flow_id v2_bad_types v2_bad_json v2_unknown_output_ids \
    v2_tweak_refused v2_job_missing v2_job_bad_id v2_events_unknown v2_stop_unknown v2_stop_missing \
    v2_job_unknown v2_background_submit v2_status_in_progress v2_status_completed v2_events v2_stop_finished \
    v2_background_submit_fail v2_status_failed v2_events_failure v2_background_submit_stop v2_stop \
    v2_status_cancelled v2_stop_again v2_events_cancelled messages_by_session messages_of_failure \
    traces_by_session traces_of_failure trace_of_failure v2_stop_not_cancellable transactions traces_of_text \
    trace_of_text trace_unknown traces_none v2_status_of_v1_run transactions_of_success api_key_create \
    api_key_list api_key_delete auto_login_off login login_wrong login_rate_limited";

/// Recorded on a server that also serves its web pages.
const WITH_WEB_PAGES: [&str; 3] =
    ["frontend_v2_unknown_flow", "frontend_v2_job_unknown", "frontend_unknown_page"];

/// Fields whose value is compared wherever they come up; of others only the type.
const TELLING: [&str; 27] = [
    "text",
    "message",
    "status",
    "object",
    "category",
    "sender",
    "sender_name",
    "type",
    "component_id",
    "component_display_name",
    "display_name",
    "source",
    "reason",
    "content",
    "name",
    "description",
    "event",
    "session_id",
    "detail",
    "code",
    "error",
    "flow_id",
    "job_id",
    "endpoint_name",
    "vertex_id",
    "valid",
    "chunk",
];
/// Lists in no order of their own.
const UNORDERED: [&str; 1] = ["to_run"];

#[tokio::test]
async fn the_fake_answers_as_recorded() {
    let fake =
        FakeLangFlow::start(Options { api_key: Some(KEY.to_owned()), ..Options::default() }).await;
    let mut ids = BTreeMap::new();
    let mut mistakes = Vec::new();
    for name in IN_ORDER.split_whitespace() {
        prepare(&fake, name).await;
        mistakes.extend(replay(&fake, name, &mut ids).await);
    }
    assert!(mistakes.is_empty(), "the fake differs from the recordings:\n{}", mistakes.join("\n"));
}

#[tokio::test]
async fn with_web_pages_it_answers_as_recorded() {
    let options = Options { api_key: Some(KEY.to_owned()), web_pages: true, ..Options::default() };
    let fake = FakeLangFlow::start(options).await;
    let mut mistakes = Vec::new();
    for name in WITH_WEB_PAGES {
        mistakes.extend(replay(&fake, name, &mut BTreeMap::new()).await);
    }
    assert!(mistakes.is_empty(), "the fake differs from the recordings:\n{}", mistakes.join("\n"));
}

#[test]
fn every_recording_is_replayed() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder of recordings can be read")
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    let replayed = IN_ORDER.split_whitespace().chain(WITH_WEB_PAGES);
    let known: BTreeSet<String> =
        replayed.chain(NOT_IMITATED.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    assert_eq!(files, known);
}

#[test]
fn a_difference_is_found() {
    let recorded = serde_json::json!({"status": "ok", "n": 1, "list": [{"a": null}], "at": "x"});
    let same =
        serde_json::json!({"status": "ok", "n": 7, "list": [{"a": null}, {"a": null}], "at": "y"});
    assert_eq!(differences(&recorded, &same), Vec::<String>::new());
    for other in [
        serde_json::json!({"status": "no", "n": 1, "list": [{"a": null}], "at": "x"}),
        serde_json::json!({"status": "ok", "n": "1", "list": [{"a": null}], "at": "x"}),
        serde_json::json!({"status": "ok", "n": 1, "list": [{"b": null}], "at": "x"}),
        serde_json::json!({"status": "ok", "n": 1, "list": [], "at": "x"}),
        serde_json::json!({"status": "ok", "n": 1, "list": [{"a": null}]}),
    ] {
        assert_eq!(differences(&recorded, &other).len(), 1, "{other}");
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/langflow")
}

/// What the recorder waited for before this request.
async fn prepare(fake: &FakeLangFlow, name: &str) {
    match name {
        "v2_status_in_progress" | "v2_stop" => {
            eventually(PATIENCE, || async { (fake.waiting() == 1).then_some(()) }).await;
        }
        "v2_status_completed" => {
            fake.release();
            settled(fake).await;
        }
        "v2_status_failed" => settled(fake).await,
        "login_rate_limited" => {
            for _ in 0..4 {
                replay(fake, "login_wrong", &mut BTreeMap::new()).await;
            }
        }
        _ => {}
    }
}

async fn settled(fake: &FakeLangFlow) {
    let has_ended = |status: &str| !matches!(status, "queued" | "in_progress");
    eventually(PATIENCE, || async {
        fake.jobs().iter().all(|(_, status)| has_ended(status)).then_some(())
    })
    .await;
}

/// Sends the recorded request, and tells how the answer differs.
async fn replay(
    fake: &FakeLangFlow,
    name: &str,
    ids: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let file = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let exchange: Value = serde_json::from_str(&with_ids(&text, ids)).expect("a recording is JSON");
    let answer = ask(fake, name, &exchange["request"]).await;
    let recorded = &exchange["response"];

    let mut found = Vec::new();
    if recorded["status"] != answer.status {
        found.push(format!(
            "status {} is not {}: {:?}",
            answer.status, recorded["status"], answer.body
        ));
    }
    for (header, value) in recorded["headers"].as_object().into_iter().flatten() {
        if answer.header(header) != value.as_str() {
            found.push(format!("header {header}: {:?} is not {value}", answer.header(header)));
        }
    }
    let here = parsed(&answer);
    let there = match &recorded["body"] {
        Value::String(text) => stream_or_text(text),
        other => other.clone(),
    };
    learn(&there, &here, ids);
    let there: Value =
        serde_json::from_str(&with_ids(&there.to_string(), ids)).expect("it was JSON");
    found.extend(differences(&there, &here));
    found.into_iter().map(|difference| format!("{name}: {difference}")).collect()
}

async fn ask(fake: &FakeLangFlow, name: &str, request: &Value) -> Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = request["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(header, value)| match header.as_str() {
            "x-api-key" if name.ends_with("wrong_key") => (header.clone(), "sk-wrong".to_owned()),
            "x-api-key" => (header.clone(), KEY.to_owned()),
            "authorization" => (header.clone(), "Bearer x".to_owned()),
            _ => (header.clone(), text(value)),
        })
        .collect();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = match &request["body"] {
        Value::Null => String::new(),
        Value::String(text) if name == "login" => text.replace("REDACTED", PASSWORD),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (method, path) = (text(&request["method"]), text(&request["path"]));
    send(&fake.url(), &method, &path, &headers, body)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn with_ids(text: &str, ids: &BTreeMap<String, String>) -> String {
    ids.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
}

/// A stream becomes a list of its events, each with what stood before it on its line.
fn stream_or_text(text: &str) -> Value {
    let events: Option<Vec<Value>> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (mark, rest) = match line.split_once(": ") {
                Some((mark @ ("data" | "id"), rest)) => (mark, rest),
                _ => ("", line),
            };
            Some(serde_json::json!({"mark": mark, "line": serde_json::from_str::<Value>(rest).ok()?}))
        })
        .collect();
    events.map_or_else(|| text.into(), Value::from)
}

fn parsed(answer: &Answer) -> Value {
    let text = String::from_utf8_lossy(&answer.body);
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&text).unwrap_or_else(|_| stream_or_text(&text))
}

/// Matches the ids that stand in the same place.
fn learn(there: &Value, here: &Value, ids: &mut BTreeMap<String, String>) {
    match (there, here) {
        (Value::Object(there), Value::Object(here)) => {
            for (key, value) in there {
                if let Some(other) = here.get(key) {
                    learn(value, other, ids);
                }
            }
        }
        (Value::Array(there), Value::Array(here)) if there.len() == here.len() => {
            there.iter().zip(here).for_each(|(there, here)| learn(there, here, ids));
        }
        (Value::String(there), Value::String(here))
            if is_id(there) && is_id(here) && there != here =>
        {
            ids.entry(there.clone()).or_insert_with(|| here.clone());
        }
        _ => {}
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn differences(there: &Value, here: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", "", there, here, &mut found);
    found
}

fn compare(path: &str, key: &str, there: &Value, here: &Value, found: &mut Vec<String>) {
    match (there, here) {
        (Value::Object(there), Value::Object(here)) => {
            let (wanted, given): (BTreeSet<_>, BTreeSet<_>) =
                (there.keys().collect(), here.keys().collect());
            if wanted != given {
                let (lacks, has) =
                    (wanted.difference(&given).collect::<Vec<_>>(), given.difference(&wanted));
                found.push(format!(
                    "{path}: lacks {lacks:?}, has besides {:?}",
                    has.collect::<Vec<_>>()
                ));
                return;
            }
            for (key, value) in there {
                compare(&format!("{path}/{key}"), key, value, &here[key], found);
            }
        }
        (Value::Array(there), Value::Array(here)) => compare_lists(path, key, there, here, found),
        _ if kind(there) != kind(here) => found.push(format!("{path}: {here} is not {there}")),
        _ if TELLING.contains(&key) && there != here => {
            found.push(format!("{path}: {here} is not {there}"));
        }
        _ => {}
    }
}

/// Lists of one length are compared item by item, others by the shapes that come up.
fn compare_lists(path: &str, key: &str, there: &[Value], here: &[Value], found: &mut Vec<String>) {
    if there.len() == here.len() && !UNORDERED.contains(&key) {
        for (at, (there, here)) in there.iter().zip(here).enumerate() {
            compare(&format!("{path}/{at}"), key, there, here, found);
        }
        return;
    }
    if there.is_empty() != here.is_empty() {
        found.push(format!("{path}: {} items, not {}", here.len(), there.len()));
    }
    let shapes: BTreeSet<String> = there.iter().map(shape).collect();
    for (at, item) in here.iter().enumerate() {
        if !shapes.contains(&shape(item)) {
            found.push(format!("{path}/{at}: no recorded item has the shape {}", shape(item)));
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", shape(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: BTreeSet<String> = items.iter().map(shape).collect();
            format!("[{}]", items.into_iter().collect::<Vec<_>>().join("|"))
        }
        other => kind(other).to_owned(),
    }
}
