//! `schedule create`: makes a schedule, or shows what it would do.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::plan::{RunArgs, WhenArgs, spec_of};
use crate::ask;
use crate::commands::flow::choose;
use crate::commands::instant::zone_named;
use crate::commands::{Body, Context};
use crate::exit::Exit;
use crate::views::{self, text_or_dash};

/// Run a flow again and again.
#[derive(Debug, Args)]
#[command(
    override_usage = "automagik schedule create <FLOW> <EXPR|--every TIME|--at TIME>...",
    after_help = "Examples:
  automagik schedule create report \"0 9 * * mon-fri\" --timezone Europe/Lisbon
  automagik schedule create hello-spark --every 30s --input hello --name greet
  automagik schedule create hello-spark --at 2030-01-31T09:00:00Z
  automagik schedule create report \"0 9 * * *\" @weekly --exclude 2030-12-25
  automagik schedule create report @daily --jitter 10m --end 2030-12-31
  automagik schedule create report --every 1h --overlap BufferOne --dry-run"
)]
pub(crate) struct Create {
    /// The flow's name, its id, or the start of its id
    #[arg(required_unless_present = "ask")]
    flow: Option<String>,
    /// Cron expressions, each quoted: five fields (min hour day month weekday), six
    /// with seconds first, @daily, @every 90m/15m, CRON_TZ=Zone first
    #[arg(value_name = "EXPR", required_unless_present_any = ["every", "at", "ask"])]
    exprs: Vec<String>,
    /// Ask for what is missing.
    #[arg(long, hide = true)]
    ask: bool,
    /// Show the next five runs, make nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    when: WhenArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Makes it.
pub(super) async fn run(mut create: Create, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    if create.ask && !ask_for(&mut create, context).await? {
        return Err(ask::called_off().into());
    }
    let flow = create.flow.unwrap_or_default();
    // Only dates are read in it here; the server reads the rest.
    let zone = match create.when.has_bounds() {
        true => zone_named(create.when.timezone.as_deref())?,
        false => chrono_tz::Tz::UTC,
    };
    let when = create.when.add_to(Body::default(), &create.exprs, zone)?;
    if create.dry_run {
        // The flow is looked up too: a dry run that passes with a wrong name would be no use.
        client.get(&["flows", &flow], &[]).await?;
        let answer = client.post(&["schedules", "preview"], when.json()).await?;
        out.data(&answer, |look| views::schedule::preview(&answer, look))?;
        out.note("dry run: nothing was made");
        return Ok(Exit::Ok);
    }
    let body = create.run.add_to(when.with("flow", Some(flow)))?;
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

/// When it would run, as far as it is known by now.
async fn previewed(create: &Create, context: &Context<'_>) -> Result<Value> {
    let zone = zone_named(create.when.timezone.as_deref())?;
    let when = create.when.add_to(Body::default(), &create.exprs, zone)?;
    context.client.post(&["schedules", "preview"], when.json()).await
}

/// Asks for what is missing, shows when it would run, and asks whether that is meant.
async fn ask_for(create: &mut Create, context: &Context<'_>) -> Result<bool> {
    if create.flow.is_none() {
        create.flow = Some(choose::synced(context).await?);
    }
    let was_given =
        !create.exprs.is_empty() || !create.when.every.is_empty() || !create.when.at.is_empty();
    let mut tries = 3;
    let mut preview = loop {
        if !was_given {
            ask::tell(
                "When? A cron expression (0 9 * * *, @daily), an interval (30m) or an instant (now).\n",
            );
            create.exprs = vec![ask::value("When", false)?];
        }
        tries -= 1;
        // Before the zone is asked for: what cannot be read needs none.
        match previewed(create, context).await {
            Ok(preview) => break preview,
            Err(error) if tries > 0 && !was_given => ask::tell(&format!("  {error}\n")),
            Err(error) => return Err(error),
        }
    };
    let is_clock = create.exprs.iter().any(|text| spec_of(text).0 == "cron");
    if is_clock && create.when.timezone.is_none() {
        let zone = ask::until("Time zone [UTC]", |answer| match answer {
            "" => Ok("UTC".to_owned()),
            name => zone_named(Some(name)).map(|zone| zone.to_string()).map_err(|no| no.what),
        });
        create.when.timezone = Some(zone?);
        preview = previewed(create, context).await?;
    }
    if let Some(input) = create.run.missing_input() {
        *input = Some(ask::value_or("Input text", "")?).filter(|text| !text.is_empty());
    }
    ask::tell(&views::schedule::preview(&preview, &context.out.look()));
    if create.dry_run {
        return Ok(true);
    }
    ask::is_wanted("Make it?")
}
