//! Asks a person which flow of which source is meant.

use anyhow::Result;

use super::Sync;
use crate::ask;
use crate::client::rows;
use crate::commands::Context;
use crate::exit::{Exit, Trouble};
use crate::output::text::one_line;
use crate::views::text_or_dash;

/// Fills in source and flow of a sync from what the sources have.
pub(super) async fn remote(sync: &mut Sync, context: &Context<'_>) -> Result<()> {
    let client = &context.client;
    let source = match sync.source.take() {
        Some(source) => source,
        None => {
            let sources = client.list(&["sources"], &[], usize::MAX).await?;
            one_of("Which source", rows(&sources), &["name"])?.ok_or_else(|| {
                Trouble::new(Exit::NotFound, "there is no source yet")
                    .then("connect one: automagik source add")
            })?
        }
    };
    let list = client.get(&["sources", &source, "flows"], &[]).await?;
    let flow = one_of("Which flow", rows(&list), &["name", "folder"])?.ok_or_else(|| {
        Trouble::new(Exit::NotFound, "the source has no flows").then("make one in LangFlow first")
    })?;
    sync.source = Some(source);
    sync.flows = vec![flow];
    Ok(())
}

/// One of the flows that are here, by its id.
pub(crate) async fn synced(context: &Context<'_>) -> Result<String> {
    let list = context.client.list(&["flows"], &[], usize::MAX).await?;
    let flow = one_of("Which flow", rows(&list), &["name", "source_name"])?;
    Ok(flow.ok_or_else(|| {
        Trouble::new(Exit::NotFound, "there is no flow yet").then("take one: automagik flow sync")
    })?)
}

/// The id of the row that is chosen; `None` where there is none. The only one is not asked for.
fn one_of(question: &str, rows: &[serde_json::Value], shown: &[&str]) -> Result<Option<String>> {
    let line = |row: &serde_json::Value| {
        let parts: Vec<String> = shown.iter().map(|name| text_or_dash(row, &[name])).collect();
        parts.join("  ")
    };
    let chosen = match rows {
        [] => return Ok(None),
        [only] => {
            ask::tell(&format!("{question}: {}\n", one_line(&line(only))));
            only
        }
        several => {
            let lines: Vec<String> = several.iter().map(line).collect();
            &several[ask::choice(question, &lines)?]
        }
    };
    Ok(Some(text_or_dash(chosen, &["id"])))
}
