//! The rules about components, against recorded definitions of LangFlow 1.13.

use serde_json::json;

use super::*;

fn definition(fixture: &str) -> Value {
    let exchange: Value = serde_json::from_str(fixture).unwrap();
    exchange["response"]["body"]["data"].clone()
}

macro_rules! fixture {
    ($name:literal) => {
        definition(include_str!(concat!("../../../../tests/fixtures/langflow/", $name, ".json")))
    };
}

#[test]
fn a_chat_flow_has_one_input_and_one_output() {
    let components = analyse(&fixture!("flow_echo"));
    let ids: Vec<_> = components.iter().map(|c| (c.id.as_str(), c.is_input, c.is_output)).collect();
    assert_eq!(ids, [("ChatInput-00001", true, false), ("ChatOutput-00001", false, true)]);
    assert_eq!(components[0].name, "Chat Input");
    assert_eq!(choose_input(&components, None), Ok(Some("ChatInput-00001".into())));
    assert_eq!(choose_output(&components, None), Ok(Some("ChatOutput-00001".into())));
}

#[test]
fn code_hidden_connect_only_and_wired_fields_cannot_be_tweaked() {
    let components = analyse(&fixture!("flow_llm_no_key"));
    let model = components.iter().find(|c| c.kind == "LanguageModelComponent").unwrap();
    assert!(model.tweakable.contains(&"temperature".to_owned()));
    assert!(model.tweakable.contains(&"api_key".to_owned()));
    // Wired, LangFlow's own, hidden.
    for field in ["input_value", "code", "ollama_base_url"] {
        assert!(!model.tweakable.contains(&field.to_owned()), "{field}");
    }
    let output = components.iter().find(|c| c.kind == "ChatOutput").unwrap();
    assert!(!output.tweakable.contains(&"input_value".to_owned()), "connect-only");
}

#[test]
fn a_wired_field_is_found_in_the_string_form_of_a_handle_too() {
    let mut definition = fixture!("flow_text");
    definition["edges"][0].as_object_mut().unwrap().remove("data");
    let components = analyse(&definition);
    let output = components.iter().find(|c| c.kind == "TextOutput").unwrap();
    assert!(!output.tweakable.contains(&"input_value".to_owned()));
}

#[test]
fn the_text_left_in_an_input_is_kept() {
    let components = analyse(&fixture!("flow_text"));
    assert_eq!(stored_input(&components, Some("TextInput-00001")), Some("default text"));
    assert_eq!(stored_input(&components, Some("TextOutput-00001")), None);
    assert_eq!(stored_input(&components, None), None);
}

#[test]
fn several_outputs_are_all_kept_and_an_asked_one_is_checked() {
    let components = analyse(&fixture!("flow_two_outputs"));
    assert_eq!(choose_output(&components, None), Ok(None));
    assert_eq!(
        choose_output(&components, Some("Text Output")),
        Ok(Some("TextOutput-00001".into()))
    );
    let error = choose_output(&components, Some("Nope")).unwrap_err();
    assert!(error.to_string().contains("TextOutput-00001"), "{error}");
}

fn node(id: &str, kind: &str) -> Value {
    json!({"id": id, "type": "genericNode", "data": {"id": id, "type": kind, "node": {"template": {}}}})
}

#[test]
fn of_several_inputs_the_first_chat_input_is_chosen() {
    let nodes = json!([node("TextInput-1", "TextInput"), node("ChatInput-2", "ChatInput")]);
    let components = analyse(&json!({"nodes": nodes}));
    assert_eq!(choose_input(&components, None), Ok(Some("ChatInput-2".into())));
    let nodes = json!([node("TextInput-1", "TextInput"), node("Webhook-2", "Webhook")]);
    let components = analyse(&json!({"nodes": nodes}));
    assert!(matches!(choose_input(&components, None), Err(BadChoice::Ambiguous { .. })));
}

#[test]
fn without_an_output_component_the_sinks_are_the_output() {
    let nodes = json!([
        node("ChatInput-1", "ChatInput"),
        node("SaveToFile-1", "SaveToFile"),
        {"id": "note-1", "type": "noteNode", "data": {"id": "note-1", "type": "note"}},
        node("Loose-1", "Loose"),
    ]);
    let edges = json!([{"source": "ChatInput-1", "target": "SaveToFile-1"}]);
    let components = analyse(&json!({"data": {"nodes": nodes, "edges": edges}}));
    assert_eq!(choose_output(&components, None), Ok(Some("SaveToFile-1".into())));
    assert_eq!(components.len(), 3, "the note is left out");
}

