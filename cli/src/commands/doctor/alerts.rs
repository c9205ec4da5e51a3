//! Whether alerts would be told, by what the server's health says of them.

use serde_json::Value;

use super::Findings;

/// What is found. A server that says nothing of alerts is of an older version.
pub(super) fn look(alerts: &Value, findings: &mut Findings) {
    let Some(is_running) = alerts["running"].as_bool() else { return };
    let next = "look into the server's log; a restart begins again from the event log";
    if !is_running {
        return findings.fail("alerts", "none is told now: their keeper ended or crashed", next);
    }
    if let Some(why) = alerts["trouble"].as_str() {
        return findings.fail("alerts", format!("none is told now: {why}"), next);
    }
    let count = |name: &str| alerts[name].as_u64().unwrap_or(0);
    let (waiting, given_up) = (count("waiting"), count("given_up"));
    if given_up > 0 {
        return findings.warn(
            "alerts",
            format!("messages given up since the server's start: {given_up}; waiting: {waiting}"),
            "look whose receiver is away: automagik alert list",
        );
    }
    findings.ok("alerts", format!("they are told; messages that wait: {waiting}"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_told_is_found() {
        let found = |alerts: Value| {
            let mut findings = Findings::default();
            look(&alerts, &mut findings);
            findings.0.pop().map(|found| (found.verdict.as_str(), found.what))
        };
        let health = |running: bool, trouble: Option<&str>, given_up: u64| json!({ "running": running, "trouble": trouble, "waiting": 2, "given_up": given_up });
        for (alerts, verdict, part) in [
            (health(true, None, 0), "ok", "wait: 2"),
            (health(true, None, 3), "warn", "start: 3; waiting: 2"),
            (health(false, None, 0), "fail", "crashed"),
            (health(true, Some("position 7 is damaged"), 0), "fail", "position 7"),
        ] {
            let (told, what) = found(alerts).unwrap();
            assert!(told == verdict && what.contains(part), "{told}: {what}");
        }
        assert_eq!(found(Value::Null), None);
    }
}
