//! Flows that are made or changed here, their settings, and pushing them to a source.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use spark_events::limits::{FLOW_FILE_BYTES_MAX, FLOW_RUNS_MAX};

use crate::commands::{Body, Context};
use crate::exit::{Exit, Trouble};
use crate::views::{self, entries, text_or_dash};

/// Make a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow create report.json
  automagik flow create --name report exported.json
  curl -s https://example.org/flow.json | automagik flow create --name report -")]
pub(crate) struct Create {
    /// LangFlow's export, or its data alone; `-` reads standard input
    file: PathBuf,
    /// Its name [default: the one in the file]
    #[arg(short, long)]
    name: Option<String>,
    /// Its description [default: the one in the file]
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The node that takes the input [default: detected]
    #[arg(long, value_name = "NODE")]
    input_component: Option<String>,
    /// The node that gives the output [default: detected]
    #[arg(long, value_name = "NODE")]
    output_component: Option<String>,
}

/// Edit a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow export report > report.json   # change it, then
  automagik flow edit report report.json
  automagik flow edit report --name \"weekly report\"")]
pub(crate) struct Edit {
    /// Its name, its id, or the start of its id
    flow: String,
    /// LangFlow's export, or its data alone; `-` reads standard input
    #[arg(required_unless_present_any = ["name", "description"])]
    file: Option<PathBuf>,
    /// A new name
    #[arg(short, long)]
    name: Option<String>,
    /// A new description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Push a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow push report --source dev
  automagik flow diff report remote && automagik flow push report
  automagik flow push report --force")]
pub(crate) struct Push {
    /// Its name, its id, or the start of its id
    flow: String,
    /// The source, the first time; needed where there are several
    #[arg(short, long)]
    source: Option<String>,
    /// Send it although the source's own was changed, or is gone
    #[arg(long)]
    force: bool,
}

/// Change a flow's settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow update report --runs-max 2
  automagik flow update report --runs-max none")]
pub(crate) struct Update {
    /// Its name, its id, or the start of its id
    flow: String,
    /// How many runs of it there may be at once; none: as many as its source allows
    #[arg(long, value_name = "N", value_parser = parse_runs_max)]
    runs_max: RunsMax,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunsMax(Option<u32>);

fn parse_runs_max(text: &str) -> Result<RunsMax, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(RunsMax(None));
    }
    let number: Option<u32> = text.parse().ok();
    let number = number.filter(|number| (1..=FLOW_RUNS_MAX).contains(number));
    number
        .map(|number| RunsMax(Some(number)))
        .ok_or_else(|| format!("give a number from 1 to {FLOW_RUNS_MAX}, or none"))
}

pub(super) async fn create(create: Create, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let body = Body::default()
        .with("name", create.name)
        .with("description", create.description)
        .with("definition", Some(read(&create.file)?))
        .with("input_component", create.input_component)
        .with("output_component", create.output_component);
    let row = client.post(&["flows"], body.json()).await?;
    out.data(&row, |look| views::flow::show(&row, look))?;
    let name = text_or_dash(&row, &["name", "id"]);
    out.note(&format!("flow {name} is made here; push it: automagik flow push \"{name}\""));
    Ok(Exit::Ok)
}

pub(super) async fn edit(edit: Edit, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let body = Body::default()
        .with("name", edit.name)
        .with("description", edit.description)
        .with("definition", edit.file.as_deref().map(read).transpose()?);
    let row = client.patch(&["flows", &edit.flow], body.json()).await?;
    out.data(&row, |look| views::flow::show(&row, look))?;
    let id = text_or_dash(&row, &["id"]);
    out.note(&format!("it runs as before until you push it: automagik flow push {id}"));
    Ok(Exit::Ok)
}

pub(super) async fn push(push: Push, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let body =
        Body::default().with("source", push.source).with("force", push.force.then_some(true));
    let row = client.post(&["flows", &push.flow, "push"], body.json()).await?;
    out.data(&row, |look| views::flow::show(&row, look))?;
    let name = text_or_dash(&row, &["name", "id"]);
    let empty: Vec<&str> =
        entries(&row, &["empty_secrets"]).iter().filter_map(Value::as_str).collect();
    if !empty.is_empty() {
        out.note(&format!(
            "warning: the source has no secret for {}; set it in LangFlow",
            empty.join(", ")
        ));
    }
    out.note(&format!("flow {name} is pushed; run it: automagik flow run \"{name}\" --wait"));
    Ok(Exit::Ok)
}

pub(super) async fn update(update: &Update, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let body = Body::default().with("runs_max", Some(Value::from(update.runs_max.0)));
    let row = client.patch(&["flows", &update.flow], body.json()).await?;
    out.data(&row, |look| views::flow::show(&row, look))?;
    Ok(Exit::Ok)
}

/// The JSON of a file, within the bound of a flow.
fn read(path: &Path) -> Result<Value> {
    let name = path.display().to_string();
    let most = u64::try_from(FLOW_FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    let got = if name == "-" {
        std::io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    got.map_err(|error| {
        Trouble::usage(format!("cannot read {name}"))
            .because(error.to_string())
            .then("name a JSON file that LangFlow exported")
    })?;
    if text.len() > FLOW_FILE_BYTES_MAX {
        return Err(Trouble::usage(format!("{name} is too large for a flow"))
            .because(format!("a flow has at most {FLOW_FILE_BYTES_MAX} bytes"))
            .into());
    }
    Ok(serde_json::from_str(&text).map_err(|error| {
        Trouble::usage(format!("{name} is no JSON"))
            .because(error.to_string())
            .then("export the flow in LangFlow: Share, Export")
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(parse_runs_max("3"), Ok(RunsMax(Some(3))));
        assert_eq!(parse_runs_max("None"), Ok(RunsMax(None)));
        for bad in ["0", "-1", "many", "1001"] {
            assert!(parse_runs_max(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_json_file_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flow.json");
        std::fs::write(&path, "{\"nodes\": [}").unwrap();
        for path in [path, dir.path().join("missing.json")] {
            let error = read(&path).unwrap_err();
            assert_eq!(error.downcast_ref::<Trouble>().unwrap().exit, Exit::Usage);
        }
    }
}
