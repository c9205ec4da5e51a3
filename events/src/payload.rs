//! Large values: stored once in a `blob-<sha256>` stream, compressed and in chunks, and
//! referenced by hash. Owns the form of those streams; knows nothing of what the values mean.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::StreamName;
use crate::limits::{
    PAYLOAD_BYTES_MAX, PAYLOAD_CHUNK_BYTES_MAX, PAYLOAD_INLINE_BYTES_MAX, READ_EVENTS_MAX,
};
use crate::log::{
    Direction, EventLog, ExpectedRevision, LogError, Metadata, NewEvent, RecordedEvent, Revision,
};

/// The category of the streams that hold blobs.
pub const CATEGORY: &str = "blob";
/// The type of the events in a blob's stream.
pub const CHUNK_STORED: &str = "blob.chunk_stored";

/// Each chunk is compressed alone, and cut before compression: so every version of zstd cuts at
/// the same places, and a stream begun by one version may be completed by another. The room is
/// for what zstd adds to a chunk that does not compress.
const CHUNK_BYTES: usize = PAYLOAD_CHUNK_BYTES_MAX - 4 * 1024;

/// A JSON value in an event: itself when small, else a reference to where it is stored.
///
/// In JSON `{"inline": …}` or `{"blob": "<sha256>", "bytes": n}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Form")]
pub enum Payload {
    /// The value.
    Inline(Value),
    /// Where the value is.
    Blob {
        /// SHA-256 of the value's JSON, in hex.
        blob: String,
        /// Length of that JSON.
        bytes: u64,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Inline { inline: Value },
    Blob { blob: String, bytes: u64 },
}

impl Payload {
    /// A value that is small enough to stand in the event itself; else the value again.
    ///
    /// # Errors
    /// The value, where it is over [`PAYLOAD_INLINE_BYTES_MAX`].
    pub fn inline(value: Value) -> Result<Self, Value> {
        if fits_inline(&value) { Ok(Self::Inline(value)) } else { Err(value) }
    }
}

impl From<Form> for Payload {
    fn from(form: Form) -> Self {
        match form {
            Form::Inline { inline } => Self::Inline(inline),
            Form::Blob { blob, bytes } => Self::Blob { blob, bytes },
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(value) => {
                let mut form = serializer.serialize_struct("Payload", 1)?;
                form.serialize_field("inline", value)?;
                form.end()
            }
            Self::Blob { blob, bytes } => {
                let mut form = serializer.serialize_struct("Payload", 2)?;
                form.serialize_field("blob", blob)?;
                form.serialize_field("bytes", bytes)?;
                form.end()
            }
        }
    }
}

/// Why a payload could not be stored or loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PayloadError {
    /// The value is over the hard bound.
    #[error(
        "the payload has {bytes} bytes and at most {max} can be stored; make the flow answer with less, or with a link"
    )]
    TooLarge {
        /// Its length as JSON.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// There is no such blob, or not all of it.
    #[error(
        "blob {blob} is not in the log, or not all of it; restore the log from a backup that has it"
    )]
    Missing {
        /// Its hash.
        blob: String,
    },
    /// What is stored is not what was referenced.
    #[error("blob {blob} is damaged: {reason}; restore the log from a backup")]
    Damaged {
        /// Its hash.
        blob: String,
        /// What is wrong.
        reason: String,
    },
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// One event of a blob's stream.
#[derive(Serialize, Deserialize)]
struct Chunk {
    n: usize,
    of: usize,
    /// The bytes, zstd, in base64.
    zstd: String,
}

/// Stores a value, unless it is small or stored already, and gives what an event should hold.
///
/// May be repeated, also after a crash half way and by several processes at once: the same value
/// is stored once.
///
/// # Errors
/// `TooLarge` over [`PAYLOAD_BYTES_MAX`]; `Log` when the log is unavailable or closed.
pub async fn store(
    log: &dyn EventLog,
    value: Value,
    metadata: Metadata,
) -> Result<Payload, PayloadError> {
    let value = match Payload::inline(value) {
        Ok(payload) => return Ok(payload),
        Err(value) => value,
    };
    let json = blocking(move || Bytes::from(value.to_string())).await?;
    let bytes = json.len();
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(PayloadError::TooLarge { bytes, max: PAYLOAD_BYTES_MAX });
    }
    let hashed = json.clone();
    let blob = blocking(move || hash(&hashed)).await?;
    let stream = stream(&blob)?;
    let of = bytes.div_ceil(CHUNK_BYTES);
    let mut n = stored_chunks(log, &stream).await?;
    while n < of {
        let part = json.slice(n * CHUNK_BYTES..bytes.min((n + 1) * CHUNK_BYTES));
        let data = blocking(move || chunk(n, of, &part)).await??;
        let event = NewEvent {
            id: chunk_id(&blob, n),
            event_type: CHUNK_STORED,
            schema_version: 1,
            data,
            metadata: metadata.clone(),
        };
        let expected = match n {
            0 => ExpectedRevision::NoStream,
            n => ExpectedRevision::Exact(Revision(n as u64 - 1)),
        };
        match log.append(&stream, expected, vec![event]).await {
            Ok(_) => n += 1,
            // Another process stores the same value; what it stored is as good as ours.
            Err(LogError::WrongRevision { actual: Some(actual), .. }) => {
                n = usize::try_from(actual.0).unwrap_or(of).saturating_add(1);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Payload::Blob { blob, bytes: bytes as u64 })
}

/// The value behind a payload, checked against its hash.
///
/// # Errors
/// `Missing`, `Damaged`, `TooLarge`; `Log` when the log is unavailable or closed.
pub async fn load(log: &dyn EventLog, payload: &Payload) -> Result<Value, PayloadError> {
    let (blob, bytes) = match payload {
        Payload::Inline(value) => return Ok(value.clone()),
        Payload::Blob { blob, bytes } => (blob.clone(), usize::try_from(*bytes)),
    };
    let bytes = bytes.unwrap_or(usize::MAX);
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(PayloadError::TooLarge { bytes, max: PAYLOAD_BYTES_MAX });
    }
    let stream = stream(&blob)?;
    let events = match log.read_stream(&stream, None, Direction::Forward, READ_EVENTS_MAX).await {
        Err(LogError::StreamNotFound(_)) => return Err(PayloadError::Missing { blob }),
        events => events?,
    };
    blocking(move || join(blob, bytes, &events)).await?
}

