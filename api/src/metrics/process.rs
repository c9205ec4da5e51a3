//! What this process uses, as the system tells it. Where it does not (no `/proc`), nothing is told.

use std::fs;
use std::path::Path;

/// Ticks per second in `/proc/self/stat`, the same on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;
/// The fields before user time, after the name in parentheses.
const FIELDS_BEFORE_TIME: usize = 11;

/// What the process uses.
pub(super) struct Used {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_files: u64,
}

pub(super) fn used() -> Option<Used> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kb: u64 = resident.trim().trim_end_matches("kB").trim().parse().ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(FIELDS_BEFORE_TIME).take(2);
    let ticks: f64 = times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(Used { resident_bytes: kb * 1024, cpu_seconds: ticks / TICKS_PER_SECOND, open_files })
}

/// Bytes of a database and of the write-ahead log beside it.
pub(super) fn size_of_store(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) + size(Path::new(&wal))
}
