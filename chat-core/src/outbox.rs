//! The two ends of the [`Queue`] between a fan-out and one reader in process. The fan-out pushes,
//! the reader takes and is woken.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;

use crate::deliver::Turn;
use crate::event::CloseReason;
use crate::lag::Patience;
use crate::queue::{Budget, Pushed, Queue, Stuck, Weight};

/// The pushing end. The queue ends when it is dropped.
pub(crate) struct Outbox<F> {
    pusher: Pusher<F>,
}

/// Pushes into an outbox, and does not keep it open. Cheap to clone.
pub(crate) struct Pusher<F> {
    shared: Arc<Mutex<Shared<F>>>,
}

/// The taking end: a stream that ends when the connection does. Dropping it ends the connection.
pub struct Inbox<F> {
    shared: Arc<Mutex<Shared<F>>>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

struct Shared<F> {
    queue: Queue<F>,
    waker: Option<Waker>,
    closed: Option<CloseReason>,
}

/// Both ends of a new queue.
pub(crate) fn outbox<F>(
    patience: Patience,
    budget: &Arc<Budget>,
    now: Duration,
) -> (Outbox<F>, Inbox<F>) {
    let queue = Queue::new(patience, budget, now);
    let shared = Arc::new(Mutex::new(Shared { queue, waker: None, closed: None }));
    (Outbox { pusher: Pusher { shared: Arc::clone(&shared) } }, Inbox { shared, on_drop: None })
}

/// A panic under the lock can only come from a frame's destructor; the queue itself is whole.
fn lock<F>(shared: &Mutex<Shared<F>>) -> MutexGuard<'_, Shared<F>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F> Clone for Pusher<F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<F> Pusher<F> {
    /// Queues a frame of `size` bytes, as far as the reader's lag allows.
    pub(crate) fn push(&self, frame: F, size: usize, weight: Weight, now: Duration) -> Pushed {
        self.change(|queue| queue.push(frame, size, weight, now))
    }

    /// Pushes, and wakes the reader if there is something for it.
    fn change(&self, push: impl FnOnce(&mut Queue<F>) -> Pushed) -> Pushed {
        let mut shared = lock(&self.shared);
        let pushed = push(&mut shared.queue);
        let waker = if pushed == Pushed::Done { shared.waker.take() } else { None };
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        pushed
    }
}

impl<F> Outbox<F> {
    /// Another way into the queue.
    pub(crate) fn pusher(&self) -> Pusher<F> {
        self.pusher.clone()
    }

    /// As [`Pusher::push`].
    pub(crate) fn push(&self, frame: F, size: usize, weight: Weight, now: Duration) -> Pushed {
        self.pusher.push(frame, size, weight, now)
    }

    /// Pushes a room's answer to a session that comes back to it, and keeps its turn as
    /// [`Queue::keep`] does: in one step, so that what the reader takes meanwhile does not make it seem
    /// that little waited when there was no place. Answers also whether the reader is to be told `busy`.
    pub(crate) fn push_in_turn(
        &self,
        frame: F,
        size: usize,
        turn: Turn,
        now: Duration,
    ) -> (Pushed, bool) {
        let mut busy = false;
        let pushed = self.pusher.change(|queue| {
            let pushed = queue.push(frame, size, Weight::Answer, now);
            busy = queue.keep(turn, pushed == Pushed::Done);
            pushed
        });
        (pushed, busy)
    }

    /// When to look again whether a reader that has fallen behind takes anything, as time from now:
    /// `None` if it has caught up, or may take as long as it likes. An error if it has taken
    /// nothing for too long.
    pub(crate) fn look(&self, now: Duration) -> Result<Option<Duration>, Stuck> {
        lock(&self.pusher.shared).queue.look(now)
    }

    /// Ends the queue: the reader still gets what waits, then the end.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut shared = lock(&self.pusher.shared);
        shared.closed.get_or_insert(reason);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F> Drop for Outbox<F> {
    /// Nothing will be pushed any more, because the fan-out has let go of the connection, or is no
    /// more.
    fn drop(&mut self) {
        self.close(CloseReason::Draining);
    }
}

impl<F> Inbox<F> {
    /// The same inbox, with something to do when it is dropped.
    pub(crate) fn on_drop(mut self, act: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.on_drop = Some(Box::new(act));
        self
    }

    /// Why the stream has ended or is about to; `None` while the connection lives.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        lock(&self.shared).closed
    }

    /// Bytes that wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.shared).queue.bytes()
    }
}

impl<F> Stream for Inbox<F> {
    type Item = F;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F>> {
        let mut shared = lock(&self.shared);
        if let Some(frame) = shared.queue.take() {
            return Poll::Ready(Some(frame));
        }
        if shared.closed.is_some() {
            return Poll::Ready(None);
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<F> Drop for Inbox<F> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.waker = None;
        let frames = shared.queue.abandon();
        drop(shared);
        drop(frames);
        if let Some(act) = self.on_drop.take() {
            act();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    const PATIENCE: Patience = Patience { bytes: 100, close_after: Some(Duration::from_secs(30)) };
    const NOW: Duration = Duration::ZERO;

    fn outbox() -> (Outbox<u32>, Inbox<u32>) {
        super::outbox(PATIENCE, &Arc::new(Budget::new(1 << 20)), NOW)
    }

    #[test]
    fn ends_after_what_waits() {
        let (outbox, mut inbox) = outbox();
        outbox.push(1, 1, Weight::Durable, NOW);
        outbox.close(CloseReason::Draining);
        outbox.close(CloseReason::Left);
        assert_eq!(inbox.next().now_or_never(), Some(Some(1)));
        assert_eq!(inbox.next().now_or_never(), Some(None));
        assert_eq!(inbox.closed(), Some(CloseReason::Draining));
    }

    #[test]
    fn ends_with_the_fan_out() {
        let (outbox, mut inbox) = outbox();
        outbox.push(1, 1, Weight::Durable, NOW);
        drop(outbox);
        assert_eq!(inbox.next().now_or_never(), Some(Some(1)));
        assert_eq!(inbox.next().now_or_never(), Some(None));
    }

    #[test]
    fn is_abandoned_when_the_reader_is_dropped() {
        let (outbox, inbox) = outbox();
        outbox.push(1, 1, Weight::Durable, NOW);
        drop(inbox);
        assert_eq!(outbox.push(2, 1, Weight::Durable, NOW), Pushed::Abandoned);
    }
}
