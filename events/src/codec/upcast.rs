//! Pure steps from an old schema version's JSON to the next one's. A step is an arm of `step` for a
//! type's name and its old version.

use serde_json::Value;

/// Brings an event's JSON from version `stored` to the newest one, step by step.
#[must_use]
pub fn to_newest(event_type: &str, stored: u16, mut data: Value) -> Value {
    let mut version = stored;
    while let Some(next) = step(event_type, version, &data) {
        data = next;
        version += 1;
    }
    data
}

/// One step, `None` where the version is the newest.
fn step(event_type: &str, version: u16, data: &Value) -> Option<Value> {
    match (event_type, version) {
        ("schedule.created", 1) => Some(one_recurrence_to_a_timetable(data.clone())),
        _ => None,
    }
}

/// `spec.recurrence` became `spec.timetable`, which holds several of them.
fn one_recurrence_to_a_timetable(mut data: Value) -> Value {
    if let Some(spec) = data.get_mut("spec").and_then(Value::as_object_mut)
        && let Some(recurrence) = spec.remove("recurrence")
    {
        spec.insert("timetable".into(), serde_json::json!({ "specs": [recurrence] }));
    }
    data
}
