//! What is said of a thing that a command does not find because it was deleted. A name goes on
//! leading to what was deleted, so that its history is found; a command must not say then that
//! nobody ever had that name.

use spark_actors::DispatchError;

use crate::app::App;
use crate::error::ApiError;

/// The error with the name of what was deleted, where that is why a command did not find it.
pub(crate) async fn explained(app: &App, error: ApiError) -> ApiError {
    let ApiError::Dispatch(DispatchError::NotFound { kind, id }) = &error else { return error };
    let name = match *kind {
        "flow" => flow(app, id).await,
        "source" => source(app, id).await,
        "alert" => alert(app, id).await,
        _ => None,
    };
    name.map_or(error, |(kind, name, id)| ApiError::Deleted { kind, name, id })
}

/// Kind, name and id.
type Gone = (&'static str, String, String);

async fn flow(app: &App, id: &str) -> Option<Gone> {
    let row = app.reads().flow(id.parse().ok()?).await.ok()??;
    row.deleted.then(|| ("flow", row.name, id.to_owned()))
}

async fn source(app: &App, id: &str) -> Option<Gone> {
    let row = app.reads().source(id.parse().ok()?).await.ok()??;
    row.deleted.then(|| ("source", row.name, id.to_owned()))
}

async fn alert(app: &App, id: &str) -> Option<Gone> {
    let row = app.reads().alert(id.parse().ok()?).await.ok()??;
    (row.status == "deleted").then(|| ("alert", row.name, id.to_owned()))
}
