//! What the bodies of runs and schedules share: input, tweaks, retries, durations. Checks shape and
//! nothing else; the rules are the domain's.

use serde::Deserialize;
use serde_json::Value;
use spark_actors::RunOptions;
use spark_events::domain::recurrence::parse_every;
use spark_events::domain::retry::RetryPolicy;
use spark_events::limits;

use crate::error::{ApiError, FieldError};

/// The shared fields, taken out of a body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionsBody {
    /// The input text.
    pub input: Option<String>,
    /// `{component id: {field: value}}`.
    pub tweaks: Option<Value>,
    /// The retry policy, as far as it differs from the default.
    pub retry: Option<RetryBody>,
    /// Attempts after the first one: the short form of `retry.attempts_max`.
    pub max_retries: Option<u32>,
    /// The longest time of an attempt, such as `10m`.
    pub timeout: Option<String>,
    /// The same in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Higher ones start first within a source.
    pub priority: Option<i32>,
    /// The longest wait until an attempt starts, such as `10m`.
    pub queue_timeout: Option<String>,
    /// The same in milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// The longest time over all attempts and waits, such as `1h`.
    pub total_timeout: Option<String>,
    /// The same in milliseconds.
    pub total_timeout_ms: Option<u64>,
}

/// A retry policy. What is absent is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryPart)]
pub struct RetryBody {
    /// The delay after the first attempt.
    pub initial_ms: Option<u64>,
    /// The factor from one delay to the next, in hundredths.
    pub coefficient_percent: Option<u32>,
    /// The longest delay.
    pub maximum_ms: Option<u64>,
    /// All attempts together, the first one included.
    pub attempts_max: Option<u32>,
}

/// What is wrong with a body, collected so that the caller hears of everything at once.
#[derive(Debug, Default)]
pub(crate) struct Wrong(Vec<FieldError>);

impl Wrong {
    /// Adds one field.
    pub(crate) fn push(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a part, or its errors added to these.
    pub(crate) fn take<T>(&mut self, part: Result<T, Vec<FieldError>>) -> Option<T> {
        part.map_err(|errors| self.0.extend(errors)).ok()
    }

    /// The value, where nothing was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

impl From<Wrong> for Vec<FieldError> {
    fn from(wrong: Wrong) -> Self {
        wrong.0
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl TryFrom<OptionsBody> for RunOptions {
    type Error = Vec<FieldError>;

    fn try_from(body: OptionsBody) -> Result<Self, Self::Error> {
        let mut wrong = Wrong::default();
        let input = body.input.unwrap_or_default();
        if input.len() > limits::TASK_INPUT_BYTES_MAX {
            let (bytes, max) = (input.len(), limits::TASK_INPUT_BYTES_MAX);
            wrong.push("input", format!("is {bytes} bytes long, at most {max} are allowed"));
        }
        let tweaks = body.tweaks.filter(|tweaks| !tweaks.is_null());
        if tweaks.as_ref().is_some_and(|tweaks| !tweaks.is_object()) {
            wrong.push("tweaks", "must be an object: {\"component id\": {\"field\": value}}");
        }
        let retry = wrong.take(retry_policy(body.retry, body.max_retries)).flatten();
        let timeout_ms =
            wrong.take(duration_ms("timeout", body.timeout, body.timeout_ms)).flatten();
        let queue = duration_ms("queue_timeout", body.queue_timeout, body.queue_timeout_ms);
        let total = duration_ms("total_timeout", body.total_timeout, body.total_timeout_ms);
        let queue_timeout_ms = wrong.take(queue).flatten();
        let total_timeout_ms = wrong.take(total).flatten();
        let priority = body.priority;
        wrong.finish(Self {
            input,
            tweaks,
            retry,
            timeout_ms,
            priority,
            queue_timeout_ms,
            total_timeout_ms,
        })
    }
}

fn retry_policy(
    retry: Option<RetryBody>,
    max_retries: Option<u32>,
) -> Result<Option<RetryPolicy>, Vec<FieldError>> {
    if retry.is_none() && max_retries.is_none() {
        return Ok(None);
    }
    let body = retry.unwrap_or_default();
    if body.attempts_max.is_some() && max_retries.is_some() {
        return Err(both("max_retries", "retry.attempts_max"));
    }
    let ours = RetryPolicy::default();
    let initial_ms = body.initial_ms.unwrap_or(ours.initial_ms);
    let attempts = max_retries.map(|retries| retries.saturating_add(1)).or(body.attempts_max);
    Ok(Some(RetryPolicy {
        initial_ms,
        coefficient_percent: body.coefficient_percent.unwrap_or(ours.coefficient_percent),
        // A long first delay alone is no contradiction to a bound that nobody named.
        maximum_ms: body.maximum_ms.unwrap_or(ours.maximum_ms.max(initial_ms)),
        attempts_max: attempts.unwrap_or(ours.attempts_max),
    }))
}

/// A duration given as text or in milliseconds, at most one of both. `field` is the text's name;
/// the number's is `<field>_ms`.
pub(crate) fn duration_ms(
    field: &str,
    text: Option<String>,
    ms: Option<u64>,
) -> Result<Option<u64>, Vec<FieldError>> {
    match (text, ms) {
        (Some(_), Some(_)) => Err(both(field, &format!("{field}_ms"))),
        (Some(text), None) => match parse_every(&text) {
            Ok(ms) => Ok(Some(ms)),
            Err(error) => Err(vec![FieldError::new(field, error.to_string())]),
        },
        (None, ms) => Ok(ms),
    }
}

/// Two fields that mean the same thing.
pub(crate) fn both(one: &str, other: &str) -> Vec<FieldError> {
    vec![FieldError::new(one, format!("cannot be combined with {other}; give one of them"))]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_given_is_ours() {
        let options = RunOptions::try_from(OptionsBody::default()).unwrap();
        assert_eq!(options.input, "");
        assert_eq!((options.tweaks, options.retry, options.timeout_ms), (None, None, None));
    }

    #[test]
    fn retries_and_attempts_are_the_same_thing() {
        let with = |retry, max_retries| {
            let body = OptionsBody { retry, max_retries, ..OptionsBody::default() };
            RunOptions::try_from(body).unwrap().retry.unwrap()
        };
        assert_eq!(with(None, Some(0)).attempts_max, 1);
        assert_eq!(with(None, Some(3)), RetryPolicy::default());
        assert_eq!(with(None, Some(u32::MAX)).attempts_max, u32::MAX);
        let slow = RetryBody { initial_ms: Some(600_000), ..RetryBody::default() };
        assert_eq!(with(Some(slow), Some(1)).maximum_ms, 600_000);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let body = OptionsBody {
            input: Some("x".repeat(limits::TASK_INPUT_BYTES_MAX + 1)),
            tweaks: Some(json!([1])),
            retry: Some(RetryBody { attempts_max: Some(2), ..RetryBody::default() }),
            max_retries: Some(1),
            timeout: Some("90".to_owned()),
            ..OptionsBody::default()
        };
        let errors = RunOptions::try_from(body).unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["input", "tweaks", "max_retries", "timeout"]);
        assert!(errors[3].message.contains("has no unit"), "{}", errors[3].message);
    }

    #[test]
    fn durations_are_text_or_milliseconds() {
        let read = |text: Option<&str>, ms| duration_ms("timeout", text.map(str::to_owned), ms);
        assert_eq!(read(Some("1m30s"), None), Ok(Some(90_000)));
        assert_eq!(read(None, Some(5)), Ok(Some(5)));
        assert_eq!(read(None, None), Ok(None));
        assert!(read(Some("1m"), Some(5)).is_err());
    }
}
