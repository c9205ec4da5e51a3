//! The retry rule: what follows a failed attempt. Source of the formula: Temporal's
//! `common/retrypolicy` (delay = initial x coefficient^(n-1), at most the maximum).

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::limits;

/// How often and how patiently a task is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetryPolicy {
    /// The delay after the first attempt.
    pub initial_ms: u64,
    /// The factor from one delay to the next, in hundredths (200 = 2.0).
    pub coefficient_percent: u32,
    /// The longest delay.
    pub maximum_ms: u64,
    /// All attempts together, the first one included; at least 1.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    /// Ours for LangFlow: 5 s, doubling, at most 5 min, 4 attempts (3 retries).
    fn default() -> Self {
        Self { initial_ms: 5_000, coefficient_percent: 200, maximum_ms: 300_000, attempts_max: 4 }
    }
}

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRetryPolicy {
    /// Fewer than one attempt, or more than the bound.
    #[error("attempts must be from 1 to {max}, got {0}", max = limits::ATTEMPTS_MAX)]
    Attempts(u32),
    /// A factor below 1.0.
    #[error("the backoff coefficient must be at least 1.0")]
    Coefficient,
    /// The longest delay is shorter than the first, or over the bound.
    #[error("the longest retry delay must be at least the first one and at most 7 days")]
    Maximum,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Try again after this delay.
    After {
        /// Milliseconds from the decision.
        delay_ms: u64,
    },
    /// No further attempt.
    GiveUp(GiveUp),
}

/// Why no further attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    /// The policy's attempts are used up.
    AttemptsExhausted,
    /// Another attempt would fail in the same way.
    NotRetryable,
    /// No attempt started within the task's queue timeout.
    QueueTimeout,
    /// The task's total timeout is over, or would be before another attempt could start.
    TotalTimeout,
}

