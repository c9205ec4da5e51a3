//! `automagik log`: the events of everything, in one order. Lists, follows and exports them through
//! the server; checks and counts them in the file itself.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use spark_events::limits::LOG_PAGE_MAX;

use super::Context;
use crate::args::{Global, parse_count};
use crate::client::rows;
use crate::exit::{Exit, Trouble};
use crate::output::{Format, Out};
use crate::views;

mod file;
mod follow;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik log tail -f
  automagik log list --type task.failed --since 1d
  automagik log show 4711
  automagik log verify
The history of a single thing: automagik history task ID";

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Where the log ends
    #[command(after_help = "Examples:
  automagik log head
  automagik log head -o json")]
    Head,
    /// Events, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// The last events, oldest first, and those to come
    Tail(Tail),
    /// One event with its data
    Show(Show),
    /// Every event as one line of JSON, oldest first
    Export(Export),
    /// Check the log's file: positions, revisions, every event readable
    Verify(file::Verify),
    /// How many events there are of each type
    Stats(file::Stats),
}

/// Which events.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct Filters {
    /// Only of these kinds of streams, with commas between: task, schedule, flow,
    /// source, worker and others
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only of these types, with commas between, such as task.failed
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only of these streams, with commas between, such as task-ID
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Only of this task; so also --schedule, --flow, --source, --worker,
    /// --alert
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Only of this schedule, by name or id
    #[arg(long, hide = true)]
    schedule: Option<String>,
    /// Only of this flow, by name or id
    #[arg(long, hide = true)]
    flow: Option<String>,
    /// Only of this source, by name or id
    #[arg(long, hide = true)]
    source: Option<String>,
    /// Only of this worker
    #[arg(long, hide = true)]
    worker: Option<String>,
    /// Only of this alert, by name or id
    #[arg(long, hide = true)]
    alert: Option<String>,
    /// Only what this one did: user:NAME, scheduler, worker:ID, system
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
}

