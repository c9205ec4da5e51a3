//! `automagik db backup`: a copy of one moment, made beside a server that goes on.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use spark_events::log::embedded::LogFile;
use spark_events::{Clock, LogError, SystemClock};

use super::manifest::{Entry, FILE, FORMAT, LOG, Manifest};
use crate::exit::{Exit, Trouble};
use crate::home::{Home, sync_parent, write_private};
use crate::output::Out;
use crate::views;

/// How often a copy is made again because the sealing key was replaced meanwhile.
const TRIES: u32 = 3;

/// Makes a backup, and checks it.
pub(super) fn run(home: &Home, to: &Path, out: &Out) -> Result<Exit> {
    if !home.events().exists() {
        return Err(Trouble::new(
            Exit::NotFound,
            format!("there is no event log in {}", home.dir().display()),
        )
        .then("name the data directory: --data-dir DIR")
        .into());
    }
    let (to, part) = names_of(to)?;
    let is_taken = match std::fs::read_dir(&to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => to.exists(),
    };
    if is_taken {
        return Err(Trouble::new(
            Exit::Conflict,
            format!("{} exists and is not empty", to.display()),
        )
        .then("name a directory that does not exist yet")
        .into());
    }
    let made = make(home, &part).and_then(|manifest| {
        // An empty directory is replaced by the rename; on other systems it has to go before.
        let _ = std::fs::remove_dir(&to);
        std::fs::rename(&part, &to)
            .and_then(|()| sync_parent(&to))
            .with_context(|| format!("cannot make {}", to.display()))?;
        Ok(manifest)
    });
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&part);
            return Err(error);
        }
    };
    let done = json!({ "dir": to.display().to_string(), "backup": manifest });
    out.data(&done, |look| views::db::backup(&done, look))?;
    out.note("checked; it holds keys, so keep it where only you can read it");
    Ok(Exit::Ok)
}

/// The directory, and beside it the one that it is until it is whole. Whatever is typed behind its
/// name, such as a slash, is left out.
fn names_of(to: &Path) -> Result<(PathBuf, PathBuf), Trouble> {
    let Some(name) = to.file_name() else {
        return Err(Trouble::usage(format!("{} is no name of a directory", to.display()))
            .because("a backup is made beside it first and then gets its name")
            .then("name a directory that does not exist yet, such as ./spark-monday"));
    };
    let mut part = name.to_owned();
    part.push(".part");
    Ok((to.with_file_name(name), to.with_file_name(part)))
}

fn make(home: &Home, part: &Path) -> Result<Manifest> {
    let cannot = || format!("cannot make {}", part.display());
    for _ in 0..TRIES {
        // Left by a backup that broke off.
        if part.exists() {
            std::fs::remove_dir_all(part).with_context(cannot)?;
        }
        std::fs::create_dir_all(part).with_context(cannot)?;
        crate::home::private(part, 0o700).with_context(cannot)?;
        let keys = |home: &Home| -> Vec<(PathBuf, Option<Vec<u8>>)> {
            let files = home.seal_keys().into_iter().chain([home.key_file()]);
            files.map(|file| (file.clone(), std::fs::read(file).ok())).collect()
        };
        let before = keys(home);
        let failed = |error: LogError| {
            Trouble::new(Exit::Failed, "the backup could not be made").because(error.to_string())
        };
        let source = LogFile::open(&home.events()).map_err(failed)?;
        let at_least = source.facts().map_err(failed)?;
        source.copy_to(&part.join(LOG)).map_err(failed)?;
        // Keys that were replaced while the log was copied may not open what stands in it.
        if keys(home) != before {
            continue;
        }
        let facts = LogFile::open(&part.join(LOG)).and_then(|copy| copy.facts()).map_err(failed)?;
        if facts.events < at_least.events || facts.head < at_least.head {
            let (is, was) = (facts.events, at_least.events);
            return Err(Trouble::new(Exit::Failed, "the backup could not be made")
                .because(format!("the copy has {is} events, and the log had {was} before"))
                .into());
        }
        crate::home::private(&part.join(LOG), 0o600).with_context(cannot)?;
        let mut names = vec![LOG.to_owned()];
        for (file, bytes) in before {
            let (Some(bytes), Some(name)) = (bytes, file.file_name()) else { continue };
            write_private(&part.join(name), &bytes)?;
            names.push(name.to_string_lossy().into_owned());
        }
        let files = names.iter().map(|name| Entry::of(part, name)).collect::<Result<_>>()?;
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: SystemClock.now(),
            events: facts.events,
            head: facts.head,
            files,
        };
        write_private(&part.join(FILE), serde_json::to_string_pretty(&manifest)? + "\n")?;
        return Manifest::checked(part);
    }
    Err(Trouble::new(Exit::Failed, "the backup could not be made")
        .because("the sealing key was replaced while it was made, again and again")
        .then("try again when nobody changes keys")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unfinished_backup_lies_beside_the_finished_one() {
        for (typed, to, part) in [
            ("/backups/monday", "/backups/monday", "/backups/monday.part"),
            ("/backups/monday/", "/backups/monday", "/backups/monday.part"),
            ("monday//", "monday", "monday.part"),
            ("./monday/.", "./monday", "./monday.part"),
            ("../a.b", "../a.b", "../a.b.part"),
        ] {
            let found = names_of(Path::new(typed)).unwrap();
            assert_eq!(found, (PathBuf::from(to), PathBuf::from(part)), "{typed}");
            assert!(!found.0.as_os_str().to_string_lossy().ends_with('/'), "{typed}");
        }
        for none in [".", "..", "/", "a/..", ""] {
            assert_eq!(names_of(Path::new(none)).unwrap_err().exit, Exit::Usage, "{none}");
        }
    }
}
