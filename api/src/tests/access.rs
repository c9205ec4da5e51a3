//! From which pages, and how often, callers may ask.

use serde_json::json;
use spark_events::limits::AUTH_FAILURES_BURST;

use super::world::{KEY, World, world_with};
use crate::{Access, Rates};

const PAGE: &str = "https://team.example";

async fn ask(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> super::world::Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    world.send(method, path, &headers, b"").await
}

#[tokio::test]
async fn a_page_may_ask_only_from_an_origin_that_was_named() {
    let access = Access { cors: PAGE.parse().unwrap(), ..Access::default() };
    let world = world_with(access).await;
    let asks = ("access-control-request-method", "PATCH");
    let preflight = ask(&world, "OPTIONS", "/tasks", &[("origin", PAGE), asks]).await;
    assert_eq!(preflight.status, 204, "without a key");
    assert_eq!(preflight.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(preflight.header("vary"), Some("Origin"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("X-API-Key"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(preflight.header("access-control-allow-credentials").is_none());
    assert!(preflight.header("x-request-id").is_some());

    // Every answer can be read by the page, errors and what has not changed too.
    let row = ask(&world, "GET", "/sources/home", &[("origin", PAGE), ("x-api-key", KEY)]).await;
    let tag = row.header("etag").unwrap().to_owned();
    let known = [("origin", PAGE), ("x-api-key", KEY), ("if-none-match", tag.as_str())];
    let known = ask(&world, "GET", "/sources/home", &known).await;
    let refused = ask(&world, "GET", "/tasks", &[("origin", PAGE)]).await;
    assert_eq!([row.status, known.status, refused.status], [200, 304, 401]);
    for answer in [row, known, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert!(answer.header("access-control-expose-headers").unwrap().contains("ETag"));
        assert!(answer.header("x-request-id").is_some());
    }

    let other = "https://other.example";
    let preflight = ask(&world, "OPTIONS", "/tasks", &[("origin", other), asks]).await;
    assert_eq!((preflight.status, preflight.header("vary")), (401, Some("Origin")));
    let stranger = ask(&world, "GET", "/tasks", &[("origin", other), ("x-api-key", KEY)]).await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    let plain = ask(&world, "GET", "/tasks", &[("x-api-key", KEY)]).await;
    assert_eq!(plain.header("vary"), Some("Origin"), "a cache must not mix the two");

    let world = world_with(Access::default()).await;
    let closed = ask(&world, "OPTIONS", "/tasks", &[("origin", PAGE), asks]).await;
    assert_eq!(closed.header("access-control-allow-origin"), None);
    let open = world_with(Access { cors: "*".parse().unwrap(), ..Access::default() }).await;
    let open = ask(&open, "OPTIONS", "/tasks", &[("origin", PAGE), asks]).await;
    assert_eq!(open.header("access-control-allow-origin"), Some("*"));
    assert!(open.header("access-control-allow-credentials").is_none());
}

/// Asks until it is too often, or a hundred times.
async fn too_often(world: &World, key: &str) -> bool {
    for _ in 0..100 {
        let answer = ask(world, "GET", "/whoami", &[("x-api-key", key)]).await;
        if answer.status == 429 {
            let again: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(again >= 1);
            assert_eq!(answer.code(429), "SPK-1012");
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_named_key_may_ask_so_often_and_the_local_one_and_workers_as_they_like() {
    let access = Access { rates: Rates::new("1/1".parse().unwrap()), ..Access::default() };
    let world = world_with(access).await;
    let mut secrets = Vec::new();
    for role in ["viewer", "admin", "worker"] {
        let made = world.post("/keys", json!({ "name": role, "role": role })).await.expect(201);
        secrets.push(made["secret"].as_str().unwrap().to_owned());
    }
    let [viewer, admin, worker] = &secrets[..] else { panic!() };
    assert!(too_often(&world, viewer).await);
    assert!(too_often(&world, admin).await, "each has a limit of its own");
    assert!(!too_often(&world, worker).await);
    assert!(!too_often(&world, KEY).await);
    let off = Access { rates: Rates::new("off".parse().unwrap()), ..Access::default() };
    let world = world_with(off).await;
    let made = world.post("/keys", json!({ "name": "ci", "role": "viewer" })).await.expect(201);
    assert!(!too_often(&world, made["secret"].as_str().unwrap()).await);
}

#[tokio::test]
async fn who_guesses_is_not_heard_for_a_while() {
    let world = world_with(Access::default()).await;
    let key = |name: &str| json!({ "name": name, "role": "viewer" });
    let named = world.post("/keys", key("ci")).await.expect(201);
    let old = world.post("/keys", key("old")).await.expect(201);
    ask(&world, "DELETE", "/keys/old", &[("x-api-key", KEY)]).await.expect(200);
    let old = [("x-api-key", old["secret"].as_str().unwrap())];
    for _ in 0..=AUTH_FAILURES_BURST {
        // It is no guess, however often somebody sends it who was not told.
        assert_eq!(ask(&world, "GET", "/whoami", &old).await.code(401), "SPK-2004");
    }
    ask(&world, "GET", "/whoami", &[("x-api-key", KEY)]).await.expect(200);

    assert!(too_often(&world, "guess").await);
    let right = ask(&world, "GET", "/whoami", &[("x-api-key", KEY)]).await;
    assert_eq!(right.code(429), "SPK-1012", "else the last guess would be told from the others");
    let named = [("x-api-key", named["secret"].as_str().unwrap())];
    ask(&world, "GET", "/whoami", &named).await.expect(200);
    ask(&world, "GET", "/livez", &[]).await.expect(200);
}
