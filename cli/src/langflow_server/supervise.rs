//! Keeps one LangFlow running: start, wait until it answers, start again when it ends. It never
//! gives up after the first success; only [`Supervisor::run`]'s caller ends it.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::home::{self, Home};
use super::process::{self, Instance};
use super::{Bounds, Say, VERSION, account};

/// How often a LangFlow that starts is asked whether it is up.
const HEALTH_POLL: Duration = Duration::from_millis(500);
/// How often the user is told that the start still takes.
const STILL_EVERY: Duration = Duration::from_secs(15);

/// The one who keeps LangFlow running.
pub(super) struct Supervisor {
    home: Home,
    bounds: Bounds,
    say: Say,
    client: reqwest::Client,
    password: String,
    port: u16,
    current: Option<Instance>,
    up_since: Option<Instant>,
    backoff: Duration,
}

impl Supervisor {
    pub(super) fn new(
        home: Home,
        bounds: Bounds,
        say: Say,
        client: reqwest::Client,
        password: String,
    ) -> Self {
        let backoff = bounds.backoff_min;
        Self {
            home,
            bounds,
            say,
            client,
            password,
            port: 0,
            current: None,
            up_since: None,
            backoff,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Takes over a healthy LangFlow that an earlier process left running, and ends every other
    /// left-over. False when there is none to take over.
    pub(super) async fn adopt(&mut self) -> Result<bool> {
        let Some((instance, port)) = process::left_over(&self.home, self.bounds.stop).await else {
            return Ok(false);
        };
        self.port = port;
        let deadline = Instant::now() + self.bounds.adopt;
        while Instant::now() < deadline {
            if account::healthy(&self.client, &self.url()).await {
                (self.say)(&format!("LangFlow {VERSION} is still running on {}", self.url()));
                self.current = Some(instance);
                self.up_since = Some(Instant::now());
                return Ok(true);
            }
            tokio::time::sleep(HEALTH_POLL).await;
        }
        (self.say)("ending a LangFlow that was left over and does not answer");
        instance.end(self.bounds.stop).await;
        Ok(false)
    }

    /// The port of the last start if it is free, else the first free one.
    pub(super) fn choose_port(&mut self) -> Result<()> {
        let noted = self.home.note().map(|note| note.port).filter(|port| *port != 0);
        if let Some(port) = noted {
            if process::port_is_free(port) {
                self.port = port;
                return Ok(());
            }
            (self.say)(&format!("port {port} is used by another program, so LangFlow moves"));
        }
        self.port = match self.bounds.ports.clone().find(|port| process::port_is_free(*port)) {
            Some(port) => port,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|listener| listener.local_addr())
                .context("no free port for LangFlow")?
                .port(),
        };
        Ok(())
    }

    /// Starts LangFlow and waits until it answers. On an error nothing is left running.
    pub(super) async fn launch(&mut self) -> Result<()> {
        // LangFlow would silently take the next port, where nobody looks for it.
        if !process::port_is_free(self.port) {
            bail!("port {} is used by another program", self.port);
        }
        (self.say)(&format!("starting LangFlow {VERSION}"));
        let begun = Instant::now();
        let mut instance = Instance::spawn(&self.home, self.port, &self.password)?;
        let trouble = tokio::select! {
            () = self.answers(begun) => None,
            how = instance.ended() => Some(format!("LangFlow ended while it was starting ({how})")),
            () = tokio::time::sleep(self.bounds.start) => Some(format!(
                "LangFlow did not answer within {} s",
                self.bounds.start.as_secs()
            )),
        };
        if let Some(trouble) = trouble {
            let log = self.home.log();
            let tail = home::tail(&log, instance.log_from);
            bail!("{trouble}; its log is {}, which ends in:{tail}", log.display());
        }
        (self.say)(&format!(
            "LangFlow is up on {} after {} s",
            self.url(),
            begun.elapsed().as_secs()
        ));
        self.current = Some(instance);
        self.up_since = Some(Instant::now());
        Ok(())
    }

    /// A key that works, made now if there is none yet.
    pub(super) async fn api_key(&self) -> Result<String> {
        account::api_key(&self.client, &self.url(), &self.home.key_file(), &self.password)
            .await
            .with_context(|| {
                format!("could not get an API key from the LangFlow on {}", self.url())
            })
    }

    /// Keeps LangFlow running until `stop` is sent or dropped, then ends it.
    pub(super) async fn run(mut self, stop: oneshot::Receiver<()>) {
        tokio::select! {
            _ = stop => {}
            () = self.keep_running() => {}
        }
        if let Some(instance) = self.current.take() {
            instance.end(self.bounds.stop).await;
        }
    }

    async fn keep_running(&mut self) {
        let mut why = self.watch().await;
        loop {
            let pause = self.backoff;
            self.backoff = (pause * 2).min(self.bounds.backoff_max);
            let line =
                format!("LangFlow is down ({why}); starting it again in {} s", pause.as_secs());
            tracing::warn!(port = self.port, "{line}");
            (self.say)(&line);
            tokio::time::sleep(pause).await;
            why = match self.launch().await {
                Ok(()) => self.watch().await,
                Err(error) => {
                    tracing::warn!(port = self.port, "{error:#}");
                    // The rest of the text is the end of the log.
                    error.to_string().split(';').next().unwrap_or_default().to_string()
                }
            };
        }
    }

    /// Waits until the current LangFlow has ended, lets go of its group, and tells how it ended.
    async fn watch(&mut self) -> String {
        let how = match &mut self.current {
            Some(instance) => instance.ended().await,
            None => "it is not running".to_string(),
        };
        self.current = None;
        if self.up_since.take().is_some_and(|since| since.elapsed() >= self.bounds.steady) {
            self.backoff = self.bounds.backoff_min;
        }
        how
    }

    /// Ends when LangFlow answers.
    async fn answers(&self, begun: Instant) {
        let mut said = begun;
        while !account::healthy(&self.client, &self.url()).await {
            if said.elapsed() >= STILL_EVERY {
                said = Instant::now();
                (self.say)(&format!("  still starting ({} s)", begun.elapsed().as_secs()));
            }
            tokio::time::sleep(HEALTH_POLL).await;
        }
    }
}
