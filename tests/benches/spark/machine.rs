//! What the figures were taken on. Knows Linux; elsewhere it says that it does not know.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// For how long the disk is measured.
const DISK_FOR: Duration = Duration::from_millis(500);
/// What one durable write of the disk's measurement has.
const BLOCK: [u8; 4096] = [b's'; 4096];

/// Processor, cores, and what the disk below `dir` does.
pub(crate) fn describe(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, disk {:.0} durable writes/s of 4 KiB", processor(), syncs(dir))
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let numbers: Vec<&str> = text.split(' ').take(3).collect();
    if numbers.is_empty() { "unknown".to_owned() } else { numbers.join(" ") }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_owned()
}

/// Appends that are on the disk when they return, per second.
fn syncs(dir: &Path) -> f64 {
    let path = dir.join("syncs");
    let mut file = File::create(&path).expect("a file can be made in the bench directory");
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < DISK_FOR {
        file.write_all(&BLOCK).and_then(|()| file.sync_data()).expect("the disk takes a write");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
