//! A flow's graph in the order in which it runs. Reads definitions; never runs them.

use serde_json::{Map, Value};

/// What a component does, as far as the fake knows components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ChatInput,
    ChatOutput,
    TextInput,
    TextOutput,
    Webhook,
    Prompt,
    /// `AlwaysFails`.
    Fails,
    /// `SlowEcho` awaits its time.
    Slow,
    /// `BusyEcho` blocks a thread for its time: once begun, it ends even when its run is cancelled.
    Busy,
    /// `TokenEcho` gives its input word by word.
    Tokens,
    /// A language model, which always lacks its key.
    Model,
    /// `HookText` shows a webhook's payload.
    Hook,
    /// Anything else passes its first input on.
    Other,
}

impl Kind {
    fn of(type_name: &str) -> Self {
        match type_name {
            "ChatInput" => Self::ChatInput,
            "ChatOutput" => Self::ChatOutput,
            "TextInput" => Self::TextInput,
            "TextOutput" => Self::TextOutput,
            "Webhook" => Self::Webhook,
            "Prompt" | "Prompt Template" => Self::Prompt,
            "AlwaysFails" => Self::Fails,
            "SlowEcho" => Self::Slow,
            "BusyEcho" => Self::Busy,
            "TokenEcho" => Self::Tokens,
            "LanguageModelComponent" | "OpenAIModel" => Self::Model,
            "HookText" => Self::Hook,
            _ => Self::Other,
        }
    }

    /// Whether v1 answers with it.
    pub(super) fn is_output(self) -> bool {
        matches!(self, Self::ChatOutput | Self::TextOutput)
    }
}

/// One component of a flow.
pub(super) struct Node {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) type_name: String,
    pub(super) display_name: String,
    /// The name of its first output.
    pub(super) output: String,
    pub(super) output_types: Value,
    /// The values of its fields, without its code.
    pub(super) fields: Map<String, Value>,
    /// Connected fields, with the place of the node that feeds each.
    pub(super) inputs: Vec<(String, usize)>,
    /// The places of the nodes that it feeds; none: a sink.
    pub(super) next: Vec<usize>,
}

impl Node {
    /// The place of the node that feeds its first connected field.
    pub(super) fn source(&self) -> Option<usize> {
        self.inputs.first().map(|(_, source)| *source)
    }
}

/// The nodes, each after all that feed it.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    /// No node waits for anything.
    pub(super) instant: bool,
}

impl Plan {
    pub(super) fn new(data: &Value) -> Self {
        let edges: Vec<Edge> = list(&data["edges"]).iter().filter_map(Edge::read).collect();
        let mut left: Vec<&Value> =
            list(&data["nodes"]).iter().filter(|node| node["type"] != "noteNode").collect();
        let mut nodes: Vec<Node> = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let ready = left.iter().position(|node| {
                let waits_for =
                    |edge: &&Edge| node["id"] == edge.target && !placed(&nodes, &edge.source);
                !edges.iter().any(|edge| waits_for(&edge))
            });
            // A loop has no order; break it anywhere.
            let node = node(left.remove(ready.unwrap_or(0)), &edges, &nodes);
            nodes.push(node);
        }
        for at in 0..nodes.len() {
            for (_, source) in nodes[at].inputs.clone() {
                nodes[source].next.push(at);
            }
        }
        let instant =
            !nodes.iter().any(|node| matches!(node.kind, Kind::Slow | Kind::Busy | Kind::Tokens));
        Self { nodes, instant }
    }

    /// The places of the nodes without an outgoing edge.
    pub(super) fn sinks(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].next.is_empty())
    }
}

struct Edge {
    source: String,
    target: String,
    field: String,
}

impl Edge {
    fn read(edge: &Value) -> Option<Self> {
        Some(Self {
            source: edge["source"].as_str()?.to_owned(),
            target: edge["target"].as_str()?.to_owned(),
            field: edge["data"]["targetHandle"]["fieldName"].as_str()?.to_owned(),
        })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn placed(nodes: &[Node], id: &str) -> bool {
    nodes.iter().any(|node| node.id == id)
}

fn node(definition: &Value, edges: &[Edge], before: &[Node]) -> Node {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &definition["data"];
    let type_name = text(&data["type"]);
    let id = text(&definition["id"]);
    let fields = data["node"]["template"].as_object().map(|template| {
        let values = template.iter().filter(|(name, field)| field.is_object() && *name != "code");
        values.map(|(name, field)| (name.clone(), value_of(field))).collect()
    });
    let inputs = edges
        .iter()
        .filter(|edge| edge.target == id)
        .filter_map(|edge| {
            Some((edge.field.clone(), before.iter().position(|node| node.id == edge.source)?))
        })
        .collect();
    let output = &data["node"]["outputs"][0];
    Node {
        id,
        kind: Kind::of(&type_name),
        display_name: text(&data["node"]["display_name"]),
        type_name,
        output: text(&output["name"]),
        output_types: output["types"].clone(),
        fields: fields.unwrap_or_default(),
        inputs,
        next: Vec::new(),
    }
}

fn value_of(field: &Value) -> Value {
    // A file field without a file has the value "" in the definition and [] at run time.
    if field["type"] == "file" && field["value"] == "" {
        Value::Array(Vec::new())
    } else {
        field["value"].clone()
    }
}
