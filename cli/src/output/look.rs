//! How data looks to a person: width, colours, times. Never writes.

use serde_json::Value;
use spark_events::Timestamp;

use super::time::{self, TimeStyle};

/// Columns where the terminal does not say, and where there is none.
const WIDTH_DEFAULT: usize = 80;

/// How data looks to a person.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Columns of a line.
    pub(crate) width: usize,
    /// Whether to colour.
    pub(crate) color: bool,
    /// How to show times.
    pub(crate) time: TimeStyle,
    /// What relative times are seen from.
    pub(crate) now: Timestamp,
}

/// What a text means, which decides about its colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Nothing special.
    #[default]
    Plain,
    /// A title.
    Title,
    /// Less important.
    Faint,
    /// As it should be.
    Good,
    /// Under way, or worth a look.
    Watch,
    /// Not as it should be.
    Bad,
}

impl Paint {
    /// The text with the colour's escape codes, or as it is.
    pub(crate) fn apply(self, text: &str, color: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Title => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Watch => "33",
            Self::Bad => "31",
        };
        if color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// The colour of a status, of whatever it is the status of.
    pub(crate) fn of_status(status: &str) -> Self {
        // What stands in brackets behind a status says more of it and changes no colour.
        match status.split(" (").next().unwrap_or(status) {
            "completed" | "active" | "up" | "ok" | "success" | "healthy" | "fired" | "enabled"
            | "delivered" => Self::Good,
            "running" | "waiting" | "pending" | "paused" | "degraded" | "skipped" | "drifted"
            | "edited" | "local" | "behind" => Self::Watch,
            "failed" | "halted" | "down" | "lost" | "error" | "unhealthy" | "missed" => Self::Bad,
            "cancelled" | "stopped" | "removed" | "deleted" | "disabled" | "dropped" => Self::Faint,
            _ => Self::Plain,
        }
    }
}

impl Look {
    /// A text in the colour of what it means.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        paint.apply(text, self.color)
    }

    /// A time that the server sent; `-` where there is none.
    pub(crate) fn when(&self, value: Option<&Value>) -> String {
        match value.and_then(Value::as_str) {
            Some(raw) => time::show(raw, self.time, self.now),
            None => "-".to_owned(),
        }
    }

    /// A time as seen from now and as an instant, where both help.
    pub(crate) fn when_exact(&self, value: Option<&Value>) -> String {
        let Some(raw) = value.and_then(Value::as_str) else {
            return "-".to_owned();
        };
        match self.time {
            TimeStyle::Relative => {
                let iso = time::show(raw, TimeStyle::Iso, self.now);
                format!("{} ({iso})", time::show(raw, TimeStyle::Relative, self.now))
            }
            other => time::show(raw, other, self.now),
        }
    }
}

/// Columns of standard output: `COLUMNS` beats the terminal's own.
pub(crate) fn width(terminal: bool) -> usize {
    let wished = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let own = || {
        let size = terminal.then(|| terminal_size::terminal_size_of(std::io::stdout())).flatten();
        size.map(|(terminal_size::Width(columns), _)| usize::from(columns))
    };
    wished.or_else(own).filter(|columns| *columns >= 20).unwrap_or(WIDTH_DEFAULT)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chrono::DateTime;

    /// A look for tests: 80 columns, no colour, at a fixed instant.
    pub(crate) fn plain() -> Look {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        Look { width: 80, color: false, time: TimeStyle::Relative, now }
    }

    #[test]
    fn colour_is_only_where_it_is_wished() {
        assert_eq!(Paint::Bad.apply("x", true), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Paint::Bad.apply("x", false), "x");
        assert_eq!(Paint::Plain.apply("x", true), "x");
    }

    #[test]
    fn a_missing_time_is_a_dash() {
        assert_eq!(plain().when(None), "-");
        assert_eq!(plain().when(Some(&Value::Null)), "-");
        let at = Value::from("2026-03-01T12:00:05Z");
        assert_eq!(plain().when(Some(&at)), "in 5 s");
        assert_eq!(plain().when_exact(Some(&at)), "in 5 s (2026-03-01T12:00:05Z)");
    }
}
