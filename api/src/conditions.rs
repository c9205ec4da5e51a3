//! Requests on a condition: the ETag of a row, `If-None-Match` on reads, `If-Match` on changes.
//! Only parses and compares; a change's condition is decided by the shell of what it changes.

use std::hash::{DefaultHasher, Hash, Hasher};

use spark_events::Revision;
use warp::http::HeaderMap;
use warp::http::header::{HeaderValue, IF_MATCH, IF_NONE_MATCH};

use crate::error::ApiError;
use crate::routes::Route;
use crate::routes::alerts::AlertRoute as A;
use crate::routes::flows::FlowRoute as F;
use crate::routes::keys::KeyRoute as K;
use crate::routes::schedules::ScheduleRoute as S;
use crate::routes::sources::SourceRoute as O;
use crate::routes::tasks::TaskRoute as T;
use crate::routes::workers::WorkerRoute as W;

/// The name of the field in errors.
pub(crate) const IF_MATCH_NAME: &str = "If-Match";

/// The tag of a row: its revision, and a hash of the answer. The hash is there because a row also
/// shows what is not of its own stream (how many flows a source has), and a strong tag may be the
/// same only where the bytes are. `If-Match` looks at the revision alone.
pub(crate) fn tag(revision: Revision, json: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    format!("\"{}-{:016x}\"", revision.0, hasher.finish())
}

/// The tag of a row that also shows what is another at each look, such as how long ago a worker was
/// heard: made of the answer without that, and weak, because the bytes differ under the same tag.
pub(crate) fn weak_tag(revision: Revision, lasting: &[u8]) -> String {
    format!("W/{}", tag(revision, lasting))
}

/// Whether the caller has what has this tag already.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let mut tags = fields.flat_map(|field| field.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// The revision that a change is to find, where its caller named one.
///
/// # Errors
/// `HeaderInvalid` for what is no tag of ours, and where a request does not change one thing.
pub(crate) fn expected(
    route: &Route<'_>,
    headers: &HeaderMap,
) -> Result<Option<Revision>, ApiError> {
    let bad = |message: &str| ApiError::HeaderInvalid {
        name: IF_MATCH_NAME,
        message: message.to_owned(),
    };
    let Some(field) = headers.get(IF_MATCH) else { return Ok(None) };
    if !changes_one(route) {
        return Err(bad("this request does not change one existing thing, so it has no condition"));
    }
    if field == HeaderValue::from_static("*") {
        return Ok(None);
    }
    let revision = field.to_str().ok().and_then(|text| {
        let text = text.trim();
        // A weak tag stands for other bytes, but the revision is all that counts here.
        let text = text.strip_prefix("W/").unwrap_or(text);
        let inside = text.strip_prefix('"')?.strip_suffix('"')?;
        let revision = inside.split_once('-').map_or(inside, |(revision, _)| revision);
        revision.parse().ok().map(Revision)
    });
    let malformed = "send one ETag of a GET as it came, or a row's revision in quotes: \"7\"";
    revision.map(Some).ok_or_else(|| bad(malformed))
}

/// Whether a request changes one thing that exists, and nothing before it is known whether the
/// thing is as its caller has seen it.
pub(crate) fn changes_one(route: &Route<'_>) -> bool {
    match route {
        Route::Sources(route) => {
            matches!(route, O::Update(_) | O::Remove(_) | O::Probe(_))
        }
        Route::Flows(route) => matches!(route, F::Update(_) | F::Delete(_)),
        Route::Schedules(route) => matches!(
            route,
            S::Patch(_)
                | S::Delete(_)
                | S::Pause(_)
                | S::Resume(_)
                | S::Trigger(_)
                | S::Backfill(_)
                | S::CancelBackfill(_, _)
        ),
        Route::Tasks(route) => matches!(route, T::Cancel(_) | T::Release(_) | T::Delete(_)),
        Route::Keys(route) => matches!(route, K::Revoke(_)),
        Route::Workers(route) => {
            matches!(route, W::Pause(_) | W::Resume(_) | W::Drain(_) | W::Stop(_))
        }
        // Each delivery is an event of its alert, so that a revision says nothing of its settings.
        Route::Alerts(_) => false,
        Route::Service(_)
        | Route::History(_)
        | Route::Events(_)
        | Route::Log(_)
        | Route::Projections(_) => false,
    }
}

/// Whether the answer is one row, which has a tag.
pub(crate) fn is_row(route: &Route<'_>) -> bool {
    match route {
        Route::Sources(route) => matches!(route, O::Get(_)),
        Route::Flows(route) => matches!(route, F::Get(_)),
        Route::Schedules(route) => matches!(route, S::Get(_)),
        Route::Tasks(route) => matches!(route, T::Get(_)),
        Route::Keys(route) => matches!(route, K::Get(_)),
        Route::Workers(route) => matches!(route, W::Get(_)),
        Route::Alerts(route) => matches!(route, A::Get(_)),
        Route::Service(_)
        | Route::History(_)
        | Route::Events(_)
        | Route::Log(_)
        | Route::Projections(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use warp::http::Method;

    use super::*;
    use crate::routes::route;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn a_tag_follows_the_bytes_and_tells_the_revision() {
        let tags = [tag(Revision(7), b"a"), tag(Revision(7), b"b"), tag(Revision(8), b"a")];
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
        assert!(tags[0].starts_with("\"7-"), "{tags:?}");
        assert_eq!(tags[0], tag(Revision(7), b"a"));
    }

    #[test]
    fn a_condition_is_a_tag_or_a_revision_in_quotes() {
        let change = route(&Method::PATCH, "/api/v1/schedules/a").unwrap();
        let expected = |value| super::expected(&change, &headers("if-match", value));
        assert_eq!(expected("\"7\"").unwrap(), Some(Revision(7)));
        assert_eq!(expected("\"7-00ff\"").unwrap(), Some(Revision(7)));
        // What a proxy has compressed has a weak tag; the revision in it is the same.
        assert_eq!(expected("W/\"7-00ff\"").unwrap(), Some(Revision(7)));
        assert_eq!(expected("*").unwrap(), None);
        assert_eq!(super::expected(&change, &HeaderMap::new()).unwrap(), None);
        for bad in ["", "7", "\"x\"", "W/7", "w/\"7\"", "\"7\", \"8\"", "\"", "\"-7\""] {
            assert!(matches!(expected(bad), Err(ApiError::HeaderInvalid { .. })), "{bad}");
        }
        let run = route(&Method::POST, "/api/v1/flows/a/run").unwrap();
        assert!(super::expected(&run, &headers("if-match", "\"7\"")).is_err());
    }

    #[test]
    fn what_is_known_may_be_named_weakly_and_among_others() {
        for known in ["\"7-a\"", "W/\"7-a\"", "\"1-b\", \"7-a\"", "*"] {
            assert!(is_known(&headers("if-none-match", known), "\"7-a\""), "{known}");
        }
        assert!(!is_known(&headers("if-none-match", "\"7\""), "\"7-a\""));
        assert!(!is_known(&HeaderMap::new(), "\"7-a\""));
    }
}
