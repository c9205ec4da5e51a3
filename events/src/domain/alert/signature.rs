//! Signatures of messages, as Standard Webhooks has them: HMAC-SHA256 over id, time and body, with
//! a secret written as `whsec_` and base64. Pure; the secret is given.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::ALERT_TOLERANCE_S;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The version of this scheme, in the header.
const VERSION: &str = "v1";
/// Bytes of a secret that we make.
pub const SECRET_BYTES: usize = 32;
/// Bytes that a secret may have.
const SECRET_BYTES_LEGAL: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that messages are signed with. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a signing secret: it is whsec_ followed by the base64 form of {min} to {max} bytes",
    min = SECRET_BYTES_LEGAL.start(), max = SECRET_BYTES_LEGAL.end()
)]
pub struct BadSecret;

impl SigningSecret {
    /// A secret of these bytes, which must be random.
    #[must_use]
    pub fn of(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret; the beginning `whsec_` may be missing.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.trim();
        let bytes = BASE64.decode(text.strip_prefix(PREFIX).unwrap_or(text));
        match bytes {
            Ok(bytes) if SECRET_BYTES_LEGAL.contains(&bytes.len()) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(BadSecret),
        }
    }

    /// The secret as its receiver needs it. To be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }

    /// The signature of a message, as it stands in the header `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let signature = self.mac(id, timestamp_s, body).map(|mac| mac.finalize().into_bytes());
        format!("{VERSION},{}", BASE64.encode(signature.unwrap_or_default()))
    }

    /// `None` never happens: HMAC takes a key of any length.
    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        Some(mac)
    }

    /// Says whether a message was signed with this secret, at the instant `now_s` in seconds.
    /// `signatures` is the whole header: several, with a space between. Compares in constant time.
    ///
    /// # Errors
    /// [`BadSignature`] with what does not fit.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now_s: i64,
    ) -> Result<(), BadSignature> {
        let timestamp_s: i64 = timestamp.trim().parse().map_err(|_| BadSignature::Timestamp)?;
        let mut known = false;
        for signature in signatures.split_whitespace() {
            let Some((VERSION, given)) = signature.split_once(',') else { continue };
            known = true;
            let Ok(given) = BASE64.decode(given) else { continue };
            let right = self.mac(id, timestamp_s, body).map(|mac| mac.verify_slice(&given).is_ok());
            if right == Some(true) {
                return in_time(timestamp_s, now_s);
            }
        }
        Err(if known { BadSignature::Wrong } else { BadSignature::NoneKnown })
    }
}

fn in_time(timestamp_s: i64, now_s: i64) -> Result<(), BadSignature> {
    let apart_s = timestamp_s.abs_diff(now_s);
    if apart_s <= ALERT_TOLERANCE_S {
        return Ok(());
    }
    Err(if timestamp_s < now_s {
        BadSignature::Old { apart_s }
    } else {
        BadSignature::Ahead { apart_s }
    })
}

/// Why a message is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The time is no number.
    #[error("webhook-timestamp is not a number of seconds since 1970")]
    Timestamp,
    /// There is no signature of our version.
    #[error("webhook-signature holds no signature of the version v1 (v1,BASE64)")]
    NoneKnown,
    /// It was signed with another secret, or id, time or body were changed.
    #[error(
        "the signature is wrong: it was made with another secret, or id, time or body are not \
         exactly what was sent"
    )]
    Wrong,
    /// It is right, but too old.
    #[error("the signature is right, but {apart_s} s old; at most {max} s are accepted", max = ALERT_TOLERANCE_S)]
    Old {
        /// Its age in seconds.
        apart_s: u64,
    },
    /// It is right, but from the future.
    #[error("the signature is right, but {apart_s} s ahead of this clock; at most {max} s are accepted", max = ALERT_TOLERANCE_S)]
    Ahead {
        /// How far ahead it is, in seconds.
        apart_s: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        assert_eq!(secret.sign(ID, AT, BODY), SIGNATURE);
        assert_eq!(secret.reveal(), SECRET);
        let several = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        assert_eq!(secret.verify(ID, &AT.to_string(), &several, BODY, AT + 300), Ok(()));
    }

    #[test]
    fn whatever_was_changed_is_noticed() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        let at = AT.to_string();
        let other = SigningSecret::of([7; SECRET_BYTES]);
        let wrong = Err(BadSignature::Wrong);
        assert_eq!(other.verify(ID, &at, SIGNATURE, BODY, AT), wrong);
        assert_eq!(secret.verify("msg_2", &at, SIGNATURE, BODY, AT), wrong);
        assert_eq!(secret.verify(ID, "1614265331", SIGNATURE, BODY, AT), wrong);
        assert_eq!(secret.verify(ID, &at, SIGNATURE, b"{}", AT), wrong);
        assert_eq!(secret.verify(ID, &at, "v2,AAAA", BODY, AT), Err(BadSignature::NoneKnown));
        assert_eq!(secret.verify(ID, "noon", SIGNATURE, BODY, AT), Err(BadSignature::Timestamp));
        let old = Err(BadSignature::Old { apart_s: 301 });
        assert_eq!(secret.verify(ID, &at, SIGNATURE, BODY, AT + 301), old);
        let ahead = Err(BadSignature::Ahead { apart_s: 301 });
        assert_eq!(secret.verify(ID, &at, SIGNATURE, BODY, AT - 301), ahead);
    }

    #[test]
    fn a_secret_has_its_form_and_is_not_shown_by_accident() {
        for bad in ["", "whsec_", "whsec_AAAA", "whsec_%%%", &format!("whsec_{}", "A".repeat(400))]
        {
            assert_eq!(SigningSecret::parse(bad), Err(BadSecret), "{bad}");
        }
        assert_eq!(format!("{:?}", SigningSecret::of([1; 32])), "SigningSecret(..)");
    }
}
