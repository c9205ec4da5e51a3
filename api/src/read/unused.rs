//! Whether a thing may go: what would still need it is named, so that nobody finds it out one by one.

use spark_actors::DispatchError;
use spark_events::FlowId;
use spark_events::domain::schedule::ScheduleStatus;
use spark_projections::{Page, ScheduleFilter, ScheduleRow};

use crate::app::App;
use crate::error::ApiError;

/// How many things an error names.
const NAMED_MAX: usize = 10;

/// Refuses to let a flow go that schedules would still run.
pub async fn flow_is_unused(app: &App, flow_id: FlowId) -> Result<(), ApiError> {
    let filter = ScheduleFilter {
        flow_id: Some(flow_id),
        statuses: vec![ScheduleStatus::Active, ScheduleStatus::Paused],
        ..ScheduleFilter::default()
    };
    let page = Page { limit: NAMED_MAX, ..Page::default() };
    let used = app.reads().list_schedules(filter, page).await?;
    let name = |row: &ScheduleRow| row.name.clone().unwrap_or_else(|| row.id.to_string());
    let names: Vec<String> = used.items.iter().map(name).collect();
    still_run(&names, used.total).map_or(Ok(()), |why| Err(DispatchError::Conflict(why).into()))
}

/// Which schedules still run a flow, where any does: those that can be named, of so many.
fn still_run(names: &[String], total: u64) -> Option<String> {
    let subject = match names {
        [] => return None,
        [_] => "a schedule still runs".to_owned(),
        _ => format!("{total} schedules still run"),
    };
    let more = total.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (them, names) = (if total == 1 { "it" } else { "them" }, names.join(", "));
    Some(format!(
        "{subject} this flow: {names}{more}; delete {them} first: automagik schedule delete \
         SCHEDULE"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_in_the_way_are_named_up_to_a_bound() {
        let told = |names: &[&str], total| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            still_run(&names, total)
        };
        assert_eq!(told(&[], 0), None);
        let one = told(&["nightly"], 1).unwrap();
        assert!(one.starts_with("a schedule still runs this flow: nightly; delete it"), "{one}");
        let some = told(&["a", "b"], 12).unwrap();
        assert!(some.starts_with("12 schedules still run this flow: a, b and 10 more;"), "{some}");
        assert!(some.contains("delete them first"), "{some}");
    }
}
