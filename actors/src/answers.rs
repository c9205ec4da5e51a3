//! Requests under an idempotency key: begun in the log before anything is done, answered or refused
//! there afterwards. Knows nothing of what is asked for.

use sha2::{Digest, Sha256};
use spark_events::RequestId;
use spark_events::domain::request::{Request, RequestAnswered, RequestCommand};

use crate::error::DispatchError;
use crate::requests::{IdempotencyKey, Who};
use crate::sources::change;
use crate::spark::Spark;

impl Spark {
    /// Begins a request, or gives what it was answered before. What is asked for is told by its
    /// parts, of which only a hash is kept.
    ///
    /// # Errors
    /// `Rejected` where another request has the key, or the same is under way or broke off;
    /// `Unavailable`, `ShuttingDown`.
    pub async fn begin_request(
        &self,
        key: &IdempotencyKey,
        parts: &[&[u8]],
        who: &Who,
    ) -> Result<Option<RequestAnswered>, DispatchError> {
        let mut hasher = Sha256::new();
        for part in parts {
            // With its length, so that no two rows of parts run into each other.
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let begin = RequestCommand::Begin { hash };
        Ok(match self.request(key, begin, who).await? {
            Request::Answered { answered, .. } => Some(answered),
            Request::Free | Request::Begun(_) => None,
        })
    }

    /// Records what a request that was begun came to; nothing where it was refused and changed
    /// nothing.
    ///
    /// # Errors
    /// `Unavailable`, `ShuttingDown`: then it stays begun, and is never carried out again.
    pub async fn end_request(
        &self,
        key: &IdempotencyKey,
        answered: Option<RequestAnswered>,
        who: &Who,
    ) -> Result<(), DispatchError> {
        let end = answered.map_or(RequestCommand::Refuse, RequestCommand::Answer);
        self.request(key, end, who).await.map(drop)
    }

    async fn request(
        &self,
        key: &IdempotencyKey,
        command: RequestCommand,
        who: &Who,
    ) -> Result<Request, DispatchError> {
        let id: RequestId = key.request_id(&who.actor);
        let changed = change::<Request>(self.context(), id.stream(), command, who).await;
        changed.map(|(request, _)| request).map_err(|error| DispatchError::of(error, "request", id))
    }
}
