//! One way to speak to every database: a text with question marks, and values for them. What is
//! asked is counted, so that a test can compare it with what the database has counted itself.

use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::{Timestamp, UserId};
use sqlx::mysql::MySqlRow;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, MySql, MySqlConnection, SqlStr, Sqlite, SqliteConnection};
use uuid::Uuid;

/// Names the text of a statement.
macro_rules! sql {
    ($name:ident, $text:expr) => {
        const $name: SqlStr = SqlStr::from_static($text);
    };
}
pub(super) use sql;

/// A value for a question mark.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// An id or a fingerprint.
    Sixteen([u8; 16]),
    Null,
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<[u8; 16]> for Value<'_> {
    fn from(bytes: [u8; 16]) -> Self {
        Self::Sixteen(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

pub(super) fn id(user: UserId) -> Value<'static> {
    user.uuid().into_bytes().into()
}

pub(super) fn uuid(id: Uuid) -> Value<'static> {
    id.into_bytes().into()
}

pub(super) fn ms(time: Timestamp) -> Value<'static> {
    time.timestamp_millis().into()
}

/// A row with an id, of which only matters whether it is there.
pub(super) type Ids = (Vec<u8>,);

/// A row of an answer, whichever database gives it.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}

impl<T> Row for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}

/// What a statement has done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// How many rows it changed or, where the database tells them apart, found.
    pub(super) rows: u64,
    /// The number that the last new row was given.
    pub(super) id: i64,
}

/// How many statements a store has sent since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryCounts {
    /// Questions (`SELECT`).
    pub selects: u64,
    /// New rows (`INSERT`), however many in one statement.
    pub inserts: u64,
    /// Changes of rows that are there (`UPDATE`), and checks of them that change nothing.
    pub updates: u64,
    /// Removals (`DELETE`).
    pub deletes: u64,
    /// Transactions that were committed; of statements that are one of their own, only those that
    /// write messages.
    pub commits: u64,
}

/// Counts statements.
#[derive(Debug, Default)]
pub(super) struct Queries {
    selects: AtomicU64,
    inserts: AtomicU64,
    updates: AtomicU64,
    deletes: AtomicU64,
    commits: AtomicU64,
}

impl Queries {
    fn count(&self, text: &str) {
        let counter = match text.split_ascii_whitespace().next() {
            Some("SELECT") => &self.selects,
            Some("INSERT") => &self.inserts,
            Some("UPDATE") => &self.updates,
            Some("DELETE") => &self.deletes,
            Some("COMMIT") => &self.commits,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a statement that was a transaction of its own.
    pub(super) fn count_commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> QueryCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QueryCounts {
            selects: read(&self.selects),
            inserts: read(&self.inserts),
            updates: read(&self.updates),
            deletes: read(&self.deletes),
            commits: read(&self.commits),
        }
    }
}

/// A connection whose statements are counted.
pub(super) struct Session<'c, C> {
    connection: &'c mut C,
    queries: &'c Queries,
}

impl<'c, C> Session<'c, C> {
    pub(super) fn new(connection: &'c mut C, queries: &'c Queries) -> Self {
        Self { connection, queries }
    }
}

/// Statements for a database.
pub(super) trait Sql: Send {
    /// Asks for rows.
    fn select<R: Row>(
        &mut self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<R>, sqlx::Error>> + Send;

    /// Changes rows.
    fn execute(
        &mut self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Done, sqlx::Error>> + Send;

    /// Executes a text without values, which may be several statements, parted by `; `, as it is: it
    /// is not prepared.
    fn execute_plain(
        &mut self,
        text: SqlStr,
    ) -> impl Future<Output = Result<Done, sqlx::Error>> + Send;

    /// Likewise, to begin or end a transaction, or to set something.
    fn run(&mut self, text: &'static str) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        async move { self.execute_plain(SqlStr::from_static(text)).await.map(drop) }
    }
}

impl Sql for Session<'_, SqliteConnection> {
    async fn select<R: Row>(
        &mut self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<R>, sqlx::Error> {
        self.queries.count(text.as_str());
        let rows = bind_sqlite(sqlx::query(text), values).fetch_all(&mut *self.connection).await?;
        rows.iter().map(R::from_row).collect()
    }

    async fn execute(&mut self, text: SqlStr, values: &[Value<'_>]) -> Result<Done, sqlx::Error> {
        self.queries.count(text.as_str());
        let done = bind_sqlite(sqlx::query(text), values).execute(&mut *self.connection).await?;
        Ok(Done { rows: done.rows_affected(), id: done.last_insert_rowid() })
    }

    async fn execute_plain(&mut self, text: SqlStr) -> Result<Done, sqlx::Error> {
        text.as_str().split("; ").for_each(|text| self.queries.count(text));
        let done = sqlx::raw_sql(text).execute(&mut *self.connection).await?;
        Ok(Done { rows: done.rows_affected(), id: done.last_insert_rowid() })
    }
}

fn bind_sqlite<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    values: &[Value<'_>],
) -> Query<'q, Sqlite, SqliteArguments> {
    values.iter().fold(query, |query, value| match *value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(text.to_owned()),
        Value::Bytes(bytes) => query.bind(bytes.to_vec()),
        Value::Sixteen(bytes) => query.bind(bytes.to_vec()),
        Value::Null => query.bind(None::<i64>),
    })
}

impl Sql for Session<'_, MySqlConnection> {
    async fn select<R: Row>(
        &mut self,
        text: SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<R>, sqlx::Error> {
        self.queries.count(text.as_str());
        let query = values.iter().fold(sqlx::query(text), bind_mysql);
        let rows = query.fetch_all(&mut *self.connection).await?;
        rows.iter().map(R::from_row).collect()
    }

    async fn execute(&mut self, text: SqlStr, values: &[Value<'_>]) -> Result<Done, sqlx::Error> {
        self.queries.count(text.as_str());
        let query = values.iter().fold(sqlx::query(text), bind_mysql);
        let done = query.execute(&mut *self.connection).await?;
        let id = i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX);
        Ok(Done { rows: done.rows_affected(), id })
    }

    async fn execute_plain(&mut self, text: SqlStr) -> Result<Done, sqlx::Error> {
        text.as_str().split("; ").for_each(|text| self.queries.count(text));
        let done = sqlx::raw_sql(text).execute(&mut *self.connection).await?;
        let id = i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX);
        Ok(Done { rows: done.rows_affected(), id })
    }
}

type MySqlQuery<'q> = Query<'q, MySql, sqlx::mysql::MySqlArguments>;

fn bind_mysql<'q>(query: MySqlQuery<'q>, value: &'q Value<'q>) -> MySqlQuery<'q> {
    match value {
        Value::Number(number) => query.bind(number),
        Value::Text(text) => query.bind(*text),
        Value::Bytes(bytes) => query.bind(*bytes),
        Value::Sixteen(bytes) => query.bind(&bytes[..]),
        Value::Null => query.bind(None::<i64>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_kind() {
        let queries = Queries::default();
        for text in ["SELECT 1", "INSERT INTO t", "UPDATE t", "DELETE FROM t", "COMMIT", "BEGIN"] {
            queries.count(text);
        }
        let one = QueryCounts { selects: 1, inserts: 1, updates: 1, deletes: 1, commits: 1 };
        assert_eq!(queries.counts(), one);
    }
}
