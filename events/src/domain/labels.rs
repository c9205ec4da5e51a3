//! Labels: what a worker can do, and what a source asks of whoever makes its calls.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{LABEL_BYTES_MAX, LABELS_MAX};

/// A set of labels, in order. Each is 1 to 63 lower-case letters, digits, `-`, `_`, `.` or `/`; at
/// most 32 of them.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[schema(value_type = Vec<String>)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(BTreeSet<String>);

/// Why labels are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabel {
    /// One of them has a form that none may have.
    #[error(
        "{0:?} is not a label: 1 to {max} lower-case letters, digits, '-', '_', '.' or '/'",
        max = LABEL_BYTES_MAX
    )]
    Form(String),
    /// There are too many.
    #[error("{0} labels are more than the {max} that there may be", max = LABELS_MAX)]
    TooMany(usize),
}

impl Labels {
    /// Checks and takes labels; repeated ones count once.
    ///
    /// # Errors
    /// The first that has no legal form, or that there are too many.
    pub fn new(labels: impl IntoIterator<Item = String>) -> Result<Self, BadLabel> {
        let mut set = BTreeSet::new();
        for label in labels {
            let is_legal =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./".contains(&b);
            if !(1..=LABEL_BYTES_MAX).contains(&label.len()) || !label.bytes().all(is_legal) {
                return Err(BadLabel::Form(label));
            }
            set.insert(label);
        }
        if set.len() > LABELS_MAX {
            return Err(BadLabel::TooMany(set.len()));
        }
        Ok(Self(set))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all that `wanted` asks for are among these.
    #[must_use]
    pub fn have_all(&self, wanted: &Self) -> bool {
        wanted.0.is_subset(&self.0)
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = BadLabel;
    fn try_from(labels: Vec<String>) -> Result<Self, BadLabel> {
        Self::new(labels)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0.into_iter().collect()
    }
}

impl fmt::Display for Labels {
    /// `a, b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, label) in self.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{label}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Labels {
        Labels::new(names.iter().map(ToString::to_string)).unwrap()
    }

    #[test]
    fn labels_are_a_set_in_order() {
        let both = labels(&["gpu", "eu/west", "gpu"]);
        assert_eq!(both.to_string(), "eu/west, gpu");
        assert!(both.have_all(&labels(&["gpu"])) && both.have_all(&Labels::default()));
        assert!(!labels(&["gpu"]).have_all(&both));
    }

    #[test]
    fn what_is_no_label_is_refused_also_in_json() {
        for bad in ["", "GPU", "a b", "ä", &"x".repeat(LABEL_BYTES_MAX + 1)] {
            let refused = Labels::new([bad.to_owned()]);
            assert_eq!(refused, Err(BadLabel::Form(bad.into())), "{bad:?}");
            let json = serde_json::to_string(&[bad]).unwrap();
            assert!(serde_json::from_str::<Labels>(&json).is_err(), "{bad:?}");
        }
        let many = (0..=LABELS_MAX).map(|n| n.to_string());
        assert_eq!(Labels::new(many), Err(BadLabel::TooMany(LABELS_MAX + 1)));
    }
}
