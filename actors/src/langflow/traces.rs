//! The log of a run, component by component, from the traces that LangFlow keeps (1.8 and later).
//! A log is a help, never a condition: what cannot be fetched in time is an empty log.

use std::time::Duration;

use serde::Deserialize;
use spark_events::Timestamp;
use spark_events::domain::failure::{Failure, FailureClass, cut};
use spark_events::domain::task::ComponentLog;
use spark_events::limits;

use super::LangFlow;
use super::http::segment;

/// A trace is written a moment after its run's answer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Per entry, so that a full log stays well below the bound of an event.
const ERROR_BYTES_MAX: usize = limits::EVENT_BYTES_MAX / limits::ATTEMPT_LOG_ENTRIES_MAX / 2;

#[derive(Deserialize)]
struct List {
    traces: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    name: Option<String>,
    status: Option<String>,
    start_time: Option<String>,
    latency_ms: Option<f64>,
    error: Option<String>,
    #[serde(default)]
    children: Vec<Span>,
}

/// The log of the run with this session. The run's id is also its trace's: where it is known, one
/// call is saved.
pub(super) async fn component_log(
    api: &LangFlow,
    session_id: &str,
    run_id: Option<&str>,
) -> Vec<ComponentLog> {
    let limit = Duration::from_millis(limits::ATTEMPT_LOG_MS_MAX);
    let fetched = tokio::time::timeout(limit, fetch(api, session_id, run_id)).await;
    match fetched {
        Ok(Ok(trace)) => entries(trace.spans),
        Ok(Err(failure)) => {
            tracing::debug!(session_id, %failure, "the trace of a run could not be fetched");
            vec![]
        }
        Err(_) => {
            tracing::debug!(session_id, "the trace of a run did not come in time");
            vec![]
        }
    }
}

async fn fetch(api: &LangFlow, session_id: &str, run_id: Option<&str>) -> Result<Trace, Failure> {
    loop {
        let found = match run_id {
            Some(run_id) => Some(run_id.to_owned()),
            None => newest(api, session_id).await?,
        };
        if let Some(id) = found.as_deref().and_then(segment) {
            match api.json::<Trace>(api.get(&format!("/api/v1/monitor/traces/{id}"))).await {
                Err(failure) if failure.class == FailureClass::NotFound => {}
                other => return other,
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn newest(api: &LangFlow, session_id: &str) -> Result<Option<String>, Failure> {
    // Each item of the list repeats the run's whole input and output, hence one.
    let query = [("session_id", session_id), ("size", "1")];
    let list: List = api.json(api.get("/api/v1/monitor/traces").query(&query)).await?;
    Ok(list.traces.into_iter().next().map(|trace| trace.id))
}

/// The spans with their children behind them, up to the bound.
fn entries(spans: Vec<Span>) -> Vec<ComponentLog> {
    let mut log = Vec::new();
    add(spans, &mut log);
    log
}

fn add(spans: Vec<Span>, log: &mut Vec<ComponentLog>) {
    for span in spans {
        if log.len() == limits::ATTEMPT_LOG_ENTRIES_MAX {
            return;
        }
        let Span { name, status, start_time, latency_ms, error, children } = span;
        log.push(ComponentLog {
            component: short(name.unwrap_or_default(), limits::NAME_BYTES_MAX),
            status: short(status.unwrap_or_default(), limits::NAME_BYTES_MAX),
            started_at: start_time.and_then(|at| at.parse::<Timestamp>().ok()),
            latency_ms: latency_ms.map(to_ms),
            error: error.map(|error| short(error, ERROR_BYTES_MAX)),
        });
        add(children, log);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn to_ms(latency: f64) -> u64 {
    latency.round() as u64
}

fn short(mut text: String, bytes_max: usize) -> String {
    cut(&mut text, bytes_max);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(fixture: &str) -> Vec<ComponentLog> {
        let exchange: serde_json::Value = serde_json::from_str(fixture).unwrap();
        let body = exchange["response"]["body"].clone();
        entries(serde_json::from_value::<Trace>(body).unwrap().spans)
    }

    #[test]
    fn a_trace_becomes_a_log_in_order() {
        let log = trace(include_str!("../../../tests/fixtures/langflow/trace_of_failure.json"));
        assert_eq!(log.len(), 2);
        assert_eq!((log[0].component.as_str(), log[0].status.as_str()), ("Chat Input", "ok"));
        assert_eq!(log[0].latency_ms, Some(4));
        assert_eq!(log[1].component, "Always Fails");
        assert_eq!(log[1].status, "error");
        assert_eq!(log[1].error.as_deref(), Some("deliberate failure on input 'hello'"));
        let at = log[1].started_at.unwrap().to_rfc3339();
        assert_eq!(at, "2026-11-23T17:12:48.101500+00:00");
    }

    #[test]
    fn nested_spans_follow_their_parent_and_the_log_is_bounded() {
        let span = |name: &str| serde_json::json!({"name": name, "status": "ok", "children": []});
        let mut parent = span("agent");
        parent["children"] = serde_json::json!([span("tool 1"), span("tool 2")]);
        let spans: Vec<Span> =
            serde_json::from_value(serde_json::json!([parent, span("last")])).unwrap();
        let names: Vec<_> = entries(spans).into_iter().map(|entry| entry.component).collect();
        assert_eq!(names, ["agent", "tool 1", "tool 2", "last"]);

        let mut many = span("agent");
        let mut child = span("tool");
        child["error"] = "e".repeat(100_000).into();
        many["children"] = vec![child; 1_000].into();
        let spans: Vec<Span> = serde_json::from_value(serde_json::json!([many])).unwrap();
        let log = entries(spans);
        assert_eq!(log.len(), limits::ATTEMPT_LOG_ENTRIES_MAX);
        let bytes = serde_json::to_vec(&log).unwrap().len();
        assert!(bytes < limits::EVENT_BYTES_MAX, "{bytes}");
    }
}
