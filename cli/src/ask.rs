//! Questions to a person. Asked on standard error, answered on standard input, and only where both
//! are a terminal. Never decides what is asked.

use std::io::{BufRead, IsTerminal, Write};

use crate::exit::{Exit, Trouble};
use crate::output::text;

/// How often a question is repeated before the command gives up.
const TRIES: usize = 3;

/// Whether there is somebody who could answer.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// A value that cannot be left out; a secret one is not shown while it is typed.
///
/// # Errors
/// Where nobody answers.
pub(crate) fn value(question: &str, secret: bool) -> anyhow::Result<String> {
    for _ in 0..TRIES {
        let answer = if secret { hidden(question)? } else { line(question)? };
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
    Err(unanswered().into())
}

/// A value that is not shown while it is typed, and may be empty.
///
/// # Errors
/// Where nobody answers.
pub(crate) fn secret(question: &str) -> anyhow::Result<String> {
    hidden(question)
}

/// A value with another one that is meant by an empty answer.
///
/// # Errors
/// Where nobody answers.
pub(crate) fn value_or(question: &str, usual: &str) -> anyhow::Result<String> {
    let asked =
        if usual.is_empty() { question.to_owned() } else { format!("{question} [{usual}]") };
    let answer = line(&asked)?;
    Ok(if answer.is_empty() { usual.to_owned() } else { answer })
}

/// Asks until an answer can be used.
///
/// # Errors
/// Where nobody answers, or no answer can be used.
pub(crate) fn until<T>(
    question: &str,
    mut take: impl FnMut(&str) -> Result<T, String>,
) -> anyhow::Result<T> {
    let mut last = unanswered();
    for _ in 0..TRIES {
        match take(&line(question)?) {
            Ok(value) => return Ok(value),
            Err(why) => {
                tell(&format!("  {why}\n"));
                last = unanswered().because(why);
            }
        }
    }
    Err(last.into())
}

/// One of several, by its number or its text.
///
/// # Errors
/// As [`until`].
pub(crate) fn choice(question: &str, of: &[String]) -> anyhow::Result<usize> {
    for (index, one) in of.iter().enumerate() {
        tell(&format!("  {:>3}  {}\n", index + 1, text::one_line(one)));
    }
    until(&format!("{question} (1 to {})", of.len()), |answer| {
        let by_number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let by_text = || of.iter().position(|one| one.split("  ").next() == Some(answer));
        let found = by_number.filter(|index| *index < of.len()).or_else(by_text);
        found.ok_or_else(|| format!("{answer:?} is none of them"))
    })
}

/// Yes or no; an empty answer is yes.
///
/// # Errors
/// As [`until`].
pub(crate) fn is_wanted(question: &str) -> anyhow::Result<bool> {
    until(&format!("{question} [Y/n]"), |answer| match answer.to_lowercase().as_str() {
        "" | "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("answer yes or no".to_owned()),
    })
}

/// A command that was called off by an answer.
pub(crate) fn called_off() -> Trouble {
    Trouble::new(Exit::Interrupted, "called off; nothing was done")
}

fn unanswered() -> Trouble {
    Trouble::new(Exit::Failed, "there was no answer; nothing was done")
        .then("give what is needed on the command line: --help shows how")
}

/// Shows something between two questions.
pub(crate) fn tell(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nothing can be done where that fails.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// One line as the terminal gives it.
fn line(question: &str) -> anyhow::Result<String> {
    tell(&format!("{question}: "));
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        tell("\n");
        return Err(unanswered().into());
    }
    Ok(line.trim().to_owned())
}

#[cfg(not(unix))]
fn hidden(question: &str) -> anyhow::Result<String> {
    line(&format!("{question} (it will be seen)"))
}

/// One line that is not shown. The terminal's own keys are ours meanwhile, so that an interrupt
/// cannot leave it silent.
#[cfg(unix)]
fn hidden(question: &str) -> anyhow::Result<String> {
    use std::io::Read;

    // Before the question is seen: who types at once must not be shown either.
    let quiet = Quiet::new()?;
    tell(&format!("{question} (not shown): "));
    let mut typed: Vec<u8> = Vec::new();
    let mut bytes = std::io::stdin().lock().bytes();
    let ended = loop {
        match bytes.next().transpose()? {
            None | Some(4) => break Err(unanswered()),
            Some(b'\r' | b'\n') => break Ok(()),
            Some(3) => break Err(called_off()),
            // Backspace takes a character, which may be several bytes.
            Some(8 | 127) => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            Some(21) => typed.clear(),
            Some(byte) => typed.push(byte),
        }
    };
    drop(quiet);
    tell("\n");
    ended?;
    let text = String::from_utf8(typed).map_err(|_| Trouble::usage("that is not text"))?;
    Ok(text.trim().to_owned())
}

/// A terminal that shows nothing and hands over every key, until this is dropped.
#[cfg(unix)]
struct Quiet(rustix::termios::Termios);

#[cfg(unix)]
impl Quiet {
    fn new() -> std::io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Quiet {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};

        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
