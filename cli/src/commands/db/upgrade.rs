//! `automagik db upgrade`: what a start of the server does to its files, without the server.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use spark_events::log::embedded::EmbeddedLog;
use spark_events::{SharedLog, SystemClock};
use spark_projections::Projections;

use crate::commands::up::unusable;
use crate::exit::{Exit, Trouble};
use crate::home::Home;
use crate::output::Out;
use crate::views;

/// Opens the log, has the read models built up to its end, closes both.
pub(super) async fn run(home: &Home, out: &Out) -> Result<Exit> {
    if !home.events().exists() {
        return Err(Trouble::new(
            Exit::NotFound,
            format!("there is no event log in {}", home.dir().display()),
        )
        .then("make one: automagik db init, or automagik up")
        .into());
    }
    let _lock = super::alone(home)?;
    home.whole()?;
    let log: SharedLog = Arc::new(
        EmbeddedLog::open(&home.events(), Arc::new(SystemClock))
            .map_err(|error| unusable("event log", &home.events(), &error))?,
    );
    let projections = Projections::start(home.reads(), Arc::clone(&log))
        .map_err(|error| unusable("read models", &home.reads(), &error))?;
    let head = log.head().await?;
    let mut positions = projections.positions();
    let caught_up = tokio::select! {
        reached = positions.wait_for(|at| *at >= head) => reached.is_ok(),
        _ = tokio::signal::ctrl_c() => false,
    };
    let health = projections.health();
    projections.stop().await;
    log.close().await;
    if !caught_up {
        return Err(Trouble::new(
            Exit::Interrupted,
            "interrupted; the next start goes on from here",
        )
        .into());
    }
    let done = json!({ "version": env!("CARGO_PKG_VERSION"), "head": head, "items": health });
    out.data(&done, |look| views::projection::list(&done, look))?;
    out.note(&format!("the files are as version {} has them", env!("CARGO_PKG_VERSION")));
    let halted = health.iter().any(|one| one.halted.is_some());
    Ok(if halted { Exit::Failed } else { Exit::Ok })
}
