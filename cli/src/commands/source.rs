//! `automagik source`: LangFlow servers that Spark talks to.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::common::ConsentArgs;
use super::{Body, Context};
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik source add http://localhost:7860 --name dev --api-key sk-...
  automagik source list
  automagik source probe dev";

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// Connect a LangFlow server
    Add(Add),
    /// All sources
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik source list
  automagik source list -o json"
    )]
    List,
    /// One source
    #[command(alias = "view")]
    Show(One),
    /// Change what is given, keep the rest
    Update(Update),
    /// Forget a source that no flow uses
    #[command(alias = "delete")]
    Remove(Remove),
    /// Look now whether it answers, and what it offers
    Probe(One),
}

/// Connect a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source add http://localhost:7860 --name dev
  automagik source add https://langflow.example.com --api-key \"$LANGFLOW_KEY\"
--api-key is LangFlow's here; Spark's own key stands before the verb, or in
AUTOMAGIK_API_KEY.")]
pub(crate) struct Add {
    /// Base URL of the LangFlow server
    url: String,
    /// The same as --api-key, for those who are used to it
    #[arg(hide = true, conflicts_with = "api_key")]
    key: Option<String>,
    /// A name for it [default: the URL's host and port]
    #[arg(short, long)]
    name: Option<String>,
    /// LangFlow's API key
    #[arg(short = 'k', long, value_name = "KEY")]
    api_key: Option<String>,
    /// Runs at once
    #[arg(long, value_name = "N")]
    runs_max: Option<u32>,
}

/// Name one source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source show dev
  automagik source probe dev")]
pub(crate) struct One {
    /// Its name, its id, or the start of its id
    source: String,
}

/// Change a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source update dev --api-key sk-new
  automagik source update dev --url http://localhost:7861 --name local
--api-key is LangFlow's here; Spark's own key stands before the verb, or in
AUTOMAGIK_API_KEY.")]
pub(crate) struct Update {
    /// Its name, its id, or the start of its id
    source: String,
    /// New name
    #[arg(short, long)]
    name: Option<String>,
    /// New base URL
    #[arg(short, long)]
    url: Option<String>,
    /// New API key of LangFlow
    #[arg(short = 'k', long, value_name = "KEY")]
    api_key: Option<String>,
    /// New limit of runs at once
    #[arg(long, value_name = "N")]
    runs_max: Option<u32>,
}

/// Forget a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source remove dev
  automagik source remove dev --yes")]
pub(crate) struct Remove {
    /// Its name, its id, or the start of its id
    source: String,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Runs a command of the group.
pub(crate) async fn run(source: Source, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match source {
        Source::Add(add) => {
            let body = Body::default()
                .with("url", Some(add.url))
                .with("name", add.name)
                .with("api_key", add.api_key.or(add.key))
                .with("runs_max", add.runs_max);
            let row = client.post(&["sources"], body.json()).await?;
            done("added", &row, context)
        }
        Source::List => {
            let list = client.list(&["sources"], &[], usize::MAX).await?;
            out.data(&list, |look| views::source::list(&list, look))?;
            if crate::client::rows(&list).is_empty() {
                out.note("no sources yet; connect one: automagik source add URL");
            }
            Ok(Exit::Ok)
        }
        Source::Show(one) => {
            let row = client.get(&["sources", &one.source], &[]).await?;
            out.data(&row, |look| views::source::show(&row, look))?;
            Ok(Exit::Ok)
        }
        Source::Update(update) => {
            let body = Body::default()
                .with("name", update.name)
                .with("url", update.url)
                .with("api_key", update.api_key)
                .with("runs_max", update.runs_max);
            if body.is_empty() {
                return Err(Trouble::usage("nothing to change was given")
                    .then("give --name, --url, --api-key or --runs-max")
                    .into());
            }
            let row = client.patch(&["sources", &update.source], body.json()).await?;
            done("changed", &row, context)
        }
        Source::Remove(remove) => {
            let row = client.get(&["sources", &remove.source], &[]).await?;
            let name = text_or_dash(&row, &["name", "id"]);
            remove.consent.ask("source", &name)?;
            let answer = client.delete(&["sources", &text_or_dash(&row, &["id"])]).await?;
            out.data(&answer, |_| String::new())?;
            out.note(&format!("source {name} is removed; its history stays"));
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
    let out = context.out;
    out.data(row, |look| views::source::show(row, look))?;
    let name = text_or_dash(row, &["name", "id"]);
    out.note(&format!(
        "source {name} is {verb}; its flows: automagik flow list --remote --source {name}"
    ));
    Ok(Exit::Ok)
}
