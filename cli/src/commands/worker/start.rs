//! `automagik worker start`: a worker in this process, or in one of its own in the background.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use spark_actors::langflow::http_client;
use spark_events::domain::labels::Labels;
use spark_events::limits::{NAME_BYTES_MAX, WORKER_SLOTS_DEFAULT, WORKER_SLOTS_MAX};
use tokio::sync::watch;

use super::background;
use crate::args::Global;
use crate::commands::up::{hostname, private_files, signals};
use crate::exit::{Exit, Trouble};
use crate::logs::LogOptions;
use crate::output::Out;
use crate::settings;
use crate::worker_process::state::Place;
use crate::worker_process::{End, Link, Plan, Process};

/// Start a worker.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik worker start
  automagik worker start --server http://spark.example:8888 --api-key sk-...
  automagik worker start --name gpu-1 --labels gpu,big --concurrency 4
  automagik worker start --daemon             then: worker status, logs, stop
On another host, give it a key: automagik key create NAME --role worker
Ctrl-c gives background runs back and lets direct ones end (10 s); a second one
ends it at once. Killed in the middle, its runs go on at the next start.")]
pub(crate) struct Start {
    /// Its name, unique among living workers [default: this machine's name]
    #[arg(long, env = "AUTOMAGIK_WORKER_NAME", hide_env_values = true, value_parser = parse_name)]
    name: Option<String>,
    /// Runs at once
    #[arg(long, visible_aliases = ["threads", "slots"], value_name = "N",
          default_value_t = WORKER_SLOTS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKER_SLOTS_MAX)))]
    concurrency: u32,
    /// What it offers, for sources that ask for it: gpu,big
    #[arg(long, visible_alias = "label", value_name = "LABELS", value_delimiter = ',',
          value_parser = parse_label)]
    labels: Vec<String>,
    /// Leave it running in the background, with its log in the data directory
    #[arg(short, long)]
    daemon: bool,
    #[command(flatten)]
    logs: LogOptions,
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_legal = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(is_of_word);
    is_legal.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "a worker's name has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores"
        )
    })
}

fn parse_label(text: &str) -> Result<String, String> {
    Labels::new([text.to_owned()]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// What can be part of a file's name and of a path, on every system.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// This machine's name as the name of a worker.
pub(super) fn name_of_host() -> String {
    let name: String = hostname().chars().filter(|c| is_of_word(*c)).collect();
    let name: String = name.chars().take(NAME_BYTES_MAX).collect();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// Works until it is told to stop.
pub(super) async fn run(start: Start, global: &Global, out: &Out) -> Result<Exit> {
    let home = global.home();
    if !background::is_child() {
        settings::old::notes().iter().for_each(|note| out.note(note));
    }
    private_files();
    home.create()?;
    let labels = Labels::new(start.labels).map_err(|error| Trouble::usage(error.to_string()))?;
    let name = start.name.unwrap_or_else(name_of_host);
    if start.daemon && !background::is_child() {
        return background::start(&name, &home, out).await;
    }
    background::detach();
    let place = Place::take(&home, &name)?;
    start.logs.start(out);
    if background::is_child() {
        background::keep_log_small(home.worker_log(&name));
    }
    let plan = Plan { name, hostname: hostname(), slots: start.concurrency, labels };
    out.note(&banner(&plan, global));
    let http = http_client().map_err(|error| Trouble::failed(error.to_string()))?;
    let (stop, stopped) = watch::channel(false);
    let mut signals = signals::Signals::new()?;
    let global = global.clone();
    let find = move || global.target();
    let mut process = Process { plan, link: Arc::new(Link::new(find)), place, http };
    let work = process.run(stopped);
    tokio::pin!(work);
    let end = tokio::select! {
        end = &mut work => end,
        () = signals.first() => {
            tracing::info!("stopping: background runs are given back, direct ones may take 10 s");
            signals.exit_on_next();
            stop.send_replace(true);
            work.await
        }
    };
    match end? {
        End::Left => out.note("stopped"),
        End::Unheard => out.note(
            "stopped, but the server could not be told; it will notice, and the next start of \
             this worker tells it too",
        ),
    }
    Ok(Exit::Ok)
}

fn banner(plan: &Plan, global: &Global) -> String {
    let Plan { name, slots, labels, .. } = plan;
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!(", labels {labels}"),
    };
    let server = global.target().map_or_else(
        |_| format!("the server of {}", global.home().dir().display()),
        |target| target.server,
    );
    format!("worker {name} for {server}: {slots} runs at once{labels}; ctrl-c stops it")
}
