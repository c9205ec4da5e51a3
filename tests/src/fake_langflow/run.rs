//! One execution of a flow: what was asked, what each component made of it, and how it stands.
//! Owns the course of the execution; what a component makes is in `work.rs`, and how it is shown is left to `message.rs`, `outcome.rs` and `stream.rs`.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::flows::Flow;
use super::plan::Kind;
use super::state::{Stamp, State, lock, now};
use super::work::Work;

/// By which door a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// v1 run, v2 sync, or a webhook: no one can stop it.
    Plain,
    /// v1 or v2 stream: ends with its connection.
    Stream,
    /// v2 background.
    Background,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
    /// The server died under it.
    Lost,
}

impl Stage {
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "in_progress",
            Self::Completed => "completed",
            Self::Failed | Self::Lost => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What the caller asked for.
#[derive(Default)]
pub(super) struct Ask {
    pub(super) input_value: Option<String>,
    /// `chat`, `text` or `any`; empty means chat.
    pub(super) input_type: String,
    /// `chat`, `text`, `any` or `debug`; empty means chat.
    pub(super) output_type: String,
    pub(super) output_component: Option<String>,
    pub(super) output_ids: Option<Vec<String>>,
    pub(super) tweaks: Map<String, Value>,
    pub(super) session_id: Option<String>,
}

/// Why a component failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error_type: &'static str,
    pub(super) text: String,
}

/// What one component did.
#[derive(Clone)]
pub(super) struct Step {
    /// Its place in the plan.
    pub(super) node: usize,
    pub(super) text: String,
    pub(super) failure: Option<Failure>,
    /// The id of the chat message it left.
    pub(super) message_id: String,
    pub(super) started: Stamp,
    pub(super) ended: Stamp,
}

/// What a follower of the run is told. A number is the place of a step.
#[derive(Clone)]
pub(super) enum Event {
    Sorted,
    Began,
    Message(usize),
    /// The first words of a message that comes word by word, from the node at this place.
    Partial {
        node: usize,
        message_id: String,
        chunk: String,
        at: Stamp,
    },
    Token {
        message_id: String,
        chunk: String,
    },
    Failed(usize),
    Ended(usize),
    Output(usize),
    End,
    Cancelled,
}

struct Progress {
    stage: Stage,
    steps: Vec<Step>,
    events: Vec<Event>,
    ended: Option<Stamp>,
    flicker: bool,
    task: Option<AbortHandle>,
}

/// One execution of a flow.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) flow: Arc<Flow>,
    pub(super) ask: Ask,
    pub(super) mode: Mode,
    pub(super) created: Stamp,
    progress: Mutex<Progress>,
    changed: watch::Sender<()>,
}

impl Run {
    pub(super) fn new(state: &State, flow: Arc<Flow>, ask: Ask, mode: Mode) -> Arc<Self> {
        let progress = Progress {
            stage: Stage::Queued,
            steps: Vec::with_capacity(flow.plan.nodes.len()),
            events: Vec::new(),
            ended: None,
            flicker: false,
            task: None,
        };
        let run = Arc::new(Self {
            id: state.new_id(),
            flow,
            ask,
            mode,
            created: now(),
            progress: Mutex::new(progress),
            changed: watch::Sender::new(()),
        });
        state.runs.keep(&run);
        run
    }

    /// The session: the caller's, or the flow's id where it gave none.
    pub(super) fn session(&self) -> &str {
        self.ask.session_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&self.flow.id)
    }

    pub(super) fn stage(&self) -> Stage {
        lock(&self.progress).stage
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        lock(&self.progress).steps.clone()
    }

    pub(super) fn ended(&self) -> Stamp {
        lock(&self.progress).ended.unwrap_or(self.created)
    }

    /// The events from this place on, and whether no more will come.
    pub(super) fn events_from(&self, place: usize) -> (Vec<Event>, bool) {
        let progress = lock(&self.progress);
        let events = progress.events.get(place..).unwrap_or_default().to_vec();
        (events, progress.stage.is_final())
    }

    pub(super) fn follow(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether any of it was executed.
    pub(super) fn has_begun(&self) -> bool {
        matches!(lock(&self.progress).events.first(), Some(Event::Sorted))
    }

    /// Names the task that carries the run, for a later stop.
    pub(super) fn carried_by(&self, task: AbortHandle) {
        lock(&self.progress).task = Some(task);
    }

    /// Ends it where it stands. A run that has ended already is left alone.
    pub(super) fn cancel(&self, flicker: bool) {
        self.change(|progress| {
            if progress.stage.is_final() {
                return;
            }
            progress.flicker = flicker && progress.stage == Stage::Running;
            progress.stage = Stage::Cancelled;
            progress.ended = Some(now());
            progress.events.push(Event::Cancelled);
            if let Some(task) = progress.task.take() {
                task.abort();
            }
        });
    }

    /// The server died: what was running is lost, what was queued stays so.
    pub(super) fn lose(&self) {
        self.change(|progress| {
            if progress.stage == Stage::Running {
                progress.stage = Stage::Lost;
                progress.ended = Some(now());
            }
        });
    }

    /// Whether this reading of the status is the wrong one that follows a stop.
    pub(super) fn take_flicker(&self) -> bool {
        std::mem::take(&mut lock(&self.progress).flicker)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
        if self.changed.receiver_count() > 0 {
            self.changed.send_replace(());
        }
    }

    pub(super) fn tell(&self, event: Event) {
        self.change(|progress| progress.events.push(event));
    }

    fn end(&self, stage: Stage) {
        self.change(|progress| {
            progress.stage = stage;
            progress.ended = Some(now());
            progress.events.push(Event::End);
        });
    }

    fn add(&self, step: Step) {
        let node = &self.flow.plan.nodes[step.node];
        self.change(|progress| {
            let at = progress.steps.len();
            if step.failure.is_some() {
                progress.events.push(Event::Failed(at));
            } else if matches!(node.kind, Kind::ChatInput | Kind::ChatOutput) {
                progress.events.push(Event::Message(at));
            }
            progress.events.push(Event::Ended(at));
            if step.failure.is_none() && node.next.is_empty() {
                progress.events.push(Event::Output(at));
            }
            progress.steps.push(step);
        });
    }
}

/// Runs the flow to its end.
pub(super) async fn execute(state: Arc<State>, run: Arc<Run>) {
    let counters = state.counters(&run.flow.name);
    counters.count_begin();
    run.change(|progress| {
        progress.stage = Stage::Running;
        progress.events.extend([Event::Sorted, Event::Began]);
    });
    if !state.options.latency.is_zero() {
        sleep_until(Instant::now() + state.options.latency).await;
    }
    let mut texts: Vec<String> = Vec::with_capacity(run.flow.plan.nodes.len());
    let mut message_id = None;
    for (place, node) in run.flow.plan.nodes.iter().enumerate() {
        let started = now();
        let made = Work { state: &state, run: &run, node, texts: &texts }
            .make(place, &mut message_id)
            .await;
        let mut step = Step {
            node: place,
            text: String::new(),
            failure: None,
            message_id: message_id
                .take_if(|_| node.kind == Kind::ChatOutput)
                .unwrap_or_else(|| state.new_id()),
            started,
            ended: now(),
        };
        match made {
            Ok(text) => {
                texts.push(text.clone());
                step.text = text;
                run.add(step);
            }
            Err(failure) => {
                step.failure = Some(failure);
                run.add(step);
                run.end(Stage::Failed);
                return;
            }
        }
    }
    counters.count_completion();
    run.end(Stage::Completed);
}
