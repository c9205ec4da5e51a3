//! What a request about an alert may hold. Shapes only; the rules are the domain's.

use serde::{Deserialize, Deserializer};
use spark_actors::{NewAlert, UpdateAlert};
use spark_events::AlertId;
use spark_events::domain::alert::{AlertKind, Only};
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{ApiError, FieldError};
use crate::options::duration_ms;
use crate::read;

/// Make an alert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAlert)]
pub struct CreateBody {
    /// Where messages are sent.
    pub url: String,
    /// Its name; the URL's host when absent.
    pub name: Option<String>,
    /// About what, such as `task_failed`; all but `occurrence_skipped` when absent.
    pub kinds: Option<Vec<String>>,
    /// About this flow only.
    pub flow: Option<String>,
    /// About this schedule only.
    pub schedule: Option<String>,
    /// About this source, and what runs there, only.
    pub source: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Change an alert. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertPatch)]
pub struct UpdateBody {
    /// New name.
    pub name: Option<String>,
    /// New URL.
    pub url: Option<String>,
    /// New kinds, all of them.
    pub kinds: Option<Vec<String>>,
    /// New flow; `null`: any.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub flow: Option<Option<String>>,
    /// New schedule; `null`: any.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub schedule: Option<Option<String>>,
    /// New source; `null`: any.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub source: Option<Option<String>>,
    /// Whether it tells of anything.
    pub enabled: Option<bool>,
    /// Why.
    pub reason: Option<String>,
}

/// Give an alert a new secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecretRotation)]
pub struct RotateBody {
    /// How long the one before is signed with too, such as `24h`, which is the default.
    pub keep: Option<String>,
    /// The same in milliseconds; 0: no more.
    pub keep_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// Tells a field that is `null` from one that is absent.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl CreateBody {
    /// What is asked for, with names turned into ids.
    pub(super) async fn request(self, app: &App) -> Result<NewAlert, ApiError> {
        if let Some(name) = &self.name {
            read::alert_name_is_free(app, name, None).await?;
        }
        Ok(NewAlert {
            name: self.name,
            url: self.url,
            kinds: self.kinds.map(|kinds| read_kinds(&kinds)).transpose()?,
            flow_id: read::given(self.flow.as_deref().map(|text| read::flow_id(app, text))).await?,
            schedule_id: read::given(
                self.schedule.as_deref().map(|text| read::schedule_id(app, text)),
            )
            .await?,
            source_id: read::given(self.source.as_deref().map(|text| read::source_id(app, text)))
                .await?,
        })
    }
}

impl UpdateBody {
    /// What is asked for, with names turned into ids.
    pub(super) async fn request(self, app: &App, id: AlertId) -> Result<UpdateAlert, ApiError> {
        if let Some(name) = &self.name {
            read::alert_name_is_free(app, name, Some(id)).await?;
        }
        let flow = self.flow.as_ref().map(Option::as_deref);
        let schedule = self.schedule.as_ref().map(Option::as_deref);
        let source = self.source.as_ref().map(Option::as_deref);
        Ok(UpdateAlert {
            name: self.name,
            url: self.url,
            kinds: self.kinds.map(|kinds| read_kinds(&kinds)).transpose()?,
            flow_id: match flow {
                None => None,
                Some(None) => Some(Only::Any),
                Some(Some(text)) => Some(Only::This(read::flow_id(app, text).await?)),
            },
            schedule_id: match schedule {
                None => None,
                Some(None) => Some(Only::Any),
                Some(Some(text)) => Some(Only::This(read::schedule_id(app, text).await?)),
            },
            source_id: match source {
                None => None,
                Some(None) => Some(Only::Any),
                Some(Some(text)) => Some(Only::This(read::source_id(app, text).await?)),
            },
            enabled: self.enabled,
        })
    }
}

impl RotateBody {
    /// How long the secret before counts.
    pub(super) fn keep_ms(self) -> Result<Option<u64>, ApiError> {
        Ok(duration_ms("keep", self.keep, self.keep_ms)?)
    }
}

fn read_kinds(texts: &[String]) -> Result<Vec<AlertKind>, ApiError> {
    let read = |text: &String| {
        text.parse::<AlertKind>().map_err(|()| {
            let known = AlertKind::ALL.map(AlertKind::as_str).join(", ");
            vec![FieldError::new("kinds", format!("{text:?} is not one of {known}"))]
        })
    };
    Ok(texts.iter().map(read).collect::<Result<Vec<_>, _>>()?)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn null_is_not_the_same_as_nothing() {
        let body: UpdateBody = from_str(r#"{"flow": null}"#).unwrap();
        assert_eq!((body.flow, body.schedule), (Some(None), None));
        assert!(from_str::<UpdateBody>(&json!({ "secret": "x" }).to_string()).is_err());
    }

    #[test]
    fn kinds_are_named_when_one_is_none() {
        let kinds = read_kinds(&["task_failed".into(), "source.down".into()]).unwrap();
        assert_eq!(kinds, [AlertKind::TaskFailed, AlertKind::SourceDown]);
        let text = read_kinds(&["failed".into()]).unwrap_err().to_string();
        assert!(text.contains("task_failed, task_recovered"), "{text}");
    }
}
