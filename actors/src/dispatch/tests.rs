//! The queue by example, and against a slow model in which everything is obvious.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(second, 0).unwrap()
}
fn task(n: u128) -> TaskId {
    TaskId(Uuid::from_u128(n))
}
fn source(n: u128) -> SourceId {
    SourceId(Uuid::from_u128(n))
}
fn flow(n: u128) -> FlowId {
    FlowId(Uuid::from_u128(n))
}
fn queued(from: u128, second: i64) -> Queued {
    Queued { source: source(from), flow: flow(from), priority: 0, not_before: at(second) }
}
fn granted(queue: &mut Dispatcher, now: Timestamp) -> Vec<TaskId> {
    std::iter::from_fn(|| queue.grant(now)).collect()
}

#[test]
fn a_source_never_runs_more_than_its_limit() {
    let mut queue = Dispatcher::new(10);
    queue.set_limit(source(1), 2);
    for n in 1..=5 {
        queue.enqueue(task(n), queued(1, 0), at(0));
    }
    assert_eq!(granted(&mut queue, at(0)), [task(1), task(2)]);
    queue.remove(task(1));
    assert_eq!(granted(&mut queue, at(0)), [task(3)]);
    queue.set_limit(source(1), 4);
    assert_eq!(granted(&mut queue, at(0)), [task(4), task(5)]);
}

#[test]
fn sources_take_turns_and_share_the_slots() {
    let mut queue = Dispatcher::new(3);
    for s in 1..=2 {
        queue.set_limit(source(s), 10);
    }
    for n in 1..=4 {
        queue.enqueue(task(n), Queued { priority: 100, ..queued(1, 0) }, at(0));
    }
    queue.enqueue(task(9), Queued { priority: -100, ..queued(2, 0) }, at(0));
    assert_eq!(
        granted(&mut queue, at(0)),
        [task(1), task(9), task(2)],
        "a priority is worth nothing against another source"
    );
    assert_eq!(queue.running(), 3);
}

#[test]
fn a_higher_priority_starts_first_and_age_decides_among_equals() {
    let mut queue = Dispatcher::new(10);
    queue.set_limit(source(1), 10);
    for (n, priority, since) in [(1, 0, 3), (2, 5, 9), (3, -1, 0), (4, 0, 2), (5, 5, 8)] {
        queue.enqueue(task(n), Queued { priority, ..queued(1, since) }, at(9));
    }
    assert_eq!(granted(&mut queue, at(9)), [5, 2, 4, 1, 3].map(task));
}

#[test]
fn a_flow_at_its_limit_holds_up_nobody_but_itself() {
    let mut queue = Dispatcher::new(10);
    queue.set_limit(source(1), 10);
    queue.set_flow_limit(flow(1), Some(1));
    for n in 1..=3 {
        queue.enqueue(task(n), Queued { priority: 9, ..queued(1, 0) }, at(0));
    }
    queue.enqueue(task(9), Queued { flow: flow(2), ..queued(1, 0) }, at(0));
    assert_eq!(granted(&mut queue, at(0)), [task(1), task(9)]);
    queue.remove(task(1));
    assert_eq!(granted(&mut queue, at(0)), [task(2)]);
    queue.set_flow_limit(flow(1), None);
    assert_eq!(granted(&mut queue, at(0)), [task(3)]);
}

#[test]
fn tasks_of_an_unknown_source_get_their_turn_too() {
    let mut queue = Dispatcher::new(3);
    queue.enqueue(task(1), queued(1, 0), at(0));
    assert_eq!(granted(&mut queue, at(0)), [task(1)]);
}

#[test]
fn a_retry_waits_for_its_instant() {
    let mut queue = Dispatcher::new(3);
    queue.set_limit(source(1), 10);
    queue.enqueue(task(1), queued(1, 0), at(0));
    assert_eq!(granted(&mut queue, at(0)), [task(1)]);
    queue.enqueue(task(1), queued(1, 5), at(0));
    assert_eq!(queue.running(), 0, "a task that waits again gives up its slot");
    assert_eq!(granted(&mut queue, at(4)), []);
    assert_eq!(queue.next_ripe_at(), Some(at(5)));
    assert_eq!(granted(&mut queue, at(5)), [task(1)]);
}

#[test]
fn a_removed_task_is_never_granted() {
    let mut queue = Dispatcher::new(3);
    queue.set_limit(source(1), 10);
    queue.enqueue(task(1), queued(1, 0), at(0));
    queue.enqueue(task(2), queued(1, 9), at(0));
    queue.remove(task(1));
    queue.remove(task(2));
    assert_eq!(granted(&mut queue, at(10)), []);
}

