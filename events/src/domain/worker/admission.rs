//! Who may come as a worker: the rules that need more than the worker's own stream. What is known
//! of the other ones arrives as an argument.

use crate::clock::{Timestamp, ms_between};
use crate::limits::WORKER_CLOCK_MS_MAX;

/// What a newcomer says of itself that decides whether it may come.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// Its clock.
    pub clock: Timestamp,
}

/// Why it may not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It speaks another version of the protocol.
    #[error(
        "the worker speaks version {worker} of the protocol and this server version {server}; \
         install the same version of automagik on both (the server has {server_version})"
    )]
    Protocol {
        /// The worker's.
        worker: u32,
        /// The server's.
        server: u32,
        /// The version of the server's program.
        server_version: String,
    },
    /// Its clock is too far off.
    #[error(
        "the worker's clock is {} {} the server's, and {} is the most; let both hosts keep time \
         by NTP", amount(.off_ms.unsigned_abs()), side(*.off_ms), amount(WORKER_CLOCK_MS_MAX)
    )]
    Clock {
        /// How far it is ahead, in milliseconds; behind where negative.
        off_ms: i64,
    },
}

fn side(off_ms: i64) -> &'static str {
    if off_ms < 0 { "behind" } else { "ahead of" }
}

fn amount(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// Decides whether a newcomer may come to a server of this version.
///
/// # Errors
/// The first rule that says no.
pub fn check_newcomer(
    newcomer: Newcomer,
    (server, server_version): (u32, &str),
    now: Timestamp,
) -> Result<(), NotAdmitted> {
    if newcomer.protocol != server {
        let server_version = server_version.to_owned();
        return Err(NotAdmitted::Protocol { worker: newcomer.protocol, server, server_version });
    }
    let (ahead, behind) = (ms_between(now, newcomer.clock), ms_between(newcomer.clock, now));
    let off_ms = i64::try_from(ahead.max(behind)).unwrap_or(i64::MAX);
    if off_ms.unsigned_abs() > WORKER_CLOCK_MS_MAX {
        let off_ms = if ahead > 0 { off_ms } else { -off_ms };
        return Err(NotAdmitted::Clock { off_ms });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn admitted(protocol: u32, clock: i64) -> Result<(), NotAdmitted> {
        check_newcomer(Newcomer { protocol, clock: at(clock) }, (1, "0.9"), at(0))
    }

    #[test]
    fn a_newcomer_speaks_the_same_protocol_and_has_the_same_time() {
        for clock in [0, 300, -300] {
            assert_eq!(admitted(1, clock), Ok(()), "{clock} s");
        }
        let error = admitted(2, 0).unwrap_err().to_string();
        assert!(error.contains("version 2") && error.contains("the server has 0.9"), "{error}");
        let error = admitted(1, 3_600).unwrap_err().to_string();
        assert!(error.contains("1 h 0 min ahead of the server's, and 5 min is"), "{error}");
        let error = admitted(1, -301).unwrap_err().to_string();
        assert!(error.contains("5 min 1 s behind the server's"), "{error}");
    }
}
