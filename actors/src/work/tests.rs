//! A work order on its way to another process.

use serde_json::json;
use spark_events::domain::source::{HttpSettings, KeyHeader};

use super::*;

fn order(call: Call) -> WorkOrder {
    WorkOrder {
        task_id: TaskId::random(),
        attempt: 2,
        trace: None,
        source: CallTarget {
            kind: SourceKind::Langflow,
            url: "http://127.0.0.1:1".into(),
            api_key: Some(Secret::new("sk-hidden".into())),
            capabilities: Capabilities::least(),
        },
        call,
        time: TimeLimit { ms: 5_000, of: LimitOf::Total },
        cancelled: false,
    }
}

fn flow() -> Call {
    Call::LangFlow(Box::new(RunRequest {
        remote_flow_id: "f".into(),
        input: "private words".into(),
        input_component: None,
        output_component: Some("ChatOutput-1".into()),
        tweaks: Some(json!({"A": {"b": 1}})),
        session_id: "s".into(),
        idempotency_key: "k".into(),
        job_id: None,
        mode: CallMode::Direct,
        definition: Some(Definition::new(json!({"nodes": []}))),
    }))
}

fn http() -> Call {
    let request = HttpRequest { path: "/run".into(), ..HttpRequest::default() };
    let (input, idempotency_key) = ("hi".into(), "k".into());
    Call::Http(Box::new(HttpCall { request, input, idempotency_key, due_at: None }))
}

#[test]
fn an_order_arrives_as_it_was_sent() {
    for call in [flow(), http()] {
        let sent = serde_json::to_value(order(call)).unwrap();
        let read: WorkOrder = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), sent);
        assert_eq!(read.source.api_key.unwrap().expose(), "sk-hidden");
    }
}

#[test]
fn an_order_is_never_printed() {
    let printed = format!("{:?}", order(flow()));
    assert!(!printed.contains("sk-hidden") && !printed.contains("private"), "{printed}");
}

#[tokio::test]
async fn a_source_of_another_kind_than_its_flow_ends_the_run() {
    let order = order(http());
    let cancelled = watch::channel(false).1;
    let http = crate::langflow::http_client().unwrap();
    let end = execute(order, &http, cancelled, async |_| {}).await;
    let RunEnd::Failed { failure, .. } = end else { panic!("{end:?}") };
    assert_eq!(failure.class, FailureClass::Gone);
}

#[tokio::test]
async fn a_panic_is_an_end_too() {
    let run = async {
        if !TaskId::random().0.is_nil() {
            panic!("no panic stays unheard");
        }
        failed(FailureClass::Gone, String::new())
    };
    let end = guarded(run).await;
    let RunEnd::Failed { failure, .. } = end else { panic!("{end:?}") };
    assert_eq!(failure.class, FailureClass::Crashed);
    assert!(failure.message.contains("no panic stays unheard"));
}

#[test]
fn a_header_for_the_key_travels_too() {
    let settings = HttpSettings { auth: KeyHeader::Header("x-key".into()), health_path: None };
    let mut order = order(http());
    order.source.kind = SourceKind::Http(settings.clone());
    let text = serde_json::to_string(&order).unwrap();
    let read: WorkOrder = serde_json::from_str(&text).unwrap();
    assert_eq!(read.source.kind, SourceKind::Http(settings));
}
