//! The result of a background job. LangFlow cuts its texts in the status to 6,000 characters and
//! adds "..."; the whole text is fetched from the run's messages, and where it cannot be had, the
//! result says that it is cut.

use serde::Deserialize;
use serde_json::Value;

use super::status::Completed;
use crate::langflow::output::{Part, assemble};
use crate::langflow::{LangFlow, RunRequest};

const CUT_MARK: &str = "...";
/// LangFlow's default. Its operator may set another, so any long text with the mark is looked up.
const CUT_CHARS: usize = 6_000;
/// Shorter texts with dots at their end are just that.
const CUT_CHARS_MIN: usize = 1_000;

#[derive(Deserialize)]
struct Message {
    text: Option<String>,
    session_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    graph_run_id: Option<String>,
}

/// The result as it is recorded.
pub(super) async fn output(
    api: &LangFlow,
    request: &RunRequest,
    job_id: &str,
    answer: Completed,
) -> Value {
    let mut parts = parts(answer);
    if parts.iter().any(|part| cut_text(part).is_some()) {
        let messages = messages(api, &request.session_id, job_id).await;
        for part in &mut parts {
            mend(part, &messages);
        }
    }
    assemble(parts, request.output_component.as_deref())
}

fn parts(answer: Completed) -> Vec<Part> {
    let parts: Vec<Part> =
        answer.outputs.into_iter().map(|(id, output)| part(id, output)).collect();
    if !parts.is_empty() {
        return parts;
    }
    let chosen = answer.output.and_then(|chosen| Some((chosen.text?, chosen.source)));
    let part = chosen.map(|(text, source)| Part {
        component_id: source.unwrap_or_default(),
        component: None,
        kind: None,
        content: text.into(),
        is_cut: false,
    });
    part.into_iter().collect()
}

fn part(component_id: String, mut output: Value) -> Part {
    let text = |key: &str| output.get(key).and_then(Value::as_str).map(str::to_owned);
    Part {
        component: text("display_name"),
        kind: text("type"),
        content: output.get_mut("content").map(Value::take).unwrap_or_default(),
        component_id,
        is_cut: false,
    }
}

/// What is left of a text that looks cut.
fn cut_text(part: &Part) -> Option<&str> {
    let start = part.content.as_str()?.strip_suffix(CUT_MARK)?;
    (start.len() >= CUT_CHARS_MIN).then_some(start)
}

fn mend(part: &mut Part, messages: &[String]) {
    let Some(start) = cut_text(part) else { return };
    match messages.iter().rev().find(|text| text.starts_with(start) && text.len() > start.len()) {
        Some(whole) => part.content = whole.as_str().into(),
        None => part.is_cut = start.chars().count() == CUT_CHARS,
    }
}

async fn messages(api: &LangFlow, session_id: &str, job_id: &str) -> Vec<String> {
    let request = api.get("/api/v1/monitor/messages").query(&[("session_id", session_id)]);
    let messages = api.json::<Vec<Message>>(request).await.unwrap_or_else(|failure| {
        tracing::debug!(session_id, %failure, "the messages of a run could not be fetched");
        vec![]
    });
    let is_ours = |message: &Message| {
        let run = message.session_metadata.as_ref().and_then(|m| m.graph_run_id.as_deref());
        run.is_none_or(|run| run == job_id)
    };
    messages.into_iter().filter(is_ours).filter_map(|message| message.text).collect()
}
