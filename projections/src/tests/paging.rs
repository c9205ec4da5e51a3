//! Pages of lists.

use spark_events::domain::task::{TaskEvent, TaskStatus, Trigger};
use spark_events::{FlowId, TaskId};
use uuid::Uuid;

use super::support::*;
use crate::error::QueryError;
use crate::store::{Listing, Page, Reads};
use crate::tasks::{TaskFilter, TaskRow};

const OTHER_FLOW: FlowId = FlowId(Uuid::from_u128(9));

/// Ten tasks: the odd ones of another flow, every third completed, every fifth running.
fn ten() -> Model {
    let mut story = Story::with_flow();
    for n in 0..10 {
        let flow = if n % 2 == 1 { OTHER_FLOW } else { FLOW };
        let trigger = match n {
            8 | 9 => Trigger::ScheduleTriggered { schedule_id: SCHEDULE },
            _ => Trigger::Manual,
        };
        story.task(task_id(n), TaskEvent::Created(Box::new(task_spec(flow, trigger))));
        if n % 3 == 0 {
            story.started(task_id(n), 1);
            story.completed(task_id(n), 1, "done");
        } else if n % 5 == 0 {
            story.started(task_id(n), 1);
        }
    }
    Model::of(&story)
}

async fn list(reads: &Reads, filter: &TaskFilter, page: Page) -> (Listing<TaskRow>, Vec<TaskId>) {
    let listing = reads.list_tasks(filter.clone(), page).await.unwrap();
    let ids = listing.items.iter().map(|task| task.id).collect();
    (listing, ids)
}

/// Every filter there is, with the tasks that fit it.
const UNKNOWN: spark_events::WorkerId = spark_events::WorkerId(Uuid::from_u128(99));

fn filters() -> Vec<(TaskFilter, Vec<u128>)> {
    let any = TaskFilter::default;
    let completed_running = vec![TaskStatus::Completed, TaskStatus::Running];
    vec![
        (any(), vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (TaskFilter { statuses: completed_running.clone(), ..any() }, vec![9, 6, 5, 3, 0]),
        (TaskFilter { flow_id: Some(FLOW), ..any() }, vec![8, 6, 4, 2, 0]),
        (TaskFilter { source_id: Some(SOURCE), ..any() }, vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (TaskFilter { schedule_id: Some(SCHEDULE), ..any() }, vec![9, 8]),
        (
            TaskFilter { flow_id: Some(OTHER_FLOW), statuses: completed_running, ..any() },
            vec![9, 5, 3],
        ),
        (
            TaskFilter {
                schedule_id: Some(SCHEDULE),
                flow_id: Some(FLOW),
                statuses: vec![TaskStatus::Pending],
                source_id: Some(SOURCE),
                ..any()
            },
            vec![8],
        ),
        (TaskFilter { statuses: vec![TaskStatus::Failed], ..any() }, vec![]),
        (TaskFilter { worker_id: Some(UNKNOWN), include_deleted: true, ..any() }, vec![]),
    ]
}

#[tokio::test]
async fn both_ways_of_paging_give_every_row_once_newest_first() {
    let model = ten();
    let reads = model.reads();
    for (filter, expected) in filters() {
        let expected: Vec<TaskId> = expected.into_iter().map(task_id).collect();
        for limit in [1, 3, 4, 100] {
            let (mut by_offset, mut by_cursor) = (Vec::new(), Vec::new());
            loop {
                let page = Page { limit, offset: by_offset.len(), cursor: None };
                let (listing, ids) = list(&reads, &filter, page).await;
                assert_eq!(listing.total, expected.len() as u64, "{filter:?}");
                by_offset.extend(ids);
                assert_eq!(listing.has_more, by_offset.len() < expected.len(), "{filter:?}");
                if !listing.has_more {
                    break;
                }
            }
            let mut cursor = None;
            loop {
                let page = Page { limit, offset: 0, cursor };
                let (listing, ids) = list(&reads, &filter, page).await;
                by_cursor.extend(ids);
                assert_eq!(listing.has_more, listing.next_cursor.is_some());
                cursor = listing.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!((&by_offset, &by_cursor), (&expected, &expected), "{filter:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn lists_of_tasks_read_ranges_of_an_index() {
    let model = ten();
    model
        .reads()
        .read(|conn| {
            for (filter, _) in filters() {
                let plan = crate::tasks::plan(conn, &filter, &Page::default())?;
                let scans = plan.iter().any(|step| step.starts_with("SCAN tasks"));
                let searches = plan.iter().filter(|step| step.starts_with("SEARCH tasks"));
                assert!(!scans && searches.count() > 0, "{filter:?}: {plan:#?}");
            }
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn pages_that_cannot_be_are_refused() {
    let model = ten();
    let ask = async |page| model.reads().list_tasks(TaskFilter::default(), page).await.unwrap_err();
    for limit in [0, 101] {
        let refused = ask(Page { limit, ..Page::default() }).await;
        assert!(matches!(refused, QueryError::BadLimit { got } if got == limit), "{refused}");
    }
    for cursor in ["", "7", "k", "kxyz", "k-"] {
        let refused = ask(Page { cursor: Some(cursor.into()), ..Page::default() }).await;
        assert!(matches!(refused, QueryError::BadCursor(_)), "{refused}");
    }
    let both = Page { cursor: Some("k7".into()), offset: 1, ..Page::default() };
    assert!(matches!(ask(both).await, QueryError::CursorAndOffset));
}

#[tokio::test]
async fn small_lists_page_alike() {
    let mut story = Story::with_flow();
    let ids: Vec<FlowId> = (10..15).map(|n| FlowId(Uuid::from_u128(n))).collect();
    for id in &ids {
        let synced = flow(&id.to_string());
        story.add(id.stream(), spark_events::domain::flow::FlowEvent::Synced(Box::new(synced)));
    }
    let model = Model::of(&story);
    let reads = model.reads();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = Page { limit: 2, offset: 0, cursor };
        let listing = reads.list_flows(Default::default(), page).await.unwrap();
        assert_eq!(listing.total, 6);
        seen.extend(listing.items.into_iter().map(|row| row.id));
        cursor = listing.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let newest_first: Vec<FlowId> = ids.into_iter().rev().chain([FLOW]).collect();
    assert_eq!(seen, newest_first);
}
