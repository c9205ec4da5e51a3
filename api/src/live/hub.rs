//! From the log to the listeners that are up to date. Listeners with equal filters form a group,
//! so that an event is written once for each group and a piece is shared by all of it. A group
//! gets at most one piece per pause: the first event after a quiet time leaves at once, what
//! follows it closely goes together.

use std::collections::HashMap;
use std::time::Duration;

use spark_events::log::SubscriptionItem;
use spark_events::log::catch_up::CatchUp;
use spark_events::{LogError, Position, RecordedEvent, StreamName, limits};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};

use super::filter::{Filter, Key};
use super::{Join, Live, Piece, write};

const PAUSE: Duration = Duration::from_millis(limits::LISTENER_PAUSE_MS);
const TIDY_EVERY: Duration = Duration::from_millis(limits::LISTENER_HEARTBEAT_MS);

pub(super) struct Hub {
    live: Live,
    joining: mpsc::Receiver<Join>,
    /// Where the log is followed; only while somebody listens.
    following: Option<CatchUp>,
    groups: Groups,
    /// Listeners who have read further in the log than this hub.
    early: Vec<Join>,
}

/// Who listens, and what waits to be sent.
#[derive(Default)]
struct Groups {
    ids: HashMap<Filter, u64>,
    groups: HashMap<u64, Group>,
    by_stream: HashMap<StreamName, Vec<u64>>,
    by_category: HashMap<&'static str, Vec<u64>>,
    everything: Vec<u64>,
    /// Groups with something that waits to be sent.
    waiting: Vec<u64>,
    next_id: u64,
    /// How many listen, as of the last time somebody came or the last tidying.
    listeners: usize,
}

struct Group {
    filter: Filter,
    listeners: Vec<mpsc::Sender<Piece>>,
    waiting: Vec<u8>,
    through: Position,
    sent_at: Option<Instant>,
}

