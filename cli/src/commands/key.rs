//! `automagik key`: who else may talk to the server, and what they may do.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::common::{ConsentArgs, shows_secrets};
use super::{Body, Context};
use crate::client::rows;
use crate::exit::Exit;
use crate::views::{self, text_or_dash};

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik key create ci --role operator
  automagik key list
  automagik key revoke ci --reason \"left the team\"
viewer reads; operator does everything with flows, schedules and tasks; worker
takes work and reports it; admin does everything.";

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; its secret is shown this once
    Create(Create),
    /// All keys but the one in the data directory
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  automagik key list
  automagik key list --role admin --revoked"
    )]
    List(List),
    /// One key: its role, its last use, who made it
    #[command(alias = "view")]
    Show(One),
    /// Take a key back: requests with it are refused from now on
    #[command(alias = "delete")]
    Revoke(Revoke),
    /// Whose key this is that the command sends, and what it may do
    #[command(after_help = "Examples:
  automagik key whoami
  automagik key whoami --api-key sk-spark-...")]
    Whoami,
}

/// Make a key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik key create ci --role operator
  automagik key create board --role viewer -o json
The secret is shown this once. Send it as the header X-API-Key, or give it to
the command line as AUTOMAGIK_API_KEY.")]
pub(crate) struct Create {
    /// Its name, which stands in the history of whatever is done with it
    name: String,
    /// What its holder may do: viewer, operator, worker or admin
    #[arg(short, long, value_parser = ROLES, hide_possible_values = true)]
    role: String,
}

/// Choose keys.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this role: viewer, operator, worker or admin
    #[arg(short, long, value_parser = ROLES, hide_possible_values = true)]
    role: Option<String>,
    /// Revoked ones too
    #[arg(long)]
    revoked: bool,
}

/// Name one key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik key show ci")]
pub(crate) struct One {
    /// Its name, its id, or the start of its id
    key: String,
}

/// Take a key back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik key revoke ci --reason \"left the team\"
  automagik key revoke ci --yes
Its history stays, and its name is free again.")]
pub(crate) struct Revoke {
    /// Its name, its id, or the start of its id
    key: String,
    #[command(flatten)]
    consent: ConsentArgs,
}

const ROLES: [&str; 4] = ["viewer", "operator", "worker", "admin"];

/// Runs a command of the group.
pub(crate) async fn run(key: Key, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match key {
        Key::Create(create) => {
            shows_secrets(out)?;
            let body = Body::default().with("name", Some(create.name));
            let row = client.post(&["keys"], body.with("role", Some(create.role)).json()).await?;
            out.data(&row, |look| views::key::show(&row, look))?;
            let name = text_or_dash(&row, &["name", "id"]);
            out.note(&format!(
                "key {name} is made; keep its secret now, it is not stored and not shown again"
            ));
        }
        Key::List(wanted) => {
            let revoked = wanted.revoked.then(|| "true".to_owned());
            let query = [("role", wanted.role), ("revoked", revoked)];
            let query: Vec<_> =
                query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let list = client.list(&["keys"], &query, usize::MAX).await?;
            out.data(&list, |look| views::key::list(&list, look))?;
            if rows(&list).is_empty() && query.is_empty() {
                out.note(
                    "no keys but the one in the data directory; make one: automagik key create \
                     NAME --role ROLE",
                );
            }
        }
        Key::Show(one) => {
            let row = client.get(&["keys", &one.key], &[]).await?;
            out.data(&row, |look| views::key::show(&row, look))?;
        }
        Key::Revoke(revoke) => {
            let row = client.get(&["keys", &revoke.key], &[]).await?;
            let (name, id) = (text_or_dash(&row, &["name"]), text_or_dash(&row, &["id"]));
            revoke.consent.ask("key", &name)?;
            let row = client.delete(&["keys", &id]).await?;
            out.data(&row, |look| views::key::show(&row, look))?;
            out.note(&format!("key {name} is revoked; its history stays"));
        }
        Key::Whoami => {
            let row = client.get(&["whoami"], &[]).await?;
            out.data(&row, |look| views::key::whoami(&row, look))?;
        }
    }
    Ok(Exit::Ok)
}
