//! `automagik flow`: flows that were synced from a source or made here, and running them.
//! `flow/local.rs`: making, editing, pushing. `flow/versions.rs`: what they were and what differs.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::time::Duration;

use super::common::{ConsentArgs, InputArgs, TweakArgs};
use super::{Body, Context};
use crate::args::{ms, parse_duration};
use crate::client::rows;
use crate::exit::{Exit, Trouble};
use crate::output::text::quoted;
use crate::views::{self, short_task_id, text_or_dash};
use crate::wait::{self, WaitArgs};

pub(crate) mod choose;
mod local;
mod versions;

/// Shown below the group's help.
pub(crate) const EXAMPLES: &str = "Examples:
  automagik flow list --remote
  automagik flow sync \"My flow\"
  automagik flow run \"My flow\" --input \"hello\" --wait";

/// What to do with flows.
#[derive(Debug, Subcommand)]
pub(crate) enum Flow {
    /// Flows that are synced, or with --remote those that a source has
    #[command(visible_alias = "ls")]
    List(List),
    /// Take flows as the source has them now, and see what changed
    Sync(Sync),
    /// One flow, with its components
    #[command(aliases = ["view", "get"])]
    Show(Show),
    /// Make a flow here from LangFlow's export
    Create(local::Create),
    /// Change a flow here; its source keeps what it has until you push
    Edit(local::Edit),
    /// Send a flow that was made or edited here to its source
    Push(local::Push),
    /// Print a flow as a file that LangFlow can import; secrets are masked
    Export(versions::Export),
    /// What a flow was, at each sync, edit and push
    #[command(after_help = "Examples:
  automagik flow versions hello-spark
  automagik flow versions hello-spark --time iso")]
    Versions(One),
    /// What differs between two versions, or from what the source has
    Diff(versions::Diff),
    /// Compare a flow with what its source has now
    #[command(after_help = "Examples:
  automagik flow check hello-spark
  automagik flow check hello-spark -q && echo \"as it was synced\"
Exit codes: 0 nothing changed at the source, 3 something did.")]
    Check(One),
    /// Change a flow's settings
    Update(local::Update),
    /// Run a flow once
    Run(Run),
    /// Forget a flow here; the source keeps it, the history stays
    Delete(Delete),
}

/// List flows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow list
  automagik flow list --drifted
  automagik flow list --remote --source dev --folder \"Starter Project\"")]
pub(crate) struct List {
    /// Ask the source what it has
    #[arg(long)]
    remote: bool,
    /// Only flows of this source; with --remote needed where there are several
    #[arg(short, long)]
    source: Option<String>,
    /// Only flows in this folder (project) of the source
    #[arg(short, long)]
    folder: Option<String>,
    /// Only flows that have changed at their source since they were synced
    #[arg(long, conflicts_with = "remote")]
    drifted: bool,
}

/// Show a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow show hello-spark
  automagik flow show hello-spark --components
  automagik flow show hello-spark -o json")]
pub(crate) struct Show {
    /// Its name, its id, or the start of its id
    flow: String,
    /// The fields of its components that --tweak can set, with types and values
    #[arg(long)]
    components: bool,
}

/// Sync flows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow sync \"My flow\"
  automagik flow sync report summary digest
  automagik flow sync 3fa85f64-5717-4562-b3fc-2c963f66afa6 --source dev
  automagik flow sync --folder \"Starter Project\"
  automagik flow sync --all --source dev")]
pub(crate) struct Sync {
    /// The flows' names or ids at the source
    #[arg(value_name = "FLOW", required_unless_present_any = ["all", "folder", "ask"],
          conflicts_with_all = ["all", "folder"])]
    flows: Vec<String>,
    /// Ask for what is missing.
    #[arg(long, hide = true)]
    ask: bool,
    /// Every flow of the source
    #[arg(long, conflicts_with_all = ["input_component", "output_component", "folder"])]
    all: bool,
    /// Every flow in this folder (project) of the source
    #[arg(short, long, conflicts_with_all = ["input_component", "output_component"])]
    folder: Option<String>,
    /// Give up edits that were made here and not pushed
    #[arg(long)]
    force: bool,
    /// The source; needed where there are several
    #[arg(short, long)]
    source: Option<String>,
    /// The node that takes the input [default: detected]
    #[arg(long, value_name = "NODE")]
    input_component: Option<String>,
    /// The node that gives the output [default: detected]
    #[arg(long, value_name = "NODE")]
    output_component: Option<String>,
}

