//! A server whose answers are chosen by the test, question by question.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One question, to be answered by the test.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) body: Value,
    stream: TcpStream,
}

impl Asked {
    /// Answers it.
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    pub(super) fn answer(self, status: u16, body: Value) {
        let Self { mut stream, .. } = self;
        tokio::spawn(async move {
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            // The one who asked may have gone meanwhile.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
        });
    }

    /// Lets it down.
    pub(super) fn hang_up(self) {
        drop(self.stream);
    }
}

/// The server.
pub(super) struct Scripted {
    pub(super) url: String,
    asked: mpsc::UnboundedReceiver<Asked>,
    /// Questions that came before they were looked for.
    early: Vec<Asked>,
}

impl Scripted {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    if let Some(asked) = read(stream).await {
                        let _ = tell.send(asked);
                    }
                });
            }
        });
        Self { url, asked, early: vec![] }
    }

    /// The next question whose path ends so; others are kept for later.
    pub(super) async fn next(&mut self, end: &str) -> Asked {
        if let Some(place) = self.early.iter().position(|asked| asked.path.ends_with(end)) {
            return self.early.remove(place);
        }
        loop {
            let asked = tokio::time::timeout(std::time::Duration::from_secs(60), self.asked.recv());
            let asked = asked.await.unwrap_or_else(|_| panic!("nothing was asked of {end}"));
            let asked = asked.expect("the server lives");
            if asked.path.ends_with(end) {
                return asked;
            }
            self.early.push(asked);
        }
    }
}

/// A whole question; `None` when it broke off.
async fn read(mut stream: TcpStream) -> Option<Asked> {
    let mut request = Vec::new();
    let mut part = [0_u8; 4096];
    loop {
        let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
        request.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            let path = head.split(' ').nth(1)?.to_owned();
            let body = serde_json::from_str(body).unwrap_or_default();
            drop(text);
            return Some(Asked { path, body, stream });
        }
    }
}
