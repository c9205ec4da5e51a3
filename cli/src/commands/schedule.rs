//! `automagik schedule`: when a flow is run, with which input. What a schedule can be told is in
//! `schedule/plan.rs`; making, changing and starting it have a file each.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Context;
use super::common::ConsentArgs;
use crate::args::parse_count;
use crate::client::rows;
use crate::exit::Exit;
use crate::views::{self, text_or_dash};

mod create;
mod plan;
mod starts;
mod update;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik schedule create report \"0 9 * * mon-fri\" --timezone Europe/Lisbon
  automagik schedule update nightly --jitter 5m
  automagik schedule pause nightly --reason \"maintenance\"
  automagik schedule backfill nightly --from 7d --dry-run
  automagik why nightly --at 09:00";

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Run a flow by cron expressions, at intervals, or once
    Create(Box<create::Create>),
    /// Change what is named, keep the rest
    #[command(alias = "edit")]
    Update(Box<update::Update>),
    /// Give it another expression in place of all it had
    SetExpression(update::SetExpression),
    /// Give it another input
    SetInput(update::SetInput),
    /// All schedules
    #[command(visible_alias = "ls")]
    List(List),
    /// One schedule: its timetable, what comes next, what became of the last ones
    #[command(
        aliases = ["view", "get"],
        after_help = "Examples:
  automagik schedule show nightly
  automagik schedule show nightly --time iso"
    )]
    Show(One),
    /// When it is due next
    Next(Next),
    /// Start nothing until resumed
    #[command(
        visible_alias = "disable",
        after_help = "Examples:
  automagik schedule pause nightly --reason \"maintenance\""
    )]
    Pause(One),
    /// Start again; what came due meanwhile is not made up for
    #[command(
        visible_alias = "enable",
        after_help = "Examples:
  automagik schedule resume nightly --reason \"maintenance is over\""
    )]
    Resume(One),
    /// Start a task now; takes no occurrence away
    Trigger(starts::Trigger),
    /// Run instants of the past
    Backfill(starts::Backfill),
    /// End a backfill; what it has started goes on
    BackfillCancel(starts::BackfillCancel),
    /// Start nothing any more; the history stays
    Delete(Delete),
}

/// List schedules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule list
  automagik schedule list --status paused,completed
  automagik schedule list --flow hello-spark")]
pub(crate) struct List {
    /// Only these, with commas between: active, paused, completed, deleted
    #[arg(long, value_name = "STATUS")]
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
    #[arg(short = 'n', long, value_parser = parse_count, default_value_t = 5)]
    count: usize,
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
        Schedule::Create(create) => create::run(*create, context).await,
        Schedule::Update(update) => update::run(*update, context).await,
        Schedule::SetExpression(set) => update::set_expression(set, context).await,
        Schedule::SetInput(set) => update::set_input(set, context).await,
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
        Schedule::Trigger(trigger) => starts::trigger(trigger, context).await,
        Schedule::Backfill(backfill) => starts::backfill(backfill, context).await,
        Schedule::BackfillCancel(cancel) => starts::backfill_cancel(cancel, context).await,
        Schedule::Delete(delete) => self::delete(delete, context).await,
    }
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

#[cfg(test)]
mod tests;
