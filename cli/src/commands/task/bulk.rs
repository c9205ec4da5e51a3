//! One command for many tasks: looks first, asks, then does it.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::super::common::ConsentArgs;
use super::super::{Body, Context};
use super::filter::FilterArgs;
use crate::args::parse_count;
use crate::exit::{Exit, Trouble};
use crate::views;

/// Options of a command that may take many tasks.
#[derive(Debug, Clone, Args)]
pub(crate) struct BulkArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The newest of them, at most N
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = super::filter::WHICH)]
    limit: Option<usize>,
    /// Show which they are, do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) consent: ConsentArgs,
}

impl BulkArgs {
    /// Whether this is about one task, which is named, or many. Both or neither is refused.
    pub(crate) fn one<'a>(&self, task: Option<&'a str>, verb: &str) -> Result<Option<&'a str>> {
        let usage =
            |what: String| Trouble::usage(what).then(format!("see: automagik task {verb} --help"));
        match (task, self.filter.is_empty()) {
            (Some(_), false) => {
                Err(usage("a task was named, and options that choose tasks".into())
                    .because("they would not agree")
                    .into())
            }
            (Some(_), true) if self.dry_run || self.limit.is_some() => {
                Err(usage("--dry-run and --limit are for many tasks, and one was named".into())
                    .into())
            }
            (Some(task), true) => Ok(Some(task)),
            (None, false) => Ok(None),
            (None, true) => Err(usage("no task was named, and nothing that chooses tasks".into())
                .because("nothing that is left out means every task")
                .then(format!("one task: automagik task {verb} ID"))
                .then(format!("many: automagik task {verb} --since 1h --dry-run"))
                .into()),
        }
    }

    fn body(&self, verb: &str, dry_run: bool) -> Value {
        Body::default()
            .with("action", Some(verb))
            .with("filter", Some(self.filter.json()))
            .with("dry_run", Some(dry_run))
            .with("limit", self.limit)
            .json()
    }

    /// Does it.
    pub(crate) async fn run(&self, verb: &str, context: &Context<'_>) -> Result<Exit> {
        let Context { client, out } = context;
        if !self.dry_run && !self.consent.is_possible() {
            return Err(Trouble::usage(format!("{verb}: no task was touched"))
                .because("this needs a consent, and there is no terminal to ask on")
                .then("look first: add --dry-run")
                .then("then add --yes")
                .into());
        }
        if self.dry_run || !self.consent.yes {
            let found = client.post(&["tasks", "bulk"], self.body(verb, true)).await?;
            let count = views::entries(&found, &["items"]).len();
            let total = views::text_or_dash(&found, &["matched"]);
            if self.dry_run {
                out.data(&found, |look| views::bulk::page(&found, look))?;
                out.note(&format!("{count} of {total} that fit; nothing was done"));
                return Ok(Exit::Ok);
            }
            if count == 0 {
                out.data(&found, |look| views::bulk::page(&found, look))?;
                out.note("no task fits; nothing was done");
                return Ok(Exit::Ok);
            }
            out.note(&format!("{verb}: {count} of {total} tasks that fit"));
            self.consent.ask("number of tasks", &count.to_string())?;
        }
        let done = client.post(&["tasks", "bulk"], self.body(verb, false)).await?;
        out.data(&done, |look| views::bulk::page(&done, look))?;
        let number = |name: &str| done.get(name).and_then(Value::as_u64).unwrap_or(0);
        out.note(&format!(
            "{verb}: {} done, {} failed, {} fit",
            number("done"),
            number("failed"),
            number("matched")
        ));
        Ok(if number("failed") > 0 { Exit::Failed } else { Exit::Ok })
    }
}
