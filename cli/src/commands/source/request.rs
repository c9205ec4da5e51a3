//! Requests of a source of the kind `http`, as options.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use spark_events::limits::HTTP_BODY_TEMPLATE_BYTES_MAX;

use crate::commands::{Body, Context};
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

/// What is sent, and what the answer must be.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Request (--type http)")]
pub(crate) struct RequestArgs {
    /// POST, GET, PUT, PATCH or DELETE [default: POST]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// What stands behind the source's URL, such as /agents/x/run
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// JSON with {{input}} or other placeholders in it; @FILE reads a file
    /// [default: {"input": "{{input}}"}]
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
    /// A header without a secret; may be repeated
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// Statuses that are a success, such as 200,202 [default: 2xx]
    #[arg(long, value_name = "STATUS")]
    success_status: Option<String>,
    /// JSON pointer to the value that tells of the success, such as /status
    #[arg(long, value_name = "POINTER", requires = "success_equals")]
    success_path: Option<String>,
    /// What that value must be: JSON, or a text
    #[arg(long, value_name = "VALUE", requires = "success_path")]
    success_equals: Option<String>,
    /// JSON pointer to the result [default: the whole answer]
    #[arg(long, value_name = "POINTER")]
    output_path: Option<String>,
}

impl RequestArgs {
    /// Whether any of it was given.
    pub(super) fn is_given(&self) -> bool {
        let texts = [
            &self.method,
            &self.path,
            &self.body,
            &self.success_status,
            &self.success_path,
            &self.output_path,
        ];
        !self.headers.is_empty() || texts.iter().any(|text| text.is_some())
    }

    /// As the API wants it.
    pub(super) fn json(self) -> Result<Value> {
        let body = self.body.as_deref().map(body_of).transpose()?;
        let headers = self.headers.iter().map(|header| header_of(header));
        let headers = headers.collect::<Result<Map<_, _>, _>>()?;
        let status = self.success_status.as_deref().map(status_of).transpose()?;
        let success = Body::default()
            .with("status", status)
            .with("path", self.success_path)
            .with("equals", self.success_equals.map(value_of));
        Ok(Body::default()
            .with("method", self.method.map(|method| method.to_ascii_uppercase()))
            .with("path", self.path)
            .with("headers", Some(headers).filter(|headers| !headers.is_empty()))
            .with("body", body)
            .with("success", Some(success).filter(|rule| !rule.is_empty()).map(Body::json))
            .with("output", self.output_path)
            .json())
    }
}

fn body_of(text: &str) -> Result<Value> {
    let read;
    let text = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            read = file(path)?;
            &read
        }
    };
    let wrong = |error: serde_json::Error| {
        Trouble::usage("--body is not JSON")
            .because(error.to_string())
            .then("give JSON such as '{\"message\": \"{{input}}\"}', or @FILE")
    };
    Ok(serde_json::from_str(text).map_err(wrong)?)
}

fn file(path: &str) -> Result<String> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| {
        Trouble::usage(format!("cannot read {path}"))
            .because(error.to_string())
            .then("name a file with JSON in it, or give the JSON itself: --body JSON")
    };
    let mut text = String::new();
    // One byte more than the server takes is enough for it to refuse.
    let most = u64::try_from(HTTP_BODY_TEMPLATE_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn header_of(text: &str) -> Result<(String, Value), Trouble> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        Trouble::usage(format!("{text:?} is no header")).then("write it as NAME:VALUE")
    })?;
    Ok((name.trim().to_owned(), value.trim().into()))
}

fn status_of(text: &str) -> Result<Value, Trouble> {
    if text == "2xx" {
        return Ok(text.into());
    }
    let listed: Result<Vec<u16>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    listed.map(|listed| json!(listed)).map_err(|_| {
        Trouble::usage(format!("{text:?} is no list of statuses"))
            .then("write 2xx, or statuses such as 200,202")
    })
}

/// JSON where it is, else the text itself: `ok` need not be written as `"ok"`.
fn value_of(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Save a request as a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source add-request agents writer --path /agents/writer/run
  automagik source add-request agents notify --body @notify.json
Placeholders of --path and --body: {{input}}, {{input_json}}, {{task_id}},
{{attempt}}, {{due_at}}, {{idempotency_key}}. A name that the source has already
is changed.")]
pub(crate) struct AddRequest {
    /// The source: its name, its URL, its id, or the start of its id
    source: String,
    /// A name for the flow
    flow: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
}

/// Saves it.
pub(super) async fn run(add: AddRequest, context: &Context<'_>) -> Result<Exit> {
    let body = Body::default()
        .with("name", Some(add.flow))
        .with("description", add.description)
        .with("request", Some(add.request.json()?));
    let path = ["sources", &add.source, "requests"];
    let row = context.client.post(&path, body.json()).await?;
    context.out.data(&row, |look| views::flow::show(&row, look))?;
    let name = text_or_dash(&row, &["name", "id"]);
    context.out.note(&format!("saved; run it: automagik flow run {name} --input TEXT"));
    Ok(Exit::Ok)
}
