//! What a person types, and what it stands for.

use spark_events::FlowId;
use spark_events::domain::flow::{FlowDeleted, FlowEvent};
use spark_events::domain::schedule::{ScheduleDeleted, ScheduleEvent};
use spark_events::domain::task::Trigger;
use uuid::Uuid;

use super::support::*;
use crate::find::Found;

const TWIN_A: FlowId = FlowId(Uuid::from_u128(0xabcd_1111 << 96));
const TWIN_B: FlowId = FlowId(Uuid::from_u128(0xabcd_2222 << 96));
const GONE: FlowId = FlowId(Uuid::from_u128(0xabcd_3333 << 96));

fn model() -> Model {
    let mut story = Story::with_flow();
    for (id, name) in [(TWIN_A, "Twin"), (TWIN_B, "Twin"), (GONE, "Gone")] {
        story.add(id.stream(), FlowEvent::Synced(Box::new(flow(name))));
    }
    story.add(GONE.stream(), FlowEvent::Deleted(FlowDeleted {}));
    story.add(SCHEDULE.stream(), schedule("hourly"));
    story.created(task_id(1), Trigger::Manual);
    story.created(task_id(2), Trigger::Manual);
    Model::of(&story)
}

#[tokio::test]
async fn ids_their_starts_and_names() {
    let model = model();
    let find = async |text: &str| model.reads().find_flow(text).await.unwrap();
    let one = Found::One;
    assert_eq!(find(&FLOW.to_string()).await, one(FLOW));
    assert_eq!(find(&FLOW.0.simple().to_string().to_uppercase()).await, one(FLOW));
    assert_eq!(find("00000002").await, one(FLOW));
    assert_eq!(find("abcd1").await, one(TWIN_A));
    assert_eq!(find("abcd-2222").await, one(TWIN_B));
    assert_eq!(find(" Daily report ").await, one(FLOW));
    assert_eq!(find("daily REPORT").await, one(FLOW));
    assert_eq!(find("remote-Daily report").await, one(FLOW));
    assert_eq!(find("abcd").await, Found::Many(vec![TWIN_A, TWIN_B]));
    assert_eq!(find("Twin").await, Found::Many(vec![TWIN_A, TWIN_B]));
    assert_eq!(find(&GONE.to_string()).await, one(GONE));
}

#[tokio::test]
async fn what_is_deleted_answers_where_nothing_living_does() {
    let mut story = Story::with_flow();
    let same_name = FlowId(Uuid::from_u128(0xabcd_4444 << 96));
    for (id, name) in [(TWIN_A, "Twin"), (TWIN_B, "Twin"), (GONE, "Gone"), (same_name, "Twin")] {
        story.add(id.stream(), FlowEvent::Synced(Box::new(flow(name))));
    }
    for id in [GONE, same_name, TWIN_B] {
        story.add(id.stream(), FlowEvent::Deleted(FlowDeleted {}));
    }
    story.add(SCHEDULE.stream(), schedule("hourly"));
    story.add(SCHEDULE.stream(), ScheduleEvent::Deleted(ScheduleDeleted::default()));
    let model = Model::of(&story);
    let find = async |text: &str| model.reads().find_flow(text).await.unwrap();
    assert_eq!(find("Twin").await, Found::One(TWIN_A), "the living one comes first");
    assert_eq!(find("abcd").await, Found::One(TWIN_A));
    assert_eq!(find("gone").await, Found::One(GONE));
    assert_eq!(find("abcd3333").await, Found::One(GONE));
    assert_eq!(find("abcd-4444").await, Found::One(same_name));
    assert_eq!(
        find("Gon").await,
        Found::None { suggestions: vec![] },
        "no deleted name is proposed"
    );
    assert_eq!(model.reads().find_schedule("hourly").await.unwrap(), Found::One(SCHEDULE));
}

#[tokio::test]
async fn near_misses_are_named() {
    let model = model();
    let suggestions = async |text: &str| match model.reads().find_flow(text).await.unwrap() {
        Found::None { suggestions } => suggestions,
        found => panic!("{found:?}"),
    };
    assert_eq!(suggestions("Dayly reprt").await, ["Daily report"]);
    assert_eq!(suggestions("report").await, ["Daily report"]);
    assert_eq!(suggestions("twi").await, ["Twin"]);
    assert!(suggestions("something else").await.is_empty());
    assert!(suggestions("").await.is_empty());
}

#[tokio::test]
async fn the_other_kinds() {
    let model = model();
    let reads = model.reads();
    assert_eq!(reads.find_source("http://local:7860/").await.unwrap(), Found::One(SOURCE));
    assert_eq!(reads.find_source("LOCAL").await.unwrap(), Found::One(SOURCE));
    assert_eq!(reads.find_schedule("hourly").await.unwrap(), Found::One(SCHEDULE));
    let near = Found::None { suggestions: vec!["hourly".into()] };
    assert_eq!(reads.find_schedule("houry").await.unwrap(), near);
    let both = Found::Many(vec![task_id(1), task_id(2)]);
    assert_eq!(reads.find_task("00000004").await.unwrap(), both);
    assert_eq!(reads.find_task(&task_id(2).to_string()).await.unwrap(), Found::One(task_id(2)));
    let none = Found::None { suggestions: vec![] };
    assert_eq!(reads.find_worker("ffff").await.unwrap(), none);
}
