//! The command line as a whole: the options every command has, and the groups. What a command
//! takes stands beside what it does, in `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::Target;
use crate::commands::{
    completions, flow, history, key, schedule, source, status, task, up, why, worker,
};
use crate::home::{Home, SERVER_DEFAULT};
use crate::output::time::TimeStyle;
use crate::output::{ColorWhen, Format, Out};

/// Id of the option `--api-key` that names Spark's own key.
const KEY: &str = "spark_key";

/// Columns of a help page.
const HELP_WIDTH: usize = 80;

/// Runs LangFlow flows on time, every time, and can prove it
#[derive(Debug, Parser)]
#[command(
    name = "automagik",
    version,
    about = "Runs LangFlow flows on time, every time, and can prove it",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = HELP_WIDTH,
    after_help = "Examples:
  automagik up                            start the server, keep it running
  automagik flow run hello-spark --input \"hello\" --wait
  automagik schedule create hello-spark --every 30s --name greet
  automagik task list --status failed
  automagik history schedule greet        what happened, when, who and why"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The server [default: the one of the data directory, else
    /// http://127.0.0.1:8888] [env: AUTOMAGIK_URL]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Data directory, with the key and the address of a local server
    /// [default: ~/.automagik] [env: AUTOMAGIK_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Format of the data on standard output
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true,
        help = "Format of the data: table, json, jsonl, yaml, none"
    )]
    output: Format,
    /// Times in tables: relative, iso, raw
    #[arg(
        long,
        global = true,
        value_name = "STYLE",
        default_value = "relative",
        hide_possible_values = true
    )]
    time: TimeStyle,
    /// Colour: auto, always, never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: ColorWhen,
    /// The same as --color never
    #[arg(long, global = true, conflicts_with = "color")]
    no_color: bool,
    /// Why, for the history of what is changed
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
    /// No messages on standard error but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Spark's API key, from wherever on the command line it was given.
    #[arg(skip)]
    key: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server: event log, read models and API in one process
    Up(up::Up),
    /// Servers that Spark talks to
    #[command(subcommand, alias = "sources", after_help = source::EXAMPLES)]
    Source(source::Source),
    /// Flows that were synced from a source
    #[command(subcommand, aliases = ["flows", "workflow", "workflows"], after_help = flow::EXAMPLES)]
    Flow(flow::Flow),
    /// When a flow is run, with which input
    #[command(subcommand, alias = "schedules", after_help = schedule::EXAMPLES)]
    Schedule(schedule::Schedule),
    /// Executions of flows, over all their attempts
    #[command(subcommand, alias = "tasks", after_help = task::EXAMPLES)]
    Task(task::Task),
    /// Every event of one stream, in order, with who and why
    History(history::History),
    /// What became of one instant of a schedule, and why
    Why(why::Why),
    /// Processes that make the calls
    #[command(subcommand, alias = "workers", after_help = worker::EXAMPLES)]
    Worker(worker::Worker),
    /// Who else may talk to the server, and what they may do
    #[command(subcommand, alias = "keys", after_help = key::EXAMPLES)]
    Key(key::Key),
    /// How the server is doing
    #[command(alias = "health", after_help = status::EXAMPLES)]
    Status,
    /// A script that completes commands and options in a shell
    Completions(completions::Completions),
}

/// A command line that was understood.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Options of every command.
    pub(crate) global: Global,
    /// What to do.
    pub(crate) command: Command,
}

impl Global {
    /// Where output goes.
    pub(crate) fn out(&self) -> Out {
        let color = if self.no_color { ColorWhen::Never } else { self.color };
        Out::new(self.output, color, self.time, self.quiet)
    }

    /// The data directory.
    pub(crate) fn home(&self) -> Home {
        let named = self.data_dir.clone().or_else(|| env("AUTOMAGIK_HOME").map(PathBuf::from));
        Home::new(named.as_deref())
    }

    /// Spark's key as given on the command line or in the environment.
    pub(crate) fn given_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The server and the key to talk to it.
    pub(crate) fn target(&self) -> Target {
        let home = self.home();
        let given = self.server.clone().or_else(|| env("AUTOMAGIK_URL"));
        let local = || home.server().map_or_else(|| SERVER_DEFAULT.to_owned(), |file| file.url);
        Target {
            server: given.unwrap_or_else(local),
            key: self.key.clone().or_else(|| home.key()),
            key_file: home.key_file().display().to_string(),
            reason: self.reason.clone(),
        }
    }
}

/// The whole command line. `--api-key` is Spark's own key wherever a command has no key of its
/// own to take; `source add` and `source update` do, so there it stands before the verb. Clap's
/// global options cannot say that, hence the walk.
pub(crate) fn command() -> clap::Command {
    with_key(Cli::command())
}

fn with_key(command: clap::Command) -> clap::Command {
    let taken = command.get_arguments().any(|arg| arg.get_long() == Some("api-key"));
    let command = command.mut_subcommands(with_key);
    if taken {
        return command;
    }
    command.arg(
        Arg::new(KEY)
            .long("api-key")
            .value_name("KEY")
            .help_heading("Options of every command")
            .display_order(900)
            .help(
                "Spark's API key [default: the one in the data directory] [env: AUTOMAGIK_API_KEY]",
            ),
    )
}

/// Reads the command line.
pub(crate) fn parse<T: Into<OsString> + Clone>(
    argv: impl IntoIterator<Item = T>,
) -> Result<Parsed, clap::Error> {
    let matches = command().try_get_matches_from(argv)?;
    let Cli { mut global, command } =
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut self::command()))?;
    let typed = typed_key(&matches).filter(|key| !key.is_empty());
    global.key = typed.or_else(|| env("AUTOMAGIK_API_KEY"));
    Ok(Parsed { global, command })
}

/// Spark's key as it was typed; what stands furthest right counts.
fn typed_key(matches: &ArgMatches) -> Option<String> {
    let levels =
        std::iter::successors(Some(matches), |outer| outer.subcommand().map(|(_, inner)| inner));
    // A level whose `--api-key` is a source's does not know this option.
    let keys = levels.filter_map(|level| level.try_get_one::<String>(KEY).ok().flatten());
    keys.last().cloned()
}

/// A variable of the environment that holds something. Read here and not by clap, which would
/// show it in its usage errors as if it had been typed.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A duration such as `10m`, `90s` or `1h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 30s, 10m or 1h"))?;
    if parsed.is_zero() {
        return Err("it must be longer than nothing".into());
    }
    Ok(parsed)
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
