//! The document against the routing table, the parsers and itself. `tests/conform.rs` compares an
//! answer with what the document says; every answer of the API's other tests goes through it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::error::{ApiError, Row};
use crate::routes::{self, route};

pub(crate) mod conform;

fn routed(method: &str, path: &str) -> Result<&'static str, ApiError> {
    route(&method.parse().unwrap(), path).map(|route| route.operation_id())
}

#[test]
fn every_route_has_its_operation_and_every_operation_its_route() {
    let routes: BTreeSet<&str> = routes::all_operation_ids().into_iter().collect();
    let declared: BTreeSet<&str> = routes::operations().iter().map(|one| one.route()).collect();
    let missing: Vec<_> = routes.difference(&declared).collect();
    assert!(
        missing.is_empty(),
        "no operation describes {missing:?}: declare it in `operations()` of the resource's \
         `openapi.rs`, as CONTRIBUTING.md says under \"How to add a route\""
    );
    let unknown: Vec<_> = declared.difference(&routes).collect();
    assert!(
        unknown.is_empty(),
        "{unknown:?} are declared, but no route has them: write the id into `operation_ids!` of \
         the resource, or take the declaration away"
    );
    for operation in routes::operations() {
        let (method, path) = (operation.method_name(), operation.sample_path());
        let found = routed(method, &path).unwrap_or_else(|error| {
            panic!("{} is declared for {method} {path}, where is no route: {error}", operation.id())
        });
        assert_eq!(found, operation.route(), "{method} {path} leads elsewhere");
    }
}

#[test]
fn ids_and_paths_are_used_once() {
    let (mut ids, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for operation in routes::operations() {
        assert!(ids.insert(operation.id()), "two operations are called {}", operation.id());
        let place = (operation.method_name(), operation.path());
        assert!(paths.insert(place), "{place:?} has two operations");
    }
}

/// Every other method of a documented path is refused, with those that are documented.
#[test]
fn a_path_takes_the_documented_methods_and_no_others() {
    let mut documented: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for operation in routes::operations() {
        let methods = documented.entry(operation.sample_path()).or_default();
        methods.insert(operation.method_name());
        if operation.method_name() == "GET" {
            methods.insert("HEAD");
        }
    }
    for (path, methods) in &documented {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            match routed(method, path) {
                Ok(_) => assert!(methods.contains(method), "{method} {path} is not documented"),
                Err(ApiError::MethodNotAllowed { allow, .. }) => {
                    assert!(!methods.contains(method), "{method} {path} is documented");
                    let allowed: BTreeSet<&str> = allow.split(", ").collect();
                    assert_eq!(allowed, *methods, "`Allow` of {method} {path}");
                }
                Err(error) => panic!("{method} {path}: {error}"),
            }
        }
    }
}

#[test]
fn examples_of_bodies_are_read() {
    for operation in routes::operations() {
        for (example, read) in operation.examples() {
            let text = example.to_string();
            if let Err(error) = read(text.as_bytes()) {
                panic!("the example of {} cannot be read: {error}\n{text}", operation.id());
            }
        }
    }
}

/// What may stand in a path or a query is told by the same words that are taken there.
#[test]
fn every_kind_of_thing_stands_where_it_may_be_asked_for() {
    let document = document("0.0.0");
    let parameters = |path: &str| document["paths"][path]["get"]["parameters"].clone();
    let kinds = parameters("/history/{kind}/{id}")[0]["schema"]["enum"].clone();
    let kinds: Vec<&str> = kinds.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in ["task", "schedule", "flow", "source", "worker", "key", "alert"] {
        assert!(kinds.contains(&name) && kinds.contains(&format!("{name}s").as_str()), "{name}");
    }
    for kind in kinds {
        assert!(kind.parse::<crate::routes::history::Kind>().is_ok(), "{kind}");
    }
    for path in ["/events", "/log"] {
        let named = parameters(path).to_string();
        for kind in crate::routes::events::KINDS {
            let name = format!("\"name\":\"{}\"", kind.as_str());
            assert!(named.contains(&name), "{path} takes {}", kind.as_str());
        }
    }
}

/// Two types with one name would stand for each other.
#[test]
fn a_schema_has_one_meaning() {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in routes::operations().iter().flat_map(Operation::schemas) {
        let schema = serde_json::to_value(schema).unwrap();
        let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
        assert_eq!(
            *first, schema,
            "two types are called {name}: give one of them `#[schema(as = ..)]`"
        );
    }
}

