//! What is recorded about projections. Their rows are no concern of this crate.

use spark_events::domain::projection::{self, ProjectionCommand, ProjectionSkipped, Skips};

use super::Spark;
use crate::aggregate::{Patience, Shell};
use crate::error::DispatchError;
use crate::requests::{Done, Who};

impl Spark {
    /// Records that a projection passes over an event. It is the caller who makes it do so.
    ///
    /// # Errors
    /// `Rejected` (too many), `Unavailable`, `ShuttingDown`.
    pub async fn record_projection_skip(
        &self,
        name: &str,
        skipped: ProjectionSkipped,
        who: &Who,
    ) -> Result<Done<()>, DispatchError> {
        let _permit = self.admit()?;
        let stream =
            projection::stream(name).map_err(|error| DispatchError::Invalid(error.to_string()))?;
        let context = self.context();
        let mut shell: Shell<Skips> =
            Shell::new(context.log.clone(), context.clock.clone(), stream);
        let failed = |error| DispatchError::of(error, "projection", name);
        shell.recover(Patience::FailFast).await.map_err(failed)?;
        let command = ProjectionCommand::Skip(skipped);
        let done = shell.execute(command, &who.metadata(), Patience::FailFast).await;
        Ok(Done { value: (), position: done.map_err(failed)?.position })
    }
}
