//! Keys with names and roles: made, used, refused, taken back.

use serde_json::{Value, json};
use spark_events::domain::api_key::Role;

use super::world::{Answer, World, world};
use crate::auth::roles::Need;
use crate::auth::roles::tests::{ENDPOINTS, parts};

async fn make(world: &World, name: &str, role: &str) -> Value {
    let body = json!({ "name": name, "role": role });
    world.post("/keys", body).await.expect(201)
}

async fn with(world: &World, secret: &str, method: &str, path: &str) -> Answer {
    world.send(method, path, &[("x-api-key", secret.as_bytes())], b"").await
}

#[tokio::test]
async fn a_key_tells_its_secret_once_and_its_name_in_every_event() {
    let world = world().await;
    let made = make(&world, "ci", "operator").await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(secret.starts_with("sk-spark-") && secret.len() == 73, "{secret}");
    assert!(secret.ends_with(made["hint"].as_str().unwrap()));
    assert_eq!(made["role"], "operator");
    assert_eq!(made["created_by"], "user:local");
    assert_eq!(made["last_used_at"], Value::Null);

    let whoami = with(&world, secret, "GET", "/whoami").await.expect(200);
    assert_eq!(whoami["name"], "ci");
    assert_eq!(whoami["role"], "operator");
    assert_eq!(whoami["id"], id);
    let whoami = world.get("/whoami").await.expect(200);
    assert_eq!(whoami["name"], "local");
    assert_eq!(whoami["role"], "admin");

    let run = with(&world, secret, "POST", &format!("/flows/{}/run", world.flow)).await;
    let task = run.expect(201)["id"].as_str().unwrap().to_owned();
    let history = world.get(&format!("/history/task/{task}")).await.expect(200);
    assert_eq!(history["items"][0]["actor"], "user:ci");

    // The list knows of the last use; neither it nor the history knows the secret or its hash.
    let list = world.get("/keys").await.expect(200);
    assert!(list["items"][0]["last_used_at"].is_string(), "{list}");
    let history = world.get("/history/key/ci").await.expect(200);
    let types: Vec<_> = history["items"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    assert_eq!(types, ["key.created", "key.used"], "one use is recorded for many requests");
    assert_eq!(history["items"][0]["data"]["secret_hash"], "hidden");
    for shown in [list.to_string(), history.to_string()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn each_role_gets_what_it_may_and_is_told_what_it_lacks() {
    let world = world().await;
    for role in Role::ALL {
        let made = make(&world, &format!("as {role}"), role.as_str()).await;
        let secret = made["secret"].as_str().unwrap();
        for line in ENDPOINTS {
            let (method, path, need) = parts(line);
            let may = match need {
                Need::Nobody | Need::AnyKey => true,
                Need::Role(needed) => role.covers(needed),
            };
            // Which has no end.
            if may && path == "/events" {
                continue;
            }
            let answer = with(&world, secret, method, path).await;
            assert_eq!(answer.status != 403, may, "{role}: {line}: {}", answer.json);
            if !may {
                let detail = answer.json["detail"].as_str().unwrap();
                assert!(detail.contains(&format!("as {role}")), "{detail}");
                assert!(answer.json["remedy"].as_str().unwrap().contains("--role"), "{line}");
                assert_eq!(answer.code(403), "SPK-2003", "{line}");
            }
        }
        // What does not exist is no question of roles.
        assert_eq!(with(&world, secret, "GET", "/nonsense").await.code(404), "SPK-1008");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_with_who_and_when_also_after_a_restart() {
    let world = world().await;
    let made = make(&world, "ci", "viewer").await;
    let secret = made["secret"].as_str().unwrap();
    let other = make(&world, "boss", "admin").await;
    let boss = other["secret"].as_str().unwrap();
    let revoked = with(&world, boss, "DELETE", "/keys/ci").await.expect(200);
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["revoked_by"], "user:boss");
    let refused = |answer: Answer| {
        assert_eq!(answer.header("www-authenticate"), Some("ApiKey"));
        let detail = answer.json["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("ci was revoked by user:boss at 20"), "{detail}");
        assert_eq!(answer.code(401), "SPK-2004");
    };
    refused(with(&world, secret, "GET", "/tasks").await);
    with(&world, boss, "DELETE", &format!("/keys/{}", made["id"].as_str().unwrap()))
        .await
        .expect(200);

    // Its name is free again, and its history stays.
    let again = make(&world, "ci", "viewer").await;
    assert_ne!(again["id"], made["id"]);
    let world = world.restarted().await;
    refused(with(&world, secret, "GET", "/tasks").await);
    let living = again["secret"].as_str().unwrap();
    with(&world, living, "GET", "/tasks").await.expect(200);
    assert_eq!(world.get("/keys").await.expect(200)["total"], 2);
    assert_eq!(world.get("/keys?revoked=true").await.expect(200)["total"], 3);
    assert_eq!(world.get("/keys?role=admin").await.expect(200)["items"][0]["name"], "boss");
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_by_its_field() {
    let world = world().await;
    make(&world, "ci", "viewer").await;
    for (body, code, status, part) in [
        (json!({ "name": "ci", "role": "admin" }), "SPK-3003", 409, "automagik key revoke"),
        (json!({ "name": "local", "role": "admin" }), "SPK-3005", 422, "data directory"),
        (json!({ "name": "a\nb", "role": "admin" }), "SPK-3005", 422, "control characters"),
        (json!({ "name": "x", "role": "root" }), "SPK-1002", 422, "viewer, operator, worker"),
        (json!({ "name": "x" }), "SPK-1002", 422, "role"),
    ] {
        let answer = world.post("/keys", body.clone()).await;
        assert!(answer.json["detail"].as_str().unwrap().contains(part), "{body}: {}", answer.json);
        assert_eq!(answer.code(status), code, "{body}");
    }
    assert_eq!(world.get("/keys/nobody").await.code(404), "SPK-3001");
}

#[tokio::test]
async fn the_names_of_keys_cannot_be_guessed_by_asking_for_their_events() {
    let world = world().await;
    let viewer = make(&world, "screen", "viewer").await;
    let boss = make(&world, "boss", "admin").await;
    for asked in ["boss", "bos", "nobody", boss["id"].as_str().unwrap()] {
        for path in ["/log", "/events"] {
            let path = format!("{path}?key={asked}");
            let refused = with(&world, viewer["secret"].as_str().unwrap(), "GET", &path).await;
            assert!(!refused.json.to_string().contains("boss"), "{path}: {}", refused.json);
            assert_eq!(refused.code(403), "SPK-2003", "{path}");
        }
    }
    let found =
        with(&world, boss["secret"].as_str().unwrap(), "GET", "/log?key=screen&sort=position")
            .await;
    assert_eq!(found.expect(200)["items"][0]["type"], "key.created");
}