/// Calls `visit` with every object in a document and where it stands.
fn walk(value: &Value, place: &str, visit: &mut impl FnMut(&Value, &str)) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{index}"), visit);
            }
        }
        Value::Object(fields) => {
            visit(value, place);
            for (name, field) in fields {
                walk(field, &format!("{place}/{}", name.replace('/', "~1")), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn references_lead_somewhere() {
    let document = document("0.0.0");
    assert_eq!(document["openapi"], "3.1.0");
    walk(&document, "#", &mut |value, place| {
        if let Some(Value::String(target)) = value.get("$ref") {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{place} refers to {target}");
        }
    });
}

#[test]
fn examples_are_what_their_schemas_say() {
    let document = document("0.0.0");
    let mut examples = 0;
    walk(&document, "#", &mut |value, place| {
        let Some(schema) = value.get("schema") else { return };
        let several = value.get("examples").and_then(Value::as_object);
        let one = value.get("example").into_iter().cloned();
        let all = several.into_iter().flatten().filter_map(|(_, example)| {
            let example = match example.get("$ref").and_then(Value::as_str) {
                Some(target) => document.pointer(target.trim_start_matches('#'))?,
                None => example,
            };
            example.get("value").cloned()
        });
        for example in one.chain(all) {
            examples += 1;
            if let Err(wrong) = conform::check(&document, schema, &example) {
                panic!("an example at {place} is not what its schema says: {wrong}\n{example}");
            }
        }
    });
    assert!(examples > 100, "only {examples} examples were found");
}

#[test]
fn every_operation_says_what_it_does_and_answers() {
    let document = document("0.0.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{name} has the tag {tag}");
            let responses = operation["responses"].as_object().unwrap();
            let succeeds = |status: &&String| status.starts_with('2') || status.starts_with('3');
            assert!(responses.keys().any(|status| succeeds(&status)), "{name}");
            for (status, response) in responses {
                let Some(json) = response["content"].get("application/json") else { continue };
                assert!(json.get("example").is_some(), "{name} has no example for {status}");
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let declared: BTreeSet<String> = parameters
                .iter()
                .filter(|one| one["in"] == "path")
                .map(|one| format!("{{{}}}", one["name"].as_str().unwrap()))
                .collect();
            let named: BTreeSet<String> =
                path.split('/').filter(|one| one.starts_with('{')).map(str::to_owned).collect();
            assert_eq!(declared, named, "{name}: the path's names and its parameters");
        }
    }
}

#[test]
fn whole_numbers_have_the_bounds_of_their_types() {
    let document = document("0.0.0");
    walk(&document, "#", &mut |value, place| {
        if let Some(format) = value.get("format").and_then(Value::as_str) {
            assert!(!format.starts_with("u-"), "{place} has the format {format}");
        }
    });
    let most = &document["components"]["schemas"]["NewSource"]["properties"]["runs_max"];
    assert_eq!((&most["minimum"], &most["maximum"]), (&0.into(), &u32::MAX.into()));
}

#[test]
fn errors_come_from_the_table() {
    let document = document("0.0.0");
    for row in Row::ALL {
        let example = &document["components"]["examples"][row.code]["value"];
        assert_eq!(example["title"], row.title);
        assert_eq!(example["status"], row.status.as_u16());
    }
}

/// Readers of the document know neither Rust nor the names of our modules.
#[test]
fn no_description_speaks_of_the_code() {
    let document = document("0.0.0");
    let mut wrong = Vec::new();
    walk(&document, "#", &mut |value, place| {
        if let Some(text) = value.get("description").and_then(Value::as_str)
            && ["[`", "::", "`Debug`", "The schema of"].iter().any(|part| text.contains(part))
        {
            wrong.push(format!("{place}: {text}"));
        }
    });
    assert!(wrong.is_empty(), "descriptions that speak of the code:\n{}", wrong.join("\n"));
}

/// An empty value stands for none everywhere, so it is no choice among words.
#[test]
fn no_choice_is_empty() {
    let document = document("0.0.0");
    walk(&document, "#", &mut |value, place| {
        if let Some(words) = value.get("enum").and_then(Value::as_array) {
            assert!(words.iter().all(|word| word != ""), "{place} offers an empty word");
        }
    });
}

#[test]
fn every_property_of_what_is_read_first_is_described() {
    let document = document("0.0.0");
    for name in ["About", "NewTask", "Event", "WhoAmI"] {
        let schema = &document["components"]["schemas"][name];
        let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{name}"));
        for (property, schema) in properties {
            assert!(schema["description"].is_string(), "{name}.{property} is not described");
        }
    }
}
