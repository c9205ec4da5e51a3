//! Alerts over HTTP: made, shown, changed, tried. Nobody listens at the receiver's address.

use serde_json::{Value, json};

use super::world::{KEY, World, world};

const NOBODY: &str = "http://127.0.0.1:1/hook-hush?token=hush";

async fn make(world: &World, body: Value) -> Value {
    world.post("/alerts", body).await.expect(201)
}

async fn patch(world: &World, path: &str, body: Value) -> Value {
    let key = [("x-api-key", KEY.as_bytes())];
    world.send("PATCH", path, &key, body.to_string().as_bytes()).await.expect(200)
}

#[tokio::test]
async fn an_alert_tells_its_secret_once_and_hides_it_in_every_other_place() {
    let world = world().await;
    let body = json!({
        "url": NOBODY, "name": "on call", "kinds": ["task_failed", "source.down"],
        "flow": world.flow, "reason": "nights"
    });
    let made = make(&world, body).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(made["kinds"], json!(["task_failed", "source_down"]));
    assert_eq!(
        (&made["status"], &made["url"]),
        (&json!("enabled"), &json!("http://127.0.0.1:1/***"))
    );
    let rotated = world.post("/alerts/on%20call/rotate-secret", json!({ "keep": "1h" })).await;
    let rotated = rotated.expect(200);
    assert_ne!(rotated["secret"], made["secret"]);
    assert!(rotated["previous_secret_until"].is_string(), "{rotated}");
    let one = world.get("/alerts/on%20call").await.expect(200);
    let list = world.get("/alerts?status=enabled").await.expect(200);
    let history = world.get("/history/alert/on%20call").await.expect(200);
    assert_eq!(list["total"], 1);
    assert_eq!(history["items"][0]["data"]["secret"], "sealed");
    assert_eq!(history["items"][0]["reason"], "nights");
    for shown in [one, list, history] {
        let text = shown.to_string();
        assert!(!text.contains("whsec_") && !text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn a_test_and_a_retry_answer_what_came_back_and_are_recorded() {
    let world = world().await;
    make(&world, json!({ "url": NOBODY, "name": "a" })).await;
    let test = world.post("/alerts/a/test", json!({})).await;
    let position = test.header("x-spark-position").unwrap().to_owned();
    let test = test.expect(200);
    assert_eq!(test["delivered"], false);
    assert!(test["error"].as_str().unwrap().contains("cannot be reached"), "{test}");
    assert!(test["remedy"].as_str().unwrap().contains("runs"), "{test}");
    assert!(!test.to_string().contains("hush"), "{test}");
    let failed = format!("/alerts/a/deliveries?status=failed&min_position={position}");
    let deliveries = world.get(&failed).await.expect(200);
    let id = deliveries["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(deliveries["items"][0]["kind"], "test");
    let again = world.post(&format!("/alerts/a/deliveries/{}/retry", &id[..13]), json!({})).await;
    let position = again.header("x-spark-position").unwrap().to_owned();
    assert_eq!(again.expect(200)["message_id"], id.as_str());
    let all = format!("/alerts/a/deliveries?min_position={position}");
    let deliveries = world.get(&all).await.expect(200);
    assert_eq!(deliveries["items"][0]["attempts"].as_array().unwrap().len(), 2);
    make(&world, json!({ "url": NOBODY, "name": "b" })).await;
    world.post(&format!("/alerts/b/deliveries/{id}/retry"), json!({})).await.expect(404);
}

#[tokio::test]
async fn changes_filters_and_ends() {
    let world = world().await;
    make(&world, json!({ "url": NOBODY, "name": "a", "flow": world.flow })).await;
    let changed = patch(&world, "/alerts/a", json!({ "flow": null, "enabled": false })).await;
    assert_eq!((&changed["flow_id"], &changed["status"]), (&Value::Null, &json!("disabled")));
    let changed = patch(&world, "/alerts/a", json!({ "enabled": true, "name": "b" })).await;
    assert_eq!(changed["status"], "enabled");
    let key = [("x-api-key", KEY.as_bytes())];
    world.send("DELETE", "/alerts/b", &key, b"").await.expect(200);
    world.post("/alerts/b/test", json!({})).await.expect(404);
    assert_eq!(
        world.get("/alerts?deleted=true").await.expect(200)["items"][0]["status"],
        "deleted"
    );
    make(&world, json!({ "url": NOBODY, "name": "b" })).await;
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let world = world().await;
    make(&world, json!({ "url": NOBODY, "name": "a" })).await;
    for (body, status, part) in [
        (json!({ "name": "x" }), 422, "url"),
        (json!({ "url": "ftp://x" }), 422, "http://"),
        (json!({ "url": NOBODY, "kinds": ["fire"] }), 422, "task_failed"),
        (json!({ "url": NOBODY, "kinds": [] }), 422, "at least one"),
        (json!({ "url": NOBODY, "kinds": ["worker_lost"], "flow": world.flow }), 422, "ever match"),
        (json!({ "url": NOBODY, "flow": "nope" }), 404, "no flow"),
        (json!({ "url": NOBODY, "name": "A" }), 409, "already"),
        (json!({ "url": NOBODY, "secret": "mine" }), 422, "secret"),
    ] {
        let problem = world.post("/alerts", body.clone()).await.expect(status);
        assert!(problem.to_string().contains(part), "{body}: {problem}");
    }
    world.get("/alerts?status=on").await.expect(422);
    world.get("/alerts/a/deliveries?status=lost").await.expect(422);
    world.post("/alerts/a/rotate-secret", json!({ "keep": "40d" })).await.expect(422);
}

#[tokio::test]
async fn the_events_of_an_alert_are_found_by_its_name() {
    let world = world().await;
    let made = make(&world, json!({ "url": NOBODY, "name": "a" })).await;
    make(&world, json!({ "url": NOBODY, "name": "b" })).await;
    let page = world.get("/log?alert=a").await.expect(200);
    let rows = page["items"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{page}");
    let stream = format!("alert-{}", made["id"].as_str().unwrap());
    assert_eq!((&rows[0]["type"], &rows[0]["stream"]), (&json!("alert.created"), &json!(stream)));
    // Whoever may see alerts may see what happens to them.
    let body = json!({ "name": "ear", "role": "viewer" });
    let secret = world.post("/keys", body).await.expect(201)["secret"].as_str().unwrap().to_owned();
    let key = [("x-api-key", secret.as_bytes())];
    let seen = world.send("GET", "/log?alert=a", &key, b"").await.expect(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    world.get("/log?alert=c").await.expect(404);
}

#[tokio::test]
async fn health_and_numbers_tell_how_alerts_are_doing() {
    let world = world().await;
    make(&world, json!({ "url": NOBODY, "name": "a" })).await;
    world.post("/alerts/a/test", json!({})).await.expect(200);
    let health = world.get("/health").await.expect(200);
    let expected = json!({ "running": true, "trouble": null, "waiting": 0, "given_up": 0 });
    assert_eq!(health["actors"]["alerts"], expected);
    let text = world.app.metrics.text(&world.app).await.unwrap();
    for line in [
        "spark_alerts_running 1",
        "spark_alert_messages_waiting 0",
        "spark_alert_deliveries_total{outcome=\"failed\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is missing of {text}");
    }
}
