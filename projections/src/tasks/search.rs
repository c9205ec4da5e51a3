//! Makes the texts of tasks searchable, behind the lists and in small pieces: finding the words of
//! a text costs more than all rows of its task, so the lists do not wait for it.
//!
//! Reads what the projection has stored, in the order of the log, and remembers how far it came. A
//! text that is stored apart from its event is not read, so it cannot be found by its words. The
//! index keeps which words a task has and nothing else: no text, no place in a text. A task whose
//! texts come in several pieces gets its words added piece by piece.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use spark_events::Payload;
use spark_events::domain::failure::Failure;
use spark_events::limits::{SEARCH_PIECE_TEXTS_MAX, SEARCH_TEXT_BYTES_MAX};

use super::words::Words;
use crate::columns::signed;

/// What one piece of work came to.
pub(crate) struct Indexed {
    /// The last text that can be found now.
    pub(crate) place: i64,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// The texts after a place, each with its place and its task: inputs and outputs, and failures.
const TEXTS: &str = "SELECT seq AS place, coalesce(task, seq) AS task, payload, 0 AS failed
    FROM tasks_texts WHERE seq > ?1
    UNION ALL SELECT place, seq, failure, 1 FROM tasks_attempts WHERE place > ?1
    ORDER BY place LIMIT ?2";

/// How far the index is.
pub(crate) fn place(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT place FROM tasks_search")?.query_row([], |row| row.get(0))
}

/// Indexes the next texts, in the caller's transaction.
pub(crate) fn advance(conn: &Connection) -> rusqlite::Result<Indexed> {
    let mut place = place(conn)?;
    let limit = signed(SEARCH_PIECE_TEXTS_MAX as u64);
    // Ascending rowids, each once, are what the index takes in one go.
    let mut tasks: BTreeMap<i64, Words> = BTreeMap::new();
    let mut count = 0;
    let mut statement = conn.prepare_cached(TEXTS)?;
    let mut rows = statement.query(params![place, limit])?;
    while let Some(row) = rows.next()? {
        place = row.get(0)?;
        count += 1;
        add(tasks.entry(row.get(1)?).or_default(), row.get_ref(2)?.as_str()?, row.get(3)?);
    }
    drop(rows);
    let mut insert =
        conn.prepare_cached("INSERT INTO tasks_words (rowid, words) VALUES (?1, ?2)")?;
    for (task, words) in &tasks {
        if let Some(words) = words.joined() {
            insert.execute(params![task, words])?;
        }
    }
    if count > 0 {
        conn.prepare_cached("UPDATE tasks_search SET place = ?1")?.execute([place])?;
    }
    Ok(Indexed { place, more: count >= limit })
}

/// A text that is not what it should be has no words; the row itself tells of the damage.
fn add(words: &mut Words, json: &str, is_failure: bool) {
    if is_failure {
        let Ok(failure) = serde_json::from_str::<Failure>(json) else { return };
        let mut room = SEARCH_TEXT_BYTES_MAX;
        words.add(failure.class.as_str(), &mut room);
        for text in [Some(&failure.message), failure.component.as_ref(), failure.body.as_ref()] {
            words.add(text.map_or("", String::as_str), &mut room);
        }
    } else if let Ok(Payload::Inline(value)) = serde_json::from_str(json) {
        words.add_json(&value);
    }
}
