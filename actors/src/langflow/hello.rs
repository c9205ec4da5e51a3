//! A first flow for an empty server: what goes in comes out. Made of the server's own components,
//! so that it fits the version that runs it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::limits::SOURCE_LIST_MS_MAX;

use super::LangFlow;

const INPUT: &str = "ChatInput-hello";
const OUTPUT: &str = "ChatOutput-hello";

#[derive(Deserialize)]
struct Created {
    id: String,
}

impl LangFlow {
    /// Makes a flow that answers with its input, and gives its id; a flow that has this name
    /// already is left as it is, and its id given.
    ///
    /// # Errors
    /// `BadAnswer` where the server lacks a chat input or output, and whatever keeps it from
    /// answering.
    pub async fn create_hello_flow(&self, name: &str) -> Result<String, Failure> {
        if let Some(flow) = self.list_flows().await?.into_iter().find(|flow| flow.name == name) {
            return Ok(flow.id);
        }
        let timeout = Duration::from_millis(SOURCE_LIST_MS_MAX);
        let catalogue: Value = self.json(self.get("/api/v1/all").timeout(timeout)).await?;
        let flow = hello_flow(&catalogue, name).ok_or_else(|| {
            let message = format!(
                "{} has no chat input and output among its components; make a flow in LangFlow",
                self.url()
            );
            Failure::new(FailureClass::BadAnswer, message)
        })?;
        let created: Created = self.json(self.post("/api/v1/flows/").json(&flow)).await?;
        Ok(created.id)
    }
}

/// The flow as LangFlow stores it. `None` where the catalogue has no such components.
fn hello_flow(catalogue: &Value, name: &str) -> Option<Value> {
    let input = component(catalogue, "ChatInput")?;
    let output = component(catalogue, "ChatOutput")?;
    let from = input.get("outputs")?.as_array()?.first()?;
    let into = output.pointer("/template/input_value")?;
    let source = json!({
        "dataType": "ChatInput",
        "id": INPUT,
        "name": from.get("name")?,
        "output_types": from.get("types")?,
    });
    let target = json!({
        "fieldName": "input_value",
        "id": OUTPUT,
        "inputTypes": into.get("input_types").cloned().unwrap_or_else(|| json!([])),
        "type": into.get("type")?,
    });
    // In an edge's texts LangFlow writes quotes as "œ".
    let text = |handle: &Value| handle.to_string().replace('"', "\u{153}");
    let (source_text, target_text) = (text(&source), text(&target));
    let edge = json!({
        "id": format!("reactflow__edge-{INPUT}{source_text}-{OUTPUT}{target_text}"),
        "source": INPUT,
        "target": OUTPUT,
        "sourceHandle": source_text,
        "targetHandle": target_text,
        "data": {"sourceHandle": source, "targetHandle": target},
    });
    let node = |id: &str, kind: &str, x: i32, inner: &Value| {
        json!({
            "id": id,
            "type": "genericNode",
            "position": {"x": x, "y": 100},
            "data": {"id": id, "type": kind, "node": inner},
        })
    };
    Some(json!({
        "name": name,
        "description": "Answers with what it is given. Made by automagik.",
        "data": {
            "nodes": [node(INPUT, "ChatInput", 0, input), node(OUTPUT, "ChatOutput", 400, output)],
            "edges": [edge],
            "viewport": {"x": 0, "y": 0, "zoom": 1},
        },
    }))
}

/// A component of the catalogue. Its category moves between versions, so all are searched.
fn component<'a>(catalogue: &'a Value, name: &str) -> Option<&'a Value> {
    let groups = catalogue.as_object()?.values();
    let mut found = groups.filter_map(|group| group.get(name));
    found.find(|component| component.get("template").is_some())
}
