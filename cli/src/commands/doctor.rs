//! `automagik doctor`: looks at everything that can be wrong, and says what to do. Changes nothing;
//! sources are probed, as they are every minute anyhow.

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::Global;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::Out;
use crate::views;

mod alerts;
mod local;
mod remote;
mod workers;

/// Shown below the command's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik doctor
  automagik doctor --profile team
  automagik doctor -o json
It looks at the data directory, the keys, the log, read models, sources,
workers, schedules, alerts, clocks and versions. Of a server elsewhere it sees
what the API shows.
Exit codes: 0 nothing was found, 3 something was.";

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not for long.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    what: String,
    next: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(check, Verdict::Ok, what, None);
    }

    fn warn(&mut self, check: &'static str, what: impl Into<String>, next: impl Into<String>) {
        self.add(check, Verdict::Warn, what, Some(next.into()));
    }

    fn fail(&mut self, check: &'static str, what: impl Into<String>, next: impl Into<String>) {
        self.add(check, Verdict::Fail, what, Some(next.into()));
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        what: impl Into<String>,
        next: Option<String>,
    ) {
        self.0.push(Finding { check, verdict, what: what.into(), next });
    }

    fn json(&self) -> Value {
        let row = |found: &Finding| {
            json!({
                "check": found.check,
                "status": found.verdict.as_str(),
                "what": found.what,
                "next": found.next,
            })
        };
        let is_ok = self.0.iter().all(|found| found.verdict == Verdict::Ok);
        json!({ "ok": is_ok, "items": self.0.iter().map(row).collect::<Vec<_>>() })
    }
}

/// Looks at everything.
pub(crate) async fn run(global: &Global, out: &Out) -> Result<Exit> {
    let mut findings = Findings::default();
    let target = global.target();
    let is_elsewhere = target.as_ref().is_ok_and(|target| !target.is_here);
    local::config(global, &mut findings);
    if !is_elsewhere {
        local::directory(&global.home(), &mut findings);
    }
    match target {
        Ok(target) => remote::server(&Client::new(target)?, &mut findings).await,
        Err(trouble) => findings.warn("server", trouble.what.clone(), trouble.next.join("; ")),
    }
    let found = findings.json();
    out.data(&found, |look| views::doctor::list(&found, look))?;
    let is_ok = found.get("ok").and_then(Value::as_bool) == Some(true);
    Ok(if is_ok { Exit::Ok } else { Exit::Difference })
}
