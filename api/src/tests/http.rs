//! The server at the level of bytes: what the filter and the accept loop add.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::world::{KEY, World, world};

pub(super) struct Server {
    pub(super) address: std::net::SocketAddr,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) running: JoinSet<()>,
    pub(super) world: World,
}

pub(super) async fn server() -> Server {
    let world = world().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let app = Arc::clone(&world.app);
    let mut running = JoinSet::new();
    running.spawn(crate::server::run_shared(listener, app, async {
        let _ = stopped.await;
    }));
    Server { address, stop, running, world }
}

/// Sends bytes as they are and reads until the server closes.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer, because the server did not want the rest, is fine.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

pub(super) fn request(line: &str, more: &str) -> Vec<u8> {
    request_with(KEY, line, more)
}

pub(super) fn request_with(key: &str, line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nconnection: close\r\n{more}\r\n")
        .into_bytes()
}

#[tokio::test]
async fn requests_go_through_the_filter() {
    let server = server().await;
    let answer = exchange(&server, &request("GET /api/v1/flows/?limit=1", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    assert!(answer.contains("x-request-id: "), "{answer}");
    assert!(answer.contains("\"has_more\":true"), "{answer}");

    let answer = exchange(&server, &request("HEAD /api/v1/flows", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");

    let body = "content-type: text/plain\r\ncontent-length: 16\r\n";
    let mut bytes = request("POST /api/v1/flows/hourly/run", body);
    bytes.extend_from_slice(br#"{"input":"hallo"}"#.get(..16).unwrap());
    let answer = exchange(&server, &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("SPK-1001"), "{answer}");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_and_harm_nobody() {
    let server = server().await;
    for bytes in [
        &b"\xff\xfe\xfd\r\n\r\n"[..],
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-length: nonsense\r\n\r\n",
    ] {
        let answer = exchange(&server, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    }
    let answer = exchange(&server, &request("GET /api/v1/flows/%ff%fe", "")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("SPK-1009"), "{answer}");
    let long = format!("x-long: {}\r\n", "a".repeat(200_000));
    let answer = exchange(&server, &request("GET /api/v1/flows", &long)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = exchange(&server, &request("GET /api/v1/livez", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let server = server().await;
    let mut bytes = request("POST /api/v1/tasks", "transfer-encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    for _ in 0..3 {
        bytes.extend_from_slice(chunk.as_bytes());
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&server, &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn the_shutdown_lets_an_open_request_end() {
    let mut server = server().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    // The task waits for its next attempt, so that the wait lasts as long as it was asked to.
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = request("POST /api/v1/flows/hourly/run", "content-length: 15\r\n");
    bytes.extend_from_slice(br#"{"wait_ms":300}"#);
    waiting.write_all(&bytes).await.unwrap();
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(&request("GET /api/v1/livez", "")).await.unwrap();
    let mut read = String::new();
    first.read_to_string(&mut read).await.unwrap();

    server.stop.send(()).unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    server.running.join_next().await.unwrap().unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an idle connection is just closed");
    assert!(TcpStream::connect(server.address).await.is_err());
}
