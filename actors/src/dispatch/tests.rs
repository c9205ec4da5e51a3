//! The queue by example, and against a slow model in which everything is obvious.

use proptest::prelude::*;

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
fn worker(n: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(n))
}
fn labels(names: &[&str]) -> Labels {
    Labels::new(names.iter().map(ToString::to_string)).unwrap()
}
fn desk(slots: u32, names: &[&str]) -> Desk {
    Desk { slots, labels: labels(names), accepting: true }
}
/// A queue with one worker.
fn alone(slots: u32) -> Dispatcher {
    let mut queue = Dispatcher::new();
    queue.set_worker(worker(1), desk(slots, &[]));
    queue
}
fn granted(queue: &mut Dispatcher, now: Timestamp) -> Vec<TaskId> {
    std::iter::from_fn(|| queue.grant(now)).map(|(task, _)| task).collect()
}
/// Who gets what, in the order of the tasks.
fn shared(queue: &mut Dispatcher) -> Vec<(TaskId, WorkerId)> {
    let mut grants: Vec<_> = std::iter::from_fn(|| queue.grant(at(0))).collect();
    grants.sort();
    grants
}

#[test]
fn a_source_never_runs_more_than_its_limit() {
    let mut queue = alone(10);
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
    let mut queue = alone(3);
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
    let mut queue = alone(10);
    queue.set_limit(source(1), 10);
    for (n, priority, since) in [(1, 0, 3), (2, 5, 9), (3, -1, 0), (4, 0, 2), (5, 5, 8)] {
        queue.enqueue(task(n), Queued { priority, ..queued(1, since) }, at(9));
    }
    assert_eq!(granted(&mut queue, at(9)), [5, 2, 4, 1, 3].map(task));
}

#[test]
fn a_flow_at_its_limit_holds_up_nobody_but_itself() {
    let mut queue = alone(10);
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
    let mut queue = alone(3);
    queue.enqueue(task(1), queued(1, 0), at(0));
    assert_eq!(granted(&mut queue, at(0)), [task(1)]);
}

#[test]
fn a_retry_waits_for_its_instant() {
    let mut queue = alone(3);
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
    let mut queue = alone(3);
    queue.set_limit(source(1), 10);
    queue.enqueue(task(1), queued(1, 0), at(0));
    queue.enqueue(task(2), queued(1, 9), at(0));
    queue.remove(task(1));
    queue.remove(task(2));
    assert_eq!(granted(&mut queue, at(10)), []);
}

#[test]
fn the_worker_with_the_most_room_is_given_the_next_task() {
    let mut queue = Dispatcher::new();
    queue.set_limit(source(1), 10);
    queue.set_worker(worker(1), desk(1, &[]));
    queue.set_worker(worker(2), desk(3, &[]));
    for n in 1..=5 {
        queue.enqueue(task(n), queued(1, 0), at(0));
    }
    let grants: Vec<_> = std::iter::from_fn(|| queue.grant(at(0))).map(|(_, w)| w).collect();
    assert_eq!(grants, [worker(2), worker(2), worker(1), worker(2)]);
    queue.remove(task(3));
    assert_eq!(queue.grant(at(0)), Some((task(5), worker(1))), "where room came");
}

#[test]
fn equal_workers_take_turns() {
    let mut queue = Dispatcher::new();
    for n in 1..=2 {
        queue.set_worker(worker(n), desk(4, &[]));
    }
    let mut who = vec![];
    for n in 1..=4 {
        queue.enqueue(task(n), queued(1, 0), at(0));
        who.push(queue.grant(at(0)).unwrap().1);
        queue.remove(task(n));
    }
    assert_eq!(who, [1, 2, 1, 2].map(worker));
}

#[test]
fn a_worker_that_accepts_nothing_or_is_gone_is_given_nothing() {
    let mut queue = alone(4);
    queue.enqueue(task(1), queued(1, 0), at(0));
    queue.set_worker(worker(1), Desk { accepting: false, ..desk(4, &[]) });
    assert_eq!(queue.grant(at(0)), None);
    queue.set_worker(worker(1), desk(4, &[]));
    assert_eq!(queue.grant(at(0)), Some((task(1), worker(1))));
    queue.drop_worker(worker(1));
    queue.enqueue(task(2), queued(1, 0), at(0));
    assert_eq!(queue.grant(at(0)), None);
    queue.remove(task(1));
    assert_eq!((queue.grant(at(0)), queue.running()), (None, 0), "its end gives no room");
}

