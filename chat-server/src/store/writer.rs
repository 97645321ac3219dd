//! A connection that writes, lent to one call at a time. It comes back only from a call that ended
//! well. After an error, or when a call is dropped halfway, it is given up: some errors roll back on
//! their own and some do not, and nothing that such a call left undone can then reach the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::known::Known;

/// How a database is written to.
pub(super) trait Pen: Send + Sync + 'static {
    /// What it writes with.
    type Connection: Connection + Send + std::fmt::Debug + 'static;

    /// Opens a connection that is ready to write.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Whether the next call is to wait until a connection that was given up has ended. It works
    /// through what it was asked, a commit perhaps, before it does.
    const ALONE: bool;
    /// After how long without a call a connection is given up for a new one, because the other side
    /// may have closed it.
    const IDLE: Duration;
}

/// Where the connection waits for the next call.
#[derive(Debug)]
pub(super) struct Writer<P: Pen> {
    options: P,
    slot: Arc<Mutex<Slot<P>>>,
}

#[derive(Debug)]
enum Slot<P: Pen> {
    Ready(Box<Opened<P>>),
    /// There is no connection yet, or the last one was given up; the next call opens one.
    Empty,
    Closed,
}

/// The connection, with what it knows.
#[derive(Debug)]
struct Opened<P: Pen> {
    connection: P::Connection,
    known: Known,
    used: Instant,
}

impl<P: Pen> Writer<P> {
    /// A writer that connects when it is first needed.
    pub(super) fn new(options: P) -> Self {
        Self { options, slot: Arc::new(Mutex::new(Slot::Empty)) }
    }

    /// Waits for the connection. Callers get it in the order in which they asked.
    pub(super) async fn lend(&self) -> Result<Lent<P>, sqlx::Error> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        let opened = match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Ready(opened) if opened.used.elapsed() < P::IDLE => opened,
            Slot::Ready(_) | Slot::Empty => {
                let connection = self.options.open().await?;
                let (known, used) = (Known::default(), Instant::now());
                Box::new(Opened { connection, known, used })
            }
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(sqlx::Error::PoolClosed);
            }
        };
        Ok(Lent { inner: Some((opened, slot)) })
    }

    /// Waits for the call that has the connection, then closes it for good.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        if let Slot::Ready(opened) = std::mem::replace(&mut *slot, Slot::Closed) {
            close(opened.connection).await;
        }
    }
}

/// Where a connection is put back.
type Place<P> = OwnedMutexGuard<Slot<P>>;

/// The connection, as long as one call has it.
pub(super) struct Lent<P: Pen> {
    /// Taken when the loan ends.
    inner: Option<(Box<Opened<P>>, Place<P>)>,
}

impl<P: Pen> Lent<P> {
    /// The connection, and what it knows.
    pub(super) fn parts(&mut self) -> (&mut P::Connection, &mut Known) {
        let inner = self.inner.as_mut();
        let (opened, _) =
            inner.expect("only `give_back` and `drop` take it, and both end the loan");
        (&mut opened.connection, &mut opened.known)
    }

    /// Gives the connection back, with no transaction open.
    pub(super) fn give_back(mut self) {
        if let Some((mut opened, mut slot)) = self.inner.take() {
            opened.used = Instant::now();
            *slot = Slot::Ready(opened);
        }
    }
}

impl<P: Pen> Drop for Lent<P> {
    fn drop(&mut self) {
        let Some((opened, slot)) = self.inner.take() else { return };
        let slot = P::ALONE.then_some(slot);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                close(opened.connection).await;
                drop(slot);
            });
        }
    }
}

async fn close(connection: impl Connection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection was not closed cleanly; nothing committed is lost");
    }
}
