//! Events as they come. A connection that breaks off is made again and goes on where it was.

use std::time::Duration;

use anyhow::Result;
use spark_events::limits::{CLI_WATCH_MS, LISTENER_HEARTBEAT_MS};

use super::super::Context;
use crate::exit::{Exit, Trouble};

/// How often a lost connection is made again before the command gives up.
const TRIES: u32 = 30;

/// Tells events until ctrl-c.
pub(super) async fn run(
    filters: Vec<(&'static str, String)>,
    mut at: u64,
    context: &Context<'_>,
) -> Result<Exit> {
    let mut tries = TRIES;
    loop {
        let told = at;
        let ended = tokio::select! {
            ended = listen(&filters, &mut at, context) => ended,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        // A server that refuses will refuse again; one that is away may come back.
        let Err(error) = ended else { continue };
        let is_away = error.downcast_ref::<Trouble>().is_none_or(|it| it.exit == Exit::Failed);
        tries = if at > told { TRIES } else { tries.saturating_sub(1) };
        if !is_away || tries == 0 {
            return Err(error);
        }
        if tries == TRIES - 1 {
            context.out.note(&format!("the connection is lost, trying again: {error}"));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(CLI_WATCH_MS)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
}

async fn listen(
    filters: &[(&'static str, String)],
    at: &mut u64,
    context: &Context<'_>,
) -> Result<()> {
    let mut query = filters.to_vec();
    query.push(("after", at.to_string()));
    // Three heartbeats that did not come are a dead connection.
    let silence = Duration::from_millis(3 * LISTENER_HEARTBEAT_MS);
    let mut events = context.client.listen(&["events"], &query, silence).await?;
    while let Some(event) = events.next().await? {
        if let Some(position) = event.id.parse().ok().filter(|position| *position > *at) {
            *at = position;
        }
        if let Some(data) = event.data {
            super::tell(&data, context.out)?;
        }
    }
    Ok(())
}
