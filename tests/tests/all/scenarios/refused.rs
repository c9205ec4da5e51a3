//! Input that cannot be used: a clear error, a way out, the right code, and nothing stored.

use spark_tests::target::Target;

use super::steps::{connected, text};

/// Command line, exit code, and what must be said.
type BadCommand = (&'static [&'static str], i32, &'static [&'static str]);

const BAD_COMMANDS: &[BadCommand] = &[
    (&["schedule", "create", "e2e-echo", "61 * * * *"], 2, &["minute field \"61\"", "0-59"]),
    (&["schedule", "create", "e2e-echo", "* * *"], 2, &["fields"]),
    (&["schedule", "create", "e2e-echo", "0 0 31 2 *"], 2, &["31 February", "change the day"]),
    (&["schedule", "create", "e2e-echo", "--every", "10"], 2, &["no unit", "`10s`"]),
    (
        &["schedule", "create", "e2e-echo", "--every", "100ms"],
        2,
        &["too short", "the shortest is 1s"],
    ),
    (
        &["schedule", "create", "e2e-echo", "0 9 * * *", "--timezone", "Mars/Olympus"],
        2,
        &["Mars/Olympus", "IANA"],
    ),
    (
        &["schedule", "create", "e2e-echo", "--every", "5s", "--timezone", "UTC"],
        2,
        &["timezone", "cron"],
    ),
    (
        &["schedule", "create", "e2e-echo", "--at", "2001-01-01T00:00:00Z"],
        2,
        &["in the past", "`now`"],
    ),
    (&["schedule", "create", "e2e-echo", "--at", "tomorrow"], 2, &["tomorrow", "RFC 3339"]),
    (&["schedule", "create", "e2e-echo"], 2, &["--every", "--help"]),
    (
        &["schedule", "create", "e2e-echo", "* * * * *", "--exclude", "someday"],
        2,
        &["someday", "2026-12-25"],
    ),
    (&["schedule", "create", "e2e-echo", "--every", "5s", "--max-runs", "0"], 2, &["at least one"]),
    (&["why", "nothing-like-it", "--at", "09:00"], 6, &["automagik schedule list"]),
    (&["task", "retry"], 2, &["no task was named", "--dry-run"]),
    (&["task", "list", "--since", "yesterdayish"], 2, &["yesterdayish", "1h"]),
    (
        &["schedule", "create", "nothing-like-it", "--every", "5s"],
        6,
        &["nothing-like-it", "automagik flow list"],
    ),
    (&["schedule", "show", "nothing-like-it"], 6, &["automagik schedule list"]),
    (
        &["schedule", "create", "e2e-echo", "--every", "5s", "--overlap", "Maybe"],
        2,
        &["Maybe", "Skip"],
    ),
    (&["flow", "run", "e2e-echo", "--timeout", "soon"], 2, &["soon", "10m"]),
    (&["flow", "run", "e2e-echo", "--tweak", "a=b"], 2, &["Component.field=value"]),
    (
        &["flow", "run", "e2e-echo", "--input-file", "/nowhere/at/all"],
        2,
        &["/nowhere/at/all", "--input"],
    ),
    (&["task", "list", "--status", "done"], 2, &["done", "completed"]),
    (&["task", "show", "0193a7b4-1c2d"], 6, &["automagik task list"]),
    (&["source", "add", "localhost"], 2, &["http://"]),
    (&["source", "add", "http://127.0.0.1:1"], 1, &["127.0.0.1:1", "running"]),
    (&["--api-key", "wrong", "task", "list"], 4, &["key", "AUTOMAGIK_API_KEY"]),
    (&["tusk", "list"], 2, &["tusk", "task"]),
];

pub(super) async fn bad_input_is_refused_with_a_remedy_and_leaves_nothing_behind(target: &Target) {
    let automagik = connected(target, &["e2e-echo"]).await;
    let stored = automagik.stored_events();
    for (command, code, parts) in BAD_COMMANDS {
        let output = automagik.ends(*code, command).await;
        output.says(parts);
        assert!(output.stdout.is_empty(), "errors are no data: {output}");
        assert!(!output.stderr.contains("panicked"), "{output}");
        assert_eq!(automagik.stored_events(), stored, "{output}");
    }
}

