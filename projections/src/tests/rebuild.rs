//! However the log is cut into batches, the rows are the same; a poison event halts one
//! projection at one place.

use proptest::prelude::*;
use spark_events::domain::flow::{FlowDeleted, FlowEvent};
use spark_events::domain::overlap::Overlap;
use spark_events::domain::retry::GiveUp;
use spark_events::domain::schedule::*;
use spark_events::domain::source::{SourceEvent, SourceUpdated};
use spark_events::domain::task::*;
use spark_events::{Position, StreamName, TaskId};

use super::support::*;

/// Where one task of a random story stands.
#[derive(Default, Clone, Copy)]
struct Stage {
    created: bool,
    running: bool,
    ended: bool,
    deleted: bool,
    attempts: u32,
}

/// Turns random numbers into a story in which every task lives a legal life.
fn story(steps: &[(u8, u8)]) -> Story {
    let mut story = Story::with_flow();
    story.add(SCHEDULE.stream(), schedule("s"));
    let mut tasks = [Stage::default(); 5];
    for (who, what) in steps {
        let who = usize::from(*who);
        match tasks.get_mut(who) {
            Some(stage) => step(&mut story, stage, task_id(who as u128), *what),
            None => aside(&mut story, *what),
        }
    }
    story
}

fn step(story: &mut Story, stage: &mut Stage, id: TaskId, what: u8) {
    let attempt = stage.attempts;
    if stage.ended {
        if what > 8 && !stage.deleted {
            stage.deleted = true;
            story.task(id, TaskEvent::Deleted(TaskDeleted {}));
        }
        return;
    }
    if !stage.created {
        stage.created = true;
        let trigger = match what % 4 {
            0 => Trigger::Manual,
            1 => Trigger::Occurrence { schedule_id: SCHEDULE, due_at: at(u64::from(what)) },
            2 => Trigger::RetryOf { task_id: task_id(99) },
            _ => Trigger::Backfill { schedule_id: SCHEDULE, due_at: at(2), number: 1 },
        };
        let held = what > 6;
        let spec = TaskSpec { held, priority: i32::from(what), ..task_spec(FLOW, trigger) };
        story.task(id, TaskEvent::Created(Box::new(spec)));
        if held {
            story.task(id, TaskEvent::Released(TaskReleased { at: at(20) }));
        }
    } else if !stage.running {
        if what == 6 {
            stage.ended = true;
            let (why, failure) = (GiveUp::TotalTimeout, failure("too late"));
            story.task(id, TaskEvent::Failed(TaskFailed { attempts: attempt, why, failure }));
        } else if what == 7 {
            stage.ended = true;
            story.task(
                id,
                TaskEvent::Cancelled(TaskCancelled {
                    attempts: attempt,
                    remote: RemoteStop::NotRunning,
                }),
            );
        } else {
            stage.running = true;
            stage.attempts += 1;
            story.started(id, stage.attempts);
        }
    } else {
        match what {
            0 => {
                story.task(
                    id,
                    TaskEvent::Submitted(TaskSubmitted {
                        attempt,
                        job_id: format!("job-{attempt}"),
                    }),
                );
            }
            1 => {
                story
                    .task(id, TaskEvent::Reattached(TaskReattached { attempt, worker_id: WORKER }));
            }
            2 => {
                story.task(id, TaskEvent::CancelRequested(TaskCancelRequested { attempt }));
            }
            3 => {
                let entry = ComponentLog {
                    component: "C".into(),
                    status: "ok".into(),
                    started_at: None,
                    latency_ms: None,
                    error: None,
                };
                story.task(
                    id,
                    TaskEvent::LogRecorded(TaskLogRecorded { attempt, entries: vec![entry] }),
                );
            }
            4 | 5 => {
                stage.running = false;
                story.task(
                    id,
                    TaskEvent::AttemptFailed(TaskAttemptFailed {
                        attempt,
                        failure: failure(&format!("no {attempt}")),
                        duration_ms: 5,
                    }),
                );
                if what == 5 {
                    stage.ended = true;
                    story.task(
                        id,
                        TaskEvent::Failed(TaskFailed {
                            attempts: attempt,
                            why: GiveUp::AttemptsExhausted,
                            failure: failure("no"),
                        }),
                    );
                } else {
                    story.task(
                        id,
                        TaskEvent::RetryScheduled(TaskRetryScheduled {
                            attempt: attempt + 1,
                            not_before: at(500),
                            delay_ms: 5,
                        }),
                    );
                }
            }
            _ => {
                stage.ended = true;
                story.completed(id, attempt, "yes");
            }
        }
    }
}

