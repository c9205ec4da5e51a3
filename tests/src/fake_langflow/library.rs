//! The ten built-in flows and the components they are made of, taken from the recordings.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::SECRET;

/// What `make_flows.py` puts before every flow name.
pub(super) const PREFIX: &str = "e2e-";
/// The id of the user whom the recorded flows belong to.
pub(super) const USER_ID: &str = "4718e419-6f55-4579-be26-6265e6bc6fd9";
/// The id of the project that the recorded flows are in.
pub(super) const PROJECT_ID: &str = "12e72495-dbbc-42ec-bb73-6b1dd3f36c5a";

macro_rules! recorded {
    ($($name:literal),+ $(,)?) => {
        [$(include_str!(concat!("../../fixtures/langflow/flow_", $name, ".json"))),+]
    };
}

/// In the order in which a list shows them.
static RECORDED: [&str; 10] = recorded!(
    "echo",
    "prompt",
    "fail",
    "slow",
    "busy",
    "stream",
    "text",
    "llm_no_key",
    "webhook",
    "two_outputs",
);

static FLOWS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut flows: Vec<Value> = RECORDED
        .iter()
        .map(|text| {
            let mut exchange: Value = serde_json::from_str(text).expect("a recording is JSON");
            exchange["response"]["body"].take()
        })
        .collect();
    for node in
        flows.iter_mut().flat_map(|flow| flow["data"]["nodes"].as_array_mut().into_iter().flatten())
    {
        if let Some(key) = node.pointer_mut("/data/node/template/api_key") {
            key["value"] = SECRET.into();
        }
    }
    flows
});

/// The full definitions of the built-in flows.
pub(super) fn flows() -> &'static [Value] {
    &FLOWS
}

/// The id of a built-in flow, by its name with the prefix.
pub(super) fn id_of(name: &str) -> String {
    let flow = FLOWS.iter().find(|flow| flow["name"] == name);
    let Some(id) = flow.and_then(|flow| flow["id"].as_str()) else {
        panic!("the fake LangFlow has no flow {name}");
    };
    id.to_owned()
}

fn component(type_name: &str) -> Option<Value> {
    let mut nodes =
        FLOWS.iter().flat_map(|flow| flow["data"]["nodes"].as_array().into_iter().flatten());
    let node = nodes.find(|node| node["data"]["type"] == type_name)?;
    Some(node["data"]["node"].clone())
}

/// `GET /api/v1/all`: the components that flows are made of, by category.
pub(super) fn catalogue() -> Value {
    let categories: [(&str, &[&str]); 3] = [
        ("input_output", &["ChatInput", "ChatOutput", "TextInput", "TextOutput", "Webhook"]),
        ("models_and_agents", &["LanguageModelComponent"]),
        ("processing", &["Prompt"]),
    ];
    let mut all = Map::new();
    for (category, names) in categories {
        let found = names.iter().filter_map(|name| Some(((*name).to_owned(), component(name)?)));
        all.insert(category.to_owned(), Value::Object(found.collect()));
    }
    all.insert("component_display_names".to_owned(), json!({}));
    Value::Object(all)
}

/// `POST /api/v1/custom_component`: the known component whose class the code defines.
pub(super) fn custom_component(code: &str) -> Option<Value> {
    let class = code.lines().find_map(|line| line.strip_prefix("class "))?;
    let name = class.split(['(', ':']).next()?.trim();
    Some(json!({"data": component(name)?, "type": name}))
}

/// `POST /api/v1/validate/prompt`: adds a text field for each `{variable}`.
pub(super) fn validate_prompt(request: &Value) -> Value {
    let variables = variables(request["template"].as_str().unwrap_or_default());
    let mut node = request["frontend_node"].clone();
    let field =
        component("Prompt").map(|prompt| prompt["template"]["name"].clone()).unwrap_or_default();
    for variable in &variables {
        let mut field = field.clone();
        field["name"] = variable.as_str().into();
        field["display_name"] = variable.as_str().into();
        node["template"][variable.as_str()] = field;
    }
    json!({"input_variables": variables, "frontend_node": node})
}

/// The names between single braces.
pub(super) fn variables(template: &str) -> Vec<String> {
    let parts = template.split('{').skip(1);
    parts
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