/// Serializes no more of the value than fits.
fn fits_inline(value: &Value) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(PAYLOAD_INLINE_BYTES_MAX), value).is_ok()
}

/// How many chunks of a blob are in the log.
async fn stored_chunks(log: &dyn EventLog, stream: &StreamName) -> Result<usize, LogError> {
    match log.read_stream(stream, None, Direction::Backward, 1).await {
        Err(LogError::StreamNotFound(_)) => Ok(0),
        events => Ok(events?.first().map_or(0, |last| last.revision.0 as usize + 1)),
    }
}

fn chunk(n: usize, of: usize, part: &[u8]) -> Result<Bytes, LogError> {
    let failed = |error| LogError::unavailable("a payload cannot be compressed", error);
    let compressed = zstd::stream::encode_all(part, zstd::DEFAULT_COMPRESSION_LEVEL);
    let chunk = Chunk { n, of, zstd: BASE64.encode(compressed.map_err(failed)?) };
    serde_json::to_vec(&chunk).map(Bytes::from).map_err(|error| failed(error.into()))
}

/// Puts a blob together again. Never makes more of it than it should have.
fn join(blob: String, bytes: usize, events: &[RecordedEvent]) -> Result<Value, PayloadError> {
    let damaged = |reason: String| PayloadError::Damaged { blob: blob.clone(), reason };
    let mut json = Vec::with_capacity(bytes);
    for (index, event) in events.iter().enumerate() {
        let chunk: Chunk =
            serde_json::from_slice(&event.data).map_err(|error| damaged(error.to_string()))?;
        if chunk.n != index {
            return Err(damaged(format!("chunk {} is at place {index}", chunk.n)));
        }
        let part = BASE64.decode(chunk.zstd).map_err(|error| damaged(error.to_string()))?;
        let room = (bytes - json.len()) as u64 + 1;
        zstd::stream::Decoder::new(&part[..])
            .and_then(|decoder| decoder.take(room).read_to_end(&mut json))
            .map_err(|error| damaged(error.to_string()))?;
        if json.len() > bytes {
            return Err(damaged(format!("it is longer than {bytes} bytes")));
        }
    }
    if json.len() < bytes {
        return Err(PayloadError::Missing { blob });
    }
    if hash(&json) != blob {
        return Err(damaged("its hash is another one".into()));
    }
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

fn hash(json: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(json).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn stream(blob: &str) -> Result<StreamName, PayloadError> {
    let missing = |_| PayloadError::Missing { blob: blob.to_owned() };
    StreamName::new(format!("{CATEGORY}-{blob}")).map_err(missing)
}

/// The same for every attempt to store this chunk, which makes a repeated append a no-op.
fn chunk_id(blob: &str, n: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{blob}/{n}").as_bytes())
}

/// Work that takes milliseconds must not hold up a thread of the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LogError::unavailable("work on a payload ended unexpectedly", error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ids::new_uuid;
    use crate::log::Position;
    use crate::log::faulty::FaultyLog;
    use crate::log::memory::MemoryLog;

    fn log() -> FaultyLog {
        FaultyLog::new(Arc::new(MemoryLog::new(Arc::new(SystemClock))))
    }

    fn metadata() -> Metadata {
        let id = new_uuid();
        Metadata { correlation_id: id, causation_id: id, actor: "system".into(), reason: None }
    }

    /// Text that does not compress to less than half: hex of hashes.
    fn noise(bytes: usize) -> Value {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&hash(text.len().to_string().as_bytes()));
        }
        text.truncate(bytes);
        Value::String(text)
    }

    #[tokio::test]
    async fn what_is_small_stays_inline_and_what_is_large_is_stored_once() {
        let log = log();
        for small in [Value::Null, json!({"a": [1, "x"]}), noise(PAYLOAD_INLINE_BYTES_MAX - 2)] {
            let payload = store(&log, small.clone(), metadata()).await.unwrap();
            assert_eq!(payload, Payload::Inline(small.clone()));
            assert_eq!(load(&log, &payload).await.unwrap(), small);
        }
        assert_eq!(log.head().await, Ok(Position::START));

        for large in [noise(PAYLOAD_INLINE_BYTES_MAX - 1), noise(3 * CHUNK_BYTES)] {
            let payload = store(&log, large.clone(), metadata()).await.unwrap();
            let head = log.head().await.unwrap();
            assert_eq!(store(&log, large.clone(), metadata()).await.unwrap(), payload);
            assert_eq!(log.head().await.unwrap(), head, "stored twice");
            assert_eq!(load(&log, &payload).await.unwrap(), large);
        }
        assert_eq!(log.head().await, Ok(Position(1 + 4)));
    }

    #[test]
    fn its_json_is_readable_by_others_and_comes_back() {
        let blob = Payload::Blob { blob: "ab".into(), bytes: 7 };
        for (payload, wanted) in [
            (Payload::Inline(json!({"inline": 1})), json!({"inline": {"inline": 1}})),
            (Payload::Inline(Value::Null), json!({"inline": null})),
            (
                Payload::Inline(json!({"blob": "x", "bytes": 1})),
                json!({"inline": {"blob": "x", "bytes": 1}}),
            ),
            (blob, json!({"blob": "ab", "bytes": 7})),
        ] {
            let written = serde_json::to_value(&payload).unwrap();
            assert_eq!(written, wanted);
            assert_eq!(serde_json::from_value::<Payload>(written).unwrap(), payload);
        }
        assert!(serde_json::from_value::<Payload>(json!({})).is_err());
    }

    #[tokio::test]
    async fn a_half_written_blob_is_missing_and_then_completed() {
        let log = log();
        let value = noise(2 * CHUNK_BYTES + 5);
        let blob = hash(value.to_string().as_bytes());
        let payload = Payload::Blob { blob, bytes: value.to_string().len() as u64 };
        let missing = load(&log, &payload).await.unwrap_err();
        assert!(matches!(missing, PayloadError::Missing { .. }), "{missing:?}");
        // The first chunk is stored and its answer lost: as after a crash.
        log.lose_acks(1);
        let lost = store(&log, value.clone(), metadata()).await.unwrap_err();
        assert!(matches!(lost, PayloadError::Log(LogError::Unavailable { .. })), "{lost:?}");
        assert_eq!(log.head().await, Ok(Position(1)));
        let missing = load(&log, &payload).await.unwrap_err();
        assert!(matches!(missing, PayloadError::Missing { .. }), "{missing:?}");
        assert_eq!(store(&log, value.clone(), metadata()).await.unwrap(), payload);
        assert_eq!(log.head().await, Ok(Position(3)));
        assert_eq!(load(&log, &payload).await.unwrap(), value);
    }

    #[expect(clippy::disallowed_methods, reason = "every task is joined below")]
    #[tokio::test(flavor = "multi_thread")]
    async fn many_at_once_store_it_once() {
        let log = Arc::new(log());
        let value = noise(4 * CHUNK_BYTES);
        let tasks = (0..6).map(|_| {
            let (log, value) = (Arc::clone(&log), value.clone());
            tokio::spawn(async move { store(&*log, value, metadata()).await.unwrap() })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(load(&*log, &task.await.unwrap()).await.unwrap(), value);
        }
        assert_eq!(log.head().await, Ok(Position(5)));
    }

    #[tokio::test]
    async fn what_is_too_large_or_damaged_says_so() {
        let log = log();
        let value = Value::String("x".repeat(PAYLOAD_BYTES_MAX));
        let error = store(&log, value, metadata()).await.unwrap_err();
        assert!(matches!(error, PayloadError::TooLarge { .. }), "{error:?}");

        let value = noise(PAYLOAD_INLINE_BYTES_MAX);
        let bytes = value.to_string().len() as u64;
        let Payload::Blob { blob, .. } = store(&log, value, metadata()).await.unwrap() else {
            panic!("it was not stored");
        };
        for (bytes, word) in [(bytes - 1, "longer"), (bytes + 1, "not all of it")] {
            let wrong = Payload::Blob { blob: blob.clone(), bytes };
            let error = load(&log, &wrong).await.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let forged = hash(b"something else");
        let mut events =
            log.read_stream(&stream(&blob).unwrap(), None, Direction::Forward, 1).await.unwrap();
        let error = join(forged, bytes as usize, &events).unwrap_err().to_string();
        assert!(error.contains("hash"), "{error}");
        events[0].data = "{}".into();
        let error = join(blob, bytes as usize, &events).unwrap_err();
        assert!(matches!(error, PayloadError::Damaged { .. }), "{error:?}");
    }
}
