//! The rules of schedules with the actors around them, on a paused clock. A worker without slots
//! keeps tasks open; they end when a test cancels them.

use std::collections::BTreeSet;

use spark_actors::{DispatchError, EditSchedule};
use spark_events::TaskId;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::{Exclusion, Timetable};
use spark_events::domain::schedule::{
    BackfillOnly, BackfillRequest, SchedulePatch, SchedulePaused, ScheduleRejection,
};
use spark_events::domain::task::{TaskEvent, TaskStatus};

use super::*;

const START: &str = "2026-11-20T00:00:00Z";

fn every(seconds: u64) -> Recurrence {
    Recurrence::interval(seconds * 1_000, at(START))
}

impl Paused {
    async fn make_schedule(&self, request: NewSchedule) -> ScheduleId {
        self.spark.create_schedule(request, &who()).await.unwrap().value
    }

    fn new_schedule(&self, timetable: impl Into<Timetable>, overlap: Overlap) -> NewSchedule {
        NewSchedule { overlap, ..NewSchedule::new(self.flow, timetable, RunOptions::default()) }
    }

    async fn edit(&self, id: ScheduleId, patch: SchedulePatch) {
        let request = EditSchedule { flow_id: self.flow, patch, input: None };
        self.spark.edit_schedule(id, request, &who()).await.unwrap();
    }

    /// What happened to the schedule, in a word each, with seconds since the start.
    async fn story(&self, id: ScheduleId) -> Vec<(String, i64)> {
        let seconds = |due_at: Timestamp| (due_at - at(START)).num_seconds();
        let mut story = vec![];
        for (event, recorded_at) in self.events(id).await {
            let (name, ..) = event.encode().unwrap();
            let name = name.trim_start_matches("schedule.").to_owned();
            match event {
                ScheduleEvent::Fired(e) => story.push((name, seconds(e.due_at))),
                ScheduleEvent::Skipped(e) => story.push((name, seconds(e.first_due_at))),
                ScheduleEvent::Backfilled(e) => story.push((name, seconds(e.due_at))),
                ScheduleEvent::Created(_) => {}
                _ => story.push((name, seconds(recorded_at))),
            }
        }
        story
    }

    async fn tasks_of(&self, id: ScheduleId) -> Vec<TaskId> {
        let events = self.events(id).await;
        let fired = events.into_iter().filter_map(|(event, _)| match event {
            ScheduleEvent::Fired(e) => Some(e.task_id),
            ScheduleEvent::Backfilled(e) => Some(e.task_id),
            ScheduleEvent::Triggered(e) => Some(e.task_id),
            _ => None,
        });
        fired.collect()
    }

    async fn task_events(&self, task: TaskId) -> Vec<TaskEvent> {
        let read = self.log.read_stream(&task.stream(), None, Direction::Forward, 100).await;
        read.unwrap().iter().map(|event| TaskEvent::from_recorded(event).unwrap()).collect()
    }

    async fn end_first(&self, id: ScheduleId) {
        for task in self.tasks_of(id).await {
            // One that was cancelled before is cancelled already: nothing is stored.
            let cancelled = self.spark.cancel_task(task, &who()).await;
            if cancelled.is_ok_and(|done| done.position.is_some()) {
                return self.pass(TimeDelta::milliseconds(10)).await;
            }
        }
    }
}

fn story(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(what, when)| ((*what).to_owned(), *when)).collect()
}

/// A world in which no task gets a slot.
async fn stuck() -> Paused {
    let mut world = paused(START).await;
    world.restart(0).await;
    world
}

#[tokio::test(start_paused = true)]
async fn skip_drops_what_comes_due_meanwhile() {
    let world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(60), Overlap::Skip)).await;
    world.pass(TimeDelta::seconds(185)).await;
    world.end_first(id).await;
    world.pass(TimeDelta::seconds(60)).await;
    let expected = [("fired", 60), ("skipped", 120), ("skipped", 180), ("fired", 240)];
    assert_eq!(world.story(id).await, story(&expected));
}

#[tokio::test(start_paused = true)]
async fn buffer_one_starts_the_first_that_waited_as_soon_as_the_rival_has_ended() {
    let world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(60), Overlap::BufferOne)).await;
    world.pass(TimeDelta::seconds(190)).await;
    world.end_first(id).await;
    let expected = [("fired", 60), ("buffered", 120), ("skipped", 180), ("fired", 120)];
    assert_eq!(world.story(id).await, story(&expected));
}

