//! The file with the profiles (TOML): read strictly, changed without disturbing what its owner
//! wrote around it, readable by its owner alone. Knows nothing of what a setting does.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use spark_events::limits::{CLI_SETTINGS_BYTES_MAX, NAME_BYTES_MAX};
use toml_edit::{Document, DocumentMut, Item, Table, TableLike};

use super::{Name, config_folder, dotenv};
use crate::exit::{Exit, Trouble};
use crate::home::write_private;
use crate::output::text::near_misses;

/// The name of the profile that is meant where none is named and none was chosen.
pub(crate) const PROFILE_DEFAULT: &str = "default";
/// What the file's top level has.
const TOP: [&str; 2] = ["profile", "profiles"];

/// The settings of one profile.
pub(crate) type Profile = BTreeMap<Name, String>;

/// The file as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// Where it is, whether or not it exists.
    pub(crate) path: PathBuf,
    /// The profile that was chosen to count where no other is named; empty: none is to count.
    pub(crate) current: Option<String>,
    /// Every profile by its name.
    pub(crate) profiles: BTreeMap<String, Profile>,
    text: String,
}

impl Config {
    /// `AUTOMAGIK_CONFIG`, else the usual place of a user's settings.
    pub(crate) fn path() -> Result<PathBuf, Trouble> {
        if let Some(named) = dotenv::env("AUTOMAGIK_CONFIG") {
            return Ok(named.into());
        }
        config_folder().map(|dir| dir.join("config.toml")).ok_or_else(|| {
            Trouble::usage("there is no place for a configuration file")
                .because("neither HOME nor XDG_CONFIG_HOME is set")
                .then("name the file: AUTOMAGIK_CONFIG=FILE")
        })
    }

    /// Reads the file; one that does not exist is empty.
    pub(crate) fn read(path: PathBuf) -> Result<Self, Trouble> {
        let unreadable = |why: String| {
            Trouble::usage(format!("cannot read the configuration file {}", path.display()))
                .because(why)
                .then("mend it, or name another: AUTOMAGIK_CONFIG=FILE")
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, ..Self::default() });
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let mut text = String::new();
        let read = file.take(CLI_SETTINGS_BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > CLI_SETTINGS_BYTES_MAX {
            return Err(unreadable(format!("it has more than {CLI_SETTINGS_BYTES_MAX} bytes")));
        }
        Self::parse(path, &text)
    }

    /// A file that was named in `AUTOMAGIK_CONFIG` has to exist: a slip there would otherwise mean
    /// another server.
    pub(crate) fn is_there_if_named(&self) -> Result<(), Trouble> {
        let named = dotenv::find("AUTOMAGIK_CONFIG");
        let Some(named) = named.filter(|_| !self.path.exists()) else { return Ok(()) };
        let file = self.path.display();
        Err(Trouble::usage(format!("there is no configuration file {file}"))
            .because(format!("AUTOMAGIK_CONFIG names it ({})", named.origin.words()))
            .then("name another, or unset AUTOMAGIK_CONFIG")
            .then("or make it: automagik config set server URL"))
    }

    /// Reads a text as the file.
    pub(crate) fn parse(path: PathBuf, text: &str) -> Result<Self, Trouble> {
        let reader = Reader { path: &path, text };
        let document = Document::parse(text).map_err(|error| {
            let line = error.span().map(|span| reader.line(&span));
            reader.trouble(line, error.message().replace('\n', ", "))
        })?;
        let (mut current, mut profiles) = (None, BTreeMap::new());
        for (name, item) in document.iter() {
            let place = document.key(name).and_then(toml_edit::Key::span);
            match (name, item) {
                ("profile", item) => current = Some(reader.string(name, item)?),
                ("profiles", item) => {
                    let Some(table) = item.as_table_like() else {
                        return Err(reader.at(item.span(), "profiles is no table of profiles"));
                    };
                    for (name, item) in table.iter() {
                        let Some(settings) = item.as_table_like() else {
                            let what = format!("profile {name:?} is no table of settings");
                            return Err(reader.at(item.span(), &what));
                        };
                        profiles.insert(name.to_owned(), reader.profile(settings)?);
                    }
                }
                (name, _) => return Err(reader.unknown(place, name, &TOP)),
            }
        }
        Ok(Self { path, current, profiles, text: text.to_owned() })
    }

    /// The profile that counts where none is named: the one that was chosen, else the usual one
    /// where there is one.
    pub(crate) fn in_use(&self) -> Option<&str> {
        match self.current.as_deref() {
            Some("") => None,
            Some(chosen) => Some(chosen),
            None => self.profiles.contains_key(PROFILE_DEFAULT).then_some(PROFILE_DEFAULT),
        }
    }

