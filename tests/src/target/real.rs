//! A real LangFlow in processes of its own, started and stopped by `langflow/serve.sh`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::report;

/// The port, where it is free: a fixed one leaves one run folder and not many.
const PORT: u16 = 7883;
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/langflow");

/// A real LangFlow. Dropping it stops it.
pub(super) struct RealLangFlow {
    port: u16,
    key: String,
}

impl RealLangFlow {
    /// Starts one with nothing in it but the flows of `make_flows.py`.
    pub(super) async fn install_and_start() -> Self {
        let port = free_port();
        let mut real = Self { port, key: String::new() };
        let told = serve(&["start", "--auth"], port).await;
        let key = told.lines().find_map(|line| line.strip_prefix("API_KEY="));
        real.key = key.expect("serve.sh tells the key").to_owned();
        let mut flows = Command::new("python3");
        flows.arg(Path::new(FOLDER).join("make_flows.py"));
        flows.args(["--url", &real.url(), "--api-key", &real.key]);
        output(flows, "make_flows.py").await;
        real
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) async fn stop(&mut self) {
        serve(&["stop"], self.port).await;
    }

    /// The keys that it gave before stay good.
    pub(super) async fn start_again(&mut self) {
        serve(&["start", "--auth", "--keep"], self.port).await;
    }
}

impl Drop for RealLangFlow {
    fn drop(&mut self) {
        let mut stop = std::process::Command::new("bash");
        stop.arg(Path::new(FOLDER).join("serve.sh")).args([
            "stop",
            "--port",
            &self.port.to_string(),
        ]);
        if let Err(error) = stop.status() {
            report(&format!("LangFlow on port {} is left running: {error}", self.port));
        }
    }
}

fn free_port() -> u16 {
    let listener =
        TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("a free port").port()
}

async fn serve(args: &[&str], port: u16) -> String {
    let mut command = Command::new("bash");
    command.arg(Path::new(FOLDER).join("serve.sh")).args(args).args(["--port", &port.to_string()]);
    output(command, "serve.sh").await
}

/// Standard output of a program that must succeed; it bounds its own time.
async fn output(mut command: Command, name: &str) -> String {
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output =
        command.output().await.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    assert!(output.status.success(), "{name} ended with {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
