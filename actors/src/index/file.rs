//! The index's file: a header (magic, format version, checksum) and bincode. Whatever does not
//! fit is discarded, because the log has it all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::Index;

const MAGIC: &[u8; 8] = b"SPKINDEX";
/// Raised with every change of the fold or of the types behind it.
const FORMAT: u32 = 7;
const HEADER_BYTES: usize = 8 + 4 + 8;

/// Reads the file; `None` when there is no good one.
pub(super) fn read(path: &Path) -> Option<Index> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the start-up index cannot be read");
            return None;
        }
    };
    let index = decode(&bytes);
    if index.is_none() {
        tracing::warn!(path = %path.display(), "the start-up index is of another format or damaged; reading the whole log instead");
    }
    index
}

fn decode(bytes: &[u8]) -> Option<Index> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let (magic, rest) = header.split_at(8);
    let (format, sum) = rest.split_at(4);
    let fits =
        magic == MAGIC && format == FORMAT.to_le_bytes() && sum == checksum(body).to_le_bytes();
    if !fits {
        return None;
    }
    bincode::serde::decode_from_slice(body, bincode::config::standard())
        .ok()
        .map(|(index, _)| index)
}

/// Replaces the file, so that a reader finds the old one or the new one and nothing between. A
/// failure is logged: the next start only has more to read.
pub(super) fn write(path: &Path, index: &Index) {
    if let Err(error) = try_write(path, index) {
        tracing::warn!(path = %path.display(), %error, "the start-up index cannot be written");
    }
}

fn try_write(path: &Path, index: &Index) -> io::Result<()> {
    let body = bincode::serde::encode_to_vec(index, bincode::config::standard())
        .map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(MAGIC)?;
    file.write_all(&FORMAT.to_le_bytes())?;
    file.write_all(&checksum(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// FNV-1a over 64 bits: finds a torn or damaged file; it is no defence against forgery, and the
/// file is only a cache. Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        assert_eq!(read(&path), None);

        let index = Index { position: 7, ..Index::default() };
        write(&path, &index);
        assert_eq!(read(&path), Some(index));

        let whole = fs::read(&path).unwrap();
        for spoilt in [0, 9, 13, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[spoilt] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path), None, "byte {spoilt} was changed");
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(read(&path), None, "the file was cut");
    }
}
