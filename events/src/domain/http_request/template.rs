//! Gaps in texts: `{{input}}` and the like, found and filled. A text that is one gap and nothing
//! else becomes the value itself; within a longer text the value becomes text.

use serde_json::{Map, Value};

/// What the gaps are filled with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The task's input.
    pub input: &'a str,
    /// The task's id.
    pub task_id: &'a str,
    /// The attempt's number.
    pub attempt: u32,
    /// The due instant of the occurrence behind the task, if there is one, in RFC 3339.
    pub due_at: Option<&'a str>,
    /// Unique to the attempt.
    pub idempotency_key: &'a str,
}

/// Why a template cannot be saved, or not be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// A gap that nothing can fill.
    #[error(
        "there is no placeholder {0:?}; there are input, input_json, task_id, attempt, due_at and \
         idempotency_key, as in \"{{{{input}}}}\""
    )]
    Unknown(String),
    /// A gap that does not end.
    #[error("a placeholder begins with {{{{ and has no }}}} at its end")]
    Open,
    /// A gap in a field's name.
    #[error("a placeholder stands in a value, not in the name of a field")]
    InName,
    /// The input is to be taken as JSON and is none.
    #[error("the input is not JSON, which {{{{input_json}}}} needs: {0}")]
    NotJson(String),
    /// The body became too large.
    #[error(
        "the body has {0} bytes with the input filled in, more than {max}; give a shorter input",
        max = crate::limits::HTTP_BODY_BYTES_MAX
    )]
    TooLarge(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Input,
    InputJson,
    TaskId,
    Attempt,
    DueAt,
    IdempotencyKey,
}

impl Gap {
    fn named(name: &str) -> Result<Self, BadTemplate> {
        Ok(match name.trim() {
            "input" => Self::Input,
            "input_json" => Self::InputJson,
            "task_id" => Self::TaskId,
            "attempt" => Self::Attempt,
            "due_at" => Self::DueAt,
            "idempotency_key" => Self::IdempotencyKey,
            other => return Err(BadTemplate::Unknown(other.to_owned())),
        })
    }

    fn value(self, values: &Values<'_>) -> Result<Value, BadTemplate> {
        Ok(match self {
            Self::Input => values.input.into(),
            Self::InputJson => serde_json::from_str(values.input)
                .map_err(|error| BadTemplate::NotJson(error.to_string()))?,
            Self::TaskId => values.task_id.into(),
            Self::Attempt => values.attempt.into(),
            Self::DueAt => values.due_at.into(),
            Self::IdempotencyKey => values.idempotency_key.into(),
        })
    }

    fn text(self, values: &Values<'_>) -> Result<String, BadTemplate> {
        if self == Self::DueAt {
            return Ok(values.due_at.unwrap_or_default().to_owned());
        }
        let value = self.value(values)?;
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

enum Piece<'a> {
    Text(&'a str),
    Gap(Gap),
}

fn pieces(mut text: &str) -> Result<Vec<Piece<'_>>, BadTemplate> {
    let mut pieces = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (name, after) = rest.split_once("}}").ok_or(BadTemplate::Open)?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Gap(Gap::named(name)?));
        text = after;
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

pub(super) fn check_text(text: &str) -> Result<(), BadTemplate> {
    pieces(text).map(drop)
}

/// Checks every text of a value; `place` is where it stands, for the message.
pub(super) fn check_value(value: &Value, place: &mut String) -> Result<(), (String, BadTemplate)> {
    let within = |step: &str, value: &Value, place: &mut String| {
        let length = place.len();
        place.push('/');
        place.push_str(step);
        let checked = check_value(value, place);
        place.truncate(length);
        checked
    };
    match value {
        Value::String(text) => check_text(text).map_err(|why| (place.clone(), why)),
        Value::Array(items) => {
            let mut numbered = items.iter().enumerate();
            numbered.try_for_each(|(n, item)| within(&n.to_string(), item, place))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            if name.contains("{{") {
                return Err((format!("{place}/{name}"), BadTemplate::InName));
            }
            within(name, field, place)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

pub(super) fn fill_value(value: &Value, values: &Values<'_>) -> Result<Value, BadTemplate> {
    Ok(match value {
        Value::String(text) => match pieces(text)?.as_slice() {
            [Piece::Gap(gap)] => gap.value(values)?,
            pieces => Value::String(joined(pieces, |gap| gap.text(values))?),
        },
        Value::Array(items) => {
            items.iter().map(|item| fill_value(item, values)).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let filled = fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), fill_value(field, values)?)))
                .collect::<Result<Map<_, _>, _>>();
            Value::Object(filled?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// In a path a value is one segment at most: whatever could end it is escaped.
pub(super) fn fill_path(path: &str, values: &Values<'_>) -> Result<String, BadTemplate> {
    joined(&pieces(path)?, |gap| Ok(escaped(&gap.text(values)?)))
}

fn joined(
    pieces: &[Piece<'_>],
    fill: impl Fn(Gap) -> Result<String, BadTemplate>,
) -> Result<String, BadTemplate> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Gap(gap) => text.push_str(&fill(*gap)?),
        }
    }
    Ok(text)
}

fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        // A dot is escaped too only where it could climb out of the path.
        let dots = byte == b'.' && text.bytes().all(|byte| byte == b'.');
        if byte.is_ascii_alphanumeric() || (matches!(byte, b'-' | b'_' | b'.' | b'~') && !dots) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
