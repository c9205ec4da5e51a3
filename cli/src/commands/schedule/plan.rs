//! What a schedule is to do, as options: shared by making one and changing one. Turns them into the
//! fields of the API; what they mean is checked there.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use spark_events::{Clock, SystemClock};

use crate::args::{ms, parse_duration};
use crate::commands::Body;
use crate::commands::common::{InputArgs, TweakArgs};
use crate::commands::instant::{Edge, Reader, rfc3339};
use crate::exit::Trouble;
use crate::views::{entries, text};

/// Above the options that say when.
const WHEN: &str = "When";
/// Above the options that say what each task gets.
const WHAT: &str = "What each task gets";
/// Above the options that say what happens on trouble.
const TROUBLE: &str = "When something is in the way";

/// When a schedule is due.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct WhenArgs {
    /// A fixed distance: 5s, 30m, 1d; may be repeated
    #[arg(help_heading = WHEN, long, alias = "interval", value_name = "TIME")]
    pub(super) every: Vec<String>,
    /// A single instant: now, or 2030-01-31T09:00:00Z; may be repeated
    #[arg(help_heading = WHEN, long, alias = "once", value_name = "TIME")]
    pub(super) at: Vec<String>,
    /// Not then: 2030-12-25, 2030-12-24/2031-01-01, two instants with a slash
    /// between, or a cron expression; may be repeated
    #[arg(help_heading = WHEN, long, value_name = "WHEN")]
    exclude: Vec<String>,
    /// Start each run up to this much later, always the same for one instant
    #[arg(help_heading = WHEN, long, value_name = "TIME")]
    jitter: Option<String>,
    /// Nothing before this: 2030-01-31, "2030-01-31 09:00" or an instant
    #[arg(help_heading = WHEN, long, value_name = "TIME")]
    start: Option<String>,
    /// Nothing after this; a date counts whole
    #[arg(help_heading = WHEN, long, value_name = "TIME")]
    end: Option<String>,
    /// Time zone of all of these, such as America/New_York [default: UTC]
    #[arg(help_heading = WHEN, long, visible_alias = "tz", value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    /// When the clock changes: once loses and doubles nothing, literal follows the
    /// clock's face [default: once]
    #[arg(help_heading = WHEN, long, value_name = "RULE", hide_possible_values = true)]
    dst: Option<Dst>,
}

/// What clock changes do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dst {
    /// Nothing is lost, nothing doubled.
    Once,
    /// What the clock shows.
    Literal,
}

/// The overlap policy.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Overlap {
    /// Drop the start and record it.
    #[value(name = "Skip")]
    Skip,
    /// Let one start wait.
    #[value(name = "BufferOne", alias = "buffer-one")]
    BufferOne,
    /// Let all starts wait.
    #[value(name = "BufferAll", alias = "buffer-all")]
    BufferAll,
    /// Cancel what is open, then start.
    #[value(name = "CancelOther", alias = "cancel-other")]
    CancelOther,
    /// The same without waiting for the source.
    #[value(name = "TerminateOther", alias = "terminate-other")]
    TerminateOther,
    /// Start it beside the open one.
    #[value(name = "AllowAll", alias = "allow-all")]
    AllowAll,
}

impl Overlap {
    /// As the API names it.
    pub(super) fn name(self) -> &'static str {
        use spark_events::domain::overlap::Overlap as Policy;
        let policy = match self {
            Self::Skip => Policy::Skip,
            Self::BufferOne => Policy::BufferOne,
            Self::BufferAll => Policy::BufferAll,
            Self::CancelOther => Policy::CancelOther,
            Self::TerminateOther => Policy::TerminateOther,
            Self::AllowAll => Policy::AllowAll,
        };
        policy.as_str()
    }
}

/// What happens when the flow was changed at its source.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnDrift {
    /// Run what the source has.
    Run,
    /// Start nothing.
    Hold,
}

