//! Sends one message to its receiver: signed as Standard Webhooks has it, within a time limit,
//! without redirects. Says what came of it; records nothing.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;
use spark_events::Timestamp;
use spark_events::domain::alert::signature::SigningSecret;
use spark_events::domain::alert::{AlertSecrets, Answer, Attempted, LiveAlert};
use spark_events::limits::{ALERT_ANSWER_BYTES_MAX, ALERT_SEND_MS_MAX};
use tokio::time::Instant;
use uuid::Uuid;

use crate::connection::root_cause;
use crate::context::jitter_ppm;
use crate::error::DispatchError;
use crate::seal::{Purpose, Sealer};

/// Where messages may be sent.
///
/// # Errors
/// `Invalid` with what is wrong with the URL.
pub(crate) fn check_url(url: &str) -> Result<String, DispatchError> {
    let invalid = |why: &str| Err(DispatchError::Invalid(format!("the alert's URL {why}")));
    let Ok(parsed) = reqwest::Url::parse(url.trim()) else {
        return invalid("is none; give one such as https://example.org/hook");
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return invalid("must begin with http:// or https://");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return invalid("must not hold a user or a password; the receiver checks the signature");
    }
    if parsed.fragment().is_some() {
        return invalid("must not have a part behind #, which is never sent");
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return invalid("has no host");
    }
    Ok(parsed.to_string())
}

/// A message on its way.
pub(super) struct Sending {
    url: String,
    /// The one that counts, and the one before while it does.
    secrets: Result<Vec<SigningSecret>, &'static str>,
    message_id: Uuid,
    body: Vec<u8>,
}

impl Sending {
    pub(super) fn new(
        sealer: &Sealer,
        alert: &LiveAlert,
        message_id: Uuid,
        body: &Value,
        now: Timestamp,
    ) -> Self {
        Self {
            url: alert.spec.url.clone(),
            secrets: open(sealer, &alert.secrets, now),
            message_id,
            // A value always has a JSON form, the same one every time.
            body: serde_json::to_vec(body).unwrap_or_default(),
        }
    }

    /// Sends it once. Not cancel-safe in the sense of "not sent": a dropped future may have sent it.
    pub(super) async fn send(
        self,
        http: &reqwest::Client,
        now: Timestamp,
        by_hand: bool,
    ) -> Attempted {
        let begun = Instant::now();
        let mut attempted = Attempted {
            message_id: self.message_id,
            answer: Answer::default(),
            error: None,
            retry_after_ms: None,
            by_hand,
            jitter_ppm: jitter_ppm(),
        };
        let until = begun + Duration::from_millis(ALERT_SEND_MS_MAX);
        let answered = tokio::time::timeout_at(until, self.call(http, now, &mut attempted)).await;
        attempted.error = match answered {
            Ok(Ok(response)) => {
                let refused = !response.status().is_success();
                attempted.answer.body = start_of(response, until).await;
                let status = attempted.answer.status.filter(|_| refused);
                status.map(|status| format!("the receiver answered {status}"))
            }
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {ALERT_SEND_MS_MAX} ms")),
        };
        attempted.answer.duration_ms =
            u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        attempted
    }

    /// Up to the head of the answer.
    async fn call(
        self,
        http: &reqwest::Client,
        now: Timestamp,
        attempted: &mut Attempted,
    ) -> Result<reqwest::Response, String> {
        let (id, timestamp) = (self.message_id.to_string(), now.timestamp());
        let secrets = self.secrets?;
        let signatures: Vec<String> =
            secrets.iter().map(|secret| secret.sign(&id, timestamp, &self.body)).collect();
        let request = http
            .post(self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(self.body);
        let response = request.send().await.map_err(|error| broken(&error))?;
        attempted.answer.status = Some(response.status().as_u16());
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        attempted.retry_after_ms =
            asked.and_then(|text| text.trim().parse::<u64>().ok()?.checked_mul(1_000));
        Ok(response)
    }
}

/// The start of an answer's body, as far as it comes in time. What goes wrong behind the status
/// changes nothing.
async fn start_of(mut response: reqwest::Response, until: Instant) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < ALERT_ANSWER_BYTES_MAX
        && let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(until, response.chunk()).await
    {
        let room = ALERT_ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Some(printable(&body)).filter(|text| !text.is_empty())
}

fn open(
    sealer: &Sealer,
    secrets: &AlertSecrets,
    now: Timestamp,
) -> Result<Vec<SigningSecret>, &'static str> {
    let opened = |sealed| {
        let secret = sealer.open_for(Purpose::AlertSecret, sealed)?;
        SigningSecret::parse(secret.expose()).ok()
    };
    let current = opened(&secrets.secret).ok_or(
        "its secret cannot be opened, because the sealing key in the data directory was replaced; \
         give it a new one: automagik alert rotate-secret",
    )?;
    let previous = secrets.previous.as_ref().filter(|previous| previous.until > now);
    Ok([current]
        .into_iter()
        .chain(previous.and_then(|previous| opened(&previous.secret)))
        .collect())
}

/// Text from outside without control characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// What a connection's trouble means. Names no URL: its path or query may hold a token.
fn broken(error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    if error.is_timeout() {
        "the receiver took no connection or gave no answer in time".to_owned()
    } else if error.is_connect() {
        format!("the receiver cannot be reached: {cause}")
    } else if error.is_builder() {
        "the request could not be made; check the URL".to_owned()
    } else {
        format!("the connection to the receiver broke off: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::langflow::message_client;

    /// Sends a message to a receiver that answers this and then keeps the connection open.
    async fn sent_to(answer: &str) -> Attempted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sending = Sending {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            secrets: Ok(vec![]),
            message_id: Uuid::nil(),
            body: b"{}".to_vec(),
        };
        let http = message_client().unwrap();
        let receiver = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
            // Whoever has sent it hangs up.
            while connection.read(&mut request).await.is_ok_and(|count| count > 0) {}
        };
        let (sent, ()) = tokio::join!(
            async {
                let sent = sending.send(&http, Timestamp::UNIX_EPOCH, false).await;
                drop(http);
                sent
            },
            receiver
        );
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_wrong_behind_the_status_changes_nothing() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nthank";
        let taken = sent_to(head).await;
        assert_eq!((taken.error.as_deref(), taken.answer.status), (None, Some(200)));
        assert_eq!(taken.answer.body.as_deref(), Some("thank"));
        assert_eq!(taken.answer.duration_ms, ALERT_SEND_MS_MAX, "the body was waited for");
        let refused = sent_to(&head.replace("200 OK", "503 Busy")).await;
        assert_eq!(refused.error.as_deref(), Some("the receiver answered 503"));
        let silent = sent_to("").await;
        assert_eq!(silent.error.as_deref(), Some("no answer within 15000 ms"));
        assert_eq!(silent.answer.status, None);
    }

    #[test]
    fn only_plain_addresses_of_the_web_are_taken() {
        let taken = check_url(" https://example.org/hook?token=t ").unwrap();
        assert_eq!(taken, "https://example.org/hook?token=t");
        for (url, part) in [
            ("", "is none"),
            ("example.org", "is none"),
            ("file:///etc/passwd", "http://"),
            ("https://ana:secret@example.org/", "user or a password"),
            ("https://example.org/#a", "behind #"),
        ] {
            let text = check_url(url).unwrap_err().to_string();
            assert!(text.contains(part) && !text.contains("secret@"), "{url}: {text}");
        }
    }

    #[test]
    fn an_answer_is_kept_as_plain_text() {
        assert_eq!(printable(b" a\r\n\x1b[31mb\xff "), "a   [31mb\u{fffd}");
    }
}
