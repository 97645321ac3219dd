//! How many writes wait for the store, over all rooms: bounded, and awaited when the engine stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts accepted writes until they are settled.
#[derive(Debug)]
pub(crate) struct Backlog {
    count: AtomicUsize,
    most: usize,
    empty: Notify,
}

/// One accepted write; dropping it says that it is stored or refused. Whoever has asked for it is answered in the same
/// step of the room.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Backlog>);

impl Backlog {
    pub(crate) fn new(most: usize) -> Self {
        Self { count: AtomicUsize::new(0), most, empty: Notify::new() }
    }

    /// Accepts a write, unless too many wait.
    pub(crate) fn accept(self: &Arc<Self>) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        // Counted before it is compared; a slot that is not handed out gives itself back.
        (self.count.fetch_add(1, Ordering::AcqRel) < self.most).then_some(slot)
    }

    /// How many writes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns once nothing waits.
    pub(crate) async fn drained(&self) {
        loop {
            let empty = self.empty.notified();
            if self.waiting() == 0 {
                return;
            }
            empty.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn accepts_no_more_than_it_should_and_tells_when_empty() {
        let backlog = Arc::new(Backlog::new(2));
        let (one, two) = (backlog.accept().unwrap(), backlog.accept().unwrap());
        assert!(backlog.accept().is_none());
        assert_eq!(backlog.waiting(), 2);
        let drained = backlog.drained();
        futures_util::pin_mut!(drained);
        assert!(drained.as_mut().now_or_never().is_none());
        drop(one);
        assert!(backlog.accept().is_some());
        drop(two);
        assert!(drained.now_or_never().is_some());
    }
}
