//! What becomes of a running attempt whose worker is not there any more.

use super::{Attempt, CallMode};
use crate::domain::failure::{Failure, FailureClass};

/// In which way a worker left its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It has been silent for too long. It may be alive, and go on with what it had.
    Lost,
    /// Its process ended and another took its place: nobody follows what it had.
    Replaced,
    /// It left in good order, or gave this attempt back.
    Left,
}

/// What becomes of one of its attempts.
#[derive(Debug, Clone, PartialEq)]
pub enum HandOver {
    /// Its background job lives on at the source: the attempt goes on with another worker.
    TakeUpAgain,
    /// It ends.
    Fail(Failure),
}

impl Attempt {
    /// What becomes of this attempt. A background job outlives its worker; but where the worker may
    /// still be alive, the attempt ends, so that its late answer counts for nothing, and the next
    /// attempt finds the job by the key that it continues.
    #[must_use]
    pub fn hand_over(&self, end: WorkerEnd) -> HandOver {
        let worker = self.worker_id;
        let fail = |class, message: String| HandOver::Fail(Failure::new(class, message));
        match (end, self.mode) {
            (WorkerEnd::Replaced | WorkerEnd::Left, CallMode::Background) => HandOver::TakeUpAgain,
            (WorkerEnd::Lost, _) => fail(
                FailureClass::WorkerLost,
                format!("worker {worker} was not heard of any more in the middle of the attempt"),
            ),
            (WorkerEnd::Replaced, CallMode::Direct) => fail(
                FailureClass::WorkerLost,
                format!("the process of worker {worker} ended in the middle of the attempt"),
            ),
            (WorkerEnd::Left, CallMode::Direct) => fail(
                FailureClass::Interrupted,
                format!("worker {worker} was stopped in the middle of the attempt"),
            ),
        }
    }
}
