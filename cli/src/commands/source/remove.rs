//! `automagik source remove`.

use anyhow::Result;
use clap::Args;

use crate::client::rows;
use crate::commands::Context;
use crate::commands::common::ConsentArgs;
use crate::exit::Exit;
use crate::views::text_or_dash;

/// Forget a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source remove dev
  automagik source remove dev --force     with its flows and their schedules
  automagik source remove dev --yes")]
pub(crate) struct Remove {
    /// Its name, its URL, its id, or the start of its id
    source: String,
    /// With its flows and their schedules; histories and tasks stay
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Removes it.
pub(super) async fn run(remove: Remove, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let row = client.get(&["sources", &remove.source], &[]).await?;
    let name = text_or_dash(&row, &["name", "id"]);
    let id = text_or_dash(&row, &["id"]);
    let mut query = vec![];
    if remove.force {
        tell(&id, context).await?;
        query.push(("force", "true".to_owned()));
    }
    remove.consent.ask("source", &name)?;
    let answer = client.delete_with(&["sources", &id], &query).await?;
    out.data(&answer, |_| String::new())?;
    out.note(&format!("source {name} is removed; its history stays"));
    Ok(Exit::Ok)
}

/// Says what goes with it, before anybody consents.
async fn tell(id: &str, context: &Context<'_>) -> Result<()> {
    let Context { client, out } = context;
    let of_source = [("source", id.to_owned())];
    let flows = client.list(&["flows"], &of_source, usize::MAX).await?;
    for flow in rows(&flows) {
        out.note(&format!("with it goes flow {}", text_or_dash(flow, &["name", "id"])));
        let flow_id = text_or_dash(flow, &["id"]);
        for status in ["active", "paused"] {
            let of_flow = [("flow", flow_id.clone()), ("status", status.to_owned())];
            let schedules = client.list(&["schedules"], &of_flow, usize::MAX).await?;
            for schedule in rows(&schedules) {
                let schedule = text_or_dash(schedule, &["name", "id"]);
                out.note(&format!("with it goes schedule {schedule}"));
            }
        }
    }
    Ok(())
}
