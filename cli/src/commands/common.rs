//! What several commands share: where the input comes from, and the question before something is
//! destroyed.

use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use spark_events::limits::TASK_INPUT_BYTES_MAX;

use crate::exit::{Exit, Trouble};
use crate::output::{Format, Out, complain};
use crate::tweaks::{self, Tweak};

/// Refuses to have a secret made that is told once, where the answer is shown to nobody.
///
/// # Errors
/// A usage error under `-o none`.
pub(crate) fn shows_secrets(out: &Out) -> Result<(), Trouble> {
    if out.format != Format::None {
        return Ok(());
    }
    Err(Trouble::usage("the secret would be lost")
        .because("it is shown this once, and with -o none nothing is shown")
        .then("take it from another form: -o json"))
}

/// The input of a task.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InputArgs {
    /// The input text; `-` reads standard input
    #[arg(
        short,
        long,
        value_name = "TEXT",
        conflicts_with = "input_file",
        allow_hyphen_values = true
    )]
    pub(crate) input: Option<String>,
    /// A file with the input text; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
}

impl InputArgs {
    /// The text, if any was given.
    pub(crate) fn read(&self) -> Result<Option<String>> {
        let file = self.input_file.as_deref();
        if self.input.as_deref() == Some("-") || file.is_some_and(|file| file.as_os_str() == "-") {
            return limited("standard input", std::io::stdin().lock()).map(Some);
        }
        let Some(path) = file else {
            return Ok(self.input.clone());
        };
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| {
            Trouble::usage(format!("cannot open {name}"))
                .because(error.to_string())
                .then("name a file that can be read, or give the text: --input TEXT")
        })?;
        limited(&name, file).map(Some)
    }
}

/// The whole of a text, within the bound of an input.
fn limited(name: &str, from: impl Read) -> Result<String> {
    let mut text = String::new();
    let most = u64::try_from(TASK_INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    from.take(most.saturating_add(1)).read_to_string(&mut text).map_err(|error| {
        Trouble::usage(format!("cannot read {name}"))
            .because(error.to_string())
            .then("the input must be UTF-8 text")
    })?;
    if text.len() > TASK_INPUT_BYTES_MAX {
        return Err(Trouble::usage(format!("{name} is too long for an input"))
            .because(format!("an input has at most {TASK_INPUT_BYTES_MAX} bytes"))
            .then("put the data where the flow can fetch it, and give its address")
            .into());
    }
    Ok(text)
}

/// Values set over the flow's own.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TweakArgs {
    /// Sets a field of a component for this only; may be repeated
    #[arg(long = "tweak", value_name = "COMPONENT.FIELD=VALUE", value_parser = tweaks::parse)]
    pub(crate) tweaks: Vec<Tweak>,
}

impl TweakArgs {
    /// As the API wants them.
    pub(crate) fn json(&self) -> Result<Option<serde_json::Value>> {
        Ok(tweaks::to_json(&self.tweaks)?)
    }
}

/// The consent to destroy something.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConsentArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

impl ConsentArgs {
    /// Whether the consent was given, or can be asked for.
    pub(crate) fn is_possible(self) -> bool {
        self.yes || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
    }

    /// Asks on a terminal for the name; without one, `--yes` is needed.
    pub(crate) fn ask(self, what: &str, name: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let refused =
            |why: &str| Trouble::usage(format!("{what} {name} was not touched")).because(why);
        if !self.is_possible() {
            let why = "this needs a consent, and there is no terminal to ask on";
            return Err(refused(why).then("add --yes").into());
        }
        complain(&format!("Type the name of the {what} to go on: {name}"));
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        if line.trim() != name {
            let mut trouble = refused("another name was typed").then("run it again, or add --yes");
            trouble.exit = Exit::Failed;
            return Err(trouble.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_comes_from_the_option_or_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input.txt");
        std::fs::write(&path, "from a file\n").unwrap();
        let given = InputArgs { input: Some("hello".into()), input_file: None };
        assert_eq!(given.read().unwrap().as_deref(), Some("hello"));
        let file = InputArgs { input: None, input_file: Some(path) };
        assert_eq!(file.read().unwrap().as_deref(), Some("from a file\n"));
        assert_eq!(InputArgs::default().read().unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_usage_error() {
        let missing = InputArgs { input: None, input_file: Some("/nowhere/at/all".into()) };
        let error = missing.read().unwrap_err();
        let trouble = error.downcast_ref::<Trouble>().unwrap();
        assert_eq!(trouble.exit, Exit::Usage);
        assert!(trouble.what.contains("/nowhere/at/all"));
    }

    #[test]
    fn an_input_over_the_bound_is_refused() {
        let long = vec![b'x'; TASK_INPUT_BYTES_MAX + 1];
        assert!(limited("it", long.as_slice()).unwrap_err().to_string().contains("too long"));
        let fits = vec![b'x'; TASK_INPUT_BYTES_MAX];
        assert_eq!(limited("it", fits.as_slice()).unwrap().len(), TASK_INPUT_BYTES_MAX);
        assert!(limited("it", [0xff, 0xfe].as_slice()).is_err());
    }

    #[test]
    fn consent_given_is_not_asked_for() {
        assert!(ConsentArgs { yes: true }.ask("schedule", "nightly").is_ok());
    }
}
