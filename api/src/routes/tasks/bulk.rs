//! One command for many tasks: those that fit a filter, each by the command that it would get alone.

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use spark_actors::Who;
use spark_events::domain::task::TaskStatus;
use spark_events::{Position, TaskId, limits};
use spark_projections::{Page, TaskFilter};

use super::filter::{FilterBody, Place, searchable};
use crate::app::App;
use crate::body;
use crate::call::Call;
use crate::error::ApiError;
use crate::read;
use crate::reply::Reply;

/// What becomes of the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Run ended tasks again.
    Retry,
    /// Stop open tasks.
    Cancel,
    /// Put ended tasks out of sight.
    Delete,
}

impl BulkAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }

    /// Whether it makes sense for a task in this status.
    fn takes(self, status: TaskStatus) -> bool {
        match self {
            Self::Retry | Self::Delete => status.is_ended(),
            Self::Cancel => !status.is_ended(),
        }
    }
}

/// Do something to all tasks that fit.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkChange)]
pub struct BulkBody {
    /// What.
    pub action: BulkAction,
    /// To which.
    pub filter: FilterBody,
    /// Only say which they are.
    #[serde(default)]
    pub dry_run: bool,
    /// The newest of them, at most so many.
    pub limit: Option<usize>,
    /// Why.
    pub reason: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkDone)]
pub(super) struct Done {
    /// What was asked for.
    action: &'static str,
    /// Whether nothing was done, and only looked.
    dry_run: bool,
    /// How many tasks fit.
    matched: u64,
    /// Whether there are more than `matched`: they were not counted to their end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    matched_is_capped: bool,
    /// How many it was done to.
    done: usize,
    /// How many refused it.
    failed: usize,
    /// What became of each.
    items: Vec<Item>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkItem)]
struct Item {
    /// The task.
    task_id: TaskId,
    /// `done`, `failed`, or in a dry run `matched`.
    outcome: &'static str,
    /// The task that repeats it, after a retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_task_id: Option<TaskId>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ItemError>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkError)]
struct ItemError {
    /// The stable code.
    code: &'static str,
    /// What happened.
    detail: String,
}

pub(super) async fn handle(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.query.only(&[])?;
    let mut body: BulkBody = body::object(&call.body)?;
    let who = call.who(body.reason.take())?;
    if body.filter.is_empty() {
        let message = "is empty, which would mean every task; narrow it, for example by since";
        return Err(ApiError::field("filter", message));
    }
    if body.limit.is_some_and(|limit| !(1..=limits::BULK_TASKS_MAX).contains(&limit)) {
        let message = format!("must be from 1 to {}", limits::BULK_TASKS_MAX);
        return Err(ApiError::field("limit", message));
    }
    call.ready_to_read().await?;
    let mut filter = body.filter.resolve(call.app, Place::Body).await?;
    filter.statuses = statuses(body.action, &filter)?;
    // A command may not pass over what a list would show in a moment.
    searchable(call.app, &filter, Some(call.app.projections.position())).await?;
    let chosen = choose(call.app, filter, body.limit).await?;
    let (items, position) = match body.dry_run {
        true => (chosen.ids.iter().map(|id| Item::matched(*id)).collect(), None),
        false => carry_out(call.app, body.action, &chosen.ids, &who).await,
    };
    let count = |outcome| items.iter().filter(|item| item.outcome == outcome).count();
    let done = Done {
        action: body.action.as_str(),
        dry_run: body.dry_run,
        matched: chosen.matched,
        matched_is_capped: chosen.is_capped,
        done: count("done"),
        failed: count("failed"),
        items,
    };
    Ok(Reply::ok(&done)?.at(position))
}

/// Of the statuses that the filter lets through, those in which the action makes sense.
fn statuses(action: BulkAction, filter: &TaskFilter) -> Result<Vec<TaskStatus>, ApiError> {
    let asked =
        |status: &TaskStatus| filter.statuses.is_empty() || filter.statuses.contains(status);
    let takes = |status: &TaskStatus| action.takes(*status);
    let left: Vec<TaskStatus> = TaskStatus::ALL.into_iter().filter(asked).filter(takes).collect();
    if left.is_empty() {
        let names: Vec<&str> =
            TaskStatus::ALL.into_iter().filter(takes).map(TaskStatus::as_str).collect();
        let message = format!("{} takes tasks that are {}", action.as_str(), names.join(", "));
        return Err(ApiError::field("filter.status", message));
    }
    Ok(left)
}

struct Chosen {
    ids: Vec<TaskId>,
    matched: u64,
    is_capped: bool,
}

/// The tasks that fit, within the bound.
async fn choose(app: &App, filter: TaskFilter, limit: Option<usize>) -> Result<Chosen, ApiError> {
    let most = limit.unwrap_or(limits::BULK_TASKS_MAX);
    let mut chosen = Chosen { ids: Vec::new(), matched: 0, is_capped: false };
    let mut cursor = None;
    loop {
        let wanted = (most - chosen.ids.len()).min(limits::PAGE_MAX);
        let page = Page { limit: wanted, offset: 0, cursor };
        let first = page.cursor.is_none();
        let listing = read::tasks(app, filter.clone(), page).await?;
        if first {
            (chosen.matched, chosen.is_capped) = (listing.total, listing.total_is_capped);
            if limit.is_none() && listing.total > limits::BULK_TASKS_MAX as u64 {
                return Err(too_many(&chosen));
            }
        }
        chosen.ids.extend(listing.items.iter().map(|row| row.id));
        cursor = listing.next_cursor;
        if cursor.is_none() || chosen.ids.len() >= most {
            return Ok(chosen);
        }
    }
}

fn too_many(chosen: &Chosen) -> ApiError {
    let (more, max) = (if chosen.is_capped { "more than " } else { "" }, limits::BULK_TASKS_MAX);
    let message = format!(
        "{more}{} tasks fit, and one request takes at most {max}; narrow the filter, or give a limit for the newest of them",
        chosen.matched
    );
    ApiError::field("limit", message)
}

impl Item {
    fn matched(task_id: TaskId) -> Self {
        Self { task_id, outcome: "matched", new_task_id: None, error: None }
    }
}

/// Some at a time, answered in the order of the list. One that fails does not stop the others.
async fn carry_out(
    app: &App,
    action: BulkAction,
    ids: &[TaskId],
    who: &Who,
) -> (Vec<Item>, Option<Position>) {
    let mut answers = stream::iter(ids.iter().copied())
        .map(|id| async move {
            let done = match action {
                BulkAction::Retry => app
                    .spark
                    .retry_task(id, who)
                    .await
                    .map(|done| (Some(done.value), done.position)),
                BulkAction::Cancel => {
                    app.spark.cancel_task(id, who).await.map(|done| (None, done.position))
                }
                BulkAction::Delete => {
                    app.spark.delete_task(id, who).await.map(|done| (None, done.position))
                }
            };
            (id, done)
        })
        .buffered(limits::BULK_AT_ONCE_MAX);
    let (mut items, mut position) = (Vec::with_capacity(ids.len()), None);
    while let Some((task_id, done)) = answers.next().await {
        items.push(match done {
            Ok((new_task_id, at)) => {
                position = position.max(at);
                Item { task_id, outcome: "done", new_task_id, error: None }
            }
            Err(error) => {
                let error = ApiError::from(error);
                let error = ItemError { code: error.row().code, detail: error.to_string() };
                Item { task_id, outcome: "failed", new_task_id: None, error: Some(error) }
            }
        });
    }
    (items, position)
}
