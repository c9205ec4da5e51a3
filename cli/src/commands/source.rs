//! `automagik source`: servers that Spark talks to.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Body, Context};
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

mod add;
mod remove;
mod request;

use add::Add;
use remove::Remove;
use request::AddRequest;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik source add http://localhost:7860 --name dev --api-key sk-...
  automagik source list
  automagik source probe dev";

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// Connect a LangFlow server, or any that takes HTTP requests
    Add(Box<Add>),
    /// Save a request of a source of the type http as a flow
    AddRequest(Box<AddRequest>),
    /// All sources
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik source list
  automagik source list --status down
  automagik source list -o json"
    )]
    List(List),
    /// One source
    #[command(aliases = ["view", "get"])]
    Show(One),
    /// Change what is given, keep the rest
    Update(Update),
    /// Forget a source
    #[command(alias = "delete")]
    Remove(Remove),
    /// Look now whether it answers, and what it offers
    Probe(One),
    /// Replace the key that the sources' API keys are sealed with on disk
    #[command(after_help = "Examples:
  automagik source reseal
Every API key is sealed anew. The sources themselves notice nothing of it.")]
    Reseal,
}

/// Choose sources.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are up, or down
    #[arg(short, long, value_parser = ["up", "down"])]
    status: Option<String>,
}

/// Name one source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source show dev
  automagik source probe dev")]
pub(crate) struct One {
    /// Its name, its URL, its id, or the start of its id
    source: String,
}

/// Change a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source update dev --api-key sk-new
  automagik source update dev --url http://localhost:7861 --name local
  automagik source update dev --no-api-key
--api-key is the source's here; Spark's own key stands before the verb, or in
AUTOMAGIK_API_KEY.")]
pub(crate) struct Update {
    /// Its name, its URL, its id, or the start of its id
    source: String,
    /// New name
    #[arg(short, long)]
    name: Option<String>,
    /// New base URL
    #[arg(short, long)]
    url: Option<String>,
    /// New API key of the server
    #[arg(short = 'k', long, value_name = "KEY", value_parser = new_key)]
    api_key: Option<String>,
    /// Send no key any more
    #[arg(long, conflicts_with = "api_key")]
    no_api_key: bool,
    /// New limit of runs at once
    #[arg(long, value_name = "N")]
    runs_max: Option<u32>,
    /// Only workers with this label make its calls from now on; repeat it for several
    #[arg(long = "worker-label", value_name = "LABEL")]
    worker_labels: Vec<String>,
    /// Any worker makes its calls from now on
    #[arg(long, conflicts_with = "worker_labels")]
    no_worker_label: bool,
}

/// A key that takes the place of another one.
fn new_key(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("it is empty; --no-api-key takes the key away, and without either of them it \
                     stays as it is"
            .to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Runs a command of the group.
pub(crate) async fn run(source: Source, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match source {
        Source::Add(add) => add::run(*add, context).await,
        Source::AddRequest(add) => request::run(*add, context).await,
        Source::List(wanted) => {
            let query: Vec<_> = wanted.status.into_iter().map(|one| ("status", one)).collect();
            let list = client.list(&["sources"], &query, usize::MAX).await?;
            out.data(&list, |look| views::source::list(&list, look))?;
            if crate::client::rows(&list).is_empty() {
                out.note(match query.is_empty() {
                    true => "no sources yet; connect one: automagik source add URL",
                    false => "no source fits; see all: automagik source list",
                });
            }
            Ok(Exit::Ok)
        }
        Source::Show(one) => {
            let row = client.get(&["sources", &one.source], &[]).await?;
            out.data(&row, |look| views::source::show(&row, look))?;
            Ok(Exit::Ok)
        }
        Source::Update(update) => {
            let named = !update.worker_labels.is_empty() || update.no_worker_label;
            let worker_labels = named.then_some(update.worker_labels);
            let body = Body::default()
                .with("name", update.name)
                .with("url", update.url)
                .with("api_key", update.api_key.map(Value::from))
                .with("api_key", update.no_api_key.then_some(Value::Null))
                .with("runs_max", update.runs_max)
                .with("worker_labels", worker_labels);
            if body.is_empty() {
                return Err(Trouble::usage("nothing to change was given")
                    .then(
                        "give --name, --url, --api-key, --no-api-key, --runs-max or --worker-label",
                    )
                    .into());
            }
            let row = client.patch(&["sources", &update.source], body.json()).await?;
            done("changed", &row, context)
        }
        Source::Remove(remove) => remove::run(remove, context).await,
        Source::Reseal => {
            let answer = client.post(&["sources", "reseal"], json!({})).await?;
            out.data(&answer, |_| String::new())?;
            let resealed = text_or_dash(&answer, &["resealed"]);
            out.note(&format!("{resealed} key(s) are sealed anew; the sealing key before is gone"));
            for name in views::entries(&answer, &["unreadable"]) {
                let name = name.as_str().unwrap_or_default();
                out.note(&format!(
                    "source {name} has a key that cannot be opened; give it again: automagik \
                     source update {name} --api-key KEY"
                ));
            }
            Ok(Exit::Ok)
        }
        Source::Probe(one) => {
            let row = client.post(&["sources", &one.source, "probe"], json!({})).await?;
            out.data(&row, |look| views::source::show(&row, look))?;
            // A source that is down is what a probe is asked to find, and no success.
            let down = views::source::status(&row) == "down";
            Ok(if down { Exit::Failed } else { Exit::Ok })
        }
    }
}

fn done(verb: &str, row: &Value, context: &Context<'_>) -> Result<Exit> {
    let name = shown(row, context)?;
    let of_langflow = text_or_dash(row, &["kind"]) != "http";
    context.out.note(&match of_langflow {
        true => format!(
            "source {name} is {verb}; its flows: automagik flow list --remote --source {name}"
        ),
        false => format!("source {name} is {verb}"),
    });
    Ok(Exit::Ok)
}

/// Shows a source and gives its name.
fn shown(row: &Value, context: &Context<'_>) -> Result<String> {
    context.out.data(row, |look| views::source::show(row, look))?;
    Ok(text_or_dash(row, &["name", "id"]))
}
