//! What each component makes of its inputs. Owns the imitation of the components; never records
//! anything.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::library;
use super::plan::{Kind, Node};
use super::run::{Event, Failure, Mode, Run};
use super::state::{State, now, spawn};

/// The longest wait that a component can be told.
const SECONDS_MAX: f64 = 1.0e9;

/// One component at work.
pub(super) struct Work<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) run: &'a Run,
    pub(super) node: &'a Node,
    /// What the nodes before it made.
    pub(super) texts: &'a [String],
}

impl Work<'_> {
    pub(super) async fn make(
        &self,
        place: usize,
        message_id: &mut Option<String>,
    ) -> Result<String, Failure> {
        let asked = self.run.ask.input_value.as_ref();
        let takes = |kinds: [&str; 2]| kinds.contains(&self.run.ask.input_type.as_str());
        match self.node.kind {
            Kind::ChatInput if takes(["chat", "any"]) || self.run.ask.input_type.is_empty() => {
                Ok(asked.cloned().unwrap_or_else(|| self.text("input_value")))
            }
            Kind::TextInput if takes(["text", "any"]) => {
                Ok(asked.cloned().unwrap_or_else(|| self.text("input_value")))
            }
            Kind::ChatOutput => Ok(self.filled(self.text("input_value"))),
            Kind::Webhook => Ok(self.text("data")),
            Kind::Hook => Ok(format!("hook got {}", self.text("payload"))),
            Kind::Prompt => Ok(self.prompt()),
            Kind::Fails => {
                Err(value_error(format!("deliberate failure on input {}", quoted(&self.text("input_value")))))
            }
            Kind::Model => Err(value_error(
                "OpenAI API key is required when using OpenAI provider. Please provide it in the component or \
                 configure it globally as OPENAI_API_KEY."
                    .to_owned(),
            )),
            Kind::Slow | Kind::Busy => self.wait().await,
            Kind::Tokens => self.words(place, message_id).await,
            Kind::ChatInput | Kind::TextInput | Kind::TextOutput => Ok(self.text("input_value")),
            Kind::Other => Ok(self.node.source().map(|source| self.texts[source].clone()).unwrap_or_default()),
        }
    }

    /// A field's value: what an edge brings, else a tweak, else the definition's.
    fn value(&self, field: &str) -> Value {
        if let Some((_, source)) = self.node.inputs.iter().find(|(name, _)| name == field) {
            return self.texts[*source].as_str().into();
        }
        self.tweak(field).or_else(|| self.node.fields.get(field)).cloned().unwrap_or_default()
    }

    fn text(&self, field: &str) -> String {
        match self.value(field) {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// Tweaks are keyed by node id, by display name, or by a bare field name that goes to every
    /// node that has the field.
    fn tweak(&self, field: &str) -> Option<&Value> {
        let tweaks = &self.run.ask.tweaks;
        if tweaks.is_empty() {
            return None;
        }
        let of_node = tweaks.get(&self.node.id).or_else(|| tweaks.get(&self.node.display_name));
        of_node
            .and_then(|fields| fields.get(field))
            .or_else(|| tweaks.get(field).filter(|value| !value.is_object()))
            .filter(|_| self.node.fields.contains_key(field))
    }

    fn prompt(&self) -> String {
        let template = self.text("template");
        library::variables(&template).iter().fold(template, |made, variable| {
            made.replace(&format!("{{{variable}}}"), &self.text(variable))
        })
    }

    fn filled(&self, mut text: String) -> String {
        if let Some(missing) =
            self.state.options.answer_bytes.and_then(|size| size.checked_sub(text.len()))
        {
            text.extend(std::iter::repeat_n('.', missing));
        }
        text
    }

    fn number(&self, field: &str) -> Result<f64, Failure> {
        let value = self.value(field);
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        number.ok_or_else(|| {
            let shown = quoted(&self.text(field));
            value_error(format!(
                "1 validation error for FloatInput\nvalue\n  Value error, Could not convert {shown} to float for \
                 input {field}. [type=value_error, input_value={shown}, input_type=str]\n    For further \
                 information visit https://errors.pydantic.dev/2.13/v/value_error"
            ))
        })
    }

    async fn wait(&self) -> Result<String, Failure> {
        let seconds = self.number("seconds")?;
        let input = self.text("input_value");
        let marker = self.text("marker");
        let text = format!("waited {seconds:?} s: {input}");
        let state = Arc::clone(self.state);
        let work = async move {
            state.gate.wait(Duration::from_secs_f64(seconds.clamp(0.0, SECONDS_MAX))).await;
            mark(&marker, &input);
        };
        if self.node.kind == Kind::Busy {
            // A blocked thread cannot be interrupted, so its work is on its own.
            drop(spawn(work).await);
        } else {
            work.await;
        }
        Ok(text)
    }

    async fn words(
        &self,
        place: usize,
        message_id: &mut Option<String>,
    ) -> Result<String, Failure> {
        let pause = Duration::from_secs_f64(self.number("pause")?.clamp(0.0, SECONDS_MAX));
        let input = self.text("input_value");
        let mut made = String::new();
        for word in input.split_whitespace() {
            sleep_until(Instant::now() + pause).await;
            let chunk = format!("{word} ");
            made.push_str(&chunk);
            if self.run.mode != Mode::Stream {
                continue;
            }
            let first = message_id.is_none();
            let message_id = message_id.get_or_insert_with(|| self.state.new_id()).clone();
            if first {
                let partial = Event::Partial {
                    node: place,
                    message_id: message_id.clone(),
                    chunk: chunk.clone(),
                    at: now(),
                };
                self.run.tell(partial);
            }
            self.run.tell(Event::Token { message_id, chunk });
        }
        Ok(made)
    }
}

fn mark(marker: &str, input: &str) {
    if !marker.is_empty() {
        let file = OpenOptions::new().append(true).create(true).open(marker);
        let written = file.and_then(|mut file| writeln!(file, "done {input}"));
        written
            .unwrap_or_else(|error| panic!("the marker file {marker} cannot be written: {error}"));
    }
}

fn value_error(text: String) -> Failure {
    Failure { error_type: "ValueError", text }
}

/// As Python's `repr` shows a text.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if escaped.contains('\'') && !escaped.contains('"') {
        return format!("\"{escaped}\"");
    }
    format!("'{}'", escaped.replace('\'', "\\'"))
}
