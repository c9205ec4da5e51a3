//! Events as a server sends them (`text/event-stream`): lines to events. Owns no connection.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use spark_events::limits::EVENT_BYTES_MAX;

use super::Target;
use crate::exit::{Exit, Trouble};

/// The most of one event that is kept while it arrives.
const BYTES_MAX: usize = 4 * EVENT_BYTES_MAX;

/// An event that arrived.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    /// Where it stands.
    pub(crate) id: String,
    /// What it says; `None` where it only says how far the server is.
    pub(crate) data: Option<Value>,
}

/// Events that arrive over one connection.
pub(crate) struct Events {
    response: Response,
    target: Target,
    silence: Duration,
    lines: Lines,
}

impl Events {
    pub(super) fn new(response: Response, target: Target, silence: Duration) -> Self {
        Self { response, target, silence, lines: Lines::default() }
    }

    /// The next event; `None` where the server ended the connection.
    ///
    /// # Errors
    /// A connection that broke off, or was silent for too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Trouble> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            let silent =
                |_| Trouble::new(Exit::Failed, format!("{} has gone silent", self.target.server));
            let piece = tokio::time::timeout(self.silence, self.response.chunk()).await;
            match piece.map_err(silent)?.map_err(|error| self.target.unreachable(&error))? {
                Some(piece) => self.lines.take(&piece)?,
                None => return Ok(None),
            }
        }
    }
}

/// What arrived and is no whole event yet.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Result<(), Trouble> {
        if self.bytes.len() + piece.len() > BYTES_MAX {
            return Err(Trouble::new(Exit::Failed, "the server sends an event without an end"));
        }
        self.bytes.extend(piece.iter().filter(|byte| **byte != b'\r'));
        Ok(())
    }

    /// The first whole event; a comment is none.
    fn event(&mut self) -> Option<Event> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let (mut event, mut data) = (Event::default(), String::new());
            for line in String::from_utf8_lossy(&block).lines() {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match name {
                    "id" => event.id = value.to_owned(),
                    "data" => data.push_str(value),
                    _ => {}
                }
            }
            event.data = serde_json::from_str(&data).ok();
            if !event.id.is_empty() {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        let text =
            ": hello\nretry: 2000\n\nid: 3\nevent: a.b\ndata: {\"x\":1}\n\nid: 4\n\nid: 5\r\nda";
        for piece in text.as_bytes().chunks(7) {
            lines.take(piece).unwrap();
        }
        let data = Some(serde_json::json!({ "x": 1 }));
        assert_eq!(lines.event(), Some(Event { id: "3".into(), data }));
        assert_eq!(lines.event(), Some(Event { id: "4".into(), data: None }));
        assert_eq!(lines.event(), None, "the last one is not whole");
        lines.take(b"ta: 7\n\n").unwrap();
        assert_eq!(lines.event(), Some(Event { id: "5".into(), data: Some(7.into()) }));
        assert!(lines.take(&vec![b'x'; BYTES_MAX + 1]).is_err());
    }
}
