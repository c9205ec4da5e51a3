//! What a source offers: its version, whether it takes the key, and whether its background jobs
//! can be used. The version alone does not tell: the job API can be switched off.

use serde::Deserialize;
use spark_events::domain::failure::{Failure, FailureClass};
use spark_events::domain::source::Capabilities;

use super::LangFlow;
use super::http::Answer;
use super::refusal::{Details, refusal};

const STREAM_SINCE: (u32, u32) = (1, 1);
const TRACES_SINCE: (u32, u32) = (1, 8);
/// Before this the same path takes requests of another shape.
const JOBS_SINCE: (u32, u32) = (1, 11);
const NO_JOB: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl LangFlow {
    /// Asks what the source offers, in three short calls.
    ///
    /// # Errors
    /// `Unreachable` where it does not answer (yet), `BadAnswer` where something else than
    /// LangFlow does, `Auth` where the key is refused, missing or not needed but wrong.
    pub async fn probe(&self) -> Result<Capabilities, Failure> {
        let answer = self.send(self.get("/api/v1/version")).await?;
        let version =
            self.accept::<Version>(&answer).map_err(|failure| self.no_langflow(failure))?;
        self.check_key().await?;
        let number = number(&version.version);
        let background_jobs = number >= JOBS_SINCE && self.has_jobs().await?;
        Ok(Capabilities {
            version: version.version,
            background_jobs,
            traces: number >= TRACES_SINCE,
            stream: number >= STREAM_SINCE,
        })
    }

    /// Something answered, but not as LangFlow would: most likely the URL is wrong.
    fn no_langflow(&self, mut failure: Failure) -> Failure {
        if matches!(failure.class, FailureClass::NotFound | FailureClass::BadInput) {
            failure.class = FailureClass::BadAnswer;
        }
        if failure.class == FailureClass::BadAnswer {
            let own = std::mem::take(&mut failure.message);
            let message = format!("no LangFlow answers at {}: {own}", self.url());
            failure.message = Failure::new(failure.class, message).message;
        }
        failure
    }

    async fn check_key(&self) -> Result<(), Failure> {
        let answer = self.send(self.get("/api/v1/users/whoami")).await?;
        if answer.is_success() && answer.is_json() {
            return Ok(());
        }
        let mut failure = refusal(self.url(), &answer);
        if failure.class == FailureClass::Auth && !self.connection.has_key() {
            failure.message = format!("{} needs an API key and none is given", self.url());
        }
        Err(failure)
    }

    async fn has_jobs(&self) -> Result<bool, Failure> {
        let path = format!("/api/v2/workflows?job_id={NO_JOB}");
        let answer = self.send(self.get(&path)).await?;
        Ok(is_job_unknown(&answer))
    }
}

/// Whether this is the job API's own "no such job", and not that there is no such path.
pub(super) fn is_job_unknown(answer: &Answer) -> bool {
    answer.status == 404
        && answer.is_json()
        && Details::of(&answer.body).code.as_deref() == Some("JOB_NOT_FOUND")
}

/// Major and minor version; (0, 0) for what cannot be read, which offers the least.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor),
        (Some(_) | None, _) => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(number("1.13.0"), (1, 13));
        assert_eq!(number("1.9.0.dev5"), (1, 9));
        assert_eq!(number("v2.0rc1"), (2, 0));
        assert_eq!(number("nightly"), (0, 0));
        assert!(number("1.9.6") < number("1.11.0"));
    }
}