#[test]
fn a_source_that_asks_for_labels_waits_for_a_worker_that_has_them() {
    let mut queue = alone(4);
    queue.set_labels(source(1), labels(&["gpu"]));
    queue.enqueue(task(1), queued(1, 0), at(0));
    queue.enqueue(task(2), queued(2, 0), at(0));
    assert_eq!(shared(&mut queue), [(task(2), worker(1))], "nobody else is held up");
    queue.set_worker(worker(2), desk(1, &["eu", "gpu"]));
    assert_eq!(shared(&mut queue), [(task(1), worker(2))]);
    queue.enqueue(task(3), queued(1, 0), at(0));
    assert_eq!(shared(&mut queue), []);
    queue.set_labels(source(1), labels(&[]));
    assert_eq!(shared(&mut queue), [(task(3), worker(1))]);
}

#[test]
fn who_stood_aside_comes_first_when_a_fitting_worker_has_room() {
    let mut queue = Dispatcher::new();
    queue.set_worker(worker(1), desk(1, &[]));
    queue.set_worker(worker(2), desk(1, &["gpu"]));
    queue.set_labels(source(2), labels(&["gpu"]));
    queue.set_limit(source(1), 100);
    for n in 1..=9 {
        queue.enqueue(task(n), queued(1, 0), at(0));
    }
    shared(&mut queue);
    queue.enqueue(task(20), queued(2, 0), at(0));
    // Slots become free now here, now there: the plain source must not take all of them.
    let mut first_of_gpu = None;
    for round in 0..4 {
        for slot in [1, 2] {
            let runs = |queue: &Dispatcher| {
                queue.running.iter().find(|(_, held)| held.worker == worker(slot)).map(|(t, _)| *t)
            };
            let ended = runs(&queue).unwrap();
            queue.remove(ended);
            let grants = shared(&mut queue);
            if grants.contains(&(task(20), worker(2))) {
                first_of_gpu.get_or_insert(round);
            }
        }
        if first_of_gpu.is_some() {
            break;
        }
    }
    assert_eq!(first_of_gpu, Some(0));
}

#[test]
fn what_a_worker_has_already_counts_although_it_is_over_the_limits() {
    let mut queue = alone(1);
    queue.set_limit(source(1), 1);
    for n in 1..=2 {
        queue.adopt(task(n), queued(1, 0), worker(1));
    }
    queue.enqueue(task(3), queued(1, 0), at(0));
    queue.remove(task(1));
    assert_eq!((queue.grant(at(0)), queue.running()), (None, 1));
    queue.remove(task(2));
    assert_eq!(queue.grant(at(0)), Some((task(3), worker(1))));
}

/// The rules as slowly and plainly as they can be written down; which source is served next is
/// left open, so it only says what each source would start next.
#[derive(Default)]
struct Model {
    waiting: Vec<(TaskId, Queued)>,
    running: Vec<(TaskId, SourceId, FlowId, WorkerId)>,
    source_max: HashMap<SourceId, u32>,
    flow_max: HashMap<FlowId, u32>,
    workers: BTreeMap<WorkerId, Desk>,
    wanted: HashMap<SourceId, Labels>,
}

impl Model {
    fn remove(&mut self, task: TaskId) {
        self.waiting.retain(|(id, _)| *id != task);
        self.running.retain(|(id, ..)| *id != task);
    }

    fn has_room(&self, queued: &Queued) -> bool {
        let count = |is: &dyn Fn(&SourceId, &FlowId) -> bool| {
            self.running.iter().filter(|(_, source, flow, _)| is(source, flow)).count()
        };
        let of_source = count(&|source, _| *source == queued.source);
        let of_flow = count(&|_, flow| *flow == queued.flow);
        let source_max = self.source_max.get(&queued.source).copied().unwrap_or(4);
        let flow_max = self.flow_max.get(&queued.flow).copied().unwrap_or(u32::MAX);
        of_source < source_max as usize && of_flow < flow_max as usize
    }

