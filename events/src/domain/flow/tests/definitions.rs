//! Definitions: what counts of them, how they differ, which files hold one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::flow::canonical::{Canonical, CanonicalComponent, canonical, content_hash};
use crate::domain::flow::diff::{Change, FlowDiff, between, diff};
use crate::domain::flow::import::{BadFlow, read};
use crate::limits::{FLOW_NODES_MAX, FLOW_SUMMARY_LINES_MAX};

fn echo() -> Value {
    let exchange = include_str!("../../../../../tests/fixtures/langflow/flow_echo.json");
    let exchange: Value = serde_json::from_str(exchange).unwrap();
    exchange["response"]["body"].clone()
}

fn field<'a>(export: &'a mut Value, node: usize, name: &str) -> &'a mut Value {
    &mut export["data"]["nodes"][node]["data"]["node"]["template"][name]["value"]
}

#[test]
fn what_only_the_canvas_shows_is_no_change() {
    let before = echo();
    let mut after = before.clone();
    for (n, node) in after["data"]["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
        node["position"] = json!({ "x": 1_000 * n, "y": -5.5 });
        node["positionAbsolute"] = json!({ "x": 1, "y": 1 });
        node["measured"] = json!({ "width": 320, "height": 100 });
        node["selected"] = json!(true);
        node["dragging"] = json!(true);
        node["data"]["node"]["minimized"] = json!(false);
        node["data"]["node"]["documentation"] = json!("elsewhere");
    }
    after["data"]["viewport"] = json!({ "x": 9, "y": 9, "zoom": 0.5 });
    after["data"]["nodes"].as_array_mut().unwrap().reverse();
    after["data"]["edges"][0]["id"] = json!("another-id");
    after["data"]["nodes"].as_array_mut().unwrap().push(json!({
        "id": "note-1", "type": "noteNode", "data": { "id": "note-1", "type": "note" }
    }));
    assert_eq!(diff(&before, &after), FlowDiff::default());
    assert_eq!(content_hash(&before), content_hash(&after));
    assert_eq!(content_hash(&before), content_hash(&before["data"]), "an export, or its data");
}

#[test]
fn a_changed_field_is_named_with_both_values() {
    let before = echo();
    let mut after = before.clone();
    *field(&mut after, 0, "sender_name") = json!("Ana");
    let found = diff(&before, &after);
    assert_eq!(found.components.len(), 1);
    let component = &found.components[0];
    assert_eq!((component.id.as_str(), component.change), ("ChatInput-00001", Change::Changed));
    let fields: Vec<_> = component.fields.iter().map(|f| (f.field.as_str(), &f.new)).collect();
    assert_eq!(fields, [("sender_name", &json!("Ana"))]);
    assert_eq!(component.fields[0].old, json!("User"));
    assert_eq!(found.lines(), ["ChatInput-00001 changed: sender_name"]);
    assert_ne!(content_hash(&before), content_hash(&after));
}

#[test]
fn an_empty_field_is_as_good_as_none_and_a_variable_is_no_text() {
    let before = echo();
    let mut after = before.clone();
    *field(&mut after, 0, "context_id") = Value::Null;
    assert!(diff(&before, &after).is_empty());
    *field(&mut after, 0, "context_id") = json!("OPENAI");
    let as_text = content_hash(&after);
    after["data"]["nodes"][0]["data"]["node"]["template"]["context_id"]["load_from_db"] =
        json!(true);
    assert_ne!(content_hash(&after), as_text);
}

#[test]
fn components_and_connections_come_and_go() {
    let before = echo();
    let mut after = before.clone();
    after["data"]["nodes"].as_array_mut().unwrap().remove(1);
    after["data"]["edges"] = json!([]);
    let found = diff(&before, &after);
    assert_eq!(found.components[0].change, Change::Removed);
    assert_eq!(found.connections[0].change, Change::Removed);
    assert_eq!(
        found.connections[0].connection,
        "ChatInput-00001.message -> ChatOutput-00001.input_value"
    );
    assert_eq!(found.lines(), ["ChatOutput-00001 removed", "1 connection(s) changed"]);
}

#[test]
fn what_is_in_a_group_counts_too() {
    let group = |text: &str| {
        let inner = json!({
            "id": "Prompt-1", "type": "genericNode", "data": { "id": "Prompt-1", "type": "Prompt",
            "node": { "template": { "template": { "type": "prompt", "value": text } } } }
        });
        json!({ "nodes": [{ "id": "Group-1", "type": "genericNode", "data": {
            "id": "Group-1", "type": "GroupNode",
            "node": { "template": {}, "flow": { "data": { "nodes": [inner], "edges": [] } } }
        } }], "edges": [] })
    };
    let found = diff(&group("a"), &group("b"));
    assert_eq!(found.lines(), ["Group-1/Prompt-1 changed: template"]);
}

#[test]
fn long_values_are_cut_with_their_length_and_long_summaries_with_their_rest() {
    let before = echo();
    let mut after = before.clone();
    *field(&mut after, 0, "sender_name") = json!("x".repeat(500));
    let short = diff(&before, &after).shortened(10);
    assert_eq!(short.components[0].fields[0].new, "xxxxxxxxxx… (500 characters)");
    assert_eq!(short.components[0].fields[0].old, "User");
    let nodes: Vec<Value> =
        (0..100).map(|n| json!({ "id": format!("A-{n}"), "data": { "type": "A" } })).collect();
    let lines = diff(&json!({}), &json!({ "nodes": nodes })).lines();
    assert_eq!(lines.len(), FLOW_SUMMARY_LINES_MAX);
    assert_eq!(lines.last().unwrap(), "and 81 more");
}

