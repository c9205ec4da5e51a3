//! Holding, releasing, stopping by force, deleting and repeating, as the API shows them.

use serde_json::{Value, json};

use super::world::{Answer, KEY, World, world};

async fn keyed(world: &World, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [("x-api-key", KEY.as_bytes()), ("idempotency-key", key.as_bytes())];
    world.send("POST", path, &headers, body.to_string().as_bytes()).await
}

async fn delete(world: &World, id: &str) -> Answer {
    world.send("DELETE", &format!("/tasks/{id}"), &[("x-api-key", KEY.as_bytes())], b"").await
}

fn id(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_one_task() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "input": "x", "run": false });
    let first = id(&keyed(&world, "/tasks", "order 1", &body).await.expect(201));
    let again = keyed(&world, "/tasks", "order 1", &body).await;
    assert!(again.header("x-spark-position").is_none(), "nothing was stored");
    assert_eq!(id(&again.expect(200)), first);
    let path = "/flows/hourly/run";
    let same = json!({ "input": "x", "run": false });
    assert_eq!(id(&keyed(&world, path, "order 1", &same).await.expect(200)), first);

    let other = keyed(&world, path, "order 1", &json!({ "input": "y" })).await;
    assert!(other.json["detail"].as_str().unwrap().contains(&first), "{}", other.json);
    assert_eq!(other.code(422), "SPK-1011");
    assert_ne!(id(&keyed(&world, path, "order 2", &same).await.expect(201)), first);
    for bad in ["", &"k".repeat(256), "\u{e9}"] {
        assert_eq!(keyed(&world, path, bad, &same).await.code(422), "SPK-1004");
    }
}

#[tokio::test]
async fn a_held_task_is_released_cancelled_by_force_and_deleted() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "run": false, "priority": -5 });
    let task = id(&world.post("/tasks", body).await.expect(201));
    assert_eq!(delete(&world, &task).await.code(409), "SPK-3004");
    let path = format!("/tasks/{task}/run");
    world.post(&path, json!({})).await.expect(200);
    let history = world.get(&format!("/history/task/{task}")).await.expect(200);
    assert_eq!(history["items"][1]["type"], "task.released");
    let cancel = format!("/tasks/{task}/cancel");
    let cancelled = world.post(&cancel, json!({ "force": true, "reason": "stuck" })).await;
    assert_eq!(cancelled.expect(200)["status"], "cancelled");
    assert_eq!(world.post(&path, json!({})).await.code(409), "SPK-3004");
    assert_eq!(delete(&world, &task).await.expect(200)["deleted"], true);
    assert_eq!(delete(&world, &task).await.expect(200)["deleted"], true, "already true");
    let retry = world.post(&format!("/tasks/{task}/retry"), json!({})).await;
    assert_eq!(retry.code(404), "SPK-3001");
    let history = world.get(&format!("/history/task/{task}")).await.expect(200);
    assert_eq!(history["items"].as_array().unwrap().last().unwrap()["type"], "task.deleted");
}

#[tokio::test]
async fn what_breaks_a_rule_is_named_and_nothing_is_stored() {
    let world = world().await;
    for (field, value) in
        [("priority", 101), ("queue_timeout_ms", 1), ("total_timeout_ms", i64::MAX)]
    {
        let refused = world.post("/flows/hourly/run", json!({ field: value })).await;
        assert_eq!(refused.json["errors"][0]["field"], field, "{}", refused.json);
        assert_eq!(refused.code(422), "SPK-3005");
    }
    let both = json!({ "queue_timeout": "5m", "queue_timeout_ms": 1_000 });
    assert_eq!(world.post("/flows/hourly/run", both).await.code(422), "SPK-1002");
    assert_eq!(world.get("/tasks").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_retry_says_what_it_cannot_run() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "max_retries": 0, "wait_ms": 20_000 });
    let task = id(&world.post("/tasks", body).await.expect(201));
    let path = format!("/tasks/{task}/retry");
    let bad = world.post(&path, json!({ "flow_version": "latest" })).await;
    assert_eq!(bad.json["errors"][0]["field"], "flow_version");
    let unknown = world.post(&path, json!({ "flow_version": "00000000" })).await;
    assert_eq!(unknown.code(422), "SPK-3005");
    let request = json!({ "input": "again", "flow_version": "then", "priority": 3 });
    let first = id(&keyed(&world, &path, "again", &request).await.expect(201));
    assert_eq!(id(&keyed(&world, &path, "again", &request).await.expect(200)), first);
    let row = world.get(&format!("/tasks/{first}")).await.expect(200);
    assert_eq!((&row["input"], &row["retry_of"]), (&json!("again"), &json!(task)));
}

