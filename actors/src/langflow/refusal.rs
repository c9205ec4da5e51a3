//! What an answer other than success means: the class, LangFlow's own words, the component that
//! failed. Pure; one function per shape of answer that LangFlow has.

use serde_json::Value;
use spark_events::domain::failure::{Failure, FailureClass, cut};
use spark_events::limits::ERROR_BODY_BYTES_MAX;

use super::http::Answer;

/// Where LangFlow's own words are in an error body. `detail` may be an object, a text, a text
/// that holds JSON, or a list; with LangFlow's web pages on, an object loses its `detail`.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// Such as `JOB_FAILED`.
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// v1 puts the error of a run as JSON into a text.
    pub(super) is_run_error: bool,
    /// v2's error of a run, as a chat message.
    pub(super) error_detail: Option<Value>,
}

impl Details {
    pub(super) fn of(body: &[u8]) -> Self {
        let Ok(mut body) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        match body.get_mut("detail").map(Value::take) {
            Some(Value::String(text)) => Self::of_text(text),
            Some(Value::Array(problems)) => Self::of_problems(&problems),
            Some(mut detail @ Value::Object(_)) => Self::of_object(&mut detail),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {
                Self::of_object(&mut body)
            }
        }
    }

    fn of_text(text: String) -> Self {
        let run_error = serde_json::from_str::<Value>(&text).ok();
        match run_error.as_ref().and_then(|error| error.get("message")).and_then(Value::as_str) {
            Some(message) => {
                Self { message: Some(message.to_owned()), is_run_error: true, ..Self::default() }
            }
            None => Self { message: Some(text), ..Self::default() },
        }
    }

    fn of_object(detail: &mut Value) -> Self {
        let text = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            code: text("code"),
            message: text("message").or_else(|| text("error")),
            is_run_error: false,
            error_detail: detail.get_mut("error_detail").map(Value::take),
        }
    }

    /// FastAPI's list of what is wrong with a request.
    fn of_problems(problems: &[Value]) -> Self {
        let describe = |problem: &Value| {
            let message = problem.get("msg").and_then(Value::as_str).unwrap_or("not valid");
            let place = problem.get("loc").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let place: Vec<String> = place
                .iter()
                .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
                .collect();
            format!("{}: {message}", place.join("."))
        };
        let all: Vec<String> = problems.iter().map(describe).collect();
        Self { message: Some(all.join("; ")), ..Self::default() }
    }
}

/// The failure that an answer stands for, which is no success or not in JSON.
pub(super) fn refusal(url: &str, answer: &Answer) -> Failure {
    let details = if answer.is_json() { Details::of(&answer.body) } else { Details::default() };
    let mut failure = if details.is_run_error && answer.status == 500 {
        run_error(details.message.as_deref().unwrap_or_default())
    } else {
        let class = class_of(answer, &details);
        let message = sentence(url, answer, class, details.message.as_deref());
        Failure::new(class, message)
    };
    failure.status = Some(answer.status);
    failure.retry_after_ms = answer.retry_after_ms;
    if details.message.is_none() && !answer.body.is_empty() {
        failure.body = Some(start_of(&answer.body));
    }
    failure
}

fn class_of(answer: &Answer, details: &Details) -> FailureClass {
    let message = details.message.as_deref().unwrap_or_default();
    match answer.status {
        401 | 403 => FailureClass::Auth,
        404 if answer.is_json() => FailureClass::NotFound,
        // Somebody else's 404: LangFlow's own are JSON (its old ones a page under 200).
        404 | 200..=399 => FailureClass::BadAnswer,
        408 => FailureClass::Timeout,
        429 | 503 => FailureClass::RateLimit,
        400 if message.contains("Human-in-the-Loop") => FailureClass::NeedsPerson,
        400..=499 => FailureClass::BadInput,
        _ => FailureClass::Upstream,
    }
}

