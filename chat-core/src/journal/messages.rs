//! What a journal understands, and what it says.

use actix::prelude::{Message, Recipient};

use crate::store::{Batch, BatchOutcome};

/// Write this, and tell the room.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Commit {
    pub(crate) batch: Batch,
    pub(crate) room: Recipient<Committed>,
}

/// What became of a room's batch; `None` if the store failed, so that nobody knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Committed {
    pub(crate) outcome: Option<BatchOutcome>,
}
