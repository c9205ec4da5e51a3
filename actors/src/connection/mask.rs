//! A key in what a server said, replaced by asterisks. Pure.

use spark_events::domain::component::MASK;

/// Keys from this length on are masked wherever they stand. A shorter one may be part of any word,
/// and so is masked only where it stands alone.
const UNMISTAKABLE_BYTES_MIN: usize = 8;

/// What a server said, without the key; `None` where the key is not in it.
pub(super) fn masked(said: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    if key.is_empty() {
        return None;
    }
    let mut masked = Vec::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = next(said, key, at) {
        masked.extend_from_slice(&said[kept..found]);
        masked.extend_from_slice(MASK.as_bytes());
        kept = found + key.len();
        at = kept;
    }
    if kept == 0 {
        return None;
    }
    masked.extend_from_slice(&said[kept..]);
    Some(masked)
}

/// Where the key stands next, from a place on.
fn next(said: &[u8], key: &[u8], from: usize) -> Option<usize> {
    let is_letter = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let stands_alone = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| said.get(before));
        !is_letter(before) && !is_letter(said.get(at + key.len()))
    };
    let mut windows = said.windows(key.len()).enumerate().skip(from);
    let found = windows.find(|(at, window)| {
        *window == key && (key.len() >= UNMISTAKABLE_BYTES_MIN || stands_alone(*at))
    });
    found.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &str, key: &str) -> Option<String> {
        masked(said.as_bytes(), key.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_key_is_masked_and_words_are_left_alone() {
        let table = [
            ("bad key sk-0123456789!", "sk-0123456789", Some("bad key ********!")),
            ("xsk-0123456789y", "sk-0123456789", Some("x********y")),
            ("sk-01234567sk-01234567", "sk-01234567", Some("****************")),
            ("Invalid API key", "k", None),
            ("Invalid API key k, not kk", "k", Some("Invalid API key ********, not kk")),
            ("k", "k", Some("********")),
            ("hunter2 is wrong", "hunter2", Some("******** is wrong")),
            ("hunter22 is wrong", "hunter2", None),
            ("nothing", "sk-0123456789", None),
            ("", "k", None),
            ("k", "", None),
        ];
        for (said, key, expected) in table {
            assert_eq!(read(said, key).as_deref(), expected, "{said} without {key}");
        }
    }
}
