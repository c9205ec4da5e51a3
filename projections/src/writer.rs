//! The one writer of the read models' file: applies batches to every projection, each with its
//! own savepoint, checkpoint and halt. Runs on a thread of its own; never reads the log.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use spark_events::Position;
use spark_events::limits::{LOG_RETRY_MS_MAX, LOG_RETRY_MS_MIN, PROJECTION_COMMIT_EVENTS_MAX};
use tokio::sync::{mpsc, oneshot};

use crate::database::{self, State};
use crate::error::ProjectionError;
use crate::follow::Restart;
use crate::idle::{Next, Turns};
use crate::projection::{Content, Decoded, Event, Projection};
use crate::runner::{Halt, ProjectionHealth, Shared};
use crate::tasks::{TASKS, search};

/// Something for the writer to do.
pub(crate) enum Work {
    /// The next events.
    Batch(Batch),
    /// Do something to one projection, and say whether it worked.
    Verb(Verb, String, oneshot::Sender<Result<(), ProjectionError>>),
    /// The log ends before what some projections have seen: it is another log.
    OtherLog(Position),
    /// What the log says a projection passes over.
    Skips(&'static str, BTreeSet<Position>),
}

/// What can be done to one projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Retry,
    Rebuild,
    Skip(Position),
}

/// Neighbouring events of the log, decoded.
pub(crate) struct Batch {
    /// Which start of the following they belong to; those of an earlier one are dropped.
    pub(crate) generation: u64,
    /// The position that the log was read after to get them.
    pub(crate) after: Position,
    pub(crate) events: Vec<Decoded>,
}

/// A projection with its stored state.
struct Slot {
    projection: Box<dyn Projection>,
    state: State,
    /// Events that it passes over.
    skips: BTreeSet<Position>,
}

pub(crate) struct Writer {
    conn: Connection,
    slots: Vec<Slot>,
    shared: Arc<Shared>,
    generation: u64,
    /// The next pause while the file cannot be written.
    pause_ms: u64,
    /// When texts are made searchable.
    turns: Turns,
}

impl Writer {
    /// Takes the file and the projections' stored state.
    pub(crate) fn new(
        mut conn: Connection,
        projections: Vec<Box<dyn Projection>>,
        shared: Arc<Shared>,
    ) -> Result<Self, ProjectionError> {
        let mut slots = Vec::with_capacity(projections.len());
        for projection in projections {
            let state = database::prepare(&mut conn, &*projection)?;
            slots.push(Slot { projection, state, skips: BTreeSet::new() });
        }
        let (pause_ms, turns) = (LOG_RETRY_MS_MIN, Turns::new());
        let mut writer = Self { conn, slots, shared, generation: 0, pause_ms, turns };
        writer.publish();
        writer.follow_anew();
        Ok(writer)
    }