#[tokio::test(start_paused = true)]
async fn buffer_all_keeps_the_order_over_a_restart() {
    let mut world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(60), Overlap::BufferAll)).await;
    world.pass(TimeDelta::seconds(190)).await;
    world.restart(0).await;
    for expected in [120, 180] {
        world.end_first(id).await;
        assert_eq!(world.story(id).await.last().unwrap(), &("fired".to_owned(), expected));
    }
    // The rival ends while nobody is there to hear of it.
    world.pass(TimeDelta::seconds(60)).await;
    assert_eq!(world.story(id).await.last().unwrap().0, "buffered");
    world.spark.shutdown().await;
    let tasks = world.tasks_of(id).await;
    let open = tasks.last().unwrap();
    let cancelled = TaskEvent::Cancelled(spark_events::domain::task::TaskCancelled {
        attempts: 0,
        remote: spark_events::domain::task::RemoteStop::NotRunning,
    });
    let (event_type, schema_version, data) = cancelled.encode().unwrap();
    let event = NewEvent {
        id: spark_events::ids::new_uuid(),
        event_type,
        schema_version,
        data,
        metadata: who().metadata(),
    };
    world.log.append(&open.stream(), ExpectedRevision::Any, vec![event]).await.unwrap();
    world.spark = launch_with(0, &world.log, &world.clock, &world.dir).await;
    world.pass(TimeDelta::seconds(1)).await;
    let last = world.story(id).await;
    assert_eq!(last.last().unwrap(), &("fired".to_owned(), 240), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn cancel_other_and_terminate_other_make_room() {
    for overlap in [Overlap::CancelOther, Overlap::TerminateOther] {
        let world = stuck().await;
        let id = world.make_schedule(world.new_schedule(every(60), overlap)).await;
        world.pass(TimeDelta::seconds(125)).await;
        let expected = [("fired", 60), ("buffered", 120), ("fired", 120)];
        assert_eq!(world.story(id).await, story(&expected), "{overlap:?}");
        let first = world.tasks_of(id).await[0];
        let end = world.spark.wait_task(first, Duration::from_secs(1)).await.unwrap();
        assert_eq!(end.unwrap().status, TaskStatus::Cancelled, "{overlap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn allow_all_starts_everything_even_after_a_long_outage() {
    let mut world = stuck().await;
    let request = NewSchedule {
        catch_up_ms: Some(86_400_000),
        ..world.new_schedule(every(60), Overlap::AllowAll)
    };
    let id = world.make_schedule(request).await;
    world.spark.shutdown().await;
    // More than fit into one append.
    world.pass(TimeDelta::minutes(700)).await;
    world.spark = launch_with(0, &world.log, &world.clock, &world.dir).await;
    world.pass(TimeDelta::seconds(1)).await;
    let tasks: BTreeSet<TaskId> = world.tasks_of(id).await.into_iter().collect();
    assert_eq!(tasks.len(), 700);
    assert_eq!(world.spark.health().open_tasks, 700);
    assert_eq!(world.spark.health().crashes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_overlap_policy_lets_what_waits_start_at_once() {
    let world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(60), Overlap::BufferAll)).await;
    world.pass(TimeDelta::seconds(190)).await;
    let overlap = Some(Overlap::AllowAll);
    world.edit(id, SchedulePatch { overlap, ..SchedulePatch::default() }).await;
    world.pass(TimeDelta::milliseconds(10)).await;
    assert_eq!(world.tasks_of(id).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_pauses_itself_after_failures_in_a_row_even_over_a_restart() {
    let mut world = paused(START).await;
    let request =
        NewSchedule { pause_after: Some(3), ..world.new_schedule(every(60), Overlap::Skip) };
    let id = world.make_schedule(request).await;
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(125)).await;
    world.restart(4).await;
    world.pass(TimeDelta::seconds(600)).await;
    let events = world.events(id).await;
    let Some((ScheduleEvent::Paused(SchedulePaused { note, .. }), when)) = events.last() else {
        panic!("{events:?}");
    };
    assert!(*when < at("2026-11-20T00:03:01Z"), "paused at the third failure, not at {when}");
    let note = note.as_ref().unwrap();
    assert!(note.contains("3 failed") && note.contains("was removed here"), "{note}");
    assert_eq!(world.fired(id).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_counted_before_the_crash_is_counted_after_it() {
    let mut world = stuck().await;
    let request =
        NewSchedule { pause_after: Some(1), ..world.new_schedule(every(60), Overlap::Skip) };
    let id = world.make_schedule(request).await;
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    world.pass(TimeDelta::seconds(61)).await;
    // The schedule's next event cannot be written; the task's can.
    world.spark.shutdown().await;
    let faulty = Arc::new(FaultyLog::new(world.log.clone()));
    faulty.panic_on("schedule.task_ended", 1_000);
    let log: SharedLog = faulty;
    world.spark = launch_with(4, &log, &world.clock, &world.dir).await;
    world.pass(TimeDelta::seconds(5)).await;
    assert_eq!(world.story(id).await, story(&[("fired", 60)]));
    world.restart(4).await;
    world.pass(TimeDelta::seconds(1)).await;
    let names: Vec<String> = world.story(id).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["fired", "task_ended", "paused"]);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_runs_its_instants_in_order_and_goes_on_after_a_restart() {
    let mut world = stuck().await;
    let once = Recurrence::Once { at: at("2027-01-01T00:00:00Z") };
    let id = world.make_schedule(world.new_schedule(once, Overlap::Skip)).await;
    world.spark.pause_schedule(id, &who()).await.unwrap();
    let due: Vec<Timestamp> = (1..=5).map(|n| at(START) - TimeDelta::days(n)).collect();
    let request = BackfillRequest {
        from: *due.last().unwrap(),
        to: due[0],
        only: BackfillOnly::Missing,
        overlap: Overlap::BufferAll,
        active_max: 1,
        due: due.clone(),
    };
    let number = world.spark.backfill_schedule(id, request.clone(), &who()).await.unwrap().value;
    assert_eq!(number, 1);
    world.pass(TimeDelta::milliseconds(10)).await;
    assert_eq!(world.tasks_of(id).await.len(), 1, "one after another");
    world.end_first(id).await;
    world.restart(0).await;
    world.pass(TimeDelta::milliseconds(10)).await;
    assert_eq!(world.tasks_of(id).await.len(), 2);
    for _ in 0..4 {
        world.end_first(id).await;
    }
    let backfilled: Vec<i64> = world
        .story(id)
        .await
        .into_iter()
        .filter_map(|(name, second)| (name == "backfilled").then_some(second))
        .collect();
    let expected: Vec<i64> = due.iter().map(|at_| (*at_ - at(START)).num_seconds()).collect();
    assert_eq!(backfilled, expected);
    assert_eq!(world.story(id).await.last().unwrap().0, "backfill_ended");
    let again = BackfillRequest { overlap: Overlap::AllowAll, active_max: 3, ..request };
    world.spark.backfill_schedule(id, again, &who()).await.unwrap();
    world.pass(TimeDelta::milliseconds(10)).await;
    assert_eq!(world.spark.health().open_tasks, 3, "as many at once as allowed");
    let tasks: BTreeSet<TaskId> = world.tasks_of(id).await.into_iter().collect();
    assert_eq!(tasks.len(), 8, "the same instant twice makes two tasks");
}

#[tokio::test(start_paused = true)]
async fn jitter_moves_a_start_and_the_same_way_after_a_restart() {
    let mut world = paused(START).await;
    let timetable = Timetable { jitter_ms: 1_800_000, ..every(3_600).into() };
    let id = world.make_schedule(world.new_schedule(timetable.clone(), Overlap::AllowAll)).await;
    world.spark.delete_flow(world.flow, &who()).await.unwrap();
    world.pass(TimeDelta::hours(3)).await;
    world.restart(4).await;
    world.pass(TimeDelta::hours(3)).await;
    let planner = timetable.planner(id).unwrap();
    let mut due = planner.next_after(at(START)).unwrap();
    let mut moved = 0;
    let mut seen = 0;
    for (event, recorded_at) in world.events(id).await {
        let ScheduleEvent::Fired(fired) = event else { continue };
        assert_eq!(fired.due_at, due.due_at);
        let late = recorded_at - due.starts_at;
        assert!(late >= TimeDelta::zero() && late < TimeDelta::milliseconds(50), "{late}");
        moved += u32::from(due.starts_at != due.due_at);
        seen += 1;
        due = planner.next_after(due.due_at).unwrap();
    }
    assert!(seen >= 5 && moved >= 4, "{seen} fired, {moved} moved");
}

#[tokio::test(start_paused = true)]
async fn an_edit_fires_nothing_and_holds_after_a_restart() {
    let mut world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(3_600), Overlap::AllowAll)).await;
    world.pass(TimeDelta::minutes(90)).await;
    let specs = Some(vec![Recurrence::interval(600_000, at(START))]);
    world.edit(id, SchedulePatch { specs, ..SchedulePatch::default() }).await;
    world.pass(TimeDelta::minutes(9)).await;
    assert_eq!(world.fired(id).await.len(), 1, "nothing before the first new instant");
    world.pass(TimeDelta::minutes(2)).await;
    world.restart(0).await;
    world.pass(TimeDelta::minutes(10)).await;
    let fired = world.fired(id).await;
    assert_eq!(fired.len(), 3, "{fired:?}");
    let note = Some(Some("a note".to_owned()));
    world.edit(id, SchedulePatch { note, ..SchedulePatch::default() }).await;
    world.pass(TimeDelta::minutes(10)).await;
    assert_eq!(world.fired(id).await.len(), 4, "an edit of something else moves nothing");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_starts_an_end_and_an_exclusion_are_kept() {
    let world = stuck().await;
    let limited =
        NewSchedule { runs_max: Some(2), ..world.new_schedule(every(60), Overlap::AllowAll) };
    let limited = world.make_schedule(limited).await;
    let timetable = Timetable {
        end_at: Some(at("2026-11-20T00:04:00Z")),
        exclusions: vec![Exclusion::Span {
            from: at("2026-11-20T00:01:30Z"),
            until: at("2026-11-20T00:02:30Z"),
        }],
        ..every(60).into()
    };
    let bounded = world.make_schedule(world.new_schedule(timetable, Overlap::AllowAll)).await;
    world.pass(TimeDelta::minutes(10)).await;
    let expected = [("fired", 60), ("fired", 120), ("completed", 120)];
    assert_eq!(world.story(limited).await, story(&expected));
    let expected = [("fired", 60), ("fired", 180), ("fired", 240), ("completed", 240)];
    assert_eq!(world.story(bounded).await, story(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_with_a_policy_waits_or_is_refused() {
    let world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(3_600), Overlap::Skip)).await;
    let trigger = async |overlap| world.spark.trigger_schedule(id, overlap, &who()).await;
    let first = trigger(None).await.unwrap().value;
    assert!(!first.waits);
    let refused = trigger(Some(Overlap::Skip)).await.unwrap_err();
    let rival = ScheduleRejection::StillOpen(first.task_id);
    assert!(refused.to_string().contains(&rival.to_string()), "{refused}");
    let second = trigger(Some(Overlap::BufferOne)).await.unwrap().value;
    assert!(second.waits);
    assert_eq!(world.spark.health().open_tasks, 1);
    world.end_first(id).await;
    assert!(!world.task_events(second.task_id).await.is_empty(), "it was made when its turn came");
    assert!(trigger(None).await.is_ok(), "without a policy it starts beside the other");
}

#[tokio::test(start_paused = true)]
async fn an_edit_right_after_a_long_outage_leaves_no_instant_without_an_outcome() {
    let mut world = stuck().await;
    let id = world.make_schedule(world.new_schedule(every(1), Overlap::Skip)).await;
    world.spark.shutdown().await;
    world.pass(TimeDelta::seconds(100_000)).await;
    world.spark = launch_with(0, &world.log, &world.clock, &world.dir).await;
    let specs = Some(vec![every(3_600)]);
    world.edit(id, SchedulePatch { specs, ..SchedulePatch::default() }).await;
    let (mut outcomes, mut edited_at) = (0, None);
    for (event, recorded_at) in world.events(id).await {
        match event {
            ScheduleEvent::Fired(_) => outcomes += 1,
            ScheduleEvent::Skipped(e) => outcomes += e.count,
            ScheduleEvent::Edited(e) => {
                assert!(e.dropped.is_empty(), "{:?}", e.dropped);
                edited_at = Some(recorded_at);
            }
            _ => {}
        }
    }
    let passed = (edited_at.expect("it was edited") - at(START)).num_seconds();
    assert_eq!(outcomes, u64::try_from(passed).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_left_while_the_log_was_away_does_not_happen() {
    let (world, faults) = faulty(START).await;
    let id = world.schedule(every(60), None).await;
    faults.set_down(true);
    // What is due waits for the log, and so does whatever is asked behind it.
    world.pass(TimeDelta::seconds(70)).await;
    let left = world.spark.pause_schedule(id, &who()).await.unwrap_err();
    assert!(matches!(left, DispatchError::Unanswered { .. }), "{left:?}");
    assert!(left.to_string().contains("may still happen"), "{left}");
    faults.heal();
    world.pass(TimeDelta::minutes(3)).await;
    let events = world.events(id).await;
    assert!(!events.iter().any(|(event, _)| matches!(event, ScheduleEvent::Paused(_))));
    assert!(events.iter().filter(|(e, _)| matches!(e, ScheduleEvent::Fired(_))).count() >= 3);
}
