//! The log's file itself, which a server may write meanwhile: checked and counted.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use spark_events::limits::LOG_FINDINGS_MAX;
use spark_events::log::check::Check;
use spark_events::log::embedded::LogFile;
use spark_events::{LogError, Position};

use crate::args::Global;
use crate::exit::{Exit, Trouble};
use crate::output::Out;
use crate::settings::Name;
use crate::views;

/// Check a log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log verify
  automagik log verify --file backup/events.db
It reads the file of the data directory; a server may run over it meanwhile.
Exit codes: 0 as it should be, 3 something is wrong.")]
pub(crate) struct Verify {
    /// Another log, such as a backup's [default: the data directory's]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Count a log's events.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik log stats
  automagik log stats --file backup/events.db -o json")]
pub(crate) struct Stats {
    /// Another log, such as a backup's [default: the data directory's]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Reads every event, and says what is wrong.
pub(super) fn verify(verify: &Verify, global: &Global, out: &Out) -> Result<Exit> {
    let path = path(verify.file.as_ref(), global)?;
    let mut file = LogFile::open(&path).map_err(unreadable)?;
    let damage = file.damage(LOG_FINDINGS_MAX).map_err(unreadable)?;
    let mut check = Check::default();
    let mut at = Position::START;
    let mut broken = None;
    loop {
        let events = match file.read(at) {
            Ok(events) => events,
            // Behind a row that cannot be read there is nothing to go on from.
            Err(LogError::Corrupt { position, reason }) => {
                broken = Some(json!({ "position": position, "stream": null, "what": reason }));
                break;
            }
            Err(error) => return Err(unreadable(error).into()),
        };
        let Some(last) = events.last() else { break };
        at = last.position;
        events.iter().for_each(|event| check.take(event));
    }
    let mut findings: Vec<_> = damage
        .iter()
        .map(
            |line| json!({ "position": null, "stream": null, "what": format!("the file: {line}") }),
        )
        .collect();
    findings.extend(check.findings().iter().map(|finding| json!(finding)));
    findings.extend(broken);
    let found = check.found().max(findings.len() as u64);
    let checked = json!({
        "file": path.display().to_string(),
        "ok": findings.is_empty(),
        "events": check.events(),
        "streams": check.streams(),
        "head": check.last(),
        "found": found,
        "findings": findings,
    });
    out.data(&checked, |look| views::log::verified(&checked, look))?;
    if findings.is_empty() {
        return Ok(Exit::Ok);
    }
    out.note(
        "stop the server, keep a copy of the file, and restore a backup: automagik db restore DIR",
    );
    Ok(Exit::Difference)
}

/// Counts events by their type.
pub(super) fn stats(stats: &Stats, global: &Global, out: &Out) -> Result<Exit> {
    let path = path(stats.file.as_ref(), global)?;
    let file = LogFile::open(&path).map_err(unreadable)?;
    let (facts, types) = (file.facts().map_err(unreadable)?, file.types().map_err(unreadable)?);
    let counted = json!({
        "file": path.display().to_string(),
        "events": facts.events,
        "streams": facts.streams,
        "head": facts.head,
        "first_at": facts.first_at,
        "last_at": facts.last_at,
        "items": types,
    });
    out.data(&counted, |look| views::log::counted(&counted, look))?;
    Ok(Exit::Ok)
}

/// The file that is meant. A server that was named elsewhere has its file elsewhere.
fn path(named: Option<&PathBuf>, global: &Global) -> Result<PathBuf, Trouble> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let home = global.home();
    if let Some(server) =
        global.setting(Name::Server).filter(|_| global.target().is_ok_and(|it| !it.is_here))
    {
        return Err(Trouble::usage("this reads a file, and the server is elsewhere")
            .because(format!("the server is {}", server.value))
            .then("run it on that machine, or name a file: --file FILE"));
    }
    let path = home.events();
    if !path.exists() {
        return Err(Trouble::new(
            Exit::NotFound,
            format!("there is no event log in {}", home.dir().display()),
        )
        .then("name the data directory: --data-dir DIR, or a file: --file FILE"));
    }
    Ok(path)
}

fn unreadable(error: LogError) -> Trouble {
    Trouble::new(Exit::Failed, "cannot read the event log").because(error.to_string())
}
