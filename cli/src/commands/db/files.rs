//! What lies in a data directory, and how it is made.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};
use spark_events::log::embedded::{EmbeddedLog, LogFile};
use spark_events::{EventLog, SystemClock};

use crate::commands::up::unusable;
use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;
use crate::views;

/// Makes the directory, the key and an empty log.
pub(super) async fn init(home: &Home, out: &Out) -> Result<Exit> {
    home.create()?;
    let was_there = home.events().exists();
    let has_key = home.key().is_some();
    let _lock = super::alone(home)?;
    home.whole()?;
    home.key_or_new()?;
    let log = EmbeddedLog::open(&home.events(), Arc::new(SystemClock))
        .map_err(|error| unusable("event log", &home.events(), &error))?;
    log.close().await;
    let made = json!({
        "dir": home.dir().display().to_string(),
        "log": if was_there { "kept" } else { "made" },
        "key": if has_key { "kept" } else { "made" },
        "key_file": home.key_file().display().to_string(),
    });
    out.data(&made, |look| views::db::init(&made, look))?;
    out.note("start the server: automagik up");
    Ok(Exit::Ok)
}

/// Everything that can be said of the directory without changing it.
fn facts(home: &Home) -> Value {
    let (log, trouble) = match LogFile::open(&home.events()).and_then(|file| file.facts()) {
        Ok(facts) => (json!(facts), None),
        Err(_) if !home.events().exists() => (Value::Null, None),
        Err(error) => (Value::Null, Some(error.to_string())),
    };
    let (reads, reads_trouble) = match spark_projections::stored(&home.reads()) {
        Ok(stored) => (json!(stored), None),
        Err(_) if !home.reads().exists() => (Value::Null, None),
        Err(error) => (Value::Null, Some(error.to_string())),
    };
    json!({
        "dir": home.dir().display().to_string(),
        "exists": home.dir().is_dir(),
        "version": env!("CARGO_PKG_VERSION"),
        "server": home.server(),
        "log": log,
        "log_trouble": trouble,
        "projections": reads,
        "projections_trouble": reads_trouble,
        "files": files(home.dir()),
        "free_bytes": free_bytes(home.dir()),
    })
}

/// Shows it.
pub(super) fn status(home: &Home, out: &Out) -> Result<Exit> {
    if !home.dir().is_dir() {
        return Err(Trouble::new(
            Exit::NotFound,
            format!("there is no directory {}", home.dir().display()),
        )
        .then("make it: automagik db init, or automagik up")
        .into());
    }
    let facts = facts(home);
    out.data(&facts, |look| views::db::status(&facts, look))?;
    let is_readable = facts["log_trouble"].is_null();
    Ok(if is_readable { Exit::Ok } else { Exit::Failed })
}

/// The files of a directory that are ours, by name.
fn files(dir: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<Value> = entries
        .filter_map(|entry| {
            let data = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some(json!({ "name": name, "bytes": data.len(), "mode": mode(&data) }))
        })
        .collect();
    files.sort_by_key(|file| file["name"].as_str().map(str::to_owned));
    files
}

#[cfg(unix)]
fn mode(data: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    Some(format!("{:04o}", data.permissions().mode() & 0o7777))
}

#[cfg(not(unix))]
fn mode(_data: &std::fs::Metadata) -> Option<String> {
    None
}

/// What the disk of a directory has room for.
#[cfg(unix)]
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
pub(crate) fn free_bytes(_dir: &Path) -> Option<u64> {
    None
}
