//! An API key: a name, a role, and the hash of a secret that only its holder has. Owns the roles
//! and which of them may do what another may; which endpoint needs which is the API's affair.

use serde::{Deserialize, Serialize};

use super::Aggregate;
use crate::clock::Timestamp;
use crate::ids::KeyId;
use crate::limits;

/// The name of the key that lies in the data directory. No other key may have it, or its events
/// could not be told apart from those of the machine's owner.
pub const LOCAL_KEY: &str = "local";

/// What the holder of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and does everything with flows, schedules, tasks and the work of workers.
    Operator,
    /// Takes work and reports what came of it. Is handed the keys of the sources that it calls,
    /// hence a role of its own; reads nothing else.
    Worker,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Worker, Self::Admin];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has this role may do what `needed` may.
    #[must_use]
    pub const fn covers(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(needed, Self::Operator | Self::Viewer),
            Self::Viewer => matches!(needed, Self::Viewer),
            Self::Worker => matches!(needed, Self::Worker),
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; there are viewer, operator, worker and admin")]
pub struct BadRole(pub String);

impl std::str::FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| BadRole(text.chars().take(50).collect()))
    }
}

/// What can be asked of a key.
#[derive(Debug, Clone)]
pub enum ApiKeyCommand {
    /// It is made.
    Create(KeyCreated),
    /// A request came with it.
    RecordUse,
    /// It is taken no more.
    Revoke,
}

/// Why a key refused a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyRejection {
    /// There is no such key.
    #[error("there is no such key")]
    Absent,
    /// There is one with this id.
    #[error("a key with this id exists already")]
    Exists,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The name is empty, too long, or not one line.
    #[error(
        "a key's name must have 1 to {max} bytes, without control characters and without spaces at \
         its ends",
        max = limits::NAME_BYTES_MAX
    )]
    BadName,
    /// The name is that of the key in the data directory.
    #[error("the name {LOCAL_KEY} is that of the key in the data directory; choose another")]
    LocalName,
}

/// An event of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiKeyEvent {
    /// It was made.
    Created(KeyCreated),
    /// It was used; recorded at most once in [`limits::KEY_USE_EVERY_MS`].
    Used(KeyUsed),
    /// It is taken no more.
    Revoked(KeyRevoked),
}

/// See [`ApiKeyEvent::Created`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// Its name, which stands in the events that it leads to.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of the secret, in hexadecimal digits. A secret is drawn at random and long, so its
    /// hash needs neither salt nor work to be of no use to whoever reads it.
    pub secret_hash: String,
    /// The last characters of the secret, by which its holder tells keys apart.
    pub hint: String,
}

/// See [`ApiKeyEvent::Used`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsed {
    /// When.
    pub at: Timestamp,
}

/// See [`ApiKeyEvent::Revoked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// When.
    pub at: Timestamp,
}

/// A key: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ApiKey {
    /// Before its first event.
    #[default]
    Absent,
    /// It is taken.
    Living {
        /// What it is.
        key: KeyCreated,
        /// Its last recorded use.
        used_at: Option<Timestamp>,
    },
    /// It is taken no more. A revoked key stays revoked.
    Revoked,
}

impl Aggregate for ApiKey {
    const CATEGORY: &'static str = KeyId::CATEGORY;
    type Command = ApiKeyCommand;
    type Event = ApiKeyEvent;
    type Rejection = ApiKeyRejection;

    fn decide(
        &self,
        command: ApiKeyCommand,
        now: Timestamp,
    ) -> Result<Vec<ApiKeyEvent>, ApiKeyRejection> {
        use ApiKeyCommand as C;
        match (self, command) {
            (Self::Absent, C::Create(key)) => {
                check_name(&key.name)?;
                Ok(vec![ApiKeyEvent::Created(key)])
            }
            (Self::Living { key: have, .. }, C::Create(key)) if *have == key => Ok(vec![]),
            (Self::Living { .. } | Self::Revoked, C::Create(_)) => Err(ApiKeyRejection::Exists),
            (Self::Absent, C::RecordUse | C::Revoke) => Err(ApiKeyRejection::Absent),
            (Self::Revoked, C::RecordUse) => Err(ApiKeyRejection::Revoked),
            (Self::Revoked, C::Revoke) => Ok(vec![]),
            (Self::Living { used_at, .. }, C::RecordUse) => {
                let is_news = used_at.is_none_or(|used_at| use_is_news(used_at, now));
                Ok(Vec::from_iter(is_news.then_some(ApiKeyEvent::Used(KeyUsed { at: now }))))
            }
            (Self::Living { .. }, C::Revoke) => {
                Ok(vec![ApiKeyEvent::Revoked(KeyRevoked { at: now })])
            }
        }
    }

