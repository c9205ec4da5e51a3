//! Workers: the processes that make the calls. Read only; a worker reports itself.

use spark_projections::WorkerFilter;
use warp::http::Method;

use super::{Segment, not_allowed, operation_ids, text};
use crate::call::Call;
use crate::error::ApiError;
use crate::query::invalid;
use crate::read;
use crate::reply::Reply;

/// An endpoint of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerRoute<'a> {
    /// All of them.
    List,
    /// One.
    Get(Segment<'a>),
}

pub(super) mod openapi;

/// The statuses of workers.
const STATUSES: [&str; 3] = ["active", "stopped", "lost"];

operation_ids!(WorkerRoute<'_> {
    Self::List => "listWorkers",
    Self::Get(_) => "getWorker",
});

pub(crate) fn route<'a>(
    method: &Method,
    rest: &[&'a str],
) -> Result<Option<WorkerRoute<'a>>, ApiError> {
    Ok(Some(match (rest, method) {
        ([], &Method::GET) => WorkerRoute::List,
        ([id], &Method::GET) => WorkerRoute::Get(text(id)?),
        ([] | [_], _) => return not_allowed(method, "GET, HEAD"),
        _ => return Ok(None),
    }))
}

pub(crate) async fn handle(route: WorkerRoute<'_>, call: &Call<'_>) -> Result<Reply, ApiError> {
    match route {
        WorkerRoute::List => {
            call.query.only(&["status", "limit", "offset", "cursor"])?;
            let paging = call.query.paging()?;
            let status = call.query.text("status").map(|text| {
                let known = STATUSES.contains(&text);
                let message = format!("{text:?} is not one of {}", STATUSES.join(", "));
                if known { Ok(text.to_owned()) } else { Err(invalid("status", &message)) }
            });
            let filter = WorkerFilter { status: status.transpose()?, living: false };
            call.ready_to_read().await?;
            Reply::ok(&read::workers(call.app, filter, paging).await?)
        }
        WorkerRoute::Get(id) => {
            call.query.only(&[])?;
            call.ready_to_read().await?;
            let id = read::worker_id(call.app, &id).await?;
            Reply::ok(&read::worker(call.app, id).await?)
        }
    }
}