#[tokio::test]
async fn a_row_says_what_a_held_task_was_made_with() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "run": false, "priority": -5, "queue_timeout": "5m",
        "total_timeout_ms": 3_600_000 });
    let task = id(&world.post("/tasks?return=row", body).await.expect(201));
    let row = world.get(&format!("/tasks/{task}")).await.expect(200);
    assert_eq!((&row["status"], &row["held"]), (&json!("pending"), &json!(true)));
    assert_eq!((&row["priority"], &row["definition"]), (&json!(-5), &Value::Null));
    assert_eq!(row["queue_timeout_ms"], 300_000);
    assert_eq!(row["total_timeout_ms"], 3_600_000);
    let released = world.post(&format!("/tasks/{task}/run"), json!({})).await.expect(200);
    assert_eq!(released["held"], false, "{released}");
    assert!(released["released_at"].is_string(), "{released}");
}

#[tokio::test]
async fn many_ended_tasks_are_deleted_by_one_command_and_stay_findable() {
    let world = world().await;
    let mut made = Vec::new();
    for run in [true, true, false] {
        let body = json!({ "flow": "hourly", "max_retries": 0, "run": run });
        made.push(id(&world.post("/tasks", body).await.expect(201)));
    }
    for ended in &made[..2] {
        let path = format!("/tasks/{ended}/wait?timeout_ms=20000");
        let row = world.get(&path).await.expect(200);
        assert_eq!((&row["status"], &row["deleted_at"]), (&json!("failed"), &Value::Null));
    }
    let ask = |dry_run: bool| {
        json!({ "action": "delete", "dry_run": dry_run, "reason": "tidied up",
            "filter": { "flow": "hourly", "since": "1h" } })
    };
    let dry = world.post("/tasks/bulk", ask(true)).await.expect(200);
    assert_eq!((&dry["matched"], &dry["done"]), (&json!(2), &json!(0)), "the held one is open");
    assert_eq!(world.get("/tasks").await.expect(200)["total"], 3);

    let answer = world.post("/tasks/bulk", ask(false)).await;
    let position = answer.header("x-spark-position").unwrap().to_owned();
    let done = answer.expect(200);
    assert_eq!(
        (&done["action"], &done["done"], &done["failed"]),
        (&json!("delete"), &json!(2), &json!(0))
    );
    let left = world.get(&format!("/tasks?min_position={position}")).await.expect(200);
    assert_eq!((&left["total"], &left["items"][0]["id"]), (&json!(1), &json!(made[2])));
    assert_eq!(world.get("/tasks?deleted=true").await.expect(200)["total"], 3);
    let row = world.get(&format!("/tasks/{}", made[0])).await.expect(200);
    assert!(row["deleted_at"].is_string(), "{row}");
    let history = world.get(&format!("/history/task/{}", made[0])).await.expect(200);
    assert_eq!(history["items"].as_array().unwrap().last().unwrap()["reason"], "tidied up");

    let open = json!({ "action": "delete", "filter": { "status": "pending" } });
    let refused = world.post("/tasks/bulk", open).await;
    let text = refused.json.to_string();
    assert!(text.contains("delete takes tasks that are completed, failed, cancelled"), "{text}");
    assert_eq!(refused.code(422), "SPK-1002");
    let forced = json!({ "action": "cancel", "force": true, "filter": { "since": "1h" } });
    let refused = world.post("/tasks/bulk", forced).await;
    assert!(refused.json.to_string().contains("force"), "{}", refused.json);
    assert_eq!(refused.code(422), "SPK-1002");
    let none = world.get("/tasks?trigger=backfill").await.expect(200);
    assert_eq!(none["total"], 0);
}
