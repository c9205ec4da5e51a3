//! API keys in the start-up index: what the table of keys is filled with.

use serde::{Deserialize, Serialize};
use spark_events::codec::DomainEvent;
use spark_events::domain::api_key::{ApiKeyEvent, KeyCreated};
use spark_events::limits::KEYS_REVOKED_KEPT_MAX;
use spark_events::{CodecError, KeyId, RecordedEvent, Timestamp};

use super::Index;
use crate::keys::{KeyTable, Revocation};

/// An API key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KeyNote {
    key: KeyCreated,
    used_us: Option<i64>,
    revoked: Option<(i64, String)>,
}

impl Index {
    /// Puts every API key into a table.
    pub(crate) fn fill_keys(&self, table: &KeyTable) {
        for (id, note) in &self.keys {
            let used_at = note.used_us.and_then(Timestamp::from_timestamp_micros);
            let revoked = note.revoked.as_ref().and_then(|(at, by)| {
                let at = Timestamp::from_timestamp_micros(*at)?;
                Some(Revocation { at, by: by.as_str().into() })
            });
            table.put(*id, note.key.clone(), used_at, revoked);
        }
    }

    pub(super) fn key(&mut self, id: KeyId, event: &RecordedEvent) -> Result<(), CodecError> {
        let decoded = ApiKeyEvent::from_recorded(event)?;
        if let ApiKeyEvent::Created(key) = decoded {
            self.keys.insert(id, KeyNote { key, used_us: None, revoked: None });
            return Ok(());
        }
        let Some(note) = self.keys.get_mut(&id) else { return Ok(()) };
        match decoded {
            ApiKeyEvent::Created(_) => {}
            ApiKeyEvent::Used(used) => note.used_us = Some(used.at.timestamp_micros()),
            ApiKeyEvent::Revoked(revoked) => {
                let by = event.metadata.actor.to_string();
                note.revoked = Some((revoked.at.timestamp_micros(), by));
                self.forget_old_keys();
            }
        }
        Ok(())
    }

    /// Ids are in the order in which they were made, so the first revoked keys are the oldest.
    fn forget_old_keys(&mut self) {
        let revoked = || self.keys.iter().filter(|(_, note)| note.revoked.is_some());
        if revoked().count() > KEYS_REVOKED_KEPT_MAX {
            let oldest = revoked().next().map(|(id, _)| *id);
            oldest.and_then(|id| self.keys.remove(&id));
        }
    }
}
