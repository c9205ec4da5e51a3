//! A request under an idempotency key: begun before anything is done, and answered or refused
//! afterwards. Its stream is the memory of the request, so the same request under the same key
//! happens at most once, also across a crash.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Aggregate;
use crate::clock::{Timestamp, ms_between};
use crate::ids::RequestId;
use crate::limits::REQUEST_REMEMBERED_MS;
use crate::log::Position;

/// What can be asked of a request.
#[derive(Debug, Clone)]
pub enum RequestCommand {
    /// It is about to be carried out.
    Begin {
        /// The hash of what it asks for.
        hash: String,
    },
    /// It was carried out.
    Answer(RequestAnswered),
    /// It was refused, and changed nothing.
    Refuse,
}

/// Why a request may not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestRejection {
    /// Another request has this key.
    #[error(
        "the Idempotency-Key was used for another request; send the same again, or another key"
    )]
    Reused,
    /// It was begun and has no answer.
    #[error(
        "the same request is under way, or broke off before its answer was known; look whether it \
         happened, and if not send it with another Idempotency-Key"
    )]
    UnderWay,
    /// It was never begun.
    #[error("the request was never begun")]
    NotBegun,
}

/// An event of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestEvent {
    /// It is about to be carried out.
    Begun(RequestBegun),
    /// It was carried out.
    Answered(RequestAnswered),
    /// It was refused; its key is free again.
    Refused(RequestRefused),
}

/// See [`RequestEvent::Begun`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestBegun {
    /// The hash of what it asks for.
    pub hash: String,
    /// When. It is remembered from here on.
    pub at: Timestamp,
}

/// See [`RequestEvent::Answered`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestAnswered {
    /// The HTTP status.
    pub status: u16,
    /// What was answered, without any secret; absent where it was too large to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// The position that the request reached, where it stored something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// See [`RequestEvent::Refused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRefused {}

/// A request: its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Request {
    /// Nobody has asked, or what was asked was refused.
    #[default]
    Free,
    /// It is under way, or broke off.
    Begun(RequestBegun),
    /// It was carried out.
    Answered {
        /// What was asked for, and when.
        begun: RequestBegun,
        /// What was answered.
        answered: RequestAnswered,
    },
}

impl Request {
    /// What was asked for, unless that is so long ago that it is forgotten.
    fn remembered(&self, now: Timestamp) -> Option<&RequestBegun> {
        match self {
            Self::Free => None,
            Self::Begun(begun) | Self::Answered { begun, .. } => {
                Some(begun).filter(|begun| ms_between(begun.at, now) < REQUEST_REMEMBERED_MS)
            }
        }
    }
}

impl Aggregate for Request {
    const CATEGORY: &'static str = RequestId::CATEGORY;
    type Command = RequestCommand;
    type Event = RequestEvent;
    type Rejection = RequestRejection;

    fn decide(
        &self,
        command: RequestCommand,
        now: Timestamp,
    ) -> Result<Vec<RequestEvent>, RequestRejection> {
        match (self, command) {
            (_, RequestCommand::Begin { hash }) => match (self.remembered(now), self) {
                (Some(begun), _) if begun.hash != hash => Err(RequestRejection::Reused),
                (Some(_), Self::Answered { .. }) => Ok(vec![]),
                (Some(_), _) => Err(RequestRejection::UnderWay),
                (None, _) => Ok(vec![RequestEvent::Begun(RequestBegun { hash, at: now })]),
            },
            (Self::Begun(_), RequestCommand::Answer(answered)) => {
                Ok(vec![RequestEvent::Answered(answered)])
            }
            (Self::Begun(_), RequestCommand::Refuse) => {
                Ok(vec![RequestEvent::Refused(RequestRefused {})])
            }
            (
                Self::Free | Self::Answered { .. },
                RequestCommand::Answer(_) | RequestCommand::Refuse,
            ) => Err(RequestRejection::NotBegun),
        }
    }

    fn evolve(self, event: &RequestEvent) -> Self {
        match (self, event) {
            (_, RequestEvent::Begun(begun)) => Self::Begun(begun.clone()),
            (Self::Begun(begun), RequestEvent::Answered(answered)) => {
                Self::Answered { begun, answered: answered.clone() }
            }
            (Self::Begun(_), RequestEvent::Refused(_)) => Self::Free,
            (state, RequestEvent::Answered(_) | RequestEvent::Refused(_)) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::fold;

    fn now() -> Timestamp {
        Timestamp::from_timestamp_micros(1_800_000_000_000_000).unwrap()
    }

    fn begin(hash: &str) -> RequestCommand {
        RequestCommand::Begin { hash: hash.into() }
    }

    fn answer() -> RequestCommand {
        RequestCommand::Answer(RequestAnswered { status: 201, answer: None, position: None })
    }

    fn given(commands: impl IntoIterator<Item = RequestCommand>) -> Request {
        commands.into_iter().fold(Request::Free, |state, command| {
            let events = state.decide(command, now()).unwrap();
            fold(state, &events)
        })
    }

    #[test]
    fn the_same_request_happens_once_and_another_is_refused() {
        let begun = given([begin("a")]);
        assert_eq!(begun.decide(begin("a"), now()), Err(RequestRejection::UnderWay));
        assert_eq!(begun.decide(begin("b"), now()), Err(RequestRejection::Reused));
        let answered = given([begin("a"), answer()]);
        assert_eq!(answered.decide(begin("a"), now()), Ok(vec![]), "it has its answer");
        assert_eq!(answered.decide(begin("b"), now()), Err(RequestRejection::Reused));
        assert_eq!(answered.decide(answer(), now()), Err(RequestRejection::NotBegun));
    }

    #[test]
    fn what_was_refused_or_is_long_ago_leaves_the_key_free() {
        assert_eq!(given([begin("a"), RequestCommand::Refuse]), Request::Free);
        for request in [given([begin("a"), answer()]), given([begin("a")])] {
            let day = TimeDelta::hours(24);
            let late = |at| request.decide(begin("b"), at);
            assert_eq!(
                late(now() + day - TimeDelta::milliseconds(1)),
                Err(RequestRejection::Reused)
            );
            let again = late(now() + day).unwrap();
            assert_eq!(fold(request.clone(), &again), fold(Request::Free, &again));
        }
    }
}
