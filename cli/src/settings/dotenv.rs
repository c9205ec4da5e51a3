//! `.env` in the working directory, as the Python original read it: the lines that are ours stand in
//! for variables that the environment lacks. Nothing is put into the environment itself, so that
//! programs which are started from here do not inherit it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use spark_events::limits::CLI_SETTINGS_BYTES_MAX;

use super::{Origin, Setting};
use crate::exit::Trouble;

/// The file's name.
const FILE: &str = ".env";
/// Beginnings of the names that are ours.
const OURS: [&str; 2] = ["AUTOMAGIK_", "LANGFLOW_"];

/// What was found in the file, once for the process.
static FOUND: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Reads the file of the working directory, once. Returns what is worth telling about it.
///
/// # Errors
/// A line of ours that cannot be read.
pub(crate) fn load() -> Result<Vec<String>, Trouble> {
    if std::env::var_os("AUTOMAGIK_NO_DOTENV").is_some_and(|value| !value.is_empty()) {
        return Ok(Vec::new());
    }
    let path = Path::new(FILE);
    let Ok(file) = std::fs::File::open(path) else { return Ok(Vec::new()) };
    // Whoever leaves a file in a folder that many use must not choose the server of others.
    if !is_trusted(&file) {
        return Ok(vec![format!("{FILE} belongs to another user and was not read")]);
    }
    let mut text = String::new();
    if let Err(error) = file.take(CLI_SETTINGS_BYTES_MAX).read_to_string(&mut text) {
        return Ok(vec![format!("{FILE} was not read: {error}")]);
    }
    let (found, notes) = parse(&text)?;
    let _ = FOUND.set(found);
    Ok(notes)
}

/// A variable that holds something, in the environment or else in the file. Read here and not by
/// clap, which would show it in its usage errors as if it had been typed.
pub(crate) fn env(name: &str) -> Option<String> {
    find(name).map(|found| found.value)
}

/// The same, with the place where it was found.
pub(crate) fn find(name: &str) -> Option<Setting> {
    let set = std::env::var(name).ok();
    match set {
        // An empty variable says "nothing", and the file does not contradict it.
        Some(value) if value.is_empty() => None,
        Some(value) => Some(Setting { value, origin: Origin::Environment }),
        None => {
            let value = of_file(name)?.to_owned();
            Some(Setting { value, origin: Origin::DotEnv })
        }
    }
}

/// What the file says of a variable that the environment lacks.
pub(crate) fn of_file(name: &str) -> Option<&'static str> {
    let value = FOUND.get()?.get(name)?;
    (!value.is_empty()).then_some(value.as_str())
}

#[cfg(unix)]
fn is_trusted(file: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = rustix::process::geteuid().as_raw();
    file.metadata().is_ok_and(|data| data.is_file() && (data.uid() == ours || data.uid() == 0))
}

#[cfg(not(unix))]
fn is_trusted(file: &std::fs::File) -> bool {
    file.metadata().is_ok_and(|data| data.is_file())
}

/// Names with their values, and notes.
type Parsed = (BTreeMap<String, String>, Vec<String>);

/// The lines that are ours. A line of somebody else that cannot be read is told, not refused.
fn parse(text: &str) -> Result<Parsed, Trouble> {
    let mut found = BTreeMap::new();
    let mut notes = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let line = line.trim();
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_ours = OURS.iter().any(|start| line.starts_with(start));
        let bad = |why: String| {
            Trouble::usage(format!("{FILE} line {number} cannot be read")).because(why).then(
                format!("write it like AUTOMAGIK_URL=http://127.0.0.1:8888, or set AUTOMAGIK_NO_DOTENV=1 to leave {FILE} alone"),
            )
        };
        let Some((name, value)) = line.split_once('=') else {
            if is_ours {
                return Err(bad("there is no `=` behind the name".to_owned()));
            }
            notes.push(format!("{FILE} line {number} is not NAME=VALUE and was passed over"));
            continue;
        };
        let name = name.trim_end();
        let value = value.trim_start().to_owned();
        // A quoted value may go on over several lines; those of others are passed over with it.
        let whole = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut whole = value;
                while closing(&whole, quote).is_none() {
                    let Some((_, next)) = lines.next() else { break };
                    whole.push('\n');
                    whole.push_str(next);
                }
                whole
            }
            _ => value,
        };
        if !is_ours {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.chars().all(plain) {
            return Err(bad(format!("{name:?} is not the name of a variable")));
        }
        found.insert(name.to_owned(), unquoted(&whole).map_err(bad)?);
    }
    Ok((found, notes))
}

/// Where a quoted text ends: the place of its second quote.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let is_end = c == quote && !escaped;
        escaped = c == '\\' && quote == '"' && !escaped;
        is_end.then_some(at)
    })
}

/// A value without its quotes, or up to a comment.
fn unquoted(text: &str) -> Result<String, String> {
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
        return Ok(text[..end].trim_end().to_owned());
    };
    let end = closing(text, quote).ok_or_else(|| format!("the closing {quote} is missing"))?;
    let rest = text[end + 1..].trim_start();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err(format!("something follows the closing {quote}"));
    }
    let inner = &text[1..end];
    if quote == '\'' {
        return Ok(inner.to_owned());
    }
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some('r') => value.push('\r'),
            Some(other) => value.push(other),
            None => value.push('\\'),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_ours_are_read_as_shells_read_them() {
        let text = "\u{feff}# a comment\r
AUTOMAGIK_URL=http://a:1 # where it is
export AUTOMAGIK_API_KEY = 'sk-#1'
LANGFLOW_API_URL=\"http://b:2/\\\"x\"
AUTOMAGIK_EMPTY=
DATABASE_URL=postgres://elsewhere
PRIVATE_KEY=\"-----BEGIN
AUTOMAGIK_HOME=not this
-----END\"
AUTOMAGIK_TIME=iso
";
        let (found, notes) = parse(text).unwrap();
        let expected = [
            ("AUTOMAGIK_API_KEY", "sk-#1"),
            ("AUTOMAGIK_EMPTY", ""),
            ("AUTOMAGIK_TIME", "iso"),
            ("AUTOMAGIK_URL", "http://a:1"),
            ("LANGFLOW_API_URL", "http://b:2/\"x"),
        ];
        let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected);
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let table = [
            ("\nAUTOMAGIK_URL http://a", "line 2", "no `=`"),
            ("AUTOMAGIK_URL=\"http://a", "line 1", "closing"),
            ("AUTOMAGIK_URL='a' b", "line 1", "follows"),
            ("AUTOMAGIK_URL OTHER=b", "line 1", "name of a variable"),
        ];
        for (text, place, why) in table {
            let trouble = parse(text).unwrap_err();
            assert!(trouble.what.contains(place), "{text}: {trouble:?}");
            assert!(trouble.why[0].contains(why), "{text}: {trouble:?}");
        }
        let (found, notes) = parse("nonsense\nAUTOMAGIK_TIME=raw").unwrap();
        assert_eq!(found["AUTOMAGIK_TIME"], "raw");
        assert_eq!(notes, [".env line 1 is not NAME=VALUE and was passed over"]);
    }
}
