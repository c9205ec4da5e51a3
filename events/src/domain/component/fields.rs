//! The fields of a flow's components that a tweak may set: their types, present values, options.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::secrets::is_secret_field;
use super::{Component, analyse, graph, identity, list, text};

/// A component with its fields.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ComponentFields {
    /// The node's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its display name.
    pub name: String,
    /// Whether it takes the flow's input.
    pub is_input: bool,
    /// Whether it gives the flow's output.
    pub is_output: bool,
    /// What a tweak may set, and secrets, which it may not.
    pub fields: Vec<Field>,
}

/// A field of a component.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Field {
    /// Its name, which a tweak uses.
    pub name: String,
    /// Its name in the editor.
    pub display_name: String,
    /// Its type: str, int, float, slider, bool, dict, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it takes a list of such values.
    pub list: bool,
    /// Its value in the definition; a secret is masked.
    pub value: Value,
    /// What it may be set to, where the choice is closed; else empty.
    pub options: Vec<Value>,
    /// Whether it holds a secret, which no tweak may set.
    pub secret: bool,
    /// What LangFlow says of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info: String,
}

/// The components of a definition, whose secrets are masked, with the fields that a tweak may set.
#[must_use]
pub fn fields(definition: &Value) -> Vec<ComponentFields> {
    let nodes = list(graph(definition), "nodes").iter();
    let templates: BTreeMap<&str, &Map<String, Value>> = nodes
        .filter_map(|node| {
            let (id, _) = identity(node)?;
            Some((id, node.pointer("/data/node/template")?.as_object()?))
        })
        .collect();
    let described = |component: Component| {
        let template = templates.get(component.id.as_str());
        let field = |name: &String| template.and_then(|template| field(name, template.get(name)?));
        ComponentFields {
            fields: component.tweakable.iter().filter_map(field).collect(),
            id: component.id,
            kind: component.kind,
            name: component.name,
            is_input: component.is_input,
            is_output: component.is_output,
        }
    };
    analyse(definition).into_iter().map(described).collect()
}

fn field(name: &str, field: &Value) -> Option<Field> {
    let object = field.as_object()?;
    let is = |key: &str| field.get(key).and_then(Value::as_bool) == Some(true);
    // A combobox takes what is typed, too.
    let options = if is("combobox") { &[][..] } else { list(field, "options") };
    Some(Field {
        name: name.to_owned(),
        display_name: text(field, "display_name").unwrap_or(name).to_owned(),
        kind: text(field, "type").unwrap_or("str").to_owned(),
        list: is("list"),
        value: field.get("value").cloned().unwrap_or_default(),
        options: options.iter().filter(|option| option.is_string()).cloned().collect(),
        secret: is_secret_field(name, object),
        info: text(field, "info").unwrap_or_default().to_owned(),
    })
}
