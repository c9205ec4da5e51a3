//! What an answer that is no success means.

use spark_events::domain::failure::{Failure, FailureClass, cut};
use spark_events::domain::http_request::Unmet;
use spark_events::limits::ERROR_BODY_BYTES_MAX;

use crate::connection::Answer;

/// The failure that an answer with a status stands for that is not accepted.
pub(super) fn refusal(url: &str, answer: &Answer) -> Failure {
    let status = answer.status;
    let class = class_of(status);
    let message = match (class, answer.location.as_deref()) {
        (_, Some(to)) if (300..400).contains(&status) => format!(
            "{url} sends its callers on to {to}, which is another server, where the key is not \
             taken; give the address that answers itself"
        ),
        (FailureClass::Auth, _) => format!("{url} refused the key ({status})"),
        (FailureClass::NotFound, _) => format!("{url} has nothing at this path ({status})"),
        (FailureClass::RateLimit, _) => format!("{url} is busy and asks to wait ({status})"),
        (FailureClass::BadInput, _) => format!("{url} refused the request ({status})"),
        (FailureClass::Timeout, _) => {
            format!("{url} ended the request at its own time limit ({status})")
        }
        (FailureClass::BadAnswer, _) => {
            format!("{url} answered {status}, which success.status does not accept")
        }
        _ => format!("{url} answered {status}"),
    };
    let mut failure = Failure::new(class, message);
    failure.status = Some(status);
    failure.retry_after_ms = answer.retry_after_ms;
    failure.body = start_of(&answer.body);
    failure
}

fn class_of(status: u16) -> FailureClass {
    match status {
        401 | 403 => FailureClass::Auth,
        404 | 410 => FailureClass::NotFound,
        408 => FailureClass::Timeout,
        429 | 503 => FailureClass::RateLimit,
        400..=499 => FailureClass::BadInput,
        0..=399 => FailureClass::BadAnswer,
        _ => FailureClass::Upstream,
    }
}

/// An answer that says itself that the run failed is the server's failure; one without the value
/// that was looked for is another answer than expected.
pub(super) fn class_of_unmet(unmet: &Unmet) -> FailureClass {
    match unmet {
        Unmet::Rule { .. } => FailureClass::Upstream,
        Unmet::NotJson(..) | Unmet::NoOutput(..) => FailureClass::BadAnswer,
    }
}

/// The start of a body, as much as is kept.
pub(super) fn start_of(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    // A little more than is kept, so that the cut is marked.
    let start = &body[..body.len().min(ERROR_BODY_BYTES_MAX + 4)];
    let mut text = String::from_utf8_lossy(start).into_owned();
    cut(&mut text, ERROR_BODY_BYTES_MAX);
    Some(text)
}
