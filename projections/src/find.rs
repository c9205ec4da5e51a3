//! Finding a thing by what a person types: an id, the start of an id, a name. Reads only.

use rusqlite::{Connection, params};
use spark_events::limits::{
    FIND_CANDIDATES_MAX, FIND_NAMES_MAX, FIND_PREFIX_DIGITS_MIN, FIND_SUGGESTIONS_MAX,
};
use uuid::Uuid;

use crate::columns::{Columns, signed};
use crate::error::QueryError;

/// What a text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<I> {
    /// Exactly one thing.
    One(I),
    /// Nothing.
    None {
        /// Names that are nearly the text, the nearest first.
        suggestions: Vec<String>,
    },
    /// More than one thing; some of them.
    Many(Vec<I>),
}

impl<I> Found<I> {
    /// The same with the ids turned into another type.
    pub(crate) fn map<J>(self, wrap: impl Fn(I) -> J) -> Found<J> {
        match self {
            Self::One(id) => Found::One(wrap(id)),
            Self::None { suggestions } => Found::None { suggestions },
            Self::Many(ids) => Found::Many(ids.into_iter().map(wrap).collect()),
        }
    }

    /// `None` where the ids do not decide.
    fn of(mut ids: Vec<I>) -> Option<Self> {
        match ids.len() {
            0 => None,
            1 => ids.pop().map(Self::One),
            _ => Some(Self::Many(ids)),
        }
    }
}

/// How the things of one table may be named.
pub(crate) struct Finder {
    pub(crate) table: &'static str,
    /// Columns that a name is compared with, the first one also for near misses.
    pub(crate) names: &'static [&'static str],
    /// Whether the table marks deleted rows.
    pub(crate) keeps_deleted: bool,
}

impl Finder {
    /// In this order, the first that fits something decides: the full id, each name as it is, each
    /// name in other letter case, the start of an id. What is deleted is thought of only where
    /// nothing living fits.
    pub(crate) fn find(&self, conn: &Connection, text: &str) -> Result<Found<Uuid>, QueryError> {
        let text = text.trim();
        if let Ok(id) = Uuid::parse_str(text)
            && self.has(conn, id)?
        {
            return Ok(Found::One(id));
        }
        let sorts =
            if self.keeps_deleted { &[" AND deleted = 0", " AND deleted = 1"][..] } else { &[""] };
        for sort in sorts {
            if let Some(found) = self.find_among(conn, text, sort)? {
                return Ok(found);
            }
        }
        Ok(Found::None { suggestions: self.near_misses(conn, text)? })
    }

    /// By name, then by the start of an id, among the rows of one sort.
    fn find_among(
        &self,
        conn: &Connection,
        text: &str,
        sort: &str,
    ) -> Result<Option<Found<Uuid>>, QueryError> {
        for comparison in ["", " COLLATE NOCASE"] {
            for name in self.names {
                let condition = format!("{name} = ?1{comparison}{sort}");
                if let Some(found) = Found::of(self.named(conn, &condition, text)?) {
                    return Ok(Some(found));
                }
            }
        }
        let Some((low, high)) = prefix_range(text) else { return Ok(None) };
        let sql = format!(
            "SELECT id FROM {} WHERE id BETWEEN ?1 AND ?2{sort} ORDER BY id LIMIT {}",
            self.table, FIND_CANDIDATES_MAX
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let ids = statement.query_map(params![low, high], |row| row.id(0))?;
        Ok(Found::of(ids.collect::<rusqlite::Result<Vec<_>>>()?))
    }

    fn and_living(&self) -> &'static str {
        if self.keeps_deleted { " AND deleted = 0" } else { "" }
    }

    fn has(&self, conn: &Connection, id: Uuid) -> rusqlite::Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE id = ?1", self.table);
        conn.prepare_cached(&sql)?.exists([id.into_bytes()])
    }

    fn named(&self, conn: &Connection, condition: &str, text: &str) -> rusqlite::Result<Vec<Uuid>> {
        let sql = format!(
            "SELECT id FROM {} WHERE {condition} ORDER BY seq LIMIT {}",
            self.table, FIND_CANDIDATES_MAX
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let ids = statement.query_map([text], |row| row.id(0))?;
        ids.collect()
    }

    fn near_misses(&self, conn: &Connection, text: &str) -> Result<Vec<String>, QueryError> {
        let Some(name) = self.names.first() else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT DISTINCT {name} FROM {} WHERE {name} IS NOT NULL{} LIMIT ?1",
            self.table,
            self.and_living()
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let names = statement.query_map([signed(FIND_NAMES_MAX as u64)], |row| row.get(0))?;
        Ok(near_misses(text, names.collect::<rusqlite::Result<Vec<String>>>()?))
    }
}

/// The names that are nearly a text, the nearest first.
#[must_use]
pub fn near_misses(text: &str, names: Vec<String>) -> Vec<String> {
    let typed = text.to_lowercase();
    // A third of the letters may differ: more is another word.
    let distance_max = (typed.chars().count() / 3).max(2);
    let distance = |name: &str| {
        let lower = name.to_lowercase();
        let is_part = lower.contains(&typed) && typed.chars().count() >= 3;
        if is_part { 0 } else { strsim::levenshtein(&lower, &typed) }
    };
    let near = names.into_iter().map(|name| (distance(&name), name));
    let mut near: Vec<_> = near.filter(|(distance, _)| *distance <= distance_max).collect();
    near.sort();
    near.truncate(FIND_SUGGESTIONS_MAX);
    near.into_iter().map(|(_, name)| name).collect()
}

/// The first and the last id that begin with these hexadecimal digits (dashes do not count).
pub(crate) fn prefix_range(text: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let legal = (FIND_PREFIX_DIGITS_MIN..=32).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !legal {
        return None;
    }
    let bound = |fill: &str| {
        let padded = digits.clone() + &fill.repeat(32 - digits.len());
        u128::from_str_radix(&padded, 16).ok().map(u128::to_be_bytes)
    };
    Some((bound("0")?, bound("f")?))
}

#[cfg(test)]
mod tests {
    use super::prefix_range;

    #[test]
    fn the_start_of_an_id_is_a_range_of_ids() {
        let (low, high) = prefix_range("0192-F3a").unwrap();
        assert_eq!(
            (low[..4].to_vec(), high[..4].to_vec()),
            (vec![1, 0x92, 0xf3, 0xa0], vec![1, 0x92, 0xf3, 0xaf])
        );
        assert!(low[4..].iter().all(|b| *b == 0) && high[4..].iter().all(|b| *b == 0xff));
        for text in ["019", "word", "", "0192g", &"0".repeat(33)] {
            assert_eq!(prefix_range(text), None, "{text}");
        }
    }
}
