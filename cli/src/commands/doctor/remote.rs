//! What a server says of itself, asked through the API.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use spark_events::limits::{DOCTOR_CLOCK_MS_MAX, DOCTOR_LAG_MAX, DOCTOR_LATE_MS_MAX};
use spark_events::{Clock, SystemClock, Timestamp};

use super::Findings;
use crate::client::{Client, rows};
use crate::exit::trouble_of;
use crate::output::text::counted;
use crate::views::{text, text_or_dash};

/// Things of one kind that are named one by one.
const NAMED_MAX: usize = 5;

/// Everything about a server. What cannot be asked is itself a finding.
pub(super) async fn server(client: &Client, findings: &mut Findings) {
    let before = SystemClock.now();
    let about = match client.get(&[], &[]).await {
        Ok(about) => about,
        Err(error) => return unasked("server", &error, findings),
    };
    let after = SystemClock.now();
    version(client, &about, findings);
    clock(&about, before, after, findings);
    health(client, findings).await;
    projections(client, findings).await;
    sources(client, findings).await;
    workers(client, &text_or_dash(&about, &["version"]), findings).await;
    schedules(client, after, findings).await;
}

/// A question that got no answer.
fn unasked(check: &'static str, error: &anyhow::Error, findings: &mut Findings) {
    let Some(trouble) = trouble_of(error) else { return };
    let why: Vec<&str> = trouble.why.iter().map(String::as_str).collect();
    let what = std::iter::once(trouble.what.as_str()).chain(why).collect::<Vec<_>>().join("; ");
    findings.fail(check, what, trouble.next.join("; "));
}

fn version(client: &Client, about: &Value, findings: &mut Findings) {
    let (own, server) = (env!("CARGO_PKG_VERSION"), text_or_dash(about, &["version"]));
    let at = client.server();
    if server == own {
        return findings.ok("server", format!("{at} answers; version {server}, as this program"));
    }
    findings.warn(
        "server",
        format!("{at} has version {server}, this program {own}"),
        "use the program that the server was started with",
    );
}

fn clock(about: &Value, before: Timestamp, after: Timestamp, findings: &mut Findings) {
    let zones = chrono_tz::IANA_TZDB_VERSION;
    let theirs =
        text(about, &["server_time"]).and_then(|at| at.parse::<DateTime<chrono::Utc>>().ok());
    let Some(theirs) = theirs else {
        return findings.warn(
            "clock",
            "the server does not say what time it is",
            "update the server",
        );
    };
    // The server looked at its clock at some moment between our two looks at ours.
    let off =
        if theirs < before { before - theirs } else { (theirs - after).max(TimeDelta::zero()) };
    let most = TimeDelta::milliseconds(i64::try_from(DOCTOR_CLOCK_MS_MAX).unwrap_or(i64::MAX));
    if off > most {
        let what = format!("the server's clock and this one are {} s apart", off.num_seconds());
        return findings.fail("clock", what, "set both by NTP; schedules follow the server's");
    }
    findings.ok("clock", format!("the server's agrees with this one; time zones of {zones}"));
}

async fn health(client: &Client, findings: &mut Findings) {
    let health = client.health().await;
    if let Ok(health) = &health {
        super::alerts::look(&health["actors"]["alerts"], findings);
    }
    match health {
        Err(error) => unasked("health", &error, findings),
        Ok(health) if text_or_dash(&health, &["status"]) == "healthy" => {
            let crashes = text(&health, &["actors.crashes"]).filter(|n| n != "0");
            match crashes {
                None => findings.ok("health", "healthy"),
                Some(n) => findings.warn(
                    "health",
                    format!(
                        "{n} crashes since the start: {}",
                        text_or_dash(&health, &["actors.last_crash"])
                    ),
                    "they were recovered from; please report them",
                ),
            }
        }
        Ok(health) => {
            let why = ["log.trouble", "actors.log_trouble", "read_models.trouble"];
            let why = text(&health, &why).unwrap_or_else(|| text_or_dash(&health, &["status"]));
            findings.fail("health", why, "look closer: automagik status");
        }
    }
}

