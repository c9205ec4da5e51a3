//! What ends the server: ctrl-c or SIGTERM. The second one ends it at once. SIGHUP is left as it
//! was found, so that `nohup` works; a server that dies of it has lost nothing.

use anyhow::{Context, Result};

use crate::exit::Exit;

/// The signals, caught from now on.
pub(crate) struct Signals {
    #[cfg(unix)]
    caught: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    /// Catches them.
    pub(crate) fn new() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let catch = |kind| signal(kind).context("cannot catch signals");
            Ok(Self { caught: [catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?] })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(crate) async fn first(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.caught;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    }

    /// From now on the next one ends the process at once. Nothing that was acknowledged is lost:
    /// the log is safe against that at any instant.
    #[expect(clippy::disallowed_methods, reason = "it ends the process, or the process ends it")]
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            self.first().await;
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
    }
}
