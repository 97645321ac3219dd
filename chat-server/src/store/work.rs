//! Work that is one transaction, written once for every database.

use chat_core::StoreError;

use sqlx::SqlStr;

use super::sql::{Sql, Value};

/// What is to be done in one transaction. It may be begun again from the start: because others were in its
/// way, or because nobody knows whether it was committed; then it must recognise what it has done.
pub(super) trait Work: Send + Sync {
    /// What comes of it.
    type Answer: Send + 'static;

    /// Does it. An error undoes it.
    fn carry_out(
        &self,
        sql: &mut impl Sql,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

/// A database that does it.
pub(super) trait Worker: Send + Sync + 'static {
    /// Does what changes something.
    fn write<W: Work + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<W::Answer, StoreError>> + Send;

    /// Does what only reads.
    fn read<W: Work + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<W::Answer, StoreError>> + Send;
}

/// Statements, one after the other. Answers how many rows they have changed.
pub(super) struct Statements<'a>(pub(super) &'a [(SqlStr, &'a [Value<'a>])]);

impl Work for Statements<'_> {
    type Answer = u64;

    async fn carry_out(&self, sql: &mut impl Sql) -> Result<u64, sqlx::Error> {
        let mut rows = 0;
        for (text, values) in self.0 {
            rows += sql.execute(text.clone(), values).await?.rows;
        }
        Ok(rows)
    }
}
