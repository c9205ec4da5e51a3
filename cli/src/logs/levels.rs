//! The levels of the log as they were wished for, put into the words of the log's library. Pure.
//!
//! That library takes any word that is no level for the name of a part of the program, and then
//! tells nothing of all others. So `WARNING`, which the Python original wanted, would have turned
//! the log off without a word.

use tracing_subscriber::EnvFilter;

/// What counts, and what is to be said about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Levels {
    /// As the library reads it.
    pub(super) directives: String,
    /// Why the usual levels stand where others were wished for.
    pub(super) note: Option<String>,
}

/// The levels that are meant by a text; the usual ones where it cannot be read.
pub(super) fn levels(variable: &str, wished: &str, usual: &str) -> Levels {
    let instead = |why: String| Levels {
        directives: usual.to_owned(),
        note: Some(format!(
            "{variable}={wished} was passed over and the usual log is kept: {why}; \
             write error, warn, info, debug, trace or off, or parts of the program with their \
             levels, such as info,spark_actors=debug"
        )),
    };
    let parts: Vec<String> = wished.split(',').map(|part| translated(part.trim())).collect();
    if let Some(word) = parts.iter().find(|part| is_unknown(part)) {
        return instead(format!("{word:?} is no level"));
    }
    let directives = parts.join(",");
    match EnvFilter::try_new(&directives) {
        Ok(_) => Levels { directives, note: None },
        Err(error) => instead(error.to_string()),
    }
}

/// One directive, with a level of Python in the word that stands for it here.
fn translated(part: &str) -> String {
    match part.rsplit_once('=') {
        // What stands in braces is a field of a span, whose value is nobody's level.
        Some((target, level)) if !level.contains('}') => format!("{target}={}", level_of(level)),
        _ => level_of(part).to_owned(),
    }
}

/// The levels of Python that have another name here. The others have the same.
fn level_of(word: &str) -> &str {
    match word.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        _ => word,
    }
}

/// Whether a word is neither a level nor the name of a part of this program. Others may be named
/// too, with their level: `hyper=debug`.
fn is_unknown(part: &str) -> bool {
    let is_bare = !part.is_empty() && !part.contains(['=', '[', ':', '{', '}', '"']);
    let is_level = part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    let is_ours = part == "automagik" || part.starts_with("spark_");
    is_bare && !is_level && !is_ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wished: &str) -> Levels {
        levels("AUTOMAGIK_LOG_LEVEL", wished, "warn,automagik=info")
    }

    #[test]
    fn levels_are_taken_in_the_words_of_python_too() {
        let table = [
            ("WARNING", "warn"),
            ("critical", "error"),
            ("FATAL", "error"),
            ("INFO", "INFO"),
            ("Debug", "Debug"),
            ("off", "off"),
            ("info, spark_actors=WARNING", "info,spark_actors=warn"),
            ("warn,spark_api", "warn,spark_api"),
            ("hyper=debug,automagik::logs", "hyper=debug,automagik::logs"),
            ("[request{method=GET}]=debug", "[request{method=GET}]=debug"),
        ];
        for (wished, directives) in table {
            let expected = Levels { directives: directives.to_owned(), note: None };
            assert_eq!(read(wished), expected, "{wished}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_told_and_turns_nothing_off() {
        for (wished, why) in [
            ("LOUD", "\"LOUD\" is no level"),
            ("info,verbose", "\"verbose\" is no level"),
            ("spark_actors=loud", "error parsing level"),
        ] {
            let read = read(wished);
            assert_eq!(read.directives, "warn,automagik=info", "{wished}");
            let note = read.note.unwrap();
            assert!(note.contains(why) && note.contains("spark_actors=debug"), "{note}");
        }
    }
}
