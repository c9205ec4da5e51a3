//! The flows a server holds: list, get, create, change, delete. Knows nothing of running them.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::body::Reply;
use super::call::{Call, cut_page};
use super::library::{self, PROJECT_ID, USER_ID};
use super::plan::Plan;
use super::routes;
use super::state::{State, is_uuid, lock, now, seconds};
use super::{Profile, USER};

/// The fields of a list item, in `header_flows` form.
const HEADER: [&str; 15] = [
    "id",
    "name",
    "folder_id",
    "is_component",
    "endpoint_name",
    "description",
    "access_type",
    "tags",
    "mcp_enabled",
    "flow_type",
    "a2a_enabled",
    "a2a_card_overrides",
    "action_name",
    "action_description",
    "updated_at",
];
/// What `POST` and `PATCH` may set.
const SETTABLE: [&str; 12] = [
    "name",
    "description",
    "data",
    "endpoint_name",
    "folder_id",
    "icon",
    "icon_bg_color",
    "gradient",
    "is_component",
    "tags",
    "locked",
    "webhook",
];
/// The largest page of a list.
const PAGE_MAX: usize = 100;

/// One flow, ready to run.
pub(super) struct Flow {
    pub(super) id: String,
    pub(super) name: String,
    endpoint_name: Option<String>,
    full: Value,
    pub(super) plan: Plan,
}

impl Flow {
    fn new(full: Value) -> Self {
        let text = |field: &str| full[field].as_str().map(str::to_owned);
        Self {
            id: text("id").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            endpoint_name: text("endpoint_name"),
            plan: Plan::new(&full["data"]),
            full,
        }
    }

    /// The same flow with other nodes and edges.
    pub(super) fn with_data(&self, data: &Value) -> Self {
        let mut full = self.full.clone();
        full["data"] = data.clone();
        Self::new(full)
    }
}

/// All flows, in the order in which they were made.
pub(super) struct Flows(Mutex<Vec<Arc<Flow>>>);

impl Flows {
    pub(super) fn built_in() -> Self {
        Self(Mutex::new(
            library::flows().iter().map(|full| Arc::new(Flow::new(full.clone()))).collect(),
        ))
    }

    /// By id, or by endpoint name.
    pub(super) fn find(&self, id_or_name: &str) -> Option<Arc<Flow>> {
        let flows = lock(&self.0);
        let found = flows.iter().find(|flow| {
            flow.id == id_or_name || flow.endpoint_name.as_deref() == Some(id_or_name)
        });
        found.map(Arc::clone)
    }

    fn by_id(&self, id: &str) -> Option<Arc<Flow>> {
        lock(&self.0).iter().find(|flow| flow.id == id).map(Arc::clone)
    }

    fn put(&self, flow: Flow) {
        let mut flows = lock(&self.0);
        match flows.iter().position(|known| known.id == flow.id) {
            Some(at) => flows[at] = Arc::new(flow),
            None => flows.push(Arc::new(flow)),
        }
    }

    fn remove(&self, id: &str) {
        lock(&self.0).retain(|flow| flow.id != id);
    }

    pub(super) fn remove_named(&self, name: &str) {
        lock(&self.0).retain(|flow| flow.name != name);
    }

    pub(super) fn rename(&self, name: &str, new_name: &str) {
        self.edit(name, |full| full["name"] = new_name.into());
    }

    pub(super) fn full(&self, name: &str) -> Option<Value> {
        lock(&self.0).iter().find(|flow| flow.name == name).map(|flow| flow.full.clone())
    }

    pub(super) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        if let Some(mut full) = self.full(name) {
            change(&mut full);
            full["updated_at"] = seconds(now()).into();
            self.put(Flow::new(full));
        }
    }

    fn free_name(&self, name: &str) -> String {
        let flows = lock(&self.0);
        let taken = |name: &str| flows.iter().any(|flow| flow.name == name);
        let mut free = name.to_owned();
        let mut number = 0;
        while taken(&free) {
            number += 1;
            free = format!("{name} ({number})");
        }
        free
    }
}

