//! Texts that fit: width, cutting, wrapping, and the removal of what would move a cursor.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text in one line: control characters and line breaks become spaces, so that no name or
/// message can move a reader's cursor.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// A text of several lines without control characters other than line breaks.
pub(crate) fn harmless(text: &str) -> String {
    let tabs = text.replace('\t', "    ");
    tabs.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// A text of at most `columns` columns, cut with `…` where it is longer.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        kept.push(c);
    }
    let mut kept = kept.trim_end().to_owned();
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// A text padded with spaces to `columns` columns.
pub(crate) fn pad(text: &str, columns: usize, right: bool) -> String {
    let space = " ".repeat(columns.saturating_sub(width(text)));
    if right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// A text broken into lines of at most `columns` columns, at spaces where possible.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in harmless(text).lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let gap = usize::from(!line.is_empty());
            if width(&line) + gap + width(word) <= columns {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line = break_word(word, columns, &mut lines);
        }
        lines.push(line);
    }
    lines
}

/// Puts the full lines of a word that is wider than a line to `lines`, and gives back its rest.
fn break_word(word: &str, columns: usize, lines: &mut Vec<String>) -> String {
    let mut line = String::new();
    let mut used = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        used += wide;
        line.push(c);
    }
    line
}

/// An id as tables show it: the shortest prefix of at least 8 characters that no other of
/// `among` begins with. Ids made in time order (UUIDv7) begin alike, so for those that are not
/// all listed (`all` is false) the whole time stamp is kept.
pub(crate) fn short_id(id: &str, among: &[&str], all: bool) -> String {
    let ordered = id.len() == 36 && id.as_bytes().get(14) == Some(&b'7');
    let mut length = if ordered && !all { 13 } else { 8 };
    let clashes = |length: usize| {
        let prefix = id.get(..length).unwrap_or(id);
        among.iter().any(|other| *other != id && other.starts_with(prefix))
    };
    while length < id.len() && (clashes(length) || id.as_bytes()[length - 1] == b'-') {
        length += 1;
    }
    id.get(..length).unwrap_or(id).to_owned()
}

/// An id as it is shown where others like it are not in sight: with its whole time stamp, where it
/// has one, because ids of the same minute begin alike.
pub(crate) fn lone_id(id: &str) -> String {
    short_id(id, &[], false)
}

/// How many of something there are, with the word for one in the plural where it has to be.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes as people read it.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let (mut whole, mut rest) = (bytes, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (whole, rest, unit) = (whole / 1024, whole % 1024, unit + 1);
    }
    if unit == 0 || whole >= 10 {
        return format!("{whole} {}", UNITS[unit]);
    }
    format!("{whole}.{} {}", rest * 10 / 1024, UNITS[unit])
}

/// Those of `known` that may have been meant, best first.
pub(crate) fn near_misses<'a>(typed: &str, known: &[&'a str]) -> Vec<&'a str> {
    const FAR: f64 = 0.75;
    let likeness = |name: &str| strsim::jaro_winkler(&typed.to_lowercase(), &name.to_lowercase());
    let mut near: Vec<(f64, &str)> = known.iter().map(|name| (likeness(name), *name)).collect();
    near.retain(|(likeness, _)| *likeness > FAR);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_to_the_columns_it_may_take() {
        let table = [
            ("hello", 5, "hello"),
            ("hello", 4, "hel…"),
            ("hello world", 7, "hello…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("x", 0, ""),
        ];
        for (text, columns, expected) in table {
            let got = cut(text, columns);
            assert_eq!(got, expected, "{text} {columns}");
            assert!(width(&got) <= columns.max(width(expected)));
        }
    }

    #[test]
    fn a_text_wraps_at_spaces_and_inside_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        assert_eq!(wrap("", 5), Vec::<String>::new());
    }

    #[test]
    fn no_text_can_move_the_cursor() {
        assert_eq!(one_line("a\u{1b}[31mred\nb"), "a [31mred b");
        assert_eq!(harmless("a\u{1b}[2Jb\nc\td"), "a[2Jb\nc    d");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024 + 900, "10 KiB"),
            (5 * 1024 * 1024, "5.0 MiB"),
        ];
        for (number, expected) in table {
            assert_eq!(bytes(number), expected);
        }
    }

    #[test]
    fn one_of_something_is_not_told_in_the_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "event")), ["0 events", "1 event", "2 events"]);
    }

    #[test]
    fn a_near_miss_is_found_and_nothing_far() {
        let known = ["server", "api_key", "data_dir"];
        assert_eq!(near_misses("servr", &known), ["server"]);
        assert_eq!(near_misses("APIKEY", &known), ["api_key"]);
        assert!(near_misses("xyz", &known).is_empty());
    }

    #[test]
    fn a_short_id_is_unique_among_the_listed() {
        let v5 = "8b2c41f0-0a3e-5f6d-9c1b-2f4e5d6c7b8a";
        let a = "0193a7b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b";
        let b = "0193a7b4-1c2d-7e3f-9a9b-0c1d2e3f4a5b";
        let c = "0193a7b5-1c2d-7e3f-9a9b-0c1d2e3f4a5b";
        assert_eq!(short_id(v5, &[v5, a], false), "8b2c41f0");
        assert_eq!(short_id(c, &[a, b, c], true), "0193a7b5");
        assert_eq!(short_id(c, &[a, b, c], false), "0193a7b5-1c2d");
        assert_eq!(short_id(a, &[a, b, c], true), "0193a7b4-1c2d-7e3f-8");
        assert_eq!(short_id("abc", &["abc"], true), "abc");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("/a b"), "'/a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
