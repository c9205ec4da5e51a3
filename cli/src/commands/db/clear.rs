//! `automagik db clear`: a data directory without its past.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Clear;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Out;

/// Deletes the log, what is made from it, and the key that opens what stood in it.
pub(super) fn run(home: &Home, clear: &Clear, out: &Out) -> Result<Exit> {
    let files = files(home);
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let cleared = json!({ "dir": home.dir().display().to_string(), "files": names, "dry_run": clear.dry_run });
    if files.is_empty() {
        out.data(&cleared, |_| String::new())?;
        out.note(&format!("there is nothing in {} to clear", home.dir().display()));
        return Ok(Exit::Ok);
    }
    let shown = || names.iter().map(|name| format!("{name}\n")).collect();
    if clear.dry_run {
        out.data(&cleared, |_| shown())?;
        out.note("dry run: nothing was deleted");
        return Ok(Exit::Ok);
    }
    let _lock = super::alone(home)?;
    let dir =
        home.dir().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    clear.consent.ask("data directory", &dir)?;
    for file in &files {
        std::fs::remove_file(file).with_context(|| format!("cannot delete {}", file.display()))?;
    }
    out.data(&cleared, |_| shown())?;
    out.note("deleted; the API key stays, and the next start begins with nothing");
    Ok(Exit::Ok)
}

/// What there is of them. The log goes last: what breaks off before leaves everything.
fn files(home: &Home) -> Vec<PathBuf> {
    let mut files = Home::with_companions(&home.reads());
    files.extend(["index.bin", "alerts.bin"].map(|name| home.dir().join(name)));
    files.extend(home.seal_keys());
    files.extend(Home::with_companions(&home.events()).into_iter().rev());
    files.retain(|file| file.exists());
    files
}
