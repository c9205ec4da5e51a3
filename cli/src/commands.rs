//! The commands: one file a group, each with its arguments beside what it does.

use anyhow::Result;
use serde_json::Value;

use crate::args::{Command, Global, Parsed};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::Out;

pub(crate) mod alert;
pub(crate) mod api;
pub(crate) mod common;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod doctor;
pub(crate) mod flow;
pub(crate) mod history;
pub(crate) mod instant;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod projection;
pub(crate) mod schedule;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod up;
pub(crate) mod watch;
pub(crate) mod why;
pub(crate) mod worker;

/// What a command needs to talk to the server and to the user.
pub(crate) struct Context<'a> {
    /// The server.
    pub(crate) client: Client,
    /// The user.
    pub(crate) out: &'a Out,
}

/// Runs a command to its end.
pub(crate) async fn run(parsed: Parsed, out: &Out) -> Result<Exit> {
    let context = || context(&parsed.global, out);
    match parsed.command {
        Command::Up(up) => up::run(up, &parsed.global, out).await,
        Command::Config(config) => config::run(config, &parsed.global, out),
        Command::Completions(completions) => completions::run(&completions, out),
        Command::Source(source) => source::run(source, &context()?).await,
        Command::Flow(flow) => flow::run(flow, &context()?).await,
        Command::Schedule(schedule) => schedule::run(schedule, &context()?).await,
        Command::Task(task) => task::run(task, &context()?).await,
        Command::History(history) => history::run(history, &context()?).await,
        Command::Why(why) => why::run(why, &context()?).await,
        Command::Worker(worker) => worker::run(worker, &parsed.global, out).await,
        Command::Key(key) => key::run(key, &context()?).await,
        Command::Projection(one) => projection::run(one, &context()?).await,
        Command::Alert(alert) => alert::run(alert, &context()?).await,
        Command::Api(api) => api::run(*api, &parsed.global, out).await,
        Command::Doctor => doctor::run(&parsed.global, out).await,
        Command::Db(db) => db::run(db, &parsed.global, out).await,
        Command::Log(log) => log::run(log, &parsed.global, out).await,
        Command::Status => status::run(&context()?).await,
    }
}

/// The server that is meant, and the user.
pub(crate) fn context<'a>(global: &Global, out: &'a Out) -> Result<Context<'a>> {
    Ok(Context { client: Client::new(global.target()?)?, out })
}

/// The body of a request: only what was given.
#[derive(Clone, Default)]
pub(crate) struct Body(serde_json::Map<String, Value>);

impl Body {
    /// Adds a value where there is one.
    pub(crate) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Takes a value out again.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// Whether nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON.
    pub(crate) fn json(self) -> Value {
        Value::Object(self.0)
    }
}
