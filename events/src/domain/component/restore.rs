//! Filling the masked secrets of a stored definition from the present one, so that it can be run
//! again. The result exists in memory only: it holds secrets and must never be stored.

use serde_json::{Map, Value};

use super::graph;
use super::secrets::MASK;

/// A masked value for which the present definition has nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret {field} of component {component} was not stored and is not in the flow at the \
     source any more; run the present definition instead: --flow-version now"
)]
pub struct MissingSecret {
    /// The node's id.
    pub component: String,
    /// The field, with dots into it.
    pub field: String,
}

/// A copy of a masked definition in which every mask is replaced by what the present definition
/// has in the same field of the same node.
///
/// # Errors
/// The first masked field that the present definition does not have.
pub fn restore_secrets(masked: &Value, present: &Value) -> Result<Value, MissingSecret> {
    let mut restored = masked.clone();
    fill_level(&mut restored, Some(present))?;
    Ok(restored)
}

/// Nodes and edges are matched by their ids, everything else by its place.
fn fill_level(masked: &mut Value, present: Option<&Value>) -> Result<(), MissingSecret> {
    let present = present.map(graph);
    let level = match masked.get("nodes") {
        None => masked.get_mut("data"),
        Some(_) => Some(masked),
    };
    let Some(Value::Object(level)) = level else { return Ok(()) };
    for (name, value) in level.iter_mut() {
        let Value::Array(nodes) = value else {
            fill(value, present.and_then(|present| present.get(name)), name, &mut vec![])?;
            continue;
        };
        for node in nodes {
            let same = same_node(name, node, present);
            let id = node.get("id").and_then(Value::as_str).unwrap_or(name).to_owned();
            fill(node, same, &id, &mut vec![])?;
        }
    }
    Ok(())
}

/// The item of the same list that has the same id.
fn same_node<'a>(list: &str, node: &Value, present: Option<&'a Value>) -> Option<&'a Value> {
    let id = node.get("id")?;
    present?.get(list)?.as_array()?.iter().find(|other| other.get("id") == Some(id))
}

fn fill(
    masked: &mut Value,
    present: Option<&Value>,
    component: &str,
    path: &mut Vec<String>,
) -> Result<(), MissingSecret> {
    match masked {
        Value::String(text) if text == MASK => match present {
            Some(value @ (Value::String(_) | Value::Number(_))) => *masked = value.clone(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
                return Err(MissingSecret {
                    component: component.to_owned(),
                    field: field_name(path),
                });
            }
        },
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                let same = present.and_then(|present| present.get(at));
                step(at.to_string(), item, same, component, path)?;
            }
        }
        Value::Object(fields) => fill_object(fields, present, component, path)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn fill_object(
    fields: &mut Map<String, Value>,
    present: Option<&Value>,
    component: &str,
    path: &mut Vec<String>,
) -> Result<(), MissingSecret> {
    for (name, value) in fields.iter_mut() {
        let same = present.and_then(|present| present.get(name));
        // A group holds a flow of its own.
        if name == "flow" && value.pointer("/data/nodes").or(value.get("nodes")).is_some() {
            fill_level(value, same)?;
        } else {
            step(name.clone(), value, same, component, path)?;
        }
    }
    Ok(())
}

fn step(
    name: String,
    value: &mut Value,
    present: Option<&Value>,
    component: &str,
    path: &mut Vec<String>,
) -> Result<(), MissingSecret> {
    path.push(name);
    fill(value, present, component, path)?;
    path.pop();
    Ok(())
}

/// The field as people know it: without the wrapping of a node and of a field.
fn field_name(path: &[String]) -> String {
    let inner = match path.iter().position(|part| part == "template") {
        Some(at) => &path[at + 1..],
        None => path,
    };
    let inner = match inner {
        [field, value] if value == "value" => std::slice::from_ref(field),
        other => other,
    };
    inner.join(".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::mask_secrets;
    use super::*;

    fn node(id: &str, secret: &str, model: &str) -> Value {
        json!({ "id": id, "data": { "id": id, "type": "Model", "node": { "template": {
            "api_key": { "type": "str", "password": true, "value": secret },
            "model": { "type": "str", "value": model },
            "headers": { "type": "table", "value": [{ "key": "Authorization", "value": secret }] },
        } } } })
    }

    #[test]
    fn masks_are_filled_from_the_same_node_and_nothing_else_changes() {
        let then =
            json!({ "nodes": [node("M-1", "old", "a"), node("M-2", "two", "b")], "edges": [] });
        let now =
            json!({ "nodes": [node("M-2", "two", "x"), node("M-1", "new", "x")], "edges": [] });
        let masked = mask_secrets(&then);
        assert!(!masked.to_string().contains("old"), "the test needs masks: {masked}");
        let restored = restore_secrets(&masked, &now).unwrap();
        let wanted =
            json!({ "nodes": [node("M-1", "new", "a"), node("M-2", "two", "b")], "edges": [] });
        assert_eq!(restored, wanted, "the secrets of now in the definition of then");
    }

    #[test]
    fn a_secret_that_is_gone_is_named() {
        let masked = mask_secrets(&json!({ "nodes": [node("M-1", "old", "a")] }));
        let gone = restore_secrets(&masked, &json!({ "nodes": [node("M-2", "x", "a")] }));
        let missing = MissingSecret { component: "M-1".into(), field: "api_key".into() };
        assert_eq!(gone, Err(missing));
    }

    #[test]
    fn a_group_is_filled_from_the_same_group() {
        let group = |secret: &str| {
            let inner = json!({ "data": { "nodes": [node("M-9", secret, "a")] } });
            json!({ "nodes": [{ "id": "G-1", "data": { "node": { "flow": inner } } }] })
        };
        let restored = restore_secrets(&mask_secrets(&group("old")), &group("new")).unwrap();
        assert_eq!(restored, group("new"));
    }

    #[test]
    fn a_definition_without_secrets_needs_nothing() {
        let plain = json!({ "data": { "nodes": [{ "id": "C", "data": { "node": {} } }] } });
        assert_eq!(restore_secrets(&plain, &Value::Null), Ok(plain));
    }
}
