//! Checks the values of tweaks against the types of the fields they set. LangFlow takes a value of
//! a wrong type and fails in the middle of the run, or not at all.

use serde_json::Value;

use super::tweaks::hint;
use super::{BadTweaks, ComponentFields, Field};

/// Checks that every tweak's value is of its field's type, one of its options where these are
/// closed, and that none sets a secret: tweaks are stored as they are given. Names that are not
/// known are none of its business (see [`super::check_tweaks`]).
///
/// # Errors
/// The first tweak that cannot work.
pub fn check_values(components: &[ComponentFields], tweaks: &Value) -> Result<(), BadTweaks> {
    let tweaks = tweaks.as_object().ok_or(BadTweaks::NotAnObject)?;
    for (asked, value) in tweaks {
        let is_named = |c: &&ComponentFields| c.id == *asked || c.name == *asked;
        if let (Some(fields), true) = (value.as_object(), components.iter().any(|c| is_named(&c))) {
            for component in components.iter().filter(is_named) {
                for (name, value) in fields {
                    check_named(component, name, value)?;
                }
            }
        } else {
            // A bare field name sets the field wherever it is.
            for component in components {
                check_named(component, asked, value)?;
            }
        }
    }
    Ok(())
}

fn check_named(component: &ComponentFields, name: &str, value: &Value) -> Result<(), BadTweaks> {
    match component.fields.iter().find(|field| field.name == name) {
        Some(field) => check(component, field, value),
        None => Ok(()),
    }
}

fn check(component: &ComponentFields, field: &Field, value: &Value) -> Result<(), BadTweaks> {
    let (component, name) = (component.id.clone(), field.name.clone());
    if field.secret {
        return Err(BadTweaks::Secret { component, field: name });
    }
    let one = |value: &Value| fits(&field.kind, value);
    let legal = match value {
        Value::Null => true,
        Value::Array(items) if field.list => items.iter().all(one),
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => one(value),
    };
    if !legal {
        let mut wanted = wanted(&field.kind).to_owned();
        if field.list {
            wanted = format!("{wanted}, or a list of such");
        }
        return Err(BadTweaks::WrongType { component, field: name, wanted, got: kind_of(value) });
    }
    let Some(text) = value.as_str().filter(|_| !field.options.is_empty() && !field.list) else {
        return Ok(());
    };
    let options = || field.options.iter().filter_map(Value::as_str);
    if text.is_empty() || options().any(|option| option == text) {
        return Ok(());
    }
    let hint = hint(text, options(), options());
    Err(BadTweaks::NoOption { component, field: name, asked: text.to_owned(), hint })
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "str" | "prompt" | "query" | "tab" => value.is_string(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(is_whole),
        "float" | "slider" => value.is_number(),
        "dict" => value.is_object() || value.is_array(),
        // Whatever LangFlow has beyond these takes several forms.
        _ => true,
    }
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
}

fn wanted(kind: &str) -> &'static str {
    match kind {
        "bool" => "true or false",
        "int" => "a whole number",
        "float" | "slider" => "a number",
        "dict" => "an object",
        _ => "a text",
    }
}

/// What a value is, without the value: it may be long, or private.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
