//! `task list --watch`: redraws the list on a terminal; elsewhere writes each row as it changes.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use spark_events::limits::CLI_WATCH_MS;

use super::Context;
use super::task::List;
use crate::client::rows;
use crate::exit::Exit;
use crate::output::Format;
use crate::views;

/// Follows the tasks until ctrl-c.
pub(crate) async fn tasks(list: &List, context: &Context<'_>) -> Result<Exit> {
    let mut follow = Follow::default();
    let mut pace = tokio::time::interval(Duration::from_millis(CLI_WATCH_MS));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
        let answer = context.client.list(&["tasks"], &list.query(), list.limit).await?;
        let out = context.out;
        let look = out.look();
        if out.stdout_terminal && out.format == Format::Table && out.spinner {
            out.raw(&redraw(&views::task::list(&answer, &look), height()))?;
            continue;
        }
        for row in follow.changed(rows(&answer)) {
            match out.format {
                Format::Table => out.raw(&(views::task::line(row, &look) + "\n"))?,
                Format::None => {}
                // Indented or as YAML, rows without an envelope could not be told apart.
                Format::Json | Format::Jsonl | Format::Yaml => out.raw(&format!("{row}\n"))?,
            }
        }
    }
}

/// The page over what stood there before: from the top, each line to its end, and away with what
/// an earlier, longer page left below. More lines than the terminal has would scroll.
fn redraw(page: &str, height: usize) -> String {
    let page = if page.is_empty() { "no tasks yet\n" } else { page };
    let lines = page.lines().take(height.saturating_sub(1));
    let lines: String = lines.map(|line| format!("{line}\u{1b}[K\n")).collect();
    format!("\u{1b}[H{lines}\u{1b}[J")
}

/// Lines of the terminal.
fn height() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(24, |(_, terminal_size::Height(lines))| usize::from(lines))
}

/// Remembers how each row was when it was last written.
#[derive(Default)]
struct Follow {
    seen: HashMap<String, Value>,
}

impl Follow {
    /// The rows that are new or changed, oldest first.
    fn changed<'a>(&mut self, rows: &'a [Value]) -> Vec<&'a Value> {
        let mut changed = Vec::new();
        let mut seen = HashMap::with_capacity(rows.len());
        for row in rows.iter().rev() {
            let id = views::text_or_dash(row, &["id"]);
            if self.seen.get(&id) != Some(row) {
                changed.push(row);
            }
            seen.insert(id, row.clone());
        }
        // Rows that left the page are forgotten, so the memory is bounded by the page.
        self.seen = seen;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_replaces_the_one_before_and_never_scrolls() {
        assert_eq!(redraw("a\nb\n", 24), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(redraw("a\nb\nc\n", 3).lines().count(), 3);
        assert!(redraw("", 24).contains("no tasks yet"));
    }

    #[test]
    fn only_what_changed_is_written_again() {
        let mut follow = Follow::default();
        let first =
            [json!({"id": "b", "status": "pending"}), json!({"id": "a", "status": "running"})];
        assert_eq!(follow.changed(&first), [&first[1], &first[0]]);
        assert!(follow.changed(&first).is_empty());
        let second =
            [json!({"id": "b", "status": "running"}), json!({"id": "a", "status": "running"})];
        assert_eq!(follow.changed(&second), [&second[0]]);
        assert!(follow.changed(&[]).is_empty());
        assert_eq!(follow.changed(&second).len(), 2);
    }
}
