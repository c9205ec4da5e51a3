//! The components of a flow's definition: which take input, which give output, what can be
//! tweaked, and which fields are secret. Rules of LangFlow 1.0 to 1.13. Pure; a definition it
//! does not understand gives fewer components, never an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod fields;
mod fill;
mod secrets;
#[cfg(test)]
mod tests;
mod tweaks;
mod values;

pub use fields::{ComponentFields, Field, fields};
pub use fill::{Filled, fill_masked};
pub use secrets::{MASK, mask_secrets};
pub use tweaks::{BadTweaks, check_tweaks};
pub use values::check_values;
pub(crate) use values::kind_of;

const INPUT_KINDS: [&str; 3] = [CHAT_INPUT, "TextInput", "Webhook"];
const OUTPUT_KINDS: [&str; 3] = ["ChatOutput", "TextOutput", "DataOutput"];
const CHAT_INPUT: &str = "ChatInput";
/// Groups may hold groups; nobody draws more levels than this by hand.
pub(crate) const GROUP_LEVELS_MAX: usize = 8;

/// A node of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Component {
    /// The node's id, such as `ChatInput-00001`.
    pub id: String,
    /// Its type, such as `ChatInput`.
    pub kind: String,
    /// Its display name.
    pub name: String,
    /// Whether it takes the flow's input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_input: bool,
    /// Whether it gives the flow's output.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_output: bool,
    /// Names of the fields that a tweak may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tweakable: Vec<String>,
    /// The text that the flow's author left in an input, which stands where a task has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_input: Option<String>,
}

/// Why a flow's input or output could not be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChoice {
    /// The flow has no such component.
    #[error("the flow has no component {asked:?}; it has: {known}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// The ids to choose from.
        known: String,
    },
    /// There are several, and none of them is the obvious one.
    #[error("the flow has several inputs ({known}); name the one that takes the task's input")]
    Ambiguous {
        /// The ids to choose from.
        known: String,
    },
}

/// The components of a definition: `{"nodes": [..], "edges": [..]}`, or an object that holds this
/// under `data`. Notes are left out. The components inside a group are listed behind it, without
/// fields: LangFlow lets only the group's own fields be tweaked.
#[must_use]
pub fn analyse(definition: &Value) -> Vec<Component> {
    let mut components = Vec::new();
    add_level(definition, 0, &mut components);
    if !components.iter().any(|component| component.is_output) {
        mark_sinks(definition, &mut components);
    }
    components
}

/// The component that takes a task's input: the one asked for, by id or display name; otherwise
/// the only one, or the first chat input of several. `None` where the flow takes no input.
///
/// # Errors
/// What was asked for is not there, or there are several and no chat input among them.
pub fn choose_input(
    components: &[Component],
    asked: Option<&str>,
) -> Result<Option<String>, BadChoice> {
    if let Some(asked) = asked {
        return find(components, asked).map(Some);
    }
    let inputs: Vec<&Component> = components.iter().filter(|c| c.is_input).collect();
    match inputs.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.id.clone())),
        several => match several.iter().find(|c| c.kind == CHAT_INPUT) {
            Some(chat) => Ok(Some(chat.id.clone())),
            None => Err(BadChoice::Ambiguous { known: ids(several.iter().copied()) }),
        },
    }
}

/// The component that gives a task's result: the one asked for, by id or display name; otherwise
/// the only one. `None` where there is none or several: then the result holds all of them.
///
/// # Errors
/// What was asked for is not there.
pub fn choose_output(
    components: &[Component],
    asked: Option<&str>,
) -> Result<Option<String>, BadChoice> {
    if let Some(asked) = asked {
        return find(components, asked).map(Some);
    }
    let mut outputs = components.iter().filter(|component| component.is_output);
    match (outputs.next(), outputs.next()) {
        (Some(only), None) => Ok(Some(only.id.clone())),
        (None | Some(_), _) => Ok(None),
    }
}

/// The text that the flow's author left in this input. LangFlow's background jobs blank it when
/// a task brings no input of its own, so whoever runs the flow has to send it along.
#[must_use]
pub fn stored_input<'a>(components: &'a [Component], input: Option<&str>) -> Option<&'a str> {
    let input = input?;
    components.iter().find(|component| component.id == input)?.stored_input.as_deref()
}

fn find(components: &[Component], asked: &str) -> Result<String, BadChoice> {
    let by_id = components.iter().find(|component| component.id == asked);
    let mut by_name = components.iter().filter(|component| component.name == asked);
    match (by_id, by_name.next(), by_name.next()) {
        (Some(component), _, _) | (None, Some(component), None) => Ok(component.id.clone()),
        (None, _, _) => {
            Err(BadChoice::Unknown { asked: asked.to_owned(), known: ids(components.iter()) })
        }
    }
}