#[test]
fn an_export_and_its_data_alone_are_read() {
    let export = echo();
    let whole = read(&export).unwrap();
    assert_eq!(whole.name.as_deref(), Some("e2e-echo"));
    assert_eq!(whole.description.as_deref(), Some("Returns what it is given."));
    assert_eq!(whole.definition, export["data"]);
    let bare =
        read(&json!({ "name": "not its own", "nodes": export["data"]["nodes"], "edges": [] }));
    assert_eq!(bare.unwrap().name, None);
}

#[test]
fn what_is_no_flow_says_what_is_missing() {
    let node = json!({ "id": "A-1", "data": { "type": "A" } });
    let many: Vec<Value> = (0..=FLOW_NODES_MAX)
        .map(|n| json!({ "id": format!("A-{n}"), "data": { "type": "A" } }))
        .collect();
    for (file, part) in [
        (json!([1]), "a list"),
        (json!("x"), "a text"),
        (json!({}), "data is missing"),
        (json!({ "data": null }), "data is missing"),
        (json!({ "data": {} }), "data.nodes is missing"),
        (json!({ "nodes": [node] }), "data.edges is missing"),
        (json!({ "nodes": {}, "edges": [] }), "data.nodes is missing"),
        (json!({ "nodes": [], "edges": [] }), "no nodes"),
        (json!({ "nodes": [{ "data": { "type": "A" } }], "edges": [] }), "node 1 has no id"),
        (json!({ "nodes": [node, { "id": "B-1" }], "edges": [] }), "node 2 has no data.type"),
        (json!({ "nodes": [node, node], "edges": [] }), "two nodes have the id \"A-1\""),
        (
            json!({ "nodes": [node], "edges": [{ "source": "A-1", "target": "B-1" }] }),
            "names the node \"B-1\"",
        ),
        (json!({ "flows": [{}, {}] }), "holds 2 flows"),
        (json!({ "nodes": many, "edges": [] }), "over the bound of 1000"),
    ] {
        let error = read(&file).err().expect("it is no flow").to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    let long = json!({ "nodes": [node], "edges": [], "x": "y".repeat(2_000_000) });
    assert!(matches!(read(&long), Err(BadFlow::TooLarge { what: "bytes", .. })));
}

fn component() -> impl Strategy<Value = CanonicalComponent> {
    let value = prop_oneof![any::<i64>().prop_map(Value::from), "[a-c]{1,3}".prop_map(Value::from)];
    let fields = prop::collection::btree_map("[a-e]", value, 0..5);
    ("[A-C]", "[a-c]", fields).prop_map(|(kind, name, fields)| CanonicalComponent {
        kind,
        name,
        fields,
    })
}

fn flow() -> impl Strategy<Value = Canonical> {
    let components = prop::collection::btree_map("[a-f]", component(), 0..6);
    let connections = prop::collection::btree_set("[a-f]\\.x -> [a-f]\\.y", 0..6);
    (components, connections)
        .prop_map(|(components, connections)| Canonical { components, connections })
}

/// Makes the newer flow out of the older one and the differences.
fn apply(mut flow: Canonical, diff: &FlowDiff) -> Canonical {
    for component in &diff.components {
        if component.change == Change::Removed {
            flow.components.remove(&component.id);
            continue;
        }
        let target = flow.components.entry(component.id.clone()).or_default();
        target.kind.clone_from(&component.kind);
        target.name.clone_from(&component.name);
        for field in component.fields.iter().filter(|field| !field.field.starts_with("node.")) {
            if field.new.is_null() {
                target.fields.remove(&field.field);
            } else {
                target.fields.insert(field.field.clone(), field.new.clone());
            }
        }
    }
    for connection in &diff.connections {
        if connection.change == Change::Added {
            flow.connections.insert(connection.connection.clone());
        } else {
            flow.connections.remove(&connection.connection);
        }
    }
    flow
}

/// What happened to each thing, without how.
fn what(diff: &FlowDiff, swap: bool) -> BTreeMap<String, Change> {
    let turn = |change: Change| match change {
        Change::Added if swap => Change::Removed,
        Change::Removed if swap => Change::Added,
        Change::Added | Change::Removed | Change::Changed => change,
    };
    let components = diff.components.iter().map(|c| (c.id.clone(), turn(c.change)));
    let connections = diff.connections.iter().map(|c| (c.connection.clone(), turn(c.change)));
    components.chain(connections).collect()
}

proptest! {
    #[test]
    fn a_flow_does_not_differ_from_itself(flow in flow()) {
        prop_assert!(between(&flow, &flow).is_empty());
    }

    #[test]
    fn the_differences_lead_from_one_to_the_other(a in flow(), b in flow()) {
        prop_assert_eq!(apply(a.clone(), &between(&a, &b)), b);
    }

    #[test]
    fn there_is_a_difference_exactly_where_the_flows_differ(a in flow(), b in flow()) {
        prop_assert_eq!(between(&a, &b).is_empty(), a == b);
    }

    #[test]
    fn backwards_the_differences_are_the_same_the_other_way_round(a in flow(), b in flow()) {
        let (there, back) = (between(&a, &b), between(&b, &a));
        prop_assert_eq!(what(&there, true), what(&back, false));
        for (one, other) in there.components.iter().zip(&back.components) {
            let turned: Vec<_> = other.fields.iter().map(|f| (&f.field, &f.new, &f.old)).collect();
            let fields: Vec<_> = one.fields.iter().map(|f| (&f.field, &f.old, &f.new)).collect();
            prop_assert_eq!(fields, turned);
        }
    }

    #[test]
    fn no_json_makes_it_panic(text in "\\PC{0,40}") {
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let definition = json!({ "nodes": [value.clone()], "edges": value });
        prop_assert_eq!(canonical(&definition).connections.len(), 0);
    }
}
