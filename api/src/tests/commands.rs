//! The commands of each resource, and what the reads and the history show of them.

use serde_json::{Value, json};

use super::world::{Answer, KEY, World, world};

/// Reads a task again until it has this status; each read waits for a change on the server's side.
async fn until(world: &World, id: &str, status: &str) -> Value {
    let read = async {
        loop {
            let task = world.get(&format!("/tasks/{id}/wait?timeout_ms=20")).await.expect(200);
            if task["status"] == status {
                return task;
            }
        }
    };
    let bound = std::time::Duration::from_secs(20);
    tokio::time::timeout(bound, read).await.expect("the task never got this status")
}

#[tokio::test]
async fn a_run_answers_at_once_and_can_be_followed() {
    let world = world().await;
    let path = format!("/flows/{}/run", world.flow);
    let minimal =
        world.post(&path, json!({ "input": "hello", "max_retries": 0 })).await.expect(201);
    assert_eq!((&minimal["status"], &minimal["trigger"]), (&json!("pending"), &json!("manual")));
    assert_eq!(minimal["flow_id"], json!(world.flow.to_string()));
    let id = minimal["id"].as_str().unwrap();
    let ended = until(&world, id, "failed").await;
    assert_eq!(ended["input"], "hello");
    assert_eq!(ended["error"]["class"], "unreachable");
    assert_eq!(ended["attempt_rows"].as_array().unwrap().len(), 1);
    let log = world.get(&format!("/tasks/{id}/log")).await.expect(200);
    assert_eq!(log["total"], log["items"].as_array().unwrap().len());

    let listed = world.get("/tasks?status=failed&flow=nightly%20report").await.expect(200);
    assert_eq!(listed["items"][0]["id"], json!(id));
    assert_eq!(listed["items"][0]["input"], "hello");
    let none = world.get("/tasks?status=completed,running&flow=hourly").await.expect(200);
    assert_eq!(none["total"], 0);
}

#[tokio::test]
async fn a_run_may_wait_for_its_end_or_its_row() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "input": "x", "max_retries": 0, "wait_ms": 20_000 });
    let ended = world.post("/tasks", body).await.expect(201);
    assert_eq!(ended["status"], "failed");
    let row = world.post("/flows/hourly/run?return=row", json!("a bare text")).await.expect(201);
    assert_eq!((&row["input"], &row["flow_name"]), (&json!("a bare text"), &json!("hourly")));
    let refused = world.post("/flows/hourly/run?return=all", json!({})).await;
    assert_eq!(refused.code(422), "SPK-1003");
    let twice = world.post("/flows/hourly/run", json!({ "flow": "hourly" })).await;
    assert_eq!(twice.code(422), "SPK-1002");
}

#[tokio::test]
async fn a_large_input_is_shown_whole() {
    let world = world().await;
    let input = "long ".repeat(20_000);
    let body = json!({ "input": input, "max_retries": 0 });
    let row = world.post("/flows/hourly/run?return=row", body).await.expect(201);
    assert_eq!(row["input"], json!(input));
    let listed = world.get("/tasks").await.expect(200);
    assert!(listed["items"][0]["input"]["blob"].is_string(), "a list names it only");
}

#[tokio::test]
async fn a_task_is_cancelled_once_and_retried_as_a_new_one() {
    let world = world().await;
    let path = "/flows/hourly/run";
    let id = world.post(path, json!({})).await.expect(201)["id"].as_str().unwrap().to_owned();
    // Its first attempt fails for want of a source; then it waits for the next one.
    until(&world, &id, "waiting").await;
    let retried = world.post(&format!("/tasks/{id}/retry"), json!(null)).await;
    assert_eq!(retried.code(409), "SPK-3003");
    let reason = [("x-api-key", KEY.as_bytes()), ("x-spark-reason", "überholt".as_bytes())];
    let cancelled = world.send("POST", &format!("/tasks/{id}/cancel"), &reason, b"").await;
    assert!(cancelled.header("x-spark-position").is_some());
    let cancelled = cancelled.expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["cancel_reason"]),
        (&json!("cancelled"), &json!("überholt"))
    );
    assert_eq!(cancelled["cancelled_by"], "user:local");
    let again =
        world.post(&format!("/tasks/{id}/retry"), json!({ "reason": "mended" })).await.expect(201);
    assert_eq!((&again["retry_of"], &again["trigger"]), (&json!(id), &json!("retry_of")));

    let history = world.get(&format!("/history/task/{id}?limit=2")).await.expect(200);
    assert_eq!(history["items"][0]["type"], "task.created");
    assert_eq!(history["has_more"], true);
    let from = history["next_cursor"].as_str().unwrap();
    let rest = world.get(&format!("/history/task/{id}?from_revision={from}")).await.expect(200);
    let last = rest["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["type"], &last["reason"]), (&json!("task.cancelled"), &json!("überholt")));
    assert_eq!(last["revision"].as_u64().unwrap() + 1, rest["total"].as_u64().unwrap());
    let past = world.get(&format!("/history/tasks/{id}?from_revision=999")).await.expect(200);
    assert_eq!((&past["items"], &past["has_more"]), (&json!([]), &json!(false)));
}

