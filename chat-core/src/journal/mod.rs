//! The one who writes. The journal takes the batches of all rooms, commits whatever queued up while
//! the last commit ran, and tells each room what became of its batch. It never waits on
//! purpose for more to come, and never reorders a room's writes: a room has one batch under way at
//! most.

mod backlog;
mod messages;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, WrapFuture,
};

pub(crate) use backlog::{Backlog, Slot};
pub(crate) use messages::{Commit, Committed, OpenBatch};

use crate::capacity::shrink_queue;
use crate::clock::Clock;
use crate::store::{Batch, BatchOutcome, Store, StoreError};

/// Its queue holds one batch per room at most; what the rooms may gather is bounded by
/// [`Limits::queued_writes`](crate::Limits::queued_writes).
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    queue: VecDeque<Commit>,
    committing: bool,
    most: usize,
    clock: Arc<dyn Clock>,
}

/// How long a write may have waited to be tried after a commit has failed. A store that does not
/// answer takes its time to say so; who had to wait for that is not to wait as long once more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

impl Journal {
    /// A journal that commits at most `most` writes at once.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, most: usize) -> Self {
        Self { store, queue: VecDeque::new(), committing: false, most, clock }
    }

    /// Commits what has queued up, unless a commit is under way, and tells what became of the last one.
    fn commit_next(&mut self, told: Option<Answers>, ctx: &mut Context<Self>) {
        if self.committing || self.queue.is_empty() {
            return tell(told);
        }
        self.committing = true;
        let (batches, rooms) = self.take();
        let store = Arc::clone(&self.store);
        let append = async move {
            let mut append = store.append(&batches);
            // The store is at work before those who have their answer are told: to wake them all takes
            // as long as a small commit.
            let begun = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await;
            tell(told);
            let result = match begun {
                Poll::Ready(result) => result,
                Poll::Pending => append.await,
            };
            Answers::new(result, batches.len(), rooms)
        };
        let done = append.into_actor(self).map(|answers, journal: &mut Self, ctx| {
            journal.committing = false;
            if answers.failed {
                journal.refuse_late();
            }
            journal.commit_next(Some(answers), ctx);
        });
        ctx.spawn(done);
    }

    /// Gives up, after a failure, what has waited for too long already.
    fn refuse_late(&mut self) {
        let late = self.clock.elapsed().saturating_sub(PATIENCE);
        self.queue.retain(|commit| {
            let refused = commit.since < late;
            // What is taken from the room and not written is as if a commit had failed.
            if refused && commit.batch.take().is_some() {
                commit.room.do_send(Committed { outcome: None });
            }
            !refused
        });
    }

    /// The oldest batches, as many as one commit carries.
    fn take(&mut self) -> (Vec<Batch>, Vec<Recipient<Committed>>) {
        let (mut batches, mut rooms, mut writes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.queue.front() {
            writes += next.batch.change(|batch| batch.writes.len()).unwrap_or(0);
            if writes > self.most && !batches.is_empty() {
                break;
            }
            let Some(Commit { batch, room, .. }) = self.queue.pop_front() else { break };
            if let Some(batch) = batch.take() {
                batches.push(batch);
                rooms.push(room);
            }
        }
        shrink_queue(&mut self.queue);
        (batches, rooms)
    }
}

/// What became of a commit, for each of its rooms.
struct Answers {
    outcomes: Vec<Option<BatchOutcome>>,
    rooms: Vec<Recipient<Committed>>,
    failed: bool,
}

impl Answers {
    fn new(
        result: Result<Vec<BatchOutcome>, StoreError>,
        count: usize,
        rooms: Vec<Recipient<Committed>>,
    ) -> Self {
        let failed = result.is_err();
        let outcomes = match result {
            Ok(outcomes) if outcomes.len() == count => outcomes.into_iter().map(Some).collect(),
            Ok(outcomes) => {
                let answered = outcomes.len();
                tracing::error!(count, answered, "the store answered too few batches");
                vec![None; count]
            }
            Err(error) => {
                tracing::error!(%error, batches = count, "a commit failed");
                vec![None; count]
            }
        };
        Self { outcomes, rooms, failed }
    }
}

/// Tells each room what became of its batch.
fn tell(answers: Option<Answers>) {
    let Some(Answers { outcomes, rooms, .. }) = answers else { return };
    for (room, outcome) in rooms.into_iter().zip(outcomes) {
        room.do_send(Committed { outcome });
    }
}

impl Actor for Journal {
    type Context = Context<Self>;
}

impl Handler<Commit> for Journal {
    type Result = ();

    fn handle(&mut self, commit: Commit, ctx: &mut Self::Context) {
        self.queue.push_back(commit);
        self.commit_next(None, ctx);
    }
}
