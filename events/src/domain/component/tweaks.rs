//! Checks tweaks against a flow's components. LangFlow ignores a tweak of an unknown component or
//! field without a word, so a misspelt one must be found here.

use serde_json::Value;

use super::Component;

/// Why tweaks cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTweaks {
    /// They are not an object.
    #[error("tweaks must be a JSON object: {{\"component id\": {{\"field\": value}}}}")]
    NotAnObject,
    /// The flow has no such component, and no component has such a field.
    #[error(
        "the flow has no component {asked:?}{hint}; see its components: automagik flow show FLOW --components"
    )]
    UnknownComponent {
        /// What was named.
        asked: String,
        /// The likely meaning, as ` (did you mean X?)`, or what there is.
        hint: String,
    },
    /// The component has no such field, or an edge or LangFlow itself sets it.
    #[error("component {component} has no field {asked:?} that a tweak can set{hint}")]
    UnknownField {
        /// The component's id.
        component: String,
        /// What was named.
        asked: String,
        /// The likely meaning, as ` (did you mean X?)`, or what there is.
        hint: String,
    },
    /// Code cannot be tweaked; LangFlow refuses it.
    #[error("the code of component {component} cannot be set by a tweak; change it in LangFlow")]
    Code {
        /// The component's id.
        component: String,
    },
    /// A secret would be stored in plain text.
    #[error(
        "field {field} of component {component} is a secret, and tweaks are stored as they are \
         given; set it in LangFlow, best as a global variable"
    )]
    Secret {
        /// The component's id.
        component: String,
        /// The field.
        field: String,
    },
    /// The value is of another type than the field.
    #[error("field {field} of component {component} takes {wanted}, not {got}")]
    WrongType {
        /// The component's id.
        component: String,
        /// The field.
        field: String,
        /// What it takes.
        wanted: String,
        /// What was given.
        got: &'static str,
    },
    /// The field takes one of a few values.
    #[error("field {field} of component {component} cannot be {asked:?}{hint}")]
    NoOption {
        /// The component's id.
        component: String,
        /// The field.
        field: String,
        /// What was given.
        asked: String,
        /// The likely meaning, as ` (did you mean X?)`, or what there is.
        hint: String,
    },
}

/// Checks that every tweak names a component (by id or display name) and a field of it that can
/// be set, or is a bare field name that some component has.
///
/// # Errors
/// The first tweak that LangFlow would ignore or refuse.
pub fn check_tweaks(components: &[Component], tweaks: &Value) -> Result<(), BadTweaks> {
    let tweaks = tweaks.as_object().ok_or(BadTweaks::NotAnObject)?;
    for (asked, value) in tweaks {
        let named: Vec<&Component> =
            components.iter().filter(|c| c.id == *asked || c.name == *asked).collect();
        match (named.as_slice(), value) {
            ([], _) if has_field(components, asked) => {}
            ([], _) => return Err(unknown_component(components, asked)),
            (named, Value::Object(fields)) => {
                for field in fields.keys() {
                    check_field(named, field)?;
                }
            }
            _ => return Err(BadTweaks::NotAnObject),
        }
    }
    Ok(())
}

fn has_field(components: &[Component], asked: &str) -> bool {
    components.iter().any(|component| component.tweakable.iter().any(|field| field == asked))
}

fn unknown_component(components: &[Component], asked: &str) -> BadTweaks {
    let known = components.iter().flat_map(|c| [c.id.as_str(), c.name.as_str()]);
    let all = components.iter().map(|component| component.id.as_str());
    BadTweaks::UnknownComponent { asked: asked.to_owned(), hint: hint(asked, known, all) }
}

fn check_field(named: &[&Component], asked: &str) -> Result<(), BadTweaks> {
    let fields =
        || named.iter().flat_map(|component| component.tweakable.iter().map(String::as_str));
    if fields().any(|field| field == asked) {
        return Ok(());
    }
    let component =
        named.iter().map(|component| component.id.as_str()).collect::<Vec<_>>().join(", ");
    if asked == "code" {
        return Err(BadTweaks::Code { component });
    }
    let hint = hint(asked, fields(), fields());
    Err(BadTweaks::UnknownField { component, asked: asked.to_owned(), hint })
}

pub(super) fn hint<'a>(
    asked: &str,
    known: impl Iterator<Item = &'a str>,
    all: impl Iterator<Item = &'a str>,
) -> String {
    let lower = asked.to_lowercase();
    let near = known
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min();
    if let Some((_, name)) = near {
        return format!(" (did you mean {name:?}?)");
    }
    let all: Vec<&str> = all.collect();
    if all.is_empty() { String::new() } else { format!(" (it has: {})", all.join(", ")) }
}

/// Edit distance: letters to insert, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