/// How a schedule's tasks are run.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunArgs {
    /// A name for it
    #[arg(short, long)]
    name: Option<String>,
    /// What people should know about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten, next_help_heading = WHAT)]
    input: InputArgs,
    #[command(flatten, next_help_heading = WHAT)]
    tweaks: TweakArgs,
    /// All tweaks at once: {"COMPONENT": {"FIELD": VALUE}}, or @FILE
    #[arg(help_heading = WHAT, id = "tweaks_json", long = "tweaks", value_name = "JSON",
          conflicts_with = "tweaks")]
    tweaks_json: Option<String>,
    /// Higher ones go first among the waiting tasks of a source [default: 0]
    #[arg(help_heading = WHAT, long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// The longest time of one attempt [default: 10m]
    #[arg(help_heading = WHAT, long, value_name = "TIME")]
    timeout: Option<String>,
    /// How long a task may wait for its first attempt
    #[arg(help_heading = WHAT, long, value_name = "TIME")]
    queue_timeout: Option<String>,
    /// How long a task may take over all attempts
    #[arg(help_heading = WHAT, long, value_name = "TIME")]
    total_timeout: Option<String>,
    /// Attempts after the first one [default: 3]
    #[arg(help_heading = WHAT, long, value_name = "N")]
    max_retries: Option<u32>,
    /// The time before the second attempt; doubles each time [default: 5s]
    #[arg(help_heading = WHAT, long, value_name = "TIME", value_parser = parse_duration)]
    retry_delay: Option<Duration>,
    /// The longest time between two attempts [default: 5m]
    #[arg(help_heading = WHAT, long, value_name = "TIME", value_parser = parse_duration)]
    retry_max_delay: Option<Duration>,
    /// While an earlier task is open: Skip (and record it), BufferOne, BufferAll,
    /// CancelOther, TerminateOther, AllowAll [default: Skip]
    #[arg(help_heading = TROUBLE, long, value_name = "POLICY", value_enum, ignore_case = true,
          hide_possible_values = true)]
    overlap: Option<Overlap>,
    /// How late an occurrence may still start
    /// [default: 1h, or the longest interval if that is longer]
    #[arg(help_heading = TROUBLE, long, value_name = "TIME")]
    catch_up: Option<String>,
    /// End after this many starts
    #[arg(help_heading = TROUBLE, long, visible_alias = "runs-max", value_name = "N")]
    max_runs: Option<u64>,
    /// Pause after this many failed tasks in a row
    #[arg(help_heading = TROUBLE, long, value_name = "N")]
    pause_after: Option<u32>,
    /// When the flow has changed at its source: run, or hold until it is synced
    /// [default: run]
    #[arg(help_heading = TROUBLE, long, value_name = "RULE", hide_possible_values = true)]
    on_drift: Option<OnDrift>,
}

/// One recurrence as the API takes it: the name of its form, and its text.
type Spec = (&'static str, String);

/// What an expression is, by its look: an interval, an instant, else a cron expression.
pub(super) fn spec_of(text: &str) -> Spec {
    let text = text.trim();
    // With a large unit too, so that it is told how to write it and not that it is no cron.
    let is_interval = parse_duration(text).is_ok()
        || parse_duration(&text.to_ascii_lowercase()).is_ok_and(|_| !text.contains(' '));
    let is_instant =
        text.eq_ignore_ascii_case("now") || chrono::DateTime::parse_from_rfc3339(text).is_ok();
    let form = match (is_interval, is_instant) {
        (true, _) => "every",
        (_, true) => "at",
        _ => "cron",
    };
    (form, text.to_owned())
}

impl WhenArgs {
    /// All recurrences that were given.
    fn specs(&self, exprs: &[String]) -> Result<Vec<Spec>, Trouble> {
        unquoted(exprs)?;
        let every = self.every.iter().map(|text| ("every", text.clone()));
        let at = self.at.iter().map(|text| ("at", text.clone()));
        Ok(exprs.iter().map(|text| spec_of(text)).chain(every).chain(at).collect())
    }

    /// The rule of clock changes, as the API names it.
    pub(super) fn dst(&self) -> Option<&'static str> {
        self.dst.map(|dst| match dst {
            Dst::Once => "once",
            Dst::Literal => "literal",
        })
    }

    /// Adds what says when. `zone` is what dates are read in where no zone was given.
    pub(super) fn add_to(&self, body: Body, exprs: &[String], zone: Tz) -> Result<Body, Trouble> {
        let specs = self.specs(exprs)?;
        let dst = self.dst();
        let mut body = body;
        match specs.as_slice() {
            [] => body = body.with("dst", dst),
            [(form, text)] => body = body.with(form, Some(text.as_str())).with("dst", dst),
            several => {
                if dst.is_some() && several.iter().all(|(form, _)| *form != "cron") {
                    return Err(Trouble::usage("--dst is about clock times, and there are none")
                        .because("intervals and instants know no clock changes")
                        .then("leave it out"));
                }
                let specs = several.iter().map(|(form, text)| {
                    let mut spec = Map::from_iter([((*form).to_owned(), json!(text))]);
                    if let Some(dst) = dst.filter(|_| *form == "cron") {
                        spec.insert("dst".to_owned(), dst.into());
                    }
                    Value::Object(spec)
                });
                body = body.with("specs", Some(specs.collect::<Vec<_>>()));
            }
        }
        // A zone that only dates are read in has done its work here, and the API would refuse it.
        let clock = specs.iter().any(|(form, _)| *form == "cron") || !self.exclude.is_empty();
        let is_zoned = clock || !self.has_bounds();
        let reader = Reader { zone, now: SystemClock.now() };
        let bound = |option: &str, typed: &Option<String>, edge: Edge| match typed {
            Some(typed) => reader.bound(option, typed, edge).map(|moment| Some(rfc3339(moment.at))),
            None => Ok(None),
        };
        Ok(body
            .with("timezone", self.timezone.as_deref().filter(|_| is_zoned))
            .with("exclude", (!self.exclude.is_empty()).then(|| self.exclude.clone()))
            .with("jitter", self.jitter.as_deref())
            .with("start_at", bound("--start", &self.start, Edge::First)?)
            .with("end_at", bound("--end", &self.end, Edge::Last)?))
    }

    /// Whether clock times are given without a zone of their own.
    pub(super) fn needs_zone(&self, exprs: &[String]) -> bool {
        let has_own = |text: &String| text.contains("TZ=");
        let clock = exprs.iter().any(|text| spec_of(text).0 == "cron") || !self.exclude.is_empty();
        clock && self.timezone.is_none() && !exprs.iter().any(has_own)
    }

    /// Whether clock times are to be read in another way, while they stay as they are.
    pub(super) fn only_reads_anew(&self, exprs: &[String]) -> bool {
        let none = exprs.is_empty() && self.every.is_empty() && self.at.is_empty();
        none && (self.dst.is_some() || self.timezone.is_some() && !self.has_bounds())
    }

    /// Whether `--start` or `--end` was given, which may be read in a zone.
    pub(super) fn has_bounds(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }
}

