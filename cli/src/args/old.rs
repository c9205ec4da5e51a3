//! What the Python original called otherwise, as one table: the old spelling and what to type in
//! its place. Looked at only where a command line was refused, so that whoever has the old
//! spelling in their fingers or scripts is told the new one, and not the word that looks most
//! alike. Pure.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::Trouble;

/// A spelling of the original.
struct Old {
    /// The group and the verb that it stands behind, in today's words; none where it may stand
    /// anywhere.
    at: &'static str,
    /// The word that was refused, as clap names it, or `<..>` for one that is missing.
    word: &'static str,
    /// What became of it.
    why: &'static str,
    /// What to type.
    next: &'static str,
}

const fn old(at: &'static str, word: &'static str, why: &'static str, next: &'static str) -> Old {
    Old { at, word, why, next }
}

const WHOLE_LIST: &str = "the whole list is shown at once, by folder";
const OF_ITSELF: &str =
    "nobody switches a source on or off: Spark notes by itself whether it answers";
const UP_OR_DOWN: &str = "a source is up or down, as Spark last found it";
const NO_TELEMETRY: &str = "Spark sends nothing to anybody, so there is nothing to switch off";
const LEVEL: &str = "how much is logged is set in the environment";

/// Every spelling of the original that is refused here.
const TABLE: &[Old] = &[
    old(
        "flow sync",
        "<FLOW>...",
        "without a flow, the original listed what there is",
        "automagik flow list --remote, then: automagik flow sync NAME",
    ),
    old("flow sync", "--page", WHOLE_LIST, "automagik flow list --remote"),
    old("flow sync", "--page-size", WHOLE_LIST, "automagik flow list --remote"),
    old("flow list", "--page", WHOLE_LIST, "automagik flow list --remote"),
    old("flow list", "--page-size", WHOLE_LIST, "automagik flow list --remote"),
    old(
        "flow delete",
        "--force",
        "a flow that schedules run is not deleted; delete those first",
        "automagik flow delete FLOW --yes, which does not ask",
    ),
    old("source update", "--status", OF_ITSELF, "automagik source probe SOURCE"),
    old("source update", "-s", OF_ITSELF, "automagik source probe SOURCE"),
    old("source add", "--status", OF_ITSELF, "leave --status out"),
    old("source add", "-s", OF_ITSELF, "leave -s out"),
    old("source list", "active", UP_OR_DOWN, "automagik source list --status up"),
    old("source list", "inactive", UP_OR_DOWN, "automagik source list --status down"),
    old(
        "source",
        "run-agent",
        "an agent is a request of a source of the type http, saved once as a flow",
        "automagik source add-request SOURCE FLOW --path /agents/AGENT/run, then: \
         automagik flow run FLOW --input TEXT --wait",
    ),
    old(
        "task list",
        "--all",
        "a list is as long as its limit",
        "automagik task list --limit 100000",
    ),
    old(
        "task list",
        "--show-logs",
        "what the components of a run did is shown task by task",
        "automagik task log TASK",
    ),
    old(
        "task create",
        "--input-data",
        "the input is a text, which may be JSON",
        "automagik task create FLOW --input TEXT",
    ),
    old(
        "schedule create",
        "--input-value",
        "the input is a text, which may be JSON",
        "automagik schedule create FLOW \"0 9 * * *\" --input TEXT",
    ),
    old(
        "schedule create",
        "--cron",
        "cron expressions stand behind the flow",
        "automagik schedule create FLOW \"0 9 * * *\"",
    ),
    old("", "--debug", LEVEL, "AUTOMAGIK_LOG_LEVEL=debug automagik up"),
    old("", "--no-debug", LEVEL, "leave --no-debug out"),
    old("", "--no-telemetry", NO_TELEMETRY, "leave --no-telemetry out"),
    old("", "telemetry", NO_TELEMETRY, "leave the command out"),
];

