//! `automagik source add`.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::request::RequestArgs;
use crate::ask;
use crate::commands::{Body, Context};
use crate::exit::{Exit, Trouble};

/// Connect a source.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik source add http://localhost:7860 --name dev
  automagik source add https://langflow.example.com --api-key \"$LANGFLOW_KEY\"
  automagik source add https://agents.example.com --type http --path /run
--api-key is the source's here; Spark's own key stands before the verb, or in
AUTOMAGIK_API_KEY. With --type http a flow of the source's name is made, which
sends one request: automagik flow run NAME --input TEXT")]
pub(crate) struct Add {
    /// Base URL of the server
    #[arg(required_unless_present_any = ["url_named", "ask"], conflicts_with = "url_named")]
    url: Option<String>,
    /// Ask for what is missing.
    #[arg(long, hide = true)]
    ask: bool,
    /// The same as --api-key, for those who are used to it
    #[arg(hide = true, conflicts_with_all = ["api_key", "url_named"])]
    key: Option<String>,
    /// The same as URL
    #[arg(id = "url_named", short, long = "url", value_name = "URL")]
    url_named: Option<String>,
    /// A name for it [default: the URL's host and port]
    #[arg(short, long)]
    name: Option<String>,
    /// What kind of server it is [default: langflow]
    #[arg(short = 't', long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// The server's API key
    #[arg(short = 'k', long, value_name = "KEY")]
    api_key: Option<String>,
    /// Runs at once
    #[arg(long, value_name = "N")]
    runs_max: Option<u32>,
    /// Only workers with this label make its calls; repeat it for several
    #[arg(long = "worker-label", value_name = "LABEL")]
    worker_labels: Vec<String>,
    /// With --type http: the header that carries the key [default: X-API-Key]
    #[arg(long, value_name = "NAME", conflicts_with = "auth")]
    auth_header: Option<String>,
    /// With --type http: send the key as Authorization: Bearer
    #[arg(long, value_enum, value_name = "HOW")]
    auth: Option<Auth>,
    /// With --type http: a path that answers with a success while it is up
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// With --type http: make no first flow
    #[arg(long)]
    no_request: bool,
    #[command(flatten)]
    request: RequestArgs,
}

/// What kind of server a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Langflow,
    Http,
    /// A name that the original had.
    #[value(hide = true)]
    AutomagikAgents,
    /// A name that the original had.
    #[value(hide = true)]
    AutomagikHive,
}

/// How a key is sent other than in a header of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Auth {
    Bearer,
}

/// Connects it.
pub(super) async fn run(mut add: Add, context: &Context<'_>) -> Result<Exit> {
    if add.ask {
        ask(&mut add)?;
    }
    let is_http = match add.kind {
        Some(Kind::Http) => true,
        Some(Kind::AutomagikAgents | Kind::AutomagikHive) => return Err(agents().into()),
        Some(Kind::Langflow) | None => false,
    };
    let settings = add.auth_header.is_some() || add.auth.is_some() || add.health_path.is_some();
    if !is_http && (settings || add.no_request || add.request.is_given()) {
        return Err(Trouble::usage("LangFlow takes no request and no other header")
            .then("add --type http, which takes any other server")
            .into());
    }
    if add.no_request && add.request.is_given() {
        return Err(Trouble::usage("--no-request was given, and a request too")
            .then("leave out one of the two")
            .into());
    }
    let mut body = Body::default()
        .with("url", add.url.or(add.url_named))
        .with("name", add.name)
        .with("api_key", add.api_key.or(add.key))
        .with("runs_max", add.runs_max)
        .with("worker_labels", Some(add.worker_labels).filter(|labels| !labels.is_empty()));
    if is_http {
        let auth = match (add.auth, add.auth_header) {
            (Some(Auth::Bearer), _) => Some(json!("bearer")),
            (None, Some(name)) => Some(json!({ "header": name })),
            (None, None) => None,
        };
        let http = Body::default().with("auth", auth).with("health_path", add.health_path);
        let request = if add.no_request { None } else { Some(add.request.json()?) };
        body = body.with("kind", Some("http")).with("http", Some(http.json()));
        body = body.with("request", request);
    }
    let row = context.client.post(&["sources"], body.json()).await.map_err(of_no_source)?;
    if !is_http {
        return super::done("added", &row, context);
    }
    added(&row, context)
}

/// A source that was not added has no name that its key could be changed under.
fn of_no_source(error: anyhow::Error) -> anyhow::Error {
    let Some(trouble) = error.downcast_ref::<Trouble>() else { return error };
    let mut trouble = trouble.clone();
    let Some(remedy) = trouble.next.iter_mut().find(|next| next.contains("source update")) else {
        return error;
    };
    *remedy = "nothing was added; give the right key: --api-key KEY".to_owned();
    trouble.into()
}

/// Asks for the address and the key.
fn ask(add: &mut Add) -> Result<()> {
    let url = add.url.take().or(add.url_named.take());
    add.url = Some(match url {
        Some(url) => url,
        None => ask::value_or("Base URL of the server", "http://127.0.0.1:7860")?,
    });
    if add.api_key.is_none() && add.key.is_none() {
        let key = ask::secret("Its API key, or nothing where it needs none")?;
        add.api_key = (!key.is_empty()).then_some(key);
    }
    Ok(())
}

fn added(row: &Value, context: &Context<'_>) -> Result<Exit> {
    let name = super::shown(row, context)?;
    context.out.note(&match row["flows"].as_u64() {
        Some(0) => format!(
            "source {name} is added; say what to send: automagik source add-request {name} FLOW"
        ),
        _ => format!("source {name} is added; run it: automagik flow run {name} --input TEXT"),
    });
    Ok(Exit::Ok)
}

fn agents() -> Trouble {
    Trouble::usage("this kind of the original is not known here")
        .because("what such a server wants to be sent depends on its version")
        .then(
            "connect it with --type http and say what to send: --path, --body and --output-path \
             (automagik source add --help)",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_of_a_source_that_is_not_there_is_not_to_be_updated() {
        let trouble = Trouble::new(Exit::Auth, "it refused the key")
            .then("give it another: automagik source update NAME --api-key KEY");
        let told = of_no_source(trouble.into());
        let told = told.downcast_ref::<Trouble>().unwrap();
        assert_eq!(told.exit, Exit::Auth);
        assert_eq!(told.next, ["nothing was added; give the right key: --api-key KEY"]);
        let other = of_no_source(Trouble::failed("away").then("start it").into());
        assert_eq!(other.downcast_ref::<Trouble>().unwrap().next, ["start it"]);
    }
}
