//! Whether an answer is what the document says. Knows the part of JSON Schema that our document
//! uses, and panics at any other, so that nothing is passed over. Stricter than the document in
//! one thing: a field that no schema names is wrong, because somebody forgot it.

use std::sync::OnceLock;

use serde_json::{Map, Value};
use warp::http::HeaderMap;

use crate::routes::{operations, route};

/// Why a value is not what its schema says.
type Checked = Result<(), String>;

/// The document that answers are compared with.
fn shared() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| crate::openapi::document("0.0.0"))
}

/// The path of the operation that has this route and method.
fn path_of(route: &str, method: &str) -> Option<&'static str> {
    static PATHS: OnceLock<Vec<(&str, &str, &str)>> = OnceLock::new();
    let place = |one: &crate::openapi::Operation| (one.route(), one.method_name(), one.path());
    let paths = PATHS.get_or_init(|| operations().iter().map(place).collect());
    let found = paths.iter().find(|(id, with, _)| *id == route && *with == method);
    found.map(|(_, _, path)| *path)
}

/// Compares an answer with the operation that the request led to.
///
/// # Panics
/// When the document says something else.
pub(crate) fn answer(method: &str, path: &str, status: u16, headers: &HeaderMap, json: &Value) {
    let Ok(route) = route(&method.parse().unwrap(), path) else { return };
    let id = route.operation_id();
    let method = if method == "HEAD" { "GET" } else { method };
    let Some(documented) = path_of(id, method) else { return };
    let pointer = format!(
        "/paths/{}/{}/responses/{status}",
        documented.replace('/', "~1"),
        method.to_lowercase()
    );
    let document = shared();
    let response = document.pointer(&pointer).unwrap_or_else(|| {
        panic!("{id} answered {status}, which it does not document ({method} {path}): {json}")
    });
    let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap());
    let contents = response.get("content").and_then(Value::as_object);
    let schema = match (kind, contents) {
        (None, None) => None,
        (Some(kind), Some(contents)) => Some(contents.get(kind).unwrap_or_else(|| {
            panic!("{id} answered {status} as {kind}, which it does not document")
        })),
        other => panic!("{id} answered {status} with the content {other:?}"),
    };
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let value = headers.get(name).map(|value| value.to_str().unwrap());
        assert!(value.is_some() || header["required"] != true, "{id} {status} lacks {name}");
    }
    let is_json = kind.is_some_and(|kind| kind.ends_with("json"));
    if let Some(schema) = schema.filter(|_| is_json).and_then(|content| content.get("schema"))
        && let Err(wrong) = check(document, schema, json)
    {
        panic!("{id} answered {status} with what its schema does not say: {wrong}\n{json:#}");
    }
}

/// Compares a value with a schema.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Checked {
    let mut known = Vec::new();
    checked(document, schema, value, &mut known, "$")?;
    if let Value::Object(fields) = value
        && !is_open(document, schema)
    {
        let forgotten: Vec<&String> = fields.keys().filter(|name| !known.contains(*name)).collect();
        if !forgotten.is_empty() {
            return Err(format!("no schema names {forgotten:?}"));
        }
    }
    Ok(())
}

/// Whether a schema lets any field be.
fn is_open(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    match schema.as_object() {
        None => true,
        Some(fields) => !["properties", "allOf", "anyOf", "oneOf", "additionalProperties"]
            .iter()
            .any(|key| fields.contains_key(*key)),
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(target) => {
            let found = document.pointer(target.trim_start_matches('#'));
            found.unwrap_or_else(|| panic!("nothing is at {target}"))
        }
        None => schema,
    }
}

