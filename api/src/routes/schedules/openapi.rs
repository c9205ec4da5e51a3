//! The operations of schedules, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_events::domain::schedule::ScheduleStatus;
use spark_events::limits;
use spark_projections::{ScheduleRow, TaskDetail};
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::backfill::{BackfillBody, Begun, DryRun};
use super::fields::{PreviewBody, ScheduleBody};
use super::patch::BothNext;
use super::preview::Preview;
use super::why::Answer;
use super::{NewTaskRow, TriggerBody, Waits};
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::schemas::Removed;
use crate::openapi::{Operation, examples, schemas};

const SCHEDULE: &str = "The schedule's id, the start of it, or its name.";

/// A schedule, with what comes next without the change and with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct EditedSchedule {
    #[serde(flatten)]
    schedule: ScheduleRow,
    /// What comes next.
    next: BothNext,
}

pub(crate) fn operations() -> Vec<Operation> {
    let command = |id, action: &'static str, summary| {
        Operation::post(id, action, summary)
            .names("schedule", SCHEDULE)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "maintenance" }))
            .answers_row::<ScheduleRow>(StatusCode::OK, "The schedule.", examples::schedule())
            .fails(&[Row::STAGE])
    };
    let statuses = [
        ScheduleStatus::Active,
        ScheduleStatus::Paused,
        ScheduleStatus::Completed,
        ScheduleStatus::Deleted,
    ];
    vec![
        Operation::get("listSchedules", "/schedules", "List schedules")
            .query("flow", "Only those of this flow.", schemas::text(0, None))
            .query("source", "Only those of this source.", schemas::text(0, None))
            .query("status", "Only those in one of these statuses.", schemas::some_of(statuses.map(ScheduleStatus::as_str)))
            .query("deleted", "Deleted ones too.", schemas::flag())
            .paged()
            .reads()
            .answers_page::<ScheduleRow>("A page of schedules.", examples::schedule())
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS]),
        Operation::post("createSchedule", "/schedules", "Run a flow again and again")
            .about("When: exactly one of `cron`, `every`, `every_ms`, `at` and `specs`.")
            .commands()
            .body::<ScheduleBody>(
                "Weekdays at nine",
                json!({
                    "flow": "nightly report",
                    "name": "weekdays at nine",
                    "cron": "0 9 * * 1-5",
                    "timezone": "Europe/Berlin",
                    "input": "yesterday",
                }),
            )
            .example(
                "Every half hour, one after another",
                json!({ "flow": "nightly report", "every": "30m", "overlap": "BufferAll" }),
            )
            .answers_row::<ScheduleRow>(StatusCode::CREATED, "The schedule.", examples::schedule())
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::READ_MODEL, Row::CONFLICT, Row::RULE]),
        Operation::post("previewSchedule", "/schedules/preview", "See when a schedule would be due")
            .about("Nothing is stored.")
            .body::<PreviewBody>("Weekdays at nine", json!({ "cron": "0 9 * * 1-5", "n": 3 }))
            .answers::<Preview<'static>>("The next instants.", preview()),
        Operation::get("getSchedule", "/schedules/{schedule}", "One schedule")
            .names("schedule", SCHEDULE)
            .reads()
            .answers::<ScheduleRow>("The schedule.", examples::schedule())
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::get("listNextInstants", "/schedules/{schedule}/next", "When a schedule is due next")
            .names("schedule", SCHEDULE)
            .query("n", "How many instants.", schemas::number(1, Some(limits::PREVIEW_MAX as u64)))
            .reads()
            .answers::<Preview<'static>>(
                "The next instants.",
                examples::with(
                    preview(),
                    json!({ "schedule_id": "0192f0c1-2d3e-7000-8000-000000000003", "status": "active" }),
                ),
            ),
        command("pauseSchedule", "/schedules/{schedule}/pause", "Fire nothing until resumed"),
        command("resumeSchedule", "/schedules/{schedule}/resume", "Fire again")
            .about("What came due meanwhile is only run by a backfill."),
        Operation::patch("editSchedule", "/schedules/{schedule}", "Change a schedule")
            .about("What is left out stays, `null` takes away. All of it is changed, or nothing.")
            .names("schedule", SCHEDULE)
            .query("dry_run", "Only show what would come of it.", schemas::flag())
            .commands()
            .body::<ScheduleBody>("Another time", json!({ "cron": "30 8 * * 1-5", "note": null }))
            .answers_row::<EditedSchedule>(
                StatusCode::OK,
                "The schedule.",
                examples::with(
                    examples::schedule(),
                    json!({ "next": { "before": [instant()], "after": [instant()] } }),
                ),
            )
            .fails(&[Row::BEHIND, Row::CONFLICT, Row::STAGE, Row::RULE]),
        Operation::post("triggerSchedule", "/schedules/{schedule}/trigger", "Start a task now")
            .about("Beside what is open, unless an overlap policy is given.")
            .names("schedule", SCHEDULE)
            .commands()
            .optional_body::<TriggerBody>("One after another", json!({ "overlap": "BufferAll" }))
            .answers_either_with::<TaskDetail, NewTaskRow>(StatusCode::CREATED, "The task.", examples::task_detail())
            .answers_with::<Waits>(
                StatusCode::ACCEPTED,
                "The start waits for the end of what is open.",
                json!({ "task_id": "0192f0c1-2d3e-7000-8000-000000000004", "waits": true }),
            )
            .fails(&[Row::STAGE, Row::CONFLICT, Row::RULE]),
        Operation::post("backfillSchedule", "/schedules/{schedule}/backfill", "Run instants of the past")
            .names("schedule", SCHEDULE)
            .commands()
            .body::<BackfillBody>(
                "A day",
                json!({ "from": "2026-01-30T00:00:00Z", "to": "2026-01-30T23:59:59Z", "dry_run": true }),
            )
            .answers::<DryRun>("What would be done, with `dry_run`.", dry_run())
            .answers_with::<Begun>(StatusCode::ACCEPTED, "It is begun.", json!({ "number": 1, "count": 1 }))
            .fails(&[Row::BEHIND, Row::STAGE, Row::RULE, Row::CONFLICT]),
        command(
            "cancelBackfill",
            "/schedules/{schedule}/backfill/{number}/cancel",
            "Let a backfill start nothing more",
        )
        .segment("number", "The backfill's number.", schemas::number(0, Some(u64::from(u32::MAX)))),
        Operation::get("explainInstant", "/schedules/{schedule}/why", "What became of a due instant")
            .about("From the schedule's events, also of a deleted one.")
            .names("schedule", SCHEDULE)
            .needs_query("at", "The due instant: RFC 3339.", schemas::instant())
            .reads()
            .answers::<Answer<'static>>("What became of it, and why.", why())
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::delete("deleteSchedule", "/schedules/{schedule}", "Fire nothing any more")
            .about("Its tasks and its history stay.")
            .names("schedule", SCHEDULE)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "not needed any more" }))
            .answers::<Removed>("It is deleted.", examples::removed())
            .fails(&[Row::STAGE]),
    ]
}

fn instant() -> Value {
    json!({ "due_at": "2026-02-02T08:00:00.000000Z", "local": "2026-02-02T09:00:00+01:00" })
}

fn preview() -> Value {
    let schedule = examples::schedule();
    json!({
        "recurrence": schedule["recurrence"],
        "timetable": schedule["timetable"],
        "summary": schedule["summary"],
        "zone_data": "2026a",
        "items": [instant()],
        "notes": [],
    })
}

fn dry_run() -> Value {
    json!({
        "count": 1,
        "items": [{ "due_at": "2026-01-30T08:00:00.000000Z", "state": "missing", "taken": true }],
        "truncated": false,
    })
}

fn why() -> Value {
    json!({
        "schedule_id": "0192f0c1-2d3e-7000-8000-000000000003",
        "at": "2026-01-30T08:00:00Z",
        "verdict": "fired",
        "can_backfill": true,
        "task_id": "0192f0c1-2d3e-7000-8000-000000000004",
        "witness": null,
        "set_by": null,
        "backfilled": [],
        "summary": "2026-01-30T08:00:00Z started task 0192f0c1-2d3e-7000-8000-000000000004",
    })
}
