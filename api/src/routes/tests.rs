//! The routing table, path by path.

use super::flows::FlowRoute as F;
use super::history::{HistoryRoute, Kind};
use super::log::LogRoute as L;
use super::projections::ProjectionRoute as P;
use super::schedules::ScheduleRoute as S;
use super::service::ServiceRoute as V;
use super::sources::SourceRoute as O;
use super::tasks::TaskRoute as T;
use super::workers::WorkerRoute as W;
use super::*;
use crate::auth::roles::{Need, need};

fn table() -> Vec<(&'static str, Route<'static>)> {
    let id = || Segment::Borrowed("a");
    vec![
        ("GET /", Route::Service(V::Root)),
        ("GET /livez", Route::Service(V::Live)),
        ("GET /readyz", Route::Service(V::Ready)),
        ("GET /health", Route::Service(V::Health)),
        ("GET /openapi.json", Route::Service(V::OpenApi)),
        ("GET /docs", Route::Service(V::Docs(super::service::DocsFile::Page))),
        ("GET /docs/start.js", Route::Service(V::Docs(super::service::DocsFile::Start))),
        ("GET /redoc", Route::Service(V::Redoc)),
        ("GET /sources", Route::Sources(O::List)),
        ("POST /sources", Route::Sources(O::Add)),
        ("GET /sources/a", Route::Sources(O::Get(id()))),
        ("PATCH /sources/a", Route::Sources(O::Update(id()))),
        ("DELETE /sources/a", Route::Sources(O::Remove(id()))),
        ("POST /sources/a/probe", Route::Sources(O::Probe(id()))),
        ("GET /sources/a/flows", Route::Sources(O::Flows(id()))),
        ("GET /flows", Route::Flows(F::List)),
        ("POST /flows/sync", Route::Flows(F::Sync)),
        ("GET /flows/a", Route::Flows(F::Get(id()))),
        ("DELETE /flows/a", Route::Flows(F::Delete(id()))),
        ("POST /flows/a/run", Route::Flows(F::Run(id()))),
        ("GET /schedules", Route::Schedules(S::List)),
        ("POST /schedules", Route::Schedules(S::Create)),
        ("POST /schedules/preview", Route::Schedules(S::Preview)),
        ("GET /schedules/a", Route::Schedules(S::Get(id()))),
        ("DELETE /schedules/a", Route::Schedules(S::Delete(id()))),
        ("GET /schedules/a/next", Route::Schedules(S::Next(id()))),
        ("POST /schedules/a/pause", Route::Schedules(S::Pause(id()))),
        ("POST /schedules/a/resume", Route::Schedules(S::Resume(id()))),
        ("POST /schedules/a/trigger", Route::Schedules(S::Trigger(id()))),
        ("GET /tasks", Route::Tasks(T::List)),
        ("POST /tasks", Route::Tasks(T::Create)),
        ("GET /tasks/a", Route::Tasks(T::Get(id()))),
        ("GET /tasks/a/wait", Route::Tasks(T::Wait(id()))),
        ("GET /tasks/a/log", Route::Tasks(T::Log(id()))),
        ("POST /tasks/a/cancel", Route::Tasks(T::Cancel(id()))),
        ("POST /tasks/a/retry", Route::Tasks(T::Retry(id()))),
        ("POST /tasks/a/run", Route::Tasks(T::Release(id()))),
        ("DELETE /tasks/a", Route::Tasks(T::Delete(id()))),
        ("GET /history/task/a", Route::History(HistoryRoute { kind: Kind::Task, id: id() })),
        ("GET /history/flows/a", Route::History(HistoryRoute { kind: Kind::Flow, id: id() })),
        ("GET /projections", Route::Projections(P::List)),
        ("POST /projections/a/rebuild", Route::Projections(P::Rebuild(id()))),
        ("POST /projections/a/retry", Route::Projections(P::Retry(id()))),
        ("POST /projections/a/skip", Route::Projections(P::Skip(id()))),
        ("GET /log", Route::Log(L::List)),
        ("GET /log/head", Route::Log(L::Head)),
        ("GET /log/7", Route::Log(L::Get(7))),
        ("GET /workers", Route::Workers(W::List)),
        ("GET /workers/a", Route::Workers(W::Get(id()))),
    ]
}

