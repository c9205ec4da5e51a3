//! What was not typed: the environment, `.env`, the profile and the defaults, in this order. Owns
//! which settings there are and which place counts; reads no command line.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::exit::Trouble;
use crate::output::Format;
use crate::output::time::TimeStyle;

pub(crate) mod config;
pub(crate) mod dotenv;
pub(crate) mod old;
pub(crate) mod target;

use config::Config;

/// A setting that a profile can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The server to talk to.
    Server,
    /// The key of that server.
    ApiKey,
    /// The data directory of a local server.
    DataDir,
    /// Format of the data on standard output.
    Output,
    /// How times are shown in tables.
    Time,
}

impl Name {
    /// All of them, in the order in which they are listed.
    pub(crate) const ALL: [Self; 5] =
        [Self::Server, Self::ApiKey, Self::DataDir, Self::Output, Self::Time];

    /// As it stands in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ApiKey => "api_key",
            Self::DataDir => "data_dir",
            Self::Output => "output",
            Self::Time => "time",
        }
    }

    /// As it stands in the environment.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Server => "AUTOMAGIK_URL",
            Self::ApiKey => "AUTOMAGIK_API_KEY",
            Self::DataDir => "AUTOMAGIK_HOME",
            Self::Output => "AUTOMAGIK_OUTPUT",
            Self::Time => "AUTOMAGIK_TIME",
        }
    }

    /// The setting of this name; dashes and underscores mean the same.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Whether a value can be used, and what is wrong with it if not.
    pub(crate) fn check(self, value: &str) -> Result<(), String> {
        let listed = |known: bool, all: &str| {
            if known { Ok(()) } else { Err(format!("{value:?} is none of {all}")) }
        };
        match self {
            Self::Server => crate::client::parse_base(value).map(drop).map_err(|trouble| {
                let why = trouble.why.join(", ");
                format!("{value:?} is not the URL of a server ({why})")
            }),
            Self::Output => {
                listed(Format::from_str(value, true).is_ok(), "table, json, jsonl, yaml, none")
            }
            Self::Time => listed(TimeStyle::from_str(value, true).is_ok(), "relative, iso, raw"),
            Self::ApiKey | Self::DataDir if value.trim().is_empty() => {
                Err("it is empty".to_owned())
            }
            Self::ApiKey | Self::DataDir => Ok(()),
        }
    }

    /// A value as it may be shown: a key only by its last characters.
    pub(crate) fn shown(self, value: &str) -> String {
        match self {
            Self::ApiKey => masked(value),
            _ => value.to_owned(),
        }
    }
}

/// A key as it may be shown: enough to tell two apart, too little to use.
pub(crate) fn masked(key: &str) -> String {
    const SHOWN: usize = 4;
    let count = key.chars().count();
    if count < 4 * SHOWN {
        return "****".to_owned();
    }
    format!("****{}", key.chars().skip(count - SHOWN).collect::<String>())
}

/// Where a setting was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Typed on the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// A line of `.env` in the working directory.
    DotEnv,
    /// The profile that counts.
    Profile,
}

impl Origin {
    /// For people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Flag => "command line",
            Self::Environment => "environment",
            Self::DotEnv => ".env",
            Self::Profile => "profile",
        }
    }
}

/// A setting that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its value.
    pub(crate) value: String,
    /// Where it was found.
    pub(crate) origin: Origin,
}

/// Everything that was found outside the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The file with the profiles.
    pub(crate) config: Config,
    /// The profile that counts, if any.
    pub(crate) profile: Option<String>,
}

impl Settings {
    /// Reads the file with the profiles. `typed` is `--profile`. A profile that does not exist is
    /// an error, unless it is about to be made.
    pub(crate) fn load(typed: Option<&str>, may_be_new: bool) -> Result<Self, Trouble> {
        let named = typed.map(str::to_owned).or_else(|| dotenv::env("AUTOMAGIK_PROFILE"));
        let config = match Config::path() {
            Ok(path) => {
                let config = Config::read(path)?;
                if !may_be_new {
                    config.is_there_if_named()?;
                }
                config
            }
            // A service has no home, and no profile either.
            Err(_) if named.is_none() && !may_be_new => Config::default(),
            Err(trouble) => return Err(trouble),
        };
        let profile = named.or_else(|| config.in_use().map(str::to_owned));
        if let Some(name) = profile.as_deref().filter(|_| !may_be_new) {
            config.known(name)?;
        }
        Ok(Self { config, profile })
    }

    /// The value that counts: what was typed, else the environment's, `.env`'s, the profile's.
    pub(crate) fn find(&self, key: Name, typed: Option<&str>) -> Option<Setting> {
        if let Some(typed) = typed.filter(|typed| !typed.is_empty()) {
            return Some(Setting { value: typed.to_owned(), origin: Origin::Flag });
        }
        dotenv::find(key.variable()).or_else(|| {
            let value = self.of_profile(key)?.to_owned();
            Some(Setting { value, origin: Origin::Profile })
        })
    }

    /// What the profile that counts says.
    pub(crate) fn of_profile(&self, key: Name) -> Option<&str> {
        let profile = self.config.profiles.get(self.profile.as_deref()?)?;
        profile.get(&key).map(String::as_str)
    }
}

/// The folder of a user's settings.
fn config_folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    of("XDG_CONFIG_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(of("HOME")?.join(".config")))
        .map(|dir| dir.join("automagik"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_by_its_end_only() {
        assert_eq!(masked("sk-spark-0123456789abcdef"), "****cdef");
        assert_eq!(masked("short"), "****");
        assert_eq!(Name::ApiKey.shown("sk-spark-0123456789abcdef"), "****cdef");
        assert_eq!(Name::Server.shown("http://a"), "http://a");
    }

    #[test]
    fn a_value_is_checked_where_it_is_stored() {
        assert!(Name::Server.check("http://127.0.0.1:8888").is_ok());
        assert!(Name::Server.check("127.0.0.1:8888").is_err());
        assert!(Name::Output.check("json").is_ok());
        assert!(Name::Output.check("xml").unwrap_err().contains("jsonl"));
        assert!(Name::Time.check("soon").unwrap_err().contains("relative"));
        assert!(Name::ApiKey.check(" ").is_err());
    }

    #[test]
    fn what_was_typed_beats_the_profile() {
        let text = "profile = \"a\"\n[profiles.a]\nserver = \"http://a\"\ntime = \"iso\"\n";
        let config = Config::parse("c.toml".into(), text).unwrap();
        let settings = Settings { profile: config.current.clone(), config };
        let found = |key, typed| settings.find(key, typed).map(|found| (found.value, found.origin));
        assert_eq!(found(Name::Time, Some("raw")), Some(("raw".into(), Origin::Flag)));
        assert_eq!(found(Name::Time, Some("")), Some(("iso".into(), Origin::Profile)));
        assert_eq!(found(Name::Output, None), None);
    }
}
