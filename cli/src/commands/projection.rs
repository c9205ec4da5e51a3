//! `automagik projection`: the read models, and the way out where one cannot get past an event.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Context;
use super::common::ConsentArgs;
use crate::exit::{Exit, Trouble};
use crate::views::{self, text_or_dash};

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik projection list
  automagik projection rebuild tasks
  automagik projection skip tasks --position 4711
A read model is made from the log and can always be made anew. One that meets an
event that it cannot read stands still before it; the others go on.";

/// What to do with projections.
#[derive(Debug, Subcommand)]
pub(crate) enum Projection {
    /// How far each is, and what stops it
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik projection list
  automagik projection list -o json
Exit codes: 0 none is halted, 3 one is."
    )]
    List,
    /// Drop its rows and build them anew from the whole log
    Rebuild(One),
    /// Try again what it could not get past
    Retry(One),
    /// Pass over the event that it stands before; this is recorded
    Skip(Skip),
}

/// Name one projection.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik projection rebuild tasks
  automagik projection retry schedules")]
pub(crate) struct One {
    /// Its name, such as tasks
    name: String,
}

/// Pass over an event.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log show 4711
  automagik projection skip tasks --position 4711 --reason \"written by a test\"
The read model is without what the event says from then on, also when it is
built anew. The event itself stays in the log.")]
pub(crate) struct Skip {
    /// The projection's name
    name: String,
    /// The event's position, as `projection list` shows it
    #[arg(long, value_name = "POSITION")]
    position: u64,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// How a read model that stands still gets on; `None` for one that goes.
fn way_on(row: &Value) -> Option<String> {
    let (name, position) = (row["name"].as_str()?, row["halted"]["position"].as_u64()?);
    Some(format!(
        "look: automagik log show {position}; then: automagik projection retry {name}, or automagik \
         projection skip {name} --position {position}"
    ))
}

/// Runs a command of the group.
pub(crate) async fn run(projection: Projection, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let (row, said) = match projection {
        Projection::List => {
            let list = client.get(&["projections"], &[]).await?;
            out.data(&list, |look| views::projection::list(&list, look))?;
            let rows = crate::client::rows(&list);
            let halted: Vec<String> = rows.iter().filter_map(way_on).collect();
            for way_on in &halted {
                out.note(way_on);
            }
            return Ok(if halted.is_empty() { Exit::Ok } else { Exit::Difference });
        }
        Projection::Rebuild(one) => {
            let row = client.post(&["projections", &one.name, "rebuild"], json!({})).await?;
            (row, "is built anew; watch it: automagik projection list")
        }
        Projection::Retry(one) => {
            let row = client.post(&["projections", &one.name, "retry"], json!({})).await?;
            (row, "tries again; watch it: automagik projection list")
        }
        Projection::Skip(skip) => {
            // A consent to pass over something that is not there would be worth nothing.
            let list = client.get(&["projections"], &[]).await?;
            known(&skip.name, crate::client::rows(&list))?;
            skip.consent.ask("projection", &skip.name)?;
            let body = json!({ "position": skip.position });
            let row = client.post(&["projections", &skip.name, "skip"], body).await?;
            (row, "passes over that event, which is recorded; watch it: automagik projection list")
        }
    };
    let list = json!({ "items": [row] });
    out.data(&row, |look| views::projection::list(&list, look))?;
    out.note(&format!("projection {} {said}", text_or_dash(&row, &["name"])));
    Ok(Exit::Ok)
}

/// Whether there is a read model of this name.
fn known(name: &str, rows: &[Value]) -> Result<(), Trouble> {
    let names: Vec<String> = rows.iter().map(|row| text_or_dash(row, &["name"])).collect();
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(Trouble::new(Exit::NotFound, format!("there is no projection {name:?}"))
        .because(format!("there are {}", names.join(", ")))
        .then("see them: automagik projection list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_that_is_not_there_is_told_with_those_that_are() {
        let rows = [json!({ "name": "tasks" }), json!({ "name": "flows" })];
        assert!(known("tasks", &rows).is_ok());
        let trouble = known("task", &rows).unwrap_err();
        assert_eq!(
            (trouble.exit, trouble.why),
            (Exit::NotFound, vec!["there are tasks, flows".into()])
        );
    }
}
