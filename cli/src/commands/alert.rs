//! `automagik alert`: where messages about failures are sent, and about which ones.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::common::{ConsentArgs, shows_secrets};
use super::{Body, Context};
use crate::args::{ms, parse_count, parse_duration};
use crate::client::rows;
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

mod verify;

use verify::Verify;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik alert create https://example.org/hook --name on-call
  automagik alert test on-call
  automagik alert deliveries on-call --status failed
Messages are signed as Standard Webhooks has it (standardwebhooks.com); the
secret is shown once, when the alert is made.";

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    /// Send messages about failures to a URL; shows the secret, once
    Create(Create),
    /// All alerts
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik alert list
  automagik alert list --status disabled"
    )]
    List(List),
    /// One alert: about what, and how its deliveries go
    #[command(alias = "view")]
    Show(One),
    /// Change what is given, keep the rest
    Update(Update),
    /// Tell again of what happens from now on
    Enable(One),
    /// Tell of nothing; messages that were not delivered are given up
    Disable(One),
    /// Send a real, signed test message now, and say what came back
    Test(One),
    /// What was sent, and what became of it
    Deliveries(Deliveries),
    /// Send a message again now
    Retry(Retry),
    /// Sign with a new secret, and with the one before for a while
    RotateSecret(Rotate),
    /// Delete an alert; its history stays
    Delete(Delete),
    /// Say whether a received message is signed right; asks no server
    Verify(Verify),
}

/// Which things an alert is about.
#[derive(Debug, Args)]
struct About {
    /// About what, separated by commas: task_failed, task_recovered,
    /// occurrence_missed, occurrence_skipped, schedule_paused, worker_lost,
    /// source_down, source_recovered [default: all but occurrence_skipped]
    #[arg(long = "on", value_name = "KINDS", value_delimiter = ',')]
    kinds: Vec<String>,
    /// About this flow only
    #[arg(short, long)]
    flow: Option<String>,
    /// About this schedule only
    #[arg(long)]
    schedule: Option<String>,
    /// About this source, and what runs there, only
    #[arg(short, long)]
    source: Option<String>,
}

/// Make an alert.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert create https://example.org/hook --name on-call
  automagik alert create https://example.org/hook --schedule nightly
  automagik alert create https://example.org/hook --on source_down,worker_lost
It tells of what happens from now on. Whoever makes alerts lets the server send
requests to any address that it can reach, so this needs the role admin.")]
pub(crate) struct Create {
    /// Where messages are sent, by POST
    url: String,
    /// Its name [default: the URL's host]
    #[arg(short, long)]
    name: Option<String>,
    #[command(flatten)]
    about: About,
}

/// Choose alerts.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are enabled, or disabled
    #[arg(long, value_parser = ["enabled", "disabled"], hide_possible_values = true)]
    status: Option<String>,
    /// Deleted ones too
    #[arg(long)]
    deleted: bool,
}

/// Name one alert.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert show on-call
  automagik alert test on-call
  automagik alert disable on-call --reason holidays")]
pub(crate) struct One {
    /// Its name, its id, or the start of its id
    alert: String,
}

/// Change an alert.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert update on-call --url https://example.org/other
  automagik alert update on-call --on task_failed,source_down
  automagik alert update on-call --flow any")]
pub(crate) struct Update {
    /// Its name, its id, or the start of its id
    alert: String,
    /// New name
    #[arg(short, long)]
    name: Option<String>,
    /// New URL
    #[arg(short, long)]
    url: Option<String>,
    /// About what, all of it, separated by commas
    #[arg(long = "on", value_name = "KINDS", value_delimiter = ',')]
    kinds: Vec<String>,
    /// About this flow only, or any
    #[arg(short, long)]
    flow: Option<String>,
    /// About this schedule only, or any
    #[arg(long)]
    schedule: Option<String>,
    /// About this source only, or any
    #[arg(short, long)]
    source: Option<String>,
}

/// Choose deliveries.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert deliveries on-call
  automagik alert deliveries on-call --status waiting -o json
The newest 200 are kept here; automagik history alert has them all.")]
pub(crate) struct Deliveries {
    /// Its name, its id, or the start of its id
    alert: String,
    /// Only those: waiting, delivered, failed or dropped
    #[arg(long, value_parser = ["waiting", "delivered", "failed", "dropped"],
          hide_possible_values = true)]
    status: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = 20)]
    limit: usize,
}

/// Send a message again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert retry on-call 7d0cb1d8
It is the same message under the same id, whether it was delivered or not.")]
pub(crate) struct Retry {
    /// The alert's name, its id, or the start of its id
    alert: String,
    /// The message's id, or the start of it
    message: String,
}

/// Give an alert a new secret.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert rotate-secret on-call
  automagik alert rotate-secret on-call --keep 2d
  automagik alert rotate-secret on-call --now       it leaked
Meanwhile messages carry both signatures, so that the receiver can change.")]
pub(crate) struct Rotate {
    /// Its name, its id, or the start of its id
    alert: String,
    /// How long the secret before is signed with too [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    keep: Option<Duration>,
    /// The secret before counts no more
    #[arg(long, conflicts_with = "keep")]
    now: bool,
}

/// Delete an alert.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik alert delete on-call
  automagik alert delete on-call --yes")]