impl Filters {
    fn query(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("category", &self.category),
            ("type", &self.event_type),
            ("stream", &self.stream),
            ("task", &self.task),
            ("schedule", &self.schedule),
            ("flow", &self.flow),
            ("source", &self.source),
            ("worker", &self.worker),
            ("alert", &self.alert),
            ("actor", &self.actor),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// From where to where.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which events")]
pub(crate) struct Span {
    /// Recorded at or after this: an instant, or how long ago (1h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Recorded before this
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Behind this position
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Before this position
    #[arg(long, value_name = "POSITION")]
    before: Option<u64>,
}

impl Span {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [("since", self.since.clone()), ("until", self.until.clone())];
        let places = [("after", self.after), ("before", self.before)];
        let places = places.map(|(name, place)| (name, place.map(|place| place.to_string())));
        let all = texts.into_iter().chain(places);
        all.filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// List events.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log list --since 1h
  automagik log list --schedule nightly --type schedule.skipped
  automagik log list --actor user:local --limit 20")]
pub(crate) struct List {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    span: Span,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count, default_value_t = 50)]
    limit: usize,
    /// Oldest first
    #[arg(long)]
    oldest: bool,
}

/// Follow the log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log tail
  automagik log tail -f --category task
  automagik log tail -n 0 -f -o jsonl      only what comes, one JSON object a line")]
pub(crate) struct Tail {
    #[command(flatten)]
    filters: Filters,
    /// How many of the past
    #[arg(short = 'n', long, alias = "lines", value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Go on with what comes, until ctrl-c
    #[arg(short, long)]
    follow: bool,
}

/// Name an event.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log show 4711
  automagik log show 4711 -o json")]
pub(crate) struct Show {
    /// Its position in the log
    position: u64,
}

/// Write events out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log export events.jsonl
  automagik log export --since 30d --category task > tasks.jsonl
Sealed keys stand there as \"sealed\". Large values are named by their hash and
not written out; a whole copy of everything is: automagik db backup")]
pub(crate) struct Export {
    /// The file; a new one [default: standard output]
    file: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    span: Span,
}

/// Runs a command of the group.
pub(crate) async fn run(log: Log, global: &Global, out: &Out) -> Result<Exit> {
    let context = || super::context(global, out);
    match log {
        Log::Verify(verify) => file::verify(&verify, global, out),
        Log::Stats(stats) => file::stats(&stats, global, out),
        Log::Head => {
            let head = context()?.client.get(&["log", "head"], &[]).await?;
            out.data(&head, |_| format!("{}\n", views::text_or_dash(&head, &["head"])))?;
            Ok(Exit::Ok)
        }
        Log::Show(show) => {
            let position = show.position.to_string();
            let event = context()?.client.get(&["log", &position], &[]).await?;
            out.data(&event, |look| views::log::show(&event, look))?;
            Ok(Exit::Ok)
        }
        Log::List(list) => self::list(&list, &context()?).await,
        Log::Tail(tail) => self::tail(&tail, &context()?).await,
        Log::Export(export) => self::export(&export, &context()?).await,
    }
}

async fn list(list: &List, context: &Context<'_>) -> Result<Exit> {
    let mut query = list.filters.query();
    query.extend(list.span.query());
    query.push(("sort", if list.oldest { "position" } else { "-position" }.to_owned()));
    let mut items = Vec::new();
    pages(&query, list.limit, context, |page| {
        items.extend(page);
        Ok(())
    })
    .await?;
    let listed = json!({ "items": items });
    context.out.data(&listed, |look| views::log::list(&listed, look))?;
    if items.is_empty() {
        context.out.note("no such events");
    }
    Ok(Exit::Ok)
}

async fn tail(tail: &Tail, context: &Context<'_>) -> Result<Exit> {
    let filters = tail.filters.query();
    // Asked first, so that nothing falls between the past and what comes.
    let head = context.client.get(&["log", "head"], &[]).await?;
    let head = head.get("head").and_then(Value::as_u64).unwrap_or_default();
    let mut items = Vec::new();
    if tail.limit > 0 {
        let mut query = filters.clone();
        query.push(("before", head.saturating_add(1).to_string()));
        pages(&query, tail.limit, context, |page| {
            items.extend(page);
            Ok(())
        })
        .await?;
    }
    items.reverse();
    if !tail.follow {
        let listed = json!({ "items": items });
        context.out.data(&listed, |look| views::log::list(&listed, look))?;
        return Ok(Exit::Ok);
    }
    for event in &items {
        tell(event, context.out)?;
    }
    follow::run(filters, head, context).await
}

/// Writes one event of a row that has no end.
fn tell(event: &Value, out: &Out) -> Result<()> {
    match out.format {
        Format::Table => out.raw(&(views::log::line(event, &out.look()) + "\n")),
        Format::None => Ok(()),
        // Indented or as YAML, events without an envelope could not be told apart.
        Format::Json | Format::Jsonl | Format::Yaml => out.raw(&format!("{event}\n")),
    }
}

async fn export(export: &Export, context: &Context<'_>) -> Result<Exit> {
    let mut query = export.filters.query();
    query.extend(export.span.query());
    query.push(("sort", "position".to_owned()));
    let mut file = match &export.file {
        Some(path) => Some(new_file(path)?),
        None => None,
    };
    let mut count = 0_usize;
    pages(&query, usize::MAX, context, |page| {
        count += page.len();
        let lines: String = page.iter().map(|event| format!("{event}\n")).collect();
        match &mut file {
            Some(file) => file.write_all(lines.as_bytes()).context("cannot write the file"),
            None => context.out.raw(&lines),
        }
    })
    .await?;
    if let Some(file) = file {
        file.sync_all().context("cannot store the file")?;
    }
    context.out.note(&format!("{count} events written"));
    Ok(Exit::Ok)
}

fn new_file(path: &std::path::Path) -> Result<std::fs::File, Trouble> {
    std::fs::File::create_new(path).map_err(|error| {
        Trouble::new(Exit::Failed, format!("cannot make the file {}", path.display()))
            .because(error.to_string())
            .then("name a file that does not exist, in a folder that does")
    })
}

/// Page after page, until so many events were taken. A page may be empty and not be the last.
async fn pages(
    query: &[(&str, String)],
    limit: usize,
    context: &Context<'_>,
    mut take: impl FnMut(Vec<Value>) -> Result<()>,
) -> Result<()> {
    let (mut left, mut cursor) = (limit, None::<String>);
    while left > 0 {
        let mut query = query.to_vec();
        query.push(("limit", left.min(LOG_PAGE_MAX).to_string()));
        if let Some(cursor) = cursor.take() {
            query.push(("cursor", cursor));
        }
        let page = context.client.get(&["log"], &query).await?;
        left = left.saturating_sub(rows(&page).len());
        take(rows(&page).to_vec())?;
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}
