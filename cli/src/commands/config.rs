//! `automagik config`: the profiles of the configuration file, and what counts at the moment.

use std::io::{IsTerminal, Read};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use spark_events::limits::CLI_SETTINGS_BYTES_MAX;

use crate::args::Global;
use crate::exit::{Exit, Trouble};
use crate::output::Out;
use crate::output::text::near_misses;
use crate::settings::config::{Config as File, PROFILE_DEFAULT};
use crate::settings::{Name, Origin, Settings};
use crate::views;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik config set server https://spark.example.com --profile team
  automagik config set api_key --profile team     asks for it
  automagik config use team               from now on, where no other is named
  automagik config use --none             no profile any more
  automagik task list --profile team      or for one command
  automagik config list                   what counts, and where it comes from
Settings: server, api_key, data_dir, output, time. A key of a profile is sent to
that profile's server only. The file: automagik config path";

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// What counts now and where it comes from, and the profiles
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik config list
  automagik config list --profile team -o json
Keys are shown by their last characters."
    )]
    List,
    /// One setting as it counts now; an API key is shown in full
    Get(One),
    /// Keep a value in the profile
    Set(Set),
    /// Take a value out of the profile
    Unset(One),
    /// Choose the profile that counts where no other is named
    Use(Use),
    /// Where the configuration file is
    #[command(after_help = "Examples:
  automagik config path
AUTOMAGIK_CONFIG names another file.")]
    Path,
}

impl Config {
    /// Whether `--profile` may name one that does not exist yet.
    pub(crate) fn may_name_a_new_profile(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Use(_) | Self::Path)
    }
}

/// Name one setting.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik config get server
  automagik config unset output --profile team")]
pub(crate) struct One {
    /// server, api_key, data_dir, output or time
    setting: String,
}

/// Keep a value.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik config set output json
  automagik config set api_key --profile team < key.txt
Without --profile it is the one in use, else `default`, which counts where none
was chosen. Setting a value chooses no profile: automagik config use does. A
key is better not typed where the shell remembers it: leave the value out, and
it is asked for, or read from standard input.")]
pub(crate) struct Set {
    /// server, api_key, data_dir, output or time
    setting: String,
    /// Its value; left out or `-`: read from standard input
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
}

/// Choose a profile.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik config use team
  automagik config use --none             until another is chosen")]
pub(crate) struct Use {
    /// Its name
    #[arg(required_unless_present = "none")]
    name: Option<String>,
    /// No profile is to count, not even `default`
    #[arg(long, conflicts_with = "name")]
    none: bool,
}

/// Runs a command of the group.
pub(crate) fn run(config: Config, global: &Global, out: &Out) -> Result<Exit> {
    let settings = global.settings();
    match config {
        Config::List => {
            let listed = listed(global);
            out.data(&listed, |look| views::config::list(&listed, look))?;
        }
        Config::Get(one) => {
            let key = key_of(&one.setting)?;
            let found = global.setting(key).ok_or_else(|| {
                Trouble::new(Exit::NotFound, format!("{} is not set", key.name()))
                    .then(format!("set it: automagik config set {} VALUE", key.name()))
            })?;
            let value =
                json!({ "name": key.name(), "value": found.value, "from": found.origin.words() });
            out.data(&value, |_| format!("{}\n", found.value))?;
        }
        Config::Set(set) => {
            let key = key_of(&set.setting)?;
            let value = match set.value.filter(|value| value != "-") {
                Some(value) => value,
                None => ask(key)?,
            };
            key.check(&value).map_err(|why| {
                Trouble::usage(format!("{} cannot be set to that", key.name())).because(why)
            })?;
            let name = profile(settings);
            let mut file = settings.config.clone();
            file.set(name, key, &value)?;
            file.write()?;
            changed(&file, name, key, Some(&value), out)?;
        }
        Config::Unset(one) => {
            let key = key_of(&one.setting)?;
            let name = profile(settings);
            let mut file = settings.config.clone();
            if file.unset(name, key)? {
                file.write()?;
            }
            changed(&file, name, key, None, out)?;
        }
        Config::Use(wanted) => {
            let mut file = settings.config.clone();
            match &wanted.name {
                Some(name) => file.use_profile(name)?,
                None => file.use_none()?,
            }
            file.write()?;
            out.data(&json!({ "profile": wanted.name }), |_| String::new())?;
            out.note(&match &wanted.name {
                Some(name) => format!("profile {name} counts from now on"),
                None => "no profile counts from now on, where none is named".to_owned(),
            });
        }
        Config::Path => {
            let path = File::path()?.display().to_string();
            out.data(&json!({ "path": path }), |_| format!("{path}\n"))?;
        }
    }
    Ok(Exit::Ok)
}

/// The profile that a change is for.
fn profile(settings: &Settings) -> &str {
    settings.profile.as_deref().unwrap_or(PROFILE_DEFAULT)
}

fn changed(file: &File, name: &str, key: Name, value: Option<&str>, out: &Out) -> Result<()> {
    let shown = value.map(|value| key.shown(value));
    out.data(&json!({ "profile": name, "name": key.name(), "value": shown }), |_| String::new())?;
    let path = file.path.display();
    out.note(&match shown {
        Some(shown) => format!("{} of profile {name} is {shown} (in {path})", key.name()),
        None => format!("{} of profile {name} is not set (in {path})", key.name()),
    });
    if file.in_use() != Some(name) {
        out.note(&format!("use it: --profile {name}, or automagik config use {name}"));
    }
    Ok(())
}

/// Everything that counts, and the profiles' names.
fn listed(global: &Global) -> Value {
    let settings = global.settings();
    let row = |key: Name| {
        let found = global.setting(key);
        let from = found.as_ref().map(|found| match found.origin {
            Origin::Profile => format!("profile {}", profile(settings)),
            Origin::Environment | Origin::DotEnv => {
                format!("{} ({})", found.origin.words(), key.variable())
            }
            Origin::Flag => found.origin.words().to_owned(),
        });
        let value = found.map(|found| key.shown(&found.value));
        json!({ "name": key.name(), "value": value, "from": from })
    };
    json!({
        "path": settings.config.path.display().to_string(),
        "profile": settings.profile,
        "profiles": settings.config.profiles.keys().collect::<Vec<_>>(),
        "items": Name::ALL.map(row),
    })
}

fn key_of(name: &str) -> Result<Name, Trouble> {
    Name::of(name).ok_or_else(|| {
        let names = Name::ALL.map(Name::name);
        let near = near_misses(name, &names);
        let trouble = Trouble::usage(format!("there is no setting {name:?}"))
            .because(format!("there are {}", names.join(", ")));
        if near.is_empty() {
            trouble
        } else {
            trouble.then(format!("did you mean: {}", near.join(", ")))
        }
    })
}

/// The value from a terminal, or from what is piped in.
fn ask(key: Name) -> Result<String> {
    if crate::ask::is_possible() {
        return crate::ask::value(key.name(), key == Name::ApiKey);
    }
    let mut text = String::new();
    // Nobody would see what is asked on a terminal whose answers alone are here.
    if !std::io::stdin().is_terminal() {
        std::io::stdin().lock().take(CLI_SETTINGS_BYTES_MAX).read_to_string(&mut text)?;
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(Trouble::usage(format!("no value for {} was given", key.name()))
            .because("nothing was piped in, and there is no terminal to ask on")
            .then(format!("give it: automagik config set {} VALUE", key.name()))
            .into());
    }
    Ok(text.to_owned())
}
