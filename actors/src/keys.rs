//! The API keys: kept in memory by the hash of their secrets, filled from the log at start, changed
//! by the commands that change them. A secret leaves here once, when it is made, and stays nowhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use spark_events::domain::api_key::{ApiKey, ApiKeyCommand, KeyCreated, Role, use_is_news};
use spark_events::limits::{KEY_HINT_CHARS, KEYS_MAX, KEYS_REVOKED_KEPT_MAX};
use spark_events::{KeyId, Position, Timestamp, ids};

use crate::carried::carried;
use crate::context::Shared;
use crate::error::DispatchError;
use crate::langflow::Secret;
use crate::requests::{Done, Who};
use crate::sources::change;
use crate::spark::Spark;

/// No instant, where an instant is kept in microseconds.
const NEVER: i64 = i64::MIN;

/// A key that was just made. The secret is told this once.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub id: KeyId,
    /// What its holder sends.
    pub secret: Secret,
}

/// The key that somebody sent.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// Which one.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// `user:<name>`.
    pub actor: Arc<str>,
    /// Who took it back and when, where that happened.
    pub revoked: Option<Revocation>,
}

/// Who took a key back, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// The actor of the command.
    pub by: Arc<str>,
}

struct Entry {
    id: KeyId,
    key: KeyCreated,
    actor: Arc<str>,
    /// The last use, in microseconds.
    used_us: AtomicI64,
    /// The last use that was recorded, or is being recorded.
    recorded_us: AtomicI64,
    revoked: OnceLock<Revocation>,
}

#[derive(Default)]
struct Entries {
    by_hash: HashMap<String, Arc<Entry>>,
    by_id: HashMap<KeyId, Arc<Entry>>,
}

/// All keys but the one in the data directory.
#[derive(Default)]
pub(crate) struct KeyTable {
    // A std lock: it is held for map look-ups only, never across an await.
    entries: RwLock<Entries>,
    /// Making keys is done by one caller at a time, because a name may be taken only once and no
    /// stream guards that.
    naming: tokio::sync::Mutex<()>,
}

impl KeyTable {
    /// Takes a key as the log has it.
    pub(crate) fn put(
        &self,
        id: KeyId,
        key: KeyCreated,
        used_at: Option<Timestamp>,
        revoked: Option<Revocation>,
    ) {
        let used_us = used_at.map_or(NEVER, |at| at.timestamp_micros());
        let entry = Arc::new(Entry {
            id,
            actor: format!("user:{}", key.name).into(),
            used_us: used_us.into(),
            recorded_us: used_us.into(),
            revoked: revoked.map_or_else(OnceLock::new, OnceLock::from),
            key,
        });
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.by_hash.insert(entry.key.secret_hash.clone(), Arc::clone(&entry));
        entries.by_id.insert(id, entry);
    }

    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn entry(&self, id: KeyId) -> Option<Arc<Entry>> {
        self.read(|entries| entries.by_id.get(&id).cloned())
    }

    /// Keeps so many of the revoked keys, the newest: ids are in the order in which they were made.
    /// A request with one that was forgotten is refused as one with a key that never was.
    fn forget_old(&self, kept_max: usize) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let revoked = entries.by_id.values().filter(|entry| entry.revoked.get().is_some());
        let mut revoked: Vec<KeyId> = revoked.map(|entry| entry.id).collect();
        let Some(excess) = revoked.len().checked_sub(kept_max).filter(|excess| *excess > 0) else {
            return;
        };
        revoked.sort_unstable();
        for id in revoked.into_iter().take(excess) {
            if let Some(entry) = entries.by_id.remove(&id) {
                entries.by_hash.remove(&entry.key.secret_hash);
            }
        }
    }

    /// Refuses a name that a living key has, and one key too many.
    fn check_room(&self, name: &str) -> Result<(), DispatchError> {
        self.read(|entries| {
            let living = || entries.by_id.values().filter(|entry| entry.revoked.get().is_none());
            if let Some(taken) = living().find(|entry| entry.key.name == name) {
                return Err(DispatchError::Conflict(format!(
                    "key {} has the name {name:?} already; choose another, or revoke it: \
                     automagik key revoke \"{name}\"",
                    taken.id
                )));
            }
            if living().count() >= KEYS_MAX {
                return Err(DispatchError::Conflict(format!(
                    "there are {KEYS_MAX} keys already, which is the most; revoke one first"
                )));
            }
            Ok(())
        })
    }
}

