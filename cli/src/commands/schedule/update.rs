//! `schedule update` and its short forms: changes what is named, keeps the rest.

use anyhow::Result;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

use super::plan::{RunArgs, WhenArgs, as_typed, spec_of};
use super::switch;
use crate::commands::instant::{zone_named, zone_of};
use crate::commands::{Body, Context};
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

/// Above the options that take something away.
const AWAY: &str = "Taken away";

/// Change a schedule.
#[derive(Debug, Args)]
#[command(
    override_usage = "automagik schedule update <SCHEDULE> [EXPR]... [OPTIONS]
       automagik schedule update <SCHEDULE> pause|resume|stop",
    after_help = "Examples:
  automagik schedule update nightly \"30 2 * * *\" --timezone Europe/Lisbon
  automagik schedule update nightly --jitter 5m --dry-run
  automagik schedule update nightly --note \"ask Ana first\" --no-end
  automagik schedule update nightly --input-file prompt.txt --pause-after 3
  automagik schedule update nightly --enabled false
Expressions, --every and --at take the place of all there were before; so does
--exclude. All else that is not named stays as it is. A start that waits already
follows the new policy."
)]
pub(crate) struct Update {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// New cron expressions, each quoted; or alone: pause, resume, stop
    #[arg(value_name = "EXPR")]
    words: Vec<String>,
    /// The same as resume (true) and pause (false)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, hide_possible_values = true)]
    enabled: Option<bool>,
    /// Show what would change, and the next five runs before and after
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    when: WhenArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    away: Away,
}

/// What is taken away.
#[derive(Debug, Clone, Default, Args)]
struct Away {
    /// No name
    #[arg(help_heading = AWAY, long, conflicts_with = "name")]
    no_name: bool,
    /// No note
    #[arg(help_heading = AWAY, long, conflicts_with = "note")]
    no_note: bool,
    /// No exclusions
    #[arg(help_heading = AWAY, long, conflicts_with = "exclude")]
    no_exclude: bool,
    /// No jitter
    #[arg(help_heading = AWAY, long, conflicts_with = "jitter")]
    no_jitter: bool,
    /// No first instant
    #[arg(help_heading = AWAY, long, conflicts_with = "start")]
    no_start: bool,
    /// No last instant
    #[arg(help_heading = AWAY, long, conflicts_with = "end")]
    no_end: bool,
    /// The flow's own values
    #[arg(help_heading = AWAY, long, conflicts_with_all = ["tweaks", "tweaks_json"])]
    no_tweaks: bool,
    /// The usual priority
    #[arg(help_heading = AWAY, long, conflicts_with = "priority")]
    no_priority: bool,
    /// No limit on waiting for the first attempt
    #[arg(help_heading = AWAY, long, conflicts_with = "queue_timeout")]
    no_queue_timeout: bool,
    /// No limit over all attempts
    #[arg(help_heading = AWAY, long, conflicts_with = "total_timeout")]
    no_total_timeout: bool,
    /// No limit of starts
    #[arg(help_heading = AWAY, long, conflicts_with = "max_runs")]
    no_max_runs: bool,
    /// Go on however many tasks fail
    #[arg(help_heading = AWAY, long, conflicts_with = "pause_after")]
    no_pause_after: bool,
}

/// Give it another expression.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule set-expression nightly \"30 2 * * *\"
  automagik schedule set-expression nightly 10m
  automagik schedule set-expression nightly \"30 2 * * *\" --dry-run")]
pub(crate) struct SetExpression {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// A cron expression, an interval such as 10m, or an instant
    #[arg(value_name = "EXPR")]
    expression: String,
    /// Show what would change, change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Give it another input.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule set-input nightly \"what happened today?\"
  cat prompt.txt | automagik schedule set-input nightly -")]
pub(crate) struct SetInput {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// The input text; `-` reads standard input
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
}

/// What the originals changed by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Pause,
    Resume,
}

impl Away {
    fn add_to(&self, body: Body) -> Body {
        let null = |is: bool| is.then_some(Value::Null);
        body.with("name", null(self.no_name))
            .with("note", null(self.no_note))
            .with("exclude", null(self.no_exclude))
            .with("jitter_ms", self.no_jitter.then_some(0))
            .with("start_at", null(self.no_start))
            .with("end_at", null(self.no_end))
            .with("tweaks", null(self.no_tweaks))
            .with("priority", null(self.no_priority))
            .with("queue_timeout", null(self.no_queue_timeout))
            .with("total_timeout", null(self.no_total_timeout))
            .with("runs_max", null(self.no_max_runs))
            .with("pause_after", null(self.no_pause_after))
    }
}

