//! Answers on their way out: whole, streamed, or broken off in the middle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The body of an answer.
pub(super) enum Body {
    /// Sent in one piece.
    Whole(Option<Bytes>),
    /// Sent as it comes. Dropping it (the client went away) drops the guard.
    Stream(
        mpsc::UnboundedReceiver<Bytes>,
        #[expect(dead_code, reason = "it is held only to be dropped")] Guard,
    ),
    /// Half of it is sent, then the connection breaks.
    Half(Option<Bytes>),
}

/// Whatever must end when a stream ends.
pub(super) type Guard = Option<Box<dyn Send>>;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Self::Stream(pieces, _) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|data| Ok(Frame::data(data))))
            }
            Self::Half(data) => Poll::Ready(Some(match data.take() {
                Some(data) => Ok(Frame::data(data.slice(..data.len() / 2))),
                None => Err(io::Error::other("broken off on purpose")),
            })),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(data) | Self::Half(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Stream(..) => SizeHint::default(),
        }
    }
}

/// An answer before it becomes an HTTP response.
pub(super) struct Reply {
    pub(super) status: u16,
    content_type: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::raw_json(status, body.to_string())
    }

    /// JSON that is written already.
    pub(super) fn raw_json(status: u16, body: String) -> Self {
        let body = Body::Whole(Some(Bytes::from(body)));
        Self { status, content_type: Some("application/json"), headers: Vec::new(), body }
    }

    /// LangFlow's usual error: `{"detail": ...}`.
    pub(super) fn detail(status: u16, detail: impl Into<Value>) -> Self {
        Self::json(status, &json!({"detail": detail.into()}))
    }

    pub(super) fn html() -> Self {
        let page = "<!doctype html>\n<html lang=\"en\"></html>\n";
        let body = Body::Whole(Some(Bytes::from_static(page.as_bytes())));
        Self {
            status: 200,
            content_type: Some("text/html; charset=utf-8"),
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: Body::Whole(None) }
    }

    pub(super) fn redirect(location: String) -> Self {
        Self::empty(307).with_header("location", location)
    }

    pub(super) fn stream(pieces: mpsc::UnboundedReceiver<Bytes>, guard: Guard) -> Self {
        let body = Body::Stream(pieces, guard);
        Self {
            status: 200,
            content_type: Some("text/event-stream; charset=utf-8"),
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same answer, to be broken off in the middle. A stream is left as it is.
    pub(super) fn halved(mut self) -> Self {
        if let Body::Whole(data) = self.body {
            self.body = Body::Half(data);
        }
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        if let Some(content_type) = self.content_type {
            response = response.header("content-type", content_type);
        }
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(self.body).expect("the headers are made here and are valid")
    }
}