impl Spark {
    /// Makes a key and tells its secret, this once.
    ///
    /// # Errors
    /// `Conflict` (name taken, or too many keys), `Rejected` (name), `Unavailable`, `ShuttingDown`.
    pub async fn create_key(
        &self,
        name: String,
        role: Role,
        who: &Who,
    ) -> Result<Done<NewKey>, DispatchError> {
        let (spark, who) = (self.clone(), who.clone());
        carried(async move { spark.make_key(name, role, &who).await }).await
    }

    async fn make_key(
        &self,
        name: String,
        role: Role,
        who: &Who,
    ) -> Result<Done<NewKey>, DispatchError> {
        let _permit = self.admit()?;
        let table = &self.context().keys;
        let _one_at_a_time = table.naming.lock().await;
        table.check_room(&name)?;
        let secret = ids::new_secret();
        let hint = secret.get(secret.len() - KEY_HINT_CHARS..).unwrap_or_default().to_owned();
        let key = KeyCreated { name, role, secret_hash: hash(secret.as_bytes()), hint };
        let id = KeyId::random();
        let position = execute(self.context(), id, ApiKeyCommand::Create(key.clone()), who).await?;
        table.put(id, key, None, None);
        Ok(Done { value: NewKey { id, secret: Secret::new(secret) }, position })
    }

    /// Takes a key back: requests with it are refused from now on. Its history stays.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `ShuttingDown`.
    pub async fn revoke_key(&self, id: KeyId, who: &Who) -> Result<Done<()>, DispatchError> {
        let (spark, who) = (self.clone(), who.clone());
        carried(async move {
            let _permit = spark.admit()?;
            let context = spark.context();
            let position = execute(context, id, ApiKeyCommand::Revoke, &who).await?;
            if let Some(entry) = context.keys.entry(id) {
                // Who came first is who revoked it.
                let revocation = Revocation { at: context.clock.now(), by: Arc::clone(&who.actor) };
                if entry.revoked.set(revocation).is_ok() {
                    context.keys.forget_old(KEYS_REVOKED_KEPT_MAX);
                }
            }
            Ok(Done { value: (), position })
        })
        .await
    }

    /// The key that has this secret, also a revoked one. It is looked up by its hash, so the time
    /// this takes tells nothing of how near a guess is.
    #[must_use]
    pub fn key_of(&self, secret: &[u8]) -> Option<KnownKey> {
        let hash = hash(secret);
        let entry = self.context().keys.read(|entries| entries.by_hash.get(&hash).cloned())?;
        Some(KnownKey {
            id: entry.id,
            name: entry.key.name.clone(),
            role: entry.key.role,
            actor: Arc::clone(&entry.actor),
            revoked: entry.revoked.get().cloned(),
        })
    }

    /// Whether a key was taken back; also where it is not known, or no longer.
    #[must_use]
    pub fn is_revoked(&self, id: KeyId) -> bool {
        self.context().keys.entry(id).is_none_or(|entry| entry.revoked.get().is_some())
    }

    /// Notes that a key was used now, and records it where the last record is old enough. A use
    /// that cannot be recorded is noted all the same: no request fails of it.
    pub async fn key_used(&self, id: KeyId, who: &Who) {
        let context = self.context();
        let Some(entry) = context.keys.entry(id) else { return };
        let now = context.clock.now();
        let now_us = now.timestamp_micros();
        entry.used_us.store(now_us, Ordering::Relaxed);
        let recorded_us = entry.recorded_us.load(Ordering::Relaxed);
        let recorded_at = instant(recorded_us);
        let is_news = recorded_at.is_none_or(|recorded_at| use_is_news(recorded_at, now));
        // Of many requests at once only one records.
        let (first, relaxed) = (&entry.recorded_us, Ordering::Relaxed);
        if !is_news || first.compare_exchange(recorded_us, now_us, relaxed, relaxed).is_err() {
            return;
        }
        if let Err(error) = execute(context, id, ApiKeyCommand::RecordUse, who).await {
            tracing::debug!(key = %id, %error, "the use of a key could not be recorded");
        }
    }

    /// When a key was last used, as exactly as this process knows.
    #[must_use]
    pub fn key_used_at(&self, id: KeyId) -> Option<Timestamp> {
        instant(self.context().keys.entry(id)?.used_us.load(Ordering::Relaxed))
    }
}

fn instant(us: i64) -> Option<Timestamp> {
    if us == NEVER { None } else { Timestamp::from_timestamp_micros(us) }
}

async fn execute(
    context: &Shared,
    id: KeyId,
    command: ApiKeyCommand,
    who: &Who,
) -> Result<Option<Position>, DispatchError> {
    let changed = change::<ApiKey>(context, id.stream(), command, who).await;
    Ok(changed.map_err(|error| DispatchError::of(error, "key", id))?.1)
}

/// SHA-256 in hexadecimal digits.
fn hash(secret: &[u8]) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}
