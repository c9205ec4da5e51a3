//! The log of a process that stays: to standard error, as text or as lines of JSON. Owns the levels
//! that are usual; knows nothing of what is logged.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::env;
use crate::output::Out;

mod levels;

/// What is told unless it is said otherwise: our own doings, and what goes wrong elsewhere.
const USUAL: &str = "warn,automagik=info,spark_events=info,spark_actors=info,\
                     spark_projections=info,spark_api=info";

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The options of the log. Its levels are in the environment, by target:
/// `AUTOMAGIK_LOG_LEVEL=info,spark_actors=debug`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogOptions {
    /// The log on standard error: text, or json for one object a line
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "AUTOMAGIK_LOG_FORMAT",
        hide_env_values = true,
        hide_possible_values = true,
        hide_default_value = true
    )]
    log_format: LogFormat,
}

impl LogOptions {
    /// Starts the log of this process. `RUST_LOG` beats `AUTOMAGIK_LOG_LEVEL` beats what is usual.
    pub(crate) fn start(&self, out: &Out) {
        let named = ["RUST_LOG", "AUTOMAGIK_LOG_LEVEL"]
            .into_iter()
            .find_map(|variable| Some((variable, env(variable)?)));
        let filter = named.map_or_else(
            || EnvFilter::new(USUAL),
            |(variable, wished)| {
                let read = levels::levels(variable, &wished, USUAL);
                read.note.iter().for_each(|note| out.note(note));
                EnvFilter::new(read.directives)
            },
        );
        // Set already only in tests that start two servers in one process.
        let _ = match self.log_format {
            LogFormat::Text => {
                let text = tracing_subscriber::fmt()
                    .with_env_filter(filter)
                    .with_writer(std::io::stderr)
                    .with_ansi(out.stderr_color())
                    .compact()
                    .finish();
                tracing::subscriber::set_global_default(text)
            }
            LogFormat::Json => {
                tracing::subscriber::set_global_default(json(filter, std::io::stderr))
            }
        };
    }
}

/// One object a line: timestamp, level, target, fields with the message, and the spans around it,
/// innermost last.
fn json<W>(filter: EnvFilter, to: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(to)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_an_object_with_its_fields_and_its_spans() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = json(EnvFilter::new("warn,here=info"), move || writer.clone());
        tracing::subscriber::with_default(log, || {
            let span = tracing::info_span!(target: "here", "request", request_id = "r-1");
            let _within = span.enter();
            tracing::info!(target: "here", count = 3, "it \"happened\"");
            tracing::info!(target: "elsewhere", "not told");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "here");
        assert_eq!(line["message"], "it \"happened\"");
        assert_eq!(line["count"], 3);
        assert_eq!(line["spans"][0]["request_id"], "r-1", "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }

    #[test]
    fn the_usual_levels_can_be_read() {
        assert!(EnvFilter::try_new(USUAL).is_ok());
    }
}
