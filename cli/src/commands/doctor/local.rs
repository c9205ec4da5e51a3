//! What can be seen on this machine: the directory, its keys, the log's file, the settings.

use std::path::Path;

use spark_events::limits::{
    DOCTOR_CHECKED_BYTES_MAX, DOCTOR_FREE_BYTES_FEW, DOCTOR_FREE_BYTES_MIN,
};
use spark_events::log::embedded::LogFile;

use super::Findings;
use crate::args::Global;
use crate::commands::db::free_bytes;
use crate::home::Home;
use crate::output::text::{bytes, counted};
use crate::settings::Name;

/// Damages of the log that are named.
const DAMAGES_MAX: usize = 3;

/// The configuration file, where it holds a key.
pub(super) fn config(global: &Global, findings: &mut Findings) {
    let config = &global.settings().config;
    let holds_key = config.profiles.values().any(|profile| profile.contains_key(&Name::ApiKey));
    if holds_key {
        private("settings", &config.path, findings);
    }
}

/// The data directory and what lies in it.
pub(super) fn directory(home: &Home, findings: &mut Findings) {
    let dir = home.dir().display();
    if !home.dir().is_dir() {
        findings.warn("data directory", format!("{dir} does not exist"), "make it: automagik up");
        return;
    }
    match open_to_others(home.dir()) {
        Some(mode) => findings.warn(
            "data directory",
            format!("{dir} can be entered by others (mode {mode})"),
            format!("chmod 700 {dir}"),
        ),
        None => findings.ok("data directory", format!("{dir}, yours alone")),
    }
    if let Some(free) = free_bytes(home.dir()) {
        let what = format!("{} free where {dir} lies", bytes(free));
        let next = "free some space; without any, nothing can be recorded and commands are refused";
        match free {
            _ if free < DOCTOR_FREE_BYTES_MIN => findings.fail("disk", what, next),
            _ if free < DOCTOR_FREE_BYTES_FEW => findings.warn("disk", what, next),
            _ => findings.ok("disk", what),
        }
    }
    if home.key().is_none() {
        let next = "it is made at the next start: automagik up";
        findings.warn("API key", format!("there is none in {}", home.key_file().display()), next);
    } else {
        private("API key", &home.key_file(), findings);
    }
    for key in home.seal_keys().iter().filter(|key| key.exists()) {
        private("sealing key", key, findings);
    }
    log(home, findings);
}

/// The log's file: that it opens, and that SQLite finds nothing wrong with it.
fn log(home: &Home, findings: &mut Findings) {
    if !home.events().exists() {
        findings.ok("event log", "none yet");
        return;
    }
    let looked = LogFile::open(&home.events()).and_then(|file| {
        let size = size_with_tail(&home.events());
        // A large file takes minutes; that is what `log verify` is for.
        let is_small = size <= DOCTOR_CHECKED_BYTES_MAX;
        let damage = if is_small { file.damage(DAMAGES_MAX)? } else { Vec::new() };
        Ok((file.facts()?, size, is_small, damage))
    });
    let next =
        "stop the server, keep a copy of the file, and restore a backup: automagik db restore DIR";
    match looked {
        Err(error) => findings.fail("event log", error.to_string(), next),
        Ok((.., damage)) if !damage.is_empty() => {
            findings.fail("event log", damage.join("; "), next);
        }
        Ok((facts, size, is_small, _)) => {
            let checked = if is_small { "" } else { "; its inside: automagik log verify" };
            let what = format!("{}, {}{checked}", counted(facts.events, "event"), bytes(size));
            findings.ok("event log", what);
        }
    }
}

/// The size of the log on disk: what was written last stands in the file beside it, and stays
/// there until SQLite moves it, so the log's own file may be the smaller one.
fn size_with_tail(events: &Path) -> u64 {
    let mut tail = events.as_os_str().to_owned();
    tail.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    size(events) + size(Path::new(&tail))
}

/// A file that only its owner should be able to read.
fn private(check: &'static str, path: &Path, findings: &mut Findings) {
    let shown = path.display();
    match open_to_others(path) {
        Some(mode) => findings.warn(
            check,
            format!("{shown} can be read by others (mode {mode})"),
            format!("chmod 600 {shown}"),
        ),
        None => findings.ok(check, format!("{shown}, yours alone")),
    }
}

/// The mode of what others than its owner can use.
#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| format!("{mode:04o}"))
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_the_log_counts_what_was_written_last() {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("events.db");
        std::fs::write(&events, [0; 8]).unwrap();
        assert_eq!(size_with_tail(&events), 8);
        std::fs::write(dir.path().join("events.db-wal"), [0; 300]).unwrap();
        assert_eq!(size_with_tail(&events), 308);
    }
}
