//! The feeding task behind a subscription: catch up, say so once, then follow the head. Written
//! once for the backends that live in this process; knows nothing of how events are stored.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{LogError, Position, RecordedEvent, Subscription, SubscriptionItem};
use crate::limits::SUBSCRIPTION_BATCHES_MAX;

/// Where a subscription's events come from.
pub(super) trait Feed: Send + Sync + 'static {
    /// The next events after a position; empty only when there are none.
    fn batch_after(
        &self,
        after: Position,
    ) -> impl Future<Output = Result<Vec<RecordedEvent>, LogError>> + Send;
}

/// Starts the task that feeds one subscription.
///
/// `head` must show a position only after its event can be read. The task ends when the
/// subscription is dropped, when `closed` turns true or loses its sender, and after an error.
pub(super) fn subscribe<F: Feed>(
    source: Arc<F>,
    head: watch::Receiver<Position>,
    mut closed: watch::Receiver<bool>,
    after: Position,
) -> Subscription {
    let (items, subscription) = mpsc::channel(SUBSCRIPTION_BATCHES_MAX);
    #[expect(clippy::disallowed_methods, reason = "it ends with its subscription or its log")]
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = ended(&mut closed) => {}
            () = items.closed() => {}
            failed = feed(&*source, head, after, &items) => {
                if let Err(error) = failed && !matches!(error, LogError::Closed) {
                    let _ = items.send(Err(error)).await;
                }
            }
        }
    });
    Subscription::new(subscription)
}

/// Waits until the log is closed or dropped.
async fn ended(closed: &mut watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

async fn feed(
    source: &impl Feed,
    mut head: watch::Receiver<Position>,
    after: Position,
    items: &mpsc::Sender<Result<SubscriptionItem, LogError>>,
) -> Result<(), LogError> {
    let mut last = after;
    let mut caught_up = false;
    loop {
        let target = *head.borrow_and_update();
        while last < target {
            let batch = source.batch_after(last).await?;
            let Some(event) = batch.last() else { break };
            last = event.position;
            if items.send(Ok(SubscriptionItem::Events(batch))).await.is_err() {
                return Ok(());
            }
        }
        if !caught_up {
            caught_up = true;
            if items.send(Ok(SubscriptionItem::CaughtUp)).await.is_err() {
                return Ok(());
            }
        }
        if head.changed().await.is_err() {
            return Ok(());
        }
    }
}
