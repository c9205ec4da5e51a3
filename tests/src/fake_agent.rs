//! A stand-in for an agent server or a webhook: answers each request with the next of the answers it
//! was given, the last one again and again, and keeps what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status, a `Retry-After` in seconds if any, and JSON.
    Json(u16, Option<u32>, Value),
    /// Nothing, ever.
    Silence,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `POST /run`.
    pub line: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body, `null` where it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
}

impl Asked {
    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct State {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
    open: usize,
}

type Shared = Arc<Mutex<State>>;

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct FakeAgent {
    url: String,
    state: Shared,
    _server: JoinSet<()>,
}

impl FakeAgent {
    /// Starts one that answers so.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let replies = replies.into_iter().collect();
        let state = Arc::new(Mutex::new(State { replies, asked: vec![], open: 0 }));
        let (shared, mut server) = (Arc::clone(&state), JoinSet::new());
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, state, _server: server }
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything but probes that it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state).asked.clone()
    }

    /// Requests that wait for an answer which does not come.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.state).open
    }
}

fn lock(state: &Shared) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a request that waits, until the client hangs up.
struct Waiting(Shared);

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.0).open -= 1;
    }
}

async fn answer(
    state: Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A probe is a GET of the URL itself.
    if request.method() == hyper::Method::GET && request.uri().path() == "/" {
        return Ok(Response::new(Full::default()));
    }
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().iter();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    let reply = {
        let mut state = lock(&state);
        state.asked.push(Asked { line, headers, body, bytes });
        let last = state.replies.len() <= 1;
        if last { state.replies.front().cloned() } else { state.replies.pop_front() }
    };
    let Some(Reply::Json(status, retry_after, json)) = reply else {
        lock(&state).open += 1;
        let _waiting = Waiting(state);
        return std::future::pending().await;
    };
    let mut response =
        Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    let body = Full::new(Bytes::from(json.to_string()));
    Ok(response.body(body).expect("a response of known parts"))
}
