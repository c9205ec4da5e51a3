//! The binary `automagik`: starts the server (`up`), and is otherwise a client of its REST API.
//! Owns the process: arguments, runtime, exit code. No rule of the product lives here.

use std::process::ExitCode;

mod args;
mod ask;
mod client;
mod commands;
mod exit;
mod home;
mod langflow_server;
mod lock;
mod logs;
mod output;
mod settings;
#[cfg(test)]
mod snapshots;
mod tweaks;
mod views;
mod wait;
mod worker_process;

use exit::{Exit, Trouble};

fn main() -> ExitCode {
    // Before the command line, which takes what it lacks from there.
    let dotenv = settings::dotenv::load();
    let mut parsed = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        // Help and version are answers on standard output, everything else is a usage error:
        // clap knows which, and prints it in its own form.
        Err(error) => {
            if let Some(trouble) = args::meant(std::env::args_os(), &error) {
                output::Out::plain().trouble(&trouble);
                return ExitCode::from(trouble.exit.code());
            }
            let printed = match args::in_words(&error) {
                Some(text) => {
                    output::complain(text.trim_end());
                    true
                }
                None => error.print().is_ok(),
            };
            let exit = if error.use_stderr() || !printed { Exit::Usage } else { Exit::Ok };
            return ExitCode::from(exit.code());
        }
    };
    let settled = match dotenv {
        Ok(notes) => parsed.global.settle(&parsed.command).map(|()| notes),
        Err(trouble) => Err(trouble),
    };
    let out = parsed.global.out();
    let ready = match settled {
        Ok(notes) => {
            notes.iter().for_each(|note| out.note(note));
            Ok(())
        }
        Err(_) if parsed.command.needs_no_settings() => Ok(()),
        Err(trouble) => Err(trouble.into()),
    };
    let exit = match ready.and_then(|()| run(parsed, &out)) {
        Ok(exit) => exit,
        Err(error) => match exit::trouble_of(&error) {
            Some(trouble) => {
                out.trouble(&trouble);
                trouble.exit
            }
            None => Exit::Ok,
        },
    };
    ExitCode::from(exit.code())
}

fn run(parsed: args::Parsed, out: &output::Out) -> anyhow::Result<Exit> {
    // The TLS library wants its cryptography named once per process. Naming it twice is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = match parsed.command {
        args::Command::Up(_)
        | args::Command::Api(_)
        | args::Command::Worker(commands::worker::Worker::Start(_)) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(|error| {
        Trouble::new(Exit::Failed, "cannot start the runtime").because(error.to_string())
    })?;
    runtime.block_on(Box::pin(commands::run(parsed, out)))
}
