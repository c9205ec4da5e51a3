//! The overlap policies, the window of starts that wait, the limit of starts, pause on failure.

use super::*;

fn with(overlap: Overlap) -> ScheduleSpec {
    ScheduleSpec { overlap, ..every_10s() }
}

fn names(spec: &ScheduleSpec, events: &[ScheduleEvent]) -> Vec<&'static str> {
    outcomes(spec, events).into_values().collect()
}

#[test]
fn buffer_one_keeps_the_first_and_drops_the_rest() {
    let spec = with(Overlap::BufferOne);
    let (schedule, events) = then(created(spec.clone()), wake(Some(task(5))), 35);
    assert!(matches!(&events[0], ScheduleEvent::Buffered(e)
        if e.origin == Origin::Occurrence { due_at: at(10) }));
    assert_eq!(names(&spec, &events), ["overlap"; 2], "20 and 30 are one span");
    assert_eq!(events.len(), 2);
    let (schedule, nothing) = then(schedule, wake(Some(task(5))), 36);
    assert_eq!(nothing, vec![], "what waits goes on waiting without a word");
    let (schedule, events) = then(schedule, wake(None), 37);
    assert!(matches!(&events[..], [ScheduleEvent::Fired(e)] if e.due_at == at(10)));
    assert_eq!(due(&schedule), Some(at(40)), "a late start does not move the next instant");
}

#[test]
fn buffer_all_runs_them_one_after_another() {
    let spec = with(Overlap::BufferAll);
    let (mut schedule, _) = then(created(spec), wake(Some(task(5))), 35);
    for expected in [10, 20, 30] {
        let (next, events) = then(schedule, wake(None), 36);
        assert!(matches!(&events[..], [ScheduleEvent::Fired(e)] if e.due_at == at(expected)));
        let (next, nothing) = then(next, wake(Some(task(6))), 36);
        assert_eq!(nothing, vec![]);
        schedule = next;
    }
}

#[test]
fn buffer_all_drops_and_records_what_is_over_the_bound() {
    let spec = ScheduleSpec { catch_up_ms: limits::CATCH_UP_MS_MAX, ..with(Overlap::BufferAll) };
    let mut schedule = created(spec.clone());
    let mut all = vec![];
    let due_count = limits::BUFFERED_STARTS_MAX + 50;
    for _ in 0..10 {
        let now = 10 * i64::try_from(due_count).unwrap();
        let (next, events) = then(schedule, wake(Some(task(5))), now);
        schedule = next;
        all.extend(events);
    }
    let waiting = schedule.live().unwrap().progress.waiting.len();
    assert_eq!(waiting, limits::BUFFERED_STARTS_MAX);
    assert_eq!(names(&spec, &all), ["full"; 50]);
}

#[test]
fn cancel_other_asks_for_a_stop_and_starts_when_the_rival_has_closed() {
    for (overlap, stop) in
        [(Overlap::CancelOther, Stop::Cancel), (Overlap::TerminateOther, Stop::Terminate)]
    {
        let (schedule, _) = then(created(with(overlap)), wake(Some(task(5))), 10);
        assert_eq!(schedule.stop(), Some(stop));
        let (schedule, _) = then(schedule, wake(Some(task(5))), 20);
        let (schedule, events) = then(schedule, wake(None), 21);
        assert_eq!(names(&with(overlap), &events), ["replaced", "fired"], "{overlap:?}");
        assert_eq!(schedule.stop(), None);
    }
}

#[test]
fn a_start_that_waited_longer_than_the_window_is_dropped() {
    let spec = ScheduleSpec { catch_up_ms: 15_000, ..with(Overlap::BufferAll) };
    let (schedule, _) = then(created(spec.clone()), wake(Some(task(5))), 20);
    let (_, events) = then(schedule, wake(None), 29);
    assert_eq!(names(&spec, &events), ["late", "fired"]);
}

