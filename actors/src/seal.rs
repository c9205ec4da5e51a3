//! Seals source API keys and signing secrets before they enter an event, and opens them in memory.
//! The sealing key
//! is a 0600 file in the data directory, made at first start. While it is being replaced, the key
//! before it lies beside it and opens what is not sealed anew yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Nonce, Payload};
use spark_events::domain::source::SealedKey;

use crate::error::DispatchError;
use crate::langflow::Secret;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// What is sealed. Bound to it, so that the bytes of one use cannot be passed off as another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The API key of a source.
    SourceKey,
    /// The secret that the messages of an alert are signed with.
    AlertSecret,
}

impl Purpose {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::SourceKey => b"spark source api key v1",
            Self::AlertSecret => b"spark alert signing secret v1",
        }
    }
}

/// Seals and opens source API keys.
pub(crate) struct Sealer {
    path: PathBuf,
    // A std lock: it is held for one cipher operation, never across an await.
    keys: RwLock<Keys>,
}

struct Keys {
    current: XChaCha20Poly1305,
    /// The one before, until everything is sealed with the current one.
    previous: Option<XChaCha20Poly1305>,
}

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
        let current = match read_key(path)? {
            Some(key) => key,
            None => {
                let key = Key::<XChaCha20Poly1305>::generate();
                write_private(path, &key)?;
                XChaCha20Poly1305::new(&key)
            }
        };
        // Half a file is one that broke off while it was written, before the key was replaced.
        let previous = read_key(&beside(path, "old")).unwrap_or_default();
        Ok(Self { path: path.to_owned(), keys: RwLock::new(Keys { current, previous }) })
    }

    /// Takes a new sealing key, unless an earlier replacement is not finished yet. Whatever was
    /// sealed before can still be opened until [`Self::end_rotation`].
    ///
    /// # Errors
    /// When a file cannot be written; the key is then the same as before.
    pub(crate) fn begin_rotation(&self) -> io::Result<()> {
        let (old, new) = (beside(&self.path, "old"), beside(&self.path, "new"));
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let bytes = fs::read(&self.path)?;
        match fs::read(&old) {
            // Ended before the rename below: nothing is sealed with another key yet.
            Ok(kept) if kept == bytes || kept.len() != KEY_BYTES => remove(&old)?,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        remove(&new)?;
        let key = Key::<XChaCha20Poly1305>::generate();
        write_private(&old, &bytes)?;
        write_private(&new, &key)?;
        sync_folder(&self.path)?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        let current = XChaCha20Poly1305::new(&key);
        keys.previous = Some(std::mem::replace(&mut keys.current, current));
        Ok(())
    }

    /// Forgets the key before the current one.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub(crate) fn end_rotation(&self) -> io::Result<()> {
        remove(&beside(&self.path, "old"))?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).previous = None;
        Ok(())
    }

    /// Seals an API key. Sealing the same key twice gives two different texts.
    ///
    /// # Errors
    /// `Internal` when the cipher refuses, which it does for no key of a sane length.
    pub(crate) fn seal(&self, key: &Secret) -> Result<SealedKey, DispatchError> {
        self.seal_for(Purpose::SourceKey, key)
    }

    /// As [`Self::seal`], for another use.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub(crate) fn seal_for(
        &self,
        purpose: Purpose,
        key: &Secret,
    ) -> Result<SealedKey, DispatchError> {
        let nonce = Nonce::<XChaCha20Poly1305>::generate();
        let payload = Payload { msg: key.expose().as_bytes(), aad: purpose.bytes() };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let sealed = keys
            .current
            .encrypt(&nonce, payload)
            .map_err(|_| DispatchError::Internal("the API key could not be sealed".into()))?;
        Ok(SealedKey(BASE64.encode([nonce.as_slice(), sealed.as_slice()].concat())))
    }

    /// Opens a sealed API key; `None` when it was sealed with another sealing key.
    #[must_use]
    pub(crate) fn open_key(&self, sealed: &SealedKey) -> Option<Secret> {
        self.open_for(Purpose::SourceKey, sealed)
    }

    /// As [`Self::open_key`], for another use.
    #[must_use]
    pub(crate) fn open_for(&self, purpose: Purpose, sealed: &SealedKey) -> Option<Secret> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let previous = || keys.previous.as_ref().and_then(|key| opened(key, purpose, sealed));
        opened(&keys.current, purpose, sealed).or_else(previous)
    }

    /// Whether it is sealed with the current key.
    pub(crate) fn is_current(&self, purpose: Purpose, sealed: &SealedKey) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        opened(&keys.current, purpose, sealed).is_some()
    }
}

/// Random bytes for a new secret, from the same place as the sealing keys.
pub(crate) fn random_bytes() -> [u8; KEY_BYTES] {
    Key::<XChaCha20Poly1305>::generate().into()
}

fn opened(cipher: &XChaCha20Poly1305, purpose: Purpose, sealed: &SealedKey) -> Option<Secret> {
    let bytes = BASE64.decode(&sealed.0).ok()?;
    let (nonce, msg) = bytes.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::<XChaCha20Poly1305>::try_from(nonce).ok()?;
    let plain = cipher.decrypt(&nonce, Payload { msg, aad: purpose.bytes() }).ok()?;
    String::from_utf8(plain).ok().map(Secret::new)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn read_key(path: &Path) -> io::Result<Option<XChaCha20Poly1305>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    XChaCha20Poly1305::new_from_slice(&bytes).map(Some).map_err(|_| {
        io::Error::other(format!(
            "{} does not hold a sealing key of 32 bytes; restore it from a backup, or remove \
             it and give every source its API key again",
            path.display()
        ))
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A renamed file is there after a power cut only when its folder was synced too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
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
        assert!(again.open_for(Purpose::AlertSecret, &sealed).is_none(), "sealed for another use");
    }

    #[test]
    fn a_replaced_sealing_key_opens_the_old_seals_until_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let sealer = Sealer::open(&path).unwrap();
        let old = sealer.seal(&Secret::new("sk-1".into())).unwrap();
        sealer.begin_rotation().unwrap();
        assert_eq!(sealer.open_key(&old).unwrap().expose(), "sk-1");
        assert!(!sealer.is_current(Purpose::SourceKey, &old));
        let new = sealer.seal(&sealer.open_key(&old).unwrap()).unwrap();
        sealer.end_rotation().unwrap();
        assert!(sealer.open_key(&old).is_none());
        let again = Sealer::open(&path).unwrap();
        assert_eq!(again.open_key(&new).unwrap().expose(), "sk-1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no other key is left");
    }

    #[test]
    fn a_replacement_that_broke_off_loses_no_key_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let sealer = Sealer::open(&path).unwrap();
        let old = sealer.seal(&Secret::new("sk-1".into())).unwrap();
        // Died after the old key was set aside, before the new one was there.
        fs::write(beside(&path, "old"), "half").unwrap();
        fs::write(beside(&path, "new"), "half").unwrap();
        let sealer = Sealer::open(&path).unwrap();
        sealer.begin_rotation().unwrap();
        let new = sealer.seal(&Secret::new("sk-2".into())).unwrap();
        // Died with some keys sealed anew and others not.
        let sealer = Sealer::open(&path).unwrap();
        sealer.begin_rotation().unwrap();
        assert!(sealer.is_current(Purpose::SourceKey, &new), "no third key while two are in use");
        assert_eq!(sealer.open_key(&old).unwrap().expose(), "sk-1");
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
