//! ETags, and requests on a condition.

use serde_json::{Value, json};

use super::world::{Answer, KEY, World, world};

async fn send(
    world: &World,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: &Value,
) -> Answer {
    let headers = [("x-api-key", KEY.as_bytes()), (header.0, header.1.as_bytes())];
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    world.send(method, path, &headers, &body).await
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").expect("an ETag").to_owned()
}

async fn schedule(world: &World, name: &str) -> String {
    let body = json!({ "flow": "hourly", "every": "1h", "name": name });
    world.post("/schedules", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_row_has_a_tag_and_is_not_sent_twice() {
    let world = world().await;
    schedule(&world, "nightly").await;
    let run = json!({ "input": "x", "max_retries": 0, "wait_ms": 20_000 });
    let task = world.post("/flows/hourly/run", run).await.expect(201);
    let task = format!("/tasks/{}", task["id"].as_str().unwrap());
    world.post("/keys", json!({ "name": "ci", "role": "viewer" })).await.expect(201);
    let alert = json!({ "url": "http://127.0.0.1:1/", "name": "oncall" });
    world.post("/alerts", alert).await.expect(201);
    for path in [
        "/sources/home",
        "/flows/hourly",
        "/schedules/nightly",
        &task,
        "/keys/ci",
        "/alerts/oncall",
    ] {
        let first = world.get(path).await;
        let tag = etag(&first);
        let revision = first.json["revision"].as_u64().unwrap();
        assert!(tag.starts_with(&format!("\"{revision}-")), "{path}: {tag}");
        let again = send(&world, "GET", path, ("if-none-match", &tag), &Value::Null).await;
        assert_eq!((again.status, &again.json), (304, &Value::Null), "{path}");
        assert_eq!(etag(&again), tag);
        assert!(again.header("x-request-id").is_some());
        send(&world, "GET", path, ("if-none-match", "\"0-0\""), &Value::Null).await.expect(200);
    }
    // The same revision in another form is another answer.
    let brief = etag(&world.get("/flows/hourly").await);
    let whole = etag(&world.get("/flows/hourly?definition=true").await);
    assert_ne!(brief, whole);
    // What shows more than its own stream changes its tag without a revision.
    let before = world.get("/sources/home").await;
    let flow = format!("/flows/{}", world.flow);
    send(&world, "DELETE", &flow, ("x-any", "x"), &Value::Null).await.expect(200);
    let after = world.get("/sources/home").await;
    assert_eq!(before.json["revision"], after.json["revision"]);
    assert_ne!(etag(&before), etag(&after));
}

#[tokio::test]
async fn when_a_worker_was_heard_does_not_change_its_tag() {
    let world = world().await;
    let path = "/workers/built-in";
    let first = world.get(path).await;
    let tag = etag(&first);
    assert!(tag.starts_with("W/\""), "the bytes differ: {tag}");
    let later = world.get(path).await;
    assert_ne!(first.json["last_seen_at"], later.json["last_seen_at"]);
    assert_eq!(etag(&later), tag);
    let known = send(&world, "GET", path, ("if-none-match", &tag), &Value::Null).await;
    assert_eq!((known.status, etag(&known)), (304, tag.clone()));
    let pause = format!("{path}/pause");
    send(&world, "POST", &pause, ("if-match", &tag), &json!({})).await.expect(200);
    let changed = send(&world, "GET", path, ("if-none-match", &tag), &Value::Null).await;
    assert_ne!(etag(&changed), tag);
}

#[tokio::test]
async fn a_change_of_what_has_changed_since_is_refused() {
    let world = world().await;
    schedule(&world, "nightly").await;
    let path = "/schedules/nightly";
    let seen = etag(&world.get(path).await);
    let note = |text: &str| json!({ "note": text });
    let mine = send(&world, "PATCH", path, ("if-match", &seen), &note("mine")).await.expect(200);
    let theirs = send(&world, "PATCH", path, ("if-match", &seen), &note("theirs")).await;
    assert_eq!(theirs.json["revision"], mine["revision"], "{}", theirs.json);
    assert!(theirs.json["detail"].as_str().unwrap().contains("has changed since"));
    assert_eq!(theirs.code(412), "SPK-3006");
    assert_eq!(world.get(path).await.json["note"], "mine");

    // Also where the command would change nothing, and for every kind of thing.
    world.post("/schedules/nightly/pause", Value::Null).await.expect(200);
    let paused = format!("{path}/pause");
    for (method, path, body) in [
        ("POST", paused.as_str(), Value::Null),
        ("DELETE", path, Value::Null),
        ("DELETE", "/flows/hourly", Value::Null),
        ("PATCH", "/sources/home", json!({ "name": "new" })),
        ("DELETE", "/sources/keyed", Value::Null),
    ] {
        let stale = send(&world, method, path, ("if-match", "\"77\""), &body).await;
        let code = stale.json["code"].as_str().unwrap_or_default().to_owned();
        let used = path == "/flows/hourly";
        // A flow that is used is not looked at any further.
        let expected = if used { "SPK-3003" } else { "SPK-3006" };
        assert_eq!(code, expected, "{method} {path}: {}", stale.json);
    }
    let worker = world.get("/workers").await.json["items"][0].clone();
    let pause = format!("/workers/{}/pause", worker["id"].as_str().unwrap());
    let stale = send(&world, "POST", &pause, ("if-match", "\"77\""), &Value::Null).await;
    assert_eq!(stale.json["revision"], worker["revision"], "{}", stale.json);
    assert_eq!(stale.code(412), "SPK-3006");
    let seen = format!("\"{}\"", worker["revision"]);
    send(&world, "POST", &pause, ("if-match", &seen), &Value::Null).await.expect(200);
    let row = world.get(path).await.json;
    let now = format!("\"{}\"", row["revision"]);
    let resume = format!("{path}/resume");
    send(&world, "POST", &resume, ("if-match", &now), &Value::Null).await.expect(200);
    send(&world, "DELETE", path, ("if-match", "*"), &Value::Null).await.expect(200);
}

#[tokio::test]
async fn of_many_changes_at_once_on_one_condition_one_happens() {
    let world = world().await;
    let id = schedule(&world, "nightly").await;
    world.post("/keys", json!({ "name": "ci", "role": "viewer" })).await.expect(201);
    for (path, bodies) in [
        (format!("/schedules/{id}"), "note"),
        ("/flows/hourly".to_owned(), "runs_max"),
        ("/sources/home".to_owned(), "runs_max"),
    ] {
        let seen = etag(&world.get(&path).await);
        let change = |n: u32| {
            let body = match bodies {
                "note" => json!({ "note": format!("by {n}") }),
                field => json!({ field: n + 10 }),
            };
            let (world, path, seen) = (&world, &path, &seen);
            async move { send(world, "PATCH", path, ("if-match", seen), &body).await.status }
        };
        let ended = futures_util::future::join_all((0..8).map(change)).await;
        let count = |status| ended.iter().filter(|ended| **ended == status).count();
        assert_eq!((count(200), count(412)), (1, 7), "{path}: {ended:?}");
    }
}