    fn room(&self, worker: WorkerId) -> usize {
        let busy = self.running.iter().filter(|(.., at)| *at == worker).count();
        let desk = &self.workers[&worker];
        if desk.accepting { (desk.slots as usize).saturating_sub(busy) } else { 0 }
    }

    /// The workers that may take a task of a source, and the room of each.
    fn takers(&self, source: SourceId) -> BTreeMap<WorkerId, usize> {
        let wanted = self.wanted.get(&source).cloned().unwrap_or_default();
        let fit = self.workers.iter().filter(|(_, desk)| desk.labels.have_all(&wanted));
        fit.map(|(id, _)| (*id, self.room(*id))).filter(|(_, room)| *room > 0).collect()
    }

    /// What each source would start next.
    fn candidates(&self, now: Timestamp) -> BTreeMap<SourceId, TaskId> {
        let mut best: BTreeMap<SourceId, (Reverse<i32>, Timestamp, usize, TaskId)> =
            BTreeMap::new();
        for (age, (task, queued)) in self.waiting.iter().enumerate() {
            let waits = queued.not_before > now || !self.has_room(queued);
            if waits || self.takers(queued.source).is_empty() {
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
    Worker(WorkerId, Desk),
    Gone(WorkerId),
    Wanted(SourceId, Labels),
    Adopt(TaskId, Queued, WorkerId),
    Grant,
    Pass,
}

fn any_step() -> impl Strategy<Value = Step> {
    let any_queued = (0_u128..3, 0_u128..5, -1_i32..2, 0_i64..12).prop_map(|(s, f, p, second)| {
        Queued { source: source(s), flow: flow(f), priority: p, not_before: at(second) }
    });
    let any_labels = prop::sample::subsequence(vec!["a", "b"], 0..=2);
    let any_labels = any_labels.prop_map(|names| labels(&names));
    let any_desk = (0_u32..4, any_labels.clone(), any::<bool>())
        .prop_map(|(slots, labels, accepting)| Desk { slots, labels, accepting });
    prop_oneof![
        3 => (1_u128..5, any_desk).prop_map(|(n, desk)| Step::Worker(worker(n), desk)),
        1 => (1_u128..5).prop_map(|n| Step::Gone(worker(n))),
        1 => (0_u128..3, any_labels).prop_map(|(s, wanted)| Step::Wanted(source(s), wanted)),
        1 => (0_u128..20, any_queued.clone(), 1_u128..5)
            .prop_map(|(n, queued, w)| Step::Adopt(task(n), queued, worker(w))),
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
        let (mut queue, mut model, mut now) = (Dispatcher::new(), Model::default(), 0);
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
                Step::Worker(worker, desk) => {
                    queue.set_worker(worker, desk.clone());
                    model.workers.insert(worker, desk);
                }
                Step::Gone(worker) => {
                    queue.drop_worker(worker);
                    model.workers.remove(&worker);
                    // Its tasks still count, and are those of no worker.
                    for (.., at) in model.running.iter_mut().filter(|(.., at)| *at == worker) {
                        *at = WorkerId(Uuid::max());
                    }
                }
                Step::Wanted(source, wanted) => {
                    queue.set_labels(source, wanted.clone());
                    model.wanted.insert(source, wanted);
                }
                Step::Adopt(task, queued, worker) => {
                    queue.adopt(task, queued, worker);
                    model.remove(task);
                    let known = model.workers.contains_key(&worker);
                    let at = if known { worker } else { WorkerId(Uuid::max()) };
                    model.running.push((task, queued.source, queued.flow, at));
                }
                Step::Pass => now += 1,
                Step::Grant => {
                    let candidates = model.candidates(at(now));
                    let Some((task, worker)) = queue.grant(at(now)) else {
                        prop_assert!(candidates.is_empty(), "nobody got a turn: {candidates:?}");
                        continue;
                    };
                    let place = model.waiting.iter().find(|(id, _)| *id == task).unwrap().1;
                    prop_assert_eq!(candidates.get(&place.source), Some(&task));
                    let takers = model.takers(place.source);
                    prop_assert_eq!(takers.get(&worker), takers.values().max(), "the most room");
                    model.remove(task);
                    model.running.push((task, place.source, place.flow, worker));
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
