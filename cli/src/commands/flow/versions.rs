//! What a flow was, what differs, and whether its source has something else.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::exit::Exit;
use crate::views::{self, entries, text, text_or_dash};

/// Print a flow as a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow export report > report.json
  automagik flow export report --version 3")]
pub(crate) struct Export {
    /// Its name, its id, or the start of its id
    flow: String,
    /// The number of a version, or the start of its hash [default: the newest]
    #[arg(long, value_name = "VERSION", default_value = "current", hide_default_value = true)]
    version: String,
}

/// Compare two versions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow diff report                 the version before and the newest
  automagik flow diff report 2               version 2 and the newest
  automagik flow diff report 2 5
  automagik flow diff report remote          the newest and what the source has
  automagik flow diff report --with other    two flows
Exit codes: 0 no difference, 3 a difference.")]
pub(crate) struct Diff {
    /// Its name, its id, or the start of its id
    flow: String,
    /// A version: its number, the start of its hash, previous, current, or remote
    #[arg(value_name = "A")]
    from: Option<String>,
    /// Another version [default: current]
    #[arg(value_name = "B")]
    to: Option<String>,
    /// Another flow: its newest version is compared with this one's
    #[arg(long, value_name = "FLOW", conflicts_with_all = ["from", "to"])]
    with: Option<String>,
}

impl Diff {
    fn query(self) -> Vec<(&'static str, String)> {
        // Of a version and what the source has, the source's is the newer one.
        let (from, to) = match (self.from, self.to) {
            (Some(from), None) if from == "remote" => (Some("current".to_owned()), Some(from)),
            sides => sides,
        };
        let keys = [("from", from), ("to", to), ("flow", self.with)];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

pub(super) async fn list(flow: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let list = client.get(&["flows", flow, "versions"], &[]).await?;
    out.data(&list, |look| views::flow::versions(&list, look))?;
    Ok(Exit::Ok)
}

pub(super) async fn diff(diff: Diff, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let flow = diff.flow.clone();
    let answer = client.get(&["flows", &flow, "diff"], &diff.query()).await?;
    out.data(&answer, |look| views::flow::diff(&answer, look))?;
    if answer.get("differs").and_then(Value::as_bool) == Some(true) {
        return Ok(Exit::Difference);
    }
    out.note("no difference that a run could notice");
    Ok(Exit::Ok)
}

pub(super) async fn check(flow: &str, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let answer = client.post(&["flows", flow, "check"], json!({})).await?;
    let lines = || -> String {
        let lines = entries(&answer, &["drift.summary"]).iter().filter_map(Value::as_str);
        lines.map(|line| format!("{}\n", crate::output::text::one_line(line))).collect()
    };
    out.data(&answer, |_| lines())?;
    match text(&answer, &["drift.kind"]).as_deref() {
        None => {
            out.note("the source has what was synced");
            Ok(Exit::Ok)
        }
        Some("missing") => {
            out.note(&format!("the source does not have flow {flow} any more"));
            Ok(Exit::Difference)
        }
        Some(_) => {
            out.note(&format!(
                "flow {flow} has changed at its source; see how: automagik flow diff \"{flow}\" \
                 remote; take it: automagik flow sync"
            ));
            Ok(Exit::Difference)
        }
    }
}

pub(super) async fn export(export: &Export, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let version = client.get(&["flows", &export.flow, "versions", &export.version], &[]).await?;
    let file = json!({
        "name": text_or_dash(&version, &["name"]),
        "description": text(&version, &["description"]).unwrap_or_default(),
        "data": version.get("definition"),
    });
    out.data(&file, |_| format!("{file:#}\n"))?;
    if file.to_string().contains(spark_events::domain::component::MASK) {
        out.note("secrets are masked; a push leaves those that the source has as they are");
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_has_is_the_newer_side() {
        let diff = |from: Option<&str>, to: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let diff = Diff { flow: "f".into(), from: own(from), to: own(to), with: None };
            diff.query()
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(diff(Some("remote"), None), ["from=current", "to=remote"]);
        assert_eq!(diff(Some("remote"), Some("2")), ["from=remote", "to=2"]);
        assert_eq!(diff(Some("2"), None), ["from=2"]);
        assert!(diff(None, None).is_empty());
    }
}