#[test]
fn components_in_a_group_are_listed_without_fields() {
    let mut group = node("Group-1", "GroupNode");
    let mut inner = node("ChatOutput-9", "ChatOutput");
    inner["data"]["node"]["template"] = json!({"sender": {"type": "str", "value": ""}});
    group["data"]["node"]["flow"] = json!({"data": {"nodes": [inner], "edges": []}});
    let components = analyse(&json!({"nodes": [group], "edges": []}));
    assert_eq!(choose_output(&components, None), Ok(Some("ChatOutput-9".into())));
    assert!(components[1].tweakable.is_empty());
}

#[test]
fn nonsense_gives_no_components() {
    for definition in
        [json!(null), json!(5), json!({"nodes": 5}), json!({"nodes": [1, {}, {"data": 2}]})]
    {
        assert_eq!(analyse(&definition), []);
    }
}

#[test]
fn secrets_are_masked_and_everything_else_stays() {
    let mut definition = fixture!("flow_llm_no_key");
    let before = definition.clone();
    assert_eq!(mask_secrets(&definition), before, "empty secrets stay empty");
    let position = definition["nodes"].as_array().unwrap();
    let position =
        position.iter().position(|n| n["data"]["type"] == "LanguageModelComponent").unwrap();
    let path = format!("/nodes/{position}/data/node/template/api_key");
    definition.pointer_mut(&path).unwrap()["value"] = json!("literally secret");
    let masked = mask_secrets(&definition);
    assert!(!masked.to_string().contains("literally secret"));
    assert_eq!(masked.pointer(&path).unwrap()["value"], MASK);
    let mut expected = before;
    expected.pointer_mut(&path).unwrap()["value"] = json!(MASK);
    assert_eq!(masked, expected);
}

#[test]
fn masking_knows_declared_named_and_well_known_secrets() {
    let field =
        |kind: &str, value: Value| json!({"type": "str", "_input_type": kind, "value": value});
    let definition = json!({
        "declared": {"type": "str", "password": true, "value": "p"},
        "by_type": field("SecretStrInput", json!("s")),
        "aws_secret_access_key": field("StrInput", json!("k")),
        "githubToken": field("StrInput", json!("t")),
        "max_tokens": field("IntInput", json!(256)),
        "variable": {"type": "str", "password": true, "load_from_db": true, "value": "OPENAI_API_KEY"},
        "headers": field("TableInput", json!([{"key": "Authorization", "value": "Basic abc"}])),
        "settings": field("DictInput", json!({"X-Api-Key": "deep", "host": "db"})),
        "text": field("StrInput", json!("sk-0123456789abcdefghij")),
        "prose": field("StrInput", json!("sk- is how keys begin, says the manual")),
    });
    let masked = mask_secrets(&definition);
    for (name, expected) in [
        ("/declared/value", json!(MASK)),
        ("/by_type/value", json!(MASK)),
        ("/aws_secret_access_key/value", json!(MASK)),
        ("/githubToken/value", json!(MASK)),
        ("/max_tokens/value", json!(256)),
        ("/variable/value", json!("OPENAI_API_KEY")),
        ("/headers/value/0/value", json!(MASK)),
        ("/headers/value/0/key", json!("Authorization")),
        ("/settings/value/X-Api-Key", json!(MASK)),
        ("/settings/value/host", json!("db")),
        ("/text/value", json!(MASK)),
        ("/prose/value", json!("sk- is how keys begin, says the manual")),
    ] {
        assert_eq!(masked.pointer(name), Some(&expected), "{name}");
    }
}

#[test]
fn tweaks_are_checked_with_a_hint() {
    let components = analyse(&fixture!("flow_llm_no_key"));
    let check = |tweaks: Value| check_tweaks(&components, &tweaks).map_err(|e| e.to_string());
    assert_eq!(check(json!({"ChatInput-00001": {"sender_name": "x"}})), Ok(()));
    assert_eq!(check(json!({"Language Model": {"temperature": 0.5}})), Ok(()));
    assert_eq!(check(json!({"temperature": 0.5})), Ok(()), "a bare field name");
    let error = check(json!({"ChatInput-0001": {"sender_name": "x"}})).unwrap_err();
    assert!(error.contains("did you mean \"ChatInput-00001\"?"), "{error}");
    let error = check(json!({"LanguageModelComponent-00001": {"temprature": 1}})).unwrap_err();
    assert!(error.contains("did you mean \"temperature\"?"), "{error}");
    let error = check(json!({"LanguageModelComponent-00001": {"input_value": 1}})).unwrap_err();
    assert!(error.contains("no field \"input_value\""), "{error}");
    assert!(check(json!([])).is_err());
    assert!(check(json!({"ChatInput-00001": 5})).is_err());
}

fn model(exchange: &Value) -> usize {
    let nodes = exchange["nodes"].as_array().unwrap();
    nodes.iter().position(|n| n["data"]["type"] == "LanguageModelComponent").unwrap()
}

