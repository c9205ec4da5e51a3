//! A worker on another host, and the cable between the two cut in the middle of a run. `netns/run.sh`
//! makes the hosts, of network namespaces, and runs these in that of the server.

use std::net::Ipv4Addr;
use std::process::Command;

use spark_tests::binary::WorkerProcess;

use super::*;

/// What `netns/run.sh` made.
struct Hosts {
    there: String,
    cable: String,
    here_ip: Ipv4Addr,
}

impl Hosts {
    fn new() -> Self {
        let var = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("run this by tests/netns/run.sh"))
        };
        let here_ip = var("SPARK_NETNS_HERE_IP").parse().expect("an address");
        Self { there: var("SPARK_NETNS_THERE"), cable: var("SPARK_NETNS_CABLE"), here_ip }
    }

    /// A server and its LangFlow that the other host can reach.
    async fn office(&self, lost_after: &'static str) -> Office {
        let target = Target::start_fake_on(self.here_ip).await;
        let ip = self.here_ip.to_string();
        Office::at(target, &["--host", &ip, "--worker-lost-after", lost_after]).await
    }

    /// A worker on the other host.
    fn worker(&self, office: &Office, name: &str) -> WorkerProcess {
        let automagik = &office.automagik;
        let (url, key) = (automagik.url(), automagik.key());
        let start = ["worker", "start", "--name", name, "--server", &url, "--api-key", &key];
        automagik.spawn_worker_in(Some(&self.there), &automagik.elsewhere(name), &start)
    }

    fn set(&self, state: &str) {
        let set = Command::new("ip").args(["link", "set", &self.cable, state]).status();
        assert!(set.is_ok_and(|status| status.success()), "the cable cannot be set {state}");
    }

    fn cut(&self) {
        self.set("down");
    }

    fn mend(&self) {
        self.set("up");
    }
}

#[tokio::test]
#[ignore = "needs root and Linux: run tests/netns/run.sh"]
async fn two_hosts_a_cable_cut_for_long_ends_the_attempt_and_not_the_run() {
    let hosts = Hosts::new();
    let office = hosts.office("4s").await;
    let marker = office.marker();
    let worker = hosts.worker(&office, "far");
    let task = office.slow_run(&marker).await;
    let before = office.worker("far", "active").await;
    hosts.cut();
    office.worker("far", "lost").await;
    office.release().await;
    eventually(PATIENCE, || async { (marker.lines().len() == 1).then_some(()) }).await;
    hosts.mend();
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 2, "{row}");
    assert_eq!(row["attempt_rows"][0]["failure"]["class"], "worker_lost", "{row}");
    let again = office.worker("far", "active").await;
    assert_eq!(again["replaces"], before["id"]);
    worker.says("registering anew", 1).await;
}

#[tokio::test]
#[ignore = "needs root and Linux: run tests/netns/run.sh"]
async fn two_hosts_while_the_cable_is_cut_a_worker_here_goes_on() {
    let hosts = Hosts::new();
    let office = hosts.office("4s").await;
    let marker = office.marker();
    let worker = hosts.worker(&office, "far");
    let task = office.slow_run(&marker).await;
    hosts.cut();
    let _near = office.automagik.worker("near");
    office.worker("far", "lost").await;
    office.release().await;
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 2, "{row}");
    let events = history(&office.automagik, "task", &task).await;
    hosts.mend();
    worker.says("registering anew", 1).await;
    office.worker("far", "active").await;
    assert_eq!(history(&office.automagik, "task", &task).await, events, "nothing was added");
}

#[tokio::test]
#[ignore = "needs root and Linux: run tests/netns/run.sh"]
async fn two_hosts_a_cable_cut_for_a_moment_costs_nothing() {
    let hosts = Hosts::new();
    let office = hosts.office("5m").await;
    let marker = office.marker();
    let _worker = hosts.worker(&office, "far");
    let task = office.slow_run(&marker).await;
    hosts.cut();
    office.release().await;
    // The run ends while nobody can see it.
    eventually(PATIENCE, || async { (marker.lines().len() == 1).then_some(()) }).await;
    hosts.mend();
    let row = office.completed_once(&task, &marker).await;
    assert_eq!(row["attempts"], 1, "{row}");
    let rows = office.automagik.rows(&["worker", "list"]).await;
    assert_eq!(rows.len(), 1, "the same worker all along: {rows:?}");
}
