//! Schemas of what has no type of its own, and what all schemas have in common.

use serde_json::{Value, json};
use spark_events::limits;
use utoipa::ToSchema;
use utoipa::openapi::example::Example;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Object, ObjectBuilder, Ref, RefOr, Schema};

/// What is known of a thing whose row the read model does not show yet.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `read::known` writes")]
pub(crate) struct Known {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// What happened.
    detail: String,
}

/// A thing that was removed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `read::removed` writes")]
pub(crate) struct Removed {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Always true.
    deleted: bool,
}

/// A text within bounds of its length.
pub(crate) fn text(least: usize, most: Option<usize>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .min_length((least > 0).then_some(least))
        .max_length(most)
        .build()
}

/// Whether a schema takes every text.
pub(crate) fn is_any_text(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(one)) => {
            one.enum_values.is_none() && one.schema_type == SchemaType::new(Type::String)
        }
        _ => false,
    }
}

/// One of several words.
pub(crate) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(words)).build()
}

/// One or more of several words, with commas between them.
pub(crate) fn some_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    let one = words.into_iter().collect::<Vec<_>>().join("|").replace('.', "\\.");
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        // An empty value is the same as none.
        .pattern(Some(format!("^(({one})(,({one}))*)?$")))
        .build()
}

/// A whole number within bounds.
pub(crate) fn number(least: u64, most: Option<u64>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(least))
        .maximum(Some(most.unwrap_or(u64::MAX)))
        .build()
}

/// `true` or `false`.
pub(crate) fn flag() -> Object {
    default(ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)).build(), false)
}

/// `true` or `false`, where neither stands for an absent value.
pub(crate) fn yes_or_no() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)).build()
}

/// An instant, or how long ago it was.
pub(crate) fn instant_or_ago() -> RefOr<Schema> {
    let ago = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        // An empty value is the same as none.
        .pattern(Some("^([1-9][0-9]{0,2}(s|m|h|d))?$"))
        .build();
    either([Schema::Object(instant()).into(), Schema::Object(ago).into()])
}

/// An instant.
pub(crate) fn instant() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .build()
}

/// The same with a value that stands for an absent one.
pub(crate) fn default(mut schema: Object, value: impl Into<Value>) -> Object {
    schema.default = Some(value.into());
    schema
}

/// What may stand in `Idempotency-Key`.
pub(crate) fn idempotency_key() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .min_length(Some(1))
        .max_length(Some(limits::IDEMPOTENCY_KEY_BYTES_MAX))
        .pattern(Some("^[ -~]+$"))
        .build()
}

/// Either of several schemas.
pub(crate) fn either(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> RefOr<Schema> {
    let either = schemas.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    Schema::AnyOf(either.build()).into()
}

/// A page with one row, as an example.
pub(crate) fn page(row: Value) -> Value {
    json!({
        "items": [row],
        "total": 1,
        "limit": limits::PAGE_DEFAULT,
        "offset": 0,
        "has_more": false,
        "next_cursor": null,
    })
}

/// A value as an example.
pub(crate) fn example(value: Value) -> RefOr<Example> {
    let mut example = Example::new();
    example.value = Some(value);
    RefOr::T(example)
}

/// A type's schema by its name, with what the name stands for added to these.
pub(crate) fn reference<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) -> RefOr<Schema> {
    let name = T::name();
    let schema = T::schema();
    // What has no name of its own stands where it is used.
    if matches!(schema, RefOr::Ref(_)) {
        return schema;
    }
    schemas.push((name.to_string(), schema));
    Ref::from_schema_name(name).into()
}

/// Lets what is said of a value that may be null stand at the value. It is written beside the
/// reference to the type, one level further down, where pages for people do not show it.
pub(crate) fn lift_descriptions(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(lift_descriptions),
        Value::Object(fields) => {
            if let Some(either) = fields.get_mut("oneOf").and_then(Value::as_array_mut)
                && either.iter().any(|one| one["type"] == "null")
            {
                let said = either.iter_mut().find_map(|one| {
                    one.get("$ref")?;
                    one.as_object_mut()?.remove("description")
                });
                if let Some(said) = said {
                    fields.entry("description").or_insert(said);
                }
            }
            fields.values_mut().for_each(lift_descriptions);
        }
        _ => {}
    }
}

/// Gives whole numbers the bounds that their types have.
pub(crate) fn bound_integers(document: &mut Value) {
    match document {
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        Value::Object(fields) => {
            // The formats of whole numbers without a sign are not as the OpenAPI registry has them.
            let unsigned = match fields.get("format").and_then(Value::as_str) {
                Some("u-int8") => Some(("uint8", json!(u8::MAX))),
                Some("u-int16") => Some(("uint16", json!(u16::MAX))),
                Some("u-int32") => Some(("uint32", json!(u32::MAX))),
                Some("u-int64") => Some(("uint64", json!(u64::MAX))),
                _ => None,
            };
            if let Some((format, most)) = unsigned {
                fields.insert("format".to_owned(), format.into());
                fields.entry("maximum").or_insert(most);
            }
            let bounds = match fields.get("format").and_then(Value::as_str) {
                Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
                Some("int64") => Some((json!(i64::MIN), json!(i64::MAX))),
                _ => None,
            };
            if let Some((least, most)) = bounds {
                fields.entry("minimum").or_insert(least);
                fields.entry("maximum").or_insert(most);
            }
            fields.values_mut().for_each(bound_integers);
        }
        _ => {}
    }
}
