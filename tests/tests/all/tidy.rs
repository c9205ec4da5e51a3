//! The house rules, as tests: who may depend on whom, who may name which library, how long a file
//! may be, and that the papers know every event and every error code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, without the tests at its end.
const LINES_MAX: usize = 500;
const MEMBERS: [&str; 6] = ["events", "actors", "projections", "api", "cli", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file below a folder, as a path from the root, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    walk(&root().join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} has no Rust file: is the path right?");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn code() -> Vec<(String, String)> {
    MEMBERS[..5].iter().flat_map(|member| sources(&format!("{member}/src"))).collect()
}

/// Whether a file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("tests.rs")
        || path.ends_with("golden.rs")
        || path.contains("log/contract")
        || path.ends_with("properties.rs")
        || path.ends_with("differential.rs")
}

#[track_caller]
fn none(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn members_depend_on_each_other_only_along_the_arrows() {
    let allowed = [
        ("events", &[][..]),
        ("actors", &["spark-events"]),
        ("projections", &["spark-events"]),
        ("api", &["spark-events", "spark-actors", "spark-projections"]),
        ("cli", &["spark-events", "spark-actors", "spark-projections", "spark-api"]),
    ];
    for (member, allowed) in allowed {
        let manifest = read(format!("{member}/Cargo.toml"));
        let depends = manifest.split("[dev-dependencies]").next().unwrap();
        let broken = depends
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|name| name.starts_with("spark-") && !allowed.contains(name))
            .map(|name| format!("{member} depends on {name}"))
            .collect();
        none(broken, "ARCHITECTURE.md, The house");
    }
}

#[test]
fn a_library_is_named_only_where_it_belongs() {
    let homes: [(&str, &[&str]); 5] = [
        ("rusqlite", &["events/src/log/embedded", "projections/src"]),
        ("ractor::", &["actors/src"]),
        ("warp::", &["api/src"]),
        ("prometheus_client::", &["actors/src/telemetry", "api/src/metrics"]),
        ("croner::", &["events/src/domain/recurrence"]),
    ];
    for (library, homes) in homes {
        let broken = code()
            .into_iter()
            .filter(|(path, text)| {
                let text = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let named = text.into_iter().any(|line| line.contains(library));
                named && !homes.iter().any(|home| path.starts_with(home))
            })
            .map(|(path, _)| format!("{path} names {library}"))
            .collect();
        none(broken, "invariant 4");
    }
}

#[test]
fn the_domain_does_no_input_or_output() {
    let banned =
        ["tokio::", "std::fs", "std::net", "Utc::now", "SystemTime", "new_uuid", "::random()"];
    let mut broken = vec![];
    for (path, text) in sources("events/src/domain") {
        for (number, line) in text.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            if !comment && let Some(word) = banned.iter().find(|word| line.contains(**word)) {
                broken.push(format!("{path}:{} has {word}", number + 1));
            }
        }
    }
    none(broken, "invariant 3");
}

#[test]
fn event_names_on_disk_are_written_in_the_codec_alone() {
    let names = types();
    let mut broken = vec![];
    for (path, text) in code() {
        if path.starts_with("events/src/codec") || is_test(&path) {
            continue;
        }
        let text = text.split("mod tests {").next().unwrap();
        for name in &names {
            if text.contains(&format!("{name:?}")) {
                broken.push(format!("{path} has {name:?}"));
            }
        }
    }
    none(broken, "names on disk belong to codec.rs and codec/upcast.rs");
}

fn types() -> BTreeSet<&'static str> {
    spark_events::codec::TYPES.concat().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_event_type_has_a_row_in_the_catalogue_and_no_row_is_left_over() {
    let catalogue = read("EVENTS.md");
    let rows: BTreeSet<&str> =
        catalogue.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let types = types();
    assert_eq!(types.difference(&rows).collect::<Vec<_>>(), Vec::<&&str>::new(), "no row");
    let left: Vec<_> = rows.difference(&types).filter(|row| row.contains('.')).collect();
    assert_eq!(left, vec![&"blob.chunk_stored"], "rows without an event");
}

#[test]
fn every_error_code_has_a_line_in_the_readme_and_no_line_is_left_over() {
    let codes = |text: &str| -> BTreeSet<String> {
        let starts = text.match_indices("SPK-").map(|(at, _)| &text[at..]);
        let code = |rest: &str| -> String {
            rest.chars()
                .take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '-')
                .collect()
        };
        starts.map(code).filter(|code| code.len() > 4).collect()
    };
    let used: BTreeSet<String> = sources("api/src")
        .iter()
        .filter(|(path, _)| !is_test(path))
        .flat_map(|(_, text)| codes(text))
        .collect();
    assert!(!used.is_empty(), "the API names no code: is the search right?");
    assert_eq!(codes(&read("README.md")), used);
}

#[test]
fn files_stay_short() {
    let mut broken = vec![];
    for (path, text) in code() {
        let text = if is_test(&path) {
            text.as_str()
        } else {
            text.split("#[cfg(test)]\nmod tests {").next().unwrap()
        };
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{path} has {lines} lines, {LINES_MAX} are the most"));
        }
    }
    none(broken, "split what has become too long");
}

#[test]
fn every_file_says_what_it_owns() {
    let broken = code()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    none(broken, "a file starts with //! and what it owns");
}

#[test]
fn nothing_is_allowed_silently_and_nothing_is_left_to_do() {
    let mut broken = vec![];
    for (path, text) in MEMBERS.iter().flat_map(|member| sources(member)) {
        if path.ends_with("all/tidy.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in ["#[allow(", "#![allow(", "TODO", "FIXME", "todo!("] {
                if line.contains(word) {
                    broken.push(format!("{path}:{}: {word}", number + 1));
                }
            }
        }
    }
    none(broken, "use #[expect(.., reason = ..)], and finish what is begun");
}

#[test]
fn no_line_of_the_log_has_a_field_that_the_log_itself_writes() {
    let own = ["message", "timestamp", "level", "target", "spans"];
    let mut broken = vec![];
    for (path, text) in code() {
        for call in text.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(")) {
            let (macro_name, rest) = call;
            if !macro_name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                continue;
            }
            let fields = rest.split(['"', ';']).next().unwrap();
            let name = |field: &str| {
                let name = field.split('=').next().unwrap().trim();
                name.trim_start_matches(['%', '?']).to_owned()
            };
            let named = fields.split(',').map(name);
            let named = named.filter(|name| own.contains(&name.as_str()));
            broken.extend(named.map(|name| format!("{path}: {macro_name}! has the field {name}")));
        }
    }
    none(broken, "a line of JSON would have the key twice");
}

#[test]
fn no_test_sleeps() {
    let mut broken = vec![];
    let tests = MEMBERS.iter().flat_map(|member| sources(member)).filter(|(path, _)| is_test(path));
    for (path, text) in tests {
        if path.ends_with("all/tidy.rs") || text.contains("start_paused") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if line.contains("sleep(") && !line.trim_start().starts_with("//") {
                broken.push(format!("{path}:{}", number + 1));
            }
        }
    }
    none(broken, "wait on an event, a position or a row, with a deadline");
}
