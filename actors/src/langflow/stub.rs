//! A stand-in for a LangFlow server in tests: answers each request as a closure says, over a real
//! socket, and keeps what was asked.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Such as `GET /api/v1/version`.
    pub(crate) line: String,
    pub(crate) key: Option<String>,
    /// All header lines.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// What the stub does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, further header lines, content type, body.
    Answer(u16, String, String, String),
    /// The head of a stream and these bytes, then silence until the client hangs up.
    OpenStream(String),
    /// These bytes, then silence until the client hangs up.
    Raw(String),
    /// Closes the connection without an answer.
    HangUp,
    /// Never answers.
    Silence,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, String::new(), "application/json".into(), body.to_string())
    }

    pub(crate) fn page(status: u16, body: &str) -> Self {
        Self::Answer(status, String::new(), "text/html; charset=utf-8".into(), body.into())
    }

    /// The response of a recorded exchange.
    pub(crate) fn recorded(exchange: &str) -> Self {
        let exchange: Value = serde_json::from_str(exchange).unwrap();
        let response = &exchange["response"];
        let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
        let header = |name: &str| response["headers"][name].as_str().unwrap_or_default().to_owned();
        let retry_after = header("retry-after");
        let further = if retry_after.is_empty() {
            String::new()
        } else {
            format!("retry-after: {retry_after}\r\n")
        };
        let body = match &response["body"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self::Answer(status, further, header("content-type"), body)
    }
}

/// Refers to a recorded exchange by its name.
macro_rules! recorded {
    ($name:literal) => {
        $crate::langflow::stub::Reply::recorded(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/langflow/",
            $name,
            ".json"
        )))
    };
}
pub(crate) use recorded;

type Handler = dyn FnMut(&Asked) -> Reply + Send;

/// A running stand-in. It ends when it is dropped.
pub(crate) struct Stub {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    came: Arc<Notify>,
    hung_up: Arc<Notify>,
    _server: JoinSet<()>,
}

impl Stub {
    pub(crate) async fn start(handler: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let hung_up = Arc::new(Notify::new());
        let came = Arc::new(Notify::new());
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(handler));
        let (kept, news, notify) = (asked.clone(), came.clone(), hung_up.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(
                    stream,
                    handler.clone(),
                    (kept.clone(), news.clone()),
                    notify.clone(),
                ));
            }
        });
        Self { url, asked, came, hung_up, _server: server }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of everything that was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// Waits until something was asked.
    pub(crate) async fn came(&self) {
        self.came.notified().await;
    }

    /// Waits until a client hangs up on a stream or a silence.
    pub(crate) async fn hung_up(&self) {
        self.hung_up.notified().await;
    }
}

async fn serve(
    mut stream: TcpStream,
    handler: Arc<Mutex<Handler>>,
    (kept, came): (Arc<Mutex<Vec<Asked>>>, Arc<Notify>),
    hung_up: Arc<Notify>,
) {
    while let Some(asked) = read(&mut stream).await {
        kept.lock().unwrap().push(asked.clone());
        came.notify_one();
        let reply = (handler.lock().unwrap())(&asked);
        match reply {
            Reply::Answer(status, further, content_type, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{further}\
                     content-length: {length}\r\n\r\n{body}"
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::OpenStream(start) => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                return outlast(stream, &format!("{head}{start}"), &hung_up).await;
            }
            Reply::Raw(bytes) => return outlast(stream, &bytes, &hung_up).await,
            Reply::Silence => return outlast(stream, "", &hung_up).await,
            Reply::HangUp => return,
        }
    }
}

async fn outlast(mut stream: TcpStream, bytes: &str, hung_up: &Notify) {
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.read(&mut [0; 16]).await;
    hung_up.notify_one();
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let length = header(&text, "content-length").map_or(0, |v| v.parse().unwrap());
            break (text, head + 4 + length);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body_from = head.len() + 4;
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let key = header(&head, "x-api-key");
    let body = serde_json::from_slice(&bytes[body_from..length]).unwrap_or(Value::Null);
    Some(Asked { line, key, head, body })
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}
