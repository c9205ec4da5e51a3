//! The command line: what is understood, what is refused, and what the help pages look like.

use super::*;
use crate::output::text::width;
use crate::snapshots;

fn parsed(line: &str) -> Result<Parsed, clap::Error> {
    parse(std::iter::once("automagik").chain(line.split_whitespace()))
}

#[test]
fn the_commands_are_consistent() {
    command().debug_assert();
}

#[test]
fn every_documented_line_is_understood() {
    for line in [
        "up",
        "up --data-dir /tmp/d --host 0.0.0.0 --port 9000 --slots 8",
        "up --with-langflow",
        "up --langflow-url http://localhost:7860 --langflow-api-key k",
        "source add http://localhost:7860 --name dev --api-key k",
        "source add http://localhost:7860 k",
        "sources list -o json",
        "source add -n dev -t langflow -u http://localhost:7860 -k k",
        "source add http://a --type http --path /run --header A:b --success-status 200,202",
        "source add-request hooks notify --method PUT --output-path /text",
        "source list -s down",
        "source update http://localhost:7860 -k k",
        "source update dev --no-api-key",
        "source delete http://localhost:7860 -f -y",
        "source reseal",
        "source show dev",
        "source get dev",
        "source update dev --url http://localhost:7861",
        "source remove dev --yes",
        "source delete dev -y",
        "source probe dev",
        "flow list --remote --source dev",
        "workflows list",
        "workflow show x",
        "flow sync abc --source dev --input-component A --output-component B",
        "flow sync --all",
        "flow run hello --input hi --tweak A.b=1 --tweak A.c=2 --max-retries 0 --timeout 10m --wait",
        "flow run hello - --wait --wait-timeout 30s",
        "flow run hello --input-file -",
        "flow run hello --input -1",
        "flow delete hello --yes",
        "schedule create hello @daily --timezone Europe/Lisbon --name n --overlap skip --dry-run",
        "schedule create hello --every 5s --catch-up 1h --overlap AllowAll",
        "schedule create hello --interval 10m",
        "schedule create hello --once 2030-01-01T00:00:00Z",
        "schedules list --status paused",
        "schedule next nightly -n 5",
        "schedule pause nightly --reason holiday",
        "schedule resume nightly",
        "schedule trigger nightly --wait",
        "schedule create hello @daily --every 5s --at now --exclude 2030-12-25 --jitter 1m",
        "schedule update nightly --jitter 5m --no-note --dry-run",
        "schedule edit nightly pause",
        "schedule update nightly --enabled true",
        "schedule set-expression nightly @daily",
        "schedule set-input nightly hello",
        "schedule disable nightly",
        "schedules enable nightly",
        "schedule trigger nightly --overlap skip",
        "schedule backfill nightly --from 7d --to now --only all --reverse --dry-run",
        "schedule backfill nightly --cancel 2",
        "schedule backfill-cancel nightly 2",
        "schedule list --status active,paused",
        "why nightly --at 09:00",
        "schedule delete nightly --yes",
        "tasks list --status failed --flow f --schedule s --limit 5 --watch",
        "tasks list --flow f --source s --trigger manual --class timeout --since 1h --until 5m",
        "task list --search boom* --sort -created --deleted --follow",
        "task list --q boom --sort created",
        "task show abc --follow",
        "task view abc",
        "task get abc",
        "task cancel abc",
        "task retry abc --wait",
        "task retry --status failed --since 1h --class timeout --limit 5 --dry-run",
        "task cancel --schedule nightly --yes",
        "task cancel abc --force",
        "task delete abc --yes",
        "task delete --status completed --until 30d --limit 100 --dry-run",
        "tasks list --trigger backfill --deleted",
        "task log abc --attempt 2 --component Chat --follow",
        "task wait abc --wait-timeout 1h",
        "task log abc",
        "task create hello --input hi",
        "history task abc",
        "history schedules nightly --time iso",
        "worker start --name gpu-1 --labels gpu,big --concurrency 4",
        "worker start --server http://spark.example:8888 --threads 2 --daemon",
        "workers start --slots 8 --label gpu --label big -d",
        "worker show gpu-1",
        "workers pause gpu-1 --reason maintenance",
        "worker resume gpu-1",
        "worker drain gpu-1",
        "worker stop",
        "worker stop gpu-1",
        "worker status -o json",
        "worker logs",
        "worker logs gpu-1 -n 200 -f",
        "worker logs --tail",
        "worker logs -t -n 10 -f",
        "worker list",
        "workers list --all",
        "workers status",
        "key create ci --role operator --reason why",
        "keys list --role admin --revoked",
        "key view ci",
        "key revoke ci --yes",
        "key whoami --api-key a",
        "history keys ci",
        "alert create https://example.org/hook --name on-call --on task_failed,source_down",
        "alerts create https://example.org/hook --schedule nightly --reason why",
        "alerts list --status disabled --deleted",
        "alert view on-call",
        "alert update on-call --flow any --on task_failed",
        "alert enable on-call",
        "alert disable on-call",
        "alert test on-call -o json",
        "alert deliveries on-call --status failed --limit 5",
        "alert retry on-call 7d0cb1d8",
        "alert rotate-secret on-call --keep 2d",
        "alert rotate-secret on-call --now",
        "alert delete on-call --yes",
        "alert verify - --id a --timestamp 1 --signature v1,b --any-age",
        "history alerts on-call",
        "status --time raw --color never -q",
        "completions zsh",
        "completions bash",
        "completions fish",
        "api",
        "api --port 9000",
        "api start --host 0.0.0.0 --port 9000 --reload",
        "config list",
        "config set output json --profile team",
        "config unset api-key",
        "log tail --type task.failed -f",
        "log list --schedule nightly --since 1h --oldest -n 5",
        "log show 4711",
        "log export out.jsonl --after 7",
        "log verify --file b/events.db",
        "projections list",
        "projection skip tasks --position 7 --yes",
        "db migrate -m message",
        "db upgrade",
        "db downgrade base",
        "db clear --dry-run",
        "db backup /tmp/b",
        "db restore /tmp/b --force",
        "doctor",
    ] {
        if let Err(error) = parsed(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let table = [
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("flwo", ErrorKind::InvalidSubcommand),
        ("flow rnu x", ErrorKind::InvalidSubcommand),
        ("flow run", ErrorKind::MissingRequiredArgument),
        ("flow run x --input a --input-file b", ErrorKind::ArgumentConflict),
        ("flow run x - --input a", ErrorKind::ArgumentConflict),
        ("flow run x y", ErrorKind::InvalidValue),
        ("flow run x --tweak nonsense", ErrorKind::ValueValidation),
        ("flow run x --timeout soon", ErrorKind::ValueValidation),
        ("flow run x --wait --wait-timeout 0s", ErrorKind::ValueValidation),
        ("flow sync", ErrorKind::MissingRequiredArgument),
        ("flow sync x --all", ErrorKind::ArgumentConflict),
        ("schedule create x", ErrorKind::MissingRequiredArgument),
        ("schedule create x @daily --tweak A.b=1 --tweaks {}", ErrorKind::ArgumentConflict),
        ("schedule create x @daily --dst sometimes", ErrorKind::InvalidValue),
        ("schedule create x @daily --retry-delay soon", ErrorKind::ValueValidation),
        ("schedule create x @daily --max-runs many", ErrorKind::ValueValidation),
        ("schedule update", ErrorKind::MissingRequiredArgument),
        ("schedule update x --note a --no-note", ErrorKind::ArgumentConflict),
        ("schedule update x --enabled perhaps", ErrorKind::InvalidValue),
        ("schedule set-expression x", ErrorKind::MissingRequiredArgument),
        ("schedule backfill x", ErrorKind::MissingRequiredArgument),
        ("schedule backfill x --from 7d --cancel 1", ErrorKind::ArgumentConflict),
        ("schedule backfill x --from 7d --overlap Skip", ErrorKind::InvalidValue),
        ("schedule backfill x --from 7d --only some", ErrorKind::InvalidValue),
        ("schedule backfill-cancel x first", ErrorKind::ValueValidation),
        ("why x", ErrorKind::MissingRequiredArgument),
        ("schedule create x @daily --overlap Sometimes", ErrorKind::InvalidValue),
        ("up --with-langflow --langflow-url http://x", ErrorKind::ArgumentConflict),
        ("up --slots 0", ErrorKind::ValueValidation),
        ("up --port 70000", ErrorKind::ValueValidation),
        ("task cancel --status running --force", ErrorKind::MissingRequiredArgument),
        ("task delete abc --force", ErrorKind::UnknownArgument),
        ("task list --limit 0", ErrorKind::ValueValidation),
        ("task list --limit many", ErrorKind::ValueValidation),
        ("task retry --status failed --limit 0", ErrorKind::ValueValidation),
        ("log list -n 0", ErrorKind::ValueValidation),
        ("history task a --limit 0", ErrorKind::ValueValidation),
        ("schedule next a -n 0", ErrorKind::ValueValidation),
        ("source update a --api-key=", ErrorKind::ValueValidation),
        ("key create ci", ErrorKind::MissingRequiredArgument),
        ("key create ci --role root", ErrorKind::InvalidValue),
        ("alert create", ErrorKind::MissingRequiredArgument),
        ("alert list --status maybe", ErrorKind::InvalidValue),
        ("alert rotate-secret a --now --keep 1d", ErrorKind::ArgumentConflict),
        ("alert verify body.json", ErrorKind::MissingRequiredArgument),
        ("history nothing x", ErrorKind::InvalidValue),
        ("status -o xml", ErrorKind::InvalidValue),
        ("status --color never --no-color", ErrorKind::ArgumentConflict),
    ];
    for (line, kind) in table {
        let error = parsed(line).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
    }
}

#[test]
fn a_near_miss_is_suggested() {
    let error = parsed("schedule puase x").unwrap_err().to_string();
    assert!(error.contains("pause"), "{error}");
}

#[test]
fn the_key_may_stand_anywhere_but_not_be_taken_for_a_sources() {
    // Nextest runs each test in a process of its own; the variable may be set around all of them.
    if std::env::var_os("AUTOMAGIK_API_KEY").is_some() {
        return;
    }
    let key = |line: &str| parsed(line).unwrap().global.key;
    assert_eq!(key("status"), None);
    assert_eq!(key("status --api-key a").as_deref(), Some("a"));
    assert_eq!(key("--api-key a status").as_deref(), Some("a"));
    assert_eq!(key("task --api-key a list").as_deref(), Some("a"));
    assert_eq!(key("--api-key a task list --api-key b").as_deref(), Some("b"));
    assert_eq!(key("--api-key a source add http://x --api-key b").as_deref(), Some("a"));
    assert_eq!(key("source add http://x --api-key b"), None);
    assert_eq!(key("up --api-key a").as_deref(), Some("a"));
}

#[test]
fn durations_are_read_with_their_unit() {
    assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
    assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5_400)));
    for wrong in ["", "10", "0s", "soon", "-5s"] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
}

