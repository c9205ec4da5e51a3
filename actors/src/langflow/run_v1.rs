//! One run through `POST /api/v1/run`, which every LangFlow 1.x has: one request that lasts as
//! long as the run. Streamed where the source can, because closing a stream is the only way to
//! stop such a run; plain otherwise.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::task::RemoteStop;
use spark_events::limits::RESPONSE_BYTES_MAX;
use tokio::sync::watch;

use super::http::{CallError, segment};
use super::input::route;
use super::output::{Part, assemble};
use super::refusal::{Details, error_message, refusal, run_error};
use super::{LangFlow, Outcome, RunRequest, cancelled};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_value: Option<&'a str>,
    input_type: &'static str,
    output_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_component: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tweaks: Option<&'a Value>,
    session_id: &'a str,
}

// The parts of the answer that are kept; everything else is skipped while parsing, which is most
// of it. Any entry may be null.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    outputs: Vec<Option<Group>>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    outputs: Vec<Option<ComponentOutput>>,
}

#[derive(Deserialize)]
struct ComponentOutput {
    component_id: Option<String>,
    component_display_name: Option<String>,
    outputs: Option<BTreeMap<String, Option<Named>>>,
    messages: Option<Vec<Option<Message>>>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    message: Value,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message: Value,
    r#type: Option<String>,
}

impl Answer {
    fn parts(self) -> Vec<Part> {
        let groups = self.outputs.into_iter().flatten();
        groups.flat_map(|group| group.outputs).flatten().flat_map(ComponentOutput::parts).collect()
    }
}

