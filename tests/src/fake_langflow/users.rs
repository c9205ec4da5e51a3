//! The one user: its API keys, its logins, and who is refused with which words.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::body::Reply;
use super::call::Call;
use super::state::{Stamp, State, lock, now, seconds, zulu};
use super::{PASSWORD, Profile, USER, library};

/// Logins that one address may try a minute.
const LOGINS_MAX: usize = 5;
const LOGIN_WINDOW: Duration = Duration::from_secs(60);
/// The bearer token that a login gives.
const TOKEN: &str = "eyJmYWtlIjoidG9rZW4ifQ";

/// Which words a door refuses with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Lists, v2, monitor: keys and bearer tokens.
    Lists,
    /// v1 run and webhook: keys only.
    Run,
}

#[derive(Clone)]
struct Key {
    id: String,
    name: String,
    secret: String,
    created: Stamp,
    last_used: Option<Stamp>,
    uses: u64,
}

/// The keys and logins of a server.
pub(super) struct Users {
    open: bool,
    keys: Mutex<Vec<Key>>,
    logins: Mutex<VecDeque<Instant>>,
}

impl Users {
    pub(super) fn new(api_key: Option<String>) -> Self {
        let first = api_key.as_ref().map(|secret| Key {
            id: "818165d7-7dc4-4883-bd44-9bca99296dab".to_owned(),
            name: USER.to_owned(),
            secret: secret.clone(),
            created: now(),
            last_used: None,
            uses: 0,
        });
        Self {
            open: api_key.is_none(),
            keys: Mutex::new(first.into_iter().collect()),
            logins: Mutex::new(VecDeque::new()),
        }
    }

    /// The refusal that this call meets, if any.
    pub(super) fn refusal(&self, call: &Call, door: Door) -> Option<Reply> {
        if self.open {
            return None;
        }
        let (missing, wrong) = match door {
            Door::Lists => ("No authentication credentials provided", "Invalid API key"),
            Door::Run => {
                ("An API key must be passed as query or header", "Invalid or missing API key")
            }
        };
        let from_query;
        let key = match call.header("x-api-key") {
            Some(key) => Some(key),
            None => {
                from_query = call.query("x-api-key");
                from_query.as_deref()
            }
        };
        if let Some(key) = key {
            return if self.know(key) { None } else { Some(Reply::detail(403, wrong)) };
        }
        match call.header("authorization") {
            Some(bearer) if door == Door::Lists => {
                (bearer != format!("Bearer {TOKEN}")).then(|| Reply::detail(401, "Invalid token"))
            }
            _ => Some(Reply::detail(403, missing)),
        }
    }

    fn know(&self, secret: &str) -> bool {
        let mut keys = lock(&self.keys);
        let Some(key) = keys.iter_mut().find(|key| key.secret == secret) else {
            return false;
        };
        key.uses += 1;
        key.last_used = Some(now());
        true
    }

    /// `POST /api/v1/login`, form-encoded.
    pub(super) fn login(&self, call: &Call) -> Reply {
        let mut logins = lock(&self.logins);
        while logins.front().is_some_and(|at| at.elapsed() > LOGIN_WINDOW) {
            logins.pop_front();
        }
        if logins.len() >= LOGINS_MAX {
            let body = json!({"detail": "Too many requests. Please try again later.", "retry_after": "60"});
            return Reply::json(429, &body).with_header("retry-after", "60".to_owned());
        }
        logins.push_back(Instant::now());
        let field = |name: &str| {
            form_urlencoded::parse(&call.body).find(|(key, _)| key == name).map(|(_, text)| text)
        };
        if field("username").as_deref() == Some(USER)
            && field("password").as_deref() == Some(PASSWORD)
        {
            return Reply::json(200, &tokens());
        }
        Reply::detail(401, "Incorrect username or password")
            .with_header("www-authenticate", "Bearer".to_owned())
    }

    /// `GET /api/v1/auto_login`.
    pub(super) fn auto_login(&self) -> Reply {
        if self.open {
            return Reply::json(200, &tokens());
        }
        Reply::detail(403, json!({"message": "Auto login is disabled.", "auto_login": false}))
    }

    /// `GET /api/v1/api_key/`.
    pub(super) fn list_keys(&self) -> Reply {
        let keys: Vec<Value> = lock(&self.keys)
            .iter()
            .map(|key| {
                let mut shown =
                    shown_key(key, &format!("{}*****", key.secret.get(..9).unwrap_or("sk-")));
                shown["created_at"] = seconds(key.created).into();
                shown
            })
            .collect();
        let body =
            json!({"total_count": keys.len(), "user_id": library::USER_ID, "api_keys": keys});
        Reply::json(200, &body)
    }

    /// `POST /api/v1/api_key/`.
    pub(super) fn create_key(&self, state: &State, body: &Value) -> Reply {
        let key = Key {
            id: state.new_id(),
            name: body["name"].as_str().unwrap_or_default().to_owned(),
            secret: format!("sk-{}", state.new_id()),
            created: now(),
            last_used: None,
            uses: 0,
        };
        let reply = Reply::json(200, &shown_key(&key, &key.secret));
        lock(&self.keys).push(key);
        reply
    }

    /// `DELETE /api/v1/api_key/{id}`.
    pub(super) fn delete_key(&self, id: &str) -> Reply {
        let mut keys = lock(&self.keys);
        match keys.iter().position(|key| key.id == id) {
            Some(at) => {
                keys.remove(at);
                Reply::detail(200, "API Key deleted")
            }
            None => Reply::detail(400, "API Key not found"),
        }
    }
}

fn shown_key(key: &Key, secret: &str) -> Value {
    json!({
        "name": key.name, "last_used_at": key.last_used.map(seconds), "total_uses": key.uses, "is_active": true,
        "expires_at": null, "id": key.id, "api_key": secret, "user_id": library::USER_ID,
    })
}

fn tokens() -> Value {
    json!({"access_token": TOKEN, "refresh_token": TOKEN, "token_type": "bearer"})
}

/// `GET /api/v1/users/whoami`.
pub(super) fn whoami() -> Reply {
    let at = zulu(now());
    Reply::json(
        200,
        &json!({
            "id": library::USER_ID, "username": USER, "profile_image": null, "store_api_key": null,
            "is_active": true, "is_superuser": true, "create_at": at, "updated_at": at, "last_login_at": at,
            "optins": {"github_starred": false, "dialog_dismissed": false, "discord_clicked": false},
        }),
    )
}

/// Whether this call may pass; webhooks needed no key up to 1.8.
pub(super) fn refusal(state: &State, call: &Call, door: Door) -> Option<Reply> {
    let old_webhook = call.path().contains("/webhook/") && !state.is(Profile::V1_13);
    if old_webhook { None } else { state.users.refusal(call, door) }
}