async fn projections(client: &Client, findings: &mut Findings) {
    let list = match client.get(&["projections"], &[]).await {
        Ok(list) => list,
        Err(error) => return unasked("read models", &error, findings),
    };
    let mut is_fine = true;
    for row in rows(&list) {
        let name = text_or_dash(row, &["name"]);
        if let Some(at) = text(row, &["halted.position"]) {
            is_fine = false;
            let why = text_or_dash(row, &["halted.reason"]);
            findings.fail(
                "read models",
                format!("{name} is halted at {at}: {why}"),
                format!("automagik projection retry {name}, or: skip {name} --position {at}"),
            );
        } else if let Some(lag) = row["lag"].as_u64().filter(|lag| *lag > DOCTOR_LAG_MAX) {
            is_fine = false;
            let next = "wait; watch it: automagik projection list";
            findings.warn(
                "read models",
                format!("{name} is {} behind", counted(lag, "event")),
                next,
            );
        }
    }
    if is_fine {
        findings.ok("read models", format!("{}, all at the log's end", rows(&list).len()));
    }
}

async fn sources(client: &Client, findings: &mut Findings) {
    let list = match client.list(&["sources"], &[], usize::MAX).await {
        Ok(list) => list,
        Err(error) => return unasked("sources", &error, findings),
    };
    if rows(&list).is_empty() {
        return findings.ok("sources", "none yet; connect one: automagik source add URL");
    }
    for row in rows(&list) {
        let (id, name) = (text_or_dash(row, &["id"]), text_or_dash(row, &["name", "id"]));
        // A key that may not probe still shows what the last probe found.
        let row = client.post(&["sources", &id, "probe"], json!({})).await;
        let row = row.as_ref().unwrap_or(row_of(&list, &id));
        if crate::views::source::status(row) == "down" {
            let why = text(row, &["probe.message", "message", "error.message"]);
            let what =
                format!("{name} is down{}", why.map_or_else(String::new, |why| format!(": {why}")));
            findings.fail(
                "sources",
                what,
                format!("start it, or correct it: automagik source show {name}"),
            );
        } else {
            findings.ok("sources", format!("{name} is up"));
        }
    }
}

fn row_of<'a>(list: &'a Value, id: &str) -> &'a Value {
    let found = rows(list).iter().find(|row| row["id"] == id);
    found.unwrap_or(&Value::Null)
}

async fn workers(client: &Client, server_version: &str, findings: &mut Findings) {
    let list = match client.list(&["workers"], &[], usize::MAX).await {
        Ok(list) => list,
        Err(error) => return unasked("workers", &error, findings),
    };
    super::workers::there(rows(&list), findings);
    super::workers::versions(rows(&list), server_version, findings);
    // Without the server's own view nothing is known; why it is missing is told under health.
    if let Ok(health) = client.health().await {
        super::workers::fitting(&health, findings);
    }
}

async fn schedules(client: &Client, now: Timestamp, findings: &mut Findings) {
    let query = [("status", "active".to_owned())];
    let list = match client.list(&["schedules"], &query, usize::MAX).await {
        Ok(list) => list,
        Err(error) => return unasked("schedules", &error, findings),
    };
    let late = TimeDelta::milliseconds(i64::try_from(DOCTOR_LATE_MS_MAX).unwrap_or(i64::MAX));
    let is_stalled = |row: &&Value| {
        let next = text(row, &["next_starts_at", "next_due_at"]);
        let next = next.and_then(|at| at.parse::<DateTime<chrono::Utc>>().ok());
        next.is_some_and(|next| next + late < now)
    };
    let stalled: Vec<String> = rows(&list)
        .iter()
        .filter(is_stalled)
        .map(|row| text_or_dash(row, &["name", "id"]))
        .collect();
    if stalled.is_empty() {
        return findings.ok("schedules", format!("{} active, none is stalled", rows(&list).len()));
    }
    findings.fail(
        "schedules",
        format!("due in the past and not started: {}", some_of(&stalled)),
        "look why: automagik why SCHEDULE --at TIME; a restart of the server takes them up",
    );
}

pub(super) fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
