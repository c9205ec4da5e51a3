//! The command line as a whole: the options every command has, and the groups. What a command
//! takes stands beside what it does, in `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::client::{Named, Target};
use crate::commands::{
    alert, api, completions, config, db, doctor, flow, history, key, log, projection, schedule,
    source, status, task, up, why, worker,
};
use crate::exit::Trouble;
use crate::home::Home;
use crate::output::time::TimeStyle;
use crate::output::{ColorWhen, Format, Out};
pub(crate) use crate::settings::dotenv::env;
use crate::settings::{Name, Origin, Setting, Settings, dotenv, old as old_settings, target};

mod old;

/// Id of the option `--api-key` that names Spark's own key.
const KEY: &str = "spark_key";

/// The hidden option of commands that ask for what is missing.
const ASK: &str = "--ask";

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
  automagik history schedule greet        what happened, when, who and why
An option beats its variable of the environment; that beats a line of .env in
the working directory (of which only AUTOMAGIK_* and LANGFLOW_* are read;
AUTOMAGIK_NO_DOTENV=1 leaves it alone); that beats the profile (see: config)."
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
    /// The server [default: the one that runs over the data directory]
    /// [env: AUTOMAGIK_URL]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Data directory, with the key and the address of a local server
    /// [default: ~/.automagik] [env: AUTOMAGIK_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A profile of the configuration file [env: AUTOMAGIK_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Format of the data: table, json, jsonl, yaml, none
    /// [default: table] [env: AUTOMAGIK_OUTPUT]
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    output: Option<Format>,
    /// Times in tables: relative, iso, raw
    /// [default: relative] [env: AUTOMAGIK_TIME]
    #[arg(long, global = true, value_name = "STYLE", hide_possible_values = true)]
    time: Option<TimeStyle>,
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
    /// What was found elsewhere.
    #[arg(skip)]
    settings: Settings,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server: event log, read models and API in one process
    Up(up::Up),
    /// Serve without a worker: up --no-worker
    #[command(after_help = api::EXAMPLES)]
    Api(Box<api::Api>),
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
    /// The events of everything, in one order
    #[command(subcommand, after_help = log::EXAMPLES)]
    Log(log::Log),
    /// The read models: how far they are, and what to do when one is stuck
    #[command(subcommand, alias = "projections", after_help = projection::EXAMPLES)]
    Projection(projection::Projection),
    /// The files of the data directory: backup, restore, upgrade
    #[command(subcommand, alias = "database", after_help = db::EXAMPLES)]
    Db(db::Db),
    /// Who else may talk to the server, and what they may do
    #[command(subcommand, alias = "keys", after_help = key::EXAMPLES)]
    Key(key::Key),
    /// Where messages about failures are sent, and about which ones
    #[command(subcommand, alias = "alerts", after_help = alert::EXAMPLES)]
    Alert(alert::Alert),
    /// Look at everything that can be wrong, and say what to do
    #[command(after_help = doctor::EXAMPLES)]
    Doctor,
    /// How the server is doing
    #[command(alias = "health", after_help = status::EXAMPLES)]
    Status,
    /// Settings that need not be typed: profiles and what counts now
    #[command(subcommand, alias = "profile", after_help = config::EXAMPLES)]
    Config(config::Config),
    /// A script that completes commands and options in a shell
    Completions(completions::Completions),
}

impl Command {
    /// Whether it works although the settings cannot be read.
    pub(crate) fn needs_no_settings(&self) -> bool {
        matches!(self, Self::Completions(_) | Self::Config(config::Config::Path))
    }
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
    /// Reads the settings that were not typed.
    ///
    /// # Errors
    /// A configuration file that cannot be used, or a profile that does not exist.
    pub(crate) fn settle(&mut self, command: &Command) -> Result<(), Trouble> {
        let may_be_new =
            matches!(command, Command::Config(config) if config.may_name_a_new_profile());
        self.settings = Settings::load(self.profile.as_deref(), may_be_new)?;
        if let Some(output) = self.checked(Name::Output)? {
            self.output = Format::from_str(&output, true).ok();
        }
        if let Some(time) = self.checked(Name::Time)? {
            self.time = TimeStyle::from_str(&time, true).ok();
        }
        Ok(())
    }

    /// A setting that was not typed but found, if it can be used.
    fn checked(&self, key: Name) -> Result<Option<String>, Trouble> {
        let Some(found) = self.setting(key).filter(|found| found.origin != Origin::Flag) else {
            return Ok(None);
        };
        let named = key.variable();
        key.check(&found.value)
            .map_err(|why| Trouble::usage(format!("{named} cannot be used")).because(why))?;
        Ok(Some(found.value))
    }

    /// A setting, with the place that counts.
    pub(crate) fn setting(&self, key: Name) -> Option<Setting> {
        let typed = match key {
            Name::Server => self.server.clone(),
            Name::ApiKey => self.key.clone(),
            Name::DataDir => self.data_dir.as_ref().map(|dir| dir.display().to_string()),
            Name::Output => self
                .output
                .and_then(|format| Some(format.to_possible_value()?.get_name().to_owned())),
            Name::Time => {
                self.time.and_then(|time| Some(time.to_possible_value()?.get_name().to_owned()))
            }
        };
        self.settings.find(key, typed.as_deref())
    }

    /// What was found outside the command line.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where output goes.
    pub(crate) fn out(&self) -> Out {
        let color = if self.no_color { ColorWhen::Never } else { self.color };
        let (output, time) = (self.output.unwrap_or_default(), self.time.unwrap_or_default());
        Out::new(output, color, time, self.quiet)
    }