impl ComponentOutput {
    fn parts(self) -> Vec<Part> {
        let component_id = self.component_id.unwrap_or_default();
        let part = |kind: Option<String>, content: Value| Part {
            component_id: component_id.clone(),
            component: self.component_display_name.clone(),
            kind,
            content,
            is_cut: false,
        };
        let named = self.outputs.into_iter().flatten().filter_map(|(_, named)| named);
        let parts: Vec<Part> = named
            .filter(|named| !named.message.is_null())
            .map(|named| part(named.r#type, named.message))
            .collect();
        if !parts.is_empty() {
            return parts;
        }
        let messages = self.messages.into_iter().flatten().flatten();
        messages.map(|message| part(message.r#type, message.message)).collect()
    }
}

fn request_for(
    api: &LangFlow,
    request: &RunRequest,
    query: &str,
) -> Result<RequestBuilder, Failure> {
    let id = segment(&request.remote_flow_id).ok_or_else(|| {
        let message = format!("there is no flow {:?}", request.remote_flow_id);
        Failure::new(FailureClass::NotFound, message)
    })?;
    let routed = route(request);
    // A wrong type anywhere in this body makes LangFlow drop all of it without a word, hence a
    // struct and no loose JSON.
    let body = Body {
        input_value: routed.input_value.as_deref(),
        input_type: "chat",
        output_type: "any",
        output_component: request.output_component.as_deref(),
        tweaks: routed.tweaks.as_deref(),
        session_id: &request.session_id,
    };
    Ok(api.request(Method::POST, &format!("/api/v1/run/{id}{query}")).json(&body))
}

/// A run in one request and one answer. A cancelled one goes on at the source.
pub(super) async fn run_plain(
    api: &LangFlow,
    request: &RunRequest,
    mut cancel: watch::Receiver<bool>,
) -> Outcome {
    if *cancel.borrow() {
        return Outcome::Cancelled(RemoteStop::NotRunning);
    }
    let run = async {
        let answer = api.send(request_for(api, request, "")?).await?;
        api.accept::<Answer>(&answer)
    };
    tokio::select! {
        biased;
        answer = run => match answer {
            Ok(answer) => completed(answer, request),
            Err(failure) => failure.into(),
        },
        () = cancelled(&mut cancel) => Outcome::Cancelled(RemoteStop::LeftRunning),
    }
}

fn completed(answer: Answer, request: &RunRequest) -> Outcome {
    Outcome::Completed(assemble(answer.parts(), request.output_component.as_deref()))
}

/// A run whose events are streamed; with it the run's id, as far as it became known. Cancelling
/// closes the stream, at which LangFlow stops the run.
pub(super) async fn run_streamed(
    api: &LangFlow,
    request: &RunRequest,
    mut cancel: watch::Receiver<bool>,
) -> (Outcome, Option<String>) {
    if *cancel.borrow() {
        return (Outcome::Cancelled(RemoteStop::NotRunning), None);
    }
    let mut run = StreamedRun::default();
    let outcome = tokio::select! {
        biased;
        outcome = run.follow(api, request) => outcome.unwrap_or_else(Outcome::from),
        () = cancelled(&mut cancel) => Outcome::Cancelled(RemoteStop::Stopped),
    };
    (outcome, run.run_id)
}

/// What the stream has told so far.
#[derive(Default)]
struct StreamedRun {
    run_id: Option<String>,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Head {
    event: String,
}

#[derive(Deserialize)]
struct Event<T> {
    data: T,
}

#[derive(Deserialize)]
struct End {
    result: Option<Answer>,
}

#[derive(Deserialize)]
struct RunId {
    run_id: Option<String>,
}

impl StreamedRun {
    async fn follow(&mut self, api: &LangFlow, request: &RunRequest) -> Result<Outcome, Failure> {
        let response = api.open(request_for(api, request, "?stream=true")?).await?;
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if !response.status().is_success() || is_page {
            let answer = api.read(response).await?;
            return Err(refusal(api.url(), &answer));
        }
        let mut lines = Lines::new(response);
        while let Some(mut line) = lines.next(api).await? {
            if let Some(answer) = self.take(api, &mut line)? {
                return Ok(completed(answer, request));
            }
        }
        Err(self.failure.take().unwrap_or_else(|| {
            let message = format!("{} closed the run's stream before its end", api.url());
            Failure::new(FailureClass::Unreachable, message)
        }))
    }

    /// Takes one line. Gives the answer at the end of the run, its failure once that is whole.
    fn take(&mut self, api: &LangFlow, line: &mut Vec<u8>) -> Result<Option<Answer>, Failure> {
        // Bare JSON up to now; real server-sent events would put this before it.
        if line.starts_with(b"data:") {
            line.drain(..5);
        }
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            return Ok(None);
        };
        match head.event.as_str() {
            "end" => {
                let end = serde_json::from_slice::<Event<End>>(line).map_err(|error| {
                    let message =
                        format!("{} ended the run with another shape: {error}", api.url());
                    Failure::new(FailureClass::BadAnswer, message)
                })?;
                if let Some(failure) = self.failure.take() {
                    return Err(failure);
                }
                Ok(Some(end.data.result.unwrap_or(Answer { outputs: vec![] })))
            }
            "error" => {
                api.mask_key(line);
                let event = serde_json::from_slice::<Event<Value>>(line).ok();
                self.error(&event.map(|event| event.data).unwrap_or_default())
            }
            "add_message" if self.run_id.is_none() => {
                let message = serde_json::from_slice::<Event<RunId>>(line).ok();
                self.run_id = message.and_then(|message| message.data.run_id);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A failure comes as two events: the component's message, then the error of the run.
    fn error(&mut self, data: &Value) -> Result<Option<Answer>, Failure> {
        let Some(text) = data.get("error").and_then(Value::as_str) else {
            self.failure = error_message(data).or(self.failure.take());
            return Ok(None);
        };
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let json = text.split_once(": ").map_or(text, |(_, json)| json);
        let wrapped = serde_json::json!({ "detail": json }).to_string();
        let details = Details::of(wrapped.as_bytes());
        let own = details.message.filter(|_| details.is_run_error);
        Err(run_error(own.as_deref().unwrap_or(text)))
    }
}

/// The lines of a stream, each up to the bound of an answer.
struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// Up to here the buffer is known to hold no line's end.
    searched: usize,
}

impl Lines {
    fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new(), searched: 0 }
    }

    /// The next line that is not empty; the rest without a line's end counts as one.
    async fn next(&mut self, api: &LangFlow) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let rest = self.buffer.split_off(self.searched + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            self.searched = self.buffer.len();
            match self.response.chunk().await.map_err(|error| api.broken(&error))? {
                Some(chunk) if self.buffer.len() + chunk.len() > RESPONSE_BYTES_MAX => {
                    return Err(api.too_large());
                }
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => {
                    let line = std::mem::take(&mut self.buffer);
                    self.searched = 0;
                    return Ok(Some(line).filter(|line| !line.trim_ascii().is_empty()));
                }
            }
        }
    }
}