#[test]
fn a_new_policy_applies_to_starts_that_wait_already() {
    let (schedule, _) = then(created(with(Overlap::BufferAll)), wake(Some(task(5))), 30);
    let patch = SchedulePatch { overlap: Some(Overlap::AllowAll), ..SchedulePatch::default() };
    let (schedule, _) = then(schedule, edit(patch), 31);
    let (_, events) = then(schedule, wake(Some(task(5))), 31);
    assert_eq!(names(&with(Overlap::AllowAll), &events), ["fired"; 3]);
}

#[test]
fn a_trigger_may_have_a_policy_of_its_own() {
    let ask = |schedule: &Schedule, overlap, rival| {
        let open = open(rival);
        let command = ScheduleCommand::Trigger { task_id: task(7), overlap: Some(overlap), open };
        schedule.decide(command, at(5))
    };
    let schedule = created(every_10s());
    assert!(matches!(
        &ask(&schedule, Overlap::Skip, None).unwrap()[..],
        [ScheduleEvent::Triggered(_)]
    ));
    assert_eq!(
        ask(&schedule, Overlap::Skip, Some(task(1))),
        Err(ScheduleRejection::StillOpen(task(1)))
    );
    let buffered = ask(&schedule, Overlap::BufferOne, Some(task(1))).unwrap();
    let schedule = fold(schedule, &buffered);
    assert!(schedule.live().unwrap().progress.waits());
    let (_, events) = then(schedule, wake(None), 6);
    assert!(matches!(&events[..], [ScheduleEvent::Triggered(e)] if e.task_id == task(7)));
}

#[test]
fn pausing_gives_up_what_waits_and_says_so() {
    let (schedule, _) = then(created(with(Overlap::BufferAll)), wake(Some(task(5))), 30);
    let (schedule, events) = then(schedule, ScheduleCommand::Pause, 31);
    assert_eq!(names(&with(Overlap::BufferAll), &events), ["dropped"; 3]);
    let (_, events) = then(schedule, wake(None), 32);
    assert_eq!(events, vec![]);
}

#[test]
fn a_schedule_is_completed_after_its_last_allowed_start() {
    let spec = ScheduleSpec { runs_max: Some(2), ..with(Overlap::AllowAll) };
    let (schedule, _) = then(created(spec.clone()), trigger(1), 5);
    let (schedule, events) = then(schedule, wake(None), 35);
    assert_eq!(names(&spec, &events), ["fired"; 2], "what is triggered by hand does not count");
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
    let more = SchedulePatch { runs_max: Some(Some(3)), ..SchedulePatch::default() };
    let (schedule, _) = then(schedule, edit(more), 41);
    assert_eq!(due(&schedule), Some(at(50)), "a higher limit brings it back, from now on");
}

#[test]
fn skipped_instants_use_up_no_start() {
    let spec = ScheduleSpec { runs_max: Some(1), ..every_10s() };
    let (schedule, _) = then(created(spec), wake(Some(task(1))), 35);
    let (schedule, _) = then(schedule, wake(None), 40);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Completed));
}

#[test]
fn waiting_starts_beyond_the_limit_are_given_up() {
    let spec = ScheduleSpec { runs_max: Some(2), ..with(Overlap::BufferAll) };
    let (schedule, mut all) = then(created(spec.clone()), wake(Some(task(5))), 40);
    let (schedule, events) = then(schedule, wake(None), 41);
    all.extend(events);
    let (schedule, events) = then(schedule, wake(None), 42);
    all.extend(events);
    assert_eq!(names(&spec, &all), ["fired", "fired", "dropped", "dropped"]);
    assert!(!schedule.live().unwrap().progress.waits());
}

