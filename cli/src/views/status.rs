//! The server's health as a page.

use serde_json::Value;

use super::{entries, text, text_or_dash};
use crate::output::look::Look;
use crate::output::table::Details;

/// How the server is doing.
pub(crate) fn show(health: &Value, server: &str, look: &Look) -> String {
    let mut details = Details::default();
    details
        .status("status", &text_or_dash(health, &["status"]))
        .add("server", server)
        .maybe("version", text(health, &["version"]))
        .maybe("log", text(health, &["log.backend"]))
        .maybe("log trouble", text(health, &["log.trouble", "actors.log_trouble"]))
        .maybe("tasks", tasks(health))
        .maybe("workers", workers(health))
        .maybe(
            "schedules",
            text(health, &["actors.active_schedules"]).map(|n| format!("{n} active")),
        )
        .maybe(
            "flows",
            text(health, &["actors.drifted_flows"])
                .filter(|n| n != "0")
                .map(|n| format!("{n} drifted; see: automagik flow list --drifted")),
        )
        .maybe("alerts", alerts(health))
        .maybe("crashes", text(health, &["actors.crashes"]).filter(|n| n != "0"))
        .maybe("last crash", text(health, &["actors.last_crash"]));
    details.maybe(
        "read models",
        text(health, &["projections.read_models.trouble", "read_models.trouble"]),
    );
    for projection in entries(health, &["projections.projections", "projections"]) {
        if let Some(why) = text(projection, &["halted.reason"]) {
            let at = text_or_dash(projection, &["halted.position"]);
            let name = text_or_dash(projection, &["name"]);
            details.add("halted", format!("read model {name} at position {at}: {why}"));
        }
    }
    details.render(look)
}

/// Only what somebody should know of.
fn alerts(health: &Value) -> Option<String> {
    if !health["actors"]["alerts"]["running"].as_bool()? {
        return Some("nothing is told now: their keeper begins again after a crash".to_owned());
    }
    if let Some(why) = text(health, &["actors.alerts.trouble"]) {
        return Some(format!("nothing is told now: {why}"));
    }
    let count = |name: &str| health["actors"]["alerts"][name].as_u64().unwrap_or(0);
    match (count("waiting"), count("given_up")) {
        (0, 0) => None,
        (waiting, given_up) => Some(format!(
            "{waiting} messages wait to be delivered, {given_up} were given up; see: automagik \
             alert list"
        )),
    }
}

fn workers(health: &Value) -> Option<String> {
    let there = text(health, &["actors.workers"])?;
    let accepting = text_or_dash(health, &["actors.accepting_workers"]);
    if accepting == "0" {
        let why = if there == "0" { "none" } else { "none that takes work" };
        return Some(format!("{why}: tasks wait; start one: automagik worker start"));
    }
    let named = entries(health, &["actors.unserved_sources"]).iter();
    let named: Vec<String> = named.filter_map(|one| text(one, &["name"])).collect();
    let count = text(health, &["actors.unserved"]).filter(|n| n != "0");
    let rest = match (named.is_empty(), count) {
        (false, _) => format!("; none has the labels that {} asks for", named.join(", ")),
        // Which they are is told only to a key that may see sources.
        (true, Some(count)) => format!("; none has the labels that {count} of the sources ask for"),
        (true, None) => String::new(),
    };
    Some(format!("{accepting} of {there} take work{rest}"))
}

fn tasks(health: &Value) -> Option<String> {
    let open = text(health, &["actors.open_tasks"])?;
    let running = text_or_dash(health, &["actors.running_tasks"]);
    Some(format!("{open} open, {running} running"))
}
