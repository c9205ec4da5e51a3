//! Rows as the API shows them: payloads as the values they stand for, not as the log holds them.
//! Keeps the order of a row's fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use spark_actors::DispatchError;
use spark_events::Payload;
use spark_events::payload;
use spark_projections::Listing;

use crate::app::App;
use crate::error::ApiError;
use crate::reply::Page;

/// The fields of rows that hold payloads.
const PAYLOADS: [&str; 3] = ["input", "output", "definition"];
/// How an inline payload begins, as [`Payload`] writes it.
const INLINE: &str = "{\"inline\":";

/// What becomes of payloads that are stored apart from their event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Large {
    /// They are loaded from the log.
    Loaded,
    /// They are shown as the reference that the event holds: `{"blob": …, "bytes": …}`.
    Referenced,
}

/// One row. `without` names a field that is left out.
///
/// # Errors
/// A payload that cannot be loaded.
pub async fn row(
    app: &App,
    row: &impl Serialize,
    large: Large,
    without: Option<&str>,
) -> Result<Box<RawValue>, ApiError> {
    let text = serde_json::to_string(row).map_err(no_json)?;
    let mut fields: Fields<'_> = serde_json::from_str(&text).map_err(no_json)?;
    fields.0.retain(|(name, _)| Some(name.as_ref()) != without);
    for (_, value) in fields.0.iter_mut().filter(|(name, _)| PAYLOADS.contains(&name.as_ref())) {
        let form = value.get();
        if let Some(inner) = form.strip_prefix(INLINE).and_then(|rest| rest.strip_suffix('}')) {
            *value = Cow::Owned(RawValue::from_string(inner.to_owned()).map_err(no_json)?);
        } else if large == Large::Loaded && form.starts_with("{\"blob\":") {
            let stored: Payload = serde_json::from_str(form).map_err(no_json)?;
            let loaded = payload::load(app.spark.log().as_ref(), &stored).await;
            let loaded = loaded.map_err(DispatchError::from)?;
            *value = Cow::Owned(serde_json::value::to_raw_value(&loaded).map_err(no_json)?);
        }
    }
    serde_json::value::to_raw_value(&fields).map_err(no_json)
}

/// A row with one field more at its end.
///
/// # Errors
/// Where the value has no JSON form.
pub fn with(row: &RawValue, name: &str, value: &impl Serialize) -> Result<Box<RawValue>, ApiError> {
    let mut fields: Fields<'_> = serde_json::from_str(row.get()).map_err(no_json)?;
    let value = serde_json::value::to_raw_value(value).map_err(no_json)?;
    fields.0.push((name.into(), Cow::Owned(value)));
    serde_json::value::to_raw_value(&fields).map_err(no_json)
}

/// A page of rows; large payloads are not loaded. `without` names a field that is left out.
///
/// # Errors
/// Where a row has no JSON form.
pub async fn page<T: Serialize>(
    app: &App,
    listing: Listing<T>,
    without: Option<&str>,
) -> Result<Page<Box<RawValue>>, ApiError> {
    let mut items = Vec::with_capacity(listing.items.len());
    for item in &listing.items {
        items.push(row(app, item, Large::Referenced, without).await?);
    }
    Ok(Page {
        items,
        total: listing.total,
        total_is_capped: listing.total_is_capped,
        limit: listing.limit,
        offset: listing.offset as u64,
        has_more: listing.has_more,
        next_cursor: listing.next_cursor,
    })
}

fn no_json(error: serde_json::Error) -> ApiError {
    DispatchError::Internal(format!("a row has no JSON form: {error}")).into()
}

/// An object's fields in their order, each still as text.
struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                // The names are those of our own structs, which need no escape.
                while let Some((name, value)) = map.next_entry::<&str, &RawValue>()? {
                    fields.push((Cow::Borrowed(name), Cow::Borrowed(value)));
                }
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(InOrder)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &**value)?;
        }
        map.end()
    }
}
