//! A text as the words that it is found by, and a question as the same words. Pure; knows no table.

use spark_events::limits::{SEARCH_TEXT_BYTES_MAX, SEARCH_WORD_BYTES_MAX, SEARCH_WORDS_MAX};

use crate::error::QueryError;

/// Calls with each word of a text: letters and digits in a row, in lower case. Of writing that
/// puts no spaces between words, each character is one.
fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    for c in text.chars() {
        let alone = stands_alone(c);
        if (alone || !c.is_alphanumeric()) && !word.is_empty() {
            take(&word);
            word.clear();
        }
        if alone {
            take(c.encode_utf8(&mut [0; 4]));
        } else if c.is_alphanumeric() {
            // A word over the bound is found by its start, and by nothing longer.
            for lower in c.to_lowercase() {
                if word.len() + lower.len_utf8() <= SEARCH_WORD_BYTES_MAX {
                    word.push(lower);
                }
            }
        }
    }
    if !word.is_empty() {
        take(&word);
    }
}

/// Characters of Chinese, Japanese and Korean.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// The words of one task's texts, each once.
#[derive(Default)]
pub(super) struct Words {
    found: std::collections::HashSet<String>,
}

impl Words {
    /// Adds the start of a text, as far as it is searched.
    pub(super) fn add(&mut self, text: &str, room: &mut usize) {
        let mut end = text.len().min(*room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        *room -= end;
        each_word(&text[..end], |word| {
            if !self.found.contains(word) {
                self.found.insert(word.to_owned());
            }
        });
    }

    /// Adds the texts inside a JSON value, in their order; names of fields do not count.
    pub(super) fn add_json(&mut self, value: &serde_json::Value) {
        let mut room = SEARCH_TEXT_BYTES_MAX;
        self.add_value(value, &mut room);
    }

    fn add_value(&mut self, value: &serde_json::Value, room: &mut usize) {
        use serde_json::Value;
        match value {
            Value::String(text) => self.add(text, room),
            Value::Number(number) => self.add(&number.to_string(), room),
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item, room)),
            Value::Object(fields) => fields.values().for_each(|item| self.add_value(item, room)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The words as the index takes them; `None` where there is none.
    pub(super) fn joined(&self) -> Option<String> {
        let words: Vec<&str> = self.found.iter().map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// What the index is asked for: every word of the text, in any order; a word with a star behind it
/// stands for all that begin like it.
pub(super) fn search_expression(text: &str) -> Result<String, QueryError> {
    let mut terms: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        each_word(part, |word| terms.push(format!("\"{word}\"")));
        if let (true, Some(last)) = (part.ends_with('*'), terms.last_mut()) {
            last.push('*');
        }
    }
    terms.dedup();
    if terms.is_empty() || terms.len() > SEARCH_WORDS_MAX {
        return Err(QueryError::BadSearch { words: terms.len() });
    }
    Ok(terms.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        assert_eq!(words("Hello, WORLD-42! a_b"), ["hello", "world", "42", "a", "b"]);
        assert_eq!(words("\u{c4}RGER stra\u{df}e"), ["\u{e4}rger", "stra\u{df}e"]);
        assert_eq!(words("日本go語"), ["日", "本", "go", "語"]);
        assert_eq!(words(&"x".repeat(500)), ["x".repeat(SEARCH_WORD_BYTES_MAX)]);
        assert!(words(" \"'*()-\n").is_empty());
    }

    #[test]
    fn a_question_can_not_speak_the_language_of_the_index() {
        for (text, expression) in [
            ("rate limit", "\"rate\" \"limit\""),
            ("\"a OR b\" NOT", "\"a\" \"or\" \"b\" \"not\""),
            ("words:x ^y NEAR(z)", "\"words\" \"x\" \"y\" \"near\" \"z\""),
            ("tim* out", "\"tim\"* \"out\""),
        ] {
            assert_eq!(search_expression(text).unwrap(), expression);
        }
        for text in ["", "  ", "*", "--", &"w ".repeat(SEARCH_WORDS_MAX + 1).replace("w ", "w x ")]
        {
            assert!(search_expression(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_start_of_a_text_is_searched() {
        let mut found = Words::default();
        let long = format!("first {} last", "-".repeat(SEARCH_TEXT_BYTES_MAX));
        found.add_json(&serde_json::json!([{ "text": long }, "unseen"]));
        assert_eq!(found.joined().as_deref(), Some("first"));
    }
}
