//! `automagik alert verify`: says whether a message that was received is signed right. Asks nobody.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use spark_events::domain::alert::signature::{BadSignature, SigningSecret};
use spark_events::limits::REQUEST_BODY_BYTES_MAX;
use spark_events::{Clock, SystemClock};

use crate::exit::{Exit, Trouble};
use crate::output::Out;

/// Check a message.
#[derive(Debug, Args)]
#[command(
    override_usage = "automagik alert verify --id ID --timestamp SECONDS --signature SIG BODY",
    after_help = "Examples:
  automagik alert verify - --id m1 --timestamp 1769846400 --signature v1,g0
The secret is read from AUTOMAGIK_WEBHOOK_SECRET, so that it stands in no list
of processes. The body must be what was received, byte by byte."
)]
pub(crate) struct Verify {
    /// A file with the body; `-` reads standard input
    body: PathBuf,
    /// The header webhook-id
    #[arg(long)]
    id: String,
    /// The header webhook-timestamp
    #[arg(long, value_name = "SECONDS")]
    timestamp: String,
    /// The header webhook-signature
    #[arg(long)]
    signature: String,
    /// The secret [env: AUTOMAGIK_WEBHOOK_SECRET]
    #[arg(long)]
    secret: Option<String>,
    /// However old it is
    #[arg(long)]
    any_age: bool,
}

pub(super) fn run(verify: &Verify, out: &Out) -> Result<Exit> {
    let secret = verify.secret.clone().or_else(|| crate::args::env("AUTOMAGIK_WEBHOOK_SECRET"));
    let secret = secret.ok_or_else(|| {
        Trouble::usage("there is no secret to check with")
            .then("set AUTOMAGIK_WEBHOOK_SECRET=whsec_..., or give --secret")
    })?;
    let secret =
        SigningSecret::parse(&secret).map_err(|error| Trouble::usage(error.to_string()))?;
    let body = read(verify)?;
    let now_s = match verify.timestamp.trim().parse() {
        Ok(then) if verify.any_age => then,
        _ => SystemClock.now().timestamp(),
    };
    let Verify { id, timestamp, signature, .. } = verify;
    match secret.verify(id, timestamp, signature, &body, now_s) {
        Ok(()) => {
            out.data(&json!({ "right": true }), |_| "the signature is right\n".to_owned())?;
            Ok(Exit::Ok)
        }
        Err(error) => Err(refused(error).into()),
    }
}

fn refused(error: BadSignature) -> Trouble {
    let trouble = Trouble::new(Exit::Difference, error.to_string());
    match error {
        BadSignature::Wrong => trouble.then(
            "take the body as it came, before anything reads or formats it, and the secret that \
             was shown when the alert was made or last got a new one",
        ),
        BadSignature::Old { .. } | BadSignature::Ahead { .. } => {
            trouble.then("look whether both clocks are right; --any-age leaves the time aside")
        }
        BadSignature::Timestamp | BadSignature::NoneKnown => {
            trouble.then("give each header as it came")
        }
    }
}

fn read(verify: &Verify) -> Result<Vec<u8>> {
    let name = verify.body.display().to_string();
    let unreadable = |error: std::io::Error| {
        Trouble::usage(format!("cannot read {name}"))
            .because(error.to_string())
            .then("name a file that can be read; - reads standard input")
    };
    let mut body = Vec::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(REQUEST_BODY_BYTES_MAX).read_to_end(&mut body)
    } else {
        std::fs::File::open(&verify.body)
            .and_then(|file| file.take(REQUEST_BODY_BYTES_MAX).read_to_end(&mut body))
    };
    read.map_err(unreadable)?;
    Ok(body)
}
