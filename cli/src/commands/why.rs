//! `automagik why`: what became of one instant of a schedule, and which event says so.

use anyhow::Result;
use clap::Args;
use spark_events::{Clock, SystemClock};

use super::Context;
use super::instant::{Reader, rfc3339, zone_of};
use crate::exit::Exit;
use crate::views::{self, text_or_dash};

/// Ask about one instant.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik why nightly --at 09:00
  automagik why nightly --at \"2030-01-31 09:00\"
  automagik why nightly --at 2030-01-31T09:00:00Z -o json
A time of day is the latest one that is not in the future. Times without an
offset are read in the schedule's time zone.
Exit codes: 0 answered, 2 no such time, 6 no such schedule.")]
pub(crate) struct Why {
    /// Its name, its id, or the start of its id
    schedule: String,
    /// The instant: 09:00, "2030-01-31 09:00", or RFC 3339
    #[arg(long, value_name = "TIME")]
    at: String,
}

/// Answers.
pub(crate) async fn run(why: Why, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let schedule = client.get(&["schedules", &why.schedule], &[]).await?;
    let zone = zone_of(&schedule);
    let moment = Reader { zone, now: SystemClock.now() }.asked("--at", &why.at)?;
    if let Some(note) = &moment.note {
        out.note(note);
    }
    let id = text_or_dash(&schedule, &["id"]);
    let query = [("at", rfc3339(moment.at))];
    let answer = client.get(&["schedules", &id, "why"], &query).await?;
    let name = text_or_dash(&schedule, &["name", "id"]);
    out.data(&answer, |look| views::schedule::why::page(&answer, &name, zone, look))?;
    Ok(Exit::Ok)
}