    fn evolve(self, event: &ApiKeyEvent) -> Self {
        match (self, event) {
            (Self::Absent, ApiKeyEvent::Created(key)) => {
                Self::Living { key: key.clone(), used_at: None }
            }
            (Self::Living { key, .. }, ApiKeyEvent::Used(used)) => {
                Self::Living { key, used_at: Some(used.at) }
            }
            (Self::Living { .. }, ApiKeyEvent::Revoked(_)) => Self::Revoked,
            (state, _) => state,
        }
    }
}

/// Whether a use is to be recorded, after one that was recorded before.
#[must_use]
pub fn use_is_news(recorded_at: Timestamp, now: Timestamp) -> bool {
    let passed = now.signed_duration_since(recorded_at).num_milliseconds();
    // A clock that was set back does not silence the record for as long as it was ahead.
    passed.unsigned_abs() >= limits::KEY_USE_EVERY_MS
}

fn check_name(name: &str) -> Result<(), ApiKeyRejection> {
    let fits = (1..=limits::NAME_BYTES_MAX).contains(&name.len());
    if !fits || name.trim() != name || name.chars().any(char::is_control) {
        return Err(ApiKeyRejection::BadName);
    }
    if name.eq_ignore_ascii_case(LOCAL_KEY) {
        return Err(ApiKeyRejection::LocalName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::fold;

    fn key(name: &str) -> KeyCreated {
        KeyCreated {
            name: name.into(),
            role: Role::Operator,
            secret_hash: "ab".repeat(32),
            hint: "f00d".into(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_timestamp_micros(1_800_000_000_000_000).unwrap()
    }

    fn given(commands: impl IntoIterator<Item = ApiKeyCommand>) -> ApiKey {
        commands.into_iter().fold(ApiKey::Absent, |state, command| {
            let events = state.decide(command, now()).unwrap();
            fold(state, &events)
        })
    }

    #[test]
    fn roles_are_a_row_with_the_worker_beside_it() {
        use Role::{Admin, Operator, Viewer, Worker};
        for (role, covered) in [
            (Viewer, &[Viewer][..]),
            (Operator, &[Viewer, Operator]),
            (Worker, &[Worker]),
            (Admin, &[Viewer, Operator, Worker, Admin]),
        ] {
            for needed in Role::ALL {
                assert_eq!(role.covers(needed), covered.contains(&needed), "{role} {needed}");
            }
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("viewer, operator"));
    }

    #[test]
    fn a_name_is_one_line_and_not_that_of_the_data_directory() {
        let refused = |name: &str| {
            ApiKey::Absent.decide(ApiKeyCommand::Create(key(name)), now()).unwrap_err()
        };
        for name in ["", " ", "a ", " a", "a\nb", "a\u{7f}", &"x".repeat(201)] {
            assert_eq!(refused(name), ApiKeyRejection::BadName, "{name:?}");
        }
        assert_eq!(refused("Local"), ApiKeyRejection::LocalName);
        given([ApiKeyCommand::Create(key(&"x".repeat(200)))]);
    }

    #[test]
    fn a_use_is_recorded_at_most_once_an_hour() {
        let used = given([ApiKeyCommand::Create(key("ci")), ApiKeyCommand::RecordUse]);
        let after = |ms: i64| {
            used.decide(ApiKeyCommand::RecordUse, now() + TimeDelta::milliseconds(ms)).unwrap()
        };
        assert_eq!(after(0), []);
        assert_eq!(after(3_599_999), []);
        assert_eq!(after(3_600_000).len(), 1);
        assert_eq!(after(-3_600_000).len(), 1, "the clock was set back");
    }

    #[test]
    fn a_revoked_key_stays_revoked() {
        let revoked = given([ApiKeyCommand::Create(key("ci")), ApiKeyCommand::Revoke]);
        assert_eq!(revoked, ApiKey::Revoked);
        assert_eq!(revoked.decide(ApiKeyCommand::Revoke, now()), Ok(vec![]), "already true");
        let refused = |command| revoked.decide(command, now()).unwrap_err();
        assert_eq!(refused(ApiKeyCommand::RecordUse), ApiKeyRejection::Revoked);
        assert_eq!(refused(ApiKeyCommand::Create(key("ci"))), ApiKeyRejection::Exists);
        let absent = ApiKey::Absent.decide(ApiKeyCommand::Revoke, now());
        assert_eq!(absent, Err(ApiKeyRejection::Absent));
    }
}
