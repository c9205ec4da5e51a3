//! Starts that no due instant asks for: by hand, and of instants of the past.

use std::time::Duration;

use anyhow::Result;
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::{Value, json};
use spark_events::limits::CLI_WATCH_MS;
use spark_events::{Clock, SystemClock};
use tokio::time::{Instant, sleep};

use super::plan::Overlap;
use crate::args::ms;
use crate::commands::common::ConsentArgs;
use crate::commands::instant::{Edge, Reader, rfc3339, zone_of};
use crate::commands::{Body, Context, flow};
use crate::exit::{Exit, Trouble, trouble_of};
use crate::output::time;
use crate::views::{self, pick, short_task_id, text, text_or_dash};
use crate::wait::{self, WaitArgs};

/// Start a task now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule trigger nightly
  automagik schedule trigger nightly --overlap BufferOne
  automagik schedule trigger nightly --wait --wait-timeout 30m")]
pub(crate) struct Trigger {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// While an earlier task is open, in place of the schedule's own policy: Skip,
    /// BufferOne, BufferAll, CancelOther, TerminateOther, AllowAll
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        ignore_case = true,
        hide_possible_values = true
    )]
    overlap: Option<Overlap>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Run instants of the past.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["from", "cancel"]),
    override_usage = "automagik schedule backfill <SCHEDULE> --from TIME [--to TIME] [OPTIONS]
       automagik schedule backfill <SCHEDULE> --cancel NUMBER",
    after_help = "Examples:
  automagik schedule backfill nightly --from 7d --dry-run
  automagik schedule backfill nightly --from 2030-01-01 --to 2030-01-31 --yes
  automagik schedule backfill nightly --from 24h --only failed --reverse --yes
  automagik schedule backfill nightly --from 7d --overlap AllowAll
Times without an offset are read in the schedule's zone; a date counts whole.
What is queued or running is never touched. A backfill runs although the
schedule is paused, and takes no occurrence away."
)]
pub(crate) struct Backfill {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// The first instant: 7d (ago), 2030-01-31, "2030-01-31 09:00", or RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The last instant, as --from [default: now]
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// missing (started nothing), failed (those too whose task failed), or all
    /// [default: missing]
    #[arg(long, value_name = "WHICH", hide_possible_values = true, requires = "from")]
    only: Option<Only>,
    /// BufferAll (one after another) or AllowAll (several at once)
    /// [default: BufferAll]
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        requires = "from"
    )]
    overlap: Option<Beside>,
    /// How many of its tasks may be open at once [default: 1, with AllowAll 10]
    #[arg(long, value_name = "N", requires = "from")]
    max_active: Option<u32>,
    /// The newest instant first
    #[arg(long, requires = "from")]
    reverse: bool,
    /// Show which instants these are, start nothing
    #[arg(long, requires = "from")]
    dry_run: bool,
    /// End this backfill; what it has started goes on
    #[arg(long, value_name = "NUMBER")]
    cancel: Option<u32>,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// End a backfill.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik schedule show nightly            names the backfills under way
  automagik schedule backfill-cancel nightly 2")]
pub(crate) struct BackfillCancel {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// The number of the backfill
    number: u32,
}

/// Which instants.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Only {
    /// Those that started no task.
    Missing,
    /// Those too whose task failed.
    Failed,
    /// Those too whose task completed.
    All,
}

/// How the tasks of a backfill go along with what is open.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Beside {
    /// One after another.
    #[value(name = "BufferAll", alias = "buffer-all")]
    BufferAll,
    /// Several at once.
    #[value(name = "AllowAll", alias = "allow-all")]
    AllowAll,
}

/// Starts a task, or lets it wait for its turn.
pub(super) async fn trigger(trigger: Trigger, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let body = Body::default().with("overlap", trigger.overlap.map(Overlap::name));
    let path = ["schedules", trigger.schedule.as_str(), "trigger"];
    let task = client.post(&path, body.json()).await?;
    if pick(&task, &["waits"]) != Some(&Value::Bool(true)) {
        return flow::started(&task, &trigger.wait, context).await;
    }
    let id = text_or_dash(&task, &["task_id", "id"]);
    if trigger.wait.wait {
        out.note("it waits for the end of an earlier task");
        return when_made(&id, &trigger, context).await;
    }
    out.data(&task, |_| format!("{id}\n"))?;
    out.note(&format!(
        "it waits for the end of an earlier task, and is then task {}; see: automagik schedule \
         show \"{}\"",
        short_task_id(&id),
        trigger.schedule
    ));
    Ok(Exit::Ok)
}

