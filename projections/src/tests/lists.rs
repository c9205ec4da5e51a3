//! Lists of tasks against a slow and obvious model, and the bug of a list that began with its
//! oldest row.

use proptest::prelude::*;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::retry::GiveUp;
use spark_events::domain::task::*;
use spark_events::{FlowId, Payload, ScheduleId, TaskId, WorkerId};
use uuid::Uuid;

use super::support::*;
use crate::store::Page;
use crate::tasks::{TaskFilter, TaskSort};

const WORDS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "alphabet"];

/// One random task: what it is made of, and what becomes of it.
#[derive(Debug, Clone)]
struct Made {
    flow: u8,
    trigger: u8,
    input: u8,
    fate: u8,
    answer: u8,
    class: bool,
    worker: u8,
}

fn made() -> impl Strategy<Value = Made> {
    (0_u8..3, 0_u8..5, 0_u8..5, 0_u8..8, 0_u8..5, any::<bool>(), 0_u8..2).prop_map(
        |(flow, trigger, input, fate, answer, class, worker)| Made {
            flow,
            trigger,
            input,
            fate,
            answer,
            class,
            worker,
        },
    )
}

fn flow_of(n: u8) -> FlowId {
    FlowId(Uuid::from_u128(100 + u128::from(n)))
}

fn schedule_of(n: u8) -> ScheduleId {
    ScheduleId(Uuid::from_u128(200 + u128::from(n)))
}

fn worker_of(n: u8) -> WorkerId {
    WorkerId(Uuid::from_u128(300 + u128::from(n)))
}

fn word(n: u8) -> &'static str {
    WORDS[usize::from(n) % WORDS.len()]
}

fn class_of(made: &Made) -> FailureClass {
    if made.class { FailureClass::Timeout } else { FailureClass::Component }
}

impl Made {
    fn trigger(&self) -> Trigger {
        let schedule_id = schedule_of(self.flow);
        match self.trigger {
            0 => Trigger::Manual,
            1 => Trigger::Occurrence { schedule_id, due_at: at(1) },
            2 => Trigger::ScheduleTriggered { schedule_id },
            3 => Trigger::RetryOf { task_id: task_id(77) },
            _ => Trigger::Backfill { schedule_id, due_at: at(1), number: 2 },
        }
    }

    fn status(&self) -> TaskStatus {
        [
            TaskStatus::Pending,
            TaskStatus::Running,
            TaskStatus::Completed,
            TaskStatus::Failed,
            TaskStatus::Waiting,
            TaskStatus::Failed,
            TaskStatus::Failed,
            TaskStatus::Completed,
        ][usize::from(self.fate)]
    }

    /// The class of the last failure, unless it completed. Fates 5 and 6 run out of time while they
    /// wait for an attempt.
    fn failed_as(&self) -> Option<FailureClass> {
        match self.fate {
            3 | 4 => Some(class_of(self)),
            5 | 6 => Some(FailureClass::Upstream),
            _ => None,
        }
    }

    /// Who made its last attempt. Fates 0 and 5 have none.
    fn worker(&self) -> Option<WorkerId> {
        (![0, 5].contains(&self.fate)).then(|| worker_of(self.worker))
    }

    fn is_deleted(&self) -> bool {
        self.fate == 7
    }

    /// All words that it can be found by.
    fn words(&self) -> Vec<String> {
        let mut words = vec![word(self.input).to_owned()];
        if self.fate >= 2 {
            words.push(word(self.answer).to_owned());
        }
        if matches!(self.fate, 3 | 4 | 6) {
            words.extend(class_of(self).as_str().split('_').map(str::to_owned));
        }
        if matches!(self.fate, 5 | 6) {
            words.push("upstream".to_owned());
        }
        words
    }

