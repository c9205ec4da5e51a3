//! Which tasks are meant, on the command line: the same options for a list and for a command that
//! takes many.

use clap::Args;
use serde_json::{Map, Value};

/// Above the options that narrow down tasks.
pub(super) const WHICH: &str = "Which tasks";

/// Options that narrow down tasks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only these: pending, running, waiting, completed, failed, cancelled
    #[arg(help_heading = WHICH, long, value_name = "STATUS")]
    status: Option<String>,
    /// Only those of this flow
    #[arg(help_heading = WHICH, long, alias = "flow-id", alias = "workflow-id")]
    flow: Option<String>,
    /// Only those of this schedule
    #[arg(help_heading = WHICH, long)]
    schedule: Option<String>,
    /// Only those of this source
    #[arg(help_heading = WHICH, long)]
    source: Option<String>,
    /// Only those made so: manual, occurrence, schedule_triggered, retry_of, backfill
    #[arg(help_heading = WHICH, long, value_name = "KIND")]
    trigger: Option<String>,
    /// Only those whose last failure is of this class, such as timeout
    #[arg(help_heading = WHICH, long, value_name = "CLASS")]
    class: Option<String>,
    /// Only those made since: 1h, 7d, or 2030-01-31T09:00:00Z
    #[arg(help_heading = WHICH, long, value_name = "TIME")]
    since: Option<String>,
    /// Only those made before: as --since
    #[arg(help_heading = WHICH, long, value_name = "TIME")]
    until: Option<String>,
    /// Only those with all these words in input, output or error; word* for a start
    #[arg(help_heading = WHICH, long, visible_alias = "q", value_name = "WORDS")]
    search: Option<String>,
}

impl FilterArgs {
    /// As the API names them; only what was given.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        [
            ("status", &self.status),
            ("flow", &self.flow),
            ("schedule", &self.schedule),
            ("source", &self.source),
            ("trigger", &self.trigger),
            ("class", &self.class),
            ("since", &self.since),
            ("until", &self.until),
            ("q", &self.search),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
    }

    /// The same as an object.
    pub(crate) fn json(&self) -> Value {
        let pairs = self.pairs().into_iter();
        Value::Object(
            pairs.map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>(),
        )
    }

    /// Whether nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }
}