#[test]
fn it_pauses_itself_after_failures_in_a_row_and_a_success_starts_the_count_anew() {
    use TaskStatus::{Cancelled, Completed, Failed};
    let end = |status| ScheduleCommand::CountEnd {
        task_id: task(4),
        status,
        message: Some("component: no key".into()),
    };
    let spec = ScheduleSpec { pause_after: Some(2), ..every_10s() };
    let mut schedule = created(spec);
    for status in [Failed, Cancelled, Completed, Failed, Cancelled] {
        schedule = then(schedule, end(status), 5).0;
        assert_eq!(schedule.status(), Some(ScheduleStatus::Active), "after {status:?}");
    }
    let (schedule, events) = then(schedule, end(Failed), 6);
    let [ScheduleEvent::TaskEnded(_), ScheduleEvent::Paused(paused)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(paused.note.as_ref().unwrap().ends_with("component: no key"), "{paused:?}");
    let (schedule, _) = then(schedule, RESUME(), 7);
    let (schedule, _) = then(schedule, end(Failed), 8);
    assert_eq!(schedule.status(), Some(ScheduleStatus::Active), "resuming starts the count anew");
}

#[test]
fn failures_are_not_counted_where_nobody_asked_for_it() {
    let end =
        ScheduleCommand::CountEnd { task_id: task(4), status: TaskStatus::Failed, message: None };
    assert_eq!(then(created(every_10s()), end, 5).1, vec![]);
}

#[test]
fn a_schedule_that_holds_records_why_it_started_nothing() {
    let drift = Some(Drifted { remote_hash: Some("ab".into()) });
    let command = ScheduleCommand::Wake { id: id(), open: Open::default(), drift };
    let (_, events) = then(created(every_10s()), command, 25);
    assert_eq!(names(&every_10s(), &events), ["drift"; 2]);
}

/// The world around a schedule: tasks that are open, as a test drives them.
struct World {
    schedule: Schedule,
    open: BTreeSet<TaskId>,
    events: Vec<ScheduleEvent>,
    now: i64,
}

impl World {
    fn wake(&mut self) {
        loop {
            let rival = self.open.first().copied();
            let events = self.schedule.decide(wake(rival), at(self.now)).unwrap();
            self.take(&events);
            if let Some(stop) = self.schedule.stop().filter(|_| !self.open.is_empty()) {
                // A terminated task is closed at once, a cancelled one later.
                if stop == Stop::Terminate {
                    self.open.clear();
                    continue;
                }
            }
            if events.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, events: &[ScheduleEvent]) {
        for event in events {
            let (name, version, data) = event.encode().unwrap();
            assert_eq!(&ScheduleEvent::decode(name, version, &data).unwrap(), event);
            if let ScheduleEvent::Fired(e) = event {
                assert!(self.open.insert(e.task_id), "started twice");
            }
        }
        self.schedule = fold(std::mem::take(&mut self.schedule), events);
        self.events.extend_from_slice(events);
    }
}

/// The rules once more, one due instant or one end at a time, for a schedule that is awake at
/// every instant: which instants start, in which order.
fn model(overlap: Overlap, steps: &[(i64, bool)], every: i64, catch_up: i64) -> Vec<i64> {
    let (mut started, mut waiting, mut now) = (vec![], Vec::<i64>::new(), 0);
    let mut open = 0_usize;
    let mut dispatch = |now: i64, open: &mut usize, waiting: &mut Vec<i64>| {
        waiting.retain(|due| now - due <= catch_up);
        if *open == 0 && !waiting.is_empty() {
            let next = match overlap {
                Overlap::CancelOther | Overlap::TerminateOther => {
                    let last = waiting.pop().unwrap();
                    waiting.clear();
                    last
                }
                _ => waiting.remove(0),
            };
            started.push(next);
            *open += 1;
        }
    };
    for (step, end) in steps {
        for second in now + 1..=now + step {
            if second % every != 0 {
                continue;
            }
            waiting.retain(|due| second - due <= catch_up);
            let busy = open > 0;
            let drop = match overlap {
                Overlap::Skip => busy,
                Overlap::BufferOne => busy && !waiting.is_empty(),
                _ => false,
            };
            match overlap {
                _ if drop => {}
                Overlap::TerminateOther => {
                    open = 0;
                    waiting.push(second);
                }
                _ => waiting.push(second),
            }
            dispatch(second, &mut open, &mut waiting);
        }
        now += step;
        if *end {
            open = 0;
            dispatch(now, &mut open, &mut waiting);
        }
    }
    started
}

proptest! {
    #[test]
    fn the_starts_of_every_policy_are_those_of_the_model(
        overlap in prop::sample::select(Overlap::ALL[..5].to_vec()),
        every in 2_i64..20,
        catch_up in 10_i64..100,
        steps in prop::collection::vec((1_i64..40, any::<bool>()), 1..30),
    ) {
        let every_ms = u64::try_from(every).unwrap() * 1_000;
        let recurrence = Recurrence::Interval { every_ms, phase_ms: u64::try_from(at(0).timestamp_millis()).unwrap() % every_ms };
        let catch_up_ms = u64::try_from(catch_up).unwrap() * 1_000;
        let spec = ScheduleSpec { overlap, catch_up_ms, ..spec(recurrence) };
        let mut world = World {
            schedule: created(spec.clone()), open: BTreeSet::new(), events: vec![], now: 0,
        };
        for (step, end) in &steps {
            for _ in 0..*step {
                world.now += 1;
                world.wake();
            }
            if *end {
                world.open.clear();
                world.wake();
            }
        }
        let started: Vec<i64> = world.events.iter().filter_map(|event| match event {
            ScheduleEvent::Fired(e) => Some((e.due_at - at(0)).num_seconds()),
            _ => None,
        }).collect();
        prop_assert_eq!(started, model(overlap, &steps, every, catch_up));
    }

    #[test]
    fn every_due_instant_has_exactly_one_outcome_or_waits_for_it(
        every_s in 1_u64..90,
        catch_up_s in 10_u64..200,
        jitter_ms in prop::sample::select(vec![0_u64, 5_000]),
        policies in prop::collection::vec(prop::sample::select(Overlap::ALL.to_vec()), 1..30),
        steps in prop::collection::vec((1_i64..120, 0_u8..4), 1..30),
    ) {
        let mut spec = spec(Recurrence::interval(every_s * 1_000, at(0)));
        spec.catch_up_ms = catch_up_s * 1_000;
        spec.timetable.jitter_ms = jitter_ms;
        let mut world = World {
            schedule: created(spec.clone()), open: BTreeSet::new(), events: vec![], now: 0,
        };
        for ((step, what), overlap) in steps.iter().zip(policies.iter().cycle()) {
            world.now += step;
            world.wake();
            let command = match what {
                0 => {
                    world.open.clear();
                    wake(None)
                }
                1 => edit(SchedulePatch { overlap: Some(*overlap), ..SchedulePatch::default() }),
                2 => ScheduleCommand::Pause,
                _ => RESUME(),
            };
            let events = world.schedule.decide(command, at(world.now)).unwrap();
            world.take(&events);
        }
        let planner = spec.timetable.planner(id()).unwrap();
        let due = std::iter::successors(planner.next_after(at(0)), |due| planner.next_after(due.due_at));
        let next = world.schedule.next().map_or(at(world.now + 1), |next| next.due_at);
        let expected: BTreeSet<Timestamp> =
            due.map(|due| due.due_at).take_while(|due_at| *due_at < next && *due_at <= at(world.now)).collect();
        let mut got: BTreeSet<Timestamp> = outcomes(&spec, &world.events).into_keys().collect();
        got.extend(world.schedule.live().unwrap().progress.occurrences());
        let mut pauses: Vec<(Timestamp, Timestamp)> = vec![];
        for event in &world.events {
            match event {
                ScheduleEvent::Paused(e) => pauses.push((e.at, at(world.now))),
                ScheduleEvent::Resumed(e) => pauses.last_mut().unwrap().1 = e.at,
                _ => {}
            }
        }
        let covered = |due_at: &Timestamp| pauses.iter().any(|(from, to)| from < due_at && due_at <= to);
        let uncovered: BTreeSet<Timestamp> =
            expected.difference(&got).copied().filter(|due_at| !covered(due_at)).collect();
        prop_assert_eq!(uncovered, BTreeSet::new());
        prop_assert!(got.is_subset(&expected), "nothing has an outcome that was not due");
    }
}
