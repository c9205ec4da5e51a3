//! What it costs to plan: the next occurrence of a schedule, with and without its planner at hand.

use std::hint::black_box;
use std::time::Instant;

use spark_events::clock::Timestamp;
use spark_events::domain::recurrence::{DstRule, Exclusion, Recurrence, Timetable};
use spark_events::ids::ScheduleId;

use super::figures::{Target, figure, percentile};

/// Instants asked for, one after the other, half an hour apart: they cross two clock changes.
const ASKED: i64 = 20_000;
const APART_SECONDS: i64 = 1_800;
/// Asked at once, because one alone is too short for the clock.
const BATCH: usize = 10;

pub(crate) async fn run() {
    let cron = |text: &str, zone: &str| {
        Recurrence::parse_cron(text, zone, DstRule::Once).expect("the expression can be read")
    };
    let exclusion =
        |text: &str| Exclusion::parse(text, "Europe/Berlin").expect("the exclusion can be read");
    let every = Recurrence::Interval { every_ms: 900_000, phase_ms: 0 };
    let daily = cron("30 9 * * MON-FRI", "America/New_York");
    let three = vec![
        cron("*/20 8-18 * * MON-FRI", "Europe/Berlin"),
        cron("0 */3 * * *", "America/New_York"),
        cron("30 2 1,15 * *", "Australia/Lord_Howe"),
    ];
    let union = Timetable {
        exclusions: vec![exclusion("2026-12-24/2026-12-26"), exclusion("* 12 * * *")],
        jitter_ms: 60_000,
        specs: three,
        start_at: None,
        end_at: None,
    };
    for (name, timetable, target) in [
        ("interval", Timetable::from(every), Target::None),
        ("cron in a zone", Timetable::from(daily), Target::None),
        ("3 crons, 2 exclusions, jitter", union, Target::Most(20.0)),
    ] {
        measure(name, &timetable, &target);
    }
}

fn measure(name: &str, timetable: &Timetable, target: &Target) {
    let id = ScheduleId::random();
    let held = timetable.planner(id).expect("the timetable can be read");
    let median = median_us(|after| {
        black_box(held.next_after(after));
    });
    figure(&format!("{name}: next, planner held"), median, "us", target);
    let median = median_us(|after| {
        let planner = timetable.planner(id).expect("the timetable can be read");
        black_box(planner.next_after(after));
    });
    figure(&format!("{name}: planner and next"), median, "us", target);
    let mut walk = held.walk(instant(0));
    let median = median_us(|_| {
        black_box(walk.next());
    });
    figure(&format!("{name}: one more of a walk"), median, "us", target);
}

fn instant(number: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_225_600 + number * APART_SECONDS, 0)
        .expect("the years around 2026 can be represented")
}

/// Of one call, over batches.
fn median_us(mut ask: impl FnMut(Timestamp)) -> f64 {
    let instants: Vec<_> = (0..ASKED).map(instant).collect();
    let batches = instants.chunks(BATCH).map(|batch| {
        let begun = Instant::now();
        batch.iter().for_each(|after| ask(*after));
        begun.elapsed().as_secs_f64() * 1e6 / batch.len() as f64
    });
    percentile(&mut batches.collect::<Vec<_>>(), 0.5)
}
