//! `automagik status`: how the server is doing.

use anyhow::Result;

use super::Context;
use crate::exit::Exit;
use crate::views;

/// Shown below the command's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik status
  automagik status -o json
  automagik status -o none && echo healthy
Exit codes: 0 healthy, 1 not healthy or no server.";

/// Shows the server's health.
pub(crate) async fn run(context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let health = client.health().await?;
    out.data(&health, |look| views::status::show(&health, client.server(), look))?;
    let status = views::text_or_dash(&health, &["status"]);
    Ok(if status == "healthy" { Exit::Ok } else { Exit::Failed })
}