    /// Works until nobody sends any more.
    pub(crate) fn run(mut self, mut work: mpsc::Receiver<Work>) {
        let mut kept = None;
        loop {
            let next = match kept.take() {
                Some(next) => Next::Work(next),
                None => self.turns.next(&mut work),
            };
            let next = match next {
                Next::Work(next) => next,
                Next::Idle => {
                    self.index_texts();
                    continue;
                }
                Next::Ended => break,
            };
            match next {
                Work::Batch(batch) => kept = self.take(batch, || work.try_recv().ok()),
                Work::Verb(verb, name, answer) => {
                    let _ = answer.send(self.verb(verb, &name));
                }
                Work::OtherLog(head) => self.forget_after(head),
                Work::Skips(name, skips) => self.take_skips(name, skips),
            }
        }
        // Leaves one tidy file behind; without it the next start reads the write-ahead log.
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Makes the next texts searchable. Trouble with that is told and tried again; it does not
    /// stop the lists.
    pub(crate) fn index_texts(&mut self) {
        let Some(tasks) = self.slots.iter().find(|slot| slot.projection.name() == TASKS) else {
            self.turns.taken(false);
            return;
        };
        let reached = tasks.state.position;
        let indexed =
            self.conn.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
                let indexed = search::advance(&tx)?;
                tx.commit()?;
                Ok(indexed)
            });
        match indexed {
            Ok(indexed) => {
                self.turns.taken(indexed.more);
                let place = Position(crate::columns::unsigned(indexed.place));
                self.shared.searchable.send_replace(if indexed.more { place } else { reached });
            }
            Err(error) => {
                tracing::warn!(%error, "the texts of tasks cannot be made searchable");
                self.turns.failed();
            }
        }
    }

    /// Applies a batch, and those that wait already, in one transaction. Gives back the first work
    /// that is no batch. While the file cannot be written it pauses, and has the log read again
    /// from the last commit.
    pub(crate) fn take(
        &mut self,
        batch: Batch,
        queued: impl FnMut() -> Option<Work>,
    ) -> Option<Work> {
        if batch.generation != self.generation {
            return None;
        }
        match self.try_take(batch, queued) {
            Ok((states, rest)) => {
                for (slot, state) in self.slots.iter_mut().zip(states) {
                    note_halt(slot, &state);
                    slot.state = state;
                }
                self.pause_ms = LOG_RETRY_MS_MIN;
                self.shared.set_store_trouble(None);
                self.publish();
                rest
            }
            Err(error) => {
                for slot in &mut self.slots {
                    slot.projection.discard();
                }
                tracing::warn!(%error, "the read models cannot be written");
                self.shared.set_store_trouble(Some(error.to_string()));
                if !self.shared.aborting.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(self.pause_ms));
                }
                self.pause_ms = (self.pause_ms * 2).min(LOG_RETRY_MS_MAX);
                self.follow_anew();
                None
            }
        }
    }

    /// One transaction: every projection's rows and checkpoints. The new states count only when it
    /// is committed.
    fn try_take(
        &mut self,
        mut batch: Batch,
        mut queued: impl FnMut() -> Option<Work>,
    ) -> Result<(Vec<State>, Option<Work>), ProjectionError> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut states: Vec<State> = self.slots.iter().map(|slot| slot.state.clone()).collect();
        let mut events = 0;
        let rest = loop {
            for (slot, state) in self.slots.iter_mut().zip(&mut states) {
                *state = advance(&tx, &mut *slot.projection, state, &slot.skips, &batch)?;
            }
            events += batch.events.len();
            if events >= PROJECTION_COMMIT_EVENTS_MAX {
                break None;
            }
            match queued() {
                Some(Work::Batch(more)) if more.generation == self.generation => batch = more,
                Some(Work::Batch(_)) => {}
                other => break other,
            }
        };
        for (slot, state) in self.slots.iter().zip(&states) {
            if slot.state != *state {
                database::save(&tx, slot.projection.name(), state)?;
            }
        }
        tx.commit()?;
        Ok((states, rest))
    }

    fn verb(&mut self, verb: Verb, name: &str) -> Result<(), ProjectionError> {
        let known = || self.slots.iter().map(|slot| slot.projection.name()).collect();
        let index = self.slots.iter().position(|slot| slot.projection.name() == name);
        let Some(index) = index else {
            return Err(ProjectionError::Unknown { name: name.to_owned(), known: known() });
        };
        if let Verb::Skip(position) = verb {
            self.slots[index].skips.insert(position);
        }
        match verb {
            Verb::Retry | Verb::Skip(_) => {
                let state = State { halted: None, ..self.slots[index].state.clone() };
                database::save(&self.conn, name, &state)?;
                self.slots[index].state = state;
            }
            Verb::Rebuild => self.rebuild(index)?,
        }
        self.publish();
        self.follow_anew();
        Ok(())
    }

    /// Takes what the log says is passed over. One that stands before such an event goes on.
    fn take_skips(&mut self, name: &str, skips: BTreeSet<Position>) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.projection.name() == name) else {
            return;
        };
        let stands = slot.state.halted.as_ref().is_some_and(|(at, _)| skips.contains(at));
        slot.skips = skips;
        if stands && let Err(error) = self.verb(Verb::Retry, name) {
            tracing::warn!(projection = name, %error, "a skip could not be taken over");
        }
        self.publish();
    }

    fn rebuild(&mut self, index: usize) -> Result<(), ProjectionError> {
        let slot = &mut self.slots[index];
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let state = database::reset(&tx, &*slot.projection)?;
        tx.commit()?;
        slot.state = state;
        // What it remembers is of the tables that are gone.
        slot.projection.discard();
        Ok(())
    }

    /// Rebuilds the projections that have seen more than the log holds.
    fn forget_after(&mut self, head: Position) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.state.position > head {
                tracing::warn!(
                    projection = slot.projection.name(), position = %slot.state.position, %head,
                    "the log ends before this projection's checkpoint: it is another log, building again"
                );
                if let Err(error) = self.rebuild(index) {
                    self.shared.set_store_trouble(Some(error.to_string()));
                }
            }
        }
        self.publish();
        self.follow_anew();
    }

    /// How far every projection that goes on has come; where none does, how far the furthest came.
    fn reached(&self) -> Position {
        let going_on = self.slots.iter().filter(|slot| slot.state.halted.is_none());
        let all = self.slots.iter().map(|slot| slot.state.position);
        going_on.map(|slot| slot.state.position).min().or_else(|| all.max()).unwrap_or_default()
    }

    /// Has the log read again from where the hindmost projection is.
    fn follow_anew(&mut self) {
        self.generation += 1;
        self.shared
            .restart
            .send_replace(Restart { generation: self.generation, after: self.reached() });
    }

    fn publish(&mut self) {
        let health = self.slots.iter().map(|slot| ProjectionHealth {
            name: slot.projection.name(),
            position: slot.state.position,
            halted: slot
                .state
                .halted
                .as_ref()
                .map(|(position, reason)| Halt { position: *position, reason: reason.clone() }),
            skipped_unknown: slot.state.skipped_unknown,
            skipped: slot.skips.iter().copied().collect(),
        });
        self.shared.set_health(health.collect());
        self.shared.reached.send_replace(self.reached());
        self.turns.waiting = true;
    }
}