/// `GET /api/v1/flows/`.
pub(super) fn list(state: &State, call: &Call) -> Reply {
    let flows: Vec<Arc<Flow>> = lock(&state.flows.0).clone();
    let headers = call.query_is_true("header_flows").unwrap_or(false) && !state.is(Profile::V1_0);
    let show = |flow: &Arc<Flow>| {
        if headers { header(state, flow) } else { flow.full.clone() }
    };
    let whole = call.query_is_true("get_all").unwrap_or(true) || state.is(Profile::V1_0);
    if whole {
        return Reply::json(200, &flows.iter().map(show).collect());
    }
    let (page, size) = call.page();
    if size > PAGE_MAX {
        return Reply::json(
            422,
            &json!({"detail": [{
                "type": "less_than_equal", "loc": ["query", "size"],
                "msg": format!("Input should be less than or equal to {PAGE_MAX}"), "ctx": {"le": PAGE_MAX},
            }]}),
        );
    }
    let folder = call.query("folder_id").unwrap_or_else(|| PROJECT_ID.to_owned());
    let inside: Vec<_> =
        flows.into_iter().filter(|flow| flow.full["folder_id"] == folder).collect();
    let (items, pages) = cut_page(&inside, page, size);
    let items: Vec<Value> = items.iter().map(show).collect();
    Reply::json(
        200,
        &json!({"items": items, "total": inside.len(), "page": page, "size": size, "pages": pages}),
    )
}

fn header(state: &State, flow: &Flow) -> Value {
    let mut shown = json!({"data": null});
    for field in HEADER {
        shown[field] = flow.full[field].clone();
    }
    if let (false, Some(fields)) = (state.is(Profile::V1_13), shown.as_object_mut()) {
        fields.remove("updated_at");
    }
    shown
}

/// `GET /api/v1/flows/{id}`.
pub(super) fn get(state: &State, id: &str) -> Reply {
    if !is_uuid(id) {
        let wrong = id.chars().find(|c| !c.is_ascii_hexdigit()).unwrap_or('?');
        let at = id.chars().position(|c| c == wrong).unwrap_or(0) + 1;
        let item = json!({
            "type": "uuid_parsing", "loc": ["path", "flow_id"],
            "msg": format!("Input should be a valid UUID, invalid character: found `{wrong}` at {at}"),
        });
        return Reply::detail(422, json!([item, item]));
    }
    match state.flows.by_id(id) {
        Some(flow) => Reply::json(200, &flow.full),
        None => unknown(state),
    }
}

/// `POST /api/v1/flows/`.
pub(super) fn create(state: &State, body: &Value) -> Reply {
    let Some(name) = body["name"].as_str() else {
        let item = json!({"type": "missing", "loc": ["body", "name"], "msg": "Field required"});
        return Reply::detail(422, json!([item, item]));
    };
    let mut full = json!({
        "name": null, "description": null, "icon": null, "icon_bg_color": null, "gradient": null, "data": null,
        "is_component": false, "webhook": false, "endpoint_name": null, "tags": null, "locked": false,
        "mcp_enabled": false, "action_name": null, "action_description": null, "access_type": "PRIVATE",
        "flow_type": "workflow", "a2a_enabled": false, "a2a_card_overrides": null, "id": state.new_id(),
        "user_id": USER_ID, "folder_id": PROJECT_ID, "workspace_id": null, "name_key": null,
        "version_token": state.new_id(),
    });
    set(&mut full, body);
    full["name"] = state.flows.free_name(name).into();
    let reply = Reply::json(201, &full);
    state.flows.put(Flow::new(full));
    reply
}

/// `PATCH /api/v1/flows/{id}`.
pub(super) fn update(state: &State, id: &str, body: &Value) -> Reply {
    let Some(flow) = state.flows.by_id(id) else {
        return unknown(state);
    };
    let mut full = flow.full.clone();
    set(&mut full, body);
    let reply = Reply::json(200, &full);
    state.flows.put(Flow::new(full));
    reply
}

/// `DELETE /api/v1/flows/{id}`.
pub(super) fn delete(state: &State, id: &str) -> Reply {
    if state.flows.by_id(id).is_none() {
        return unknown(state);
    }
    state.flows.remove(id);
    Reply::json(200, &json!({"message": "Flow deleted successfully"}))
}

/// `GET /api/v1/projects/` (and `/folders/` before 1.4).
pub(super) fn projects() -> Reply {
    let project = json!({
        "name": "Starter Project", "description": "Manage your own flows. Download and upload projects.",
        "auth_settings": null, "id": PROJECT_ID, "parent_id": null, "owner_username": USER, "is_owner": true,
    });
    Reply::json(200, &json!([project]))
}

fn set(full: &mut Value, body: &Value) {
    for field in SETTABLE {
        if let Some(value) = body.get(field) {
            full[field] = value.clone();
        }
    }
    full["updated_at"] = seconds(now()).into();
}

fn unknown(state: &State) -> Reply {
    routes::not_found(state, "Flow not found")
}
