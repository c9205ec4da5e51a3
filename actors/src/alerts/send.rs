//! Sends one message to its receiver: signed as Standard Webhooks has it, within a time limit,
//! without redirects. Says what came of it; records nothing.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;
use spark_events::Timestamp;
use spark_events::domain::alert::signature::SigningSecret;
use spark_events::domain::alert::{AlertSecrets, Answer, Attempted, LiveAlert};
use spark_events::limits::{ALERT_ANSWER_BYTES_MAX, ALERT_SEND_MS_MAX};
use uuid::Uuid;

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
        let begun = tokio::time::Instant::now();
        let mut attempted = Attempted {
            message_id: self.message_id,
            answer: Answer::default(),
            error: None,
            retry_after_ms: None,
            by_hand,
            jitter_ppm: jitter_ppm(),
        };
        let limit = Duration::from_millis(ALERT_SEND_MS_MAX);
        let answered = tokio::time::timeout(limit, self.call(http, now, &mut attempted)).await;
        attempted.error = match answered {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {ALERT_SEND_MS_MAX} ms")),
        };
        attempted.answer.duration_ms =
            u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        attempted
    }

    async fn call(
        self,
        http: &reqwest::Client,
        now: Timestamp,
        attempted: &mut Attempted,
    ) -> Result<(), String> {
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
        let mut response = request.send().await.map_err(|error| broken(&error))?;
        let status = response.status();
        attempted.answer.status = Some(status.as_u16());
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        attempted.retry_after_ms =
            asked.and_then(|text| text.trim().parse::<u64>().ok()?.checked_mul(1_000));
        let mut body = Vec::new();
        // Only the start is read; what goes wrong behind the status changes nothing.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ALERT_ANSWER_BYTES_MAX.saturating_sub(body.len());
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() >= ALERT_ANSWER_BYTES_MAX {
                break;
            }
        }
        let text = printable(&body);
        attempted.answer.body = Some(text).filter(|text| !text.is_empty());
        if status.is_success() {
            return Ok(());
        }
        Err(format!("the receiver answered {}", status.as_u16()))
    }
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
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
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
    use super::*;

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
