//! The connection that writes, lent to one call at a time. It comes back only from a call that
//! ended well. After an error, or when a call is dropped halfway, it is closed: SQLite rolls some
//! errors back on its own, and nothing that such a call left undone can then reach the next one.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::known::Known;

/// Where the connection waits for the next call.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug)]
enum Slot {
    Ready(Box<Pen>),
    /// The last connection was given up; the next call opens another.
    Empty,
    Closed,
}

/// The connection, with what it knows.
#[derive(Debug)]
struct Pen {
    connection: SqliteConnection,
    known: Known,
}

impl Writer {
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        let pen = Box::new(Pen { connection, known: Known::default() });
        Self { options, slot: Arc::new(Mutex::new(Slot::Ready(pen))) }
    }

    /// Waits for the connection. Callers get it in the order in which they asked.
    pub(super) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        let pen = match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(pen) => pen,
            Slot::Empty => {
                let connection = self.options.connect().await?;
                Box::new(Pen { connection, known: Known::default() })
            }
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(sqlx::Error::PoolClosed);
            }
        };
        Ok(Lent { inner: Some((pen, slot)) })
    }

    /// Waits for the call that has the connection, then closes it for good.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        if let Slot::Ready(pen) = std::mem::replace(&mut *slot, Slot::Closed) {
            close(pen.connection).await;
        }
    }
}

/// The connection, as long as one call has it.
pub(super) struct Lent {
    /// Taken when the loan ends.
    inner: Option<(Box<Pen>, OwnedMutexGuard<Slot>)>,
}

impl Lent {
    /// The connection, and what it knows.
    pub(super) fn parts(&mut self) -> (&mut SqliteConnection, &mut Known) {
        let inner = self.inner.as_mut();
        let (pen, _) = inner.expect("only `give_back` and `drop` take it, and both end the loan");
        (&mut pen.connection, &mut pen.known)
    }

    /// Gives the connection back, with no transaction open.
    pub(super) fn give_back(mut self) {
        if let Some((pen, mut slot)) = self.inner.take() {
            *slot = Slot::Ready(pen);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((pen, slot)) = self.inner.take() else { return };
        // The connection works through what it was asked, a commit perhaps, before it closes.
        // Nobody else writes until then, so that at most one connection ever hangs on a disk that
        // does not answer.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                close(pen.connection).await;
                drop(slot);
            });
        }
    }
}

/// Begins a transaction that may write from the start, so that what it reads stays true until it
/// ends. If it is dropped, it is rolled back.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
    connection.begin_with("BEGIN IMMEDIATE").await
}

async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the connection was not closed cleanly; nothing committed is lost");
    }
}
