//! `automagik db restore`: a backup becomes the data directory. What was there is moved aside.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;
use spark_events::{Clock, SystemClock};

use super::Restore;
use super::manifest::{Entry, Manifest};
use crate::exit::{Exit, Trouble};
use crate::home::{Home, sync_dir};
use crate::output::Out;
use crate::views;

/// Checks the backup, and puts it in place.
pub(super) fn run(home: &Home, restore: &Restore, out: &Out) -> Result<Exit> {
    let manifest = Manifest::checked(&restore.dir)?;
    let mut done = json!({
        "dir": home.dir().display().to_string(),
        "backup": manifest,
        "moved_to": null,
        "dry_run": restore.dry_run,
    });
    if restore.dry_run {
        out.data(&done, |look| views::db::restored(&done, look))?;
        out.note("dry run: the backup is as it should be, and nothing was changed");
        return Ok(Exit::Ok);
    }
    home.create()?;
    let _lock = super::alone(home)?;
    if home.events().exists() && !restore.force {
        return Err(Trouble::new(
            Exit::Conflict,
            format!("there is an event log in {}", home.dir().display()),
        )
        .because("a restore would put another one in its place")
        .then("add --force, which moves what is there into a folder beside it")
        .then("or name another directory: --data-dir DIR")
        .into());
    }
    let stamp = SystemClock.now().format("%Y%m%d-%H%M%S").to_string();
    let broken = home.broken_restores();
    let new = home.restoring(&stamp);
    copy(&restore.dir, &new, &manifest)?;
    // As long as this folder holds anything, no server starts here.
    sync_dir(&new).and_then(|()| sync_dir(home.dir())).with_context(|| cannot_keep(&new))?;
    let moved = aside(home, &home.dir().join(format!("before-restore-{stamp}")))?;
    // The keys come before the log: a log without its keys is worse than keys without a log.
    for file in manifest.files.iter().rev() {
        let to = home.dir().join(&file.name);
        std::fs::rename(new.join(&file.name), &to).with_context(|| {
            format!("cannot put {} in its place; the rest lies in {}", file.name, new.display())
        })?;
    }
    sync_dir(home.dir()).with_context(|| cannot_keep(home.dir()))?;
    let _ = std::fs::remove_dir(&new);
    // Copies of backups that earlier restores did not put in place.
    for left in broken {
        let cannot = || format!("cannot delete {}", left.display());
        std::fs::remove_dir_all(&left).with_context(cannot)?;
    }
    done["moved_to"] = json!(moved.as_ref().map(|dir| dir.display().to_string()));
    out.data(&done, |look| views::db::restored(&done, look))?;
    if let Some(moved) = moved {
        out.note(&format!("what was there lies in {}", moved.display()));
    }
    out.note("start the server: automagik up; it builds its read models anew");
    Ok(Exit::Ok)
}

fn cannot_keep(dir: &Path) -> String {
    format!("cannot bring {} onto the disk", dir.display())
}

/// Copies the backup onto the disk of the data directory, and checks what arrived.
fn copy(from: &Path, to: &Path, manifest: &Manifest) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for file in &manifest.files {
        let path = to.join(&file.name);
        let cannot = || format!("cannot write {}", path.display());
        std::fs::copy(from.join(&file.name), &path).with_context(cannot)?;
        crate::home::private(&path, 0o600).with_context(cannot)?;
        std::fs::File::open(&path).and_then(|file| file.sync_all()).with_context(cannot)?;
        if Entry::of(to, &file.name)? != *file {
            return Err(Trouble::new(Exit::Failed, format!("{} did not arrive whole", file.name))
                .then("look at the disk, and try again; nothing was changed")
                .into());
        }
    }
    Ok(())
}

/// Moves the log, its keys and what is made from it into a folder; `None` where there is nothing.
fn aside(home: &Home, folder: &Path) -> Result<Option<PathBuf>> {
    // What is made from the log is only thrown away.
    let mut derived = Home::with_companions(&home.reads());
    derived.extend(["index.bin", "alerts.bin"].map(|name| home.dir().join(name)));
    for file in derived {
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("cannot delete {}", file.display()));
        }
    }
    let mut files = Home::with_companions(&home.events());
    files.extend(home.seal_keys());
    files.push(home.key_file());
    files.retain(|file| file.exists());
    if files.is_empty() {
        return Ok(None);
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in files {
        let Some(name) = file.file_name() else { continue };
        std::fs::rename(&file, folder.join(name))
            .with_context(|| format!("cannot move {}", file.display()))?;
    }
    sync_dir(folder).and_then(|()| sync_dir(home.dir())).with_context(|| cannot_keep(folder))?;
    Ok(Some(folder.to_owned()))
}