/// Every command with its path, groups and leaves, without clap's own `help`.
fn pages(command: &clap::Command, path: &str, pages: &mut Vec<(String, String)>) {
    let mut page = command.clone().bin_name(path).term_width(HELP_WIDTH);
    pages.push((path.to_owned(), page.render_help().to_string()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        self::pages(inner, &format!("{path} {}", inner.get_name()), pages);
    }
}

fn all_pages() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut command = command();
    command.build();
    pages(&command, "automagik", &mut all);
    all
}

#[test]
fn every_help_page_fits_and_has_an_example() {
    let pages = all_pages();
    assert!(pages.len() > 35, "{}", pages.len());
    for (path, page) in pages {
        for line in page.lines() {
            assert!(width(line) <= HELP_WIDTH, "{path}: {line}");
        }
        if path != "automagik task create" {
            assert!(page.contains("Examples:\n  automagik "), "{path} has no example\n{page}");
        }
    }
}

#[test]
fn examples_are_lines_that_are_understood() {
    for (path, page) in all_pages() {
        let Some((_, examples)) = page.split_once("Examples:\n") else {
            continue;
        };
        let lines = examples.lines().filter_map(|line| line.strip_prefix("  automagik "));
        for line in lines {
            // What the shell takes away before the program sees it.
            let line = [" > ", " < ", " && "]
                .iter()
                .fold(line, |line, mark| line.split(mark).next().unwrap_or(line));
            let line = line.split("   ").next().unwrap_or(line);
            let mut words = vec!["automagik".to_owned()];
            let mut quoted = false;
            for part in line.split('"') {
                if quoted {
                    words.push(part.to_owned());
                } else {
                    words.extend(part.split_whitespace().map(str::to_owned));
                }
                quoted = !quoted;
            }
            if let Err(error) = parse(words) {
                panic!("{path}: {line}: {error}");
            }
        }
    }
}