    fn tell(&self, story: &mut Story, id: TaskId) {
        let spec = TaskSpec {
            input: text(word(self.input)),
            ..task_spec(flow_of(self.flow), self.trigger())
        };
        story.task(id, TaskEvent::Created(Box::new(spec)));
        if self.fate == 0 {
            return;
        }
        let expired = |attempts| {
            let (why, class) = (GiveUp::QueueTimeout, FailureClass::Upstream);
            let failure = Failure::new(class, word(self.answer));
            TaskEvent::Failed(TaskFailed { attempts, why, failure })
        };
        if self.fate == 5 {
            story.task(id, expired(0));
            return;
        }
        story.started_by(id, 1, worker_of(self.worker));
        let failure = Failure::new(class_of(self), word(self.answer));
        match self.fate {
            2 | 7 => {
                story.completed(id, 1, word(self.answer));
            }
            3 | 4 | 6 => {
                let failed =
                    TaskAttemptFailed { attempt: 1, failure: failure.clone(), duration_ms: 1 };
                story.task(id, TaskEvent::AttemptFailed(failed));
                let next = match self.fate {
                    3 => TaskEvent::Failed(TaskFailed {
                        attempts: 1,
                        why: GiveUp::AttemptsExhausted,
                        failure,
                    }),
                    _ => TaskEvent::RetryScheduled(TaskRetryScheduled {
                        attempt: 2,
                        not_before: at(9),
                        delay_ms: 1,
                    }),
                };
                story.task(id, next);
            }
            _ => {}
        }
        match self.fate {
            6 => drop(story.task(id, expired(1))),
            7 => drop(story.task(id, TaskEvent::Deleted(TaskDeleted {}))),
            _ => {}
        }
    }
}

fn filter() -> impl Strategy<Value = TaskFilter> {
    let statuses = prop::sample::subsequence(TaskStatus::ALL.to_vec(), 0..3);
    let of = || prop::option::of(0_u8..3);
    let time = || prop::option::of(0_u64..120);
    (
        statuses,
        of(),
        of(),
        prop::option::of(0_usize..5),
        of(),
        time(),
        time(),
        prop::option::of(0_u8..7),
        (of(), any::<bool>()),
    )
        .prop_map(
            |(statuses, flow, schedule, trigger, class, since, until, words, (worker, deleted))| {
                TaskFilter {
                    statuses,
                    flow_id: flow.map(flow_of),
                    schedule_id: schedule.map(schedule_of),
                    source_id: None,
                    worker_id: worker.map(worker_of),
                    trigger: trigger.map(|at| TaskFilter::TRIGGERS[at]),
                    class: class.map(|n| {
                        [FailureClass::Timeout, FailureClass::Component, FailureClass::Upstream]
                            [usize::from(n)]
                    }),
                    since: since.map(at),
                    until: until.map(at),
                    text: words.map(|n| match n {
                        5 => "ALPHA*".to_owned(),
                        6 => "upstream".to_owned(),
                        n => format!("{}, {}", word(n), word(n / 2)),
                    }),
                    include_deleted: deleted,
                    sort: TaskSort::default(),
                }
            },
        )
}