    /// Whether there is a profile of this name; a trouble that names the near miss if not.
    pub(crate) fn known(&self, name: &str) -> Result<(), Trouble> {
        if self.profiles.contains_key(name) {
            return Ok(());
        }
        let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let file = self.path.display();
        let trouble =
            Trouble::new(Exit::NotFound, format!("there is no profile {name:?} in {file}"));
        let near = near_misses(name, &names);
        let trouble = match (names.is_empty(), near.is_empty()) {
            (true, _) => trouble.because("it has no profiles"),
            (false, true) => trouble.because(format!("it has {}", names.join(", "))),
            (false, false) => trouble.then(format!("did you mean: {}", near.join(", "))),
        };
        Err(trouble.then(format!("make it: automagik config set server URL --profile {name}")))
    }

    /// Gives a setting of a profile a value; makes the profile and the file where there are none.
    pub(crate) fn set(&mut self, profile: &str, key: Name, value: &str) -> Result<(), Trouble> {
        check_name(profile)?;
        let mut document = self.document()?;
        let profiles = document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let settings = profiles.as_table_like_mut().and_then(|profiles| {
            let new = || Item::Table(Table::new());
            profiles.entry(profile).or_insert_with(new).as_table_like_mut()
        });
        if let Some(settings) = settings {
            put(settings, key.name(), value);
        }
        self.take(&document)
    }

    /// Takes a setting out of a profile. `false` where it was not set.
    pub(crate) fn unset(&mut self, profile: &str, key: Name) -> Result<bool, Trouble> {
        let mut document = self.document()?;
        let profiles = document.get_mut("profiles").and_then(Item::as_table_like_mut);
        let settings = profiles.and_then(|all| all.get_mut(profile)?.as_table_like_mut());
        let was_set = settings.and_then(|settings| settings.remove(key.name())).is_some();
        self.take(&document)?;
        Ok(was_set)
    }

    /// Makes a profile the one that counts where no other is named.
    pub(crate) fn use_profile(&mut self, name: &str) -> Result<(), Trouble> {
        self.known(name)?;
        let mut document = self.document()?;
        put(document.as_table_mut(), "profile", name);
        self.take(&document)
    }

    /// Lets no profile count where none is named, not even the usual one.
    pub(crate) fn use_none(&mut self) -> Result<(), Trouble> {
        let mut document = self.document()?;
        put(document.as_table_mut(), "profile", "");
        self.take(&document)
    }

    /// Stores the file, for its owner alone.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                Trouble::new(Exit::Failed, format!("cannot make the folder {}", folder.display()))
                    .because(error.to_string())
            })?;
        }
        write_private(&self.path, &self.text)
    }

    fn document(&self) -> Result<DocumentMut, Trouble> {
        self.text.parse().map_err(|error: toml_edit::TomlError| {
            Reader { path: &self.path, text: &self.text }.trouble(None, error.message().to_owned())
        })
    }

    fn take(&mut self, document: &DocumentMut) -> Result<(), Trouble> {
        *self = Self::parse(std::mem::take(&mut self.path), &document.to_string())?;
        Ok(())
    }
}

/// Sets a value. One that is there is changed in its place, which keeps the comments around it.
fn put(table: &mut dyn TableLike, name: &str, value: &str) {
    match table.get_mut(name) {
        Some(item) => *item = toml_edit::value(value),
        None => {
            table.insert(name, toml_edit::value(value));
        }
    }
}

/// A profile's name can be typed without quotes, in the file and in a shell.
fn check_name(name: &str) -> Result<(), Trouble> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(plain) {
        return Ok(());
    }
    Err(Trouble::usage(format!("{name:?} cannot be the name of a profile"))
        .then("take letters, digits, dashes and underscores"))
}

