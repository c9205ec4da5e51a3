//! `automagik db`: the files of the data directory. The original's verbs for its database, for a log
//! and read models that need no database to be set up.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::common::ConsentArgs;
use crate::args::Global;
use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;

mod backup;
mod clear;
mod files;
mod manifest;
mod restore;
mod upgrade;

pub(crate) use files::free_bytes;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik db status
  automagik db backup /backups/spark-monday      while the server runs
  automagik db restore /backups/spark-monday
The event log (events.db) is everything; read models (reads.db) and index.bin
are made from it. There is no schema to migrate: each version reads what
earlier ones wrote.";

/// What to do with the files.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Make the data directory, its key and an empty log
    #[command(after_help = "Examples:
  automagik db init
  automagik db init --data-dir /var/lib/spark
`automagik up` does the same at its first start; this is for whoever wants the
directory, or the API key, before. What exists is left as it is.")]
    Init,
    /// Files, sizes, versions and positions
    #[command(after_help = "Examples:
  automagik db status
  automagik db status -o json
It reads the files themselves; a server may run over them.")]
    Status,
    /// Bring the files to this program's version
    #[command(
        alias = "migrate",
        after_help = "Examples:
  automagik db upgrade
  automagik db migrate
`automagik up` does the same at its start. The log is opened and closed; read
models of another version are built anew. Not while a server runs."
    )]
    Upgrade(Upgrade),
    /// There is no way back but a backup; this says so
    #[command(after_help = "Examples:
  automagik db restore /backups/before-the-upgrade --force
Events are never rewritten, so nothing can be turned back. Use the older program
with a backup that was made before.")]
    Downgrade(Downgrade),
    /// Throw away every source, flow, schedule and task, and their history
    Clear(Clear),
    /// A consistent copy of everything, also while a server runs
    Backup(Backup),
    /// Put a backup in place
    Restore(Restore),
}

/// Bring files up to date.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// A word that the original's `migrate` took.
    #[arg(short, long, hide = true)]
    message: Option<String>,
}

/// Ask for an older version.
#[derive(Debug, Args)]
pub(crate) struct Downgrade {
    /// A word that the original took.
    #[arg(hide = true)]
    revision: Option<String>,
}

/// Throw everything away.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik db clear --dry-run
  automagik db clear
Deletes the event log, what is made from it, and the sealing key. The API key
and the LangFlow of --with-langflow stay. Not while a server runs.")]
pub(crate) struct Clear {
    /// Name the files that would go, delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Make a backup.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik db backup /backups/spark-monday
  automagik db backup ./b --data-dir /var/lib/spark -o json
The directory holds the log as it is at one moment, the sealing key, the API
key, and backup.json with what each of them must be. It is checked before the
command ends. It holds keys: keep it where only you can read it.")]
pub(crate) struct Backup {
    /// A directory that does not exist yet, or is empty
    dir: PathBuf,
}

/// Restore a backup.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik db restore /backups/spark-monday --dry-run
  automagik db restore /backups/spark-monday
  automagik db restore /backups/spark-monday --force
Everything is checked against backup.json first. With --force, what is there is
moved into a folder of the data directory, not deleted. Not while a server runs.")]
pub(crate) struct Restore {
    /// The backup's directory
    dir: PathBuf,
    /// Check the backup only
    #[arg(long)]
    dry_run: bool,
    /// Also where there is a log already, which is moved aside
    #[arg(long)]
    force: bool,
}

/// The directory without a server, until the file is dropped.
fn alone(home: &Home) -> Result<std::fs::File> {
    super::up::lock::take(home).map_err(|error| {
        let Some(held) = error.downcast_ref::<Trouble>() else { return error };
        let dir = home.dir().display();
        let mut trouble = Trouble::new(held.exit, format!("a server runs over {dir}"))
            .because("this changes its files under it");
        trouble.why.extend(held.why.clone());
        let stop = held.next.iter().find(|line| line.contains("kill"));
        trouble.next.extend(stop.map(|line| line.replacen("or stop", "stop", 1)));
        trouble.into()
    })
}

/// Runs a command of the group.
pub(crate) async fn run(db: Db, global: &Global, out: &Out) -> Result<Exit> {
    let home = global.home();
    super::up::private_files();
    match db {
        Db::Init => files::init(&home, out).await,
        Db::Status => files::status(&home, out),
        Db::Upgrade(_) => upgrade::run(&home, out).await,
        Db::Downgrade(_) => {
            Err(Trouble::new(Exit::Conflict, "there is no way to an older version")
                .because(
                    "events are never rewritten, and an older program does not know newer ones",
                )
                .then("take a backup that was made before: automagik db restore DIR --force")
                .into())
        }
        Db::Clear(clear) => clear::run(&home, &clear, out),
        Db::Backup(backup) => backup::run(&home, &backup.dir, out),
        Db::Restore(restore) => restore::run(&home, &restore, out),
    }
}
