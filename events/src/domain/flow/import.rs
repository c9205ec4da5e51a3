//! Reading a flow from a file: LangFlow's export, or its `data` alone. Pure. What is no flow is
//! refused with what is missing, before anything is stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::domain::component;
use crate::limits::{FLOW_FILE_BYTES_MAX, FLOW_NODES_MAX};

/// A flow as a file has it. **Its secrets are in plain text**: mask it before anything else.
#[derive(Clone, PartialEq)]
pub struct Imported {
    /// Its name, where the file has one.
    pub name: Option<String>,
    /// Its description, where the file has one.
    pub description: Option<String>,
    /// `{"nodes": [..], "edges": [..]}` with whatever stands beside them.
    pub definition: Value,
}

/// Why a file is no flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFlow {
    /// It is some other JSON.
    #[error("this is {found}, and a flow is a JSON object; export one in LangFlow (Share, Export)")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// It holds several flows.
    #[error("the file holds {count} flows; give them one at a time")]
    Several {
        /// How many.
        count: usize,
    },
    /// It lacks a list.
    #[error("this is no flow: {missing} is missing; a flow has data.nodes and data.edges")]
    Missing {
        /// Which.
        missing: &'static str,
    },
    /// It has no node.
    #[error("the flow has no nodes, so there is nothing to run")]
    Empty,
    /// A node cannot be told from others.
    #[error("node {number} has no {missing}")]
    BadNode {
        /// Its place, from 1.
        number: usize,
        /// What it lacks.
        missing: &'static str,
    },
    /// Two nodes have one id.
    #[error("two nodes have the id {id:?}")]
    TwoNodes {
        /// The id.
        id: String,
    },
    /// A connection leads to or from a node that is not there.
    #[error("an edge names the node {id:?}, which the flow does not have")]
    LooseEdge {
        /// The id.
        id: String,
    },
    /// It is over a bound.
    #[error("the flow has {got} {what}, over the bound of {max}; split it into several flows")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: usize,
        /// How much there may be.
        max: usize,
    },
}

/// Reads a flow.
///
/// # Errors
/// What is missing or wrong first.
pub fn read(file: &Value) -> Result<Imported, BadFlow> {
    let object =
        file.as_object().ok_or(BadFlow::NotAnObject { found: component::kind_of(file) })?;
    if let Some(flows) = object.get("flows").and_then(Value::as_array) {
        return Err(BadFlow::Several { count: flows.len() });
    }
    let bytes = file.to_string().len();
    if bytes > FLOW_FILE_BYTES_MAX {
        return Err(BadFlow::TooLarge { what: "bytes", got: bytes, max: FLOW_FILE_BYTES_MAX });
    }
    let bare = object.contains_key("nodes");
    let graph = if bare { file } else { object.get("data").unwrap_or(&Value::Null) };
    if !graph.is_object() {
        return Err(BadFlow::Missing { missing: "data" });
    }
    check(graph)?;
    let text = |key: &str| {
        let text = component::text(file, key).map(str::trim).filter(|text| !text.is_empty());
        text.filter(|_| !bare).map(str::to_owned)
    };
    let mut definition = graph.clone();
    if definition.get("viewport").is_none() {
        definition["viewport"] = json!({ "x": 0, "y": 0, "zoom": 1 });
    }
    Ok(Imported { name: text("name"), description: text("description"), definition })
}

fn check(graph: &Value) -> Result<(), BadFlow> {
    let list = |key: &str, missing| {
        graph.get(key).and_then(Value::as_array).ok_or(BadFlow::Missing { missing })
    };
    let (nodes, edges) = (list("nodes", "data.nodes")?, list("edges", "data.edges")?);
    if nodes.is_empty() {
        return Err(BadFlow::Empty);
    }
    if nodes.len() > FLOW_NODES_MAX {
        return Err(BadFlow::TooLarge { what: "nodes", got: nodes.len(), max: FLOW_NODES_MAX });
    }
    let mut ids = BTreeSet::new();
    for (at, node) in nodes.iter().enumerate() {
        let bad = |missing| BadFlow::BadNode { number: at + 1, missing };
        let id = component::text(node, "id").ok_or_else(|| bad("id"))?;
        node.pointer("/data/type").and_then(Value::as_str).ok_or_else(|| bad("data.type"))?;
        if !ids.insert(id) {
            return Err(BadFlow::TwoNodes { id: id.to_owned() });
        }
    }
    for edge in edges {
        for end in ["source", "target"] {
            let id = component::text(edge, end).unwrap_or_default();
            if !ids.contains(id) {
                return Err(BadFlow::LooseEdge { id: id.to_owned() });
            }
        }
    }
    Ok(())
}