pub(crate) struct Delete {
    /// Its name, its id, or the start of its id
    alert: String,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Runs a command of the group.
pub(crate) async fn run(alert: Alert, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match alert {
        Alert::Create(create) => return self::create(create, context).await,
        Alert::List(wanted) => return list(wanted, context).await,
        Alert::Show(one) => {
            let row = client.get(&["alerts", &one.alert], &[]).await?;
            out.data(&row, |look| views::alert::show(&row, look))?;
        }
        Alert::Update(update) => return self::update(update, context).await,
        Alert::Enable(one) => enable(&one.alert, true, context).await?,
        Alert::Disable(one) => enable(&one.alert, false, context).await?,
        Alert::Test(one) => {
            let answer = client.post(&["alerts", &one.alert, "test"], json!({})).await?;
            return sent(&answer, &one.alert, context);
        }
        Alert::Deliveries(wanted) => return deliveries(wanted, context).await,
        Alert::Retry(retry) => {
            let path = ["alerts", &retry.alert, "deliveries", &retry.message, "retry"];
            let answer = client.post(&path, json!({})).await?;
            return sent(&answer, &retry.alert, context);
        }
        Alert::RotateSecret(rotate) => {
            shows_secrets(out)?;
            let keep = if rotate.now { Some(0) } else { rotate.keep.map(ms) };
            let body = Body::default().with("keep_ms", keep).json();
            let row = client.post(&["alerts", &rotate.alert, "rotate-secret"], body).await?;
            out.data(&row, |look| views::alert::show(&row, look))?;
            out.note("keep the new secret now; it is not shown again");
        }
        Alert::Delete(delete) => {
            let row = client.get(&["alerts", &delete.alert], &[]).await?;
            let (name, id) = (text_or_dash(&row, &["name"]), text_or_dash(&row, &["id"]));
            delete.consent.ask("alert", &name)?;
            let answer = client.delete(&["alerts", &id]).await?;
            out.data(&answer, |_| String::new())?;
            out.note(&format!("alert {name} is deleted; its history stays"));
        }
        Alert::Verify(verify) => return verify::run(&verify, out),
    }
    Ok(Exit::Ok)
}

async fn create(create: Create, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    shows_secrets(out)?;
    let About { kinds, flow, schedule, source } = create.about;
    let body = Body::default()
        .with("url", Some(create.url))
        .with("name", create.name)
        .with("kinds", some(kinds))
        .with("flow", flow)
        .with("schedule", schedule)
        .with("source", source);
    let row = client.post(&["alerts"], body.json()).await?;
    out.data(&row, |look| views::alert::show(&row, look))?;
    let name = text_or_dash(&row, &["name", "id"]);
    out.note(&format!(
        "keep the secret now, it is not shown again; then: automagik alert test {name}"
    ));
    Ok(Exit::Ok)
}

async fn list(wanted: List, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let deleted = wanted.deleted.then(|| "true".to_owned());
    let query = [("status", wanted.status), ("deleted", deleted)];
    let query: Vec<_> =
        query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let list = client.list(&["alerts"], &query, usize::MAX).await?;
    out.data(&list, |look| views::alert::list(&list, look))?;
    if rows(&list).is_empty() && query.is_empty() {
        out.note("no alerts yet; make one: automagik alert create URL");
    }
    Ok(Exit::Ok)
}

async fn update(update: Update, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let or_any = |text: String| if text == "any" { Value::Null } else { text.into() };
    let body = Body::default()
        .with("name", update.name)
        .with("url", update.url)
        .with("kinds", some(update.kinds))
        .with("flow", update.flow.map(or_any))
        .with("schedule", update.schedule.map(or_any))
        .with("source", update.source.map(or_any));
    if body.is_empty() {
        return Err(Trouble::usage("nothing to change was given")
            .then("name what to change, such as --url; automagik alert update --help lists it")
            .into());
    }
    let row = client.patch(&["alerts", &update.alert], body.json()).await?;
    out.data(&row, |look| views::alert::show(&row, look))?;
    Ok(Exit::Ok)
}

async fn deliveries(wanted: Deliveries, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let query: Vec<_> = wanted.status.into_iter().map(|one| ("status", one)).collect();
    let path = ["alerts", &wanted.alert, "deliveries"];
    let list = client.list(&path, &query, wanted.limit).await?;
    out.data(&list, |look| views::alert::deliveries(&list, look))?;
    if rows(&list).is_empty() && query.is_empty() {
        let alert = wanted.alert;
        out.note(&format!("nothing was sent yet; try it: automagik alert test {alert}"));
    }
    Ok(Exit::Ok)
}

async fn enable(alert: &str, enabled: bool, context: &Context<'_>) -> Result<()> {
    let Context { client, out } = context;
    let row = client.patch(&["alerts", alert], json!({ "enabled": enabled })).await?;
    out.data(&row, |look| views::alert::show(&row, look))?;
    Ok(())
}

/// Says what came of a message. One that was not taken ends the command with a failure.
fn sent(answer: &Value, alert: &str, context: &Context<'_>) -> Result<Exit> {
    let out = context.out;
    out.data(answer, |look| views::alert::sent(answer, look))?;
    if answer["delivered"] == true {
        return Ok(Exit::Ok);
    }
    out.note(&format!("it is in the list too: automagik alert deliveries {alert}"));
    Ok(Exit::Failed)
}

/// A list where it holds anything.
fn some(kinds: Vec<String>) -> Option<Vec<String>> {
    (!kinds.is_empty()).then_some(kinds)
}