impl Hub {
    pub(super) fn new(live: Live, joining: mpsc::Receiver<Join>) -> Self {
        Self { live, joining, following: None, groups: Groups::default(), early: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        let mut tidy = interval(TIDY_EVERY);
        loop {
            let waits = !self.groups.waiting.is_empty();
            let due = waits.then(|| Instant::now() + self.groups.pause());
            tokio::select! {
                join = self.joining.recv() => match join {
                    Some(join) => self.join(join).await,
                    None => return,
                },
                item = next(self.following.as_mut()) => match item {
                    Ok(SubscriptionItem::Events(events)) => self.events(&events),
                    Ok(SubscriptionItem::CaughtUp) => {}
                    Err(LogError::Closed) => return,
                    Err(error) => tracing::error!(%error, "listeners wait for an event"),
                },
                () = until(due) => {
                    self.groups.send_all();
                    self.has_passed();
                }
                _ = tidy.tick() => self.tidy(),
            }
        }
    }

    async fn join(&mut self, join: Join) {
        let position = match &self.following {
            Some(following) => following.position(),
            None => match self.live.log().head().await {
                Ok(head) => {
                    self.following = Some(CatchUp::new(self.live.log().clone(), head));
                    self.live.set_passed(head);
                    head
                }
                Err(error) => {
                    let _ = join.begins.send(Err(error));
                    return;
                }
            },
        };
        if join.at > position {
            self.early.push(join);
            return;
        }
        // Who has gone meanwhile is found out by the first piece or the next tidying.
        if join.begins.send(Ok(position)).is_ok() {
            self.groups.add(join.filter, join.pieces);
        }
    }

    fn events(&mut self, events: &[RecordedEvent]) {
        let mut written = Vec::new();
        for event in events {
            self.groups.give(event, &mut written);
        }
        self.groups.send_due(Instant::now());
        self.has_passed();
        self.admit();
    }

    /// Lets in those who were early.
    fn admit(&mut self) {
        let Some(position) = self.following.as_ref().map(CatchUp::position) else { return };
        for join in self.early.extract_if(.., |join| join.at <= position) {
            if join.begins.send(Ok(position)).is_ok() {
                self.groups.add(join.filter, join.pieces);
            }
        }
    }

    /// Once nothing waits, every listener that is up to date has all that was read.
    fn has_passed(&self) {
        if let Some(following) = &self.following
            && self.groups.waiting.is_empty()
        {
            self.live.set_passed(following.position());
        }
    }

    fn tidy(&mut self) {
        self.groups.send_all();
        self.has_passed();
        self.groups.tidy();
        self.early.retain(|join| !join.pieces.is_closed());
        if self.groups.groups.is_empty() && self.early.is_empty() {
            self.following = None;
        }
    }
}

async fn next(following: Option<&mut CatchUp>) -> Result<SubscriptionItem, LogError> {
    match following {
        Some(following) => following.next().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Groups {
    fn add(&mut self, filter: Filter, listener: mpsc::Sender<Piece>) {
        self.listeners += 1;
        if let Some(id) = self.ids.get(&filter).copied() {
            // What waits was recorded before this listener begins.
            self.send(id, Instant::now());
            if let Some(group) = self.groups.get_mut(&id) {
                group.listeners.push(listener);
                return;
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        for list in self.lists(&filter) {
            list.push(id);
        }
        self.ids.insert(filter.clone(), id);
        let group = Group {
            filter,
            listeners: vec![listener],
            waiting: Vec::new(),
            through: Position::START,
            sent_at: None,
        };
        self.groups.insert(id, group);
    }

    /// The lists of the index in which a filter stands.
    fn lists(&mut self, filter: &Filter) -> Vec<&mut Vec<u64>> {
        match filter.key() {
            Key::Everything => vec![&mut self.everything],
            Key::Streams(streams) => {
                for stream in streams {
                    self.by_stream.entry(stream.clone()).or_default();
                }
                let lists = self.by_stream.iter_mut();
                lists.filter(|(name, _)| streams.contains(name)).map(|(_, list)| list).collect()
            }
            Key::Categories(categories) => {
                for category in &categories {
                    self.by_category.entry(category).or_default();
                }
                let lists = self.by_category.iter_mut();
                lists.filter(|(name, _)| categories.contains(name)).map(|(_, list)| list).collect()
            }
        }
    }

    /// Writes an event for every group that wants it. `written` is room to write in.
    fn give(&mut self, event: &RecordedEvent, written: &mut Vec<u8>) {
        written.clear();
        let of_stream = self.by_stream.get(&event.stream).into_iter().flatten();
        let of_category = self.by_category.get(event.stream.category()).into_iter().flatten();
        let candidates = of_stream.chain(of_category).chain(&self.everything).copied();
        for id in candidates {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if !group.filter.wants(event) {
                continue;
            }
            if written.is_empty() {
                write(event, written);
            }
            if group.waiting.is_empty() {
                self.waiting.push(id);
            }
            group.waiting.extend_from_slice(written);
            group.through = event.position;
            if group.waiting.len() >= limits::LISTENER_PIECE_BYTES_MAX {
                group.send(Instant::now());
                self.waiting.retain(|waiting| *waiting != id);
            }
        }
    }

    /// The time between two pieces for the same listener: the longer, the more there are.
    fn pause(&self) -> Duration {
        let each = Duration::from_micros(limits::LISTENER_PAUSE_EACH_US);
        let listeners = u32::try_from(self.listeners).unwrap_or(u32::MAX);
        PAUSE.max(each * listeners)
    }

    /// Sends what waits in groups whose pause is over.
    fn send_due(&mut self, now: Instant) {
        let pause = self.pause();
        let groups = &mut self.groups;
        self.waiting.retain(|id| match groups.get_mut(id) {
            Some(group) if group.sent_at.is_some_and(|at| now < at + pause) => true,
            Some(group) => {
                group.send(now);
                false
            }
            None => false,
        });
    }

    fn send_all(&mut self) {
        let now = Instant::now();
        for id in std::mem::take(&mut self.waiting) {
            if let Some(group) = self.groups.get_mut(&id) {
                group.send(now);
            }
        }
    }

    fn send(&mut self, id: u64, now: Instant) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.send(now);
        }
        self.waiting.retain(|waiting| *waiting != id);
    }

    /// Forgets who has gone.
    fn tidy(&mut self) {
        let mut gone = Vec::new();
        for (id, group) in &mut self.groups {
            group.listeners.retain(|listener| !listener.is_closed());
            if group.listeners.is_empty() {
                gone.push(*id);
            }
        }
        for id in gone {
            let Some(group) = self.groups.remove(&id) else { continue };
            for list in self.lists(&group.filter) {
                list.retain(|other| *other != id);
            }
            self.ids.remove(&group.filter);
            self.waiting.retain(|waiting| *waiting != id);
        }
        self.by_stream.retain(|_, list| !list.is_empty());
        self.listeners = self.groups.values().map(|group| group.listeners.len()).sum();
    }
}

impl Group {
    /// Sends what waits. A listener who has no room for it is left behind: it reads the log by
    /// itself from where its pieces end.
    fn send(&mut self, now: Instant) {
        if self.waiting.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.waiting).into();
        let piece = Piece { bytes, through: self.through };
        self.listeners.retain(|listener| listener.try_send(piece.clone()).is_ok());
        self.sent_at = Some(now);
    }
}
