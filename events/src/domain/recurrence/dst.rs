//! Maps the matches of a pattern on a zone's wall clock to instants, and applies the DST rule where
//! the clock changes. `croner` has rules of its own for that; they are not used.
//!
//! Instants and clock times are whole seconds from the epoch. An instant plus the zone's offset at
//! that instant is the clock time.

use chrono::{DateTime, MappedLocalTime, Offset, TimeZone};
use chrono_tz::{GapInfo, Tz};

use super::pattern::Pattern;
use super::{DstNote, DstRule, Due};
use crate::clock::Timestamp;

/// A gap is never longer than this: Samoa once left out a whole day.
const GAP_SECONDS_MAX: i64 = 86_400;
/// Clock changes whose gap swallows every match, one after another, before literal matching gives
/// up: an expression that always falls into the gap never runs.
const GAPS_IN_A_ROW_MAX: u32 = 4;

/// A pattern on the wall clock of a zone.
#[derive(Debug, Clone)]
pub(super) struct LocalPlan {
    pattern: Pattern,
    zone: Tz,
    mode: Mode,
}

/// What counts; see the text of the parent module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Every clock time once.
    Fixed,
    /// Real time.
    Running,
    /// What the wall clock shows.
    Literal,
}

/// The instants at which a zone's clock shows a time.
enum Shown {
    Once(i64),
    Twice {
        first: i64,
        second: i64,
    },
    /// Never: the clock jumps over it at instant `jump`. `offset` was valid until then.
    Never {
        jump: i64,
        offset: i64,
    },
}

/// An instant in seconds, and its note.
type Found = (i64, Option<DstNote>);

impl LocalPlan {
    pub(super) fn new(pattern: Pattern, zone: Tz, rule: DstRule) -> Self {
        let mode = match rule {
            DstRule::Literal => Mode::Literal,
            DstRule::Once if pattern.has_running_hours() => Mode::Running,
            DstRule::Once => Mode::Fixed,
        };
        Self { pattern, zone, mode }
    }

