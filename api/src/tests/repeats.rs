//! `Idempotency-Key`: what is asked for twice happens once.

use serde_json::{Value, json};

use super::world::{Answer, KEY, World, world};

async fn post(world: &World, key: &str, path: &str, body: &Value) -> Answer {
    let headers = [("x-api-key", KEY.as_bytes()), ("idempotency-key", key.as_bytes())];
    world.send("POST", path, &headers, body.to_string().as_bytes()).await
}

fn schedule(name: &str) -> Value {
    json!({ "flow": "hourly", "every": "1h", "name": name })
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before_also_after_a_restart() {
    let world = world().await;
    let first = post(&world, "k", "/schedules", &schedule("nightly")).await;
    assert_eq!(first.header("idempotency-replayed"), None);
    let position = first.header("x-spark-position").map(str::to_owned);
    let first = first.expect(201);
    let world = world.restarted().await;
    let again = post(&world, "k", "/schedules", &schedule("nightly")).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("x-spark-position").map(str::to_owned), position);
    assert_eq!(again.expect(201), first);
    assert_eq!(world.get("/schedules").await.expect(200)["total"], 1);

    let other = post(&world, "k", "/schedules", &schedule("other")).await;
    assert_eq!(other.code(422), "SPK-1011");
    let elsewhere = post(&world, "k", "/schedules/nightly/pause", &json!({})).await;
    assert_eq!(elsewhere.code(422), "SPK-1011");
    // What somebody else asks for under the same key is another request.
    let made = world.post("/keys", json!({ "name": "ci", "role": "operator" })).await.expect(201);
    let secret = made["secret"].as_str().unwrap().as_bytes().to_vec();
    let headers = [("x-api-key", secret.as_slice()), ("idempotency-key", b"k".as_slice())];
    let body = schedule("theirs").to_string();
    world.send("POST", "/schedules", &headers, body.as_bytes()).await.expect(201);
}

#[tokio::test]
async fn a_secret_is_not_remembered() {
    let world = world().await;
    let body = json!({ "name": "ci", "role": "viewer" });
    let first = post(&world, "k", "/keys", &body).await.expect(201);
    let again = post(&world, "k", "/keys", &body).await.expect(201);
    assert_eq!(again["id"], first["id"]);
    assert!(first["secret"].is_string() && again.get("secret").is_none(), "{again}");
    let log = world.app.spark.log();
    let secret = first["secret"].as_str().unwrap().to_owned();
    for event in log.read_all(spark_events::Position(0), 1_000).await.unwrap() {
        let data = String::from_utf8_lossy(&event.data).into_owned();
        assert!(!data.contains(&secret), "{data}");
    }
}

#[tokio::test]
async fn what_was_refused_may_be_asked_again() {
    let world = world().await;
    let path = "/schedules/nightly/pause";
    assert_eq!(post(&world, "k", path, &json!({})).await.code(404), "SPK-3001");
    world.post("/schedules", schedule("nightly")).await.expect(201);
    post(&world, "k", path, &json!({})).await.expect(200);
    world.post("/schedules/nightly/resume", Value::Null).await.expect(200);
    // A repeat is no second pause.
    assert_eq!(post(&world, "k", path, &json!({})).await.expect(200)["status"], "paused");
    assert_eq!(world.get("/schedules/nightly").await.json["status"], "active");
    let bad = post(&world, "", path, &json!({})).await;
    assert_eq!(bad.code(422), "SPK-1004");
}

#[tokio::test]
async fn of_many_at_once_one_happens() {
    let world = world().await;
    let body = schedule("nightly");
    let asked = (0..8).map(|_| post(&world, "k", "/schedules", &body));
    let answers = futures_util::future::join_all(asked).await;
    for answer in answers {
        match answer.status {
            201 => {}
            409 => assert_eq!(answer.json["code"], "SPK-1013", "{}", answer.json),
            other => panic!("{other}: {}", answer.json),
        }
    }
    assert_eq!(world.get("/schedules").await.expect(200)["total"], 1);
    post(&world, "k", "/schedules", &body).await.expect(201);
}

/// What a poll is answered holds the keys of sources in clear.
#[tokio::test]
async fn what_a_worker_says_and_is_told_is_never_remembered() {
    let world = world().await;
    let worker = json!({
        "id": "0192f0c1-2d3e-7000-8000-00000000000a", "name": "gpu-1", "hostname": "here",
        "pid": 1, "slots": 1, "version": "0.0.0", "protocol": 1, "clock": world.app.now(),
    });
    let session = post(&world, "k1", "/workers", &worker).await.expect(201)["session"].clone();
    let worker = worker["id"].as_str().unwrap();
    let poll = json!({ "session": session, "after": 0, "wait_ms": 0 });
    let reports = json!({ "session": session, "items": [] });
    for (key, verb, body) in
        [("k2", "poll", poll), ("k3", "reports", reports), ("k4", "leave", Value::Null)]
    {
        let path = format!("/workers/{worker}/{verb}");
        post(&world, key, &path, &body).await;
    }
    for event in world.app.spark.log().read_all(spark_events::Position(0), 1_000).await.unwrap() {
        assert_ne!(event.stream.category(), "request", "{}", event.event_type);
    }
}
