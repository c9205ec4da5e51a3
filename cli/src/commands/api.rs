//! `automagik api`: the server without a worker in it, under the name that it had in the original.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::up::{self, Up};
use crate::args::Global;
use crate::exit::Exit;
use crate::output::Out;

/// Shown below the command's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik api start --host 0.0.0.0 --port 8888
  automagik worker start --server http://127.0.0.1:8888
It is `automagik up --no-worker`: it plans, records and answers; tasks run in
workers of their own. `automagik up` is both in one process.";

/// The group without the options that say whether there is a worker in it: they are taken, because
/// they are those of `up`, but there is nothing to choose.
pub(crate) fn without_worker_options(group: clap::Command) -> clap::Command {
    let hidden = |command: clap::Command| {
        let hide = |arg: clap::Arg| arg.hide(true);
        command.mut_arg("slots", hide).mut_arg("no_worker", hide)
    };
    hidden(group).mut_subcommands(hidden)
}

/// Serve without a worker.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Api {
    #[command(subcommand)]
    start: Option<Start>,
    #[command(flatten)]
    options: Options,
}

/// The verb, which may be left out.
#[derive(Debug, Subcommand)]
enum Start {
    /// Serve without a worker
    #[command(after_help = EXAMPLES)]
    Start(Options),
}

/// The options of `up`.
#[derive(Debug, Args)]
struct Options {
    #[command(flatten)]
    up: Up,
    /// A word of the original.
    #[arg(long, hide = true)]
    reload: bool,
}

/// Starts the server, and ends it in order when it is told to.
pub(crate) async fn run(api: Api, global: &Global, out: &Out) -> Result<Exit> {
    let options = match api.start {
        Some(Start::Start(options)) => options,
        None => api.options,
    };
    if options.reload {
        out.note("there is nothing to reload: a program does not change while it runs");
    }
    up::run(options.up.without_worker(), global, out).await
}
