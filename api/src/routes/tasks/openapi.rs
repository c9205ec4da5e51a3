//! The operations of tasks, as the OpenAPI document describes them.

use serde_json::{Value, json};
use spark_events::domain::failure::FailureClass;
use spark_events::domain::task::TaskStatus;
use spark_events::limits;
use spark_projections::{ComponentRow, TaskDetail, TaskFilter, TaskRow, TaskSort};
use utoipa::ToSchema;
use warp::http::StatusCode;

use super::bulk::{BulkBody, Done};
use super::change::{CancelBody, RetryTaskBody};
use super::filter::CLASSES;
use super::{NewTaskRow, RunBody};
use crate::body::ActionBody;
use crate::error::Row;
use crate::openapi::schemas::Removed;
use crate::openapi::{Operation, examples, schemas};

const TASK: &str = "The task's id, or the start of it.";

/// A task, with the trace that its runs belong to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the handler puts together")]
struct TracedTask {
    #[serde(flatten)]
    task: TaskDetail,
    /// The trace of its runs (W3C), where they have one.
    trace_id: Option<String>,
    /// What it waits for that no time brings, such as a worker with a label.
    waits_for: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let any = || schemas::text(0, None);
    vec![
        Operation::get("listTasks", "/tasks", "List tasks")
            .query("status", "Only those in one of these statuses.", schemas::some_of(TaskStatus::ALL.map(TaskStatus::as_str)))
            .query("flow", "Only those of this flow.", any())
            .query("schedule", "Only those of this schedule.", any())
            .query("source", "Only those of this source.", any())
            .query("trigger", "Only those that were made for this reason.", schemas::words(TaskFilter::TRIGGERS))
            .query("class", "Only those whose last failure is of this class.", schemas::words(CLASSES.map(FailureClass::as_str)))
            .query("since", "Made at this instant or later: RFC 3339, or how long ago, such as `1h`.", schemas::instant_or_ago())
            .query("until", "Made before this instant: as `since`.", schemas::instant_or_ago())
            .query("q", "Only those with these words in their texts.", any())
            .query("deleted", "Deleted ones too.", schemas::flag())
            .query("sort", "The order; `-` is descending.", schemas::words(TaskSort::ALL.map(TaskSort::as_str)))
            .paged()
            .reads()
            .answers_page::<TaskRow>("A page of tasks.", examples::task())
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS]),
        run("createTask", "/tasks", "Run a flow once", json!({ "flow": "nightly report" })),
        Operation::post("changeTasks", "/tasks/bulk", "Retry, cancel or delete many tasks")
            .about("Each by the command that it would get alone; one that fails does not stop the others.")
            .commands()
            .body::<BulkBody>(
                "What failed today",
                json!({ "action": "retry", "filter": { "status": "failed", "since": "1d" }, "dry_run": true }),
            )
            .answers::<Done>("What was done.", bulk())
            .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::READ_MODEL, Row::BEHIND]),
        Operation::get("getTask", "/tasks/{task}", "One task, with its attempts")
            .names("task", TASK)
            .reads()
            .answers::<TracedTask>("The task.", examples::with(examples::task_detail(), json!({ "trace_id": null, "waits_for": null })))
            .fails(&[Row::LOG_UNAVAILABLE]),
        Operation::get("waitForTask", "/tasks/{task}/wait", "Wait for the end of a task")
            .about("It answers with the task as it is when the time is over, ended or not.")
            .names("task", TASK)
            .query("timeout_ms", "How long at most.", schemas::number(0, None))
            .query("after_revision", "Wait for any later revision instead.", schemas::number(0, None))
            .reads()
            .answers::<TaskDetail>("The task.", examples::task_detail())
            .fails(&[Row::LOG_UNAVAILABLE, Row::OVERLOADED, Row::SHUTTING_DOWN, Row::COMMAND_TIMEOUT]),
        Operation::post("cancelTask", "/tasks/{task}/cancel", "Stop a task")
            .names("task", TASK)
            .commands()
            .optional_body::<CancelBody>("A reason", json!({ "reason": "wrong input" }))
            .answers_row::<TaskDetail>(StatusCode::OK, "The task.", examples::task_detail())
            .fails(&[Row::STAGE, Row::BEHIND]),
        Operation::post("retryTask", "/tasks/{task}/retry", "Run a task again")
            .about("As a new task; the old one stays as it is. What is left out is as it was.")
            .names("task", TASK)
            .commands()
            .idempotent()
            .optional_body::<RetryTaskBody>("Another input", json!({ "input": "the day before", "flow_version": "now" }))
            .answers_either::<TaskDetail, NewTaskRow>("The task that was made before under the same key.", examples::task_detail())
            .answers_either_with::<TaskDetail, NewTaskRow>(StatusCode::CREATED, "The new task.", examples::task_detail())
            .fails(&[Row::STAGE, Row::RULE, Row::CONFLICT])
            .asks_the_source(),
        Operation::post("releaseTask", "/tasks/{task}/run", "Let a held task start")
            .names("task", TASK)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "approved" }))
            .answers_row::<TaskDetail>(StatusCode::OK, "The task.", examples::task_detail())
            .fails(&[Row::STAGE]),
        Operation::delete("deleteTask", "/tasks/{task}", "Put an ended task out of sight")
            .about("Its history stays.")
            .names("task", TASK)
            .commands()
            .optional_body::<ActionBody>("A reason", json!({ "reason": "a test" }))
            .answers::<Removed>("It is out of sight.", examples::removed())
            .fails(&[Row::STAGE]),
        Operation::get("readTaskLog", "/tasks/{task}/log", "What the components did")
            .names("task", TASK)
            .query("attempt", "Only in this attempt.", schemas::number(1, Some(u64::from(limits::ATTEMPTS_MAX))))
            .query("component", "Only this component, by its display name.", any())
            .reads()
            .answers_page::<ComponentRow>("All of it.", examples::component_log()),
    ]
}

/// Running a flow, by whichever path; `which` is what the body says of the flow.
pub(crate) fn run(
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    which: Value,
) -> Operation {
    let new = json!({
        "id": "0192f0c1-2d3e-7000-8000-000000000004",
        "flow_id": "0192f0c1-2d3e-7000-8000-000000000002",
        "trigger": "manual",
        "status": "pending",
        "attempts": 0,
        "created_at": "2026-01-31T09:00:00.000000Z",
    });
    Operation::post(id, path, summary)
        .about(
            "Answers at once with what is known; with `wait_ms` or `return=row` with the whole \
             task. The body may also be the input text alone, as a JSON string.",
        )
        .query("return", "How much to answer.", schemas::words(["minimal", "row"]))
        .commands()
        .idempotent()
        .optional_body::<RunBody>(
            "An input",
            examples::with(
                which,
                json!({ "input": "yesterday", "max_retries": 3, "timeout": "10m" }),
            ),
        )
        .answers_either::<NewTaskRow, TaskDetail>(
            "The task that was made before under the same key.",
            examples::task_detail(),
        )
        .answers_either_with::<NewTaskRow, TaskDetail>(StatusCode::CREATED, "The new task.", new)
        .fails(&[Row::NOT_FOUND, Row::AMBIGUOUS, Row::READ_MODEL, Row::CONFLICT, Row::RULE])
}

fn bulk() -> Value {
    json!({
        "action": "retry",
        "dry_run": false,
        "matched": 1,
        "done": 1,
        "failed": 0,
        "items": [{
            "task_id": "0192f0c1-2d3e-7000-8000-000000000004",
            "outcome": "done",
            "new_task_id": "0192f0c1-2d3e-7000-8000-000000000005",
        }],
    })
}
