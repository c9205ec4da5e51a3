//! Every endpoint with the role it needs, written out.

use super::*;
use crate::routes::route;

/// Method, path below `/api/v1`, and what it needs: `open`, `any` or a role.
pub(crate) const ENDPOINTS: &[&str] = &[
    "GET / viewer",
    "GET /livez open",
    "GET /readyz open",
    "GET /health open",
    "GET /whoami any",
    "GET /sources viewer",
    "POST /sources admin",
    "POST /sources/reseal admin",
    "GET /sources/a viewer",
    "PATCH /sources/a admin",
    "DELETE /sources/a admin",
    "POST /sources/a/probe operator",
    "GET /sources/a/flows viewer",
    "POST /sources/a/requests operator",
    "GET /flows viewer",
    "POST /flows operator",
    "POST /flows/sync operator",
    "GET /flows/a viewer",
    "PATCH /flows/a operator",
    "PUT /flows/a operator",
    "DELETE /flows/a operator",
    "POST /flows/a/run operator",
    "POST /flows/a/push operator",
    "POST /flows/a/check operator",
    "GET /flows/a/components viewer",
    "GET /flows/a/versions viewer",
    "GET /flows/a/versions/1 viewer",
    "GET /flows/a/diff viewer",
    "GET /schedules viewer",
    "POST /schedules operator",
    "POST /schedules/preview viewer",
    "GET /schedules/a viewer",
    "PATCH /schedules/a operator",
    "DELETE /schedules/a operator",
    "GET /schedules/a/why viewer",
    "GET /schedules/a/next viewer",
    "POST /schedules/a/pause operator",
    "POST /schedules/a/resume operator",
    "POST /schedules/a/trigger operator",
    "POST /schedules/a/backfill operator",
    "POST /schedules/a/backfill/1/cancel operator",
    "GET /tasks viewer",
    "POST /tasks operator",
    "POST /tasks/bulk operator",
    "GET /tasks/a viewer",
    "DELETE /tasks/a operator",
    "GET /tasks/a/wait viewer",
    "GET /tasks/a/log viewer",
    "POST /tasks/a/cancel operator",
    "POST /tasks/a/retry operator",
    "POST /tasks/a/run operator",
    "GET /projections viewer",
    "POST /projections/tasks/rebuild admin",
    "POST /projections/tasks/retry admin",
    "POST /projections/tasks/skip admin",
    "GET /log viewer",
    "GET /log/head viewer",
    "GET /log/1 viewer",
    "GET /history/task/a viewer",
    "GET /history/schedule/a viewer",
    "GET /history/flow/a viewer",
    "GET /history/source/a viewer",
    "GET /history/worker/a viewer",
    "GET /history/key/a admin",
    "GET /events viewer",
    "GET /workers viewer",
    "GET /workers/a viewer",
    "POST /workers/a/pause operator",
    "POST /workers/a/resume operator",
    "POST /workers/a/drain operator",
    "POST /workers/a/stop operator",
    "POST /workers worker",
    "POST /workers/a/poll worker",
    "POST /workers/a/reports worker",
    "POST /workers/a/leave worker",
    "GET /keys admin",
    "POST /keys admin",
    "GET /keys/a admin",
    "DELETE /keys/a admin",
    "GET /alerts viewer",
    "POST /alerts admin",
    "GET /alerts/a viewer",
    "PATCH /alerts/a admin",
    "DELETE /alerts/a admin",
    "POST /alerts/a/test admin",
    "POST /alerts/a/rotate-secret admin",
    "GET /alerts/a/deliveries viewer",
    "POST /alerts/a/deliveries/b/retry admin",
];

/// The parts of a line of the table.
pub(crate) fn parts(line: &'static str) -> (&'static str, &'static str, Need) {
    let [method, path, need] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    let need = match need {
        "open" => Need::Nobody,
        "any" => Need::AnyKey,
        role => Need::Role(role.parse().unwrap()),
    };
    (method, path, need)
}

#[test]
fn every_endpoint_needs_what_the_table_says() {
    for line in ENDPOINTS {
        let (method, path, expected) = parts(line);
        let path = format!("/api/v1{path}");
        let routed = route(&method.parse().unwrap(), &path).unwrap();
        assert_eq!(need(&routed), expected, "{line}");
    }
}

#[test]
fn whoever_may_less_may_nothing_more() {
    for line in ENDPOINTS {
        let (method, path, need) = parts(line);
        let may = |role: Role| match need {
            Need::Nobody | Need::AnyKey => true,
            Need::Role(needed) => role.covers(needed),
        };
        assert!(may(Role::Admin), "{line}");
        assert!(may(Role::Operator) || !may(Role::Viewer), "{line}");
        // What changes something is not for viewers.
        let reads = method == "GET" || path == "/schedules/preview";
        assert!(reads || !may(Role::Viewer), "{line}");
    }
}