impl RetryPolicy {
    /// Checks the relations between the fields.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn validate(&self) -> Result<(), BadRetryPolicy> {
        if self.attempts_max == 0 || self.attempts_max > limits::ATTEMPTS_MAX {
            return Err(BadRetryPolicy::Attempts(self.attempts_max));
        }
        if self.coefficient_percent < 100 {
            return Err(BadRetryPolicy::Coefficient);
        }
        if self.maximum_ms < self.initial_ms || self.maximum_ms > limits::RETRY_DELAY_MS_MAX {
            return Err(BadRetryPolicy::Maximum);
        }
        Ok(())
    }

    /// The longest delay after attempt `attempt` (from 1), before jitter.
    #[must_use]
    pub fn delay_cap_ms(&self, attempt: u32) -> u64 {
        let factor = f64::from(self.coefficient_percent) / 100.0;
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 ms")]
        let delay = self.initial_ms as f64 * factor.powi(exponent);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float-to-int cast saturates, and the result is capped below"
        )]
        let delay = delay as u64;
        delay.min(self.maximum_ms)
    }

    /// Decides what follows attempt `attempt` (from 1). `jitter_ppm` is a random number below
    /// 1,000,000 drawn by the caller: full jitter, so the delay lies anywhere in 0..=cap. A delay
    /// that the failure itself asks for is used instead, capped by the maximum and not jittered.
    /// `left_ms` is what is left of the task's total timeout, where it has one: an attempt that
    /// could not start within it is not made.
    #[must_use]
    pub fn decide(
        &self,
        attempt: u32,
        failure: &Failure,
        jitter_ppm: u32,
        left_ms: Option<u64>,
    ) -> RetryDecision {
        if !failure.class.is_retryable() {
            return RetryDecision::GiveUp(GiveUp::NotRetryable);
        }
        if left_ms == Some(0) {
            return RetryDecision::GiveUp(GiveUp::TotalTimeout);
        }
        if attempt >= self.attempts_max {
            return RetryDecision::GiveUp(GiveUp::AttemptsExhausted);
        }
        let delay_ms = match failure.retry_after_ms {
            Some(asked) => asked.min(self.maximum_ms),
            None => {
                let ppm = u128::from(jitter_ppm.min(1_000_000));
                let scaled = u128::from(self.delay_cap_ms(attempt)) * ppm / 1_000_000;
                u64::try_from(scaled).unwrap_or(self.maximum_ms)
            }
        };
        match left_ms {
            Some(left_ms) if delay_ms >= left_ms => RetryDecision::GiveUp(GiveUp::TotalTimeout),
            Some(_) | None => RetryDecision::After { delay_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::FailureClass;
    use super::*;

    fn failed(class: FailureClass) -> Failure {
        Failure::new(class, "no")
    }

    #[test]
    fn the_delay_doubles_up_to_the_maximum() {
        let policy = RetryPolicy { attempts_max: 100, ..RetryPolicy::default() };
        let caps: Vec<u64> = (1..=8).map(|n| policy.delay_cap_ms(n)).collect();
        assert_eq!(caps, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
        assert_eq!(policy.delay_cap_ms(u32::MAX), 300_000);
    }

    #[test]
    fn attempts_include_the_first_one() {
        let policy = RetryPolicy::default();
        let failure = failed(FailureClass::Component);
        assert_eq!(
            policy.decide(3, &failure, 500_000, None),
            RetryDecision::After { delay_ms: 10_000 }
        );
        assert_eq!(
            policy.decide(4, &failure, 0, None),
            RetryDecision::GiveUp(GiveUp::AttemptsExhausted)
        );
    }

    #[test]
    fn a_refused_key_is_not_tried_again() {
        assert_eq!(
            RetryPolicy::default().decide(1, &failed(FailureClass::Auth), 0, None),
            RetryDecision::GiveUp(GiveUp::NotRetryable)
        );
    }

    #[test]
    fn the_source_may_ask_for_its_own_delay() {
        let mut failure = failed(FailureClass::RateLimit);
        failure.retry_after_ms = Some(60_000);
        let policy = RetryPolicy::default();
        assert_eq!(policy.decide(1, &failure, 0, None), RetryDecision::After { delay_ms: 60_000 });
        failure.retry_after_ms = Some(u64::MAX);
        assert_eq!(policy.decide(1, &failure, 0, None), RetryDecision::After { delay_ms: 300_000 });
    }

    #[test]
    fn a_retry_that_would_start_after_the_total_timeout_is_not_made() {
        let (policy, failure) = (RetryPolicy::default(), failed(FailureClass::Component));
        let decide = |attempt, left| policy.decide(attempt, &failure, 1_000_000, Some(left));
        assert_eq!(decide(1, 5_001), RetryDecision::After { delay_ms: 5_000 });
        for (attempt, left) in [(1, 5_000), (1, 0), (4, 0)] {
            assert_eq!(decide(attempt, left), RetryDecision::GiveUp(GiveUp::TotalTimeout));
        }
        assert_eq!(decide(4, 5_001), RetryDecision::GiveUp(GiveUp::AttemptsExhausted));
        let hopeless = policy.decide(1, &failed(FailureClass::Auth), 0, Some(0));
        assert_eq!(hopeless, RetryDecision::GiveUp(GiveUp::NotRetryable));
    }

    #[test]
    fn policies_that_cannot_work_are_refused() {
        let ok = RetryPolicy::default();
        assert_eq!(ok.validate(), Ok(()));
        let zero = RetryPolicy { attempts_max: 0, ..ok.clone() };
        assert_eq!(zero.validate(), Err(BadRetryPolicy::Attempts(0)));
        let shrinking = RetryPolicy { coefficient_percent: 99, ..ok.clone() };
        assert_eq!(shrinking.validate(), Err(BadRetryPolicy::Coefficient));
        let inverted = RetryPolicy { maximum_ms: 1, ..ok };
        assert_eq!(inverted.validate(), Err(BadRetryPolicy::Maximum));
    }
}
