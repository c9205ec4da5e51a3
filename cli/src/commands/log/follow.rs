//! Events as they come. A connection that breaks off is made again and goes on where it was.

use std::time::Duration;

use anyhow::Result;
use spark_events::limits::{CLI_WATCH_MS, LISTENER_HEARTBEAT_MS};

use super::super::Context;
use crate::exit::{Exit, Trouble};

/// How often a lost connection is made again before the command gives up.
const TRIES: u32 = 30;

/// Tells events until ctrl-c.
pub(super) async fn run(
    filters: Vec<(&'static str, String)>,
    mut at: u64,
    context: &Context<'_>,
) -> Result<Exit> {
    let mut tries = TRIES;
    loop {
        let told = at;
        let ended = tokio::select! {
            ended = listen(&filters, &mut at, context) => ended,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        match next(&ended, at > told, &mut tries) {
            Next::AtOnce => continue,
            Next::GiveUp => return ended.map(|()| Exit::Ok),
            Next::AfterAPause => {}
        }
        if let Err(error) = ended
            && tries == TRIES - 1
        {
            context.out.note(&format!("the connection is lost, trying again: {error}"));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(CLI_WATCH_MS)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
}

/// When the server is asked again.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    AtOnce,
    AfterAPause,
    GiveUp,
}

/// What follows the end of a connection. One that was ended in good order may be again and again,
/// by a server that restarts or by a proxy that lets nobody be silent for long: it costs no try, and
/// where nothing came of it, a pause.
fn next(ended: &Result<()>, has_moved: bool, tries: &mut u32) -> Next {
    if has_moved {
        *tries = TRIES;
    }
    match ended {
        Ok(()) if has_moved => Next::AtOnce,
        Ok(()) => Next::AfterAPause,
        // A server that refuses will refuse again; one that is away may come back.
        Err(error) => {
            let is_away = error.downcast_ref::<Trouble>().is_none_or(|it| it.exit == Exit::Failed);
            if !has_moved {
                *tries = tries.saturating_sub(1);
            }
            if is_away && *tries > 0 { Next::AfterAPause } else { Next::GiveUp }
        }
    }
}

async fn listen(
    filters: &[(&'static str, String)],
    at: &mut u64,
    context: &Context<'_>,
) -> Result<()> {
    let mut query = filters.to_vec();
    query.push(("after", at.to_string()));
    // Three heartbeats that did not come are a dead connection.
    let silence = Duration::from_millis(3 * LISTENER_HEARTBEAT_MS);
    let mut events = context.client.listen(&["events"], &query, silence).await?;
    while let Some(event) = events.next().await? {
        if let Some(position) = event.id.parse().ok().filter(|position| *position > *at) {
            *at = position;
        }
        if let Some(data) = event.data {
            super::tell(&data, context.out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_ends_without_an_event_is_asked_for_again_after_a_pause() {
        let mut tries = TRIES;
        assert_eq!(next(&Ok(()), true, &mut tries), Next::AtOnce);
        for _ in 0..2 * TRIES {
            assert_eq!(next(&Ok(()), false, &mut tries), Next::AfterAPause);
        }
        let away = || Err(Trouble::new(Exit::Failed, "away").into());
        for _ in 1..TRIES {
            assert_eq!(next(&away(), false, &mut tries), Next::AfterAPause);
        }
        assert_eq!(next(&away(), true, &mut tries), Next::AfterAPause);
        assert_eq!(tries, TRIES, "what moves on has all its tries again");
        for _ in 1..TRIES {
            next(&away(), false, &mut tries);
        }
        assert_eq!(next(&away(), false, &mut tries), Next::GiveUp);
        let refused = Err(Trouble::new(Exit::Usage, "no").into());
        assert_eq!(next(&refused, true, &mut TRIES.clone()), Next::GiveUp);
    }
}
