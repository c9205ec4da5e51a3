//! Keys, shapes, names and pages: what every endpoint does alike.

use serde_json::{Value, json};
use spark_events::{FlowId, TaskId, limits};

use super::world::{KEY, REMOTE_ID, world};

#[tokio::test]
async fn a_key_is_needed_but_for_probes() {
    let world = world().await;
    for path in ["/livez", "/readyz", "/health"] {
        world.send("GET", path, &[], b"").await.expect(200);
    }
    let missing = world.send("GET", "/tasks", &[], b"").await;
    assert_eq!(missing.header("www-authenticate"), Some("ApiKey"));
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    assert_eq!(missing.json["detail"], "X-API-Key header is missing");
    assert_eq!(missing.code(401), "SPK-2001");
    for path in ["/", "/tasks", "/nonsense"] {
        let wrong = world.send("GET", path, &[("x-api-key", b"wrong\xff")], b"").await;
        assert_eq!(wrong.code(401), "SPK-2002", "{path}");
    }
    let root = world.get("/").await.expect(200);
    assert_eq!(root["links"]["tasks"], "/api/v1/tasks");
}

#[tokio::test]
async fn health_names_sources_only_to_a_key_that_may_see_them() {
    let world = world().await;
    let labels = json!({ "worker_labels": ["gpu"] }).to_string();
    let key = ("x-api-key", KEY.as_bytes());
    world.send("PATCH", "/sources/home", &[key], labels.as_bytes()).await.expect(200);
    let of = async |role: &str| {
        let made = world.post("/keys", json!({ "name": role, "role": role })).await.expect(201);
        made["secret"].as_str().unwrap().to_owned()
    };
    let (viewer, worker) = (of("viewer").await, of("worker").await);
    let revoked = of("operator").await;
    world.send("DELETE", "/keys/operator", &[key], b"").await.expect(200);
    let asked = async |headers: &[(&str, &[u8])]| {
        let health = world.send("GET", "/health", headers, b"").await.expect(200);
        assert_eq!(health["actors"]["unserved"], 1, "{health}");
        health["actors"]["unserved_sources"].clone()
    };
    let bearer = format!("Bearer {viewer}");
    for headers in [key, ("x-api-key", viewer.as_bytes()), ("authorization", bearer.as_bytes())] {
        assert_eq!(asked(&[headers]).await, json!([{ "name": "home", "worker_labels": ["gpu"] }]));
    }
    assert_eq!(asked(&[]).await, Value::Null);
    for other in [worker.as_bytes(), revoked.as_bytes(), b"a platform's own"] {
        assert_eq!(asked(&[("x-api-key", other)]).await, Value::Null);
    }
}

#[tokio::test]
async fn health_tells_of_all_parts() {
    let world = world().await;
    let health = world.get("/health").await.expect(200);
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!(health["log"]["backend"], "memory");
    assert_eq!(health["actors"]["crashes"], 0);
    assert!(health["projections"].as_array().unwrap().len() >= 5, "{health}");
    assert!(health["read_models"]["position"].as_u64() >= Some(3));
}