/// Something that happens beside the tasks.
fn aside(story: &mut Story, what: u8) {
    let n = story.next();
    let (due_at, next_due_at, next_starts_at) = (at(n), Some(at(n + 5)), None);
    let (task_id, origin) = (task_id(0), Origin::Occurrence { due_at });
    match what {
        0 => {
            story.add(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {}));
        }
        1 => {
            story.add(FLOW.stream(), FlowEvent::Synced(Box::new(flow("again"))));
        }
        2 => {
            let patch = SourceUpdated { runs_max: Some(n as u32), ..Default::default() };
            story.add(SOURCE.stream(), SourceEvent::Updated(patch));
        }
        3 => {
            story.add(
                SCHEDULE.stream(),
                ScheduleEvent::Paused(SchedulePaused {
                    at: at(n),
                    note: None,
                    dropped: vec![at(n - 1)],
                }),
            );
        }
        4 => {
            let resumed =
                ScheduleResumed { paused_at: at(1), at: at(n), next_due_at, next_starts_at };
            story.add(SCHEDULE.stream(), ScheduleEvent::Resumed(resumed));
        }
        5 => {
            story.add(SCHEDULE.stream(), ScheduleEvent::Triggered(ScheduleTriggered { task_id }));
        }
        6 => {
            story.add_raw(SCHEDULE.stream(), "schedule.moved", 1, b"{}");
        }
        8 => {
            let e = ScheduleBuffered { origin, overlap: None, next_due_at, next_starts_at };
            story.add(SCHEDULE.stream(), ScheduleEvent::Buffered(e));
        }
        9 => {
            let (spec, changed) = (schedule_spec("edited"), vec!["name".into()]);
            let (at, dropped, zone_data) = (due_at, vec![], "2026a".into());
            story.add(
                SCHEDULE.stream(),
                ScheduleEvent::Edited(Box::new(ScheduleEdited {
                    spec,
                    changed,
                    at,
                    dropped,
                    next_due_at,
                    next_starts_at,
                    zone_data,
                })),
            );
        }
        10 => {
            let (from, to, due) = (at(1), at(2), vec![at(1), at(2)]);
            let (only, overlap) = (BackfillOnly::Missing, Overlap::BufferAll);
            let (number, active_max) = (1, 1);
            story.add(
                SCHEDULE.stream(),
                ScheduleEvent::BackfillStarted(Box::new(ScheduleBackfillStarted {
                    number,
                    from,
                    to,
                    only,
                    overlap,
                    active_max,
                    due,
                })),
            );
            let e = ScheduleBackfilled { number, due_at: from, task_id };
            story.add(SCHEDULE.stream(), ScheduleEvent::Backfilled(e));
        }
        _ => {
            let e = ScheduleFired { due_at, task_id, dst: None, next_due_at, next_starts_at };
            story.add(SCHEDULE.stream(), ScheduleEvent::Fired(e));
        }
    }
}

/// Feeds a story cut at random places.
fn in_batches(story: &Story, cuts: &[usize]) -> Model {
    let mut model = Model::new();
    let mut fed = 0;
    for cut in cuts {
        let end = (fed + cut).min(story.events.len());
        if end > fed {
            model.feed(story, end);
            fed = end;
        }
    }
    if fed < story.events.len() {
        model.feed(story, story.events.len());
    }
    model
}