pub(super) async fn what_contradicts_what_exists_is_a_conflict(target: &Target) {
    let automagik = connected(target, &["e2e-echo"]).await;
    let create = ["schedule", "create", "e2e-echo", "--every", "1h", "--name", "hourly"];
    automagik.ok(&create).await;
    let stored = automagik.stored_events();
    automagik.ends(7, &create).await.says(&["hourly", "choose another"]);
    automagik.ends(7, &["flow", "delete", "e2e-echo", "--yes"]).await.says(&["hourly"]);
    let source = text(&automagik.rows(&["source", "list"]).await[0], "name");
    let source = source.as_str();
    automagik.ends(7, &["source", "remove", source, "--yes"]).await.says(&["flow"]);
    assert_eq!(automagik.stored_events(), stored);
    automagik.ok(&["schedule", "delete", "hourly", "--yes"]).await;
    automagik.ok(&["flow", "delete", "e2e-echo", "--yes"]).await;
    automagik.ok(&["source", "remove", source, "--yes"]).await;
}

/// Method, path, body, status, code, and what the answer must say.
type BadRequest = (&'static str, &'static str, &'static str, u16, &'static str, &'static str);

const BAD_REQUESTS: &[BadRequest] = &[
    ("POST", "/schedules", "{\"flow\": \"e2e-echo\",", 400, "SPK-1001", "line 1"),
    ("POST", "/schedules", "", 400, "SPK-1001", "empty"),
    ("POST", "/schedules", "[]", 422, "SPK-1002", "object"),
    (
        "POST",
        "/schedules",
        r#"{"flow":"e2e-echo","every":"5s","colour":"red"}"#,
        422,
        "SPK-1002",
        "colour",
    ),
    ("POST", "/schedules", r#"{"flow":"e2e-echo","every":5}"#, 422, "SPK-1002", "every"),
    ("POST", "/schedules", r#"{"every":"5s"}"#, 422, "SPK-1002", "flow"),
    ("POST", "/schedules", r#"{"flow":"e2e-echo"}"#, 422, "SPK-1002", "exactly one"),
    ("POST", "/schedules", r#"{"flow":"e2e-echo","every_ms":-1}"#, 422, "SPK-1002", "every_ms"),
    (
        "POST",
        "/schedules",
        r#"{"flow":"nothing-like-it","every":"5s"}"#,
        404,
        "SPK-3001",
        "nothing-like-it",
    ),
    (
        "POST",
        "/schedules",
        r#"{"flow":"e2e-echo","every":"5s","retry":{"attempts_max":0}}"#,
        422,
        "SPK-3005",
        "attempts must be from 1",
    ),
    ("POST", "/flows/e2e-echo/run", r#"{"tweaks":[1]}"#, 422, "SPK-1002", "tweaks"),
    ("POST", "/tasks", r#"{"flow":"e2e-echo","timeout_ms":0}"#, 422, "SPK-", "timeout"),
    ("GET", "/tasks?colour=red", "", 422, "SPK-1003", "colour"),
    ("GET", "/tasks?limit=0", "", 422, "SPK-1003", "limit"),
    ("GET", "/nothing", "", 404, "SPK-1008", "/nothing"),
    ("DELETE", "/tasks", "", 405, "SPK-1010", "GET"),
];

pub(super) async fn bad_requests_are_refused_with_a_stable_code_and_leave_nothing_behind(
    target: &Target,
) {
    let automagik = connected(target, &["e2e-echo"]).await;
    let stored = automagik.stored_events();
    for (method, path, body, status, code, part) in BAD_REQUESTS {
        let answer = automagik.http(method, &format!("/api/v1{path}"), *body).await;
        is_problem(&answer, *status, code, part);
    }
    let huge = format!(r#"{{"flow":"e2e-echo","every":"5s","input":"{}"}}"#, "x".repeat(3_000_000));
    is_problem(
        &automagik.http("POST", "/api/v1/schedules", huge).await,
        413,
        "SPK-1005",
        "2097152",
    );
    let long = format!(r#"{{"flow":"e2e-echo","every":"5s","input":"{}"}}"#, "x".repeat(1_100_000));
    is_problem(&automagik.http("POST", "/api/v1/schedules", long).await, 422, "SPK-1002", "input");
    let path = "/api/v1/schedules";
    let body = r#"{"flow":"e2e-echo","every":"5s"}"#;
    let wrong = automagik.http_with("POST", path, &[("x-api-key", "wrong")], body).await;
    is_problem(&wrong, 401, "SPK-2002", "file api-key");
    let missing = automagik.http_with("POST", path, &[], body).await;
    is_problem(&missing, 401, "SPK-2001", "X-API-Key");
    assert_eq!(automagik.stored_events(), stored);
    automagik.ok(&["status"]).await;
}

#[track_caller]
fn is_problem(answer: &spark_tests::plain_http::Answer, status: u16, code: &str, part: &str) {
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{said}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{said}");
    let problem = answer.json();
    assert!(text(&problem, "code").starts_with(code), "{said}");
    assert!(said.contains(part), "nothing of {part:?}: {said}");
    let way_out = problem["remedy"].is_string() || problem["errors"].is_array();
    assert!(way_out || status == 405, "no remedy: {said}");
}