#[tokio::test]
async fn the_request_id_comes_back_and_stands_in_the_events() {
    let world = world().await;
    let id = uuid::Uuid::from_u128(7).to_string();
    let headers = [("x-api-key", KEY.as_bytes()), ("x-request-id", id.as_bytes())];
    let path = format!("/flows/{}/run", world.flow);
    let answer = world.send("POST", &path, &headers, b"{}").await;
    assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
    let task = answer.expect(201)["id"].as_str().unwrap().to_owned();
    let history = world.get(&format!("/history/task/{task}")).await.expect(200);
    assert_eq!(history["items"][0]["correlation_id"], json!(id));

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let place = format!("00-{trace}-00f067aa0ba902b7-01");
    let in_trace = [headers[0], headers[1], ("traceparent", place.as_bytes())];
    let answer = world.send("POST", &path, &in_trace, b"{}").await;
    let position = answer.header("x-spark-position").unwrap().to_owned();
    let task = answer.expect(201);
    let task = task["id"].as_str().unwrap();
    let history = world.get(&format!("/history/task/{task}")).await.expect(200);
    let first = &history["items"][0];
    assert_eq!(first["correlation_id"].as_str().unwrap().replace('-', ""), trace);
    assert_eq!(first["causation_id"], json!(id));
    let shown = format!("/tasks/{task}?min_position={position}");
    let shown = world.get(&shown).await.expect(200);
    assert_eq!(shown["trace_id"], json!(trace));

    let answer = world.send("GET", "/nonsense", &headers, b"").await;
    assert_eq!(answer.json["request_id"], json!(id));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_its_name() {
    let world = world().await;
    for (path, part) in [
        (
            "/tasks?order=id",
            "allowed are status, flow, schedule, source, worker, trigger, class, since, until, q, deleted, sort, limit, offset, cursor",
        ),
        ("/tasks?limit=0", "from 1 to 100"),
        ("/tasks?limit=x", "from 1 to 100"),
        ("/tasks?status=done", "is not one of pending, running"),
        ("/tasks?cursor=nonsense", "next_cursor"),
        ("/tasks?limit=1&limit=2", "given twice"),
        ("/tasks?flow=%ff", "UTF-8"),
        ("/tasks?min_position=x", "position"),
        ("/schedules?status=active,gone", "is not one of active, paused"),
        ("/workers?status=gone", "active, paused, draining, stopping, stopped, lost"),
        ("/sources?deleted=maybe", "true or false"),
        ("/schedules/x/next?n=0", "from 1 to"),
    ] {
        let answer = world.get(path).await;
        let detail = answer.json["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(part), "{path}: {detail}");
        assert_eq!(answer.json["errors"][0]["field"], *path.split(['?', '=']).nth(1).unwrap());
        assert_eq!(answer.code(422), "SPK-1003", "{path}");
    }
}

#[tokio::test]
async fn where_it_is_unclear_which_source_is_meant_they_are_named() {
    let world = world().await;
    let unclear = world.post("/flows/sync", json!({ "all": true })).await;
    let detail = unclear.json["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("name one of keyed, home"), "{detail}");
    assert_eq!(unclear.code(422), "SPK-1002");
}

#[tokio::test]
async fn bodies_of_any_bytes_get_an_answer() {
    let world = world().await;
    let key = [("x-api-key", KEY.as_bytes())];
    let big = vec![b' '; usize::try_from(limits::REQUEST_BODY_BYTES_MAX).unwrap() + 1];
    let deep = "[".repeat(50_000);
    for (body, status, code) in [
        (&b"{"[..], 400, "SPK-1001"),
        (b"\xff\xfe\x00", 400, "SPK-1001"),
        (deep.as_bytes(), 400, "SPK-1001"),
        (b"[]", 422, "SPK-1002"),
        (b"{\"flow\":1}", 422, "SPK-1002"),
        (b"{\"flow\":\"hourly\",\"tweaks\":[]}", 422, "SPK-1002"),
        (b"{\"flow\":\"hourly\",\"max_retry\":1}", 422, "SPK-1002"),
        (b"{\"flow\":\"hourly\",\"max_retries\":1000}", 422, "SPK-3005"),
        (b"{\"flow\":\"hourly\",\"timeout_ms\":1}", 422, "SPK-3005"),
        (b"{\"input\":\"no flow\"}", 422, "SPK-1002"),
        (&big, 413, "SPK-1005"),
    ] {
        let shown = body[..body.len().min(40)].escape_ascii().to_string();
        assert_eq!(world.send("POST", "/tasks", &key, body).await.code(status), code, "{shown}");
    }
    for path in ["/sources", "/schedules", "/schedules/preview", "/flows/sync"] {
        for body in [&b""[..], b"null", b"{\"\xff\":1}", b"{\"nonsense\":1}"] {
            let answer = world.send("POST", path, &key, body).await;
            assert!([400, 422].contains(&answer.status), "{path}: {}", answer.json);
        }
    }
}

#[tokio::test]
async fn a_flow_is_found_by_id_start_name_and_its_id_at_the_source() {
    let world = world().await;
    let id = world.flow.to_string();
    for text in [&id, &id[..8], "nightly%20report", "Nightly+report", REMOTE_ID] {
        let path = format!("/flows/{}", text.replace('+', "%20"));
        assert_eq!(world.get(&path).await.expect(200)["id"], json!(id), "{text}");
    }
    let answer = world.get("/flows/hurly").await;
    assert_eq!(answer.json["suggestions"], json!(["hourly"]));
    assert_eq!(answer.code(404), "SPK-3001");
    for path in [
        format!("/flows/{}", FlowId::random()),
        format!("/tasks/{}", TaskId::random()),
        format!("/history/task/{}", TaskId::random()),
        format!("/history/worker/{}", FlowId::random()),
        "/tasks/abcdef01".to_owned(),
        "/tasks/%00".to_owned(),
        format!("/tasks/{}", "%F0%9F%A6%80".repeat(50)),
    ] {
        assert_eq!(world.get(&path).await.code(404), "SPK-3001", "{path}");
    }
}

#[tokio::test]
async fn lists_have_one_form_and_can_be_paged() {
    let world = world().await;
    let first = world.get("/flows?limit=1").await.expect(200);
    assert_eq!(
        (&first["total"], &first["limit"], &first["offset"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!(first["has_more"], true);
    assert!(first["items"][0].get("definition").is_none());
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("/flows?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&second["has_more"], &second["next_cursor"]), (&json!(false), &json!(null)));
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    let none = world.get(&format!("/flows?source={}&offset=9", world.source)).await.expect(200);
    assert_eq!((&none["items"], &none["total"]), (&json!([]), &json!(2)));
    let workers = world.get("/workers?status=active").await.expect(200);
    assert_eq!(workers["items"][0]["hostname"], "test");
}

#[tokio::test]
async fn a_read_waits_for_the_position_it_names() {
    let world = world().await;
    let answer = world.post(&format!("/flows/{}/run", world.flow), json!(null)).await;
    let position = answer.header("x-spark-position").unwrap().to_owned();
    let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
    let headers = [("x-api-key", KEY.as_bytes()), ("x-spark-min-position", position.as_bytes())];
    let task = world.send("GET", &format!("/tasks/{id}"), &headers, b"").await.expect(200);
    assert_eq!(task["id"], json!(id));
    let bad = [("x-api-key", KEY.as_bytes()), ("x-spark-min-position", b"\xff".as_slice())];
    assert_eq!(world.send("GET", "/tasks", &bad, b"").await.code(422), "SPK-1004");
}

#[tokio::test]
async fn a_position_that_the_log_has_not_reached_is_refused_at_once() {
    let world = world().await;
    let key = ("x-api-key", KEY.as_bytes());
    let answer = world.get("/tasks?min_position=99999999").await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("beyond the end of the log"), "{detail}");
    assert_eq!(answer.code(422), "SPK-1003");
    let header = [key, ("x-spark-min-position", &b"99999999"[..])];
    assert_eq!(world.send("GET", "/tasks", &header, b"").await.code(422), "SPK-1004");
}

#[tokio::test]
async fn a_header_that_cannot_be_used_is_refused_beside_what_outweighs_it() {
    let world = world().await;
    let key = ("x-api-key", KEY.as_bytes());
    let position = [key, ("x-spark-min-position", &b"{}"[..])];
    let answer = world.send("GET", "/tasks?min_position=0", &position, b"").await;
    assert_eq!(answer.code(422), "SPK-1004");
    let long = vec![b'x'; limits::REASON_BYTES_MAX + 1];
    let reason = [key, ("x-spark-reason", long.as_slice())];
    let answer = world.send("POST", "/sources/reseal", &reason, br#"{"reason": "why"}"#).await;
    assert_eq!(answer.code(422), "SPK-1004");
    // Every path takes the key, so every path checks it.
    assert_eq!(world.get("/whoami?min_position=x").await.code(422), "SPK-1003");
}

#[tokio::test]
async fn open_paths_tell_everybody_what_they_take() {
    let world = world().await;
    for path in ["/livez", "/health", "/openapi.json", "/docs", "/redoc"] {
        let answer = world.send("TRACE", path, &[], b"").await;
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{path}");
        assert_eq!(answer.code(405), "SPK-1010", "{path}");
    }
    assert_eq!(world.send("GET", "/docs/nonsense.js", &[], b"").await.code(404), "SPK-1008");
    assert_eq!(world.send("TRACE", "/tasks", &[], b"").await.code(401), "SPK-2001");
}

#[tokio::test]
async fn what_a_source_cannot_be_is_refused_with_the_field() {
    let world = world().await;
    let add = |more: serde_json::Value| {
        let mut body = json!({ "url": "http://127.0.0.1:1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, field) in [
        (add(json!({ "kind": "automagik-hive" })), "kind"),
        (add(json!({ "kind": "langflow", "http": {} })), "http"),
        (add(json!({ "request": {} })), "request"),
        (add(json!({ "kind": "http", "request": { "method": "BREW" } })), "request.method"),
        (add(json!({ "kind": "http", "http": { "auth": "basic" } })), "http.auth"),
    ] {
        let answer = world.post("/sources", body.clone()).await;
        let problem = answer.json.clone();
        assert_eq!(answer.code(422), "SPK-1002", "{body}");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    let bad = add(json!({ "kind": "http", "request": { "output": "text" } }));
    assert_eq!(world.post("/sources", bad).await.code(422), "SPK-3005");
    let path = format!("/sources/{}/requests", world.source);
    let refused = world.post(&path, json!({ "name": "x" })).await;
    assert!(refused.json["detail"].as_str().unwrap().contains("flow sync"), "{}", refused.json);
    assert_eq!(refused.code(409), "SPK-3003");
}

#[tokio::test]
async fn a_source_in_use_goes_only_by_force_and_a_foreign_seal_is_named() {
    let world = world().await;
    let schedule = json!({ "flow": "hourly", "every": "1h", "name": "often" });
    world.post("/schedules", schedule).await.expect(201);
    let sealed = world.post("/sources/reseal", json!(null)).await.expect(200);
    assert_eq!(sealed, json!({ "resealed": 0, "unreadable": ["keyed"] }));
    let path = format!("/sources/{}", world.source);
    let headers = [("x-api-key", KEY.as_bytes())];
    let refused = world.send("DELETE", &path, &headers, b"").await;
    assert!(refused.json["detail"].as_str().unwrap().contains("hourly, nightly report"));
    assert_eq!(refused.code(409), "SPK-3003");
    let forced = format!("{path}?force=true");
    let gone = world.send("DELETE", &forced, &headers, b"").await.expect(200);
    assert_eq!((&gone["flows"], &gone["schedules"]), (&json!(2), &json!(1)));
    let left = world.get("/schedules?status=active").await.expect(200);
    assert_eq!(left["total"], 0);
}

#[tokio::test]
async fn words_of_the_original_are_answered_with_todays() {
    let world = world().await;
    let workflows = world.get("/workflows/x").await;
    assert!(workflows.json["remedy"].as_str().unwrap().contains("/api/v1/flows"));
    assert_eq!(workflows.code(404), "SPK-1008");
    let enable = world.post("/schedules/x/enable", json!({})).await;
    assert!(enable.json["remedy"].as_str().unwrap().contains("/resume"), "{}", enable.json);
    let key = ("x-api-key", KEY.as_bytes());
    let put = world.send("PUT", "/schedules/x", &[key], b"{}").await;
    assert!(put.json["remedy"].as_str().unwrap().contains("PATCH"), "{}", put.json);
    assert_eq!(put.code(405), "SPK-1010");
    for (path, body, said) in [
        ("/tasks", json!({ "workflow_id": "hourly" }), "give `flow` in its place"),
        ("/tasks", json!({ "flow": "hourly", "input_data": "x" }), "give `input` in its place"),
        ("/schedules", json!({ "schedule_type": "cron" }), "give `cron` or `every` or `at`"),
        ("/sources", json!({ "source_type": "langflow" }), "give `kind` in its place"),
    ] {
        let refused = world.post(path, body).await;
        let message = refused.json["errors"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(said), "{path}: {message}");
        assert_eq!(refused.code(422), "SPK-1002");
    }
    let body = json!({ "flow": "hourly", "run": false });
    let task = world.post("/tasks", body).await.expect(201);
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    world.post(&format!("{path}/cancel"), json!({ "force": true })).await.expect(200);
    let again = world.post(&format!("{path}/run"), json!({})).await;
    assert!(again.json["remedy"].as_str().unwrap().contains("/retry"), "{}", again.json);
    assert_eq!(again.code(409), "SPK-3004");
}

#[tokio::test]
async fn the_documented_flow_can_be_made_as_it_stands() {
    let world = world().await;
    let document = world.get("/openapi.json").await.expect(200);
    let body = |path: &str| {
        let example = format!("/paths/{path}/post/requestBody/content/application~1json/examples");
        let examples = document.pointer(&example).unwrap().as_object().unwrap();
        examples.values().next().unwrap()["value"].clone()
    };
    world.post("/flows", body("~1flows")).await.expect(201);
    assert!(body("~1tasks")["flow"].is_string(), "a task needs a flow");
}
