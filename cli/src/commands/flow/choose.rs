//! Asks a person which flow of which source is meant.

use anyhow::Result;
use serde_json::Value;

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
            one_of("Which source", &with_flows(&sources), &["name"])?.ok_or_else(no_source)?
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

/// The sources that have flows to take: one of the type `http` has none.
pub(super) fn with_flows(sources: &Value) -> Vec<Value> {
    rows(sources).iter().filter(|source| source["kind"] != "http").cloned().collect()
}

/// The id of the only one of these sources.
pub(super) fn only(sources: &[Value]) -> Result<String, Trouble> {
    match sources {
        [] => Err(no_source()),
        [only] => Ok(text_or_dash(only, &["id"])),
        several => {
            let names: Vec<String> =
                several.iter().map(|source| text_or_dash(source, &["name", "id"])).collect();
            Err(Trouble::usage("there are several sources with flows, and none was named")
                .then(format!("add --source, one of: {}", names.join(", "))))
        }
    }
}

fn no_source() -> Trouble {
    Trouble::new(Exit::NotFound, "there is no source with flows yet")
        .then("connect one: automagik source add URL")
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
fn one_of(question: &str, rows: &[Value], shown: &[&str]) -> Result<Option<String>> {
    let line = |row: &Value| {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_without_flows_to_take_does_not_make_it_unclear_which_one_is_meant() {
        let source = |name: &str, kind: &str| json!({ "id": name, "name": name, "kind": kind });
        let all = |sources: &[Value]| only(&with_flows(&json!({ "items": sources })));
        let (local, agents) = (source("local", "langflow"), source("agents", "http"));
        assert_eq!(all(&[local.clone(), agents.clone()]).unwrap(), "local");
        assert_eq!(all(std::slice::from_ref(&agents)).unwrap_err().exit, Exit::NotFound);
        let trouble = all(&[local, agents, source("dev", "langflow")]).unwrap_err();
        assert_eq!(trouble.next, ["add --source, one of: local, dev"]);
    }
}
