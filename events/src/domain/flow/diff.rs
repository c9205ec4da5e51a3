//! What differs between two definitions, by component and field. Pure. Only what counts is
//! compared (see `canonical.rs`). Both sides must have their secrets masked, so a secret that was
//! replaced by another one is no difference that could be seen here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical::{Canonical, CanonicalComponent, canonical};
use crate::limits::FLOW_SUMMARY_LINES_MAX;

/// All differences from one definition to another; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FlowDiff {
    /// Components, in the order of their ids.
    pub components: Vec<ComponentDiff>,
    /// Connections, in order.
    pub connections: Vec<ConnectionDiff>,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the newer definition has it.
    Added,
    /// Only the older definition has it.
    Removed,
    /// Both have it, differently.
    Changed,
}

/// What differs about one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComponentDiff {
    /// Its id; inside a group `group/id`.
    pub id: String,
    /// Its type, in the newer definition that has it.
    pub kind: String,
    /// Its display name, in the newer definition that has it.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// Its fields that differ, in order. What belongs to the node itself is named `node.…`.
    pub fields: Vec<FieldDiff>,
}

/// What differs about one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldDiff {
    /// Its name.
    pub field: String,
    /// Its value before; null: none.
    pub old: Value,
    /// Its value after; null: none.
    pub new: Value,
}

/// A connection that only one of the definitions has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConnectionDiff {
    /// As `component.output -> component.field`.
    pub connection: String,
    /// What became of it.
    pub change: Change,
}

/// The differences from `old` to `new`, whose secrets are masked.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> FlowDiff {
    between(&canonical(old), &canonical(new))
}

/// The same for definitions that are reduced already.
#[must_use]
pub fn between(old: &Canonical, new: &Canonical) -> FlowDiff {
    let ids: BTreeSet<&String> = old.components.keys().chain(new.components.keys()).collect();
    let components = ids
        .into_iter()
        .filter_map(|id| component(id, old.components.get(id), new.components.get(id)))
        .collect();
    let connections = old
        .connections
        .symmetric_difference(&new.connections)
        .map(|connection| ConnectionDiff {
            connection: connection.clone(),
            change: if new.connections.contains(connection) {
                Change::Added
            } else {
                Change::Removed
            },
        })
        .collect();
    FlowDiff { components, connections }
}

fn component(
    id: &str,
    old: Option<&CanonicalComponent>,
    new: Option<&CanonicalComponent>,
) -> Option<ComponentDiff> {
    let shown = new.or(old)?;
    let change = match (old, new) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (Some(old), Some(new)) if old == new => return None,
        (Some(_), Some(_)) => Change::Changed,
    };
    let mut fields = vec![];
    if let (Some(old), Some(new)) = (old, new) {
        for (field, old, new) in [("kind", &old.kind, &new.kind), ("name", &old.name, &new.name)] {
            if old != new {
                let (old, new) = (old.as_str().into(), new.as_str().into());
                fields.push(FieldDiff { field: format!("node.{field}"), old, new });
            }
        }
    }
    let none = CanonicalComponent::default();
    let (before, after) = (&old.unwrap_or(&none).fields, &new.unwrap_or(&none).fields);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old != new {
            let (old, new) = (old.cloned().unwrap_or_default(), new.cloned().unwrap_or_default());
            fields.push(FieldDiff { field: name.clone(), old, new });
        }
    }
    let (id, kind, name) = (id.to_owned(), shown.kind.clone(), shown.name.clone());
    Some(ComponentDiff { id, kind, name, change, fields })
}

impl FlowDiff {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.components.is_empty() && self.connections.is_empty()
    }

    /// What differs, a line for each component and one for the connections, for people. At most
    /// [`FLOW_SUMMARY_LINES_MAX`] lines, the last of which says how many more there are.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.components.iter().map(line).collect();
        if !self.connections.is_empty() {
            lines.push(format!("{} connection(s) changed", self.connections.len()));
        }
        if lines.len() > FLOW_SUMMARY_LINES_MAX {
            let more = lines.len() - (FLOW_SUMMARY_LINES_MAX - 1);
            lines.truncate(FLOW_SUMMARY_LINES_MAX - 1);
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// The same with every text of more than `chars_max` characters cut, and its length told.
    #[must_use]
    pub fn shortened(mut self, chars_max: usize) -> Self {
        for field in self.components.iter_mut().flat_map(|component| &mut component.fields) {
            shorten(&mut field.old, chars_max);
            shorten(&mut field.new, chars_max);
        }
        self
    }
}

fn line(component: &ComponentDiff) -> String {
    match component.change {
        Change::Added => format!("{} added", component.id),
        Change::Removed => format!("{} removed", component.id),
        Change::Changed => {
            let fields: Vec<&str> =
                component.fields.iter().map(|field| field.field.as_str()).collect();
            format!("{} changed: {}", component.id, fields.join(", "))
        }
    }
}

fn shorten(value: &mut Value, chars_max: usize) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return,
    };
    let length = text.chars().count();
    if length > chars_max {
        let start: String = text.chars().take(chars_max).collect();
        *value = format!("{start}\u{2026} ({length} characters)").into();
    }
}

/// What changed about a flow from one version to another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FlowChanges {
    /// Its name, before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TextChange>,
    /// Its description, before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<TextChange>,
    /// Its folder, before and after; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<TextChange>,
    /// Its definition.
    #[serde(flatten)]
    pub definition: FlowDiff,
}

/// A text, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TextChange {
    /// Before.
    pub old: String,
    /// After.
    pub new: String,
}

impl TextChange {
    /// `None` where both are the same.
    #[must_use]
    pub fn of(old: &str, new: &str) -> Option<Self> {
        (old != new).then(|| Self { old: old.to_owned(), new: new.to_owned() })
    }
}

impl FlowChanges {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
