//! What a message says: made to be understood at three in the morning. What happened, to what,
//! since when, what to do, and which command shows more.

use serde_json::{Map, Value, json};

use super::{About, AlertKind, Cause, Gathered, Trouble, What};
use crate::clock::Timestamp;
use crate::domain::retry::GiveUp;
use crate::ids::AlertId;
use crate::limits::ALERT_TITLE_CHARS_MAX;

/// An instant as it stands in messages: RFC 3339 in UTC with microseconds, as everywhere.
fn instant(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The first characters of a text, in one line where it is to be a title.
pub(super) fn cut(text: &str, chars: usize) -> String {
    let mut short: String = text.chars().take(chars).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn one_line(text: &str) -> String {
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), ALERT_TITLE_CHARS_MAX)
}

fn envelope(kind: AlertKind, at: Timestamp, data: Value) -> Value {
    json!({ "type": kind.message_type(), "timestamp": instant(at), "data": data })
}

/// The message about one thing.
pub(super) fn about_one(alert: AlertId, name: &str, cause: &Cause) -> Value {
    let mut data = details(cause);
    data.insert("alert".into(), json!({ "id": alert, "name": name }));
    envelope(cause.kind, cause.event.recorded_at, Value::Object(data))
}

/// The message about many things of a kind.
pub(super) fn about_many(
    alert: AlertId,
    name: &str,
    kind: AlertKind,
    gathered: &Gathered,
    at: Timestamp,
) -> Value {
    let first_at = gathered.first.front().map(|cause| cause.event.recorded_at);
    let last_at = gathered.last.map(|(_, at)| at);
    let examples: Vec<Value> = gathered.first.iter().map(example).collect();
    let title = format!("{} {}", gathered.count, plural(kind));
    let mut data = Map::new();
    data.insert("title".into(), title.into());
    data.insert("count".into(), gathered.count.into());
    if let Some((first, last)) = first_at.zip(last_at) {
        data.insert("first_at".into(), instant(first).into());
        data.insert("last_at".into(), instant(last).into());
    }
    if !gathered.classes.is_empty() {
        data.insert("classes".into(), json!(gathered.classes));
    }
    data.insert("look".into(), list_command(kind).into());
    data.insert("examples".into(), examples.into());
    data.insert("alert".into(), json!({ "id": alert, "name": name }));
    envelope(kind, at, Value::Object(data))
}

/// The message of a test.
#[must_use]
pub fn test_body(alert: AlertId, name: &str, at: Timestamp) -> Value {
    let data = json!({
        "title": format!("test of the alert {name}: if you read this, messages arrive"),
        "remedy": "nothing to do",
        "look": format!("automagik alert deliveries {alert}"),
        "alert": { "id": alert, "name": name },
    });
    envelope(AlertKind::Test, at, data)
}

fn example(cause: &Cause) -> Value {
    let mut example = Map::new();
    example.insert("title".into(), title(cause).into());
    if let Some(id) = cause.about.task_id {
        example.insert("task_id".into(), json!(id));
    }
    example.insert("at".into(), instant(cause.event.recorded_at).into());
    example.insert("position".into(), json!(cause.event.position));
    Value::Object(example)
}

fn details(cause: &Cause) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("title".into(), title(cause).into());
    data.insert("remedy".into(), remedy(cause).into());
    data.insert("look".into(), look(cause).into());
    let about = serde_json::to_value(&cause.about);
    if let Ok(Value::Object(about)) = about {
        data.extend(about);
    }
    match &cause.what {
        What::Failed { failure, attempts, why, since, failures } => {
            data.insert("failure".into(), trouble(failure));
            data.insert("attempts".into(), json!(attempts));
            data.insert("why".into(), json!(why));
            data.insert("since".into(), instant(*since).into());
            data.insert("failures".into(), json!(failures));
        }
        What::Completed { since, failures } => {
            data.insert("since".into(), instant(*since).into());
            data.insert("failures".into(), json!(failures));
        }
        What::Skipped { first_due_at, last_due_at, count, reason } => {
            data.insert("first_due_at".into(), instant(*first_due_at).into());
            data.insert("last_due_at".into(), instant(*last_due_at).into());
            data.insert("count".into(), json!(count));
            data.insert("reason".into(), reason.clone().into());
        }
        What::Paused { note } => {
            data.insert("reason".into(), note.clone().into());
        }
        What::Lost { reason, built_in, hostname, pid } => {
            data.insert("reason".into(), reason.clone().into());
            data.insert("built_in".into(), json!(built_in));
            if let Some(hostname) = hostname {
                data.insert("hostname".into(), hostname.clone().into());
            }
            data.insert("pid".into(), json!(pid));
        }
        What::Down { failure } => {
            data.insert("failure".into(), trouble(failure));
            data.insert("since".into(), instant(cause.event.recorded_at).into());
        }
        What::Up { since } => {
            data.insert("since".into(), instant(*since).into());
        }
    }
    let event = &cause.event;
    data.insert(
        "event".into(),
        json!({
            "id": event.id, "type": event.event_type, "stream": event.stream,
            "position": event.position, "recorded_at": instant(event.recorded_at),
        }),
    );
    data
}

fn trouble(failure: &Trouble) -> Value {
    json!(failure)
}