/// What to type, where what was refused is a spelling of the original.
pub(super) fn meant(
    command: &clap::Command,
    argv: &[String],
    error: &clap::Error,
) -> Option<Trouble> {
    let words = refused(error);
    let at = place(command, argv);
    let found = TABLE
        .iter()
        .find(|old| at.starts_with(old.at) && words.iter().any(|word| word == old.word))?;
    let what = match found.word.starts_with('<') {
        true => format!("`automagik {at}` needs to be told which flow"),
        false => format!("`{}` is not known here", found.word),
    };
    Some(Trouble::usage(what).because(found.why).then(found.next))
}

/// The words that clap does not take, or misses.
fn refused(error: &clap::Error) -> Vec<String> {
    let kinds: &[ContextKind] = match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => {
            &[ContextKind::InvalidArg]
        }
        ErrorKind::InvalidSubcommand => &[ContextKind::InvalidSubcommand],
        ErrorKind::InvalidValue => &[ContextKind::InvalidValue],
        _ => &[],
    };
    let words = kinds.iter().filter_map(|kind| error.get(*kind)).flat_map(|value| match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        _ => Vec::new(),
    });
    words.collect()
}

/// Today's names of the group and the verb that a command line names.
fn place(command: &clap::Command, argv: &[String]) -> String {
    let mut at = command;
    let mut names: Vec<&str> = Vec::new();
    for word in argv.iter().skip(1) {
        if let Some(inner) = at.find_subcommand(word) {
            at = inner;
            names.push(inner.get_name());
        }
    }
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::{command, matches};
    use super::*;

    fn told(line: &str) -> Option<String> {
        let argv: Vec<String> =
            std::iter::once("automagik").chain(line.split(' ')).map(str::to_owned).collect();
        let error = matches(argv.iter().map(Into::into).collect()).expect_err(line);
        meant(&command(), &argv, &error).map(|trouble| trouble.lines().join("\n"))
    }

    #[test]
    fn every_old_spelling_is_answered_with_what_to_type() {
        let table = [
            ("workflows sync", "flow list --remote"),
            ("workflows sync --source dev", "flow list --remote"),
            ("workflows sync --page 2", "flow list --remote"),
            ("workflow sync --page-size 5", "flow list --remote"),
            ("flows delete x --force", "flow delete FLOW --yes"),
            ("sources update http://a --status active", "source probe SOURCE"),
            ("sources update http://a -s active", "source probe SOURCE"),
            ("sources add -u http://a -s active", "leave -s out"),
            ("sources add -u http://a --status=active", "leave --status out"),
            ("sources list --status active", "source list --status up"),
            ("sources list -s inactive", "source list --status down"),
            ("sources run-agent a b -i hello", "source add-request SOURCE FLOW"),
            ("tasks list --all", "task list --limit 100000"),
            ("--server http://a tasks list --show-logs", "task log TASK"),
            ("tasks create x --input-data {}", "task create FLOW --input TEXT"),
            ("schedule create x --input-value hi", "--input TEXT"),
            ("schedules create x --cron @daily", "schedule create FLOW \"0 9 * * *\""),
            ("--debug tasks list", "AUTOMAGIK_LOG_LEVEL=debug"),
            ("tasks list --no-debug", "leave --no-debug out"),
            ("--no-telemetry flow list", "leave --no-telemetry out"),
            ("telemetry status", "sends nothing"),
        ];
        for (line, expected) in table {
            let told = told(line).unwrap_or_else(|| panic!("{line} is not answered"));
            assert!(told.contains(expected), "{line}: {told}");
        }
    }

    #[test]
    fn what_the_original_did_not_have_is_left_to_clap() {
        for line in ["flow sync --pages 2", "source list --status sideways", "flwo", "task list -s"]
        {
            assert_eq!(told(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_to_be_typed_is_there() {
        for old in TABLE {
            for line in old.next.split("automagik ").skip(1) {
                let argv: Vec<String> =
                    format!("automagik {line}").split_whitespace().map(str::to_owned).collect();
                assert!(!place(&command(), &argv).is_empty(), "{}", old.next);
            }
        }
    }
}