    /// The first due instant strictly after `after`.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Due> {
        let from = after.timestamp().checked_add(1)?;
        let (at, dst) = match self.mode {
            Mode::Fixed => self.next_fixed(from),
            Mode::Running | Mode::Literal => self.next_running(from),
        }?;
        Some(Due { at: DateTime::from_timestamp(at, 0)?, dst })
    }

    /// Clock times in order, each at its first instant or at the end of its gap. That mapping never
    /// decreases, so the first clock time that maps to `from` or later is the answer.
    fn next_fixed(&self, from: i64) -> Option<Found> {
        let before = from - 1;
        let mut clock = before + self.offset(before)? + 1;
        if let Shown::Twice { first, second } = self.shown(clock - 1)?
            && second == before
        {
            // In the second pass everything up to the end of the first has already run. The loop
            // would find that out too, but one clock time by one.
            let turn = self.change_between(first, second)?;
            clock = clock.max(turn + self.offset(first)?);
        }
        loop {
            let matched = self.pattern.next_from(clock)?;
            let (at, note) = match self.shown(matched)? {
                Shown::Once(at) => (at, None),
                Shown::Twice { first, .. } => (first, Some(DstNote::Fold)),
                Shown::Never { jump, .. } => (jump, Some(DstNote::Gap)),
            };
            if at >= from {
                return Some((at, note));
            }
            clock = matched + 1;
        }
    }

    /// Clock times in order from the one shown at `from`; what a clock change would make this miss
    /// is looked at beside: a second pass that starts later, and times that a gap moved.
    fn next_running(&self, from: i64) -> Option<Found> {
        let offset = self.offset(from)?;
        let clock = from + offset;
        let mut found = self.next_shown(clock, from);
        if let Shown::Twice { first, second } = self.shown(clock)?
            && first == from
        {
            let turn = self.change_between(first, second)?;
            if found.is_none_or(|(at, _)| at >= turn) {
                found = self.next_shown(turn + self.offset(turn)?, turn);
            }
        }
        if self.mode == Mode::Running {
            found = earlier(found, self.next_moved(from, offset));
        }
        found
    }

    /// The first match at clock time `clock` or later, at `from` or later.
    fn next_shown(&self, mut clock: i64, from: i64) -> Option<Found> {
        for _ in 0..GAPS_IN_A_ROW_MAX {
            let matched = self.pattern.next_from(clock)?;
            match self.shown(matched)? {
                Shown::Once(at) => return Some((at, None)),
                Shown::Twice { first, second } => {
                    return Some((if first >= from { first } else { second }, Some(DstNote::Fold)));
                }
                Shown::Never { jump, offset } => {
                    let resumed = jump + self.offset(jump)?;
                    if self.mode == Mode::Running {
                        let moved = self.moved(matched, offset);
                        return earlier(moved, self.next_shown_at_once(resumed));
                    }
                    clock = resumed;
                }
            }
        }
        None
    }

    /// As [`Self::next_shown`] just behind a gap, where the next change is far away.
    fn next_shown_at_once(&self, clock: i64) -> Option<Found> {
        match self.shown(self.pattern.next_from(clock)?)? {
            Shown::Once(at) => Some((at, None)),
            Shown::Twice { first, .. } => Some((first, Some(DstNote::Fold))),
            Shown::Never { .. } => None,
        }
    }

    /// The first match that a gap shortly before `from` moved to `from` or later.
    fn next_moved(&self, from: i64, offset: i64) -> Option<Found> {
        let before = self.offset(from - GAP_SECONDS_MAX)?;
        if before >= offset {
            return None;
        }
        let Shown::Never { offset: before, .. } = self.shown(from + before)? else {
            return None;
        };
        let matched = self.pattern.next_from(from + before)?;
        match self.shown(matched)? {
            Shown::Never { .. } => self.moved(matched, before),
            Shown::Once(_) | Shown::Twice { .. } => None,
        }
    }

    /// A clock time in a gap, at the instant it would have had without the jump. Where the clock
    /// then shows a matching time of its own, as it does for `*/5`, nothing was moved.
    fn moved(&self, clock: i64, offset: i64) -> Option<Found> {
        let at = clock - offset;
        let natural = self.pattern.matches(at + self.offset(at)?);
        Some((at, (!natural).then_some(DstNote::Gap)))
    }

    fn offset(&self, at: i64) -> Option<i64> {
        offset(self.zone, at)
    }

    fn shown(&self, clock: i64) -> Option<Shown> {
        shown(self.zone, clock)
    }

    /// The instant of the clock change after `first`, at `second` at the latest.
    fn change_between(&self, first: i64, second: i64) -> Option<i64> {
        let old = self.offset(first)?;
        let (mut low, mut high) = (first, second);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.offset(middle)? == old { low = middle } else { high = middle }
        }
        Some(high)
    }
}

/// What the zone's clock is ahead of UTC at an instant.
pub(super) fn offset(zone: Tz, at: i64) -> Option<i64> {
    let at = DateTime::from_timestamp(at, 0)?.naive_utc();
    Some(i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc()))
}

/// The first instant at which the zone's clock shows this time or, where it jumps over it, a later
/// one.
pub(super) fn first_shown(zone: Tz, clock: i64) -> Option<i64> {
    Some(match shown(zone, clock)? {
        Shown::Once(at) => at,
        Shown::Twice { first, .. } => first,
        Shown::Never { jump, .. } => jump,
    })
}

fn shown(zone: Tz, clock: i64) -> Option<Shown> {
    let local = DateTime::from_timestamp(clock, 0)?.naive_utc();
    let seconds = |offset: &chrono_tz::TzOffset| i64::from(offset.fix().local_minus_utc());
    Some(match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) => Shown::Once(clock - seconds(&offset)),
        MappedLocalTime::Ambiguous(a, b) => {
            Shown::Twice { first: clock - seconds(&a), second: clock - seconds(&b) }
        }
        MappedLocalTime::None => {
            let (start, offset) = GapInfo::new(&local, &zone)?.begin?;
            let offset = seconds(&offset);
            Shown::Never { jump: start.and_utc().timestamp() - offset, offset }
        }
    })
}

fn earlier(a: Option<Found>, b: Option<Found>) -> Option<Found> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}
