//! The result of a run as it is recorded: each text once. LangFlow repeats it six times over.

use serde_json::{Map, Value, json};

/// One output of one component.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) component_id: String,
    pub(super) component: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) content: Value,
    /// Whether LangFlow cut the text and the whole one could not be had.
    pub(super) is_cut: bool,
}

/// The recorded result: `{"text": ..}` for one text, otherwise the first text and all outputs.
/// Of several components only the wanted one is kept; where the flow has lost it, everything is,
/// and `missing_output` names it.
pub(super) fn assemble(mut parts: Vec<Part>, wanted: Option<&str>) -> Value {
    let is_wanted = |part: &Part| {
        wanted.is_some_and(|w| part.component_id == w || part.component.as_deref() == Some(w))
    };
    let missing = wanted.filter(|_| !parts.iter().any(is_wanted));
    if wanted.is_some() && missing.is_none() {
        parts.retain(is_wanted);
    }
    if let ([Part { content: Value::String(_), is_cut: false, .. }], None) =
        (parts.as_slice(), missing)
    {
        let text = parts.pop().map(|part| part.content);
        return json!({ "text": text });
    }
    let mut output = Map::new();
    let text = parts.iter().map(|part| &part.content).find(|content| content.is_string());
    output.insert("text".into(), text.cloned().unwrap_or(Value::Null));
    if !parts.is_empty() {
        output.insert("outputs".into(), parts.into_iter().map(described).collect());
    }
    if let Some(missing) = missing {
        output.insert("missing_output".into(), missing.into());
    }
    output.into()
}

fn described(part: Part) -> Value {
    let mut output = Map::new();
    output.insert("component_id".into(), part.component_id.into());
    output.extend(part.component.map(|name| ("component".into(), name.into())));
    output.extend(part.kind.map(|kind| ("type".into(), kind.into())));
    let key = if part.content.is_string() { "text" } else { "value" };
    output.insert(key.into(), part.content);
    if part.is_cut {
        output.insert("cut".into(), true.into());
    }
    output.into()
}
