//! A receiver of the messages of alerts: answers with the status it is told to, keeps what came,
//! byte by byte, and checks signatures as a receiver should.

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
use spark_events::domain::alert::signature::{BadSignature, SigningSecret};
use spark_events::{Clock, SystemClock};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use crate::eventually;
use crate::world::PATIENCE;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The path that it was sent to, with its query.
    pub path: String,
    /// The body, byte by byte.
    pub body: Bytes,
}

impl Message {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("messages are JSON")
    }

    /// The type of the message.
    #[must_use]
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it was signed with this secret, just now.
    ///
    /// # Errors
    /// What does not fit.
    pub fn verify(&self, secret: &str) -> Result<(), BadSignature> {
        let secret = SigningSecret::parse(secret).expect("a secret");
        let now_s = SystemClock.now().timestamp();
        secret.verify(&self.id, &self.timestamp, &self.signature, &self.body, now_s)
    }
}

/// An address where nobody listens, and nobody else can while this is there: a port that is free
/// may be taken by another test at any time.
pub struct Nobody {
    url: String,
    _socket: TcpSocket,
}

impl Nobody {
    /// Takes a port and does not listen there.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let url = format!("http://{}/hook", socket.local_addr().expect("a bound port"));
        Self { url, _socket: socket }
    }

    /// Where nobody is.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

impl Default for Nobody {
    fn default() -> Self {
        Self::new()
    }
}

type Hook = Box<dyn FnMut(&Message) + Send>;

struct State {
    status: u16,
    messages: Vec<Message>,
    hook: Option<Hook>,
}

/// A running receiver. It ends when it is dropped.
pub struct Receiver {
    url: String,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl Receiver {
    /// One that takes every message.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("a bound port"));
        let state = Arc::new(Mutex::new(State { status: 204, messages: vec![], hook: None }));
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

    /// Where it takes messages.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        lock(&self.state).status = status;
    }

    /// Does this with each message, before it is answered.
    pub fn on_message(&self, hook: impl FnMut(&Message) + Send + 'static) {
        lock(&self.state).hook = Some(Box::new(hook));
    }

    /// What came so far, taken or not.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.state).messages.clone()
    }

    /// The messages of a type.
    #[must_use]
    pub fn of(&self, kind: &str) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.kind() == kind).collect()
    }

    /// Waits until a message of this type has come, and gives the first.
    pub async fn first(&self, kind: &str) -> Message {
        self.nth(kind, 0).await
    }

    /// Waits until so many and one more messages of this type have come, and gives the last.
    pub async fn nth(&self, kind: &str, n: usize) -> Message {
        eventually(PATIENCE, || async { self.of(kind).get(n).cloned() }).await
    }
}

fn lock(state: &Arc<Mutex<State>>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let (signature, path) = (header("webhook-signature"), request.uri().to_string());
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let message = Message { id, timestamp, signature, path, body };
    let status = {
        let mut state = lock(&state);
        state.messages.push(message.clone());
        if let Some(hook) = &mut state.hook {
            hook(&message);
        }
        state.status
    };
    let response = Response::builder().status(status).header("location", "/elsewhere");
    Ok(response.body(Full::from("seen")).expect("a response of known parts"))
}
