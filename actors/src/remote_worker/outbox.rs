//! What is on its way to a worker in another process: numbered, and sent again until the worker says
//! that it has it. Kept as the JSON that is sent, so that an order is written once and copied never.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use serde::Serialize;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits::{WORKER_ANSWER_BYTES_MAX, WORKER_DELIVERIES_MAX};
use uuid::Uuid;

use crate::remote::{Delivered, Held, Polled, WorkerStatus};

struct Item {
    seq: u64,
    held: Held,
    /// A [`Delivered`] as JSON. Holds the key of a source, so it is never printed.
    what: Bytes,
}

/// What stands in every answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) session: Uuid,
    pub(super) status: WorkerStatus,
}

/// Deliveries that the worker has not said to have. It holds an order for each slot of the worker
/// at most, and what was said about those.
#[derive(Default)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    last: u64,
    /// The number of the last one that was sent since the last poll.
    sent: u64,
}

impl Outbox {
    /// Puts an order into it.
    pub(super) fn push(&mut self, held: Held, what: Bytes) {
        self.last += 1;
        self.items.push_back(Item { seq: self.last, held, what });
    }

    /// Puts a word about an attempt into it.
    pub(super) fn tell(&mut self, held: Held, what: Delivered) {
        // What has no JSON form cannot be told; these few words have one.
        if let Ok(what) = json(&what) {
            self.push(held, what);
        }
    }

    /// Takes an order back. One that was never sent is not sent any more.
    pub(super) fn abort(&mut self, held: Held) {
        let unsent = self.items.iter_mut().find(|item| item.held == held && item.seq > self.sent);
        match (unsent, json(&Delivered::Abort(held))) {
            // Its number stays, because numbers have no gaps.
            (Some(item), Ok(abort)) => item.what = abort,
            (None, _) => self.tell(held, Delivered::Abort(held)),
            (Some(_), Err(_)) => {}
        }
    }

    /// The worker has all up to this one; whatever lies behind it is sent again.
    pub(super) fn taken(&mut self, after: u64) {
        while self.items.front().is_some_and(|item| item.seq <= after) {
            self.items.pop_front();
        }
        self.sent = after;
    }

    /// Whether there is something to send.
    pub(super) fn has_news(&self) -> bool {
        self.items.back().is_some_and(|item| item.seq > self.sent)
    }

    /// Whether the order of an attempt is still here and was never sent.
    pub(super) fn is_unsent(&self, held: Held) -> bool {
        self.items.iter().any(|item| item.held == held && item.seq > self.sent)
    }

    /// The attempts of which something waits for the worker to say that it has it.
    pub(super) fn attempts(&self) -> HashSet<Held> {
        self.items.iter().map(|item| item.held).collect()
    }

    /// A [`Polled`] as JSON, with what is to be sent, within its bounds.
    pub(super) fn answer(&mut self, head: Head) -> Bytes {
        let mut text = opening(head, false);
        let sent = self.sent;
        let unsent = self.items.iter().filter(|item| item.seq > sent);
        for (count, item) in unsent.take(WORKER_DELIVERIES_MAX).enumerate() {
            // One item always travels, however large it is.
            if count > 0 {
                if text.len() + item.what.len() > WORKER_ANSWER_BYTES_MAX {
                    break;
                }
                text.push(b',');
            }
            text.extend_from_slice(format!("{{\"seq\":{},\"what\":", item.seq).as_bytes());
            text.extend_from_slice(&item.what);
            text.push(b'}');
            self.sent = item.seq;
        }
        text.extend_from_slice(b"]}");
        text.into()
    }
}

/// The answer to a worker that is to say what it holds.
pub(super) fn resync(session: Uuid, status: WorkerStatus) -> Bytes {
    let mut text = opening(Head { session, status }, true);
    text.extend_from_slice(b"]}");
    text.into()
}

/// A [`Polled`] up to its first item.
fn opening(head: Head, resync: bool) -> Vec<u8> {
    let Head { session, status } = head;
    let empty = Polled { session, status, resync, items: vec![] };
    // These fields have a JSON form; the last one is the empty list.
    let mut text = serde_json::to_vec(&empty).unwrap_or_default();
    text.truncate(text.len().saturating_sub(2));
    text
}

/// What is sent, as JSON.
pub(super) fn json<T: Serialize>(what: &T) -> Result<Bytes, Failure> {
    let failed = |error: serde_json::Error| {
        Failure::new(FailureClass::Gone, format!("the order cannot be sent: {error}"))
    };
    serde_json::to_vec(what).map(Bytes::from).map_err(failed)
}

#[cfg(test)]
mod tests {
    use spark_events::TaskId;

    use super::*;

    fn held(n: u32) -> Held {
        Held { task_id: TaskId(Uuid::from_u128(n.into())), attempt: n }
    }

    fn sent(outbox: &mut Outbox) -> Vec<(u64, bool)> {
        let head = Head { session: Uuid::nil(), status: WorkerStatus::Active };
        let polled: Polled = serde_json::from_slice(&outbox.answer(head)).unwrap();
        let is_abort = |what| matches!(what, Delivered::Abort(_));
        polled.items.into_iter().map(|item| (item.seq, is_abort(item.what))).collect()
    }

    #[test]
    fn what_was_not_taken_is_sent_again() {
        let mut outbox = Outbox::default();
        assert!(!outbox.has_news());
        for n in 1..=3 {
            outbox.tell(held(n), Delivered::Cancel(held(n)));
        }
        assert_eq!(sent(&mut outbox), [(1, false), (2, false), (3, false)]);
        assert!(!outbox.has_news());
        outbox.taken(2);
        assert_eq!(sent(&mut outbox), [(3, false)], "the answer was lost behind the second");
        outbox.taken(3);
        outbox.tell(held(4), Delivered::Cancel(held(4)));
        assert_eq!(sent(&mut outbox), [(4, false)]);
    }

    #[test]
    fn an_order_that_was_never_sent_is_replaced_by_its_end() {
        let mut outbox = Outbox::default();
        outbox.tell(held(1), Delivered::Cancel(held(1)));
        outbox.abort(held(1));
        assert_eq!(sent(&mut outbox), [(1, true)]);
        outbox.abort(held(1));
        assert_eq!(sent(&mut outbox), [(2, true)], "the first was under way");
    }

    #[test]
    fn an_answer_has_its_bounds() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![b' '; WORKER_ANSWER_BYTES_MAX - 1_000]);
        let cancel = json(&Delivered::Cancel(held(1))).unwrap();
        let padded: Bytes = [large, cancel].concat().into();
        for n in 1..=2 {
            outbox.push(held(n), padded.clone());
        }
        assert_eq!(sent(&mut outbox), [(1, false)]);
        assert!(outbox.has_news());
        assert_eq!(sent(&mut outbox), [(2, false)]);
    }
}