#[test]
fn the_help_pages_are_reviewed() {
    let heading = |path: &str| format!("{}\n{path}\n{}\n", "=".repeat(40), "=".repeat(40));
    // The options of every command are the same on every page; they are reviewed once.
    let own = |page: &str| match (
        page.split_once("\nOptions of every command:"),
        page.split_once("\nExamples:"),
    ) {
        (Some((own, _)), Some((_, examples))) => format!("{own}\nExamples:{examples}"),
        _ => page.to_owned(),
    };
    let pages = all_pages();
    let mut text = pages.first().map(|(path, page)| heading(path) + page).unwrap_or_default();
    for (path, page) in pages.iter().skip(1) {
        text += &heading(path);
        text += &own(page);
    }
    snapshots::check("help.txt", &text);
}

/// Every command line that the README names: in a block of code, or in backticks.
fn lines_of_readme() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let in_blocks = text.lines().filter_map(|line| line.strip_prefix("    automagik "));
    let in_text = text.split('`').skip(1).step_by(2);
    let in_text = in_text.filter_map(|code| code.trim().strip_prefix("automagik "));
    in_blocks.chain(in_text).map(str::to_owned).collect()
}

#[test]
fn every_command_that_the_readme_names_is_there() {
    let lines = lines_of_readme();
    assert!(lines.len() > 60, "{}", lines.len());
    let mut command = command();
    command.build();
    for line in lines {
        let line = line.split(" #").next().unwrap_or_default();
        let line = line.split(" && ").next().unwrap_or_default();
        let mut at = &command;
        for word in line.split_whitespace() {
            if let Some(inner) = at.find_subcommand(word) {
                at = inner;
                continue;
            }
            let has_groups = at.get_subcommands().next().is_some();
            assert!(!has_groups || word.starts_with('-'), "{line}: no command {word}");
            let Some(option) = word.strip_prefix("--") else { continue };
            let named = |arg: &clap::Arg| {
                let long = arg.get_long() == Some(option);
                long || arg.get_all_aliases().is_some_and(|all| all.contains(&option))
            };
            assert!(at.get_arguments().any(named), "{line}: no option {word}");
        }
    }
}

#[test]
fn what_is_expected_of_a_number_or_a_duration_is_said() {
    let told = |line: &str| {
        let argv = std::iter::once("automagik").chain(line.split(' '));
        let error = parse(argv).unwrap_err();
        in_words(&error).unwrap_or_else(|| error.to_string())
    };
    let number = told("task list --limit many");
    assert!(number.contains("a whole number is expected, such as 10"), "{number}");
    assert!(!number.contains("digit found"), "{number}");
    let duration = told("flow run x --timeout soon");
    assert!(duration.contains("it is no duration; write it like 30s, 10m or 1h"), "{duration}");
    let silence = told("up --worker-lost-after soon");
    assert!(silence.contains("write it like 30s"), "{silence}");
}
