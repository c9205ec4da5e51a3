//! Putting real secrets back where a stored definition has masks, before it is sent to a source:
//! a mask must never be written over a secret. Pure.

use serde_json::{Map, Value};

use super::{MASK, graph, identity};

/// A definition that can be sent. **It may hold secrets in plain text.**
#[derive(Clone, PartialEq)]
pub struct Filled {
    /// The definition, without a mask.
    pub definition: Value,
    /// Masked fields for which there was no secret, as `component.field`; they are empty now.
    pub empty: Vec<String>,
}

/// Replaces every mask in `masked` by what `present`, the source's own definition, has in the same
/// place, or by nothing. Nodes are matched by id, rows of tables by key or name, so that a secret
/// never comes to stand where another was.
#[must_use]
pub fn fill_masked(masked: &Value, present: Option<&Value>) -> Filled {
    let mut definition = masked.clone();
    let mut empty = vec![];
    fill(&mut definition, present.map(graph), &mut vec![], &mut empty);
    Filled { definition, empty }
}

/// `path` is where `value` stands, for people: the nearest node, then names of fields.
fn fill(
    value: &mut Value,
    present: Option<&Value>,
    path: &mut Vec<String>,
    empty: &mut Vec<String>,
) {
    match value {
        Value::String(text) if text == MASK => {
            let real = present.filter(|real| is_real(real));
            if real.is_none() {
                empty.push(path.join("."));
            }
            *value = real.cloned().unwrap_or_else(|| "".into());
        }
        Value::Array(items) => fill_list(items, present, path, empty),
        Value::Object(fields) => fill_object(fields, present, path, empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What can have been masked, and is no mask itself.
fn is_real(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text != MASK)
}

fn fill_list(
    items: &mut [Value],
    present: Option<&Value>,
    path: &mut Vec<String>,
    empty: &mut Vec<String>,
) {
    let others = present.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // In a list of another length nothing says which entry was which.
    let same_length = others.len() == items.len();
    for (at, item) in items.iter_mut().enumerate() {
        let name = ["id", "key", "name"].iter().find_map(|key| Some((*key, item.get(*key)?)));
        let other = match name {
            Some((key, name)) => others.iter().find(|other| other.get(key) == Some(name)),
            None => others.get(at).filter(|_| same_length),
        };
        let node = identity(item).map(|(id, _)| id.to_owned());
        let depth = path.len();
        let kept = node.map(|id| std::mem::replace(path, vec![id]));
        fill(item, other, path, empty);
        match kept {
            Some(kept) => *path = kept,
            None => path.truncate(depth),
        }
    }
}

/// Parts of the path that say nothing to a person.
const SILENT: [&str; 6] = ["data", "node", "template", "value", "nodes", "flow"];

fn fill_object(
    fields: &mut Map<String, Value>,
    present: Option<&Value>,
    path: &mut Vec<String>,
    empty: &mut Vec<String>,
) {
    for (name, value) in fields.iter_mut() {
        let spoken = !SILENT.contains(&name.as_str());
        if spoken {
            path.push(name.clone());
        }
        fill(value, present.and_then(|present| present.get(name)), path, empty);
        if spoken {
            path.pop();
        }
    }
}
