//! Which values of a definition are secret, and their masking. LangFlow gives the owner of a flow
//! literal secrets in plain text; nothing of a definition may be stored before it went through
//! here. In doubt a value is masked: what is stored is for reading, never sent back.

use serde_json::{Map, Value};

/// What stands in the place of a secret.
pub const MASK: &str = "********";

/// Parts of names, in lower case without separators, that speak of a secret.
const SECRET_PARTS: [&str; 14] = [
    "apikey",
    "apitoken",
    "accesskey",
    "accesstoken",
    "authtoken",
    "authorization",
    "bearer",
    "connectionstring",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
];
/// How well-known secrets begin, wherever they stand.
const SECRET_PREFIXES: [&str; 10] = [
    "sk-",
    "sk_live_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "hf_",
    "Bearer ",
];
/// Shorter texts with such a beginning are ordinary words.
const PREFIXED_BYTES_MIN: usize = 20;

/// A copy with every non-empty secret replaced by [`MASK`]. Names of global variables
/// (`load_from_db`) stay, they are no secrets and tell what the flow needs.
#[must_use]
pub fn mask_secrets(definition: &Value) -> Value {
    let mut masked = definition.clone();
    walk(&mut masked);
    masked
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(object) => walk_object(object),
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::String(text) if looks_secret(text) => MASK.clone_into(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn walk_object(object: &mut Map<String, Value>) {
    for (name, value) in object.iter_mut() {
        match value {
            Value::Object(field) if is_field(field) => mask_field(name, field),
            Value::String(_) if is_secret_name(name) => mask(value),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => walk(value),
        }
    }
    // Rows of tables and lists of headers: {"key": "Authorization", "value": ".."}.
    let named = ["key", "name"].iter().filter_map(|key| object.get(*key).and_then(Value::as_str));
    let is_secret = !is_field(object) && named.into_iter().any(is_secret_name);
    if let Some(value) = object.get_mut("value").filter(|_| is_secret) {
        mask(value);
    }
}

/// Whether this is a field of a component's template.
fn is_field(object: &Map<String, Value>) -> bool {
    object.contains_key("value")
        && (object.contains_key("type") || object.contains_key("_input_type"))
}

fn mask_field(name: &str, field: &mut Map<String, Value>) {
    if field.get("load_from_db").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let secret = is_secret_field(name, field);
    for (key, value) in field.iter_mut() {
        match key.as_str() {
            "value" if secret => mask(value),
            _ => walk(value),
        }
    }
}

/// Whether a field of a template holds a secret, by what it says of itself or by its name.
pub(super) fn is_secret_field(name: &str, field: &Map<String, Value>) -> bool {
    let kind = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
    let declared = field.get("password").and_then(Value::as_bool) == Some(true)
        || kind("_input_type").contains("Secret")
        || kind("type").contains("Secret");
    let texts = field.get("value").is_some_and(|value| value.is_string() || value.is_array());
    declared || (texts && is_secret_name(name) && kind("type") != "code")
}

/// Masks all texts and numbers in a value; what is empty stays empty.
fn mask(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(_) | Value::Number(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
    }
}

fn is_secret_name(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    plain.ends_with("token") || SECRET_PARTS.iter().any(|part| plain.contains(part))
}

fn looks_secret(text: &str) -> bool {
    let is_prefixed = |prefix: &str| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.contains(char::is_whitespace))
    };
    text.len() >= PREFIXED_BYTES_MIN && SECRET_PREFIXES.iter().any(|prefix| is_prefixed(prefix))
}