fn sentence(url: &str, answer: &Answer, class: FailureClass, own: Option<&str>) -> String {
    let status = answer.status;
    let what = match (class, answer.location.as_deref()) {
        (_, Some(to)) if (300..400).contains(&status) => {
            return format!(
                "{url} sends its callers on to {to}, where the key is not taken; give the \
                 address that answers itself"
            );
        }
        (FailureClass::Auth, _) => format!("{url} refused the API key ({status})"),
        (FailureClass::NotFound, _) => format!("{url} answered \"not found\" ({status})"),
        (FailureClass::RateLimit, _) => format!("{url} is busy and asks to wait ({status})"),
        (FailureClass::NeedsPerson, _) => "the flow waits for a person".to_owned(),
        (FailureClass::Timeout, _) => {
            format!("{url} ended the run at its own time limit ({status})")
        }
        (FailureClass::BadInput, _) => format!("{url} refused the request ({status})"),
        (FailureClass::BadAnswer, _) => {
            format!("{url} answered {status} with {} instead of LangFlow's JSON", kind(answer))
        }
        _ if !answer.is_json() => format!(
            "{url} answered {status} with {}; a proxy in front of LangFlow may be the one that \
             answers",
            kind(answer)
        ),
        _ => format!("{url} answered {status}"),
    };
    match own {
        Some(own) => format!("{what}: {own}"),
        None if class == FailureClass::BadAnswer && is_page(answer) => format!(
            "{what}; the URL may be a proxy's or a login page's, or the flow is unknown to a \
             LangFlow up to 1.7"
        ),
        None => what,
    }
}

fn is_page(answer: &Answer) -> bool {
    answer.content_type.starts_with("text/html")
}

fn kind(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    if is_page(answer) {
        let title = body.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        return match title.map(|(title, _)| title.trim()).filter(|title| !title.is_empty()) {
            Some(title) if title.len() <= 100 => format!("a web page ({title:?})"),
            Some(_) | None => "a web page".to_owned(),
        };
    }
    match answer.content_type.split(';').next() {
        None | Some("") => "nothing".to_owned(),
        Some(other) => other.to_owned(),
    }
}

fn start_of(body: &[u8]) -> String {
    // A little more than is kept, so that the cut is marked.
    let start = &body[..body.len().min(ERROR_BODY_BYTES_MAX + 4)];
    let mut text = String::from_utf8_lossy(start).into_owned();
    cut(&mut text, ERROR_BODY_BYTES_MAX);
    text
}

/// A traceback's point is at its end.
fn end_of(trace: &str) -> String {
    const MARK: &str = "(cut) ... ";
    if trace.len() <= ERROR_BODY_BYTES_MAX {
        return trace.to_owned();
    }
    let mut from = trace.len() - (ERROR_BODY_BYTES_MAX - MARK.len());
    while !trace.is_char_boundary(from) {
        from += 1;
    }
    format!("{MARK}{}", &trace[from..])
}

/// The failure of a run from LangFlow's message about it, which names the component where one
/// raised the error: `Error running graph: Error building Component X: \n\n<its message>`.
pub(super) fn run_error(message: &str) -> Failure {
    let rest = message.strip_prefix("Error running graph: ").unwrap_or(message);
    let named = rest.strip_prefix("Error building Component ").and_then(|r| r.split_once(": \n\n"));
    let (component, own) = match named {
        Some((component, own)) => (Some(component.to_owned()), own),
        None => (None, rest),
    };
    let own = own.trim();
    let own = if own.is_empty() { "the component gave no message" } else { own };
    // Only v1's plain answer has a status of its own for this.
    let is_refusal = component.is_none() && own.starts_with("Refused tweak");
    let class = if is_refusal { FailureClass::BadInput } else { FailureClass::Component };
    let mut failure = Failure::new(class, own);
    failure.component = component;
    failure
}

/// The failure of a run from a chat message of category `error`, as v1 streams and v2 keeps it.
/// `None` where it has no text.
pub(super) fn error_message(message: &Value) -> Option<Failure> {
    let text = message.get("text").and_then(Value::as_str)?.trim();
    if text.is_empty() {
        return None;
    }
    let mut failure = run_error(text);
    let at = |path: &str| message.pointer(path).and_then(Value::as_str).filter(|t| !t.is_empty());
    let component = at("/properties/source/display_name")
        .or_else(|| at("/properties/source/id"))
        .or_else(|| at("/sender_name"));
    failure.component = component.map(str::to_owned).or(failure.component);
    failure.body = traceback(message).map(end_of);
    Some(failure)
}

fn traceback(message: &Value) -> Option<&str> {
    let at = |path: &str| message.pointer(path).and_then(Value::as_str);
    // Up to 1.12 a block has its contents directly, then groups came between.
    at("/content_blocks/0/contents/0/traceback")
        .or_else(|| at("/content_blocks/0/contents/0/contents/0/traceback"))
        .filter(|trace| !trace.is_empty())
}