fn note_halt(slot: &Slot, new: &State) {
    if let (None, Some((position, reason))) = (&slot.state.halted, &new.halted) {
        tracing::error!(
            projection = slot.projection.name(), %position, reason,
            "the projection halts; the others go on"
        );
    }
}

/// Applies a batch to one projection and gives its new state. Only trouble with the file is an
/// error; anything else halts the projection.
fn advance(
    conn: &Connection,
    projection: &mut dyn Projection,
    state: &State,
    skips: &BTreeSet<Position>,
    batch: &Batch,
) -> Result<State, ProjectionError> {
    let mut state = state.clone();
    let end = batch.events.last().map_or(batch.after, |event| event.recorded.position);
    if state.halted.is_some() || state.position >= end {
        return Ok(state);
    }
    // Committed rows that the batch does not follow would hide a gap.
    if state.position < batch.after {
        let reason = format!("the log was read after {} only; rebuild", batch.after);
        state.halted = Some((batch.after, reason));
        return Ok(state);
    }
    let categories = projection.categories();
    let wanted = |event: &&Decoded| {
        event.recorded.position > state.position
            && !matches!(event.content, Content::Foreign)
            && !skips.contains(&event.recorded.position)
            && categories.contains(&event.recorded.stream.category())
    };
    let events: Vec<&Decoded> = batch.events.iter().filter(wanted).collect();
    if !events.is_empty()
        && let Some((poison, reason)) = apply_all(conn, projection, &events)?
    {
        let before = batch.events.iter().map(|event| event.recorded.position);
        let before = before.take_while(|position| *position < poison).last();
        state.position = before.map_or(state.position, |before| before.max(state.position));
        state.halted = Some((poison, reason));
    } else {
        state.position = end;
    }
    let passed = events.iter().filter(|event| event.recorded.position <= state.position);
    let unknown = passed.filter(|event| matches!(event.content, Content::Unknown)).count();
    state.skipped_unknown += unknown as u64;
    Ok(state)
}

/// Applies all events or those before the poison event, which it names.
fn apply_all(
    conn: &Connection,
    projection: &mut dyn Projection,
    events: &[&Decoded],
) -> Result<Option<(Position, String)>, ProjectionError> {
    conn.execute_batch("SAVEPOINT batch")?;
    let poison = match attempt(conn, projection, events) {
        Ok(()) => None,
        Err(error) if error.is_outage() => return Err(error),
        Err(_) => {
            projection.discard();
            conn.execute_batch("ROLLBACK TO batch")?;
            apply_until_poison(conn, projection, events)?
        }
    };
    conn.execute_batch("RELEASE batch")?;
    Ok(poison)
}

/// One event at a time, so that the culprit is known and nothing of it is kept.
fn apply_until_poison(
    conn: &Connection,
    projection: &mut dyn Projection,
    events: &[&Decoded],
) -> Result<Option<(Position, String)>, ProjectionError> {
    for event in events {
        conn.execute_batch("SAVEPOINT event")?;
        match attempt(conn, projection, std::slice::from_ref(event)) {
            Ok(()) => conn.execute_batch("RELEASE event")?,
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                projection.discard();
                conn.execute_batch("ROLLBACK TO event; RELEASE event")?;
                return Ok(Some((event.recorded.position, error.to_string())));
            }
        }
    }
    Ok(None)
}

/// Applies and flushes. A panic is a defect of ours that must not take the other projections down.
fn attempt(
    conn: &Connection,
    projection: &mut dyn Projection,
    events: &[&Decoded],
) -> Result<(), ProjectionError> {
    let applied = catch_unwind(AssertUnwindSafe(|| {
        for event in events {
            apply_one(conn, projection, event)?;
        }
        projection.flush(conn)
    }));
    applied.unwrap_or_else(|_| {
        let last = events.last().map(|event| &event.recorded);
        Err(ProjectionError::Apply {
            position: last.map_or(Position::START, |event| event.position),
            event_type: last.map_or_else(String::new, |event| event.event_type.to_string()),
            reason: "the projection panicked; please report this".into(),
        })
    })
}

fn apply_one(
    conn: &Connection,
    projection: &mut dyn Projection,
    event: &Decoded,
) -> Result<(), ProjectionError> {
    let recorded = &event.recorded;
    match &event.content {
        Content::Domain(id, domain) => projection.apply(conn, &Event { recorded, id: *id, domain }),
        Content::Unknown | Content::Foreign => Ok(()),
        Content::Unreadable(error) => Err(ProjectionError::Apply {
            position: recorded.position,
            event_type: recorded.event_type.to_string(),
            reason: error.to_string(),
        }),
    }
}
