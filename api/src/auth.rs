//! Who calls: the key that a request came with, and whose it is. Never logs a key and never prints
//! one. What each endpoint needs stands in [`roles`].

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use spark_actors::{KnownKey, Who};
use spark_events::KeyId;
use spark_events::domain::api_key::{LOCAL_KEY, Role};

use crate::app::App;
use crate::call::correlation;
use crate::error::ApiError;

pub mod roles;

use roles::Need;

/// The key in the data directory: named `local`, with the role `admin`.
#[derive(Clone)]
pub struct AuthKeys {
    local: Arc<str>,
}

impl std::fmt::Debug for AuthKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthKeys(..)")
    }
}

impl AuthKeys {
    /// Takes the key. An empty one never matches.
    #[must_use]
    pub fn local(secret: &str) -> Self {
        Self { local: secret.into() }
    }

    /// Whether this is the key. Takes the same time for every wrong key of one length.
    #[must_use]
    pub fn is_local(&self, given: &[u8]) -> bool {
        same(self.local.as_bytes(), given) && !self.local.is_empty()
    }
}

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As it stands in events: `user:<key name>`.
    pub actor: Arc<str>,
    /// The key's name; `None` without a key.
    pub name: Option<String>,
    /// What the key may do; `None` without a key.
    pub role: Option<Role>,
    /// The key's id; `None` for the key in the data directory.
    pub key: Option<KeyId>,
}

impl Caller {
    fn anonymous() -> Self {
        Self { actor: "anonymous".into(), name: None, role: None, key: None }
    }

    fn local() -> Self {
        Self {
            actor: format!("user:{LOCAL_KEY}").into(),
            name: Some(LOCAL_KEY.to_owned()),
            role: Some(Role::Admin),
            key: None,
        }
    }

    fn of(key: KnownKey) -> Self {
        let (name, role, id) = (Some(key.name), Some(key.role), Some(key.id));
        Self { actor: key.actor, name, role, key: id }
    }

    /// Refuses what the role does not suffice for.
    ///
    /// # Errors
    /// `RoleTooLow`.
    pub fn may(&self, need: Need) -> Result<(), ApiError> {
        match (need, self.role) {
            (Need::Nobody | Need::AnyKey, _) => Ok(()),
            (Need::Role(needed), Some(role)) if role.covers(needed) => Ok(()),
            (Need::Role(needed), role) => {
                Err(ApiError::RoleTooLow { key: self.name.clone(), role, needed })
            }
        }
    }
}

/// Who sent a request with this key, or with none where none is needed.
///
/// # Errors
/// `KeyMissing`, `KeyWrong`, `KeyRevoked`, and `TooMany` for who asks too often.
pub async fn caller(
    app: &App,
    need: Option<Need>,
    given: Option<&[u8]>,
    peer: Option<IpAddr>,
    request_id: &str,
) -> Result<Caller, ApiError> {
    if need == Some(Need::Nobody) {
        return Ok(Caller::anonymous());
    }
    let given = given.ok_or(ApiError::KeyMissing)?;
    let rates = &app.access.rates;
    let Some(key) = app.spark.key_of(given) else { return local(app, given, peer) };
    if let Some(revoked) = key.revoked {
        return Err(ApiError::KeyRevoked { key: key.name, at: revoked.at, by: revoked.by });
    }
    // A worker asks as often as its work comes.
    if key.role != Role::Worker {
        let too_often = |again_s| {
            let who = format!("of the API key {} in a second", key.name);
            ApiError::TooMany { who, again_s }
        };
        rates.ask(key.id).map_err(too_often)?;
    }
    let (actor, request_id) = (Arc::clone(&key.actor), correlation(request_id));
    let who = Who { actor, reason: None, request_id, trace: None, expects: None };
    app.spark.key_used(key.id, &who).await;
    Ok(Caller::of(key))
}

/// What a key is that has no name: the one in the data directory, or a wrong one. A peer that sent
/// too many wrong ones is not heard here, because somebody may have chosen that key, and else a
/// guess would cost nothing. Named keys are made here and cannot be guessed, so who has one is
/// heard whatever others behind the same address send.
fn local(app: &App, given: &[u8], peer: Option<IpAddr>) -> Result<Caller, ApiError> {
    let rates = &app.access.rates;
    let unheard = |again_s| ApiError::TooMany { who: "with wrong API keys".to_owned(), again_s };
    rates.hear(peer).map_err(unheard)?;
    if app.keys.is_local(given) {
        return Ok(Caller::local());
    }
    rates.fail(peer).map_err(unheard)?;
    Err(ApiError::KeyWrong)
}

/// Compares without leaving early, so that the time tells nothing about where they differ.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let mut differences = u8::from(secret.len() != given.len());
    for (index, byte) in given.iter().enumerate() {
        differences |= byte ^ black_box(secret.get(index).copied().unwrap_or(0));
    }
    black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_key_is_taken() {
        let keys = AuthKeys::local("secret");
        assert!(keys.is_local(b"secret"));
        for wrong in ["", "s", "secre", "secret ", "Secret", "secrets", "secret\0"] {
            assert!(!keys.is_local(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!keys.is_local(b"\xff\xfe"));
        assert!(!AuthKeys::local("").is_local(b""));
        assert!(!format!("{keys:?}").contains("secret"));
    }
}
