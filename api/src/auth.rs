//! Who may call: the API keys and their comparison. Never logs a key and never prints one.

use std::hint::black_box;
use std::sync::Arc;

use crate::error::ApiError;

/// The keys that the API takes, each with a name that stands in the events it leads to.
#[derive(Clone)]
pub struct AuthKeys {
    keys: Arc<[Key]>,
}

struct Key {
    secret: Box<str>,
    actor: Arc<str>,
}

impl std::fmt::Debug for AuthKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.actor)).finish()
    }
}

impl AuthKeys {
    /// One key, named `local`.
    #[must_use]
    pub fn local(secret: &str) -> Self {
        Self::named([("local", secret)])
    }

    /// Keys by name. Without any, every call is refused; an empty secret never matches.
    #[must_use]
    pub fn named<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let key = |(name, secret): (&str, &str)| Key {
            secret: secret.into(),
            actor: format!("user:{name}").into(),
        };
        Self { keys: keys.into_iter().map(key).collect() }
    }

    /// Who holds this key: `user:<key name>`. Takes the same time for every wrong key of one
    /// length.
    ///
    /// # Errors
    /// `KeyMissing` and `KeyWrong`.
    pub fn check(&self, given: Option<&[u8]>) -> Result<Arc<str>, ApiError> {
        let given = given.ok_or(ApiError::KeyMissing)?;
        let mut actor = None;
        for key in self.keys.iter() {
            if same(key.secret.as_bytes(), given) && !key.secret.is_empty() {
                actor = Some(&key.actor);
            }
        }
        actor.cloned().ok_or(ApiError::KeyWrong)
    }
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
    fn a_key_names_its_holder() {
        let keys = AuthKeys::named([("ci", "aaaa"), ("ops", "bbbb")]);
        assert_eq!(&*keys.check(Some(b"aaaa")).unwrap(), "user:ci");
        assert_eq!(&*keys.check(Some(b"bbbb")).unwrap(), "user:ops");
        assert_eq!(format!("{keys:?}"), r#"["user:ci", "user:ops"]"#);
    }

    #[test]
    fn only_the_exact_key_is_taken() {
        let keys = AuthKeys::local("secret");
        assert!(matches!(keys.check(None), Err(ApiError::KeyMissing)));
        for wrong in ["", "s", "secre", "secret ", "Secret", "secrets", "secret\0"] {
            let checked = keys.check(Some(wrong.as_bytes()));
            assert!(matches!(checked, Err(ApiError::KeyWrong)), "{wrong:?}");
        }
        assert!(matches!(keys.check(Some(b"\xff\xfe")), Err(ApiError::KeyWrong)));
        let empty = AuthKeys::local("");
        assert!(matches!(empty.check(Some(b"")), Err(ApiError::KeyWrong)));
        let none = AuthKeys::named([]);
        assert!(matches!(none.check(Some(b"secret")), Err(ApiError::KeyWrong)));
    }
}
