//! What happens to a start while an earlier task of the same schedule is still open. Names and
//! rules are Temporal's (`service/worker/scheduler/buffer.go`), because users know them.

use serde::{Deserialize, Serialize};

/// The overlap policy of a schedule, or of a single start.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
pub enum Overlap {
    /// Drop it and record that.
    #[default]
    Skip,
    /// Let the first one wait until nothing is open, drop the ones after it.
    BufferOne,
    /// Let all of them wait, and run them one after another.
    BufferAll,
    /// Cancel what is open, and start when that has ended.
    CancelOther,
    /// The same, without waiting for the source to confirm the stop.
    TerminateOther,
    /// Start it beside what is open.
    AllowAll,
}

impl Overlap {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 6] = [
        Self::Skip,
        Self::BufferOne,
        Self::BufferAll,
        Self::CancelOther,
        Self::TerminateOther,
        Self::AllowAll,
    ];

    /// As it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "Skip",
            Self::BufferOne => "BufferOne",
            Self::BufferAll => "BufferAll",
            Self::CancelOther => "CancelOther",
            Self::TerminateOther => "TerminateOther",
            Self::AllowAll => "AllowAll",
        }
    }
}

/// What becomes of one start in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Start it now.
    Start,
    /// Let it wait for the end of what is open.
    Wait,
    /// Drop it: something is in its way.
    Drop,
    /// Drop it: a newer start, this one by its place in the pass, takes its place.
    ReplacedBy(usize),
}

/// How open tasks are to be stopped, to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Ask the source to stop them.
    Cancel,
    /// Record their end at once.
    Terminate,
}

/// Decides about all starts that are pending, in the order of their nominal instants. `running`
/// says whether a task of the schedule is open.
///
/// Where this pass stops what is open, even starts of [`Overlap::AllowAll`] wait for the next one.
#[must_use]
pub fn admit(pending: &[Overlap], running: bool) -> (Vec<Admission>, Option<Stop>) {
    let mut admissions = vec![Admission::Drop; pending.len()];
    let mut chosen: Option<usize> = None;
    let mut waiting = 0_usize;
    let mut stop = None;
    for (place, overlap) in pending.iter().enumerate() {
        if *overlap == Overlap::AllowAll {
            admissions[place] = Admission::Start;
            continue;
        }
        if !running && chosen.is_none() {
            chosen = Some(place);
            admissions[place] = Admission::Start;
            continue;
        }
        admissions[place] = match overlap {
            Overlap::Skip => Admission::Drop,
            Overlap::BufferOne if waiting > 0 => Admission::Drop,
            Overlap::BufferOne | Overlap::BufferAll => Admission::Wait,
            Overlap::CancelOther | Overlap::TerminateOther if running => {
                let force = *overlap == Overlap::TerminateOther;
                stop = stop.max(Some(if force { Stop::Terminate } else { Stop::Cancel }));
                Admission::Wait
            }
            // Its rival has not started yet: there is nothing to stop, it just takes its place.
            Overlap::CancelOther | Overlap::TerminateOther => {
                if let Some(rival) = chosen.replace(place) {
                    admissions[rival] = Admission::ReplacedBy(place);
                }
                Admission::Start
            }
            Overlap::AllowAll => Admission::Start,
        };
        if admissions[place] == Admission::Wait {
            waiting += 1;
        }
    }
    if stop.is_some() {
        for admission in &mut admissions {
            if *admission == Admission::Start {
                *admission = Admission::Wait;
            }
        }
    }
    (admissions, stop)
}

#[cfg(test)]
mod tests {
    use super::Admission::{Drop, ReplacedBy, Start, Wait};
    use super::Overlap::{AllowAll, BufferAll, BufferOne, CancelOther, Skip, TerminateOther};
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(running: bool, pending: &[Overlap], expected: &[Admission], stop: Option<Stop>) {
        assert_eq!(admit(pending, running), (expected.to_vec(), stop), "{pending:?}");
    }

    #[test]
    fn with_nothing_open_the_first_one_starts_whatever_its_policy() {
        for overlap in Overlap::ALL {
            check(false, &[overlap], &[Start], None);
        }
        check(false, &[Skip, Skip], &[Start, Drop], None);
        check(false, &[BufferOne, BufferOne, BufferOne], &[Start, Wait, Drop], None);
        check(false, &[BufferAll, BufferAll, BufferAll], &[Start, Wait, Wait], None);
        check(false, &[AllowAll, AllowAll], &[Start, Start], None);
        check(false, &[AllowAll, Skip], &[Start, Start], None);
    }

    #[test]
    fn with_something_open_the_policy_decides() {
        check(true, &[Skip], &[Drop], None);
        check(true, &[BufferOne, BufferOne], &[Wait, Drop], None);
        check(true, &[BufferAll, BufferAll], &[Wait, Wait], None);
        check(true, &[CancelOther], &[Wait], Some(Stop::Cancel));
        check(true, &[TerminateOther], &[Wait], Some(Stop::Terminate));
        check(true, &[AllowAll], &[Start], None);
    }

    #[test]
    fn a_newer_one_replaces_a_rival_that_has_not_started() {
        check(false, &[CancelOther, CancelOther], &[ReplacedBy(1), Start], None);
        let three = [Skip, TerminateOther, CancelOther];
        check(false, &three, &[ReplacedBy(1), ReplacedBy(2), Start], None);
    }

    #[test]
    fn terminate_outweighs_cancel_and_a_stop_holds_everything_back() {
        let pending = [CancelOther, TerminateOther, AllowAll];
        check(true, &pending, &[Wait, Wait, Wait], Some(Stop::Terminate));
    }

    /// The rules again, start by start, as sentences.
    fn model(pending: &[Overlap], running: bool) -> (Vec<Admission>, Option<Stop>) {
        let stop = pending.iter().filter(|_| running).filter_map(|overlap| match overlap {
            CancelOther => Some(Stop::Cancel),
            TerminateOther => Some(Stop::Terminate),
            Skip | BufferOne | BufferAll | AllowAll => None,
        });
        let stop = stop.max();
        let takes_over = |overlap: &Overlap| matches!(overlap, CancelOther | TerminateOther);
        let first = pending.iter().position(|overlap| *overlap != AllowAll);
        let later: Vec<usize> = (0..pending.len())
            .filter(|place| !running && Some(*place) > first && takes_over(&pending[*place]))
            .collect();
        let admission = |place: usize| {
            let overlap = pending[place];
            let is_contender =
                !running && (Some(place) == first || later.contains(&place)) && overlap != AllowAll;
            if is_contender {
                let successor = later.iter().find(|later| **later > place);
                return successor.map_or(Start, |next| ReplacedBy(*next));
            }
            let buffered_before = || {
                (0..place).any(|before| match pending[before] {
                    BufferOne | BufferAll => running || Some(before) != first,
                    CancelOther | TerminateOther => running,
                    Skip | AllowAll => false,
                })
            };
            match overlap {
                AllowAll if stop.is_some() => Wait,
                AllowAll => Start,
                Skip => Drop,
                BufferOne if buffered_before() => Drop,
                BufferOne | BufferAll | CancelOther | TerminateOther => Wait,
            }
        };
        ((0..pending.len()).map(admission).collect(), stop)
    }

    proptest! {
        #[test]
        fn every_pass_agrees_with_the_rules_as_sentences(
            pending in prop::collection::vec(prop::sample::select(Overlap::ALL.to_vec()), 0..12),
            running in any::<bool>(),
        ) {
            prop_assert_eq!(admit(&pending, running), model(&pending, running));
        }
    }
}
