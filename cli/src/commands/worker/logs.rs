//! `automagik worker logs`: the log file of a worker in the background on this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use spark_events::limits::{WORKER_LOG_BYTES_MAX, WORKER_LOG_LOOK_MS};

use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;
use crate::worker_process::state;

/// Read a worker's log.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The worker's name; needed where several have a log here
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Lines from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
    /// The original's word for what is done anyway: the end is shown, and not the whole.
    #[arg(short, long, hide = true)]
    tail: bool,
    /// Go on as it is written, until ctrl-c
    #[arg(short, long)]
    follow: bool,
}

/// Shows its end, and what comes.
pub(super) async fn run(logs: &Logs, out: &Out, home: &Home) -> Result<Exit> {
    let name = name(logs, home)?;
    let path = home.worker_log(&name);
    let cannot = || format!("cannot read the log {}", path.display());
    let mut file = File::open(&path).with_context(cannot)?;
    let text = whole(&mut file).with_context(cannot)?;
    out.raw(last(&text, logs.lines))?;
    if !logs.follow {
        return Ok(Exit::Ok);
    }
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = &mut interrupted => return Ok(Exit::Ok),
            () = tokio::time::sleep(Duration::from_millis(WORKER_LOG_LOOK_MS)) => {}
        }
        if was_cut(&mut file, &path) {
            file = File::open(&path).with_context(cannot)?;
        }
        let more = whole(&mut file).with_context(cannot)?;
        if !more.is_empty() {
            out.raw(&more)?;
        }
    }
}

/// The last lines of a text, as they are.
fn last(text: &str, lines: usize) -> &str {
    let from = text.split_inclusive('\n').rev().take(lines).map(str::len).sum::<usize>();
    &text[text.len() - from..]
}

/// What is there from here on, within the bound of such a log.
fn whole(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    let at = file.stream_position()?;
    if length.saturating_sub(at) > WORKER_LOG_BYTES_MAX {
        file.seek(SeekFrom::Start(length - WORKER_LOG_BYTES_MAX))?;
    }
    let mut bytes = Vec::new();
    file.take(WORKER_LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the file was begun anew, or another one has its place.
fn was_cut(file: &mut File, path: &Path) -> bool {
    let at = file.stream_position().unwrap_or(0);
    std::fs::metadata(path).is_ok_and(|meta| meta.len() < at)
}

/// The worker that is meant: the named one, or the only one that has a log here.
fn name(logs: &Logs, home: &Home) -> Result<String> {
    let mut names = state::names(home);
    names.retain(|name| home.worker_log(name).exists());
    let elsewhere = "a worker that was started without --daemon writes to its own terminal, and one on \
                     another host has its log there: run this command on that host";
    match &logs.name {
        Some(name) if names.contains(name) => Ok(name.clone()),
        Some(name) => {
            let mut trouble =
                Trouble::new(Exit::NotFound, format!("there is no log of a worker {name} here"))
                    .because(elsewhere);
            if !names.is_empty() {
                trouble = trouble.then(format!("there are logs of: {}", names.join(", ")));
            }
            Err(trouble.then("where it runs: automagik worker list").into())
        }
        None if names.len() == 1 => Ok(names.remove(0)),
        None if names.is_empty() => {
            Err(Trouble::new(Exit::NotFound, "there is no log of a worker on this machine")
                .because(elsewhere)
                .then("the server's own worker logs with the server")
                .into())
        }
        None => Err(Trouble::usage("several workers have a log on this machine")
            .because(format!("they are {}", names.join(", ")))
            .then("name one: automagik worker logs NAME")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_as_they_are() {
        for (lines, shown) in [(0, ""), (1, "c\n"), (2, "b\nc\n"), (9, "a\nb\nc\n")] {
            assert_eq!(last("a\nb\nc\n", lines), shown);
        }
        assert_eq!(last("a\nb", 1), "b", "a line that is still being written");
        assert_eq!(last("", 3), "");
    }

    #[test]
    fn a_log_that_is_begun_anew_is_followed_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let mut file = File::open(&path).unwrap();
        assert_eq!(whole(&mut file).unwrap(), "one\ntwo\n");
        assert_eq!(whole(&mut file).unwrap(), "");
        assert!(!was_cut(&mut file, &path));
        std::fs::write(&path, "x\n").unwrap();
        assert!(was_cut(&mut file, &path));
    }
}