/// Compares, and adds the fields of the value that the schema names to `known`.
fn checked(
    document: &Value,
    schema: &Value,
    value: &Value,
    known: &mut Vec<String>,
    place: &str,
) -> Checked {
    let Some(schema) = resolved(document, schema).as_object() else {
        assert_eq!(*schema, Value::Bool(true), "a schema at {place}");
        return Ok(());
    };
    for (keyword, rule) in schema {
        match keyword.as_str() {
            "type" => is_type(rule, value, place)?,
            "enum" => {
                let one_of = rule.as_array().unwrap();
                if !one_of.contains(value) {
                    return Err(format!("{place} is {value}, not one of {rule}"));
                }
            }
            "const" if rule != value => return Err(format!("{place} is {value}, not {rule}")),
            "minimum" | "maximum" => {
                if let (Some(value), Some(bound)) = (value.as_f64(), rule.as_f64())
                    && ((keyword == "minimum" && value < bound)
                        || (keyword == "maximum" && value > bound))
                {
                    return Err(format!("{place} is {value}, past its {keyword} {bound}"));
                }
            }
            "minLength" | "maxLength" => {
                if let (Some(value), Some(bound)) = (value.as_str(), rule.as_u64()) {
                    let length = value.chars().count() as u64;
                    if (keyword == "minLength" && length < bound)
                        || (keyword == "maxLength" && length > bound)
                    {
                        return Err(format!("{place} has {length} characters, {keyword} {bound}"));
                    }
                }
            }
            "format" => is_format(rule.as_str().unwrap(), value, place)?,
            "required" => {
                for name in rule.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    if value.is_object() && value.get(name).is_none() {
                        return Err(format!("{place} lacks {name}"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    known.push(name.clone());
                    if let Some(field) = value.get(name) {
                        let place = format!("{place}.{name}");
                        check(document, schema, field).map_err(|why| format!("{place}: {why}"))?;
                    }
                }
            }
            "additionalProperties" => additional(document, schema, rule, value, known, place)?,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    let place = format!("{place}[{index}]");
                    check(document, rule, item).map_err(|why| format!("{place}: {why}"))?;
                }
            }
            "allOf" => {
                for part in rule.as_array().unwrap() {
                    checked(document, part, value, known, place)?;
                }
            }
            "anyOf" | "oneOf" => one_of(document, rule, value, known, place)?,
            "const" | "description" | "title" | "default" | "example" | "examples" | "pattern"
            | "propertyNames" | "minItems" | "maxItems" | "deprecated" => {}
            other => panic!("{place}: the keyword {other} is not known to this check"),
        }
    }
    Ok(())
}

fn additional(
    document: &Value,
    schema: &Map<String, Value>,
    rule: &Value,
    value: &Value,
    known: &mut Vec<String>,
    place: &str,
) -> Checked {
    let named = schema.get("properties").and_then(Value::as_object);
    for (name, field) in value.as_object().into_iter().flatten() {
        if named.is_some_and(|named| named.contains_key(name)) {
            continue;
        }
        known.push(name.clone());
        let place = format!("{place}.{name}");
        match rule {
            Value::Bool(true) => {}
            Value::Bool(false) => return Err(format!("{place} is not known")),
            schema => check(document, schema, field).map_err(|why| format!("{place}: {why}"))?,
        }
    }
    Ok(())
}

fn one_of(
    document: &Value,
    rule: &Value,
    value: &Value,
    known: &mut Vec<String>,
    place: &str,
) -> Checked {
    let (mut fits, mut reasons) = (Vec::new(), Vec::new());
    for part in rule.as_array().unwrap() {
        let mut fields = Vec::new();
        match checked(document, part, value, &mut fields, place) {
            Ok(()) => fits.push(fields),
            Err(reason) => reasons.push(reason),
        }
    }
    // Among several that fit, the one that names most of the fields is meant.
    let named = |fields: &Vec<String>| fields.iter().filter(|one| value.get(one).is_some()).count();
    match fits.into_iter().max_by_key(named) {
        Some(mut fields) => known.append(&mut fields),
        None => return Err(format!("{place} fits none of several: {}", reasons.join("; or "))),
    }
    Ok(())
}

fn is_type(rule: &Value, value: &Value, place: &str) -> Checked {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    let fits = match rule {
        Value::Array(several) => several.iter().any(is),
        one => is(one),
    };
    if fits { Ok(()) } else { Err(format!("{place} is {value}, not of the type {rule}")) }
}

fn is_format(format: &str, value: &Value, place: &str) -> Checked {
    let Some(text) = value.as_str() else { return Ok(()) };
    let fits = match format {
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("{place} is {value}, no {format}")) }
}
