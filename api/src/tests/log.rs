//! `GET /log`: pages of the whole log, both ways, with filters, and where a page breaks off.

use serde_json::{Value, json};

use super::world::{KEY, World, world};

fn positions(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|row| row["position"].as_u64().unwrap()).collect()
}

async fn pages(world: &World, query: &str) -> Vec<u64> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page = world.get(&format!("/log?{query}{cursor}")).await.expect(200);
        all.extend(positions(&page));
        let Some(next) = page["next_cursor"].as_str() else { return all };
        assert_eq!(page["has_more"], true);
        cursor = format!("&cursor={next}");
    }
    panic!("{query} never ends: {all:?}");
}

#[tokio::test]
async fn the_log_is_paged_both_ways_without_a_gap_or_a_repetition() {
    let world = world().await;
    for n in 0..5 {
        let body = json!({ "flow": "hourly", "every": "1h", "name": format!("s{n}") });
        world.post("/schedules", body).await.expect(201);
    }
    let head = world.get("/log/head").await.expect(200)["head"].as_u64().unwrap();
    let forward: Vec<u64> = (1..=head).collect();
    let back: Vec<u64> = forward.iter().rev().copied().collect();
    for limit in [1, 2, 3, 100] {
        assert_eq!(pages(&world, &format!("limit={limit}&sort=position")).await, forward);
        assert_eq!(pages(&world, &format!("limit={limit}")).await, back);
    }
    assert_eq!(pages(&world, "sort=position&after=2&before=5").await, [3, 4]);
    assert_eq!(pages(&world, "after=2&before=5").await, [4, 3]);
    assert_eq!(pages(&world, "type=schedule.created&limit=2").await.len(), 5);
    assert_eq!(pages(&world, "schedule=s3").await.len(), 1);
    assert_eq!(pages(&world, "since=1h&sort=position&limit=3").await, forward);
    assert_eq!(pages(&world, "since=1h").await, back);
    assert_eq!(pages(&world, "until=1h").await, Vec::<u64>::new());
    assert_eq!(pages(&world, "until=1h&sort=position").await, Vec::<u64>::new());
}

#[tokio::test]
async fn one_event_is_shown_without_its_secrets() {
    let world = world().await;
    let event = world.get("/log/2").await.expect(200);
    assert_eq!(event["type"], "source.added");
    assert_eq!(event["data"]["api_key"], "sealed");
    assert_eq!(world.get("/log/0").await.code(404), "SPK-3001");
    assert_eq!(world.get("/log/9999").await.code(404), "SPK-3001");
    assert_eq!(world.get("/log/last").await.code(404), "SPK-1008");
}

/// The answer that somebody got is nobody else's business.
#[tokio::test]
async fn an_event_that_no_page_shows_is_not_there_by_its_position_either() {
    let world = world().await;
    let headers = [("x-api-key", KEY.as_bytes()), ("idempotency-key", b"k".as_slice())];
    let body = json!({ "flow": "hourly", "every": "1h", "name": "nightly" }).to_string();
    world.send("POST", "/schedules", &headers, body.as_bytes()).await.expect(201);
    let all = world.app.spark.log().read_all(spark_events::Position(0), 100).await.unwrap();
    let remembered = all.iter().filter(|event| event.stream.category() == "request");
    let remembered: Vec<u64> = remembered.map(|event| event.position.0).collect();
    assert_eq!(remembered.len(), 2);
    for position in remembered {
        assert_eq!(world.get(&format!("/log/{position}")).await.code(404), "SPK-3001");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_of_the_log_is_named() {
    let world = world().await;
    for (query, part) in [
        ("typ=x", "allowed are after, before, since, until, sort, limit, cursor, category"),
        ("sort=age", "not one of -position, position"),
        ("limit=1001", "from 1 to 1000"),
        ("since=1h&until=2h", "later than since"),
        ("cursor=x", "a position"),
        ("since=yesterday", "neither an instant"),
        ("category=blob", "is not one of"),
    ] {
        let problem = world.get(&format!("/log?{query}")).await.expect(422);
        assert!(problem.to_string().contains(part), "{query}: {problem}");
    }
}
