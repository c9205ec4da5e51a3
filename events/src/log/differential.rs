//! The same seeded random operations into two backends must give the same answers, the same
//! errors and the same log.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use super::embedded::EmbeddedLog;
use super::memory::MemoryLog;
use super::{
    Direction, EventLog, ExpectedRevision, LogError, Metadata, NewEvent, Position, Revision,
};
use crate::clock::{SharedClock, SimClock, Timestamp};
use crate::ids::{StreamName, new_uuid};
use crate::limits::{APPEND_EVENTS_MAX, EVENT_BYTES_MAX, READ_EVENTS_MAX};

const OPERATIONS: usize = 600;

/// SplitMix64: small, and the same on every platform for ever.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Append(StreamName, ExpectedRevision, Vec<NewEvent>),
    ReadStream(StreamName, Option<Revision>, Direction, usize),
    ReadAll(Position, usize),
    Head,
    Reopen,
}

fn stream(random: &mut Seeded) -> StreamName {
    StreamName::new(format!("case-{}", random.below(6))).unwrap()
}

fn expected(random: &mut Seeded) -> ExpectedRevision {
    match random.below(8) {
        0 | 1 => ExpectedRevision::Any,
        2 => ExpectedRevision::NoStream,
        3 => ExpectedRevision::StreamExists,
        _ => ExpectedRevision::Exact(Revision(random.below(40))),
    }
}

fn event(random: &mut Seeded) -> NewEvent {
    let correlation_id = random.uuid();
    let causation_id = if random.below(2) == 0 { correlation_id } else { random.uuid() };
    let bytes = if random.below(200) == 0 { EVENT_BYTES_MAX } else { random.below(30) as usize };
    NewEvent {
        id: random.uuid(),
        event_type: ["case.opened", "case.moved", "case.closed"][random.below(3) as usize],
        schema_version: random.below(4) as u16,
        data: Bytes::from(format!("\"{}\"", "x".repeat(bytes))),
        metadata: Metadata {
            correlation_id,
            causation_id,
            actor: "system".into(),
            reason: (random.below(2) == 0).then(|| "by chance".into()),
        },
    }
}

fn operation(random: &mut Seeded, done: &[Operation]) -> Operation {
    match random.below(20) {
        0..9 => {
            let count = match random.below(60) {
                0 => APPEND_EVENTS_MAX as u64 + 1,
                _ => random.below(5),
            };
            let events = (0..count).map(|_| event(random)).collect();
            Operation::Append(stream(random), expected(random), events)
        }
        // An earlier append again: a repeat, a conflict, or under `Any` simply new events.
        9..12 if !done.is_empty() => done[random.below(done.len() as u64) as usize].clone(),
        9..16 => {
            let from = (random.below(3) > 0).then(|| Revision(random.below(40)));
            let direction =
                if random.below(2) == 0 { Direction::Forward } else { Direction::Backward };
            Operation::ReadStream(stream(random), from, direction, random.below(30) as usize)
        }
        16..18 => Operation::ReadAll(Position(random.below(300)), random.below(50) as usize),
        18 => Operation::Head,
        _ if random.below(10) == 0 => Operation::Reopen,
        _ => Operation::Head,
    }
}

async fn apply(log: &dyn EventLog, operation: Operation) -> Result<String, LogError> {
    Ok(match operation {
        Operation::Append(stream, expected, events) => {
            format!("{:?}", log.append(&stream, expected, events).await?)
        }
        Operation::ReadStream(stream, from, direction, limit) => {
            format!("{:?}", log.read_stream(&stream, from, direction, limit).await?)
        }
        Operation::ReadAll(after, limit) => format!("{:?}", log.read_all(after, limit).await?),
        Operation::Head => format!("{:?}", log.head().await?),
        Operation::Reopen => String::new(),
    })
}

#[tokio::test]
async fn memory_and_embedded_give_the_same_log_and_the_same_errors() {
    let seed = match std::env::var("SPARK_SEED") {
        Ok(seed) => seed.parse().expect("SPARK_SEED is a number"),
        Err(_) => new_uuid().as_u64_pair().1,
    };
    println!("repeat with SPARK_SEED={seed}");
    let mut random = Seeded(seed);
    tokio::time::pause();
    let start = Timestamp::from_timestamp_micros(1_700_000_000_123_456).unwrap();
    let clock: SharedClock = Arc::new(SimClock::starting_at(start));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.db");
    let mut memory = MemoryLog::new(Arc::clone(&clock));
    let mut embedded = EmbeddedLog::open(&path, Arc::clone(&clock)).unwrap();
    let (mut done, mut errors) = (Vec::new(), 0);
    for step in 0..OPERATIONS {
        let operation = operation(&mut random, &done);
        if let Operation::Reopen = operation {
            embedded.close().await;
            embedded = EmbeddedLog::open(&path, Arc::clone(&clock)).unwrap();
            memory.close().await;
            memory = memory.reopened();
        }
        let (one, two) =
            (apply(&memory, operation.clone()).await, apply(&embedded, operation.clone()).await);
        assert_eq!(one, two, "SPARK_SEED={seed}, step {step}: {operation:?}");
        errors += usize::from(one.is_err());
        if let Operation::Append(..) = operation {
            done.push(operation);
        }
    }
    let mut after = Position::START;
    loop {
        let one = memory.read_all(after, READ_EVENTS_MAX).await.unwrap();
        assert_eq!(one, embedded.read_all(after, READ_EVENTS_MAX).await.unwrap());
        let Some(last) = one.last() else { break };
        after = last.position;
    }
    let (memory, embedded) = (memory.head().await, embedded.head().await);
    assert_eq!((memory, embedded), (Ok(after), Ok(after)));
    assert!(after.0 > 100 && errors > 20, "the run was too tame: head {after}, {errors} errors");
}