fn one_by_one(story: &Story) -> Model {
    in_batches(story, &vec![1; story.events.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cuts_between_batches_do_not_show(
        steps in prop::collection::vec((0_u8..7, 0_u8..12), 0..60),
        cuts in prop::collection::vec(1_usize..20, 0..12),
        poison in prop::option::of(0_usize..60),
    ) {
        let mut story = story(&steps);
        if let Some(poison) = poison && let Some(event) = story.events.get_mut(poison) {
            event.data = "{\"half".into();
        }
        let (slow, fast) = (one_by_one(&story), in_batches(&story, &cuts));
        prop_assert_eq!(slow.dump(), fast.dump());
        prop_assert_eq!(slow.health(), fast.health());
    }
}

#[test]
fn a_poison_event_halts_those_alone_who_read_it() {
    let mut story = story(&[(0, 0), (0, 0), (1, 0), (5, 7)]);
    let poison = story.add_raw(task_id(3).stream(), "task.created", 1, b"not json");
    story.completed(task_id(0), 1, "never shown");
    story.add(FLOW.stream(), FlowEvent::Deleted(FlowDeleted {}));
    let model = Model::of(&story);
    let head = story.events.last().unwrap().position;
    for health in model.health() {
        if ["tasks", "worker_counts"].contains(&health.name) {
            assert_eq!(health.position, Position(poison.0 - 1));
            let halted = health.halted.unwrap();
            assert_eq!(halted.position, poison);
            assert!(halted.reason.contains("task.created"), "{}", halted.reason);
        } else {
            assert_eq!((health.position, health.halted), (head, None), "{}", health.name);
        }
    }
    let rows = model.dump();
    assert!(rows.iter().any(|row| row.starts_with("tasks: ")), "the events before it are kept");
    assert!(!rows.iter().any(|row| row.contains("never shown")), "those after it wait");
}

#[test]
fn an_event_that_does_not_fit_is_poison_too() {
    for first in [true, false] {
        let mut story = Story::with_flow();
        if first {
            // Never created.
            story.started(task_id(1), 1);
        } else {
            story.created(task_id(1), Trigger::Manual);
            story.created(task_id(1), Trigger::Manual);
        }
        let last = story.events.last().unwrap().position;
        let health = Model::of(&story).health();
        let tasks = health.iter().find(|health| health.name == "tasks").unwrap();
        assert_eq!(tasks.halted.as_ref().unwrap().position, last);
        assert_eq!(one_by_one(&story).health(), health);
    }
}

#[test]
fn an_unknown_type_is_counted_and_passed_over() {
    let mut story = story(&[(5, 6), (0, 0), (5, 6), (5, 7)]);
    story.add_raw(task_id(0).stream(), "task.archived", 3, b"{}");
    story.add_raw(StreamName::new("blob-abc").unwrap(), "blob.chunk_stored", 1, b"\xff");
    let health = Model::of(&story).health();
    let skipped: Vec<_> = health.iter().map(|h| (h.name, h.skipped_unknown)).collect();
    assert_eq!(
        skipped,
        [
            ("sources", 0),
            ("flows", 0),
            ("schedules", 2),
            ("tasks", 1),
            ("workers", 0),
            ("worker_counts", 1),
            ("keys", 0),
            ("alerts", 0)
        ]
    );
    assert!(health.iter().all(|health| health.halted.is_none()));
}

#[test]
fn a_newer_schema_version_is_poison() {
    let mut story = story(&[(0, 0)]);
    let poison = story.add_raw(task_id(0).stream(), "task.started", 99, b"{}");
    let health = Model::of(&story).health();
    let tasks = health.into_iter().find(|health| health.name == "tasks").unwrap();
    let halted = tasks.halted.unwrap();
    assert_eq!(halted.position, poison);
    assert!(halted.reason.contains("update Spark"), "{}", halted.reason);
}
