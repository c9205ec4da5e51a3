//! Whether there are workers that take work, and whether they fit what the sources ask for. Judges
//! what was read; asks nobody.

use serde_json::Value;

use super::Findings;
use super::remote::some_of;
use crate::views::{entries, text_or_dash};

/// Who of those that are there takes work.
pub(super) fn there(workers: &[Value], findings: &mut Findings) {
    let names = |status: &str| -> Vec<String> {
        let these = workers.iter().filter(|row| row["status"] == status);
        these.map(|row| text_or_dash(row, &["name", "hostname", "id"])).collect()
    };
    let (active, paused, draining) = (names("active").len(), names("paused"), names("draining"));
    let mut resting = Vec::new();
    for (names, what) in [(&paused, "paused"), (&draining, "draining")] {
        if !names.is_empty() {
            resting.push(format!("{what}: {}", some_of(names)));
        }
    }
    let resume = match paused.iter().chain(&draining).collect::<Vec<_>>()[..] {
        [] if active > 0 => return findings.ok("workers", format!("{active} active")),
        [] => {
            let next = "start one: automagik worker start, or a server with its own: automagik up";
            return findings.fail("workers", "none is there, so nothing runs", next);
        }
        [one] => format!("let it take work again: automagik worker resume {one}"),
        [first, ..] => format!("let each take work again: automagik worker resume {first}"),
    };
    let resting = resting.join("; ");
    match active {
        0 => findings.fail("workers", format!("none takes work; {resting}"), resume),
        n => findings.warn("workers", format!("{n} active; {resting}"), resume),
    }
}

/// Those that an upgrade of the server has left behind.
pub(super) fn versions(workers: &[Value], server: &str, findings: &mut Findings) {
    let is_there = |row: &&Value| {
        ["active", "paused", "draining"].iter().any(|status| row["status"] == *status)
    };
    let others = workers.iter().filter(is_there).filter(|row| row["version"] != server);
    let others: Vec<(String, String)> = others
        .map(|row| (text_or_dash(row, &["name", "id"]), text_or_dash(row, &["version"])))
        .collect();
    let Some((first, _)) = others.first() else { return };
    let each: Vec<String> =
        others.iter().map(|(name, version)| format!("{name} ({version})")).collect();
    findings.warn(
        "workers",
        format!("of another version than the server ({server}): {}", some_of(&each)),
        format!(
            "one after the other: automagik worker drain {first}, then start it with the server's \
             version"
        ),
    );
}

/// Sources that ask for labels which no worker has that takes work. Where none takes work at all,
/// that is the finding, and this would only repeat it.
pub(super) fn fitting(health: &Value, findings: &mut Findings) {
    if health["actors"]["accepting_workers"].as_u64().unwrap_or(0) == 0 {
        return;
    }
    for source in entries(health, &["actors.unserved_sources"]) {
        let name = text_or_dash(source, &["name"]);
        let labels = entries(source, &["worker_labels"]).iter().filter_map(Value::as_str);
        let labels = labels.collect::<Vec<_>>().join(",");
        findings.warn(
            "workers",
            format!("none has the labels that {name} asks for ({labels}), so no task of it starts"),
            format!(
                "automagik worker start --labels {labels}; or ask for none: automagik source \
                 update {name} --no-worker-label"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(look: impl FnOnce(&mut Findings)) -> Vec<(&'static str, String, String)> {
        let mut findings = Findings::default();
        look(&mut findings);
        let told = findings.0.into_iter();
        told.map(|one| (one.verdict.as_str(), one.what, one.next.unwrap_or_default())).collect()
    }

    fn workers(list: &[(&str, &str)]) -> Vec<Value> {
        list.iter().map(|(name, status)| json!({ "name": name, "status": status })).collect()
    }

    #[test]
    fn a_worker_that_an_upgrade_left_behind_is_named() {
        let one = |name: &str, status: &str, version: &str| json!({ "name": name, "status": status, "version": version });
        let list = [one("a", "active", "2.0.0"), one("gone", "stopped", "1.0.0")];
        assert_eq!(told(|findings| versions(&list, "2.0.0", findings)), []);
        let list = [one("a", "active", "2.0.0"), one("b", "paused", "1.0.0")];
        let told = told(|findings| versions(&list, "2.0.0", findings));
        let [("warn", what, next)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(what, "of another version than the server (2.0.0): b (1.0.0)");
        assert!(next.contains("automagik worker drain b"), "{next}");
    }

    #[test]
    fn a_worker_that_rests_is_named_with_the_way_to_wake_it() {
        type Row =
            (&'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);
        let table: [Row; 6] = [
            (&[("a", "active"), ("b", "lost")], "ok", "1 active", ""),
            (&[("b", "lost"), ("c", "stopped")], "fail", "none is there", "worker start"),
            (
                &[("built-in", "draining")],
                "fail",
                "none takes work; draining: built-in",
                "worker resume built-in",
            ),
            (&[("built-in", "paused")], "fail", "paused: built-in", "worker resume built-in"),
            (&[("a", "active"), ("b", "paused")], "warn", "1 active; paused: b", "resume b"),
            (
                &[("a", "draining"), ("b", "paused")],
                "fail",
                "paused: b; draining: a",
                "let each take work again: automagik worker resume b",
            ),
        ];
        for (list, verdict, what, next) in table {
            let told = told(|findings| there(&workers(list), findings));
            let [(told_verdict, told_what, told_next)] = &told[..] else { panic!("{told:?}") };
            assert_eq!(*told_verdict, verdict, "{list:?}");
            assert!(told_what.contains(what), "{told_what}");
            assert!(told_next.contains(next), "{told_next}");
        }
    }

    #[test]
    fn a_source_that_no_worker_fits_is_named_with_what_to_do() {
        let health = |accepting: u64| {
            json!({ "actors": {
                "accepting_workers": accepting,
                "unserved_sources": [{ "name": "local", "worker_labels": ["big", "gpu"] }],
            } })
        };
        let told_of = |accepting| told(|found| fitting(&health(accepting), found));
        let told = told_of(1);
        let [(verdict, what, next)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(*verdict, "warn");
        assert_eq!(
            what,
            "none has the labels that local asks for (big,gpu), so no task of it starts"
        );
        assert!(next.contains("worker start --labels big,gpu"), "{next}");
        assert!(next.contains("source update local --no-worker-label"), "{next}");
        assert!(told_of(0).is_empty(), "nobody takes work at all, which is told already");
    }
}
