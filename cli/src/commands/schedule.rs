//! `automagik schedule`: when a flow is run, with which input.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::common::{ConsentArgs, InputArgs, TweakArgs};
use super::{Body, Context, flow};
use crate::client::rows;
use crate::exit::Exit;
use crate::views::{self, text_or_dash};
use crate::wait::WaitArgs;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik schedule create report \"0 9 * * mon-fri\" --timezone Europe/Lisbon
  automagik schedule list
  automagik schedule pause nightly --reason \"maintenance\"
  automagik history schedule nightly";

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Run a flow by a cron expression, at an interval, or once
    Create(Box<Create>),
    /// All schedules
    #[command(visible_alias = "ls")]
    List(List),
    /// One schedule, with its next runs
    #[command(
        alias = "view",
        after_help = "Examples:
  automagik schedule show nightly
  automagik schedule show nightly --time iso"
    )]
    Show(One),
    /// When it is due next
    Next(Next),
    /// Start nothing until resumed
    #[command(after_help = "Examples:
  automagik schedule pause nightly --reason \"maintenance\"")]
    Pause(One),
    /// Start again; what came due meanwhile is not made up for
    #[command(after_help = "Examples:
  automagik schedule resume nightly --reason \"maintenance is over\"")]
    Resume(One),
    /// Start a task now; takes no occurrence away
    Trigger(Trigger),
    /// Start nothing any more; the history stays
    Delete(Delete),
}

/// Run a flow again and again.
#[derive(Debug, Args)]
#[command(
    override_usage = "automagik schedule create <FLOW> <CRON|--every TIME|--at TIME> [OPTIONS]",
    after_help = "Examples:
  automagik schedule create report \"0 9 * * mon-fri\" --timezone Europe/Lisbon
  automagik schedule create hello-spark --every 30s --input hello --name greet
  automagik schedule create hello-spark --at 2030-01-31T09:00:00Z
  automagik schedule create report \"@daily\" --dry-run"
)]
pub(crate) struct Create {
    /// The flow's name, its id, or the start of its id
    flow: String,
    #[command(flatten)]
    when: When,
    /// Time zone of the cron expression, such as America/New_York [default: UTC]
    #[arg(long, visible_alias = "tz", value_name = "ZONE")]
    timezone: Option<String>,
    /// A name for it
    #[arg(short, long)]
    name: Option<String>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    tweaks: TweakArgs,
    /// While an earlier task is open: Skip (and record it), AllowAll [default: Skip]
    #[arg(long, value_enum, ignore_case = true, hide_possible_values = true)]
    overlap: Option<Overlap>,
    /// How late an occurrence may still start
    /// [default: 1h, or one interval if that is longer]
    #[arg(long, value_name = "TIME")]
    catch_up: Option<String>,
    /// Attempts after the first one [default: 3]
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// The longest time of one attempt
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Show the next five runs, make nothing
    #[arg(long)]
    dry_run: bool,
}

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct When {
    /// Five fields (min hour day month weekday), or six with seconds first
    #[arg(value_name = "CRON")]
    cron: Option<String>,
    /// A fixed distance: 5s, 30m, 1d
    #[arg(long, alias = "interval", value_name = "TIME")]
    every: Option<String>,
    /// A single instant: now, or 2030-01-31T09:00:00Z
    #[arg(long, alias = "once", value_name = "TIME")]
    at: Option<String>,
}

/// The overlap policy.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Overlap {
    /// Drop the occurrence and record it.
    #[value(name = "Skip")]
    Skip,
    /// Start it beside the running one.
    #[value(name = "AllowAll", alias = "allow-all")]
    AllowAll,
}

/// List schedules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule list
  automagik schedule list --status paused
  automagik schedule list --flow hello-spark")]
pub(crate) struct List {
    /// Only these: active, paused, completed, deleted
    #[arg(long)]
    status: Option<String>,
    /// Only those of this flow
    #[arg(long)]
    flow: Option<String>,
}

/// Name one schedule.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name, its id, or the start of its id
    schedule: String,
}

/// When it is due next.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule next nightly
  automagik schedule next nightly -n 20")]
pub(crate) struct Next {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// How many
    #[arg(short = 'n', long, default_value_t = 5)]
    count: usize,
}

/// Start a task now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule trigger nightly
  automagik schedule trigger nightly --wait --wait-timeout 30m")]
pub(crate) struct Trigger {
    /// Its name, its id, or the start of its id
    schedule: String,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Delete a schedule.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule delete nightly
  automagik schedule delete nightly --yes --reason \"replaced by hourly\"")]
