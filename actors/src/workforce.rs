//! The workers that are there, as everybody sees them: what each is, how it is reached, and when it
//! was last heard. Kept by those who start and end workers; shared with those who need one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ractor::ActorRef;
use spark_events::domain::labels::Labels;
use spark_events::domain::worker::WorkerStarted;
use spark_events::{TaskId, Timestamp, WorkerId};
use uuid::Uuid;

use crate::remote_worker::RemoteMessage;
use crate::work::Assignment;
use crate::worker::WorkerMessage;

/// How a worker is reached.
#[derive(Clone)]
pub(crate) enum Reach {
    /// In this process.
    BuiltIn(ActorRef<WorkerMessage>),
    /// In another process, through the actor that stands for it here.
    Remote(ActorRef<RemoteMessage>),
}

impl Reach {
    /// Hands an attempt over; gives it back where the worker has just gone.
    pub(crate) fn run(&self, assignment: Box<Assignment>) -> Result<(), ()> {
        match self {
            Self::BuiltIn(actor) => actor.cast(WorkerMessage::Run(assignment)).map_err(drop),
            Self::Remote(actor) => actor.cast(RemoteMessage::Run(assignment)).map_err(drop),
        }
    }

    /// Stops an attempt for real where possible. A worker that has gone needs no telling.
    pub(crate) fn cancel(&self, task_id: TaskId) {
        let _ = match self {
            Self::BuiltIn(actor) => actor.cast(WorkerMessage::Cancel { task_id }).map_err(drop),
            Self::Remote(actor) => actor.cast(RemoteMessage::Cancel { task_id }).map_err(drop),
        };
    }

    /// Drops an attempt without a word to anybody.
    pub(crate) fn abort(&self, task_id: TaskId) {
        let _ = match self {
            Self::BuiltIn(actor) => actor.cast(WorkerMessage::Abort { task_id }).map_err(drop),
            Self::Remote(actor) => actor.cast(RemoteMessage::Abort { task_id }).map_err(drop),
        };
    }
}

/// A worker that is there.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) started: Arc<WorkerStarted>,
    pub(crate) reach: Reach,
    /// The book that this process of the server keeps about it.
    pub(crate) session: Uuid,
    pub(crate) pulse: Arc<Pulse>,
}

/// Signs of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    seen_us: AtomicI64,
    accepting: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(now: Timestamp) -> Self {
        let seen_us = AtomicI64::new(now.timestamp_micros());
        Self { seen_us, accepting: AtomicBool::new(false) }
    }

    pub(crate) fn seen(&self, now: Timestamp) {
        self.seen_us.store(now.timestamp_micros(), Ordering::Relaxed);
    }

    pub(crate) fn seen_at(&self) -> Timestamp {
        let seen_us = self.seen_us.load(Ordering::Relaxed);
        Timestamp::from_timestamp_micros(seen_us).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    pub(crate) fn set_accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Relaxed);
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Relaxed)
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Workforce {
    // A std lock: it is held for map look-ups only, never across an await.
    members: Mutex<BTreeMap<WorkerId, Member>>,
    polls: AtomicU64,
}

impl Workforce {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a poll that no other has.
    pub(crate) fn next_poll(&self) -> u64 {
        self.polls.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn insert(&self, id: WorkerId, member: Member) {
        self.lock().insert(id, member);
    }

    pub(crate) fn remove(&self, id: WorkerId) -> Option<Member> {
        self.lock().remove(&id)
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<Member> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn reach(&self, id: WorkerId) -> Option<Reach> {
        self.lock().get(&id).map(|member| member.reach.clone())
    }

    /// The actor that stands for a worker in another process.
    pub(crate) fn remote(&self, id: WorkerId) -> Option<ActorRef<RemoteMessage>> {
        match self.reach(id)? {
            Reach::Remote(actor) => Some(actor),
            Reach::BuiltIn(_) => None,
        }
    }

    /// All actors that stand for workers in other processes.
    pub(crate) fn remotes(&self) -> Vec<ActorRef<RemoteMessage>> {
        let of = |member: &Member| match &member.reach {
            Reach::Remote(actor) => Some(actor.clone()),
            Reach::BuiltIn(_) => None,
        };
        self.lock().values().filter_map(of).collect()
    }

    /// The worker in another process that has this name.
    pub(crate) fn named(&self, name: &str) -> Option<(WorkerId, Member)> {
        let has = |member: &Member| {
            !member.started.built_in && member.started.name.as_deref() == Some(name)
        };
        let members = self.lock();
        members.iter().find(|(_, member)| has(member)).map(|(id, member)| (*id, member.clone()))
    }

    /// How many there are in other processes.
    pub(crate) fn count_remote(&self) -> usize {
        self.lock().values().filter(|member| !member.started.built_in).count()
    }

    /// How many there are, and how many of them take work now.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let members = self.lock();
        let accepting = members.values().filter(|member| member.pulse.is_accepting()).count();
        (members.len(), accepting)
    }

    /// Whether one that takes work now has all these labels.
    pub(crate) fn has(&self, wanted: &Labels) -> bool {
        let fits =
            |member: &Member| member.pulse.is_accepting() && member.started.labels.have_all(wanted);
        self.lock().values().any(fits)
    }
}