impl Update {
    /// The action, where one was given. It stands alone.
    fn action(&mut self) -> Result<Option<Action>, Trouble> {
        let word = match self.words.as_slice() {
            [word] => match word.as_str() {
                "pause" | "disable" | "stop" => Some(Action::Pause),
                "resume" | "enable" => Some(Action::Resume),
                _ => None,
            },
            _ => None,
        };
        if word.is_some() {
            self.words.clear();
        }
        let option = self.enabled.map(|on| if on { Action::Resume } else { Action::Pause });
        match (word, option) {
            (Some(word), Some(option)) if word != option => {
                Err(Trouble::usage("one of them pauses the schedule, the other resumes it")
                    .then("give one of them"))
            }
            (word, option) => Ok(word.or(option)),
        }
    }
}

/// Changes it.
pub(super) async fn run(mut update: Update, context: &Context<'_>) -> Result<Exit> {
    let action = update.action()?;
    let Update { schedule, words, when, run, away, dry_run, .. } = update;
    let reads_anew = when.only_reads_anew(&words);
    let needs_zone = when.needs_zone(&words);
    let needs_row = reads_anew || needs_zone || (when.has_bounds() && when.timezone.is_none());
    let row = match needs_row {
        true => context.client.get(&["schedules", &schedule], &[]).await?,
        false => Value::Null,
    };
    // Dates are read in the schedule's own zone where no other one is named.
    let zone = match when.timezone.as_deref().filter(|_| when.has_bounds()) {
        Some(name) => zone_named(Some(name))?,
        None => zone_of(&row),
    };
    let mut body = when.add_to(Body::default(), &words, zone)?;
    if needs_zone {
        body = in_zone(body, &row);
    }
    if reads_anew {
        // The API takes a zone and a rule with the clock times that they are for.
        let specs = as_typed(&row, when.timezone.as_deref(), when.dst());
        body = body.without("dst").with("specs", Some(specs));
    }
    let body = away.add_to(run.add_to(body)?);
    match action {
        Some(_) if !body.is_empty() || dry_run => {
            Err(Trouble::usage("to pause or resume is no change of what it is to do")
                .then("do it alone, and the rest with a second automagik schedule update")
                .into())
        }
        Some(Action::Pause) => switch(&schedule, "pause", "paused", context).await,
        Some(Action::Resume) => switch(&schedule, "resume", "active again", context).await,
        None if body.is_empty() => Err(Trouble::usage("nothing was named that is to change")
            .then("see what can: automagik schedule update --help")
            .into()),
        None => patch(&schedule, body.json(), dry_run, context).await,
    }
}

/// Clock times without a zone stay in the one that the schedule has.
fn in_zone(body: Body, schedule: &Value) -> Body {
    let zone = Some(zone_of(schedule)).filter(|zone| *zone != chrono_tz::Tz::UTC);
    body.with("timezone", zone.map(chrono_tz::Tz::name))
}

/// Gives it another expression in place of all it had.
pub(super) async fn set_expression(set: SetExpression, context: &Context<'_>) -> Result<Exit> {
    let (form, text) = spec_of(&set.expression);
    let mut body = Body::default().with(form, Some(text.as_str()));
    if form == "cron" && !text.contains("TZ=") {
        body = in_zone(body, &context.client.get(&["schedules", &set.schedule], &[]).await?);
    }
    patch(&set.schedule, body.json(), set.dry_run, context).await
}

/// Gives it another input.
pub(super) async fn set_input(set: SetInput, context: &Context<'_>) -> Result<Exit> {
    let input = crate::commands::common::InputArgs { input: Some(set.text), input_file: None };
    let body = json!({ "input": input.read()? });
    patch(&set.schedule, body, false, context).await
}

/// Sends a change, and says what it changed.
async fn patch(schedule: &str, body: Value, dry_run: bool, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let before = client.get(&["schedules", schedule], &[]).await?;
    let id = text_or_dash(&before, &["id"]);
    let query = dry_run.then(|| ("dry_run", "true".to_owned()));
    let query: Vec<_> = query.into_iter().collect();
    let after = client.patch_with(&["schedules", &id], &query, body.clone()).await?;
    let name = text_or_dash(&after, &["name", "id"]);
    if dry_run {
        // The row is as it was; what would change is what was asked for.
        out.data(&after, |look| views::schedule::wished(&before, &body, &after, look))?;
        out.note("dry run: nothing was changed");
        return Ok(Exit::Ok);
    }
    out.data(&after, |look| views::schedule::changed(&before, &after, look))?;
    if views::schedule::changes(&before, &after).is_empty() {
        out.note(&format!("schedule {name} was like this already"));
    } else {
        out.note(&format!("schedule {name} is changed; see: automagik history schedule {name}"));
    }
    Ok(Exit::Ok)
}
