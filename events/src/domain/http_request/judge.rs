//! Whether an answer is a success, and what the result in it is.

use serde_json::Value;

use super::{HttpRequest, StatusRule};
use crate::domain::failure::cut;

/// How much of a value that was found is shown.
const SHOWN_BYTES_MAX: usize = 200;

/// Why an answer with an accepted status is no success after all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// A value must be looked up and the body is not JSON.
    #[error("the answer is not JSON, so there is nothing at {0:?}; it begins with {1:?}")]
    NotJson(String, String),
    /// There is no value where the result should be.
    #[error("the answer has nothing at {0:?}, where the result should be; it is {1}")]
    NoOutput(String, String),
    /// The value that tells is another one.
    #[error("the answer is no success: at {path:?} it has {found}, and {wanted} is wanted")]
    Rule {
        /// The place.
        path: String,
        /// What is there.
        found: String,
        /// What the rule wants.
        wanted: String,
    },
}

impl HttpRequest {
    /// Whether a status is a success.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        match &self.success.status {
            StatusRule::Class(_) => (200..300).contains(&status),
            StatusRule::Listed(listed) => listed.contains(&status),
        }
    }

    /// The result in the body of an answer with an accepted status: `{"text": ..}` for a text,
    /// else the JSON as it is.
    ///
    /// # Errors
    /// [`Unmet`].
    pub fn result(&self, body: &[u8]) -> Result<Value, Unmet> {
        let text = || String::from_utf8_lossy(body).into_owned();
        let json = serde_json::from_slice::<Value>(body).ok();
        let needs = self.success.path.as_deref().or(self.output.as_deref());
        let Some(json) = json else {
            return match needs {
                Some(path) => Err(Unmet::NotJson(path.to_owned(), shown(text()))),
                None => Ok(text_of(text())),
            };
        };
        if let (Some(path), Some(wanted)) = (&self.success.path, &self.success.equals) {
            let found = json.pointer(path);
            if found != Some(wanted) {
                return Err(Unmet::Rule {
                    path: path.clone(),
                    found: found.map_or("nothing".to_owned(), |found| shown(found.to_string())),
                    wanted: shown(wanted.to_string()),
                });
            }
        }
        let found = match &self.output {
            None => json,
            Some(path) => json
                .pointer(path)
                .cloned()
                .ok_or_else(|| Unmet::NoOutput(path.clone(), shown(json.to_string())))?,
        };
        Ok(found.as_str().map(|text| text_of(text.to_owned())).unwrap_or(found))
    }
}

fn text_of(text: String) -> Value {
    serde_json::json!({ "text": text })
}

fn shown(mut text: String) -> String {
    cut(&mut text, SHOWN_BYTES_MAX);
    text
}
