//! The few questions Spark asks its own LangFlow: whether it is up, and for an API key. Running
//! flows is the business of the real client in `spark-actors`, never of this one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use spark_events::limits;

use super::home;

/// The user of LangFlow that owns the flows made in the editor, and Spark's key.
pub(super) const SUPERUSER: &str = "spark";

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct NewKey {
    api_key: String,
}

/// A client for the loopback interface: no proxy, short patience.
pub(super) fn client() -> Result<Client> {
    // An error says that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let patience = Duration::from_millis(limits::LANGFLOW_ANSWER_MS_MAX);
    Client::builder().no_proxy().timeout(patience).build().context("could not make an HTTP client")
}

/// Whether LangFlow answers and its database works. A refused connection and silence both mean
/// "not yet": for some 20 s of its start it accepts connections without answering.
pub(super) async fn healthy(client: &Client, url: &str) -> bool {
    let answer = client.get(format!("{url}/health_check")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// The key in the file if LangFlow still takes it, else a new one, which the file then holds.
pub(super) async fn api_key(
    client: &Client,
    url: &str,
    file: &Path,
    password: &str,
) -> Result<String> {
    if let Some(key) = home::read_line(file)?
        && accepted(client, url, &key).await?
    {
        return Ok(key);
    }
    let token = token(client, url, password).await?;
    let answer = client
        .post(format!("{url}/api/v1/api_key/"))
        .bearer_auth(token)
        .json(&json!({ "name": "automagik spark" }))
        .send()
        .await?;
    let made: NewKey = answer.error_for_status()?.json().await?;
    home::write_private(file, &made.api_key)?;
    Ok(made.api_key)
}

async fn accepted(client: &Client, url: &str, key: &str) -> Result<bool> {
    let whoami = client.get(format!("{url}/api/v1/users/whoami")).header("x-api-key", key);
    let status = whoami.send().await?.status();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
        _ if status.is_success() => Ok(true),
        _ => bail!("LangFlow answered {status} when asked whether its key is valid"),
    }
}

/// A token of the superuser, from the automatic login or, where the user has turned that off, by
/// password.
async fn token(client: &Client, url: &str, password: &str) -> Result<String> {
    let mut answer = client.get(format!("{url}/api/v1/auto_login")).send().await?;
    if !answer.status().is_success() {
        let form = [("username", SUPERUSER), ("password", password)];
        answer = client.post(format!("{url}/api/v1/login")).form(&form).send().await?;
    }
    let token: Token =
        answer.error_for_status().context("LangFlow refused the login")?.json().await?;
    Ok(token.access_token)
}