/// The rules as slowly and plainly as they can be written down; which source is served next is
/// left open, so it only says what each source would start next.
#[derive(Default)]
struct Model {
    waiting: Vec<(TaskId, Queued)>,
    running: Vec<(TaskId, SourceId, FlowId)>,
    source_max: HashMap<SourceId, u32>,
    flow_max: HashMap<FlowId, u32>,
}

impl Model {
    fn remove(&mut self, task: TaskId) {
        self.waiting.retain(|(id, _)| *id != task);
        self.running.retain(|(id, ..)| *id != task);
    }

    fn has_room(&self, queued: &Queued) -> bool {
        let count = |is: &dyn Fn(&SourceId, &FlowId) -> bool| {
            self.running.iter().filter(|(_, source, flow)| is(source, flow)).count()
        };
        let of_source = count(&|source, _| *source == queued.source);
        let of_flow = count(&|_, flow| *flow == queued.flow);
        let source_max = self.source_max.get(&queued.source).copied().unwrap_or(4);
        let flow_max = self.flow_max.get(&queued.flow).copied().unwrap_or(u32::MAX);
        of_source < source_max as usize && of_flow < flow_max as usize
    }

    /// What each source would start next.
    fn candidates(&self, now: Timestamp) -> BTreeMap<SourceId, TaskId> {
        let mut best: BTreeMap<SourceId, (Reverse<i32>, Timestamp, usize, TaskId)> =
            BTreeMap::new();
        for (age, (task, queued)) in self.waiting.iter().enumerate() {
            if queued.not_before > now || !self.has_room(queued) {
                continue;
            }
            let rank = (Reverse(queued.priority), queued.not_before, age, *task);
            let first = best.entry(queued.source).or_insert(rank);
            *first = rank.min(*first);
        }
        best.into_iter().map(|(source, rank)| (source, rank.3)).collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Enqueue(TaskId, Queued),
    Remove(TaskId),
    SourceLimit(SourceId, u32),
    FlowLimit(FlowId, Option<u32>),
    Grant,
    Pass,
}

fn any_step() -> impl Strategy<Value = Step> {
    let any_queued = (0_u128..3, 0_u128..5, -1_i32..2, 0_i64..12).prop_map(|(s, f, p, second)| {
        Queued { source: source(s), flow: flow(f), priority: p, not_before: at(second) }
    });
    prop_oneof![
        4 => (0_u128..20, any_queued).prop_map(|(n, queued)| Step::Enqueue(task(n), queued)),
        2 => (0_u128..20).prop_map(|n| Step::Remove(task(n))),
        1 => (0_u128..3, 0_u32..4).prop_map(|(s, most)| Step::SourceLimit(source(s), most)),
        2 => (0_u128..5, prop::option::of(0_u32..3))
            .prop_map(|(f, most)| Step::FlowLimit(flow(f), most)),
        5 => Just(Step::Grant),
        1 => Just(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn the_queue_starts_what_the_model_would(steps in prop::collection::vec(any_step(), 0..120)) {
        let (mut queue, mut model, mut now) = (Dispatcher::new(5), Model::default(), 0);
        // Sources that could have started something and were passed over, and how often.
        let mut passed_over: HashMap<SourceId, u32> = HashMap::new();
        for step in steps {
            match step {
                Step::Enqueue(task, queued) => {
                    queue.enqueue(task, queued, at(now));
                    model.remove(task);
                    model.waiting.push((task, queued));
                }
                Step::Remove(task) => {
                    queue.remove(task);
                    model.remove(task);
                }
                Step::SourceLimit(source, most) => {
                    queue.set_limit(source, most);
                    model.source_max.insert(source, most);
                }
                Step::FlowLimit(flow, most) => {
                    queue.set_flow_limit(flow, most);
                    match most {
                        Some(most) => model.flow_max.insert(flow, most),
                        None => model.flow_max.remove(&flow),
                    };
                }
                Step::Pass => now += 1,
                Step::Grant => {
                    let candidates = model.candidates(at(now));
                    let full = model.running.len() >= 5;
                    let Some(task) = queue.grant(at(now)) else {
                        prop_assert!(full || candidates.is_empty(), "nobody got a turn: {candidates:?}");
                        continue;
                    };
                    prop_assert!(!full, "more than the slots");
                    let place = model.waiting.iter().find(|(id, _)| *id == task).unwrap().1;
                    prop_assert_eq!(candidates.get(&place.source), Some(&task));
                    model.remove(task);
                    model.running.push((task, place.source, place.flow));
                    passed_over.remove(&place.source);
                    passed_over.retain(|source, _| candidates.contains_key(source));
                    for source in candidates.into_keys().filter(|source| *source != place.source) {
                        let times = passed_over.entry(source).or_default();
                        *times += 1;
                        prop_assert!(*times <= 3, "{source} starves");
                    }
                }
            }
            prop_assert_eq!(queue.running(), model.running.len());
        }
    }
}
