//! Work that is one transaction, written once for every database.

use chat_core::StoreError;

use super::sql::Sql;

/// What is to be done in one transaction. It may be begun again from the start: because others were in its
/// way, or because nobody knows whether it was committed; then it must recognise what it has done.
pub(super) trait Work: Send + Sync + 'static {
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
    fn write<W: Work>(&self, work: W)
    -> impl Future<Output = Result<W::Answer, StoreError>> + Send;

    /// Does what only reads.
    fn read<W: Work>(&self, work: W) -> impl Future<Output = Result<W::Answer, StoreError>> + Send;
}
