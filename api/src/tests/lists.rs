//! Lists of tasks with their filters, following one task, and one command for many.

use serde_json::{Value, json};

use super::world::{World, world};

/// Runs that fail at once, each with its input; their ids, oldest first.
async fn failed(world: &World, inputs: &[&str]) -> Vec<Value> {
    let mut ids = Vec::new();
    for input in inputs {
        let body = json!({ "flow": "hourly", "input": input, "max_retries": 0, "wait_ms": 20_000 });
        let ended = world.post("/tasks", body).await.expect(201);
        assert_eq!(ended["status"], "failed");
        ids.push(ended["id"].clone());
    }
    ids
}

async fn ids(world: &World, query: &str) -> Vec<Value> {
    let position = world.app.projections.position();
    let path = format!("/tasks?min_position={position}{query}");
    let list = world.get(&path).await.expect(200);
    let items: Vec<Value> =
        list["items"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(list["total"], items.len(), "{query}");
    items
}

#[tokio::test]
async fn a_list_is_narrowed_by_every_key_and_sorted() {
    let world = world().await;
    let made = failed(&world, &["red apple", "green pear", "red pear"]).await;
    let newest_first: Vec<Value> = made.iter().rev().cloned().collect();
    for all in [
        "",
        "&status=failed",
        "&trigger=manual",
        "&class=unreachable",
        "&since=1h",
        "&flow=hourly",
        "&source=home",
        "&q=unreachable",
        "&sort=-created",
    ] {
        assert_eq!(ids(&world, all).await, newest_first, "{all}");
    }
    assert_eq!(ids(&world, "&sort=created").await, made);
    assert_eq!(ids(&world, "&q=red").await, [made[2].clone(), made[0].clone()]);
    assert_eq!(ids(&world, "&q=PEAR%20green").await, [made[1].clone()]);
    assert_eq!(ids(&world, "&q=app*&class=unreachable&since=1h").await, [made[0].clone()]);
    for none in ["&until=1h", "&class=auth", "&trigger=occurrence", "&q=plum", "&source=keyed"] {
        assert!(ids(&world, none).await.is_empty(), "{none}");
    }
    for bad in ["sort=duration", "class=x", "trigger=x", "since=x", "q=%2A", "deleted=x"] {
        assert_eq!(world.get(&format!("/tasks?{bad}")).await.code(422), "SPK-1003", "{bad}");
    }
    let flows = world.get("/flows?name=hourly").await.expect(200);
    assert_eq!((&flows["total"], &flows["items"][0]["name"]), (&json!(1), &json!("hourly")));
    assert_eq!(world.get("/schedules?status=active,paused").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn many_tasks_are_retried_by_one_command_and_a_dry_run_does_nothing() {
    let world = world().await;
    let made = failed(&world, &["a", "b", "c"]).await;
    let ask = |dry_run: bool| {
        json!({ "action": "retry", "dry_run": dry_run, "limit": 2, "reason": "mended",
            "filter": { "status": ["failed"], "since": "1h", "flow": "hourly" } })
    };
    let dry = world.post("/tasks/bulk", ask(true)).await.expect(200);
    assert_eq!((&dry["matched"], &dry["done"], &dry["failed"]), (&json!(3), &json!(0), &json!(0)));
    let newest = [made[2].clone(), made[1].clone()];
    let named = |answer: &Value| -> Vec<Value> {
        answer["items"].as_array().unwrap().iter().map(|item| item["task_id"].clone()).collect()
    };
    assert_eq!(named(&dry), newest);
    assert_eq!(ids(&world, "").await.len(), 3, "a dry run makes nothing");

    let answer = world.post("/tasks/bulk", ask(false)).await;
    let position = answer.header("x-spark-position").unwrap().to_owned();
    let done = answer.expect(200);
    assert_eq!((&done["matched"], &done["done"]), (&json!(3), &json!(2)));
    assert_eq!(named(&done), newest);
    let new = done["items"][0]["new_task_id"].as_str().unwrap();
    let row = world.get(&format!("/tasks/{new}?min_position={position}")).await.expect(200);
    assert_eq!((&row["retry_of"], &row["input"]), (&made[2], &json!("c")));
    let old = made[2].as_str().unwrap();
    let old = world.get(&format!("/tasks/{old}")).await.expect(200);
    assert_eq!(old["retried_as"], json!([new]));
}

#[tokio::test]
async fn a_command_for_many_is_refused_where_it_is_not_meant_so() {
    let world = world().await;
    for (body, part) in [
        (json!({ "action": "retry", "filter": {} }), "narrow it, for example by since"),
        (json!({ "action": "retry", "filter": { "deleted": true } }), "narrow it"),
        (
            json!({ "action": "cancel", "filter": { "status": "failed" } }),
            "cancel takes tasks that are pending, running, waiting",
        ),
        (json!({ "action": "burn", "filter": { "since": "1h" } }), "burn"),
        (json!({ "action": "retry", "filter": { "since": "x" } }), "neither an instant"),
        (json!({ "action": "retry", "filter": { "sort": "created" } }), "sort"),
        (
            json!({ "action": "retry", "filter": { "since": "1h" }, "limit": 1_001 }),
            "from 1 to 1000",
        ),
    ] {
        let refused = world.post("/tasks/bulk", body).await;
        let text = refused.json.to_string();
        assert!(text.contains(part), "{part}: {text}");
        assert_eq!(refused.code(422), "SPK-1002", "{text}");
    }
    let nothing = json!({ "action": "cancel", "filter": { "since": "1h" } });
    let nothing = world.post("/tasks/bulk", nothing).await.expect(200);
    assert_eq!((&nothing["matched"], &nothing["items"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_task_is_followed_from_revision_to_revision_and_its_log_is_narrowed() {
    let world = world().await;
    let body = json!({ "flow": "hourly", "max_retries": 0 });
    let made = world.post("/tasks?return=row", body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let follow = async {
        let mut row = made.clone();
        let mut seen = vec![row["revision"].as_u64().unwrap()];
        while row["finished_at"].is_null() {
            let revision = seen.last().unwrap();
            let path = format!("/tasks/{id}/wait?after_revision={revision}");
            row = world.get(&path).await.expect(200);
            seen.push(row["revision"].as_u64().unwrap());
        }
        seen
    };
    let bound = std::time::Duration::from_secs(20);
    let seen = tokio::time::timeout(bound, follow).await.expect("the end is never seen");
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let log = world.get(&format!("/tasks/{id}/log?attempt=1&component=Chat")).await.expect(200);
    assert_eq!(log["total"], 0);
    assert_eq!(world.get(&format!("/tasks/{id}/log?attempt=0")).await.code(422), "SPK-1003");
}

#[tokio::test]
async fn a_wrong_name_of_a_projection_is_answered_with_those_that_are_near() {
    let world = world().await;
    let asked = async |name: &str| {
        let path = format!("/projections/{name}/retry");
        let answer = world.post(&path, Value::Null).await.expect(404);
        (answer["suggestions"].clone(), answer["remedy"].as_str().unwrap().to_owned())
    };
    let (near, remedy) = asked("schedule").await;
    assert_eq!(near, json!(["schedules"]));
    assert!(remedy.contains("schedules"), "{remedy}");
    let (near, remedy) = asked("nonsense").await;
    assert!(near.as_array().is_none_or(Vec::is_empty), "{near}");
    assert!(remedy.contains("projection list"), "{remedy}");
}
