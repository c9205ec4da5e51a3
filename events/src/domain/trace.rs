//! Where a run stands in a distributed trace. The trace is the correlation id of its events, and the
//! ids of spans follow from what they stand for, so that all of them can be told from the history.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::TaskId;

/// A place in a trace, in the form that W3C Trace Context gives it: `00-<trace>-<span>-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace: the correlation id of what happens in it.
    pub trace: Uuid,
    /// The span that what follows is a part of.
    pub span: SpanId,
}

/// The id of a span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// The text is no place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no W3C trace context such as 00-<32 hex digits>-<16 hex digits>-01")]
pub struct BadTraceParent;

impl SpanId {
    /// A whole task, over all its attempts.
    #[must_use]
    pub fn of_task(task: TaskId) -> Self {
        Self::of(&[b"task", task.0.as_bytes()])
    }

    /// One attempt of a task.
    #[must_use]
    pub fn of_attempt(task: TaskId, attempt: u32) -> Self {
        Self::of(&[b"attempt", task.0.as_bytes(), &attempt.to_be_bytes()])
    }

    /// The call that an attempt makes. The source is told that it works for this one.
    #[must_use]
    pub fn of_call(task: TaskId, attempt: u32) -> Self {
        Self::of(&[b"call", task.0.as_bytes(), &attempt.to_be_bytes()])
    }

    /// An API request, by the causation id of the events that it led to.
    #[must_use]
    pub fn of_request(request: Uuid) -> Self {
        Self::of(&[b"request", request.as_bytes()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let start: [u8; 8] = std::array::from_fn({
            let hash = hash.finalize();
            move |n| hash[n]
        });
        Self(u64::from_be_bytes(start).max(1))
    }

    /// As it is sent to a collector.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for TraceParent {
    /// Always as one that is recorded: whether a trace is kept is for those to say who keep it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace.simple(), self.span)
    }
}

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    /// Reads this version of the form and what later ones have in common with it.
    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut parts = text.trim().split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            part.bytes().all(lower).then_some(part)
        };
        let read = (next(2), next(32), next(16), next(2));
        let (Some(version), Some(trace), Some(span), Some(_)) = read else {
            return Err(BadTraceParent);
        };
        let more = parts.next().is_some();
        let trace = Uuid::try_parse(trace).map_err(|_| BadTraceParent)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| BadTraceParent)?;
        if version == "ff" || (version == "00" && more) || trace.is_nil() || span == 0 {
            return Err(BadTraceParent);
        }
        Ok(Self { trace, span: SpanId(span) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_and_read_as_the_standard_says() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read: TraceParent = text.parse().unwrap();
        assert_eq!(read.trace, Uuid::from_u128(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
        assert_eq!(read.to_string(), text);
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert_eq!(later.parse(), Ok(read), "a later version begins alike");
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\u{e9}",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(BadTraceParent), "{bad}");
        }
    }

    #[test]
    fn the_ids_of_spans_are_the_same_in_every_version() {
        let task = TaskId(Uuid::from_u128(7));
        assert_eq!(SpanId::of_task(task), SpanId::of_task(task));
        let all = [
            SpanId::of_task(task),
            SpanId::of_attempt(task, 1),
            SpanId::of_attempt(task, 2),
            SpanId::of_call(task, 1),
            SpanId::of_request(task.0),
        ];
        let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "3dc453a18a67e988",
                "101e9f1a34b2933d",
                "cc77f5676e8cb6ac",
                "6a32dd8d16671a59",
                "099c2f026ac575a2",
            ]
        );
    }
}
