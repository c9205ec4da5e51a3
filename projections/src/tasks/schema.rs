//! The tables of the tasks.
//!
//! `seq` is the position of an event in the log: rows are written in that order, so tables grow at
//! their end, and "newest first" is the order of the primary key. Counts are kept, so that a list
//! of a million tasks does not count them.
//!
//! A deleted task keeps its row, on another shelf: its status stands there with [`DELETED`] added,
//! so that the ranges and counts of the living do not contain it.

/// What is added to the status of a deleted task, in `tasks` and in `tasks_counts`.
pub(super) const DELETED: i64 = 10;
/// How many microseconds one row of `tasks_times` covers.
pub(super) const TIMES_MICROS: i64 = 300 * 1_000_000;

/// The schema; a change needs a new version of the projection.
pub(super) const SCHEMA: &str = "
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,        -- position of task.created
    id BLOB NOT NULL UNIQUE,
    flow INTEGER NOT NULL,          -- of tasks_refs, as the next two and the worker
    source INTEGER NOT NULL,
    schedule INTEGER,
    -- 0 manual, 1 occurrence, 2 schedule triggered, 3 retry of, 4 backfill
    trigger INTEGER NOT NULL,
    due_at INTEGER,                 -- microseconds, as all times
    retry_of BLOB,
    -- 0 pending, 1 running, 2 waiting, 3 completed, 4 failed, 5 cancelled; 10 more when deleted
    status INTEGER NOT NULL,
    class INTEGER,                  -- of the last failure, unless completed
    attempts INTEGER NOT NULL,      -- attempts started
    attempts_max INTEGER NOT NULL,
    failed_attempt INTEGER,         -- the row of tasks_attempts with the last failure
    output_seq INTEGER,             -- position of task.completed
    next_attempt_at INTEGER,
    -- The last attempt. One that failed has its own row in tasks_attempts too.
    worker INTEGER,
    mode INTEGER,                   -- 0 background, 1 direct
    job_id TEXT,
    definition INTEGER,             -- of tasks_definitions
    attempt_started_at INTEGER,
    attempt_ms INTEGER,
    reattached INTEGER NOT NULL,
    cancelled_by TEXT,              -- set as soon as somebody asked to stop it
    cancel_reason TEXT,
    -- Cancelled, with the run at the source 0 not running, 1 stopped, 2 left running; failed because
    -- 3 attempts exhausted, 4 not retryable, 5 queue timeout, 6 total timeout
    ending INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    updated_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    revision INTEGER NOT NULL,
    deleted_at INTEGER,
    rare TEXT,                      -- JSON: what few tasks have; see tasks/rare.rs
    cancel_requested INTEGER NOT NULL AS (cancelled_by IS NOT NULL),
    deleted INTEGER NOT NULL AS (deleted_at IS NOT NULL)
) STRICT;
-- The primary key is the last column of every index: each list is a range of one of these.
CREATE INDEX tasks_status ON tasks (status);
CREATE INDEX tasks_flow ON tasks (flow, status);
CREATE INDEX tasks_source ON tasks (source, status);
CREATE INDEX tasks_schedule ON tasks (schedule, status) WHERE schedule IS NOT NULL;
CREATE INDEX tasks_due ON tasks (schedule, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tasks_trigger ON tasks (trigger, status);
CREATE INDEX tasks_class ON tasks (class, status) WHERE class IS NOT NULL;
CREATE INDEX tasks_retries ON tasks (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX tasks_worker ON tasks (worker, status) WHERE worker IS NOT NULL;
-- Inputs (at the position of task.created) and outputs (at that of task.completed).
CREATE TABLE tasks_texts (
    seq INTEGER PRIMARY KEY,
    task INTEGER,                   -- that of the task, where it is another
    payload TEXT NOT NULL           -- JSON
) STRICT;
-- Attempts that failed. Attempt 0: the failure of a task that ended while it waited for an attempt.
CREATE TABLE tasks_attempts (
    place INTEGER PRIMARY KEY,      -- position of the event that says so
    seq INTEGER NOT NULL,           -- that of the task
    attempt INTEGER NOT NULL,
    worker INTEGER,
    mode INTEGER,
    job_id TEXT,
    definition INTEGER,
    started_at INTEGER,
    finished_at INTEGER NOT NULL,
    attempt_ms INTEGER,
    reattached INTEGER NOT NULL,
    failure TEXT NOT NULL,          -- JSON
    UNIQUE (seq, attempt)
) STRICT;
-- The components' parts in an attempt.
CREATE TABLE tasks_logs (
    seq INTEGER NOT NULL,           -- that of the task
    attempt INTEGER NOT NULL,
    entries TEXT NOT NULL,          -- JSON: [[component, status, started_at, latency_ms, error], ...]
    PRIMARY KEY (seq, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE tasks_counts (
    schedule INTEGER NOT NULL,      -- 0 for tasks without a schedule
    flow INTEGER NOT NULL,
    source INTEGER NOT NULL,
    trigger INTEGER NOT NULL,
    status INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (schedule, flow, source, trigger, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_counts_flow ON tasks_counts (flow);
-- Which tasks were made in a span of time: for a clock that only goes on, a range of the table.
CREATE TABLE tasks_times (
    span INTEGER PRIMARY KEY,       -- created_at, in whole spans
    first INTEGER NOT NULL,         -- the lowest and the highest seq
    last INTEGER NOT NULL
) STRICT;
-- The words of a task's texts, by seq. Filled behind the other tables; see tasks/search.rs.
CREATE VIRTUAL TABLE tasks_words USING fts5 (words, content = '', columnsize = 0, detail = none,
    tokenize = 'ascii');
CREATE TABLE tasks_search (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    place INTEGER NOT NULL          -- the last text whose words are in tasks_words
) STRICT;
INSERT INTO tasks_search VALUES (1, 0);
-- The hashes of definitions, which recur in every task of a flow.
CREATE TABLE tasks_definitions (
    ref INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE
) STRICT;
-- Short numbers for the ids of flows, sources, schedules and workers, which recur in every task.
CREATE TABLE tasks_refs (
    ref INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE
) STRICT";
