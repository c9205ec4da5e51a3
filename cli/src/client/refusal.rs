//! Answers that are no success, and the absence of any, as [`Trouble`]: what happened, why, and
//! what to do next. Sends nothing.

use reqwest::StatusCode;
use serde_json::Value;

use super::Target;
use crate::exit::{Exit, Trouble};

impl Target {
    /// Why nothing came back.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let server = &self.server;
        let mut causes: Vec<String> = Vec::new();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let why = causes.pop().unwrap_or_else(|| error.to_string());
        if error.is_connect() {
            return self.nobody_there(why);
        }
        let what = match error.is_timeout() {
            true => format!("no answer from {server} in time; it may still do what was asked"),
            false => {
                format!("the connection to {server} broke off; it may have done what was asked")
            }
        };
        Trouble::new(Exit::Failed, what)
            .because(why)
            .then("look before you repeat it: automagik status")
    }

    /// What to do where nobody listens depends on who named the address: a server elsewhere is not
    /// started here.
    pub(super) fn nobody_there(&self, why: String) -> Trouble {
        let trouble =
            Trouble::new(Exit::Failed, format!("no server at {}", self.server)).because(why);
        let Some(place) = &self.named.server else {
            return trouble
                .then("start one with: automagik up")
                .then("or name another: --server URL, or AUTOMAGIK_URL");
        };
        let trouble = trouble
            .because(format!("{place} names this address"))
            .then("start the server there: automagik up");
        match &self.named.profile {
            Some(profile) => trouble.then(format!(
                "or correct the address: automagik config set server URL --profile {profile}"
            )),
            None => trouble.then("or name another: --server URL, or AUTOMAGIK_URL"),
        }
    }

    /// An answer that does not come from a Spark: another server listens at that address.
    fn no_spark(&self, status: StatusCode, said: Option<String>) -> Trouble {
        let exit = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Auth,
            _ => Exit::Failed,
        };
        let what = format!("{} answered {status}, but not as Spark does", self.server);
        let mut trouble = Trouble::new(exit, what);
        trouble.why.extend(said.map(|said| format!("it said: {said}")));
        let place = self.named.server.as_deref().unwrap_or("--server, or AUTOMAGIK_URL");
        trouble.then(format!(
            "check the address ({place}): is it that of a LangFlow, or of a proxy before Spark?"
        ))
    }

    /// What an answer says that is no success.
    pub(super) fn refused(&self, status: StatusCode, problem: Option<&Value>) -> Trouble {
        let field = |name: &str| problem?.get(name)?.as_str().map(str::to_owned);
        let exit = Exit::of_status(status.as_u16());
        let code = field("code").filter(|code| code.starts_with("SPK-"));
        let said = field("detail").or_else(|| field("title"));
        let Some(code) = code else { return self.no_spark(status, said) };
        let what = said.unwrap_or_else(|| format!("{} answered {status}", self.server));
        let what = if code == QUERY_INVALID { as_option(problem).unwrap_or(what) } else { what };
        let mut trouble = Trouble::new(exit, what.clone());
        let list = |name: &str| {
            let list = problem.and_then(|problem| problem.get(name)).and_then(Value::as_array);
            list.into_iter().flatten()
        };
        // A single error is often what the detail says already.
        let news = list("errors").map(describe).filter(|line| !said_already(&what, line));
        trouble.why.extend(news);
        let near: Vec<&str> = list("suggestions").filter_map(Value::as_str).collect();
        if !near.is_empty() {
            trouble = trouble.then(format!("did you mean: {}", near.join(", ")));
        }
        for candidate in list("candidates") {
            let part = |name: &str| candidate.get(name).and_then(Value::as_str);
            let line = [part("id"), part("name")].into_iter().flatten().collect::<Vec<_>>();
            trouble.why.push(format!("it could be {}", line.join("  ")));
        }
        // The server's remedy is written for callers of the API: where it says nothing new, or
        // where the command line does it otherwise, ours stands.
        match status {
            // A key that is known and does not suffice is no question of where the key is.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_known(problem) => {
                trouble = self.explain_auth(trouble)
            }
            _ if !near.is_empty() => {}
            _ => trouble.next.extend(field("remedy")),
        }
        // Only a defect of the server leaves something in its log that is worth looking for.
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            let request =
                field("request_id").map(|id| format!("look for request {id} in the server's log"));
            trouble.next.extend(request);
        }
        trouble
    }

    fn explain_auth(&self, trouble: Trouble) -> Trouble {
        let trouble = match self.key {
            Some(_) => {
                let place = &self.named.key;
                trouble.because(format!("the server does not take the key of {place}"))
            }
            None => trouble.because(format!("no key was sent: {}", self.no_key)),
        };
        trouble.then("give the key: --api-key KEY, or AUTOMAGIK_API_KEY; `automagik up` keeps it in its data directory")
    }
}

/// The code of a key of the query that cannot be used.
const QUERY_INVALID: &str = "SPK-1003";

/// The same in the words of the command line, which has options where the API has query keys.
fn as_option(problem: Option<&Value>) -> Option<String> {
    let error = problem?.get("errors")?.get(0)?;
    let part = |name: &str| error.get(name).and_then(Value::as_str);
    let option = match part("field")? {
        "q" => "search".to_owned(),
        "n" => "count".to_owned(),
        key => key.replace('_', "-"),
    };
    Some(format!("--{option} cannot be used: {}", part("message")?))
}

/// Whether the server knows the key: its role does not suffice, or it was revoked.
fn is_known(problem: Option<&Value>) -> bool {
    let code = problem.and_then(|problem| problem.get("code")).and_then(Value::as_str);
    matches!(code, Some("SPK-2003" | "SPK-2004"))
}

/// One entry of a problem's `errors`.
fn describe(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let place = text("field").or_else(|| text("pointer")).or_else(|| text("name"));
    let said = text("message").or_else(|| text("detail")).or_else(|| error.as_str());
    match (place, said) {
        (Some(place), Some(said)) => format!("{place}: {said}"),
        (None, Some(said)) => said.to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a line, or what it says of its field, stands in the text already.
fn said_already(text: &str, line: &str) -> bool {
    let message = line.split_once(": ").map_or(line, |(_, message)| message);
    text.contains(message)
}
