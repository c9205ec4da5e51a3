//! The benchmarks, as one binary: the real `automagik up` in its own process with its data on the
//! disk, a fake LangFlow and a load generator in this one. `cargo bench -- NAME` runs one;
//! `SPARK_BENCH_BINARY=path` measures a binary that is there already.
//!
//! A figure is printed beside its target and the machine it was taken on. Nothing here fails for
//! being slow; it fails where the product does something wrong.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark prints figures, and stops at a broken assumption"
)]

use std::future::Future;
use std::pin::Pin;

mod spark {
    pub(crate) mod due;
    pub(crate) mod figures;
    pub(crate) mod http;
    pub(crate) mod idle_workers;
    pub(crate) mod latency;
    pub(crate) mod listeners;
    pub(crate) mod lists;
    pub(crate) mod machine;
    pub(crate) mod many;
    pub(crate) mod metrics;
    pub(crate) mod planning;
    pub(crate) mod process;
    pub(crate) mod rebuild;
    pub(crate) mod remote;
    pub(crate) mod start;
    pub(crate) mod throughput;
    pub(crate) mod world;
}

use spark::{
    due, idle_workers, latency, listeners, lists, machine, many, metrics, planning, process,
    rebuild, remote, start, throughput,
};

type Benchmark = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// In the order in which they run: `rebuild` reads what `throughput` left.
const BENCHMARKS: [(&str, Benchmark); 12] = [
    ("planning", || Box::pin(planning::run())),
    ("start", || Box::pin(start::run())),
    ("latency", || Box::pin(latency::run())),
    ("throughput", || Box::pin(throughput::run())),
    ("rebuild", || Box::pin(rebuild::run())),
    ("remote", || Box::pin(remote::run())),
    ("idle_workers", || Box::pin(idle_workers::run())),
    ("due", || Box::pin(due::run())),
    ("schedules", || Box::pin(many::run())),
    ("listeners", || Box::pin(listeners::run())),
    ("metrics", || Box::pin(metrics::run())),
    ("lists", || Box::pin(lists::run())),
];

fn main() {
    // Cargo adds `--bench`, which says nothing here.
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let chosen = |name: &str| asked.is_empty() || asked.iter().any(|part| name.contains(part));
    let names = BENCHMARKS.map(|(name, _)| name);
    if !names.iter().any(|name| chosen(name)) {
        println!("no benchmark is called {}; there are: {}", asked.join(" "), names.join(", "));
        return;
    }
    println!("machine: {}", machine::describe(&process::home("disk")));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    for (name, benchmark) in BENCHMARKS {
        if chosen(name) {
            println!("\n{name} (load average before it: {})", machine::load());
            runtime.block_on(benchmark());
        }
    }
}