    /// The data directory.
    pub(crate) fn home(&self) -> Home {
        let elsewhere = || self.setting(Name::DataDir).map(|found| PathBuf::from(found.value));
        Home::new(self.data_dir.clone().or_else(elsewhere).as_deref())
    }

    /// The key that a server is to have, as given on the command line or in the environment. A
    /// profile's is for a server that runs already.
    pub(crate) fn given_key(&self) -> Option<String> {
        let found = self.setting(Name::ApiKey)?;
        (found.origin != Origin::Profile).then_some(found.value)
    }

    /// The server and the key to talk to it.
    ///
    /// # Errors
    /// Where no server is named and none runs over the data directory.
    pub(crate) fn target(&self) -> Result<Target, Trouble> {
        let (server, key) = (self.setting(Name::Server), self.setting(Name::ApiKey));
        let (home, reason) = (self.home(), self.reason.clone());
        let place = |name: Name, found: &Setting| match found.origin {
            Origin::Flag => format!("--{}", name.name().replace('_', "-")),
            Origin::Environment => name.variable().to_owned(),
            Origin::DotEnv => format!("{} in .env", name.variable()),
            Origin::Profile => {
                format!("the profile {}", self.settings.profile.as_deref().unwrap_or_default())
            }
        };
        let mut target =
            target::choose(&self.settings, server.clone(), key.clone(), &home, reason)?;
        let of_profile = server.as_ref().is_some_and(|found| found.origin == Origin::Profile);
        // A key that was found and may not go to this server is not the one that is sent.
        let sent = key.filter(|found| Some(&found.value) == target.key.as_ref());
        target.named = Named {
            server: server.map(|found| place(Name::Server, &found)),
            profile: self.settings.profile.clone().filter(|_| of_profile),
            key: sent.map_or_else(
                || home.key_file().display().to_string(),
                |found| place(Name::ApiKey, &found),
            ),
        };
        if target.key.is_none() && old_settings::has_key() {
            let old = old_settings::KEY;
            target.no_key.push_str(&format!("; {old} is set, but it is AUTOMAGIK_API_KEY here"));
        }
        Ok(target)
    }
}

/// The whole command line. `--api-key` is Spark's own key wherever a command has no key of its
/// own to take; `source add` and `source update` do, so there it stands before the verb. Clap's
/// global options cannot say that, hence the walk.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command().mut_subcommands(|group| match group.get_name() {
        "api" => api::without_worker_options(group),
        _ => group,
    });
    with_dotenv(with_key(command))
}

/// Options with a variable of the environment take it from `.env` where the environment lacks it.
fn with_dotenv(command: clap::Command) -> clap::Command {
    let command = command.mut_subcommands(with_dotenv);
    command.mut_args(|arg| {
        let name = arg
            .get_env()
            .and_then(|name| name.to_str())
            .filter(|name| std::env::var_os(name).is_none());
        match name.and_then(dotenv::of_file) {
            Some(value) => arg.default_value(value).hide_default_value(true),
            None => arg,
        }
    })
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
    let matches = matches(argv.into_iter().map(Into::into).collect())?;
    let Cli { mut global, command } =
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut self::command()))?;
    global.key = typed_key(&matches).filter(|key| !key.is_empty());
    Ok(Parsed { global, command })
}

/// What to type in place of a spelling of the Python original, where one was refused.
pub(crate) fn meant(
    argv: impl IntoIterator<Item = OsString>,
    error: &clap::Error,
) -> Option<Trouble> {
    let argv: Vec<String> =
        argv.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    old::meant(&command(), &argv, error)
}

/// What was typed. Where a person is there and only something that can be asked for is missing, the
/// command is taken as one that asks.
fn matches(argv: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let error = match command().try_get_matches_from(&argv) {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::MissingRequiredArgument || !crate::ask::is_possible() {
        return Err(error);
    }
    let asking = argv.into_iter().chain([OsString::from(ASK)]);
    command().try_get_matches_from(asking).map_err(|_| error)
}

/// Spark's key as it was typed; what stands furthest right counts.
fn typed_key(matches: &ArgMatches) -> Option<String> {
    let levels =
        std::iter::successors(Some(matches), |outer| outer.subcommand().map(|(_, inner)| inner));
    // A level whose `--api-key` is a source's does not know this option.
    let keys = levels.filter_map(|level| level.try_get_one::<String>(KEY).ok().flatten());
    keys.last().cloned()
}

/// A usage error in which a parser of the standard library speaks, in words that say what was
/// expected; `None` where clap's own words do.
pub(crate) fn in_words(error: &clap::Error) -> Option<String> {
    const RAW: [(&str, &str); 4] = [
        ("invalid digit found in string", "a whole number is expected, such as 10"),
        ("cannot parse integer from empty string", "a whole number is expected, such as 10"),
        ("number too large to fit in target type", "the number is too large"),
        ("number too small to fit in target type", "the number is too small"),
    ];
    let text = error.render().to_string();
    let mended = RAW.iter().fold(text.clone(), |text, (raw, words)| text.replace(raw, words));
    (error.use_stderr() && mended != text).then_some(mended)
}

/// A duration such as `10m`, `90s` or `1h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|_| "it is no duration; write it like 30s, 10m or 1h".to_owned())?;
    if parsed.is_zero() {
        return Err("it must be longer than nothing".into());
    }
    Ok(parsed)
}

/// A count of what is to be shown: none is no answer to anything.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("a whole number is expected, such as 10".to_owned()),
    }
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
