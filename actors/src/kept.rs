//! A file that can be thrown away: a header (magic, format version, checksum) before bytes that
//! the log could say again. Whatever does not fit is discarded.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

const HEADER_BYTES: usize = 8 + 4 + 8;

/// What a kind of file begins with, and what it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) magic: &'static [u8; 8],
    /// Raised with every change of what the bytes mean.
    pub(crate) format: u32,
    /// For messages.
    pub(crate) what: &'static str,
}

impl Kept {
    /// The bytes of the file; `None` when there is no good one.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let what = self.what;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "{what} cannot be read");
                return None;
            }
        };
        let body = self.body(bytes);
        if body.is_none() {
            self.discarded(path);
        }
        body
    }

    /// Says that a file is of no use.
    pub(crate) fn discarded(&self, path: &Path) {
        let what = self.what;
        tracing::warn!(path = %path.display(), "{what} is of another format or damaged; reading the whole log instead");
    }

    fn body(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
        let (magic, rest) = header.split_at(8);
        let (format, sum) = rest.split_at(4);
        let fits = magic == self.magic
            && format == self.format.to_le_bytes()
            && sum == checksum(body).to_le_bytes();
        fits.then(|| bytes.split_off(HEADER_BYTES))
    }

    /// Replaces the file, so that a reader finds the old one or the new one and nothing between. A
    /// failure is logged: the next start only has more to read.
    pub(crate) fn write(&self, path: &Path, body: &[u8]) {
        if let Err(error) = self.try_write(path, body) {
            let what = self.what;
            tracing::warn!(path = %path.display(), %error, "{what} cannot be written");
        }
    }

    fn try_write(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut file = fs::File::create(&beside)?;
        file.write_all(self.magic)?;
        file.write_all(&self.format.to_le_bytes())?;
        file.write_all(&checksum(body).to_le_bytes())?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }
}

/// FNV-1a over 64 bits: finds a torn or damaged file; it is no defence against forgery, and the
/// file is only a cache. Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