fn routed<'a>(method: &str, path: &'a str) -> Result<Route<'a>, ApiError> {
    route(&method.parse().unwrap(), path)
}

#[test]
fn every_endpoint_is_found_with_and_without_a_trailing_slash() {
    for (line, expected) in table() {
        let (method, tail) = line.split_once(' ').unwrap();
        let path = format!("/api/v1{}", tail.trim_end_matches('/'));
        assert_eq!(routed(method, &path).unwrap(), expected, "{line}");
        let slash = format!("{path}/");
        assert_eq!(routed(method, &slash).unwrap(), expected, "{line}");
        if method == "GET" {
            assert_eq!(routed("HEAD", &path).unwrap(), expected, "{line}");
        }
    }
}

#[test]
fn only_probes_and_papers_are_open_and_probes_are_at_the_root_too() {
    for (line, route) in table() {
        let probe = ["GET /livez", "GET /readyz", "GET /health"].contains(&line);
        let papers = ["GET /openapi.json", "GET /docs", "GET /docs/start.js", "GET /redoc"];
        assert_eq!(need(&route) == Need::Nobody, probe || papers.contains(&line), "{line}");
        if probe {
            assert_eq!(routed("GET", &line[4..]).unwrap(), route);
        }
    }
    assert_eq!(routed("GET", "/").unwrap(), Route::Service(V::Root));
}

#[test]
fn names_are_decoded() {
    let routed = routed("GET", "/api/v1/flows/a%20b%2Fc%C3%A4+").unwrap();
    assert_eq!(routed, Route::Flows(F::Get("a b/cä+".into())));
}

#[test]
fn other_paths_and_methods_are_refused() {
    for (method, path, code) in [
        ("GET", "/api/v1/nonsense", "SPK-1008"),
        ("GET", "/api/v2/flows", "SPK-1008"),
        ("GET", "/api", "SPK-1008"),
        ("GET", "", "SPK-1008"),
        ("GET", "*", "SPK-1008"),
        ("GET", "/api/v1/flows//", "SPK-1008"),
        ("GET", "/api/v1//flows", "SPK-1008"),
        ("GET", "/api/v1/flows/a/b", "SPK-1008"),
        ("GET", "/api/v1/tasks/a/b/c/d/e/f/g", "SPK-1008"),
        ("GET", "/api/v1/history/nonsense/a", "SPK-1008"),
        ("GET", "/api/v1/history/task", "SPK-1008"),
        ("GET", "/api/v1/flows/%ff", "SPK-1009"),
        ("GET", "/api/v1/flows/%f", "SPK-1009"),
        ("GET", "/api/v1/flows/%zz", "SPK-1009"),
        ("GET", "/api/v1/flows/%+1", "SPK-1009"),
        ("POST", "/api/v1/health", "SPK-1010"),
        ("PUT", "/api/v1/sources", "SPK-1010"),
        ("POST", "/api/v1/flows/a", "SPK-1010"),
        ("GET", "/api/v1/flows/a/run", "SPK-1010"),
        ("GET", "/api/v1/flows/sync", "SPK-1010"),
        ("GET", "/api/v1/schedules/preview", "SPK-1010"),
        ("DELETE", "/api/v1/tasks/bulk", "SPK-1010"),
        ("PATCH", "/api/v1/sources/reseal", "SPK-1010"),
        ("PUT", "/api/v1/tasks/a", "SPK-1010"),
        ("POST", "/api/v1/history/task/a", "SPK-1010"),
        ("BREW", "/api/v1/workers", "SPK-1010"),
    ] {
        assert_eq!(routed(method, path).unwrap_err().row().code, code, "{method} {path}");
    }
}
