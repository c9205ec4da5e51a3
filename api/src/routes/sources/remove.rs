//! Removing a source: alone, or with everything that would be left without it.

use serde_json::json;
use spark_events::domain::schedule::ScheduleStatus;
use spark_events::limits::PAGE_MAX;
use spark_events::{FlowId, Position, ScheduleId};
use spark_projections::{Page, ScheduleFilter};

use crate::app::App;
use crate::body::{self, ActionBody};
use crate::call::Call;
use crate::conditions::IF_MATCH_NAME;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;

/// With `force`, schedules go first, then flows, then the source: whatever breaks off in the middle
/// leaves nothing that fires without a flow, and asking again goes on from there. Histories and
/// tasks stay; a task that is still open fails with its next attempt, as `gone`.
pub(super) async fn handle(call: &Call<'_>, id: &str) -> Result<Reply, ApiError> {
    call.query.only(&["force"])?;
    let force = call.query.flag("force")?;
    let action: ActionBody = body::optional(&call.body)?;
    let mut who = call.who(action.reason)?;
    if force && who.expects.is_some() {
        let message =
            "with force many things are changed; they have no common condition".to_owned();
        return Err(ApiError::HeaderInvalid { name: IF_MATCH_NAME, message });
    }
    let app = call.app;
    let id = read::source_id(app, id).await?;
    if !force {
        let done = app.spark.remove_source(id, &who).await?;
        return read::removed(app, id, done.position).await;
    }
    if who.reason.is_none() {
        who.reason = Some("source removed".into());
    }
    // A schedule made a moment ago must be seen.
    let head = app.spark.log().head().await.map_err(spark_actors::DispatchError::from)?;
    app.wait_for(head).await?;
    let flows = app.spark.flows_of_source(id);
    let (mut schedules, mut last) = (0_u64, None::<Position>);
    for flow in &flows {
        for schedule in schedules_of(app, *flow).await? {
            last = app.spark.delete_schedule(schedule, &who).await?.position.or(last);
            schedules += 1;
        }
        last = app.spark.delete_flow(*flow, &who).await?.position.or(last);
    }
    last = app.spark.remove_source(id, &who).await?.position.or(last);
    if let Some(position) = last {
        // Only so that a list that follows at once does not show it any more.
        let _ = app.wait_for(position).await;
    }
    let gone = json!({ "id": id, "deleted": true, "flows": flows.len(), "schedules": schedules });
    Ok(Reply::ok(&gone)?.at(last))
}

/// The schedules of a flow that may still fire.
async fn schedules_of(app: &App, flow_id: FlowId) -> Result<Vec<ScheduleId>, ApiError> {
    let mut found = Vec::new();
    for status in [ScheduleStatus::Active, ScheduleStatus::Paused] {
        let mut cursor = None;
        loop {
            let statuses = vec![status];
            let filter =
                ScheduleFilter { flow_id: Some(flow_id), statuses, ..ScheduleFilter::default() };
            let page = Page { limit: PAGE_MAX, cursor, ..Page::default() };
            let listed = app.reads().list_schedules(filter, page).await?;
            found.extend(listed.items.iter().map(|row| row.id));
            cursor = listed.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(found)
}
