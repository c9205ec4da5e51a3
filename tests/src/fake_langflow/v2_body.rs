//! Reads the body of `POST /api/v2/workflows`, which is strict: what is not known is refused.

use serde_json::{Map, Value, json};

use super::body::Reply;
use super::run::Ask;
use super::state::is_uuid;

/// The longest idempotency key.
const KEY_CHARS_MAX: usize = 255;

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Sync,
    Stream,
    Background,
}

/// A submission.
pub(super) struct Submission {
    pub(super) flow_id: String,
    pub(super) wanted: Wanted,
    pub(super) idempotency_key: Option<String>,
    /// Nodes and edges to run in place of the flow's own.
    pub(super) data: Option<Value>,
    pub(super) ask: Ask,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Object,
    Texts,
    OneOf(&'static [&'static str], &'static str),
}

/// The fields, in the order in which mistakes in them are told.
const FIELDS: [(&str, Type); 10] = [
    ("flow_id", Type::Text),
    ("input_value", Type::Text),
    ("tweaks", Type::Object),
    ("session_id", Type::Text),
    ("data", Type::Object),
    ("mode", Type::OneOf(&["sync", "stream", "background"], "'sync', 'stream' or 'background'")),
    ("stream_protocol", Type::OneOf(&["langflow", "agui"], "'langflow' or 'agui'")),
    ("output_ids", Type::Texts),
    ("globals", Type::Object),
    ("idempotency_key", Type::Text),
];

/// Reads a submission, or says what is wrong with it.
pub(super) fn read(body: Option<Value>) -> Result<Submission, Reply> {
    let Some(Value::Object(fields)) = body else {
        return Err(Reply::detail(422, json!([missing(&["body"])])));
    };
    let mistakes = mistakes(&fields);
    if !mistakes.is_empty() {
        return Err(Reply::detail(422, mistakes));
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let flow_id = text("flow_id").unwrap_or_default();
    if !is_uuid(&flow_id) {
        let item = json!({"type": "value_error", "loc": ["body"], "msg": "Value error, Invalid flow_id, must be a UUID"});
        return Err(Reply::detail(422, json!([item])));
    }
    let output_ids = fields.get("output_ids").and_then(Value::as_array);
    let output_ids =
        output_ids.map(|ids| ids.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    Ok(Submission {
        flow_id,
        wanted: match text("mode").as_deref() {
            Some("background") => Wanted::Background,
            Some("stream") => Wanted::Stream,
            _ => Wanted::Sync,
        },
        idempotency_key: text("idempotency_key"),
        data: fields.get("data").filter(|data| data.is_object()).cloned(),
        ask: Ask {
            input_value: text("input_value"),
            output_ids,
            tweaks: fields.get("tweaks").and_then(Value::as_object).cloned().unwrap_or_default(),
            session_id: text("session_id"),
            ..Ask::default()
        },
    })
}

fn missing(place: &[&str]) -> Value {
    json!({"type": "missing", "loc": place, "msg": "Field required"})
}

fn mistakes(fields: &Map<String, Value>) -> Vec<Value> {
    let mut mistakes = Vec::new();
    for (name, wanted) in FIELDS {
        match fields.get(name) {
            None if name == "flow_id" => mistakes.push(missing(&["body", name])),
            None => {}
            Some(Value::Null) if name != "flow_id" => {}
            Some(value) => mistakes.extend(mistake(name, wanted, value)),
        }
    }
    let unknown = fields.keys().filter(|name| !FIELDS.iter().any(|(known, _)| known == name));
    mistakes.extend(unknown.map(|name| {
        json!({"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"})
    }));
    mistakes
}

fn mistake(name: &str, wanted: Type, value: &Value) -> Option<Value> {
    let item = |kind: &str, text: &str| json!({"type": kind, "loc": ["body", name], "msg": text});
    match wanted {
        Type::Text if !value.is_string() => {
            Some(item("string_type", "Input should be a valid string"))
        }
        Type::Text
            if name == "idempotency_key" && value.as_str()?.chars().count() > KEY_CHARS_MAX =>
        {
            let text = format!("String should have at most {KEY_CHARS_MAX} characters");
            let mut long = item("string_too_long", &text);
            long["ctx"] = json!({"max_length": KEY_CHARS_MAX});
            Some(long)
        }
        Type::Object if !value.is_object() => {
            Some(item("dict_type", "Input should be a valid dictionary"))
        }
        Type::Texts if !value.is_array() => Some(item("list_type", "Input should be a valid list")),
        Type::OneOf(legal, shown) if !value.as_str().is_some_and(|text| legal.contains(&text)) => {
            let mut wrong = item("enum", &format!("Input should be {shown}"));
            wrong["ctx"] = json!({"expected": shown});
            Some(wrong)
        }
        Type::Text | Type::Object | Type::Texts | Type::OneOf(..) => None,
    }
}
