//! Variables of the Python original that are not read here, each with what stands for it. Whoever
//! brings an environment along is told once at the start of a server or a worker, instead of
//! wondering why nothing follows from it. A value is never shown: some of them are keys.

use super::dotenv;
use super::{Origin, Setting};

/// A variable of the original, and what stands for it.
struct Old {
    name: &'static str,
    /// The variable of today that means the same, if one does. Where it is set too, all is well.
    now: Option<&'static str>,
    /// What to do in its place; nothing to say where a variable of today is named.
    instead: &'static str,
}

const fn renamed(name: &'static str, now: &'static str) -> Old {
    Old { name, now: Some(now), instead: "" }
}

const fn gone(name: &'static str, instead: &'static str) -> Old {
    Old { name, now: None, instead }
}

/// The original's own key.
pub(crate) const KEY: &str = "AUTOMAGIK_SPARK_API_KEY";

const NO_DATABASE: &str = "there is no database to run; AUTOMAGIK_HOME says where the data is";
const NO_BROKER: &str = "there is no broker";
const LOG: &str = "the log is on standard error, and with `worker start --daemon` in the data \
                   directory";
const SEAL: &str = "keys are sealed with `seal.key` in the data directory, made at the first start";
const ZONE: &str = "give --timezone to each schedule; UTC counts where it is not given";

const TABLE: &[Old] = &[
    renamed(KEY, "AUTOMAGIK_API_KEY"),
    renamed("AUTOMAGIK_SPARK_API_HOST", "AUTOMAGIK_API_HOST"),
    renamed("AUTOMAGIK_SPARK_API_PORT", "AUTOMAGIK_API_PORT"),
    renamed("AUTOMAGIK_SPARK_API_CORS", "AUTOMAGIK_API_CORS"),
    renamed("AUTOMAGIK_SPARK_LOG_LEVEL", "AUTOMAGIK_LOG_LEVEL"),
    gone("AUTOMAGIK_SPARK_DATABASE_URL", NO_DATABASE),
    gone("AUTOMAGIK_WORKER_LOG", LOG),
    gone("AUTOMAGIK_SPARK_WORKER_LOG", LOG),
    gone("AUTOMAGIK_ENV", "nothing depends on an environment"),
    gone("AUTOMAGIK_DEBUG", "AUTOMAGIK_LOG_LEVEL=debug"),
    gone("AUTOMAGIK_TIMEZONE", ZONE),
    gone("AUTOMAGIK_SPARK_CELERY_BROKER_URL", NO_BROKER),
    gone("AUTOMAGIK_SPARK_CELERY_RESULT_BACKEND", NO_BROKER),
    gone("AUTOMAGIK_ENCRYPTION_KEY", SEAL),
    gone("AUTOMAGIK_SPARK_ENCRYPTION_KEY", SEAL),
    gone("AUTOMAGIK_SPARK_HTTP_TIMEOUT", "give --timeout to a run or a schedule; it is 10m"),
    gone("AUTOMAGIK_SPARK_REMOTE_URL", "answers hold no addresses of the server"),
    gone("AUTOMAGIK_SPARK_DISABLE_TELEMETRY", "nothing is sent to anybody"),
];

/// Names that the original shares with any other program. They are told of only beside one that
/// nobody else has.
const COMMON: &[Old] = &[
    gone("DATABASE_URL", NO_DATABASE),
    renamed("LOG_LEVEL", "AUTOMAGIK_LOG_LEVEL"),
    gone("TIMEZONE", ZONE),
    gone("ENVIRONMENT", "nothing depends on an environment"),
];

/// How the database of the original is named, and hardly another one's.
const DRIVER: &str = "postgresql+asyncpg:";

/// A line for each variable of the original that is set and not read.
pub(crate) fn notes() -> Vec<String> {
    told(dotenv::find)
}

/// Whether the original's own key is set, which is told where no key was sent.
pub(crate) fn has_key() -> bool {
    dotenv::find(KEY).is_some()
}

fn told(find: impl Fn(&str) -> Option<Setting>) -> Vec<String> {
    let line = |old: &Old| {
        let Setting { origin, .. } = find(old.name)?;
        if old.now.is_some_and(|now| find(now).is_some()) {
            return None;
        }
        let place = match origin {
            Origin::DotEnv => " (in .env)",
            Origin::Flag | Origin::Environment | Origin::Profile => "",
        };
        let instead = match old.now {
            Some(now) => format!("use {now}"),
            None => old.instead.to_owned(),
        };
        Some(format!("{}{place} is not read: {instead}", old.name))
    };
    let mut lines: Vec<String> = TABLE.iter().filter_map(line).collect();
    let is_originals =
        find("DATABASE_URL").is_some_and(|setting| setting.value.starts_with(DRIVER));
    if !lines.is_empty() || is_originals {
        lines.extend(COMMON.iter().filter_map(line));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(set: &[(&str, &str)]) -> Vec<String> {
        told(|name| {
            let (_, value) = set.iter().find(|(known, _)| *known == name)?;
            let origin = if *value == "dotenv" { Origin::DotEnv } else { Origin::Environment };
            Some(Setting { value: (*value).to_owned(), origin })
        })
    }

    #[test]
    fn each_variable_is_told_once_with_what_stands_for_it() {
        assert_eq!(
            told_of(&[(KEY, "sk-secret"), ("AUTOMAGIK_SPARK_CELERY_BROKER_URL", "dotenv")]),
            [
                "AUTOMAGIK_SPARK_API_KEY is not read: use AUTOMAGIK_API_KEY",
                "AUTOMAGIK_SPARK_CELERY_BROKER_URL (in .env) is not read: there is no broker",
            ]
        );
        let both = [(KEY, "a"), ("AUTOMAGIK_API_KEY", "a")];
        assert!(told_of(&both).is_empty(), "the new one counts, and is there");
    }

    #[test]
    fn names_that_anybody_may_use_are_told_only_beside_our_own() {
        let common = [("DATABASE_URL", "postgresql://shop"), ("LOG_LEVEL", "info")];
        assert!(told_of(&common).is_empty());
        let ours = [("DATABASE_URL", "postgresql+asyncpg://spark"), ("LOG_LEVEL", "info")];
        assert_eq!(told_of(&ours).len(), 2);
        let beside = [("TIMEZONE", "UTC"), ("AUTOMAGIK_ENV", "production")];
        assert_eq!(told_of(&beside).len(), 2);
    }

    #[test]
    fn no_line_holds_a_value() {
        let all: Vec<(&str, &str)> =
            TABLE.iter().chain(COMMON).map(|old| (old.name, "sk-secret")).collect();
        let lines = told_of(&all);
        assert_eq!(lines.len(), all.len(), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("sk-secret")), "{lines:?}");
    }
}