/// Name one flow.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name, its id, or the start of its id
    flow: String,
}

/// Run a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow run hello-spark --input \"hello\" --wait
  cat question.txt | automagik flow run hello-spark - --wait
  automagik flow run hello-spark --input hi --tweak ChatInput-x1.sender_name=Ana
  automagik flow run hello-spark --max-retries 0 --timeout 2m
  automagik flow run hello-spark --priority 10 --queue-timeout 5m --total-timeout 1h
  automagik flow run hello-spark --idempotency-key order-4711")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) task: NewTask,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// What a new task is to do.
#[derive(Debug, Args)]
pub(crate) struct NewTask {
    /// Its name, its id, or the start of its id
    flow: String,
    /// Read the input from standard input
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true,
          conflicts_with_all = ["input", "input_file"])]
    stdin: Option<String>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    tweaks: TweakArgs,
    /// Attempts after the first one [default: 3]
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// The longest time of one attempt
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Higher ones start first within a source, from -100 to 100 [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// The longest wait until an attempt starts; then the task fails
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    queue_timeout: Option<Duration>,
    /// The longest time over all attempts and waits; then the task fails
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    total_timeout: Option<Duration>,
    /// Repeating the command with the same key makes no second task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Forget a flow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  automagik flow delete hello-spark
  automagik flow delete hello-spark --yes")]
pub(crate) struct Delete {
    /// Its name, its id, or the start of its id
    flow: String,
    #[command(flatten)]
    consent: ConsentArgs,
}

/// Runs a command of the group.
pub(crate) async fn run(flow: Flow, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    match flow {
        Flow::List(list) if list.remote => remote(list, context).await,
        Flow::List(list) => {
            let drifted = list.drifted.then(|| "true".to_owned());
            let keys = [("source", list.source), ("folder", list.folder), ("drifted", drifted)];
            let query: Vec<_> =
                keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            let list = client.list(&["flows"], &query, usize::MAX).await?;
            out.data(&list, |look| views::flow::list(&list, look))?;
            if rows(&list).is_empty() {
                out.note(match query.is_empty() {
                    true => "no flows are synced; see what there is: automagik flow list --remote",
                    false => "no flow fits; see all: automagik flow list",
                });
            }
            Ok(Exit::Ok)
        }
        Flow::Sync(sync) => self::sync(sync, context).await,
        Flow::Show(show) if show.components => {
            let list = client.get(&["flows", &show.flow, "components"], &[]).await?;
            out.data(&list, |look| views::flow::components(&list, look))?;
            if rows(&list).is_empty() {
                out.note("the flow has no components, so --tweak can set nothing");
            }
            Ok(Exit::Ok)
        }
        Flow::Show(show) => {
            let row = client.get(&["flows", &show.flow], &[]).await?;
            out.data(&row, |look| views::flow::show(&row, look))?;
            Ok(Exit::Ok)
        }
        Flow::Create(create) => local::create(create, context).await,
        Flow::Edit(edit) => local::edit(edit, context).await,
        Flow::Push(push) => local::push(push, context).await,
        Flow::Update(update) => local::update(&update, context).await,
        Flow::Export(export) => versions::export(&export, context).await,
        Flow::Versions(one) => versions::list(&one.flow, context).await,
        Flow::Diff(diff) => versions::diff(diff, context).await,
        Flow::Check(one) => versions::check(&one.flow, context).await,
        Flow::Run(run) => run_flow(run, context).await,
        Flow::Delete(delete) => {
            let row = client.get(&["flows", &delete.flow], &[]).await?;
            let name = text_or_dash(&row, &["name", "id"]);
            delete.consent.ask("flow", &name)?;
            let answer = client.delete(&["flows", &text_or_dash(&row, &["id"])]).await?;
            out.data(&answer, |_| String::new())?;
            out.note(&format!("flow {name} is forgotten here; the source keeps it"));
            Ok(Exit::Ok)
        }
    }
}

async fn remote(list: List, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let source = match list.source {
        Some(source) => source,
        None => only_source(context).await?,
    };
    let query: Vec<_> = list.folder.map(|folder| ("folder", folder)).into_iter().collect();
    let list = client.get(&["sources", &source, "flows"], &query).await?;
    out.data(&list, |look| views::source::remote(&list, look))?;
    if rows(&list).is_empty() {
        out.note("the source has no flows; make one in LangFlow first");
    } else {
        out.note("take one with: automagik flow sync NAME");
    }
    Ok(Exit::Ok)
}

/// The source that is meant where none is named.
async fn only_source(context: &Context<'_>) -> Result<String> {
    let sources = context.client.list(&["sources"], &[], usize::MAX).await?;
    Ok(choose::only(&choose::with_flows(&sources))?)
}

async fn sync(mut sync: Sync, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    if sync.ask {
        choose::remote(&mut sync, context).await?;
    }
    let one = (sync.flows.len() == 1).then(|| sync.flows.remove(0));
    let single = one.is_some();
    let source = sync.source.clone();
    let body = Body::default()
        .with("source", sync.source)
        .with("flow", one)
        .with("flows", (!sync.flows.is_empty()).then_some(sync.flows))
        .with("all", sync.all.then_some(true))
        .with("folder", sync.folder)
        .with("force", sync.force.then_some(true))
        .with("input_component", sync.input_component)
        .with("output_component", sync.output_component);
    let answer = client.post(&["flows", "sync"], body.json()).await;
    let answer = answer.map_err(|error| at_source(error, source.as_deref()))?;
    if single {
        out.data(&answer, |look| views::flow::synced(&answer, look))?;
        let name = text_or_dash(&answer, &["name", "id"]);
        out.note(&format!("flow {name} is synced; run it: automagik flow run \"{name}\" --wait"));
        return Ok(Exit::Ok);
    }
    out.data(&answer, |look| views::flow::all_synced(&answer, look))?;
    let failed = views::source::not_synced(&answer);
    failed.iter().for_each(|line| out.note(line));
    Ok(if failed.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// An error whose next step asks the source that was named, and not any.
fn at_source(error: anyhow::Error, source: Option<&str>) -> anyhow::Error {
    const REMOTE: &str = "automagik flow list --remote";
    match (error.downcast::<Trouble>(), source) {
        (Ok(mut trouble), Some(source)) => {
            for next in trouble.next.iter_mut().filter(|next| next.ends_with(REMOTE)) {
                next.push_str(&format!(" --source {}", quoted(source)));
            }
            trouble.into()
        }
        (Ok(trouble), None) => trouble.into(),
        (Err(error), _) => error,
    }
}

/// Runs a flow, and waits for its end where that is wished.
pub(crate) async fn run_flow(run: Run, context: &Context<'_>) -> Result<Exit> {
    let task = create(run.task, true, context).await?;
    started(&task, &run.wait, context).await
}

/// Makes a task, to be run now or once it is released.
pub(crate) async fn create(new: NewTask, run: bool, context: &Context<'_>) -> Result<Value> {
    let mut input = new.input;
    if new.stdin.is_some() {
        input.input_file = Some("-".into());
    }
    let body = Body::default()
        .with("input", Some(input.read()?.unwrap_or_default()))
        .with("tweaks", new.tweaks.json()?)
        .with("max_retries", new.max_retries)
        .with("timeout_ms", new.timeout.map(ms))
        .with("priority", new.priority)
        .with("queue_timeout_ms", new.queue_timeout.map(ms))
        .with("total_timeout_ms", new.total_timeout.map(ms))
        .with("run", (!run).then_some(false));
    let path = ["flows", &new.flow, "run"];
    context.client.post_once(&path, body.json(), new.idempotency_key.as_deref()).await
}

/// What is said of a task that was just made. Its id alone is data, so that a script can keep it.
pub(crate) async fn started(task: &Value, args: &WaitArgs, context: &Context<'_>) -> Result<Exit> {
    let Context { client, out } = context;
    let id = text_or_dash(task, &["id"]);
    if args.wait {
        return wait::for_task(client, out, &id, &args.limit).await;
    }
    out.data(task, |_| format!("{id}\n"))?;
    out.note(&format!("the task is made; wait for it: automagik task wait {}", short_task_id(&id)));
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_of_a_sync_asks_the_source_that_was_named() {
        let refused = || Trouble::failed("x").then("see what: automagik flow list --remote").into();
        let next = |source| {
            let error = at_source(refused(), source).downcast::<Trouble>().unwrap();
            error.next.concat()
        };
        assert_eq!(next(Some("a b")), "see what: automagik flow list --remote --source 'a b'");
        assert_eq!(next(None), "see what: automagik flow list --remote");
    }
}
