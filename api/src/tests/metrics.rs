//! `/metrics`: who may ask, and that what is told is what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::{Server, request, server};

async fn asked(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn scrape(server: &Server) -> String {
    let bytes = request("GET /metrics", "");
    let answer = asked(server, std::str::from_utf8(&bytes).unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Reads the text by the rules of OpenMetrics; the samples by name and labels.
fn read(text: &str) -> BTreeMap<String, f64> {
    let mut lines = text.lines().collect::<Vec<_>>();
    assert_eq!(lines.pop(), Some("# EOF"), "it ends with its end");
    let (mut kinds, mut helped) = (BTreeMap::new(), BTreeSet::new());
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            match word {
                "HELP" => {
                    assert!(helped.insert(name.to_owned()), "{name} is told twice");
                    assert!(value.len() > 3, "{line}");
                    family = name.to_owned();
                }
                "TYPE" => {
                    let known = ["counter", "gauge", "histogram", "info"].contains(&value);
                    assert!(known && name == family, "{line}");
                    kinds.insert(name.to_owned(), value.to_owned());
                }
                "UNIT" => assert!(name == family && name.ends_with(value), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (place, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = place.split('{').next().unwrap();
        let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line}"));
        let suffixes: &[&str] = match kinds[&family].as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            _ => &["_bucket", "_sum", "_count"],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        if let Some((_, labels)) = place.split_once('{') {
            assert!(labels.ends_with("\"}") && labels.contains("=\""), "{line}");
        }
        assert_eq!(samples.insert(place.to_owned(), value), None, "{place} is told twice");
    }
    assert_eq!(kinds.len(), helped.len(), "each has a type and a help");
    samples
}

#[tokio::test]
async fn what_happens_is_counted_in_a_form_that_prometheus_reads() {
    let server = server().await;
    let before = read(&scrape(&server).await);
    assert_eq!(before["spark_tasks_open"], 0.0);
    assert_eq!(before["spark_log_up"], 1.0);
    assert_eq!(before["spark_queue_depth{source=\"home\"}"], 0.0);
    assert_eq!(before["spark_source_up{source=\"home\"}"], 0.0);
    assert_eq!(before["spark_workers{status=\"active\"}"], 1.0);
    assert_eq!(before["spark_build_info{version=\"0.0.0\"}"], 1.0);
    assert!(before["spark_log_position"] >= 4.0);

    // Nothing listens at the source, so the only attempt fails.
    let body = serde_json::json!({ "wait_ms": 60_000, "max_retries": 0 });
    let ended = server.world.post("/flows/hourly/run", body).await.expect(201);
    assert_eq!(ended["status"], "failed", "{ended}");
    assert_eq!(server.world.get("/flows/nobody").await.code(404), "SPK-3001");
    assert_eq!(server.world.get("/nonsense").await.code(404), "SPK-1008");
    let after = read(&scrape(&server).await);
    for (name, count) in [
        ("spark_tasks_created_total{trigger=\"manual\"}", 1.0),
        ("spark_tasks_ended_total{status=\"failed\",class=\"unreachable\"}", 1.0),
        ("spark_attempts_ended_total{status=\"failed\",class=\"unreachable\"}", 1.0),
        ("spark_attempt_duration_seconds_count{status=\"failed\"}", 1.0),
        ("spark_queue_wait_seconds_count", 1.0),
        ("spark_api_requests_total{operation=\"getFlow\",status=\"404\"}", 1.0),
        ("spark_api_requests_total{operation=\"(unknown)\",status=\"404\"}", 1.0),
        ("spark_api_requests_total{operation=\"metrics\",status=\"200\"}", 1.0),
    ] {
        assert_eq!(after.get(name), Some(&count), "{name} of {after:#?}");
    }
    assert!(after["spark_log_append_seconds_count"] >= 3.0, "created, started, failed");
    assert!(after["process_cpu_seconds_total"] >= 0.0);
    assert!(after["process_resident_memory_bytes"] > 0.0 || cfg!(not(target_os = "linux")));
}

#[tokio::test]
async fn the_numbers_need_a_key_in_one_of_two_headers() {
    let server = server().await;
    let head =
        |more: &str| format!("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    let refused = asked(&server, &head("")).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    for more in ["authorization: Bearer wrong\r\n", "authorization: Basic dGVzdC1rZXk=\r\n"] {
        let refused = asked(&server, &head(more)).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    }
    let taken = asked(&server, &head("authorization: bearer test-key\r\n")).await;
    assert!(taken.starts_with("HTTP/1.1 200 "), "{taken}");
}
