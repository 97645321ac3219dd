//! The bounded queue between a fan-out and one reader. The fan-out pushes, the reader takes; what
//! happens when the reader is slow, [`Lag`] says.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;

use crate::event::{CloseReason, Topic};
use crate::lag::{Advice, Lag, Patience};

/// The pushing end. The queue ends when it is dropped.
pub(crate) struct Outbox<F> {
    pusher: Pusher<F>,
}

/// Pushes into an outbox, and does not keep it open. Cheap to clone.
pub(crate) struct Pusher<F> {
    shared: Arc<Mutex<Queue<F>>>,
}

/// The taking end: a stream that ends when the connection does. Dropping it ends the connection.
pub struct Inbox<F> {
    shared: Arc<Mutex<Queue<F>>>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// Every connection has one, and most are empty at most times: what is rarely needed is boxed.
struct Queue<F> {
    frames: VecDeque<(F, usize)>,
    bytes: usize,
    lag: Lag,
    waker: Option<Waker>,
    /// Only while the reader lags.
    hints: Option<Box<Hints>>,
    closed: Option<CloseReason>,
    /// Bytes of what was queued though much waited already, since the reader last did well.
    urgent: u32,
    /// Nobody reads any more, or nobody waits for the reader any more: nothing more is queued.
    abandoned: bool,
}

/// Which queued frame is about which transient thing.
#[derive(Default)]
struct Hints {
    /// How many frames have been taken meanwhile: frame number n is at index n - taken.
    taken: u64,
    topics: HashMap<Topic, u64>,
}

/// A queue that has become empty keeps room for this many frames.
const KEPT_FRAMES: usize = 32;

/// What a frame is to its reader.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight {
    /// Must not be lost without a word.
    Durable,
    /// The same, and shows how things stand: no hint that comes later may be put before it.
    Answer,
    /// A hint about this.
    Transient(Topic),
    /// Goes out though much waits, as a word about that. Who has not even read those is given up.
    Urgent,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits, replaced an older one, or was a hint that may be left out.
    Done,
    /// It does not wait: the reader is behind and has to be told.
    Behind,
    /// The reader has taken nothing for too long: its connection is to be ended. Said once.
    NotReading,
    /// There is no reader any more, or none that is waited for.
    Abandoned,
}

/// A reader has taken nothing for too long.
#[derive(Debug)]
pub(crate) struct Stuck;

/// Both ends of a new queue.
pub(crate) fn outbox<F>(patience: Patience, now: Duration) -> (Outbox<F>, Inbox<F>) {
    let shared = Arc::new(Mutex::new(Queue {
        frames: VecDeque::new(),
        bytes: 0,
        lag: Lag::new(patience, now),
        waker: None,
        hints: None,
        closed: None,
        urgent: 0,
        abandoned: false,
    }));
    (Outbox { pusher: Pusher { shared: Arc::clone(&shared) } }, Inbox { shared, on_drop: None })
}

