//! The body of a request: JSON into a DTO, or an error that names the place or the field. What a
//! value may be is the business of whoever turns the DTO into a command.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use crate::error::{ApiError, FieldError};

/// The body of an endpoint that needs nothing but may be given a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason)]
pub struct ActionBody {
    /// Why, for the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A field of a body that may be left out, be null, or hold a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is null.
    Null,
    /// It has a value.
    Given(T),
}

impl<T> Field<T> {
    /// The value, where null means the same as nothing.
    #[must_use]
    pub fn value(self) -> Option<T> {
        self.change().flatten()
    }

    /// What is to become of a value that may be absent: `Some(None)` takes it away.
    #[must_use]
    pub fn change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Given(value) => Some(Some(value)),
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The field, and nothing in its place.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Null, Self::Given))
    }
}

/// Reads a body that must hold one JSON object.
///
/// # Errors
/// `JsonMalformed` with the place; `Invalid` with the field that is unknown, missing or of a wrong
/// type.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde would take an array for a struct, in the order of its fields.
    match body.trim_ascii_start().first() {
        Some(b'{') => {}
        None => {
            return Err(ApiError::JsonMalformed {
                message: "it is empty".to_owned(),
                line: 1,
                column: 0,
            });
        }
        Some(_) => {
            parse::<serde::de::IgnoredAny>(body)?;
            return Err(ApiError::field("body", "must be a JSON object"));
        }
    }
    parse(body)
}

/// Reads a body that may be empty.
///
/// # Errors
/// As [`object`], where it is not empty.
pub fn optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii().is_empty() { Ok(T::default()) } else { object(body) }
}

/// Reads any JSON.
///
/// # Errors
/// As [`object`].
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => wrong_type::<T>(body, &error),
        // A second key in what may have one only is called a fault of syntax, too.
        Category::Syntax if is_json(body) => wrong_type::<T>(body, &error),
        Category::Syntax | Category::Eof | Category::Io => malformed(&error),
    })
}

fn is_json(body: &[u8]) -> bool {
    // Texts that are passed over are not looked at, so this is said of all of it before.
    let text = std::str::from_utf8(body);
    text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let (line, column) = (error.line(), error.column());
    let mut message = error.to_string();
    if let Some(end) = message.find(" at line ") {
        message.truncate(end);
    }
    ApiError::JsonMalformed { message, line, column }
}

/// Reads once more, slower, for the name of the field.
fn wrong_type<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> ApiError {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let (path, message) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => (String::new(), error.to_string()),
        Err(error) => (error.path().to_string(), error.inner().to_string()),
    };
    let message = message.split(" at line ").next().unwrap_or_default();
    // serde names a missing field in its text and its parent in the path.
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let path = path.trim_matches('.');
    let field = match missing {
        Some(name) if path.is_empty() || path == "." => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None if path.is_empty() => "body".to_owned(),
        None => path.to_owned(),
    };
    let message = match error.classify() {
        _ if missing.is_some() => "is missing",
        Category::Syntax => "has a key too many: one of them is allowed",
        _ => message,
    };
    let message = match crate::old::field(message) {
        Some(instead) => format!("{instead}; {message}"),
        None => message.to_owned(),
    };
    ApiError::Invalid(vec![FieldError::new(field, message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters")]
        n: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its type matters")]
    enum OneOf {
        Number(u32),
        Text(String),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its type matters")]
        name: String,
        #[expect(dead_code, reason = "only its type matters")]
        one_of: Option<OneOf>,
        #[expect(dead_code, reason = "only its type matters")]
        inner: Option<Inner>,
    }

    #[track_caller]
    fn refused(body: &[u8]) -> ApiError {
        object::<Body>(body).unwrap_err()
    }

    #[test]
    fn wrong_fields_are_named() {
        for (body, field, part) in [
            (r#"{"name":1}"#, "name", "invalid type: integer `1`, expected a string"),
            (r#"{"name":null}"#, "name", "invalid type: null"),
            (r#"{}"#, "name", "is missing"),
            (
                r#"{"name":"a","nam":1}"#,
                "nam",
                "unknown field `nam`, expected one of `name`, `one_of`, `inner`",
            ),
            (r#"{"name":"a","one_of":{"number":1,"text":"a"}}"#, "one_of", "a key too many"),
            (r#"{"name":"a","inner":{"n":-1}}"#, "inner.n", "invalid value: integer `-1`"),
            (r#"{"name":"a","inner":{}}"#, "inner.n", "is missing"),
            (r#"["a"]"#, "body", "must be a JSON object"),
            (r#""a""#, "body", "must be a JSON object"),
        ] {
            let ApiError::Invalid(errors) = refused(body.as_bytes()) else {
                panic!("{body} is not a matter of fields");
            };
            assert_eq!(errors[0].field, field, "{body}");
            assert!(errors[0].message.contains(part), "{body}: {}", errors[0].message);
        }
    }

    #[test]
    fn what_is_not_json_is_placed() {
        for (body, line) in [
            (&b"{\n\"name\": }"[..], 2),
            (b"{\"name\":\"a\"", 1),
            (b"{\"name\":\"\xff\"}", 1),
            (b"{\"name\":\"a\"} x", 1),
            (b"\xff\xfe", 1),
            (b"nonsense", 1),
            (b"", 1),
            (b"  \n", 1),
        ] {
            let error = refused(body);
            assert!(
                matches!(error, ApiError::JsonMalformed { line: at, .. } if at == line),
                "{:?}: {error}",
                body.escape_ascii().to_string()
            );
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(refused(deep.as_bytes()), ApiError::JsonMalformed { .. }));
    }

    #[test]
    fn an_action_needs_no_body() {
        assert_eq!(optional::<ActionBody>(b" ").unwrap(), ActionBody::default());
        let given = optional::<ActionBody>(br#"{"reason":"holiday"}"#).unwrap();
        assert_eq!(given.reason.as_deref(), Some("holiday"));
        assert!(optional::<ActionBody>(br#"{"why":"holiday"}"#).is_err());
    }
}
