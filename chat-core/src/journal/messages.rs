//! What a journal understands, and what it says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::{Message, Recipient};

use crate::store::{Batch, BatchOutcome};

/// Consecutive writes to one room, to which the room may add until the journal takes them. So a
/// commit carries all that had come by the time it began, and not only what had come by the time
/// that the room first asked.
#[derive(Clone, Debug)]
pub(crate) struct OpenBatch(Arc<Mutex<Option<Batch>>>);

impl OpenBatch {
    pub(crate) fn new(batch: Batch) -> Self {
        Self(Arc::new(Mutex::new(Some(batch))))
    }

    /// Changes the batch, unless it has been taken.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Batch) -> T) -> Option<T> {
        self.lock().as_mut().map(change)
    }

    /// From here on the batch stays as it is.
    pub(crate) fn take(&self) -> Option<Batch> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Batch>> {
        // Nothing that runs under the lock leaves a batch half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Write this, and tell the room.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Commit {
    pub(crate) batch: OpenBatch,
    pub(crate) room: Recipient<Committed>,
    /// Since when it waits, by the clock's time that never goes back.
    pub(crate) since: Duration,
}

/// What became of a room's batch; `None` if the store failed, so that nobody knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Committed {
    pub(crate) outcome: Option<BatchOutcome>,
}
