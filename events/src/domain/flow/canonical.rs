//! What of a definition counts: what a run of it could notice. Where nodes lie on the canvas, how
//! large they are, notes, and the texts that only the editor shows do not count, so moving a node
//! is no change. Pure; a definition it does not understand has no components.
//!
//! Counted are, for each component, its kind, its name (tweaks may use it), the value of every
//! field, and whether it is frozen, a tool, or gives another of its outputs; and the connections.
//! A field that is empty and one that is missing are the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::component::{self, GROUP_LEVELS_MAX};

/// A definition, reduced to what counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Canonical {
    /// By id; those inside a group by `group/id`.
    pub components: BTreeMap<String, CanonicalComponent>,
    /// Each as `component.output -> component.field`.
    pub connections: BTreeSet<String>,
}

/// A component, reduced to what counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CanonicalComponent {
    /// Its type.
    pub kind: String,
    /// Its display name.
    pub name: String,
    /// Its fields that have a value. What belongs to the node itself is named `node.…`.
    pub fields: BTreeMap<String, Value>,
}

/// Reduces a definition, in any form that [`component::analyse`] takes.
#[must_use]
pub fn canonical(definition: &Value) -> Canonical {
    let mut all = Canonical::default();
    add_level(definition, "", 0, &mut all);
    all
}

/// SHA-256 (hex) of what counts of a definition. Secrets must be masked before: a hash of a secret
/// gives it away to whoever can guess it.
#[must_use]
pub fn content_hash(definition: &Value) -> String {
    hex(serde_json::to_string(&canonical(definition)).unwrap_or_default().as_bytes())
}

/// SHA-256 (hex) of a masked definition's JSON, with all that does not count.
#[must_use]
pub fn definition_hash(definition: &Value) -> String {
    hex(definition.to_string().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add_level(definition: &Value, prefix: &str, level: usize, all: &mut Canonical) {
    let graph = component::graph(definition);
    for node in component::list(graph, "nodes") {
        let Some((id, kind)) = component::identity(node) else { continue };
        let id = format!("{prefix}{id}");
        let inner = node.pointer("/data/node").unwrap_or(&Value::Null);
        let group = inner.get("flow").filter(|flow| flow.is_object());
        if let Some(group) = group.filter(|_| level < GROUP_LEVELS_MAX) {
            add_level(group, &format!("{id}/"), level + 1, all);
        }
        let name = component::text(inner, "display_name").unwrap_or(kind).to_owned();
        let component = CanonicalComponent { kind: kind.to_owned(), name, fields: fields(node) };
        all.components.insert(id, component);
    }
    let edges = component::list(graph, "edges").iter();
    all.connections.extend(edges.filter_map(|edge| connection(edge, prefix)));
}

fn fields(node: &Value) -> BTreeMap<String, Value> {
    let inner = node.pointer("/data/node").unwrap_or(&Value::Null);
    let template = inner.get("template").and_then(Value::as_object);
    let mut fields: BTreeMap<String, Value> = template
        .into_iter()
        .flatten()
        .filter_map(|(name, field)| Some((name.clone(), counted(field)?)))
        .collect();
    for flag in ["frozen", "tool_mode"] {
        if inner.get(flag).and_then(Value::as_bool) == Some(true) {
            fields.insert(format!("node.{flag}"), true.into());
        }
    }
    let selected = node.pointer("/data/selected_output").and_then(Value::as_str);
    if let Some(output) = selected {
        fields.insert("node.selected_output".to_owned(), output.into());
    }
    fields
}

/// The value of a field, where it has one. The name of a global variable is another value than
/// the same text.
fn counted(field: &Value) -> Option<Value> {
    let value = field.as_object()?.get("value")?;
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if empty {
        return None;
    }
    let variable = field.get("load_from_db").and_then(Value::as_bool) == Some(true);
    Some(if variable { json!({ "global_variable": value }) } else { value.clone() })
}

fn connection(edge: &Value, prefix: &str) -> Option<String> {
    let source = component::text(edge, "source")?;
    let target = component::text(edge, "target")?;
    let part = |handle: &str, key: &str| {
        component::handle_part(edge, handle, key).map(|part| format!(".{part}")).unwrap_or_default()
    };
    let (output, field) = (part("sourceHandle", "name"), part("targetHandle", "fieldName"));
    Some(format!("{prefix}{source}{output} -> {prefix}{target}{field}"))
}
