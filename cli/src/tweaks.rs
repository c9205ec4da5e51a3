//! `--tweak Component.field=value` as the API wants it. Never asks whether the component exists.

use serde_json::{Map, Value};

use crate::exit::Trouble;

/// One value to set over a flow's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tweak {
    component: String,
    field: String,
    value: Value,
}

/// Reads `Component.field=value`. The value is JSON where it can be read as such, else text.
pub(crate) fn parse(text: &str) -> Result<Tweak, String> {
    let form = "write it like Component.field=value, for example OpenAIModel-x1y2z.temperature=0.2";
    let (path, value) = text.split_once('=').ok_or_else(|| format!("there is no `=`; {form}"))?;
    // Names of components may hold dots, names of fields never do.
    let (component, field) =
        path.rsplit_once('.').ok_or_else(|| format!("there is no `.` before the `=`; {form}"))?;
    if component.trim().is_empty() || field.trim().is_empty() {
        return Err(format!("component or field is empty; {form}"));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok(Tweak { component: component.trim().to_owned(), field: field.trim().to_owned(), value })
}

/// All tweaks as `{component: {field: value}}`; `None` without any.
pub(crate) fn to_json(tweaks: &[Tweak]) -> Result<Option<Value>, Trouble> {
    let mut all: Map<String, Value> = Map::new();
    for tweak in tweaks {
        let fields = all.entry(tweak.component.clone()).or_insert_with(|| Map::new().into());
        let before = fields
            .as_object_mut()
            .and_then(|fields| fields.insert(tweak.field.clone(), tweak.value.clone()));
        if before.is_some() {
            let name = format!("{}.{}", tweak.component, tweak.field);
            return Err(
                Trouble::usage(format!("--tweak {name} is given twice")).then("give it once")
            );
        }
    }
    Ok((!all.is_empty()).then(|| all.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_json_or_else_text() {
        let table = [
            ("Model.temperature=0.2", "Model", "temperature", json!(0.2)),
            ("Model.stream=true", "Model", "stream", json!(true)),
            ("Model.name=gpt-4", "Model", "name", json!("gpt-4")),
            ("Model.name=\"4\"", "Model", "name", json!("4")),
            ("Model.stop=[\"a\"]", "Model", "stop", json!(["a"])),
            ("Prompt-1.template=a=b {x}", "Prompt-1", "template", json!("a=b {x}")),
            ("My.Part.field=", "My.Part", "field", json!("")),
            ("Chat Input.text=null", "Chat Input", "text", json!(null)),
            ("A.zip=007", "A", "zip", json!("007")),
        ];
        for (text, component, field, value) in table {
            let tweak = parse(text).unwrap();
            assert_eq!(
                (tweak.component.as_str(), tweak.field.as_str()),
                (component, field),
                "{text}"
            );
            assert_eq!(tweak.value, value, "{text}");
        }
    }

    #[test]
    fn a_tweak_of_another_form_is_refused_with_the_right_one() {
        for text in ["Model", "Model.field", "field=1", ".field=1", "Model.=1", "=1", ""] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("Component.field=value"), "{text}: {error}");
        }
    }

    #[test]
    fn tweaks_are_grouped_by_component() {
        let tweaks: Vec<Tweak> =
            ["A.x=1", "B.y=2", "A.z=3"].iter().map(|text| parse(text).unwrap()).collect();
        let json = to_json(&tweaks).unwrap().unwrap();
        assert_eq!(json, json!({"A": {"x": 1, "z": 3}, "B": {"y": 2}}));
        assert_eq!(to_json(&[]).unwrap(), None);
        let twice: Vec<Tweak> =
            ["A.x=1", "A.x=2"].iter().map(|text| parse(text).unwrap()).collect();
        assert!(to_json(&twice).unwrap_err().what.contains("A.x"));
    }
}