/// Waits until the task is there, then for its end; both within the time that was given.
async fn when_made(id: &str, trigger: &Trigger, context: &Context<'_>) -> Result<Exit> {
    let mut limit = trigger.wait.limit.clone();
    let deadline = Instant::now() + limit.wait_timeout;
    loop {
        match context.client.get(&["tasks", id], &[]).await {
            Ok(_) => break,
            Err(error) if !trouble_of(&error).is_some_and(|it| it.exit == Exit::NotFound) => {
                return Err(error);
            }
            Err(_) if Instant::now() >= deadline => {
                let most = time::duration(ms(limit.wait_timeout));
                return Err(Trouble::new(
                    Exit::Pending,
                    format!("it has not started within {most}"),
                )
                .because("it waits for the end of an earlier task, or was given up since")
                .then(format!("look: automagik history schedule \"{}\"", trigger.schedule))
                .into());
            }
            Err(_) => {}
        }
        tokio::select! {
            () = sleep(Duration::from_millis(CLI_WATCH_MS)) => {}
            _ = tokio::signal::ctrl_c() => {
                return Err(Trouble::new(Exit::Interrupted, "interrupted; the start still waits")
                    .then(format!("look: automagik schedule show \"{}\"", trigger.schedule))
                    .into());
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    limit.wait_timeout = left.max(Duration::from_millis(1));
    wait::for_task(&context.client, context.out, id, &limit).await
}

impl Backfill {
    /// The request, with its times read in the schedule's zone; and what is to be said about them.
    fn request(&self, schedule: &Value) -> Result<(Body, Vec<String>), Trouble> {
        let reader = Reader { zone: zone_of(schedule), now: SystemClock.now() };
        let from = reader.past("--from", self.from.as_deref().unwrap_or_default(), Edge::First)?;
        let to = reader.past("--to", self.to.as_deref().unwrap_or("now"), Edge::Last)?;
        if from.at > to.at {
            return Err(Trouble::usage("--from is after --to")
                .because(format!("{} is after {}", rfc3339(from.at), rfc3339(to.at)))
                .then("name the earlier one first; 7d means seven days ago"));
        }
        let only = self.only.map(|only| match only {
            Only::Missing => "missing",
            Only::Failed => "failed",
            Only::All => "all",
        });
        let overlap = self.overlap.map(|overlap| match overlap {
            Beside::BufferAll => "BufferAll",
            Beside::AllowAll => "AllowAll",
        });
        // What is now, the server knows better.
        let until = if to.at == reader.now { "now".to_owned() } else { rfc3339(to.at) };
        let body = Body::default()
            .with("from", Some(rfc3339(from.at)))
            .with("to", Some(until))
            .with("only", only)
            .with("overlap", overlap)
            .with("active_max", self.max_active)
            .with("reverse", self.reverse.then_some(true));
        Ok((body, from.note.into_iter().chain(to.note).collect()))
    }
}

/// Looks first, asks, then does it.
pub(super) async fn backfill(backfill: Backfill, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    if let Some(number) = backfill.cancel {
        let cancel = BackfillCancel { schedule: backfill.schedule, number };
        return backfill_cancel(cancel, context).await;
    }
    if !backfill.dry_run && !backfill.consent.is_possible() {
        return Err(Trouble::usage("nothing was started")
            .because("this needs a consent, and there is no terminal to ask on")
            .then("look first: add --dry-run")
            .then("then add --yes")
            .into());
    }
    let schedule = client.get(&["schedules", &backfill.schedule], &[]).await?;
    let (id, name) = (text_or_dash(&schedule, &["id"]), text_or_dash(&schedule, &["name", "id"]));
    let (request, notes) = backfill.request(&schedule)?;
    notes.iter().for_each(|note| out.note(note));
    let path = ["schedules", id.as_str(), "backfill"];
    if backfill.dry_run || !backfill.consent.yes {
        let found = client.post(&path, request.clone().with("dry_run", Some(true)).json()).await?;
        let count = pick(&found, &["count"]).and_then(Value::as_u64).unwrap_or(0);
        if backfill.dry_run || count == 0 {
            out.data(&found, |look| views::schedule::backfill::page(&found, look))?;
            out.note(&views::schedule::backfill::line(&found));
            return Ok(Exit::Ok);
        }
        out.note(&format!("{count} instants of schedule {name} would be run"));
        backfill.consent.ask("number of instants", &count.to_string())?;
    }
    let started = client.post(&path, request.json()).await?;
    let number = text_or_dash(&started, &["number"]);
    out.data(&started, |_| format!("{number}\n"))?;
    out.note(&format!(
        "backfill {number} of schedule {name} is under way, {} instants; end it: automagik \
         schedule backfill-cancel {name} {number}",
        text(&started, &["count"]).unwrap_or_else(|| "its".to_owned())
    ));
    Ok(Exit::Ok)
}

/// Ends a backfill.
pub(super) async fn backfill_cancel(cancel: BackfillCancel, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let number = cancel.number.to_string();
    let path = ["schedules", cancel.schedule.as_str(), "backfill", number.as_str(), "cancel"];
    let answer = client.post(&path, json!({})).await?;
    out.data(&answer, |_| String::new())?;
    out.note(&format!("backfill {number} starts nothing more; what it has started goes on"));
    Ok(Exit::Ok)
}
