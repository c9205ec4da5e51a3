//! HTTP/1.1 over one kept connection, written by hand so that the load generator leaves the
//! processor to what is measured. Knows only what this API sends: a length and a body.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key that the measured server is started with.
pub(crate) const KEY: &str = "bench-key";

/// A whole request as bytes, to be sent any number of times.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its answer: status and body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, start, length)) = head(&self.buffer)
                && self.buffer.len() >= start + length
            {
                return Ok((status, &self.buffer[start..start + length]));
            }
        }
    }
}

/// Status, start and length of the body, once the head is complete.
fn head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, end + 4, length.unwrap_or(0)))
}

/// Asks once, on a connection of its own, and takes nothing but success.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Value {
    let body = body.map(Value::to_string).unwrap_or_default();
    let asked = async {
        let mut connection = Connection::open(address).await?;
        let (status, body) = connection.send(&request(method, path, &body)).await?;
        Ok::<_, io::Error>((status, body.to_vec()))
    };
    match asked.await {
        Ok((status @ 200..=299, body)) => serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{method} {path}: {status} without JSON: {error}")),
        Ok((status, body)) => {
            panic!("{method} {path}: {status} {}", String::from_utf8_lossy(&body))
        }
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