fn ids<'a>(components: impl Iterator<Item = &'a Component>) -> String {
    components.map(|component| component.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The object that has the nodes.
pub(crate) fn graph(definition: &Value) -> &Value {
    match definition.get("data") {
        Some(data) if definition.get("nodes").is_none() => data,
        Some(_) | None => definition,
    }
}

pub(crate) fn list<'a>(graph: &'a Value, key: &str) -> &'a [Value] {
    graph.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn add_level(definition: &Value, level: usize, components: &mut Vec<Component>) {
    let graph = graph(definition);
    let wired = wired_fields(graph);
    for node in list(graph, "nodes") {
        let Some(mut component) = component(node, &wired) else {
            continue;
        };
        if level > 0 {
            component.tweakable.clear();
        }
        components.push(component);
        let group = node.pointer("/data/node/flow").filter(|flow| flow.is_object());
        if let Some(group) = group.filter(|_| level < GROUP_LEVELS_MAX) {
            add_level(group, level + 1, components);
        }
    }
}

fn component(node: &Value, wired: &BTreeMap<&str, BTreeSet<String>>) -> Option<Component> {
    let (id, kind) = identity(node)?;
    let data = node.get("data")?;
    let inner = data.get("node").unwrap_or(&Value::Null);
    let prefix = id.split('-').next().unwrap_or(id);
    let is = |kinds: &[&str], flag: &str| {
        kinds.contains(&kind)
            || kinds.contains(&prefix)
            || inner.get(flag).and_then(Value::as_bool) == Some(true)
    };
    let empty = Map::new();
    let template = inner.get("template").and_then(Value::as_object).unwrap_or(&empty);
    let is_input = is(&INPUT_KINDS, "is_input");
    Some(Component {
        id: id.to_owned(),
        kind: kind.to_owned(),
        name: text(inner, "display_name").unwrap_or(kind).to_owned(),
        is_input,
        is_output: is(&OUTPUT_KINDS, "is_output"),
        tweakable: tweakable(template, wired.get(id)),
        stored_input: stored(template).filter(|_| is_input),
    })
}

/// The id and the type of a node; `None` for a note, and for what is no node.
pub(crate) fn identity(node: &Value) -> Option<(&str, &str)> {
    let data = node.get("data")?;
    let id = text(node, "id").or_else(|| text(data, "id"))?;
    let kind = text(data, "type")?;
    let note = text(node, "type") == Some("noteNode") || kind == "note" || kind == "noteNode";
    (!note).then_some((id, kind))
}

fn tweakable(template: &Map<String, Value>, wired: Option<&BTreeSet<String>>) -> Vec<String> {
    let can_be = |name: &str, field: &Value| {
        let kind = text(field, "type");
        field.is_object()
            && name != "code"
            && kind != Some("code")
            && kind != Some("other")
            && field.get("show").and_then(Value::as_bool) != Some(false)
            && !wired.is_some_and(|wired| wired.contains(name))
    };
    template
        .iter()
        .filter(|(name, field)| can_be(name, field))
        .map(|(name, _)| name.clone())
        .collect()
}

fn stored(template: &Map<String, Value>) -> Option<String> {
    let field = template.get("input_value")?;
    // With this set, the value is the name of a global variable, which LangFlow looks up.
    if field.get("load_from_db").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    text(field, "value").filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Per node, the fields that an edge leads into. The edge's value wins over a tweak.
fn wired_fields(graph: &Value) -> BTreeMap<&str, BTreeSet<String>> {
    let mut wired: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for edge in list(graph, "edges") {
        let Some(target) = text(edge, "target") else {
            continue;
        };
        let field = handle_part(edge, "targetHandle", "fieldName");
        wired.entry(target).or_default().extend(field);
    }
    wired
}

/// A part of one end of an edge, which stands in its data, or else in the handle's string form:
/// JSON with `œ` for the quotes.
pub(crate) fn handle_part(edge: &Value, handle: &str, key: &str) -> Option<String> {
    let in_data = edge.get("data").and_then(|data| data.get(handle)?.get(key)?.as_str());
    if let Some(part) = in_data {
        return Some(part.to_owned());
    }
    let handle = text(edge, handle)?.replace('\u{153}', "\"");
    let handle: Value = serde_json::from_str(&handle).ok()?;
    text(&handle, key).map(str::to_owned)
}

/// Without one of LangFlow's output components, what no edge leaves is the output: so does v2.
fn mark_sinks(definition: &Value, components: &mut [Component]) {
    let edges = list(graph(definition), "edges");
    let end = |id: &str, side: &str| edges.iter().any(|edge| text(edge, side) == Some(id));
    let alone = components.len() == 1;
    for component in components.iter_mut() {
        let is_sink = !end(&component.id, "source");
        component.is_output = is_sink && (alone || end(&component.id, "target"));
    }
}
