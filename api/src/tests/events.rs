//! `GET /events` over a connection: what a client gets to see, and what it is refused.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::{Server, request_with, server};
use super::world::{KEY, world};

/// A client that reads as far as it needs to.
struct Client {
    stream: TcpStream,
    read: String,
}

impl Client {
    async fn open(server: &Server, query: &str, more: &str) -> Self {
        Self::open_with(KEY, server, query, more).await
    }

    async fn open_with(key: &str, server: &Server, query: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let line = format!("GET /api/v1/events{query}");
        stream.write_all(&request_with(key, &line, more)).await.unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads until the server ends it, and gives everything that was sent; not past what must not
    /// be sent.
    async fn rest_or(mut self, text: &str) -> String {
        let mut bytes = [0; 4096];
        while !self.read.contains(text) {
            match self.stream.read(&mut bytes).await.unwrap() {
                0 => break,
                count => self.read.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
            }
        }
        self.read
    }

    /// Reads until this was sent, and gives everything that was.
    async fn until(&mut self, text: &str) -> &str {
        while !self.read.contains(text) {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the server ended it, after {}", self.read);
            self.read.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        &self.read
    }
}

#[tokio::test]
async fn the_past_and_the_present_are_told_in_the_form_of_histories() {
    let server = server().await;
    let mut client =
        Client::open(&server, "?after=0&category=source,schedule", "x-request-id: me\r\n").await;
    let told = client.until("\"name\":\"keyed\"").await;
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert!(told.contains("content-type: text/event-stream\r\n"), "{told}");
    assert!(told.contains("x-request-id: me\r\n"), "{told}");
    let told = client.until("\"api_key\":\"sealed\"").await;
    assert!(told.contains("id: 1\nevent: source.added\ndata: {\"position\":1,"), "{told}");
    assert!(!told.contains("not to be seen") && !told.contains("flow.synced"), "{told}");

    let body = serde_json::json!({ "flow": "hourly", "every": "1h", "name": "greet" });
    let made = server.world.post("/schedules", body).await.expect(201);
    let told = client.until("event: schedule.created\n").await;
    assert_eq!(told.matches("event: ").count(), 3, "{told}");
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(client.until("\n\n").await.contains(&format!("\"stream\":\"schedule-{id}\"")));
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_where_it_was() {
    let server = server().await;
    let body = serde_json::json!({ "flow": "hourly", "every": "1h", "name": "greet" });
    server.world.post("/schedules", body).await.expect(201);
    let again = "last-event-id: 3\r\n";
    let mut client = Client::open(&server, "?after=0&actor=user:local", again).await;
    let told = client.until("event: schedule.created").await;
    assert!(told.contains("\nid: 3\n\n") && !told.contains("source.added"), "{told}");

    let mut client = Client::open(&server, "?schedule=greet&after=0", "").await;
    let told = client.until("event: schedule.created").await;
    assert_eq!(told.matches("event: ").count(), 1, "{told}");
}

#[tokio::test]
async fn a_key_that_is_taken_back_hears_nothing_more() {
    let server = server().await;
    let key = serde_json::json!({ "name": "ear", "role": "viewer" });
    let key = server.world.post("/keys", key).await.expect(201);
    let secret = key["secret"].as_str().unwrap();
    let mut client = Client::open_with(secret, &server, "?category=schedule", "").await;
    // It hears what happens from its greeting on.
    client.until("retry: ").await;
    let schedule =
        |name: &str| serde_json::json!({ "flow": "hourly", "every": "1h", "name": name });
    server.world.post("/schedules", schedule("heard")).await.expect(201);
    client.until("event: schedule.created\n").await;
    client.until("\n\n").await;

    let admin = [("x-api-key", KEY.as_bytes())];
    server.world.send("DELETE", "/keys/ear", &admin, b"").await.expect(200);
    server.world.post("/schedules", schedule("unheard")).await.expect(201);
    let told = client.rest_or("unheard").await;
    assert!(told.contains("heard") && !told.contains("unheard"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_refused_by_name() {
    let world = world().await;
    for (query, part) in [
        ("?flw=1", "allowed are after, category, type, stream, actor, task"),
        ("?category=tasks", "\\\"tasks\\\" is not one of task, schedule"),
        ("?category=blob", "is not one of"),
        ("?type=task.done", "task.created, task.started"),
        ("?type=nothing", "no event is called"),
        ("?stream=x", "is not a stream name"),
        ("?stream=blob-00", "no streams of the category"),
        ("?after=x", "not a position"),
        ("?after=1000000", "lies beyond the end of the log"),
    ] {
        let answer = world.get(&format!("/events{query}")).await.expect(422);
        assert!(answer.to_string().contains(part), "{query}: {answer}");
    }
    let key = ("x-api-key", super::world::KEY.as_bytes());
    for last in [&b"x"[..], b"1000000"] {
        let answer = world.send("GET", "/events", &[key, ("last-event-id", last)], b"").await;
        assert_eq!(answer.code(422), "SPK-1004");
    }
    assert_eq!(world.get("/events?schedule=nobody").await.code(404), "SPK-3001");
    assert_eq!(world.post("/events", serde_json::Value::Null).await.code(405), "SPK-1010");
    assert_eq!(world.send("GET", "/events", &[], b"").await.code(401), "SPK-2001");
}

#[tokio::test]
async fn the_shutdown_ends_listeners_in_good_order() {
    let mut server = server().await;
    let mut client = Client::open(&server, "", "").await;
    client.until("retry: ").await;
    server.stop.send(()).unwrap();
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).await.unwrap();
    let all = format!("{}{rest}", client.read);
    assert!(all.ends_with("0\r\n\r\n"), "it was not cut off: {all}");
    server.running.join_next().await.unwrap().unwrap();
}
