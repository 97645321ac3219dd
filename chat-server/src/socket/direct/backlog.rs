//! What waits for one socket that cannot be written to at once: because its buffer is full, or
//! because it speaks TLS. Frames are dealt with by the core's [`Queue`]; what has been written in
//! part is past coalescing and is kept beside it, and so is the close frame, which is the last.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use chat_core::{Budget, Patience, Pushed, Queue, Stuck, Turn, Weight};

/// How many frames one system call writes at most.
const AT_ONCE: usize = 64;
/// What a frame takes besides its bytes, about: its place in the queue, and what the allocator adds.
const FRAME: usize = 80;

pub(super) struct Backlog {
    queue: Queue<Bytes>,
    /// The rest of a frame of which a part has been written.
    cut: Option<Bytes>,
    close: Option<Bytes>,
}

impl Backlog {
    pub(super) fn new(patience: Patience, budget: &Arc<Budget>, now: Duration) -> Self {
        Self { queue: Queue::new(patience, budget, now), cut: None, close: None }
    }

    /// Notes the rest of a frame of which a part has been written, before anything is queued.
    pub(super) fn cut(&mut self, rest: Bytes) {
        debug_assert!(self.cut.is_none(), "one frame at a time is written");
        self.queue.hold(rest.len());
        self.cut = Some(rest);
    }

    pub(super) fn push(&mut self, frame: Bytes, weight: Weight, now: Duration) -> Pushed {
        let size = frame.len();
        self.queue.push(frame, size, weight, now)
    }

    /// As [`Queue::keep`].
    pub(super) fn keep(&mut self, turn: Turn, queued: bool) -> bool {
        self.queue.keep(turn, queued)
    }

    /// The last frame. What waits goes out before it, unless the reader has been given up.
    pub(super) fn close(&mut self, frame: Bytes, give_up: bool) {
        if give_up {
            drop(self.queue.abandon());
        }
        self.close.get_or_insert(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cut.is_none() && self.queue.is_empty() && self.close.is_none()
    }

    /// What it takes in memory, about.
    pub(super) fn memory(&self) -> usize {
        self.queue.bytes() + self.queue.len() * FRAME
    }

    /// As [`Queue::look`].
    pub(super) fn look(&mut self, now: Duration) -> Result<Option<Duration>, Stuck> {
        self.queue.look(now)
    }

    /// Writes as much as is taken. Answers whether anything was.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` included; what was taken before has been noted.
    pub(super) fn write(
        &mut self,
        now: Duration,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> (usize, io::Result<()>) {
        let mut whole = 0;
        while !self.is_empty() {
            let waiting = self.cut.iter().chain(self.queue.iter()).chain(&self.close);
            let slices: Vec<_> = waiting.take(AT_ONCE).map(|frame| IoSlice::new(frame)).collect();
            match write(&slices) {
                Ok(0) => return (whole, Err(ErrorKind::WriteZero.into())),
                Ok(written) => {
                    whole += written;
                    self.written(written, now);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (whole, Err(error)),
            }
        }
        (whole, Ok(()))
    }

    fn written(&mut self, mut bytes: usize, now: Duration) {
        while bytes > 0 {
            let next = self.cut.take().or_else(|| self.take(bytes));
            let Some(mut frame) = next.or_else(|| self.close.take()) else { break };
            if frame.len() > bytes {
                self.cut = Some(frame.split_off(bytes));
                break;
            }
            bytes -= frame.len();
        }
        self.queue.hold(self.cut.as_ref().map_or(0, Bytes::len));
        self.queue.progress(now);
    }

    /// The next frame, of which the socket has taken so much. What it has not is held at once, so that
    /// it waits at every moment.
    fn take(&mut self, taken: usize) -> Option<Bytes> {
        let rest = self.queue.iter().next()?.len().saturating_sub(taken);
        self.queue.hold(rest);
        self.queue.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog() -> Backlog {
        let patience = Patience { bytes: 1_000, close_after: Some(Duration::from_secs(30)) };
        Backlog::new(patience, &Arc::new(Budget::new(1 << 20)), Duration::ZERO)
    }

    /// Takes `most` bytes a call, `calls` times, then nothing more.
    fn taker<'a>(
        taken: &'a mut Vec<u8>,
        most: usize,
        mut calls: usize,
    ) -> impl FnMut(&[IoSlice<'_>]) -> io::Result<usize> + 'a {
        move |slices| {
            if calls == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            calls -= 1;
            let before = taken.len();
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            taken.extend(bytes.take(most));
            Ok(taken.len() - before)
        }
    }

    #[test]
    fn everything_goes_out_once_and_in_order_however_little_is_taken() {
        for most in 1..=12 {
            let mut backlog = backlog();
            backlog.cut(Bytes::from_static(b"ab"));
            backlog.push(Bytes::from_static(b"cde"), Weight::Durable, Duration::ZERO);
            backlog.push(Bytes::from_static(b"f"), Weight::Answer, Duration::ZERO);
            backlog.close(Bytes::from_static(b"gh"), false);
            let mut taken = Vec::new();
            let (some, blocked) = backlog.write(Duration::ZERO, taker(&mut taken, most, 1));
            assert_eq!(some, most.min(8));
            assert_eq!(blocked.is_ok(), most >= 8);
            let (_, done) = backlog.write(Duration::ZERO, taker(&mut taken, most, usize::MAX));
            assert!(done.is_ok() && backlog.is_empty());
            assert_eq!(taken, b"abcdefgh");
        }
    }

    #[test]
    fn of_a_reader_that_is_given_up_only_the_cut_frame_and_the_close_go_out() {
        let mut backlog = backlog();
        backlog.cut(Bytes::from_static(b"ab"));
        backlog.push(Bytes::from_static(b"cde"), Weight::Durable, Duration::ZERO);
        backlog.close(Bytes::from_static(b"gh"), true);
        let mut taken = Vec::new();
        backlog.write(Duration::ZERO, taker(&mut taken, 100, usize::MAX)).1.expect("taken");
        assert_eq!(taken, b"abgh");
    }
}
