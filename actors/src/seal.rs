//! Seals source API keys before they enter an event, and opens them in memory. The sealing key
//! is a 0600 file in the data directory, made at first start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Nonce, Payload};
use spark_events::domain::source::SealedKey;

use crate::error::DispatchError;
use crate::langflow::Secret;

const NONCE_BYTES: usize = 24;
/// Bound to every sealed key, so that the bytes of another use cannot be passed off as one.
const PURPOSE: &[u8] = b"spark source api key v1";

/// Seals and opens source API keys.
pub(crate) struct Sealer(XChaCha20Poly1305);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// Reads the sealing key from a file, or makes one there that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, or does not hold a key.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Key::<XChaCha20Poly1305>::generate();
                write_private(path, &key)?;
                key.to_vec()
            }
            Err(error) => return Err(error),
        };
        XChaCha20Poly1305::new_from_slice(&bytes).map(Self).map_err(|_| {
            io::Error::other(format!(
                "{} does not hold a sealing key of 32 bytes; restore it from a backup, or remove \
                 it and give every source its API key again",
                path.display()
            ))
        })
    }

    /// Seals an API key. Sealing the same key twice gives two different texts.
    ///
    /// # Errors
    /// `Internal` when the cipher refuses, which it does for no key of a sane length.
    pub(crate) fn seal(&self, key: &Secret) -> Result<SealedKey, DispatchError> {
        let nonce = Nonce::<XChaCha20Poly1305>::generate();
        let payload = Payload { msg: key.expose().as_bytes(), aad: PURPOSE };
        let sealed = self
            .0
            .encrypt(&nonce, payload)
            .map_err(|_| DispatchError::Internal("the API key could not be sealed".into()))?;
        Ok(SealedKey(BASE64.encode([nonce.as_slice(), sealed.as_slice()].concat())))
    }

    /// Opens a sealed API key; `None` when it was sealed with another sealing key.
    #[must_use]
    pub(crate) fn open_key(&self, sealed: &SealedKey) -> Option<Secret> {
        let bytes = BASE64.decode(&sealed.0).ok()?;
        let (nonce, msg) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::<XChaCha20Poly1305>::try_from(nonce).ok()?;
        let plain = self.0.decrypt(&nonce, Payload { msg, aad: PURPOSE }).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

/// Writes a file that only its owner can read, or fails when it exists.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_sealing_key_opens_a_sealed_key() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&dir.path().join("a")).unwrap();
        let sealed = sealer.seal(&Secret::new("sk-1".into())).unwrap();
        assert!(!sealed.0.contains("sk-1"));

        let again = Sealer::open(&dir.path().join("a")).unwrap();
        assert_eq!(again.open_key(&sealed).unwrap().expose(), "sk-1");
        let other = Sealer::open(&dir.path().join("b")).unwrap();
        assert!(other.open_key(&sealed).is_none());
        assert!(again.open_key(&SealedKey("AAAA".into())).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn the_sealing_key_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        Sealer::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
