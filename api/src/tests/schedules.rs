//! Schedules: made, changed, looked ahead, backfilled, triggered, asked why.

use serde_json::{Value, json};

use super::world::{Answer, KEY, World, world};

async fn made(world: &World, body: Value) -> Value {
    let mut full = json!({ "flow": "hourly", "name": "greet", "max_retries": 0 });
    full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    world.post("/schedules", full).await.expect(201)
}

async fn patch(world: &World, path: &str, body: Value) -> Answer {
    let key = [("x-api-key", KEY.as_bytes())];
    world.send("PATCH", path, &key, body.to_string().as_bytes()).await
}

#[track_caller]
fn refused(answer: Answer, field: &str, part: &str) {
    let json = &answer.json;
    assert_eq!(json["errors"][0]["field"], field, "{json}");
    assert!(json["errors"][0]["message"].as_str().unwrap().contains(part), "{json}");
    assert!(["SPK-1002", "SPK-3005"].contains(&&*answer.code(422)));
}

/// How many events a schedule has.
async fn events(world: &World, id: &str) -> Value {
    world.get(&format!("/history/schedule/{id}")).await.expect(200)["total"].clone()
}

#[tokio::test]
async fn a_schedule_of_several_recurrences_shows_its_timetable() {
    let world = world().await;
    let row = made(
        &world,
        json!({
            "specs": [{ "cron": "0 9 * * MON-FRI" }, { "every": "6h" }], "timezone": "Europe/Berlin",
            "exclude": ["2030-12-25"], "note": "for sales", "runs_max": 9, "pause_after": 2,
            "on_drift": "hold", "jitter": "30s",
        }),
    )
    .await;
    assert_eq!((&row["recurrence"], &row["timezone"]), (&Value::Null, &json!("Europe/Berlin")));
    assert_eq!(row["timetable"]["specs"].as_array().unwrap().len(), 2);
    assert_eq!(row["timetable"]["exclusions"][0]["kind"], "span");
    assert_eq!((&row["runs_left"], &row["pause_after"]), (&json!(9), &json!(2)));
    assert_eq!((&row["note"], &row["on_drift"]), (&json!("for sales"), &json!("hold")));
    assert_eq!((&row["waiting"], &row["backfills"]), (&json!(0), &json!([])));
    assert!(row["next_starts_at"].as_str() >= row["next_due_at"].as_str());
    let next = world.get("/schedules/greet/next?n=2").await.expect(200);
    assert_eq!(next["items"][0]["due_at"], row["next_due_at"]);
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_not_stored() {
    let world = world().await;
    for (body, field, part) in [
        (json!({ "every": "1h", "overlap": "Sometimes" }), "overlap", "unknown variant"),
        (json!({ "specs": [] }), "specs", "at least one"),
        (json!({ "at": "now", "specs": [{ "every": "1h" }] }), "specs", "cannot be combined"),
        (json!({ "every": "1h", "runs_max": 0 }), "runs_max", "at least one run"),
        (json!({ "every": "1h", "pause_after": 0 }), "pause_after", "one failure or more"),
        (json!({ "every": "1h", "note": "x".repeat(2_001) }), "note", "2000 bytes"),
        (json!({ "every": "1h", "pauze_after": 1 }), "pauze_after", "unknown field"),
    ] {
        let mut full = json!({ "flow": "hourly" });
        full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        refused(world.post("/schedules", full).await, field, part);
    }
    assert_eq!(world.get("/schedules?deleted=true").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_preview_shows_clock_changes_and_what_may_surprise() {
    let world = world().await;
    let ask = async |body| world.post("/schedules/preview", body).await.expect(200);
    let fold = ask(json!({ "cron": "30 1 * * *", "timezone": "America/New_York", "n": 1,
        "after": "2026-10-31T12:00:00Z" }))
    .await;
    assert_eq!(
        fold["items"][0],
        json!({ "due_at": "2026-11-01T05:30:00.000000Z", "dst": "fold",
            "local": "2026-11-01T01:30:00-04:00" })
    );
    assert_eq!(fold["notes"], json!([]));
    let either =
        ask(json!({ "cron": "0 0 15 * 1", "n": 2, "after": "2026-01-01T00:00:00Z" })).await;
    assert!(either["notes"][0].as_str().unwrap().starts_with("either day"), "{either}");
    let both =
        ask(json!({ "specs": [{ "calendar": { "day_of_month": "15", "day_of_week": "1" } }],
        "n": 1, "after": "2026-01-01T00:00:00Z" }))
        .await;
    assert_eq!(both["items"][0]["due_at"], "2026-06-15T00:00:00.000000Z");
    assert_eq!(both["notes"], json!([]));
}

#[tokio::test]
async fn a_patch_shows_what_comes_before_and_after_and_can_be_tried_dry() {
    let world = world().await;
    let row = made(&world, json!({ "cron": "0 9 * * *", "note": "old", "runs_max": 4 })).await;
    let id = row["id"].as_str().unwrap();
    let body = json!({ "cron": "0 10 * * *", "note": null, "runs_max": null, "reason": "later" });
    let dry = patch(&world, "/schedules/greet?dry_run=true", body.clone()).await.expect(200);
    assert_eq!((&dry["note"], &dry["runs_max"]), (&json!("old"), &json!(4)));
    assert_eq!(dry["next"]["before"][0]["due_at"], row["next_due_at"]);
    assert_eq!(dry["next"]["after"].as_array().unwrap().len(), 5);
    assert!(dry["next"]["after"][0]["local"].as_str().unwrap().contains("T10:00:00"), "{dry}");
    assert_eq!(events(&world, id).await, 1, "a dry run stores nothing");
    let changed = patch(&world, "/schedules/greet", body).await.expect(200);
    assert_eq!((&changed["note"], &changed["runs_max"]), (&Value::Null, &Value::Null));
    assert_eq!(changed["next_due_at"], changed["next"]["after"][0]["due_at"]);
    let history = world.get(&format!("/history/schedule/{id}")).await.expect(200);
    assert_eq!(history["items"][1]["reason"], "later");
    assert_eq!(history["items"][1]["data"]["changed"], json!(["note", "runs_max", "timetable"]));
    let taken = json!({ "flow": "hourly", "name": "other", "every": "1h" });
    world.post("/schedules", taken).await.expect(201);
    assert_eq!(
        patch(&world, "/schedules/greet", json!({ "name": "other" })).await.code(409),
        "SPK-3003"
    );
    patch(&world, "/schedules/greet", json!({ "name": "greet", "note": "x" })).await.expect(200);
}

/// Bug 4 of the originals: a change half-applied, then 400.
#[tokio::test]
async fn bug_4_a_refused_change_applies_nothing_of_it() {
    let world = world().await;
    let row = made(&world, json!({ "cron": "0 9 * * *" })).await;
    let id = row["id"].as_str().unwrap();
    for (body, field, part) in [
        (json!({ "cron": "0 10 * * *", "status": "paused" }), "status", "unknown field"),
        (json!({ "cron": "0 10 * * *", "overlap": "Never" }), "overlap", "unknown variant"),
        (json!({ "cron": "0 10 * * *", "timeout_ms": 1 }), "timeout_ms", "from 1 s"),
        (json!({ "cron": "0 10 * * *", "runs_max": 0 }), "runs_max", "at least one"),
        (json!({ "note": "x", "end_at": "2020-01-01T00:00:00Z" }), "end_at", "nothing is due"),
    ] {
        for dry in ["", "?dry_run=true"] {
            refused(
                patch(&world, &format!("/schedules/{id}{dry}"), body.clone()).await,
                field,
                part,
            );
        }
    }
    assert_eq!(events(&world, id).await, 1);
    let after = world.get(&format!("/schedules/{id}")).await.expect(200);
    assert_eq!(
        (&after["timetable"], &after["next_due_at"]),
        (&row["timetable"], &row["next_due_at"])
    );
}

/// Bug 3 of the originals: the next instant of an interval was rewritten to now + interval.
#[tokio::test]
async fn bug_3_nothing_but_a_new_time_moves_the_next_instant() {
    let world = world().await;
    let row = made(&world, json!({ "every": "7h" })).await;
    let due = &row["next_due_at"];
    for body in [json!({ "note": "x" }), json!({ "input": "y" }), json!({ "overlap": "AllowAll" })]
    {
        let changed = patch(&world, "/schedules/greet", body).await.expect(200);
        assert_eq!(&changed["next_due_at"], due);
    }
    world.post("/schedules/greet/trigger", json!({})).await.expect(201);
    world.post("/schedules/greet/pause", json!({})).await.expect(200);
    let resumed = world.post("/schedules/greet/resume", json!({})).await.expect(200);
    assert_eq!(&resumed["next_due_at"], due);
    assert_eq!(
        &world.get("/schedules/greet/next?n=1").await.expect(200)["items"][0]["due_at"],
        due
    );
}

#[tokio::test]
async fn a_trigger_waits_starts_or_is_refused_as_its_policy_says() {
    let world = world().await;
    // Its source is away, so its tasks stay open while they wait for the next attempt.
    made(&world, json!({ "every": "7h", "max_retries": 5 })).await;
    let path = "/schedules/greet/trigger";
    let first = world.post(path, json!({})).await.expect(201);
    assert_eq!(first["trigger"], "schedule_triggered");
    assert_eq!(world.post(path, json!({ "overlap": "Skip" })).await.code(409), "SPK-3004");
    let waits = world.post(path, json!({ "overlap": "BufferAll" })).await.expect(202);
    assert_eq!(waits["waits"], true);
    assert!(waits["task_id"].is_string());
    world.post(path, json!({ "overlap": "AllowAll" })).await.expect(201);
    let unknown = world.post(path, json!({ "overlap": "Later" })).await;
    refused(unknown, "overlap", "unknown variant");
}

#[tokio::test]
async fn a_backfill_is_counted_tried_dry_begun_and_cancelled() {
    let world = world().await;
    made(&world, json!({ "every": "1m", "max_retries": 5 })).await;
    world.post("/schedules/greet/pause", json!({})).await.expect(200);
    let path = "/schedules/greet/backfill";
    let span = json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:09:59Z" });
    let with = |more: Value| {
        let mut body = span.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let ten_years = json!({ "from": "2010-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z" });
    let ten_years = world.post(path, ten_years).await;
    assert!(ten_years.json["detail"].as_str().unwrap().contains("the bound of 10000"));
    refused(ten_years, "from", "has 52588");
    for (body, field, part) in [
        (with(json!({ "to": "2999-01-01T00:00:00Z" })), "to", "in the future"),
        (with(json!({ "from": "2021-01-01T00:00:00Z" })), "from", "is after to"),
        (with(json!({ "overlap": "Skip" })), "overlap", "BufferAll"),
        (with(json!({ "overlap": "Both" })), "overlap", "unknown variant"),
        (with(json!({ "only": "some" })), "only", "unknown variant"),
        (with(json!({ "active_max": 101 })), "active_max", "from 1 to 100"),
    ] {
        refused(world.post(path, body).await, field, part);
    }
    let dry = world.post(path, with(json!({ "dry_run": true, "reverse": true }))).await.expect(200);
    assert_eq!((&dry["count"], &dry["truncated"]), (&json!(10), &json!(false)));
    assert_eq!(
        (&dry["items"][0]["state"], &dry["items"][0]["taken"]),
        (&json!("missing"), &json!(true))
    );
    assert!(dry["items"][0]["due_at"].as_str() > dry["items"][1]["due_at"].as_str(), "{dry}");
    let begun = world.post(path, with(json!({ "reason": "made up" }))).await.expect(202);
    assert_eq!(begun, json!({ "number": 1, "count": 10 }));
    // What waits for its turn is not missing any more, nor is what runs.
    let again = world.post(path, with(json!({ "dry_run": true, "only": "all" }))).await.expect(200);
    assert_eq!((&again["count"], &again["items"][9]["state"]), (&json!(0), &json!("open")));
    assert_eq!(world.post(path, span.clone()).await.code(409), "SPK-3004");
    let cancelled = world.post("/schedules/greet/backfill/1/cancel", json!(null)).await.expect(200);
    assert_eq!(cancelled["backfills"], json!([]));
    let gone = world.post("/schedules/greet/backfill/1/cancel", json!(null)).await;
    assert_eq!(gone.code(404), "SPK-3001");
}

#[tokio::test]
async fn why_answers_for_any_instant_also_of_a_deleted_schedule() {
    let world = world().await;
    let row = made(&world, json!({ "every": "7h", "reason": "asked for" })).await;
    let due = row["next_due_at"].as_str().unwrap();
    let ask =
        async |at: &str| world.get(&format!("/schedules/greet/why?at={at}")).await.expect(200);
    let ahead = ask(due).await;
    assert_eq!((&ahead["verdict"], &ahead["schedule_id"]), (&json!("ahead"), &row["id"]));
    assert_eq!(
        (&ahead["set_by"]["actor"], &ahead["set_by"]["reason"]),
        (&json!("user:local"), &json!("asked for"))
    );
    assert_eq!(ask("2999-01-01T00:00:01Z").await["verdict"], "not_due");
    assert_eq!(ask("2020-01-01T00:00:00Z").await["verdict"], "before_creation");
    world.post("/schedules/greet/pause", json!({ "reason": "holiday" })).await.expect(200);
    let paused = ask(due).await;
    assert_eq!(paused["verdict"], "paused");
    assert!(paused["summary"].as_str().unwrap().contains("user:local"), "{paused}");
    assert!(paused["summary"].as_str().unwrap().contains("holiday"), "{paused}");
    world
        .send("DELETE", "/schedules/greet", &[("x-api-key", KEY.as_bytes())], b"")
        .await
        .expect(200);
    assert_eq!(ask(due).await["verdict"], "after_deletion");
    for (path, field) in [("/schedules/greet/why", "at"), ("/schedules/greet/why?at=soon", "at")] {
        let refused = world.get(path).await;
        assert_eq!(refused.json["errors"][0]["field"], field, "{}", refused.json);
        assert_eq!(refused.code(422), "SPK-1003");
    }
    let unknown = format!("/schedules/{}/why?at=now", spark_events::ScheduleId::random());
    assert_eq!(world.get(&unknown).await.code(404), "SPK-3001");
}

#[tokio::test]
async fn a_list_takes_several_statuses() {
    let world = world().await;
    made(&world, json!({ "every": "1h" })).await;
    world.post("/schedules/greet/pause", json!({})).await.expect(200);
    for (query, total) in [("status=active,paused", 1), ("status=active", 0), ("status=deleted", 0)]
    {
        let listed = world.get(&format!("/schedules?{query}")).await.expect(200);
        assert_eq!(listed["total"], total, "{query}");
    }
}