/// A panic under the lock can only come from a frame's destructor; the queue itself is whole.
fn lock<F>(shared: &Mutex<Queue<F>>) -> MutexGuard<'_, Queue<F>> {
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
        let mut queue = lock(&self.shared);
        if queue.abandoned {
            return Pushed::Abandoned;
        }
        let waiting = queue.bytes;
        let durable = !matches!(weight, Weight::Transient(_));
        if matches!(weight, Weight::Urgent) {
            queue.urgent = queue.urgent.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
            if queue.urgent as usize > queue.lag.half() && waiting > queue.lag.half() {
                queue.abandoned = true;
                return Pushed::NotReading;
            }
        }
        match (queue.lag.advise(waiting, durable, now), weight) {
            (Advice::Close, _) => {
                queue.abandoned = true;
                return Pushed::NotReading;
            }
            (Advice::Behind, Weight::Durable | Weight::Answer) => return Pushed::Behind,
            (Advice::Skip, _) => return Pushed::Done,
            (Advice::Coalesce, Weight::Transient(topic)) => queue.coalesce(topic, frame, size),
            (_, Weight::Answer) => {
                queue.hints = None;
                queue.append(frame, size);
            }
            _ => queue.append(frame, size),
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Pushed::Done
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

    /// When to look again whether a reader that has fallen behind takes anything, as time from now:
    /// `None` if it has caught up, or may take as long as it likes. An error if it has taken
    /// nothing for too long.
    pub(crate) fn look(&self, now: Duration) -> Result<Option<Duration>, Stuck> {
        let mut queue = lock(&self.pusher.shared);
        let waiting = queue.bytes;
        if queue.lag.is_stuck(waiting, now) {
            queue.abandoned = true;
            return Err(Stuck);
        }
        Ok(queue.lag.close_after().filter(|_| waiting > 0))
    }

    /// Ends the queue: the reader still gets what waits, then the end.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut queue = lock(&self.pusher.shared);
        queue.closed.get_or_insert(reason);
        let waker = queue.waker.take();
        drop(queue);
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

impl<F> Queue<F> {
    fn append(&mut self, frame: F, size: usize) {
        if self.frames.capacity() == 0 {
            // For most readers no more than one waits at a time.
            self.frames.reserve_exact(1);
        }
        self.frames.push_back((frame, size));
        self.bytes += size;
    }

    fn coalesce(&mut self, topic: Topic, frame: F, size: usize) {
        let hints = self.hints.get_or_insert_default();
        let number = hints.topics.get(&topic).and_then(|number| number.checked_sub(hints.taken));
        let place = number.and_then(|index| self.frames.get_mut(usize::try_from(index).ok()?));
        if let Some(older) = place {
            self.bytes = self.bytes - older.1 + size;
            *older = (frame, size);
        } else {
            hints.topics.insert(topic, hints.taken + self.frames.len() as u64);
            self.append(frame, size);
        }
    }

    fn take(&mut self) -> Option<F> {
        let (frame, size) = self.frames.pop_front()?;
        self.bytes -= size;
        self.lag.took();
        if self.bytes <= self.lag.half() {
            self.urgent = 0;
        }
        if let Some(hints) = &mut self.hints {
            hints.taken += 1;
        }
        if self.frames.is_empty() {
            self.hints = None;
            if self.frames.capacity() > KEPT_FRAMES {
                self.frames = VecDeque::new();
            }
        }
        Some(frame)
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
        lock(&self.shared).bytes
    }
}

impl<F> Stream for Inbox<F> {
    type Item = F;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F>> {
        let mut queue = lock(&self.shared);
        if let Some(frame) = queue.take() {
            return Poll::Ready(Some(frame));
        }
        if queue.closed.is_some() {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<F> Drop for Inbox<F> {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared);
        queue.abandoned = true;
        queue.waker = None;
        let frames = std::mem::take(&mut queue.frames);
        queue.bytes = 0;
        drop(queue);
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
    use crate::ids::{RoomId, UserId};

    const PATIENCE: Patience = Patience { bytes: 100, close_after: Some(Duration::from_secs(30)) };
    const NOW: Duration = Duration::ZERO;

    fn drain(inbox: &mut Inbox<u32>) -> Vec<u32> {
        std::iter::from_fn(|| inbox.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn a_slow_reader_gets_the_latest_hint_once_and_is_told_when_behind() {
        let (outbox, mut inbox) = outbox(PATIENCE, NOW);
        let ann = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        let bob = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        assert_eq!(outbox.push(1, 30, Weight::Durable, NOW), Pushed::Done);
        for (frame, topic) in [(2, ann), (3, bob), (4, ann), (5, ann)] {
            assert_eq!(outbox.push(frame, 10, topic, NOW), Pushed::Done);
        }
        assert_eq!(outbox.push(6, 60, Weight::Durable, NOW), Pushed::Done);
        assert_eq!(outbox.push(7, 10, Weight::Durable, NOW), Pushed::Behind);
        assert_eq!(outbox.push(8, 10, Weight::Urgent, NOW), Pushed::Done);
        assert_eq!(inbox.waiting(), 120);
        assert_eq!(drain(&mut inbox), [1, 5, 3, 6, 8]);
        assert_eq!(inbox.waiting(), 0);
        assert_eq!(outbox.push(9, 10, ann, NOW), Pushed::Done);
        assert_eq!(drain(&mut inbox), [9]);
    }

    #[test]
    fn no_hint_overtakes_an_answer() {
        let (outbox, mut inbox) = outbox(PATIENCE, NOW);
        let ann = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        outbox.push(1, 30, Weight::Durable, NOW);
        outbox.push(2, 10, ann, NOW);
        outbox.push(3, 10, Weight::Answer, NOW);
        outbox.push(4, 10, ann, NOW);
        outbox.push(5, 10, ann, NOW);
        assert_eq!(drain(&mut inbox), [1, 2, 3, 5]);
    }

    #[test]
    fn ends_after_what_waits() {
        let (outbox, mut inbox) = outbox(PATIENCE, NOW);
        outbox.push(1, 1, Weight::Durable, NOW);
        outbox.close(CloseReason::Draining);
        outbox.close(CloseReason::Left);
        assert_eq!(inbox.next().now_or_never(), Some(Some(1)));
        assert_eq!(inbox.next().now_or_never(), Some(None));
        assert_eq!(inbox.closed(), Some(CloseReason::Draining));
    }

    #[test]
    fn ends_with_the_fan_out() {
        let (outbox, mut inbox) = outbox(PATIENCE, NOW);
        outbox.push(1, 1, Weight::Durable, NOW);
        drop(outbox);
        assert_eq!(inbox.next().now_or_never(), Some(Some(1)));
        assert_eq!(inbox.next().now_or_never(), Some(None));
    }

    #[test]
    fn is_abandoned_when_the_reader_is_dropped() {
        let (outbox, inbox) = outbox(PATIENCE, NOW);
        outbox.push(1, 1, Weight::Durable, NOW);
        drop(inbox);
        assert_eq!(outbox.push(2, 1, Weight::Durable, NOW), Pushed::Abandoned);
    }

    #[test]
    fn gives_up_on_a_reader_that_takes_nothing() {
        let (outbox, _inbox) = outbox(PATIENCE, NOW);
        outbox.push(1, 1, Weight::Durable, NOW);
        assert_eq!(outbox.push(2, 1, Weight::Durable, Duration::from_secs(30)), Pushed::NotReading);
    }
}