pub(crate) struct Delete {
    /// Its name, its id, or the start of its id
    schedule: String,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Runs a command of the group.
pub(crate) async fn run(schedule: Schedule, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match schedule {
        Schedule::Create(create) => self::create(*create, context).await,
        Schedule::List(list) => {
            let query = [("status", list.status), ("flow", list.flow)];
            let query: Vec<_> =
                query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let list = client.list(&["schedules"], &query, usize::MAX).await?;
            out.data(&list, |look| views::schedule::list(&list, look))?;
            if rows(&list).is_empty() {
                out.note("no schedules; make one: automagik schedule create FLOW --every 30m");
            }
            Ok(Exit::Ok)
        }
        Schedule::Show(one) => show(&one.schedule, context).await,
        Schedule::Next(next) => {
            let path = ["schedules", &next.schedule, "next"];
            let answer = client.get(&path, &[("n", next.count.to_string())]).await?;
            out.data(&answer, |look| views::schedule::next(&answer, look))?;
            if rows(&answer).is_empty() {
                out.note("nothing more comes due");
            }
            Ok(Exit::Ok)
        }
        Schedule::Pause(one) => switch(&one.schedule, "pause", "paused", context).await,
        Schedule::Resume(one) => switch(&one.schedule, "resume", "active again", context).await,
        Schedule::Trigger(trigger) => {
            let task = client.post(&["schedules", &trigger.schedule, "trigger"], json!({})).await?;
            flow::started(&task, &trigger.wait, context).await
        }
        Schedule::Delete(delete) => self::delete(delete, context).await,
    }
}

async fn create(create: Create, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let when = Body::default()
        .with("cron", create.when.cron)
        .with("every", create.when.every)
        .with("at", create.when.at)
        .with("timezone", create.timezone);
    if create.dry_run {
        // The flow is looked up too: a dry run that passes with a wrong name would be no use.
        client.get(&["flows", &create.flow], &[]).await?;
        let answer = client.post(&["schedules", "preview"], when.json()).await?;
        out.data(&answer, |look| views::schedule::next(&answer, look))?;
        out.note("dry run: nothing was made");
        return Ok(Exit::Ok);
    }
    let overlap = create.overlap.map(|overlap| match overlap {
        Overlap::Skip => "Skip",
        Overlap::AllowAll => "AllowAll",
    });
    let body = when
        .with("flow", Some(create.flow))
        .with("name", create.name)
        .with("input", create.input.read()?)
        .with("tweaks", create.tweaks.json()?)
        .with("overlap", overlap)
        .with("catch_up", create.catch_up)
        .with("max_retries", create.max_retries)
        .with("timeout", create.timeout);
    let row = client.post(&["schedules"], body.json()).await?;
    let id = text_or_dash(&row, &["id"]);
    out.data(&row, |_| format!("{id}\n"))?;
    let name = text_or_dash(&row, &["name", "id"]);
    let next = out.look().when(views::schedule::next_due(&row));
    out.note(&format!(
        "schedule {name} is made, next run {next}; see: automagik schedule show {name}"
    ));
    Ok(Exit::Ok)
}

async fn show(schedule: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.get(&["schedules", schedule], &[]).await?;
    // What comes next is not part of the row; machines ask for it with its own verb.
    let next = match out.format {
        crate::output::Format::Table => {
            let path = ["schedules", &text_or_dash(&row, &["id"]), "next"];
            client.get(&path, &[]).await.unwrap_or(Value::Null)
        }
        _ => Value::Null,
    };
    out.data(&row, |look| views::schedule::show(&row, &next, look))?;
    Ok(Exit::Ok)
}

async fn switch(schedule: &str, verb: &str, state: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.post(&["schedules", schedule, verb], json!({})).await?;
    out.data(&row, |_| String::new())?;
    let name = text_or_dash(&row, &["name", "id"]);
    let next = match views::schedule::next_due(&row) {
        Some(at) if verb == "resume" => format!(", next run {}", out.look().when(Some(at))),
        _ => String::new(),
    };
    out.note(&format!("schedule {name} is {state}{next}"));
    Ok(Exit::Ok)
}

async fn delete(delete: Delete, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.get(&["schedules", &delete.schedule], &[]).await?;
    let name = text_or_dash(&row, &["name", "id"]);
    delete.consent.ask("schedule", &name)?;
    let id = text_or_dash(&row, &["id"]);
    let answer = client.delete(&["schedules", &id]).await?;
    out.data(&answer, |_| String::new())?;
    // What is deleted no longer answers to its name.
    out.note(&format!(
        "schedule {name} is deleted; its history stays: automagik history schedule {id}"
    ));
    Ok(Exit::Ok)
}
