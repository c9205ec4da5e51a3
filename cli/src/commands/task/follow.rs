//! Following one task: a line for each thing that happens to it, until it ends. Asks the server to
//! answer when there is something new; looks at no clock.

use anyhow::Result;
use serde_json::Value;
use spark_events::limits::TASK_WAIT_MS_MAX;

use super::super::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::output::look::Look;
use crate::views;

/// What is written of each new state.
pub(crate) trait Told {
    /// The entries that are new, each with its line for a person.
    fn news(&mut self, task: &Value, look: &Look) -> Vec<(Value, String)>;
}

/// Each state of the task.
#[derive(Default)]
pub(crate) struct States;

impl Told for States {
    fn news(&mut self, task: &Value, look: &Look) -> Vec<(Value, String)> {
        vec![(task.clone(), views::task::line(task, look))]
    }
}

/// What the components did, as far as it was asked for.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) attempt: Option<u32>,
    pub(crate) component: Option<String>,
    pub(crate) seen: usize,
}

impl Told for Parts {
    fn news(&mut self, task: &Value, _look: &Look) -> Vec<(Value, String)> {
        let log = views::entries(task, &["log"]);
        let new = log.get(self.seen..).unwrap_or(&[]);
        self.seen = log.len();
        let wanted = |entry: &&Value| {
            let name = views::text_or_dash(entry, &["component"]).to_lowercase();
            let attempt = entry.get("attempt").and_then(Value::as_u64);
            self.component.as_ref().is_none_or(|component| component.to_lowercase() == name)
                && self.attempt.is_none_or(|number| Some(u64::from(number)) == attempt)
        };
        new.iter().filter(wanted).map(|entry| (entry.clone(), views::task::part(entry))).collect()
    }
}

/// Follows a task to its end.
pub(crate) async fn task(id: &str, mut told: impl Told, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let mut task = client.get(&["tasks", id], &[]).await?;
    loop {
        for (entry, line) in told.news(&task, &out.look()) {
            match out.format {
                Format::Table => out.raw(&(line + "\n"))?,
                Format::None => {}
                // Indented or as YAML, entries without an envelope could not be told apart.
                Format::Json | Format::Jsonl | Format::Yaml => out.raw(&format!("{entry}\n"))?,
            }
        }
        let status = views::text_or_dash(&task, &["status"]);
        if Exit::of_task(&status) != Exit::Pending {
            out.note(&views::task::end_line(&task));
            return Ok(Exit::of_task(&status));
        }
        let revision = views::text_or_dash(&task, &["revision"]);
        task = tokio::select! {
            next = changed(client, id, &revision) => next?,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
    }
}

/// The task once it is no longer at this revision.
async fn changed(client: &crate::client::Client, id: &str, revision: &str) -> Result<Value> {
    loop {
        let query =
            [("after_revision", revision.to_owned()), ("timeout_ms", TASK_WAIT_MS_MAX.to_string())];
        let task = client.get_within(&["tasks", id, "wait"], &query, TASK_WAIT_MS_MAX).await?;
        if views::text_or_dash(&task, &["revision"]) != revision {
            return Ok(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::look::tests::plain;

    #[test]
    fn an_entry_is_told_once_and_only_where_it_was_asked_for() {
        let entry = |attempt: u32, component: &str, error: Option<&str>| {
            json!({ "attempt": attempt, "component": component, "status": "ok",
                "latency_ms": 3, "error": error })
        };
        let mut log = vec![entry(1, "Chat Input", None), entry(1, "Model", Some("429:\nslow"))];
        let mut parts =
            Parts { attempt: None, component: Some("model".into()), ..Parts::default() };
        let lines = |parts: &mut Parts, log: &[Value]| -> Vec<String> {
            let news = parts.news(&json!({ "log": log }), &plain());
            news.into_iter().map(|(_, line)| line).collect()
        };
        assert_eq!(lines(&mut parts, &log), ["try 1  Model  ok  3 ms  429: slow"]);
        assert!(lines(&mut parts, &log).is_empty(), "nothing is new");
        log.push(entry(2, "Model", None));
        log.push(entry(2, "Chat Input", None));
        assert_eq!(lines(&mut parts, &log), ["try 2  Model  ok  3 ms"]);
        let mut second = Parts { attempt: Some(2), ..Parts::default() };
        assert_eq!(lines(&mut second, &log).len(), 2);
    }
}
