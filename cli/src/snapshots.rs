//! What the program writes, as reviewed files in `snapshots/`. Tests only.

use std::path::PathBuf;

/// Compares a text with its file. With `UPDATE_SNAPSHOTS=1` the file is written instead, for the
/// review of the difference.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, was)) in text.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(
            is,
            was,
            "{name} differs in line {}; UPDATE_SNAPSHOTS=1 takes it over",
            number + 1
        );
    }
    let (is, was) = (text.lines().count(), reviewed.lines().count());
    assert_eq!(is, was, "{name} has another length; UPDATE_SNAPSHOTS=1 takes it over");
}
