//! Where output goes: data to standard output, messages to standard error. Owns formats and the
//! decision about colour; never decides what is shown.

use std::io::{IsTerminal, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;
use spark_events::{Clock, SystemClock};

pub(crate) mod look;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use crate::exit::Trouble;
use look::{Look, Paint};
use time::TimeStyle;

/// How data is written to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; not stable
    #[default]
    Table,
    /// What the server said, indented
    Json,
    /// One JSON object a line
    Jsonl,
    /// What the server said, as YAML
    Yaml,
    /// Nothing
    None,
}

/// Whether output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal that takes it
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The environment variables that have a say about colour.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColorEnv {
    no_color: Option<String>,
    clicolor_force: Option<String>,
    clicolor: Option<String>,
    term: Option<String>,
}

impl ColorEnv {
    /// As the process sees them.
    pub(crate) fn read() -> Self {
        let get = |name: &str| std::env::var(name).ok();
        Self {
            no_color: get("NO_COLOR"),
            clicolor_force: get("CLICOLOR_FORCE"),
            clicolor: get("CLICOLOR"),
            term: get("TERM"),
        }
    }

    /// Whether a stream is coloured. The option beats the environment; of the environment,
    /// `NO_COLOR` beats `CLICOLOR_FORCE`.
    pub(crate) fn decide(&self, when: ColorWhen, terminal: bool) -> bool {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
        let zero = |value: &Option<String>| value.as_deref() == Some("0");
        match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if set(&self.no_color) => false,
            ColorWhen::Auto if set(&self.clicolor_force) && !zero(&self.clicolor_force) => true,
            ColorWhen::Auto if zero(&self.clicolor) => false,
            ColorWhen::Auto => terminal && self.term.as_deref() != Some("dumb"),
        }
    }

    /// Whether a terminal can move its cursor, which spinners and redrawing need.
    pub(crate) fn is_dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }
}

/// Where a command's output goes.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    /// Of the data.
    pub(crate) format: Format,
    /// Of the data, for people; its instant is set anew each time.
    look: Look,
    /// Whether standard output is a terminal.
    pub(crate) stdout_terminal: bool,
    /// Whether a spinner may turn on standard error.
    pub(crate) spinner: bool,
    stderr_color: bool,
    quiet: bool,
}

impl Out {
    /// From the options, the environment and the terminals.
    pub(crate) fn new(format: Format, when: ColorWhen, time: TimeStyle, quiet: bool) -> Self {
        let env = ColorEnv::read();
        let stdout_terminal = std::io::stdout().is_terminal();
        let stderr_terminal = std::io::stderr().is_terminal();
        let look = Look {
            width: look::width(stdout_terminal),
            color: env.decide(when, stdout_terminal),
            time,
            now: SystemClock.now(),
        };
        Self {
            format,
            look,
            stdout_terminal,
            spinner: stderr_terminal && !quiet && !env.is_dumb(),
            stderr_color: env.decide(when, stderr_terminal),
            quiet,
        }
    }

    /// Before the options are known.
    pub(crate) fn plain() -> Self {
        Self::new(Format::default(), ColorWhen::Auto, TimeStyle::default(), false)
    }

    /// How data looks to a person at this instant.
    pub(crate) fn look(&self) -> Look {
        Look { now: SystemClock.now(), ..self.look.clone() }
    }

    /// Writes data: `human` makes the table, everything else is the server's JSON unabridged.
    pub(crate) fn data(&self, value: &Value, human: impl FnOnce(&Look) -> String) -> Result<()> {
        match self.format {
            Format::Table => self.raw(&human(&self.look())),
            other => self.raw(&encode(value, other)?),
        }
    }

    /// Writes text to standard output as it is.
    pub(crate) fn raw(&self, text: &str) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .context("cannot write to standard output")
    }

    /// Whether standard error is coloured.
    pub(crate) fn stderr_color(&self) -> bool {
        self.stderr_color
    }

    /// Says something on standard error, unless the user wants it quiet.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            complain(line);
        }
    }

    /// Says on standard error why the command ends, however quiet the user wants it.
    pub(crate) fn trouble(&self, trouble: &Trouble) {
        for line in trouble.lines() {
            let paint = if line.starts_with("error:") { Paint::Bad } else { Paint::Plain };
            complain(&paint.apply(&line, self.stderr_color));
        }
    }
}

/// One line to standard error. Nothing can be done where that fails.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Data in a machine's format, with a line break at its end.
fn encode(value: &Value, format: Format) -> Result<String> {
    let text = match format {
        Format::Table | Format::None => String::new(),
        Format::Json => format!("{value:#}\n"),
        Format::Jsonl => match value.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().map(|item| format!("{item}\n")).collect(),
            None => format!("{value}\n"),
        },
        Format::Yaml => {
            let mut text = serde_saphyr::to_string(value).context("cannot write this as YAML")?;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
    };
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn colour_follows_option_then_environment_then_terminal() {
        let env = |name: &str| {
            let mut env = ColorEnv { term: Some("xterm".into()), ..ColorEnv::default() };
            match name {
                "NO_COLOR" => env.no_color = Some("1".into()),
                "NO_COLOR empty" => env.no_color = Some(String::new()),
                "CLICOLOR_FORCE" => env.clicolor_force = Some("1".into()),
                "CLICOLOR_FORCE=0" => env.clicolor_force = Some("0".into()),
                "CLICOLOR=0" => env.clicolor = Some("0".into()),
                "dumb" => env.term = Some("dumb".into()),
                "both" => {
                    env.no_color = Some("1".into());
                    env.clicolor_force = Some("1".into());
                }
                _ => {}
            }
            env
        };
        use ColorWhen::{Always, Auto, Never};
        let table = [
            ("", Auto, true, true),
            ("", Auto, false, false),
            ("", Always, false, true),
            ("", Never, true, false),
            ("NO_COLOR", Auto, true, false),
            ("NO_COLOR", Always, true, true),
            ("NO_COLOR empty", Auto, true, true),
            ("CLICOLOR_FORCE", Auto, false, true),
            ("CLICOLOR_FORCE", Never, true, false),
            ("CLICOLOR_FORCE=0", Auto, false, false),
            ("CLICOLOR=0", Auto, true, false),
            ("both", Auto, true, false),
            ("dumb", Auto, true, false),
        ];
        for (name, when, terminal, expected) in table {
            assert_eq!(env(name).decide(when, terminal), expected, "{name} {when:?} {terminal}");
        }
    }

    #[test]
    fn machine_formats_are_unabridged() {
        let list = json!({"items": [{"id": 1}, {"id": 2}], "total": 2});
        assert_eq!(encode(&list, Format::Jsonl).unwrap(), "{\"id\":1}\n{\"id\":2}\n");
        let read: Value = serde_json::from_str(&encode(&list, Format::Json).unwrap()).unwrap();
        assert_eq!(read, list);
        assert_eq!(encode(&json!({"id": 1}), Format::Jsonl).unwrap(), "{\"id\":1}\n");
        assert_eq!(encode(&list, Format::None).unwrap(), "");
    }

    #[test]
    fn yaml_quotes_what_it_would_read_otherwise() {
        let value =
            json!({"text": "no", "lines": "a\nb: c", "count": 1, "nothing": null, "list": []});
        let text = encode(&value, Format::Yaml).unwrap();
        assert!(text.contains("text: \"no\"") || text.contains("text: 'no'"), "{text}");
        assert!(text.contains("count: 1"), "{text}");
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
    }
}
