//! The bounds of the command line and of what operators ask: pages of the log, checks, settings.

/// How long the CLI tries to connect to the server.
pub const CLI_CONNECT_MS_MAX: u64 = 5_000;
/// How long the CLI waits for an answer, beyond what it asked the server to wait itself.
pub const CLI_ANSWER_MS_MAX: u64 = 60_000;
/// The largest file of settings that the CLI reads: its configuration file, or `.env`.
pub const CLI_SETTINGS_BYTES_MAX: u64 = 64 * 1024;
/// How often the CLI looks again while it watches.
pub const CLI_WATCH_MS: u64 = 1_000;
/// Events that one projection may be told to pass over.
pub const PROJECTION_SKIPS_MAX: usize = 1_000;
/// Events of one page of the whole log.
pub const LOG_PAGE_MAX: usize = 1_000;
/// Bytes of events after which such a page takes no further one.
pub const LOG_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events that are read at once to fill such a page: what of them is not wanted lies in memory only
/// until the next are read.
pub const LOG_STEP_EVENTS: usize = 32;
/// Events that one such page looks at to find those that are wanted.
pub const LOG_SCAN_EVENTS_MAX: usize = 50_000;
/// How far clocks that are set back may have put an event's time behind its place in the log.
pub const LOG_CLOCK_SLACK_MS: u64 = 3_600_000;
/// Faults of a log that a check names one by one.
pub const LOG_FINDINGS_MAX: usize = 100;
/// The size up to which a look at everything reads all of the log's file.
pub const DOCTOR_CHECKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Free bytes of the data directory's disk below which a look at everything warns.
pub const DOCTOR_FREE_BYTES_FEW: u64 = 1024 * 1024 * 1024;
/// Free bytes below which it calls that a failure.
pub const DOCTOR_FREE_BYTES_MIN: u64 = 100 * 1024 * 1024;
/// How far apart the server's clock and the caller's may be.
pub const DOCTOR_CLOCK_MS_MAX: u64 = 5_000;
/// How many positions a read model may be behind the log.
pub const DOCTOR_LAG_MAX: u64 = 10_000;
/// How late a start may be before its schedule counts as stalled.
pub const DOCTOR_LATE_MS_MAX: u64 = 60_000;

const _: () = assert!(LOG_STEP_EVENTS * super::EVENT_BYTES_MAX <= 24 * 1024 * 1024);
const _: () = assert!(DOCTOR_FREE_BYTES_MIN < DOCTOR_FREE_BYTES_FEW);
