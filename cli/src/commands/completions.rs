//! `automagik completions`: a script for a shell.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output::Out;

/// Which script to write.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik completions bash > /etc/bash_completion.d/automagik
  automagik completions zsh > ~/.zfunc/_automagik
  automagik completions fish > ~/.config/fish/completions/automagik.fish")]
pub(crate) struct Completions {
    /// bash, zsh or fish
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

/// Writes the script.
pub(crate) fn run(completions: &Completions, out: &Out) -> Result<Exit> {
    let shell = match completions.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::args::command(), "automagik", &mut script);
    out.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
