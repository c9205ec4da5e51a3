//! The routing table: method and path to a [`Route`], as a pure function over path segments. One
//! file below this per resource holds its requests and its handlers.

use std::borrow::Cow;

use warp::http::Method;

use crate::error::ApiError;
use crate::openapi::Operation;

pub mod alerts;
pub mod events;
pub mod flows;
pub mod history;
pub mod keys;
pub mod log;
pub mod projections;
pub mod schedules;
pub mod service;
pub mod sources;
pub mod tasks;
pub mod workers;

/// A segment of the path that names something: an id, a prefix of one, or a name.
pub type Segment<'a> = Cow<'a, str>;

/// An endpoint with what its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'a> {
    /// The server itself.
    Service(service::ServiceRoute),
    /// Sources.
    Sources(sources::SourceRoute<'a>),
    /// Flows.
    Flows(flows::FlowRoute<'a>),
    /// Schedules.
    Schedules(schedules::ScheduleRoute<'a>),
    /// Tasks.
    Tasks(tasks::TaskRoute<'a>),
    /// History.
    History(history::HistoryRoute<'a>),
    /// Events as they happen.
    Events(events::EventRoute),
    /// Projections.
    Projections(projections::ProjectionRoute<'a>),
    /// The whole log.
    Log(log::LogRoute),
    /// Workers.
    Workers(workers::WorkerRoute<'a>),
    /// API keys.
    Keys(keys::KeyRoute<'a>),
    /// Alerts.
    Alerts(alerts::AlertRoute<'a>),
}

/// Names the operation in the OpenAPI document that each variant of a route is. A variant without
/// one does not compile; an operation that is not declared fails a test that says what to do.
macro_rules! operation_ids {
    ($route:ty { $($variant:pat => $id:literal,)+ }) => {
        impl $route {
            /// The id of its operation in the OpenAPI document.
            #[must_use]
            pub fn operation_id(&self) -> &'static str {
                match self { $($variant => $id,)+ }
            }
        }

        /// The ids of all operations.
        #[cfg(test)]
        pub(crate) const OPERATION_IDS: &[&str] = &[$($id,)+];
    };
}
use operation_ids;

/// Gathers what the resources declare. A resource that is missing here does not compile.
macro_rules! resources {
    ($($variant:ident $module:ident;)+) => {
        impl Route<'_> {
            /// The id of its operation in the OpenAPI document.
            #[must_use]
            pub fn operation_id(&self) -> &'static str {
                match self { $(Self::$variant(route) => route.operation_id(),)+ }
            }
        }

        /// Every operation, as its resource declares it.
        #[must_use]
        pub fn operations() -> Vec<Operation> {
            [$($module::openapi::operations(),)+].concat()
        }

        /// The ids of the operations that routes lead to.
        #[cfg(test)]
        pub(crate) fn all_operation_ids() -> Vec<&'static str> {
            [$($module::OPERATION_IDS,)+].concat()
        }
    };
}

resources! {
    Service service;
    Sources sources;
    Flows flows;
    Schedules schedules;
    Tasks tasks;
    History history;
    Events events;
    Log log;
    Projections projections;
    Workers workers;
    Keys keys;
    Alerts alerts;
}

/// Finds the endpoint of a method and a path. A trailing slash makes no difference, and `HEAD` is
/// taken where `GET` is.
///
/// # Errors
/// `PathUnknown`, `MethodNotAllowed` and `PathUnreadable`.
pub fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, ApiError> {
    let unknown = || ApiError::PathUnknown { path: path.chars().take(200).collect() };
    let trimmed = path.strip_prefix('/').ok_or_else(unknown)?;
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    // No endpoint has more than seven segments, "api" and "v1" included.
    let mut segments = [""; 7];
    let mut count = 0;
    for segment in trimmed.split('/') {
        *segments.get_mut(count).ok_or_else(unknown)? = segment;
        count += 1;
    }
    let method = if method == Method::HEAD { &Method::GET } else { method };
    // A segment that names something is never empty.
    let tail = match &segments[..count] {
        [""] => &[][..],
        ["api", "v1", tail @ ..] => tail,
        // Probes and health are looked for at the root too.
        tail @ ["livez" | "readyz" | "health" | "metrics"] => tail,
        _ => return Err(unknown()),
    };
    if tail.contains(&"") {
        return Err(unknown());
    }
    let found = match tail {
        []
        | ["livez" | "readyz" | "health" | "metrics" | "whoami"]
        | ["openapi.json" | "docs" | "redoc", ..] => {
            service::route(method, tail)?.map(Route::Service)
        }
        ["sources", rest @ ..] => sources::route(method, rest)?.map(Route::Sources),
        ["flows", rest @ ..] => flows::route(method, rest)?.map(Route::Flows),
        ["schedules", rest @ ..] => schedules::route(method, rest)?.map(Route::Schedules),
        ["tasks", rest @ ..] => tasks::route(method, rest)?.map(Route::Tasks),
        ["projections", rest @ ..] => projections::route(method, rest)?.map(Route::Projections),
        ["log", rest @ ..] => log::route(method, rest)?.map(Route::Log),
        ["history", rest @ ..] => history::route(method, rest)?.map(Route::History),
        ["events"] => Some(events::route(method)?),
        ["workers", rest @ ..] => workers::route(method, rest)?.map(Route::Workers),
        ["keys", rest @ ..] => keys::route(method, rest)?.map(Route::Keys),
        ["alerts", rest @ ..] => alerts::route(method, rest)?.map(Route::Alerts),
        _ => return Err(unknown()),
    };
    found.ok_or_else(unknown)
}

/// The endpoint exists, but not with this method.
pub(crate) fn not_allowed<T>(method: &Method, allow: &'static str) -> Result<T, ApiError> {
    Err(ApiError::MethodNotAllowed { method: method.to_string(), allow })
}

/// Undoes percent-encoding of a segment.
pub(crate) fn text(segment: &str) -> Result<Segment<'_>, ApiError> {
    decode(segment, false).ok_or(ApiError::PathUnreadable)
}

/// Undoes percent-encoding; `None` where the result is not UTF-8 or the encoding breaks off.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
