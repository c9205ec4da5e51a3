//! Every error once: its status and its code are what callers and README.md rely on.

use std::collections::HashSet;

use spark_events::WorkerId;
use spark_events::domain::failure::Failure;
use spark_events::domain::recurrence::RecurrenceError;
use spark_events::domain::retry::BadRetryPolicy;
use spark_events::domain::task::TaskStatus;

use spark_events::Revision;

use super::*;

fn rejected(rejection: impl Into<Rejection>) -> ApiError {
    DispatchError::Rejected(rejection.into()).into()
}

fn source(class: FailureClass) -> ApiError {
    let failure = Box::new(Failure::new(class, "it said no"));
    DispatchError::Source { source_name: "home".to_owned(), failure }.into()
}

fn requests() -> Vec<(ApiError, u16, &'static str)> {
    use ApiError as E;
    let text = || "x".to_owned();
    vec![
        (E::JsonMalformed { message: text(), line: 1, column: 2 }, 400, "SPK-1001"),
        (E::field("flow", "is missing"), 422, "SPK-1002"),
        (E::QueryInvalid { key: text(), message: text() }, 422, "SPK-1003"),
        (E::HeaderInvalid { name: "X-Spark-Reason", message: text() }, 422, "SPK-1004"),
        (E::BodyTooLarge, 413, "SPK-1005"),
        (E::BodyUnreadable(text()), 400, "SPK-1006"),
        (E::BodyTimeout, 408, "SPK-1007"),
        (E::PathUnknown { path: text() }, 404, "SPK-1008"),
        (E::PathUnreadable, 400, "SPK-1009"),
        (E::MethodNotAllowed { method: text(), allow: "GET" }, 405, "SPK-1010"),
        (E::KeyReused { id: TaskId::random() }, 422, "SPK-1011"),
        (E::TooMany { who: text(), again_s: 3 }, 429, "SPK-1012"),
        (E::KeyMissing, 401, "SPK-2001"),
        (E::KeyWrong, 401, "SPK-2002"),
        (E::RoleTooLow { key: None, role: None, needed: Role::Admin }, 403, "SPK-2003"),
        (
            E::KeyRevoked { key: text(), at: Timestamp::UNIX_EPOCH, by: "user:local".into() },
            401,
            "SPK-2004",
        ),
        (E::NotFound { kind: "flow", text: text(), suggestions: vec![] }, 404, "SPK-3001"),
        (E::Deleted { kind: "flow", name: text(), id: text() }, 404, "SPK-3001"),
        (E::Ambiguous { kind: "flow", text: text(), candidates: vec![] }, 409, "SPK-3002"),
        (E::Behind { position: Position(9), waited_ms: 1 }, 503, "SPK-5005"),
        (E::ReadModel(text()), 503, "SPK-5006"),
        (E::TooManyListeners(7, ""), 503, "SPK-5008"),
        (E::Crashed, 500, "SPK-5001"),
    ]
}

fn commands() -> Vec<(ApiError, u16, &'static str)> {
    use DispatchError as D;
    let text = || "x".to_owned();
    vec![
        (D::NotFound { kind: "task", id: text() }.into(), 404, "SPK-3001"),
        (D::Conflict(text()).into(), 409, "SPK-3003"),
        (D::Invalid(text()).into(), 422, "SPK-3005"),
        (
            D::Moved { kind: "task", id: text(), expected: Revision(1), present: Revision(2) }
                .into(),
            412,
            "SPK-3006",
        ),
        (D::Overloaded { what: "commands" }.into(), 503, "SPK-5003"),
        (D::Timeout { ms: 1 }.into(), 504, "SPK-5007"),
        (D::Unanswered { reason: text() }.into(), 504, "SPK-5007"),
        (D::Unavailable { reason: text() }.into(), 503, "SPK-5002"),
        (D::ShuttingDown.into(), 503, "SPK-5004"),
        (D::Internal(text()).into(), 500, "SPK-5001"),
        (LogError::Closed.into(), 503, "SPK-5004"),
    ]
}

fn rejections() -> Vec<(ApiError, u16, &'static str)> {
    use {ScheduleRejection as S, SourceRejection as O, TaskRejection as T};
    let running = TaskStatus::Running;
    vec![
        (rejected(T::Absent), 404, "SPK-3001"),
        (rejected(T::Exists), 409, "SPK-3003"),
        (rejected(T::Ended(running)), 409, "SPK-3004"),
        (rejected(T::StaleAttempt { got: 1, current: 2 }), 409, "SPK-3004"),
        (rejected(T::WrongStage(running)), 409, "SPK-3004"),
        (rejected(T::StillOpen(running)), 409, "SPK-3004"),
        (rejected(T::Deleted), 404, "SPK-3001"),
        (rejected(T::BadPriority(101)), 422, "SPK-3005"),
        (rejected(T::BadQueueTimeout(1)), 422, "SPK-3005"),
        (rejected(T::BadTotalTimeout(1)), 422, "SPK-3005"),
        (rejected(T::BadRetryPolicy(BadRetryPolicy::Coefficient)), 422, "SPK-3005"),
        (rejected(T::BadTimeout(0)), 422, "SPK-3005"),
        (rejected(S::Absent), 404, "SPK-3001"),
        (rejected(S::Deleted), 404, "SPK-3001"),
        (rejected(S::Exists), 409, "SPK-3003"),
        (rejected(S::Completed), 409, "SPK-3004"),
        (rejected(S::Recurrence(RecurrenceError::CronEmpty)), 422, "SPK-3005"),
        (rejected(S::BadRetryPolicy(BadRetryPolicy::Maximum)), 422, "SPK-3005"),
        (rejected(S::BadCatchUp(0)), 422, "SPK-3005"),
        (rejected(S::BadTimeout(0)), 422, "SPK-3005"),
        (rejected(O::Absent), 404, "SPK-3001"),
        (rejected(O::Removed), 404, "SPK-3001"),
        (rejected(O::Exists), 409, "SPK-3003"),
        (rejected(O::BadName), 422, "SPK-3005"),
        (rejected(O::BadRunsMax(0)), 422, "SPK-3005"),
        (rejected(FlowRejection::Absent), 404, "SPK-3001"),
        (rejected(RequestRejection::UnderWay), 409, "SPK-1013"),
        (rejected(RequestRejection::Reused), 422, "SPK-1011"),
        (rejected(RequestRejection::NotBegun), 409, "SPK-3003"),
        (rejected(WorkerRejection::Absent), 404, "SPK-3001"),
        (rejected(WorkerRejection::Exists), 409, "SPK-3003"),
    ]
}

