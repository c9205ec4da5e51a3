//! The HTTP server: accepts connections, bounds them, and hands every request to the one warp
//! filter. Knows no route.
//!
//! warp's own accept loop has no bound on connections, no time limit for a silent one and no way
//! to set `TCP_NODELAY`, so the loop is here and warp serves each connection as a service.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use spark_events::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use warp::Filter;
use warp::reply::Response;

use crate::app::{App, Incoming};

mod patience;

use patience::Patient;

/// How long to wait before accepting again after the system refused a connection (too many files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API on a listener until `shutdown` resolves. Then it accepts no more, lets open
/// requests end for at most [`limits::API_DRAIN_MS_MAX`], and returns.
pub async fn run(listener: TcpListener, app: App, shutdown: impl Future<Output = ()> + Send) {
    run_shared(listener, Arc::new(app), shutdown).await;
}

/// As [`run`], with parts that the caller uses as well.
pub async fn run_shared(
    listener: TcpListener,
    app: Arc<App>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut live = JoinSet::new();
    let room = app.metrics.room();
    let hub = app.live.clone();
    live.spawn(async move { hub.run().await });
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            // The semaphore is never closed; without room nobody is accepted.
            let permit = Arc::clone(&room).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            // Ended connections are taken out as they end, or the set would grow for ever.
            Some(_) = connections.join_next() => {}
            Some((permit, accepted)) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let filter = filter(Arc::clone(&app), peer.ip());
                    let stopping = stopping.clone();
                    connections.spawn(async move {
                        serve(stream, filter, stopping).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    // Who listens would listen for ever.
    live.shutdown().await;
    drain(connections).await;
}

async fn drain(mut connections: JoinSet<()>) {
    let open = async { while connections.join_next().await.is_some() {} };
    let bound = Duration::from_millis(limits::API_DRAIN_MS_MAX);
    if tokio::time::timeout(bound, open).await.is_err() {
        tracing::warn!(open = connections.len(), "requests were cut off by the shutdown");
    }
}

async fn serve<F>(stream: TcpStream, filter: F, mut stopping: watch::Receiver<bool>)
where
    F: Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    // An answer is one write; without this a small one would wait for the last one's ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let service = TowerToHyperService::new(warp::service(filter));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits::CONNECTION_IDLE_MS_MAX))
        .max_buf_size(limits::REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // An error would mean that the loop is gone, which is the end as well.
        () = async { let _ = stopping.wait_for(|stop| *stop).await; } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client broke off or sent no HTTP; it was told, where that was possible.
        tracing::debug!(%error, "connection ended");
    }
}

/// The one filter: takes the request apart and leaves the rest to [`App::respond`]. A chain of a
/// filter per route would try them one by one.
fn filter(
    app: Arc<App>,
    peer: IpAddr,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let query = warp::query::raw().or_else(|_| async { Ok::<_, Infallible>((String::new(),)) });
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method, path: warp::path::FullPath, query, headers, body| {
            let app = Arc::clone(&app);
            let path = path.as_str().to_owned();
            let peer = Some(peer);
            async move { app.respond(Incoming { method, path, query, headers, peer, body }).await }
        })
        // Only a body that was taken before could be refused, and nobody takes it before.
        .or_else(|_| async { Ok::<_, Infallible>((Response::default(),)) })
}