/// What it is about, in words: the schedule, else the flow.
fn subject(about: &About) -> String {
    match (&about.schedule, &about.flow) {
        (Some(schedule), Some(flow)) => format!("schedule {schedule} (flow {flow})"),
        (Some(schedule), None) => format!("schedule {schedule}"),
        (None, Some(flow)) => format!("flow {flow}"),
        (None, None) => "something that is not known any more".to_owned(),
    }
}

fn title(cause: &Cause) -> String {
    let about = &cause.about;
    let text = match &cause.what {
        What::Failed { failure, attempts, failures, .. } => {
            let component = failure.component.as_deref();
            let component = component.map(|c| format!(" in {c}")).unwrap_or_default();
            let row = if *failures > 1 { format!(", {failures} in a row") } else { String::new() };
            format!(
                "{} failed after {attempts} attempt{}{row}: {}{component}: {}",
                subject(about),
                if *attempts == 1 { "" } else { "s" },
                failure.class,
                failure.message
            )
        }
        What::Completed { failures, .. } => format!(
            "{} recovered: a task completed after {failures} failed one{}",
            subject(about),
            if *failures == 1 { "" } else { "s" }
        ),
        What::Skipped { count, reason, .. } => format!(
            "{} started nothing at {count} due instant{}: {reason}",
            subject(about),
            if *count == 1 { "" } else { "s" }
        ),
        What::Paused { note } => format!("{} paused itself: {note}", subject(about)),
        What::Lost { reason, built_in, hostname, pid } => {
            let worker = about.worker.as_ref().map(ToString::to_string).unwrap_or_default();
            let host = hostname.as_ref().filter(|host| *built_in || **host != worker);
            let on = host.map(|host| format!(" on {host}")).unwrap_or_default();
            if *built_in {
                format!(
                    "the server{on} (pid {pid}) ended without being stopped, and its built-in worker with it; a server runs again since"
                )
            } else {
                format!("worker {worker}{on} (pid {pid}) is lost: {reason}")
            }
        }
        What::Down { failure } => {
            let source = about.source.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("source {source} is down: {}: {}", failure.class, failure.message)
        }
        What::Up { since } => {
            let source = about.source.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("source {source} answers again; it was down since {}", instant(*since))
        }
    };
    one_line(&text)
}

fn remedy(cause: &Cause) -> &'static str {
    match &cause.what {
        What::Failed { why: GiveUp::QueueTimeout, .. } => {
            "no attempt started in time: raise the limits of runs at once (automagik source \
             update, flow update), or the queue timeout"
        }
        What::Failed { failure, .. } => {
            // For an attempt this means "the next one starts"; here there is none any more.
            if failure.class == crate::domain::failure::FailureClass::Interrupted {
                "find out why the process or the worker ended, then: automagik task retry ID"
            } else {
                failure.class.remedy()
            }
        }
        What::Down { failure } => failure.class.remedy(),
        What::Completed { .. } | What::Up { .. } => "nothing to do",
        What::Skipped { .. } => {
            "automagik why SCHEDULE INSTANT says more; to make up for it: automagik schedule \
             backfill"
        }
        What::Paused { .. } => "mend what failed, then: automagik schedule resume SCHEDULE",
        What::Lost { built_in: true, .. } => {
            "find out why it ended (killed, out of memory, power); attempts under way were taken \
             up or tried again"
        }
        What::Lost { built_in: false, .. } => {
            "look whether its host and process are there; its attempts are tried again elsewhere"
        }
    }
}

fn look(cause: &Cause) -> String {
    let about = &cause.about;
    match cause.kind {
        AlertKind::TaskFailed | AlertKind::TaskRecovered => match about.task_id {
            Some(id) => format!("automagik task show {id}"),
            None => list_command(cause.kind).to_owned(),
        },
        AlertKind::OccurrenceMissed | AlertKind::OccurrenceSkipped | AlertKind::SchedulePaused => {
            match &about.schedule {
                Some(schedule) => format!("automagik schedule show {}", schedule.id),
                None => list_command(cause.kind).to_owned(),
            }
        }
        AlertKind::WorkerLost => match &about.worker {
            Some(worker) => format!("automagik history worker {}", worker.id),
            None => list_command(cause.kind).to_owned(),
        },
        AlertKind::SourceDown | AlertKind::SourceRecovered => match &about.source {
            Some(source) => format!("automagik source show {}", source.id),
            None => list_command(cause.kind).to_owned(),
        },
        AlertKind::Test => list_command(cause.kind).to_owned(),
    }
}

fn plural(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::TaskFailed => "tasks failed",
        AlertKind::TaskRecovered => "schedules or flows recovered",
        AlertKind::OccurrenceMissed => "times due instants came too late and started nothing",
        AlertKind::OccurrenceSkipped => "times due instants were skipped",
        AlertKind::SchedulePaused => "schedules paused themselves",
        AlertKind::WorkerLost => "workers were lost",
        AlertKind::SourceDown => "times a source went down",
        AlertKind::SourceRecovered => "times a source answered again",
        AlertKind::Test => "tests",
    }
}

fn list_command(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::TaskFailed => "automagik task list --status failed",
        AlertKind::TaskRecovered => "automagik task list --status completed",
        AlertKind::OccurrenceMissed | AlertKind::OccurrenceSkipped | AlertKind::SchedulePaused => {
            "automagik schedule list"
        }
        AlertKind::WorkerLost => "automagik worker list",
        AlertKind::SourceDown | AlertKind::SourceRecovered => "automagik source list",
        AlertKind::Test => "automagik alert list",
    }
}