async fn mornings(world: &World) -> Answer {
    let body = json!({
        "flow": "hourly", "name": "mornings", "cron": "0 9 * * MON-FRI",
        "timezone": "Europe/Berlin", "input": "go", "reason": "asked for",
    });
    world.post("/schedules", body).await
}

#[tokio::test]
async fn a_schedule_is_made_and_found_with_its_next_instants() {
    let world = world().await;
    let made = mornings(&world).await;
    let position = made.header("x-spark-position").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!((&made["status"], &made["input"]), (&json!("active"), &json!("go")));

    let listed = world.get(&format!("/schedules?status=active&min_position={position}")).await;
    assert_eq!(listed.expect(200)["total"], 1);
    let next = world.get("/schedules/mornings/next?n=3").await.expect(200);
    assert_eq!(next["items"].as_array().unwrap().len(), 3);
    assert_eq!(next["items"][0]["due_at"], made["next_due_at"]);
}

#[tokio::test]
async fn a_schedule_is_paused_triggered_resumed_and_deleted() {
    let world = world().await;
    let made = mornings(&world).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    let paused =
        world.post(&format!("/schedules/{id}/pause"), json!({ "reason": "holiday" })).await;
    let paused = paused.expect(200);
    assert_eq!(
        (&paused["status"], &paused["paused_reason"]),
        (&json!("paused"), &json!("holiday"))
    );
    let task = world.post("/schedules/mornings/trigger", json!({})).await.expect(201);
    assert_eq!(task["schedule_id"], json!(id));
    assert_eq!(task["trigger"], "schedule_triggered");
    let resumed = world.post(&format!("/schedules/{id}/resume"), json!(null)).await.expect(200);
    assert_eq!(resumed["status"], "active");

    let key = [("x-api-key", KEY.as_bytes())];
    let deleted = world.send("DELETE", "/schedules/mornings", &key, b"").await.expect(200);
    assert_eq!(deleted, json!({ "id": id, "deleted": true }));
    assert_eq!(world.get("/schedules").await.expect(200)["total"], 0);
    assert_eq!(
        world.post(&format!("/schedules/{id}/pause"), json!(null)).await.code(404),
        "SPK-3001"
    );
    let history = world.get(&format!("/history/schedule/{id}")).await.expect(200);
    let types: Vec<&str> =
        history["items"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    let expected = ["created", "paused", "triggered", "resumed", "deleted"];
    assert_eq!(types, expected.map(|verb| format!("schedule.{verb}")));
    assert_eq!(history["items"][0]["reason"], "asked for");
}

#[tokio::test]
async fn a_preview_makes_nothing() {
    let world = world().await;
    let body = json!({ "cron": "30 2 * * *", "timezone": "America/New_York", "n": 2,
        "after": "2026-03-08T00:00:00Z" });
    let preview = world.post("/schedules/preview", body).await.expect(200);
    assert_eq!(
        preview["items"][0],
        json!({ "due_at": "2026-03-08T07:00:00.000000Z", "dst": "gap",
            "local": "2026-03-08T03:00:00-04:00" })
    );
    assert_eq!(
        preview["items"][1],
        json!({ "due_at": "2026-03-09T06:30:00.000000Z", "local": "2026-03-09T02:30:00-04:00" })
    );
    let refused = world.post("/schedules/preview", json!({ "cron": "0 0 31 2 *" })).await;
    assert_eq!(refused.json["errors"][0]["field"], "cron");
    assert_eq!(refused.code(422), "SPK-1002");
    assert_eq!(world.get("/schedules").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn sources_never_show_their_key() {
    let world = world().await;
    let listed = world.get("/sources?status=down").await.expect(200);
    assert_eq!(listed["items"][0]["has_api_key"], true);
    let history = world.get("/history/source/keyed").await.expect(200);
    assert_eq!(history["items"][0]["data"]["api_key"], "sealed");
    for json in [&listed, &history, &world.get("/sources/keyed").await.expect(200)] {
        assert!(!json.to_string().contains("not to be seen"), "{json}");
    }
}

#[tokio::test]
async fn sources_are_changed_and_removed_by_rule() {
    let world = world().await;
    let key = [("x-api-key", KEY.as_bytes())];
    let patched = world.send("PATCH", "/sources/home", &key, br#"{"runs_max":9}"#).await;
    assert_eq!(patched.expect(200)["runs_max"], 9);
    let refused = world.send("PATCH", "/sources/home", &key, br#"{"runs_max":0}"#).await;
    assert_eq!(refused.json["errors"][0]["field"], "runs_max");
    assert_eq!(refused.code(422), "SPK-3005");
    let used = world.send("DELETE", "/sources/home", &key, b"").await;
    assert_eq!(used.code(409), "SPK-3003");
    for (body, field) in [
        (json!({ "url": "localhost:7860" }), "url"),
        (json!({ "url": "http://x", "api_key": "a b" }), "api_key"),
        (json!({ "url": "http://x", "key": "a" }), "key"),
        (json!({}), "url"),
    ] {
        let refused = world.post("/sources", body.clone()).await;
        assert_eq!(refused.json["errors"][0]["field"], field, "{body}: {}", refused.json);
        assert_eq!(refused.code(422), "SPK-1002", "{body}");
    }
    let dead = world.post("/sources", json!({ "url": "http://127.0.0.1:3" })).await;
    assert!(dead.json["remedy"].is_string());
    assert_eq!(dead.code(502), "SPK-4001");
    assert_eq!(world.get("/sources/home/flows").await.code(502), "SPK-4001");
    for (body, field) in [
        (json!({ "flow": "x", "all": true }), "flow"),
        (json!({ "source": "home" }), "flow"),
        (json!({ "flow": "x" }), "source"),
    ] {
        let refused = world.post("/flows/sync", body.clone()).await;
        assert_eq!(refused.json["errors"][0]["field"], field, "{body}: {}", refused.json);
        assert_eq!(refused.code(422), "SPK-1002", "{body}");
    }
    let all = world.post("/flows/sync", json!({ "source": "home", "all": true })).await;
    assert_eq!(all.code(502), "SPK-4001");
}

#[tokio::test]
async fn after_the_shutdown_commands_are_refused_and_reads_go_on() {
    let world = world().await;
    world.app.spark.shutdown().await;
    let refused = world.post("/flows/hourly/run", json!({})).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.code(503), "SPK-5004");
    world.get("/flows").await.expect(200);
}

#[tokio::test]
async fn a_flow_is_made_here_changed_and_compared() {
    let world = world().await;
    let node = json!({ "id": "ChatInput-1", "data": { "type": "ChatInput", "node": {
        "template": { "sender_name": { "type": "str", "show": true, "value": "User" } } } } });
    let mut export = json!({ "name": "mine", "data": { "nodes": [node], "edges": [] } });
    let made = world.post("/flows", json!({ "definition": export })).await.expect(201);
    assert_eq!((&made["name"], &made["source_id"]), (&json!("mine"), &Value::Null));
    let bad = world.post("/flows", json!({ "definition": {} })).await;
    assert!(bad.json["detail"].as_str().unwrap().contains("data is missing"), "{}", bad.json);
    assert_eq!(bad.code(422), "SPK-3005");
    export["data"]["nodes"][0]["data"]["node"]["template"]["sender_name"]["value"] = json!("Ana");
    let key = [("x-api-key", KEY.as_bytes())];
    let body = json!({ "definition": export, "runs_max": 2 }).to_string();
    let changed = world.send("PATCH", "/flows/mine", &key, body.as_bytes()).await.expect(200);
    assert_eq!((&changed["version"], &changed["runs_max"]), (&json!(2), &json!(2)));
    let none = world.send("PATCH", "/flows/mine", &key, b"{\"runs_max\":null}").await.expect(200);
    assert_eq!(none["runs_max"], Value::Null);
    let nothing = world.send("PATCH", "/flows/mine", &key, b"{}").await;
    assert_eq!(nothing.code(422), "SPK-1002");
    let versions = world.get("/flows/mine/versions").await.expect(200);
    assert_eq!((&versions["total"], &versions["items"][0]["number"]), (&json!(2), &json!(2)));
    let first = world.get("/flows/mine/versions/1").await.expect(200);
    assert_eq!(first["definition"]["nodes"][0]["id"], "ChatInput-1");
    let diff = world.get("/flows/mine/diff").await.expect(200);
    let field = &diff["components"][0]["fields"][0];
    assert_eq!((&field["old"], &field["new"]), (&json!("User"), &json!("Ana")));
    let same = world.get("/flows/mine/diff?from=2&to=current").await.expect(200);
    assert_eq!(same["differs"], false);
    assert_eq!(world.get("/flows/mine/diff?from=x").await.code(422), "SPK-1003");
    assert_eq!(world.get("/flows/mine/versions/9").await.code(404), "SPK-3001");
    let components = world.get("/flows/mine/components").await.expect(200);
    assert_eq!(components["items"][0]["fields"][0]["value"], "Ana");
    let run = world.post("/flows/mine/run", json!({ "input": "x" })).await;
    assert!(run.json["detail"].as_str().unwrap().contains("flow push"), "{}", run.json);
    world.send("DELETE", "/flows/mine", &key, b"").await.expect(200);
    let history = world.get("/history/flow/mine").await.expect(200);
    let last = history["items"].as_array().unwrap().last().unwrap();
    assert_eq!(last["type"], "flow.deleted", "a deleted flow answers to its name");
    let body = json!({ "flow": "mine", "every": "1h" });
    for (path, body) in [("/flows/mine/run", json!({ "input": "x" })), ("/schedules", body)] {
        let run = world.post(path, body).await;
        assert_eq!(run.json["detail"], "flow \"mine\" was deleted", "{path}: {}", run.json);
        assert!(run.json["remedy"].as_str().unwrap().contains("flow sync"), "{}", run.json);
        assert_eq!(run.code(404), "SPK-3001");
    }
}