fn failures() -> Vec<(ApiError, u16, &'static str)> {
    vec![
        (source(FailureClass::Unreachable), 502, "SPK-4001"),
        (source(FailureClass::Auth), 424, "SPK-4002"),
        (source(FailureClass::NotFound), 404, "SPK-4003"),
        (source(FailureClass::Gone), 404, "SPK-4003"),
        (source(FailureClass::RateLimit), 502, "SPK-4004"),
        (source(FailureClass::Timeout), 504, "SPK-4005"),
        (source(FailureClass::Upstream), 502, "SPK-4006"),
        (source(FailureClass::BadAnswer), 502, "SPK-4006"),
    ]
}

fn workers() -> Vec<(ApiError, u16, &'static str)> {
    let taken = DispatchError::WorkerTaken {
        what: "name",
        text: "gpu-1".into(),
        hostname: "box".into(),
        pid: 7,
        silent_s: 2,
    };
    let protocol = NotAdmitted::Protocol { worker: 2, server: 1, server_version: "0.1".into() };
    let clock = NotAdmitted::Clock { off_ms: 3_600_000 };
    let gone = DispatchError::WorkerGone { id: WorkerId(uuid::Uuid::nil()), why: "it left".into() };
    vec![
        (taken.into(), 409, "SPK-6001"),
        (DispatchError::from(protocol).into(), 422, "SPK-6002"),
        (DispatchError::from(clock).into(), 422, "SPK-6003"),
        (gone.into(), 410, "SPK-6004"),
    ]
}

#[test]
fn every_error_has_its_status_and_code() {
    let mut seen = HashSet::new();
    for (error, status, code) in
        [requests(), commands(), rejections(), failures(), workers()].into_iter().flatten()
    {
        let problem = error.problem("request-1");
        assert_eq!((problem.status, problem.code), (status, code), "{error}");
        assert_eq!(problem.kind, format!("urn:automagik:error:{code}"));
        assert!(!problem.detail.is_empty() && !problem.title.is_empty(), "{code}");
        assert_eq!(problem.request_id, "request-1");
        seen.insert(code);
    }
    let unseen: Vec<&str> =
        Row::ALL.iter().map(|row| row.code).filter(|code| !seen.contains(code)).collect();
    assert_eq!(unseen, [""; 0], "codes that no error of this test has");
}

#[test]
fn codes_are_unique_and_in_order() {
    let codes: Vec<&str> = Row::ALL.iter().map(|row| row.code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
}

#[test]
fn whoever_may_try_again_is_told_when() {
    let error: ApiError = DispatchError::Overloaded { what: "commands" }.into();
    assert_eq!(error.retry_after_s(), Some(1));
    let error: ApiError = DispatchError::Unavailable { reason: "disk full".to_owned() }.into();
    assert_eq!(error.retry_after_s(), Some(5));
    assert_eq!(ApiError::KeyWrong.retry_after_s(), None);
    let busy = ApiError::TooMany { who: String::new(), again_s: 3 };
    assert_eq!(busy.retry_after_s(), Some(3));
}

#[test]
fn a_problem_names_the_fields_the_near_misses_and_the_remedy() {
    let suggestions = vec!["nightly".to_owned()];
    let error = ApiError::NotFound { kind: "flow", text: "nigtly".to_owned(), suggestions };
    let json = serde_json::to_value(error.problem("r")).unwrap();
    assert_eq!(json["remedy"], "did you mean nightly?");
    assert_eq!(json["suggestions"], serde_json::json!(["nightly"]));
    assert!(json.get("errors").is_none() && json.get("candidates").is_none());

    let error = rejected(ScheduleRejection::BadCatchUp(1));
    let json = serde_json::to_value(error.problem("r")).unwrap();
    assert_eq!(json["errors"][0]["field"], "catch_up_ms");

    let json = serde_json::to_value(source(FailureClass::Auth).problem("r")).unwrap();
    assert_eq!(json["remedy"], FailureClass::Auth.remedy());
    assert_eq!(json["detail"], "source home: auth: it said no");
}
