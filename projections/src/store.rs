//! The readers: a small pool of read-only connections used from blocking threads, and paging. Each
//! read model adds its own queries in its own file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde::Serialize;
use spark_events::limits::{PAGE_DEFAULT, PAGE_MAX, READS_CONNECTIONS_MAX};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::columns::{blob, signed};
use crate::database::open_reader;
use crate::error::QueryError;
use crate::find::{Finder, Found};

/// Reads of the read models. A cheap handle. Every read sees one moment of the file.
#[derive(Clone)]
pub struct Reads(Arc<Pool>);

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Reads {
    /// Readers of the file at `path`. Opens it only when the first read comes.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self(Arc::new(Pool {
            path: path.to_owned(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(READS_CONNECTIONS_MAX)),
        }))
    }

    /// Runs one read on a blocking thread, in one transaction.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let permit = permit.map_err(|_| QueryError::Stopped)?;
        let pool = Arc::clone(&self.0);
        let work = tokio::task::spawn_blocking(move || {
            let pooled = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = match pooled {
                Some(conn) => conn,
                None => open_reader(&pool.path)?,
            };
            let answer = conn.transaction().map_err(QueryError::from).and_then(|tx| read(&tx));
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            // Only after the connection is back, so that `close` finds every one of them.
            drop(permit);
            answer
        });
        work.await.map_err(|_| QueryError::Stopped)?
    }

    /// The one row of a query whose only value is an id.
    pub(crate) async fn one<T: Send + 'static>(
        &self,
        sql: String,
        id: Uuid,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, QueryError> {
        self.read(move |conn| {
            Ok(conn.prepare_cached(&sql)?.query_row([blob(id)], read).optional()?)
        })
        .await
    }

    /// What a text stands for, among the things that a finder knows.
    pub(crate) async fn found<I: Send + 'static>(
        &self,
        finder: &'static Finder,
        text: &str,
        wrap: fn(Uuid) -> I,
    ) -> Result<Found<I>, QueryError> {
        let text = text.to_owned();
        self.read(move |conn| Ok(finder.find(conn, &text)?.map(wrap))).await
    }

    /// Waits for the reads under way and closes every connection. Later reads answer `Stopped`.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(READS_CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let permits = self.0.permits.acquire_many(all).await;
        self.0.permits.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(permits);
    }
}

/// Which rows of a list are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many, from 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// How many to pass over. Costs time in proportion; a cursor does not.
    pub offset: usize,
    /// Where the page before ended: its `next_cursor`. Excludes an offset.
    pub cursor: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: PAGE_DEFAULT, offset: 0, cursor: None }
    }
}

/// Some rows of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Rows in all pages together.
    pub total: u64,
    /// Whether there are more than `total`: they were not counted to their end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_capped: bool,
    /// The page's bound.
    pub limit: usize,
    /// Rows passed over.
    pub offset: usize,
    /// Whether a further page follows.
    pub has_more: bool,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// The same page with each row turned into something else.
    #[must_use]
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Listing<U> {
        let Self { items, total, total_is_capped, limit, offset, has_more, next_cursor } = self;
        let items = items.into_iter().map(turn).collect();
        Listing { items, total, total_is_capped, limit, offset, has_more, next_cursor }
    }
}

impl Page {
    /// The key that the page begins after, where a cursor names one.
    pub(crate) fn start(&self) -> Result<Option<i64>, QueryError> {
        if !(1..=PAGE_MAX).contains(&self.limit) {
            return Err(QueryError::BadLimit { got: self.limit });
        }
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        if self.offset > 0 {
            return Err(QueryError::CursorAndOffset);
        }
        let key = cursor.strip_prefix('k').and_then(|hex| i64::from_str_radix(hex, 16).ok());
        key.map(Some).ok_or_else(|| QueryError::BadCursor(cursor.clone()))
    }

    /// The answer, from the rows with their keys; one row more than the page holds says that
    /// another page follows.
    pub(crate) fn listing<T>(&self, mut rows: Vec<(i64, T)>, total: u64) -> Listing<T> {
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().map(|(key, _)| *key);
        Listing {
            next_cursor: last.filter(|_| has_more).map(|key| format!("k{key:x}")),
            items: rows.into_iter().map(|(_, row)| row).collect(),
            total,
            total_is_capped: false,
            limit: self.limit,
            offset: self.offset,
            has_more,
        }
    }
}

/// Conditions of a query with their values.
#[derive(Debug, Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Where {
    /// Adds a condition with one `?`, when there is a value for it.
    pub(crate) fn and<V: Into<Value>>(&mut self, condition: &str, value: Option<V>) {
        if let Some(value) = value {
            self.conditions.push(condition.to_owned());
            self.values.push(value.into());
        }
    }

    /// Adds a condition without a value.
    pub(crate) fn and_plain(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// The SQL, ` WHERE ...` or nothing.
    pub(crate) fn sql(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// A list over a small table: its rows are counted, not kept count of.
pub(crate) struct List {
    /// `SELECT` of the row's columns, with the joins.
    pub(crate) select: &'static str,
    /// The table with its alias.
    pub(crate) from: &'static str,
    /// The column that orders the list.
    pub(crate) key: &'static str,
    pub(crate) newest_first: bool,
}

impl List {
    pub(crate) fn page<T>(
        &self,
        conn: &Connection,
        mut conditions: Where,
        page: &Page,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Listing<T>, QueryError> {
        let start = page.start()?;
        let count = format!("SELECT count(*) FROM {}{}", self.from, conditions.sql());
        let total: i64 = conn
            .prepare_cached(&count)?
            .query_row(params_from_iter(conditions.values()), |row| row.get(0))?;
        let (side, order) = if self.newest_first { ("<", "DESC") } else { (">", "ASC") };
        conditions.and(&format!("{} {side} ?", self.key), start);
        let sql = format!(
            "{}{} ORDER BY {} {order} LIMIT {} OFFSET {}",
            self.select,
            conditions.sql(),
            self.key,
            page.limit + 1,
            signed(page.offset as u64),
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params_from_iter(conditions.values()), |row| {
                Ok((row.get("seq")?, read(row)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(page.listing(rows, crate::columns::unsigned(total)))
    }
}
