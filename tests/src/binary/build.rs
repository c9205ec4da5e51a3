//! Builds the binary once per test process, with the profile and the target directory that the
//! test itself was built with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The built binary.
pub(super) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    // <target dir>/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).expect("a test lies in a target directory");
    let target = profile.parent().expect("a test lies in a target directory");
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(env!("CARGO"));
    // Cargo describes this package to its tests; build scripts would take that for a change of
    // theirs.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        }) {
            command.env_remove(name);
        }
    }
    command
        .args(["build", "--package", "spark-cli", "--message-format", "json-render-diagnostics"])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit());
    let built = command.output().expect("cargo starts");
    assert!(built.status.success(), "the binary does not build");
    let told = String::from_utf8_lossy(&built.stdout);
    let executable = told.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.expect("cargo names the binary it built")
}
