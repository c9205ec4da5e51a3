//! The listening thread: accepts, reads requests, carries out trouble, writes answers. Knows no
//! route.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::body::{Body, Reply};
use super::call::Call;
use super::routes;
use super::state::State;
use super::trouble::Trouble;

/// The largest request body that is read.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the test waits for the listening thread to obey.
const OBEY_WITHIN: Duration = Duration::from_secs(5);

enum Order {
    Stop,
    Refuse(bool, blocking::Sender<()>),
}

/// A running listening thread.
pub(super) struct Server {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

/// Takes an address; port 0 takes a free one.
pub(super) fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address)
        .unwrap_or_else(|error| panic!("{address} cannot be had for the fake LangFlow: {error}"));
    listener.set_nonblocking(true).expect("a fresh listener can be made non-blocking");
    listener
}

impl Server {
    pub(super) fn launch(state: Arc<State>, listener: TcpListener) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("fake-langflow".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime can be built");
                runtime.block_on(serve(state, listener, inbox));
                // Dropping the runtime drops every connection and every run.
            })
            .expect("a thread can be started");
        Self { orders, thread }
    }

    /// Returns when the port is free and every connection is gone.
    pub(super) fn stop(self) {
        drop(self.orders.send(Order::Stop));
        drop(self.thread.join());
    }

    /// Closes or opens the port; returns when that is done.
    pub(super) fn refuse(&self, refuse: bool) {
        let (done, wait) = blocking::channel();
        if self.orders.send(Order::Refuse(refuse, done)).is_ok() {
            wait.recv_timeout(OBEY_WITHIN).expect("the listening thread obeys");
        }
    }
}

async fn serve(
    state: Arc<State>,
    listener: TcpListener,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let address = listener.local_addr().expect("a bound listener has an address");
    let open = |listener| {
        tokio::net::TcpListener::from_std(listener).expect("the listener fits the runtime")
    };
    let mut listener = Some(open(listener));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            match listener.as_ref() {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok((stream, _)) = accepted => {
                connections.spawn(connection(Arc::clone(&state), stream));
            }
            Some(_) = connections.join_next() => {}
            order = orders.recv() => match order {
                None | Some(Order::Stop) => return,
                Some(Order::Refuse(refuse, done)) => {
                    if refuse {
                        listener = None;
                        connections.shutdown().await;
                    } else if listener.is_none() {
                        listener = Some(open(listen(address)));
                    }
                    done.send(()).ok();
                }
            },
        }
    }
}

async fn connection(state: Arc<State>, stream: TcpStream) {
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| handle(Arc::clone(&state), request));
    // An error here is a client that went away, or trouble that was asked for.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// Answers one request. An error ends the connection without an answer.
async fn handle(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let asked = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let place = parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
    state.note_request(parts.method.as_str(), asked, place);
    let trouble = state.troubles.meet(asked);
    let body =
        Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();

    match &trouble {
        Trouble::Disconnect | Trouble::RefuseConnections => return Err(broken()),
        Trouble::Hang => std::future::pending().await,
        Trouble::Slow(time) => sleep_until(Instant::now() + *time).await,
        Trouble::Html => return Ok(Reply::html().into_response()),
        Trouble::Status(status, retry_after) => {
            let mut reply = Reply::detail(*status, "Trouble that the test asked for");
            if let Some(seconds) = retry_after {
                reply = reply.with_header("retry-after", seconds.to_string());
            }
            return Ok(reply.into_response());
        }
        Trouble::None | Trouble::HalfBody | Trouble::LoseAnswer => {}
    }
    let reply = routes::answer(&state, &Call::new(parts, body)).await;
    match trouble {
        Trouble::LoseAnswer => Err(broken()),
        Trouble::HalfBody => Ok(reply.halved().into_response()),
        _ => Ok(reply.into_response()),
    }
}

fn broken() -> io::Error {
    io::Error::other("the connection is broken on purpose")
}
