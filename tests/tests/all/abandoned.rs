//! What becomes of a command whose caller is gone before it is answered.

use std::task::{Context, Poll, Waker};

use spark_events::domain::api_key::Role;
use spark_tests::eventually;
use spark_tests::fake_langflow::Options;
use spark_tests::world::{PATIENCE, World, who};

#[tokio::test]
async fn a_key_is_taken_back_although_its_caller_hangs_up() {
    let world = World::start(Options::default()).await;
    let key = world.spark.create_key("ci".into(), Role::Viewer, &who()).await.unwrap().value;
    assert!(!world.spark.is_revoked(key.id));
    let who = who();
    {
        let mut revoking = Box::pin(world.spark.revoke_key(key.id, &who));
        let begun = revoking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(begun, Poll::Pending), "it was not answered at once");
    }
    eventually(PATIENCE, || async { world.spark.is_revoked(key.id).then_some(()) }).await;
    world.has(&key.id.stream(), "key.revoked").await;
}