impl RunArgs {
    /// The input, where it can still be asked for.
    pub(super) fn missing_input(&mut self) -> Option<&mut Option<String>> {
        let input = &mut self.input;
        (input.input.is_none() && input.input_file.is_none()).then_some(&mut input.input)
    }

    /// Adds what says how.
    pub(super) fn add_to(self, body: Body) -> Result<Body> {
        let retry = Body::default()
            .with("initial_ms", self.retry_delay.map(ms))
            .with("maximum_ms", self.retry_max_delay.map(ms));
        let tweaks = match &self.tweaks_json {
            Some(given) => Some(tweaks_json(given)?),
            None => self.tweaks.json()?,
        };
        let on_drift = self.on_drift.map(|rule| match rule {
            OnDrift::Run => "run",
            OnDrift::Hold => "hold",
        });
        Ok(body
            .with("name", self.name)
            .with("note", self.note)
            .with("input", self.input.read()?)
            .with("tweaks", tweaks)
            .with("overlap", self.overlap.map(Overlap::name))
            .with("catch_up", self.catch_up)
            .with("runs_max", self.max_runs)
            .with("pause_after", self.pause_after)
            .with("on_drift", on_drift)
            .with("max_retries", self.max_retries)
            .with("retry", (!retry.is_empty()).then(|| retry.json()))
            .with("timeout", self.timeout)
            .with("queue_timeout", self.queue_timeout)
            .with("total_timeout", self.total_timeout)
            .with("priority", self.priority))
    }
}

/// The recurrences of a schedule as they would be typed, for a change that only reads them anew.
/// The zone and the rule of clock changes are kept where no other is given.
pub(super) fn as_typed(schedule: &Value, timezone: Option<&str>, dst: Option<&str>) -> Vec<Value> {
    let own = |spec: &Value, name: &str| text(spec, &[name]).map(Value::from);
    let specs = entries(schedule, &["timetable.specs"]).iter().map(|spec| {
        let kind = text(spec, &["kind"]).unwrap_or_default();
        let number = |name: &str| spec.get(name).and_then(Value::as_u64).unwrap_or(0);
        let body = match kind.as_str() {
            "interval" => {
                let every = format!("@every {}ms/{}ms", number("every_ms"), number("phase_ms"));
                return json!({ "cron": every });
            }
            "once" => return json!({ "at": text(spec, &["at"]) }),
            "cron" => Body::default().with("cron", own(spec, "expression")),
            _ => {
                let fields = spec.as_object().into_iter().flatten();
                let fields = fields
                    .filter(|(name, _)| !["kind", "timezone", "dst"].contains(&name.as_str()));
                let fields: Map<_, _> =
                    fields.map(|(name, it)| (name.clone(), it.clone())).collect();
                Body::default().with("calendar", Some(Value::Object(fields)))
            }
        };
        body.with("timezone", timezone.map(Value::from).or_else(|| own(spec, "timezone")))
            .with("dst", dst.map(Value::from).or_else(|| own(spec, "dst")))
            .json()
    });
    specs.collect()
}

/// A cron expression that the shell has torn apart is no list of expressions.
fn unquoted(exprs: &[String]) -> Result<(), Trouble> {
    let is_word = |text: &String| {
        !text.starts_with('@') && spec_of(text).0 == "cron" && text.split_whitespace().count() < 2
    };
    if exprs.len() < 2 || !exprs.iter().all(is_word) {
        return Ok(());
    }
    Err(Trouble::usage(format!("{:?} is no cron expression", exprs[0]))
        .because("the shell takes an expression apart where it is not quoted")
        .then("quote it: \"0 9 * * mon-fri\""))
}

/// Tweaks as JSON, given or in a file.
fn tweaks_json(given: &str) -> Result<Value, Trouble> {
    let text = match given.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(Path::new(file)).map_err(|error| {
            Trouble::usage(format!("--tweaks: cannot read {file}")).because(error.to_string())
        })?,
        None => given.to_owned(),
    };
    let form = "write it like {\"ChatInput-x1\": {\"sender_name\": \"Ana\"}}, or @FILE";
    let tweaks: Value = serde_json::from_str(&text).map_err(|error| {
        Trouble::usage("--tweaks is not JSON").because(error.to_string()).then(form)
    })?;
    if !tweaks.is_object() {
        return Err(Trouble::usage("--tweaks is not a JSON object").then(form));
    }
    Ok(tweaks)
}
