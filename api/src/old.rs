//! What the Python original called otherwise: paths, methods and fields, each with what stands for
//! it here. Looked at only where a request was refused, so that whoever moves a client over is told
//! the new word and need not search for it. Pure.

/// Where what an unknown path of the original asked for is found here.
#[must_use]
pub(crate) fn path(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Some(match parts.as_slice() {
        ["workflows", "remote"] => "ask GET /api/v1/sources/{source}/flows",
        ["workflows", "remote", _] => "sync it, then ask GET /api/v1/flows/{flow}/versions/current",
        ["workflows", "sync", ..] => {
            "send POST /api/v1/flows/sync with the fields `flow` and `source`"
        }
        ["workflows", ..] => "workflows are flows here: the same path below /api/v1/flows",
        ["schedules", _, "enable"] => "send POST /api/v1/schedules/{schedule}/resume",
        ["schedules", _, "disable"] => "send POST /api/v1/schedules/{schedule}/pause",
        ["schedules", _, "status"] => {
            "the status stands in GET /api/v1/schedules/{schedule}; it is changed with \
             POST /api/v1/schedules/{schedule}/pause or /resume"
        }
        _ => return None,
    })
}

/// What to send in place of a method that the endpoint does not take.
#[must_use]
pub(crate) fn method(method: &str, allow: &str) -> Option<&'static str> {
    let is_taken = |name: &str| allow.split(", ").any(|one| one == name);
    (method == "PUT" && is_taken("PATCH"))
        .then_some("send PATCH with the fields that change; the others stay as they are")
}

/// The old names of fields, each with the new ones that stand for it.
const FIELDS: &[(&str, &[&str])] = &[
    ("flow_id", &["flow"]),
    ("workflow_id", &["flow"]),
    ("schedule_type", &["cron", "every", "at"]),
    ("schedule_expr", &["cron", "every", "at"]),
    ("source_type", &["kind"]),
    ("input_data", &["input"]),
    ("input_value", &["input"]),
    ("flow_params", &["input", "tweaks"]),
];

/// What a complaint about an unknown field lacks: the name that the field has here. `complaint` is
/// what the reader of the body said, which lists the fields that it takes.
#[must_use]
pub(crate) fn field(complaint: &str) -> Option<String> {
    let name = complaint.strip_prefix("unknown field `")?.split('`').next()?;
    let (_, instead) = FIELDS.iter().find(|(old, _)| *old == name)?;
    let taken = |new: &&&str| complaint.contains(&format!("`{new}`"));
    let instead: Vec<String> = instead.iter().filter(taken).map(|new| format!("`{new}`")).collect();
    (!instead.is_empty()).then(|| format!("give {} in its place", instead.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_original_lead_to_those_of_today() {
        let table = [
            ("/api/v1/workflows", Some("/api/v1/flows")),
            ("/api/v1/workflows/abc/run", Some("/api/v1/flows")),
            ("/api/v1/workflows/remote", Some("/sources/{source}/flows")),
            ("/api/v1/workflows/remote/abc", Some("versions/current")),
            ("/api/v1/workflows/sync/abc", Some("POST /api/v1/flows/sync")),
            ("/api/v1/schedules/abc/enable", Some("/resume")),
            ("/api/v1/schedules/abc/disable/", Some("/pause")),
            ("/api/v1/schedules/abc/status", Some("GET /api/v1/schedules/{schedule}")),
            ("/api/v1/schedules/abc/enabled", None),
            ("/api/v1/nothing", None),
            ("/", None),
        ];
        for (old, new) in table {
            let found = path(old);
            assert_eq!(found.is_some(), new.is_some(), "{old}: {found:?}");
            assert!(
                found.unwrap_or_default().contains(new.unwrap_or_default()),
                "{old}: {found:?}"
            );
        }
    }

    #[test]
    fn put_is_answered_with_patch_where_that_is_taken() {
        assert!(method("PUT", "GET, HEAD, PATCH, DELETE").is_some());
        assert_eq!(method("PUT", "GET, HEAD"), None);
        assert_eq!(method("POST", "GET, HEAD, PATCH, DELETE"), None);
    }

    #[test]
    fn a_field_of_the_original_is_named_anew_where_it_is_taken() {
        let said = "unknown field `workflow_id`, expected one of `flow`, `cron`, `every`, `at`";
        assert_eq!(field(said).as_deref(), Some("give `flow` in its place"));
        let said = "unknown field `schedule_type`, expected one of `flow`, `cron`, `every`, `at`";
        assert_eq!(field(said).as_deref(), Some("give `cron` or `every` or `at` in its place"));
        assert_eq!(field("unknown field `flow_id`, expected `reason`"), None);
        assert_eq!(field("unknown field `flwo`, expected `flow`"), None);
        assert_eq!(field("is missing"), None);
    }
}
