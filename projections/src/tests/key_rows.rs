//! API keys in their rows.

use spark_events::KeyId;
use spark_events::domain::api_key::{ApiKeyEvent, KeyCreated, KeyRevoked, KeyUsed, Role};
use uuid::Uuid;

use super::support::*;
use crate::find::Found;
use crate::keys::KeyFilter;
use crate::store::Page;

fn created(name: &str, role: Role) -> ApiKeyEvent {
    let (secret_hash, hint) = ("ab".repeat(32), "f00d".to_owned());
    ApiKeyEvent::Created(KeyCreated { name: name.into(), role, secret_hash, hint })
}

#[tokio::test]
async fn a_key_tells_who_made_it_and_took_it_back_but_no_secret() {
    let mut story = Story::default();
    let (old, new) = (KeyId(Uuid::from_u128(1)), KeyId(Uuid::from_u128(2)));
    story.add(old.stream(), created("ci", Role::Operator));
    story.add(old.stream(), ApiKeyEvent::Used(KeyUsed { at: at(5) }));
    story.add(old.stream(), ApiKeyEvent::Revoked(KeyRevoked { at: at(6) }));
    story.add(new.stream(), created("ci", Role::Viewer));
    let model = Model::of(&story);
    let row = model.reads().key(old).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.role.as_str(), row.status), ("ci", "operator", "revoked"));
    assert_eq!((row.last_used_at, row.revoked_at), (Some(at(5)), Some(at(6))));
    assert_eq!((row.created_by, row.revoked_by.as_deref()), ("user:ann".into(), Some("user:ann")));
    assert_eq!(row.revision.0, 2);
    assert!(!model.dump().concat().contains("abab"), "the hash stays in the log");

    let found = model.reads().find_key("CI").await.unwrap();
    assert_eq!(found, Found::One(new), "a revoked key does not stand in the way of a living one");
    let list = |filter| async { model.reads().list_keys(filter, Page::default()).await.unwrap() };
    let living = list(KeyFilter::default()).await;
    assert_eq!((living.total, living.items[0].id), (1, new));
    let all = KeyFilter { include_revoked: true, ..KeyFilter::default() };
    assert_eq!(list(all.clone()).await.total, 2);
    let operators = KeyFilter { role: Some("operator".into()), ..all };
    assert_eq!(list(operators).await.items[0].id, old);
}