/// Whether a task fits, said as simply as it can be.
fn fits(filter: &TaskFilter, made: &Made, created: spark_events::Timestamp) -> bool {
    let schedule = made.trigger().schedule_id();
    let trigger = TaskFilter::TRIGGERS[usize::from(made.trigger)];
    let class = made.failed_as();
    let words = made.words();
    let has = |wanted: &str| match wanted.strip_suffix('*') {
        Some(start) => words.iter().any(|word| word.starts_with(start)),
        None => words.iter().any(|word| word == wanted),
    };
    let asked = filter.text.as_deref().unwrap_or("").to_lowercase().replace(',', "");
    (filter.include_deleted || !made.is_deleted())
        && (filter.statuses.is_empty() || filter.statuses.contains(&made.status()))
        && filter.flow_id.is_none_or(|id| id == flow_of(made.flow))
        && filter.schedule_id.is_none_or(|id| Some(id) == schedule)
        && filter.worker_id.is_none_or(|id| Some(id) == made.worker())
        && filter.trigger.is_none_or(|name| name == trigger)
        && filter.class.is_none_or(|wanted| Some(wanted) == class)
        && filter.since.is_none_or(|since| created >= since)
        && filter.until.is_none_or(|until| created < until)
        && asked.split_whitespace().all(has)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A failure prints the tasks and the filter that it needs, cut down to the smallest.
    #[test]
    fn a_list_is_what_the_obvious_model_says(
        tasks in prop::collection::vec(made(), 0..25),
        filters in prop::collection::vec((filter(), any::<bool>(), 1_usize..8), 1..12),
        cut in 0_usize..80,
    ) {
        let mut story = Story::with_flow();
        let mut known = Vec::new();
        for (n, made) in tasks.iter().enumerate() {
            let id = task_id(n as u128);
            known.push((id, at(story.next())));
            made.tell(&mut story, id);
        }
        // Texts become searchable in two pieces, the second of which completes tasks of the first.
        let mut model = Model::new();
        model.feed(&story, cut.min(story.events.len()));
        model.index_texts();
        model.feed(&story, story.events.len());
        model.index_texts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (filter, oldest_first, limit) in filters {
            let mut expected: Vec<TaskId> = known
                .iter()
                .zip(&tasks)
                .filter(|((_, created), made)| fits(&filter, made, *created))
                .map(|((id, _), _)| *id)
                .collect();
            let sort = match oldest_first {
                true => TaskSort::OldestFirst,
                false => TaskSort::NewestFirst,
            };
            let filter = TaskFilter { sort, ..filter };
            if sort == TaskSort::NewestFirst {
                expected.reverse();
            }
            let (mut by_cursor, mut by_offset, mut cursor) = (Vec::new(), Vec::new(), None);
            loop {
                let page = Page { limit, offset: 0, cursor };
                let listing =
                    runtime.block_on(model.reads().list_tasks(filter.clone(), page)).unwrap();
                prop_assert_eq!(listing.total, expected.len() as u64, "{:?}", &filter);
                by_cursor.extend(listing.items.iter().map(|row| row.id));
                cursor = listing.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            while by_offset.len() < expected.len() {
                let page = Page { limit, offset: by_offset.len(), cursor: None };
                let listing =
                    runtime.block_on(model.reads().list_tasks(filter.clone(), page)).unwrap();
                prop_assert!(!listing.items.is_empty(), "{:?}", &filter);
                by_offset.extend(listing.items.iter().map(|row| row.id));
            }
            prop_assert_eq!((&by_cursor, &by_offset), (&expected, &expected), "{:?}", &filter);
        }
    }
}

/// The original's tenth bug: its `tasks list --limit N` showed the N oldest.
#[tokio::test]
async fn a_short_list_shows_the_newest_tasks() {
    let mut story = Story::with_flow();
    for n in 0..10 {
        story.created(task_id(n), Trigger::Manual);
    }
    let model = Model::of(&story);
    let page = Page { limit: 3, ..Page::default() };
    let list = model.reads().list_tasks(TaskFilter::default(), page).await;
    let list = list.unwrap();
    let ids: Vec<TaskId> = list.items.iter().map(|row| row.id).collect();
    assert_eq!((ids, list.total), (vec![task_id(9), task_id(8), task_id(7)], 10));
}

#[tokio::test]
async fn a_text_that_is_stored_apart_is_not_searched_and_does_no_harm() {
    let mut story = Story::with_flow();
    let input = Payload::Blob { blob: "needle".into(), bytes: 99_999 };
    let spec = TaskSpec { input, ..task_spec(FLOW, Trigger::Manual) };
    story.task(task_id(1), TaskEvent::Created(Box::new(spec)));
    story.started(task_id(1), 1);
    story.completed(task_id(1), 1, "found");
    let mut model = Model::of(&story);
    model.index_texts();
    for (text, total) in [("needle", 0), ("found", 1)] {
        let filter = TaskFilter { text: Some(text.into()), ..TaskFilter::default() };
        let list = model.reads().list_tasks(filter, Page::default()).await.unwrap();
        assert_eq!(list.total, total, "{text}");
    }
}

#[tokio::test]
async fn a_retry_is_named_by_the_task_that_it_tries_again() {
    let mut story = Story::with_flow();
    story.created(task_id(1), Trigger::Manual);
    story.created(task_id(2), Trigger::RetryOf { task_id: task_id(1) });
    story.created(task_id(3), Trigger::RetryOf { task_id: task_id(1) });
    let model = Model::of(&story);
    let old = model.reads().task(task_id(1)).await.unwrap().unwrap();
    assert_eq!(old.retried_as, [task_id(2), task_id(3)]);
    let new = model.reads().task(task_id(2)).await.unwrap().unwrap();
    assert_eq!((new.task.retry_of, new.retried_as), (Some(task_id(1)), vec![]));
}