#[test]
fn masks_are_filled_with_the_secrets_of_the_same_place_and_never_sent() {
    let mut real = fixture!("flow_llm_no_key");
    let at = model(&real);
    let path = format!("/nodes/{at}/data/node/template/api_key/value");
    *real.pointer_mut(&path).unwrap() = json!("the real one");
    let mut edited = mask_secrets(&real);
    edited["nodes"][at]["position"] = json!({ "x": 5, "y": 5 });
    assert_eq!(edited.pointer(&path).unwrap(), MASK);
    // The order of nodes may differ at the source.
    let mut present = json!({ "data": real });
    present["data"]["nodes"].as_array_mut().unwrap().reverse();
    let filled = fill_masked(&edited, Some(&present));
    assert_eq!(filled.definition.pointer(&path).unwrap(), "the real one");
    assert_eq!(filled.definition["nodes"][at]["position"]["x"], 5);
    assert_eq!(filled.empty, Vec::<String>::new());

    let alone = fill_masked(&edited, None);
    assert_eq!(alone.definition.pointer(&path).unwrap(), "");
    assert_eq!(alone.empty, ["LanguageModelComponent-00001.api_key"]);
    // A source that has a mask itself has no secret to give.
    let masked = fill_masked(&edited, Some(&edited));
    assert!(!masked.definition.to_string().contains(MASK));
    assert_eq!(masked.empty.len(), 1);
}

#[test]
fn a_secret_never_comes_to_stand_in_another_row() {
    let rows = |rows: Value| {
        json!({ "nodes": [{ "id": "A-1", "data": { "type": "A", "node": {
        "template": { "headers": { "type": "table", "value": rows } } } } }] })
    };
    let real = rows(json!([
        { "key": "Authorization", "value": "first" }, { "key": "X-Api-Key", "value": "second" }
    ]));
    let edited = rows(json!([
        { "key": "X-Api-Key", "value": MASK }, { "key": "X-New-Secret", "value": MASK }
    ]));
    let filled = fill_masked(&edited, Some(&real));
    let rows = &filled.definition["nodes"][0]["data"]["node"]["template"]["headers"]["value"];
    assert_eq!(rows[0]["value"], "second");
    assert_eq!(rows[1]["value"], "");
    assert_eq!(filled.empty, ["A-1.headers"]);
}

#[test]
fn fields_have_types_values_and_options() {
    let components = fields(&mask_secrets(&fixture!("flow_echo")));
    let input = &components[0];
    assert_eq!((input.id.as_str(), input.is_input), ("ChatInput-00001", true));
    let sender = input.fields.iter().find(|field| field.name == "sender").unwrap();
    assert_eq!((sender.kind.as_str(), &sender.value), ("str", &json!("User")));
    assert_eq!(sender.options, [json!("Machine"), json!("User")]);
    assert!(input.fields.iter().all(|field| field.name != "code"));
}

#[test]
fn values_of_tweaks_must_fit_their_fields() {
    let model = fields(&fixture!("flow_llm_no_key"));
    let echo = fields(&fixture!("flow_echo"));
    let check = |components: &[ComponentFields], tweaks: Value| {
        check_values(components, &tweaks).map_err(|error| error.to_string())
    };
    for fits in [
        json!({ "LanguageModelComponent-00001": { "temperature": 1 } }),
        json!({ "Language Model": { "temperature": 0.5, "stream": true } }),
        json!({ "temperature": null }),
    ] {
        assert_eq!(check(&model, fits.clone()), Ok(()), "{fits}");
    }
    assert_eq!(check(&echo, json!({ "ChatInput-00001": { "sender": "Machine" } })), Ok(()));
    assert_eq!(check(&echo, json!({ "ChatInput-00001": { "files": ["a.txt"] } })), Ok(()));
    for (components, tweaks, part) in [
        (
            &model,
            json!({ "Language Model": { "temperature": "hot" } }),
            "takes a number, not a text",
        ),
        (&model, json!({ "temperature": true }), "takes a number, not true or false"),
        (&model, json!({ "Language Model": { "stream": "yes" } }), "takes true or false"),
        (&model, json!({ "Language Model": { "api_key": "sk-x" } }), "api_key of component"),
        (&model, json!({ "api_key": "sk-x" }), "is a secret"),
        (&echo, json!({ "ChatInput-00001": { "sender_name": 5 } }), "takes a text, not a number"),
        (&echo, json!({ "Chat Input": { "sender": "user" } }), "did you mean \"User\"?"),
    ] {
        let error = check(components, tweaks.clone()).unwrap_err();
        assert!(error.contains(part), "{tweaks}: {error}");
        assert!(!error.contains("sk-x"), "a secret is not repeated: {error}");
    }
}

#[test]
fn code_is_refused_by_name() {
    let components = analyse(&fixture!("flow_echo"));
    let error = check_tweaks(&components, &json!({ "ChatInput-00001": { "code": "x" } }));
    assert!(error.unwrap_err().to_string().contains("cannot be set by a tweak"));
}
