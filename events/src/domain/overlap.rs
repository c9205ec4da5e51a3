//! What happens to a due instant while an earlier task of the same schedule is still open.

use serde::{Deserialize, Serialize};

use crate::ids::TaskId;

/// The overlap policy of a schedule. Names are Temporal's, because users know them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Overlap {
    /// Drop the occurrence and record it.
    #[default]
    Skip,
    /// Start it beside the running one.
    AllowAll,
}

/// What the policy says about one due instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Start it now.
    Start,
    /// Do not start it; this open task is in the way.
    SkipFor(TaskId),
}

impl Overlap {
    /// Decides about one due instant, given an open task of the same schedule, if there is one.
    #[must_use]
    pub fn admit(self, open: Option<TaskId>) -> Admission {
        match (self, open) {
            (Self::AllowAll, _) | (Self::Skip, None) => Admission::Start,
            (Self::Skip, Some(task)) => Admission::SkipFor(task),
        }
    }
}
