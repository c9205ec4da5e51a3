//! Whether spans are collected, and their way to the one who sends them. Never waits and never
//! holds more than so many: what does not find room is lost.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use spark_events::limits;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::otlp::{self, OtlpConfig};

/// Where spans go; nowhere, unless somebody asked for them.
#[derive(Default)]
pub(crate) struct Traces(OnceLock<Export>);

struct Export {
    spans: mpsc::Sender<Span>,
    stop: watch::Sender<bool>,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Sends spans from now on. Asking again changes nothing.
    pub(crate) fn start(&self, config: OtlpConfig, http: reqwest::Client) {
        self.0.get_or_init(|| {
            let (spans, received) = mpsc::channel(limits::TRACE_SPANS_WAITING_MAX);
            let (stop, stopping) = watch::channel(false);
            #[expect(clippy::disallowed_methods, reason = "it is waited for by `Traces::stop`")]
            let sending = tokio::spawn(otlp::export(config, http, received, stopping));
            Export { spans, stop, sending: Mutex::new(Some(sending)) }
        });
    }

    /// Whether spans are wanted at all.
    pub(crate) fn are_wanted(&self) -> bool {
        self.0.get().is_some()
    }

    pub(crate) fn add(&self, spans: impl IntoIterator<Item = Span>) {
        let Some(export) = self.0.get() else { return };
        for span in spans {
            if export.spans.try_send(span).is_err() {
                tracing::debug!("a span found no room");
            }
        }
    }

    /// Sends what is left, for so long and no longer.
    pub(crate) async fn stop(&self) {
        let Some(export) = self.0.get() else { return };
        export.stop.send_replace(true);
        let sending = export.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sending) = sending {
            let patience = Duration::from_millis(limits::TRACE_FLUSH_MS_MAX);
            if tokio::time::timeout(patience, &mut sending).await.is_err() {
                sending.abort();
                tracing::warn!("the last spans were not sent: their collector is too slow");
            }
        }
    }
}