/// Reads values, and says where something is wrong.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn profile(&self, table: &dyn TableLike) -> Result<Profile, Trouble> {
        let mut profile = Profile::new();
        for (name, item) in table.iter() {
            let place = table.key(name).and_then(toml_edit::Key::span);
            let names = Name::ALL.map(Name::name);
            let key = Name::of(name).filter(|key| key.name() == name);
            let key = key.ok_or_else(|| self.unknown(place.clone(), name, &names))?;
            let value = self.string(name, item)?;
            key.check(&value)
                .map_err(|why| self.at(item.span().or(place), &format!("{name}: {why}")))?;
            profile.insert(key, value);
        }
        Ok(profile)
    }

    fn string(&self, name: &str, item: &Item) -> Result<String, Trouble> {
        let text = item.as_str().map(str::to_owned);
        text.ok_or_else(|| self.at(item.span(), &format!("{name} is not a text in quotes")))
    }

    fn unknown(&self, place: Option<Range<usize>>, name: &str, known: &[&str]) -> Trouble {
        let mut trouble = self.at(place, &format!("there is no setting {name:?}"));
        let near = near_misses(name, known);
        if !near.is_empty() {
            trouble.next.insert(0, format!("did you mean: {}", near.join(", ")));
        }
        trouble.why.push(format!("allowed here are {}", known.join(", ")));
        trouble
    }

    fn at(&self, place: Option<Range<usize>>, why: &str) -> Trouble {
        self.trouble(place.map(|place| self.line(&place)), why.to_owned())
    }

    fn trouble(&self, line: Option<usize>, why: String) -> Trouble {
        let file = self.path.display();
        let place = line.map_or_else(|| file.to_string(), |line| format!("{file} line {line}"));
        Trouble::usage(format!("{place}: the configuration file cannot be used"))
            .because(why)
            .then("mend it, or name another: AUTOMAGIK_CONFIG=FILE")
    }

    fn line(&self, place: &Range<usize>) -> usize {
        let before = self.text.get(..place.start.min(self.text.len())).unwrap_or_default();
        before.matches('\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Trouble> {
        Config::parse("config.toml".into(), text)
    }

    const TEXT: &str = "# mine
profile = \"dev\"

[profiles.dev] # the one on my desk
server = \"http://127.0.0.1:9000\"

[profiles.prod]
server = \"https://spark.example.com\"
api_key = \"sk-spark-1\"
";

    #[test]
    fn profiles_are_read() {
        let config = parse(TEXT).unwrap();
        assert_eq!(config.current.as_deref(), Some("dev"));
        assert_eq!(config.profiles["prod"][&Name::ApiKey], "sk-spark-1");
        assert_eq!(config.profiles["dev"].len(), 1);
        assert!(parse("").unwrap().profiles.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_near_miss() {
        let table = [
            ("profil = \"a\"", "line 1", "allowed here are profile, profiles", "profile"),
            ("[profiles.a]\nservr = \"http://a\"", "line 2", "server, api_key", "server"),
            ("[profiles.a]\n\noutput = \"xml\"", "line 3", "jsonl", ""),
            ("[profiles.a]\nserver = 7", "line 2", "not a text", ""),
            ("[profiles.a]\nserver = ", "line 2", "", ""),
            ("profiles = 3", "line 1", "no table", ""),
            ("[profiles]\na = 3", "line 2", "no table", ""),
            ("[profiles.a]\nserver = \"x\"\nserver = \"y\"", "line 3", "", ""),
        ];
        for (text, line, why, near) in table {
            let trouble = parse(text).unwrap_err();
            assert_eq!(trouble.exit, Exit::Usage);
            assert!(trouble.what.contains(line), "{text}: {trouble:?}");
            assert!(trouble.why.join("; ").contains(why), "{text}: {trouble:?}");
            let next = trouble.next.join("; ");
            assert_eq!(next.contains("did you mean"), !near.is_empty(), "{text}: {next}");
            assert!(next.contains(near), "{text}: {next}");
        }
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_was_written() {
        let mut config = parse(TEXT).unwrap();
        config.set("dev", Name::Output, "json").unwrap();
        config.set("test", Name::Server, "http://t").unwrap();
        config.use_profile("prod").unwrap();
        assert!(config.unset("prod", Name::ApiKey).unwrap());
        assert!(!config.unset("prod", Name::ApiKey).unwrap());
        let expected = "# mine
profile = \"prod\"

[profiles.dev] # the one on my desk
server = \"http://127.0.0.1:9000\"
output = \"json\"

[profiles.prod]
server = \"https://spark.example.com\"

[profiles.test]
server = \"http://t\"
";
        assert_eq!(config.text, expected);
        let trouble = config.use_profile("prd").unwrap_err();
        assert!(trouble.next.join(" ").contains("prod"), "{trouble:?}");
        assert!(config.set("a b", Name::Output, "json").is_err());
        assert!(config.set("dev", Name::Output, "xml").is_err(), "checked before it is stored");
    }

    #[test]
    fn the_chosen_profile_counts_else_the_usual_one_else_none() {
        let table = [
            ("", None),
            ("[profiles.team]\n", None),
            ("[profiles.default]\n[profiles.team]\n", Some("default")),
            ("profile = \"team\"\n[profiles.default]\n[profiles.team]\n", Some("team")),
            ("profile = \"\"\n[profiles.default]\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap().in_use(), expected, "{text}");
        }
        let mut config = parse("[profiles.default]\n").unwrap();
        config.use_none().unwrap();
        assert_eq!(config.in_use(), None);
        config.use_profile("default").unwrap();
        assert_eq!(config.in_use(), Some("default"));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").join("config.toml");
        let mut config = Config::read(path.clone()).unwrap();
        config.set(PROFILE_DEFAULT, Name::ApiKey, "sk-spark-1").unwrap();
        config.write().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(Config::read(path).unwrap().profiles["default"][&Name::ApiKey], "sk-spark-1");
    }
}
