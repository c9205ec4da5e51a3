//! Where a task's input and tweaks go in a request. The rules differ between the APIs:
//!
//! - A chat input takes `input_value`. v1 refuses `input_value` beside a tweak of the same field,
//!   and a background job (v2) blanks the field even where `input_value` is absent. So a user's
//!   tweak wins: v1 is sent the tweak alone, v2 gets the tweak's text as its `input_value`.
//! - Any other input (text input, webhook, a component of the user's own) takes a tweak. A user's
//!   tweak of the same field wins here too.
//! - An empty input is not sent, which leaves v1 with the text stored in the flow.

use std::borrow::Cow;

use serde_json::{Map, Value};
use spark_events::domain::task::CallMode;

use super::RunRequest;

/// Input and tweaks as they are sent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Routed<'a> {
    pub(super) input_value: Option<Cow<'a, str>>,
    pub(super) tweaks: Option<Cow<'a, Value>>,
}

pub(super) fn route(request: &RunRequest) -> Routed<'_> {
    let tweaks = request.tweaks.as_ref().filter(|tweaks| tweaks.is_object());
    let mut routed = Routed { input_value: None, tweaks: tweaks.map(Cow::Borrowed) };
    let input = Some(request.input.as_str()).filter(|input| !input.is_empty());
    let component = request.input_component.as_deref();
    match component.map(|id| (id, id.split('-').next().unwrap_or(id))) {
        None | Some((_, "ChatInput")) => match tweaks.and_then(chat_tweak) {
            None => routed.input_value = input.map(Cow::Borrowed),
            Some((key, text)) if request.mode == CallMode::Background => {
                routed.input_value = text.map(|text| Cow::Owned(text.to_owned()));
                routed.tweaks = tweaks.map(|tweaks| Cow::Owned(without(tweaks, key)));
            }
            Some(_) => {}
        },
        Some((id, kind)) => {
            let field = if kind == "Webhook" { "data" } else { "input_value" };
            let is_set = tweaks.is_some_and(|tweaks| sets(tweaks, id, kind, field));
            if let Some(input) = input.filter(|_| !is_set) {
                routed.tweaks = Some(Cow::Owned(with(tweaks, id, field, input)));
            }
        }
    }
    routed
}

/// A tweak of a chat input's text: its key, and the text if it is one. The keys are LangFlow's
/// own rule: an id or a display name that holds one of these names.
fn chat_tweak(tweaks: &Value) -> Option<(&str, Option<&str>)> {
    tweaks.as_object()?.iter().find_map(|(key, fields)| {
        let is_chat = key.contains("ChatInput") || key.contains("Chat Input");
        let value = fields.get("input_value").filter(|value| is_chat && !value.is_null())?;
        Some((key.as_str(), value.as_str()))
    })
}

/// Whether a tweak sets this field of this component, named by id or by its usual display name.
fn sets(tweaks: &Value, id: &str, kind: &str, field: &str) -> bool {
    let Some(tweaks) = tweaks.as_object() else {
        return false;
    };
    tweaks.iter().any(|(key, fields)| {
        (key == id || key.replace(' ', "") == kind) && fields.get(field).is_some()
    })
}

fn without(tweaks: &Value, key: &str) -> Value {
    let mut tweaks = tweaks.clone();
    if let Some(fields) = tweaks.get_mut(key).and_then(Value::as_object_mut) {
        fields.remove("input_value");
    }
    tweaks
}

fn with(tweaks: Option<&Value>, id: &str, field: &str, input: &str) -> Value {
    let mut tweaks = tweaks.and_then(Value::as_object).cloned().unwrap_or_default();
    let fields = tweaks.entry(id).or_insert_with(|| Map::new().into());
    if let Some(fields) = fields.as_object_mut() {
        fields.insert(field.to_owned(), input.into());
    }
    tweaks.into()
}
