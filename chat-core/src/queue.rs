//! The bounded queue of what waits for one reader. What happens when the reader is slow, [`Lag`]
//! says; this does it: hints coalesce or are left out, what must not be lost is refused so that the
//! reader can be told, and one that takes nothing is given up. An outbox has one for every inbox; a
//! transport that writes to sockets itself needs one for a socket that would block.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::deliver::Turn;
use crate::event::{Event, Topic};
use crate::lag::{Advice, Lag, Patience};

/// What waits for one reader, in order. Every connection may have one, and most are empty at most
/// times: what is rarely needed is boxed.
pub struct Queue<F> {
    frames: VecDeque<(F, usize)>,
    bytes: usize,
    /// Bytes that were taken, and that the reader itself has not.
    held: usize,
    lag: Lag,
    /// Only while the reader lags.
    hints: Option<Box<Hints>>,
    /// Bytes of what was queued though much waited already, since the reader last did well.
    urgent: u32,
    /// Nobody reads any more, or nobody waits for the reader any more: nothing more is queued.
    abandoned: bool,
    share: Share,
    /// Only while much waits.
    turns: Option<Box<Turns>>,
}

/// What ends when no longer much waits.
#[derive(Default)]
struct Turns(Vec<Turn>);

/// Which queued frame is about which transient thing.
#[derive(Default)]
struct Hints {
    /// How many frames have been taken meanwhile: frame number n is at index n - taken.
    taken: u64,
    /// The number after that of the last frame that must not be lost.
    durable: u64,
    topics: HashMap<Topic, u64>,
}

/// A queue that has become empty keeps room for this many frames.
const KEPT_FRAMES: usize = 32;

/// What a frame is to its reader.
#[derive(Clone, Copy, Debug)]
pub enum Weight {
    /// Must not be lost without a word.
    Durable,
    /// The same, and shows how things stand: no hint that comes later may be put before it.
    Answer,
    /// A hint about this.
    Transient(Topic),
    /// Goes out though much waits, as a word about that. Who has not even read those is given up.
    Urgent,
}

impl Weight {
    /// What an event is to those who hear its room.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event {
            // The last that they hear of the room, and no cursor would make up for it.
            Event::Closed { .. } => Self::Urgent,
            event => event.topic().map_or(Self::Durable, Self::Transient),
        }
    }

    /// What an event is to somebody whom alone it is told.
    #[must_use]
    pub fn of_own(event: &Event) -> Self {
        match event {
            // Not for somebody who does not read: others may send as many as they like.
            Event::Invited { .. } | Event::Mentioned { .. } | Event::Mine { .. } => Self::Answer,
            _ => Self::Urgent,
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
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
pub struct Stuck;

impl<F> Queue<F> {
    /// An empty queue, for a reader that is fine at `now`.
    #[must_use]
    pub fn new(patience: Patience, budget: &Arc<Budget>, now: Duration) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            held: 0,
            lag: Lag::new(patience, now),
            hints: None,
            urgent: 0,
            abandoned: false,
            share: Share { budget: Arc::clone(budget), chunks: 0 },
            turns: None,
        }
    }

    /// Queues a frame of `size` bytes, as far as the reader's lag and the budget of all queues
    /// allow.
    pub fn push(&mut self, frame: F, size: usize, weight: Weight, now: Duration) -> Pushed {
        if self.abandoned {
            return Pushed::Abandoned;
        }
        let waiting = self.bytes();
        let durable = !matches!(weight, Weight::Transient(_));
        if matches!(weight, Weight::Urgent) {
            self.urgent = self.urgent.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
            if self.urgent as usize > self.lag.half() && waiting > self.lag.half() {
                self.abandoned = true;
                return Pushed::NotReading;
            }
        }
        let mut advice = self.lag.advise(waiting, durable, now);
        // Words about a lag go out also when the process has no more to give; they are few.
        if !matches!(weight, Weight::Urgent)
            && matches!(advice, Advice::Queue | Advice::Coalesce)
            && !self.share.cover(self.bytes.saturating_add(size))
        {
            advice = if durable { Advice::Behind } else { Advice::Skip };
        }
        match (advice, weight) {
            (Advice::Close, _) => {
                self.abandoned = true;
                return Pushed::NotReading;
            }
            (Advice::Behind, Weight::Durable | Weight::Answer) => return Pushed::Behind,
            (Advice::Skip, _) => return Pushed::Done,
            (Advice::Coalesce, Weight::Transient(topic)) => self.coalesce(topic, frame, size),
            (_, Weight::Answer) => {
                self.hints = None;
                self.append(frame, size);
            }
            (_, weight) => {
                if let Some(hints) = &mut self.hints {
                    let number = hints.taken + self.frames.len() as u64;
                    match weight {
                        // A later hint replaces this one, not one that it stands behind.
                        Weight::Transient(topic) => _ = hints.topics.insert(topic, number),
                        _ => hints.durable = number + 1,
                    }
                }
                self.append(frame, size);
            }
        }
        Pushed::Done
    }

    /// The next frame, which the reader takes.
    pub fn take(&mut self) -> Option<F> {
        let (frame, size) = self.frames.pop_front()?;
        self.bytes -= size;
        self.lag.took();
        self.taken();
        if let Some(hints) = &mut self.hints {
            hints.taken += 1;
        }
        if self.frames.is_empty() {
            self.hints = None;
            if self.frames.capacity() > KEPT_FRAMES {
                self.frames = VecDeque::new();
            }
        }
        self.share.shrink(self.bytes);
        Some(frame)
    }

    /// Less waits than did.
    fn taken(&mut self) {
        if self.bytes() <= self.lag.half() {
            self.urgent = 0;
            self.turns = None;
        }
    }

    /// Keeps the turn of a room whose answer is queued here, or has found no place, until the reader
    /// has taken so much that another answer finds one. Answers whether the reader is to be told
    /// `busy`: its room is not asked again.
    pub fn keep(&mut self, mut turn: Turn, queued: bool) -> bool {
        let waits = turn.is_patient() && !self.abandoned && self.bytes() > self.lag.half();
        if queued {
            turn.taken();
        } else if waits {
            turn.again();
        }
        if waits {
            self.turns.get_or_insert_default().0.push(turn);
        }
        !queued && !waits
    }

    /// Everything that waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = &F> {
        self.frames.iter().map(|(frame, _)| frame)
    }

    /// Whoever takes for the reader holds this many bytes that it has not passed on: they wait like
    /// those in the queue.
    pub fn hold(&mut self, bytes: usize) {
        self.held = bytes;
        self.taken();
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.held
    }

    /// Frames that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The reader took something at `now`, be it a part of a frame.
    pub fn progress(&mut self, now: Duration) {
        self.lag.took();
        // Looked at once, so that it counts from this moment on.
        self.lag.is_stuck(self.bytes(), now);
    }

    /// When to look again whether a reader that has fallen behind takes anything, as time from now:
    /// `None` if it has caught up, or may take as long as it likes.
    ///
    /// # Errors
    /// If it has taken nothing for too long; it is given up then.
    pub fn look(&mut self, now: Duration) -> Result<Option<Duration>, Stuck> {
        if self.lag.is_stuck(self.bytes(), now) {
            self.abandoned = true;
            return Err(Stuck);
        }
        Ok(self.lag.close_after().filter(|_| self.bytes() > 0))
    }

    /// Nobody reads any more, or nobody waits for the reader any more: nothing more is queued.
    /// Gives what waited, each frame with its size, to be dropped wherever it suits.
    pub fn abandon(&mut self) -> VecDeque<(F, usize)> {
        self.abandoned = true;
        self.bytes = 0;
        self.hints = None;
        self.turns = None;
        self.share.shrink(0);
        std::mem::take(&mut self.frames)
    }

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
        let number = hints.topics.get(&topic).copied();
        // What says how far its reader has heard stays behind what it covers.
        let number = number.filter(|number| !topic.has_cursor() || *number >= hints.durable);
        let number = number.and_then(|number| number.checked_sub(hints.taken));
        let place = number.and_then(|index| self.frames.get_mut(usize::try_from(index).ok()?));
        if let Some(older) = place {
            self.bytes = self.bytes - older.1 + size;
            *older = (frame, size);
        } else {
            hints.topics.insert(topic, hints.taken + self.frames.len() as u64);
            self.append(frame, size);
        }
    }
}

/// How many bytes may wait for all readers together. A queue takes from it in pieces of 16 KiB;
/// what is below 4 KiB in each queue is not counted, so that short queues cost nothing here.
#[derive(Debug)]
pub struct Budget {
    left: AtomicUsize,
    whole: usize,
}

/// What a queue may hold without asking.
const FREE: usize = 4 * 1_024;
/// What a queue asks for at a time.
const CHUNK: usize = 16 * 1_024;

impl Budget {
    /// A budget of this many bytes, in whole pieces.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let whole = bytes / CHUNK * CHUNK;
        Self { left: AtomicUsize::new(whole), whole }
    }

    /// How many bytes queues have taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.whole - self.left.load(Ordering::Relaxed)
    }
}

/// What one queue has taken of the budget.
struct Share {
    budget: Arc<Budget>,
    chunks: usize,
}

impl Share {
    fn needed(bytes: usize) -> usize {
        bytes.saturating_sub(FREE).div_ceil(CHUNK)
    }

    /// Takes what is lacking for a queue of this many bytes. Answers whether there was enough.
    fn cover(&mut self, bytes: usize) -> bool {
        let Some(more) = Self::needed(bytes).checked_sub(self.chunks).filter(|more| *more > 0)
        else {
            return true;
        };
        let take = |left: usize| left.checked_sub(more * CHUNK);
        let left = &self.budget.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.chunks += more;
        }
        taken
    }

    /// Gives back what a queue of this many bytes does not need, unless it is about to need it
    /// again.
    fn shrink(&mut self, bytes: usize) {
        if self.chunks > 0 && bytes < self.chunks * CHUNK / 4 {
            let needed = Self::needed(bytes);
            let back = (self.chunks - needed) * CHUNK;
            self.budget.left.fetch_add(back, Ordering::Relaxed);
            self.chunks = needed;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.chunks * CHUNK, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use actix::prelude::{Actor, Context, Handler};

    use super::*;
    use crate::deliver::{Answered, RoomAnswered};
    use crate::ids::{RoomId, UserId};
    use crate::model::Cursor;

    /// A session that says what it is told.
    struct Session(mpsc::Sender<Answered>);

    impl Actor for Session {
        type Context = Context<Self>;
    }

    impl Handler<RoomAnswered> for Session {
        type Result = ();

        fn handle(&mut self, answered: RoomAnswered, _: &mut Self::Context) {
            self.0.send(answered.how).expect("somebody listens");
        }
    }

    const PATIENCE: Patience = Patience { bytes: 100, close_after: Some(Duration::from_secs(30)) };
    const NOW: Duration = Duration::ZERO;

    fn queue() -> Queue<u32> {
        Queue::new(PATIENCE, &Arc::new(Budget::new(1 << 20)), NOW)
    }

    fn drain(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_slow_reader_gets_the_latest_hint_once_and_is_told_when_behind() {
        let mut queue = queue();
        let ann = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        let bob = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        assert_eq!(queue.push(1, 30, Weight::Durable, NOW), Pushed::Done);
        for (frame, topic) in [(2, ann), (3, bob), (4, ann), (5, ann)] {
            assert_eq!(queue.push(frame, 10, topic, NOW), Pushed::Done);
        }
        assert_eq!(queue.push(6, 60, Weight::Durable, NOW), Pushed::Done);
        assert_eq!(queue.push(7, 10, Weight::Durable, NOW), Pushed::Behind);
        assert_eq!(queue.push(8, 10, Weight::Urgent, NOW), Pushed::Done);
        assert_eq!(queue.bytes(), 120);
        assert_eq!(drain(&mut queue), [1, 5, 3, 6, 8]);
        assert_eq!(queue.bytes(), 0);
        assert_eq!(queue.push(9, 10, ann, NOW), Pushed::Done);
        assert_eq!(drain(&mut queue), [9]);
    }

    #[test]
    fn no_hint_overtakes_an_answer() {
        let mut queue = queue();
        let ann = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        queue.push(1, 30, Weight::Durable, NOW);
        queue.push(2, 10, ann, NOW);
        queue.push(3, 10, Weight::Answer, NOW);
        queue.push(4, 10, ann, NOW);
        queue.push(5, 10, ann, NOW);
        assert_eq!(drain(&mut queue), [1, 2, 3, 5]);
    }

    /// A summary says how far its reader has heard: it may not say so before what it covers.
    #[test]
    fn no_cursor_overtakes_what_it_covers() {
        let mut queue = queue();
        let (room, other) = (RoomId::new(), RoomId::new());
        let summary = Weight::Transient(Topic::Summary(room));
        let elsewhere = Weight::Transient(Topic::Summary(other));
        queue.push(1, 30, Weight::Durable, NOW);
        queue.push(2, 5, summary, NOW);
        queue.push(3, 5, summary, NOW);
        queue.push(4, 5, Weight::Durable, NOW);
        queue.push(5, 5, summary, NOW);
        queue.push(6, 5, elsewhere, NOW);
        queue.push(7, 5, summary, NOW);
        assert_eq!(drain(&mut queue), [1, 3, 4, 7, 6]);
    }

    #[test]
    fn the_latest_hint_stands_last_also_if_the_reader_was_fine_in_between() {
        let mut queue = queue();
        let ann = Weight::Transient(Topic::Typing(RoomId::new(), UserId::new()));
        queue.push(1, 30, Weight::Durable, NOW);
        queue.push(2, 5, ann, NOW);
        assert_eq!(queue.take(), Some(1));
        queue.push(3, 5, ann, NOW);
        queue.push(4, 30, Weight::Durable, NOW);
        queue.push(5, 5, ann, NOW);
        assert_eq!(drain(&mut queue), [2, 5, 4]);
    }

    #[test]
    fn gives_up_on_a_reader_that_takes_nothing() {
        let mut queue = queue();
        queue.push(1, 1, Weight::Durable, NOW);
        let late = Duration::from_secs(30);
        assert_eq!(queue.push(2, 1, Weight::Durable, late), Pushed::NotReading);
        assert_eq!(queue.push(2, 1, Weight::Durable, late), Pushed::Abandoned);
    }

    #[test]
    fn a_part_of_a_frame_is_progress_from_that_moment_on() {
        let mut queue = queue();
        queue.push(1, 1, Weight::Durable, NOW);
        queue.progress(Duration::from_secs(20));
        assert!(queue.look(Duration::from_secs(49)).is_ok_and(|again| again.is_some()));
        assert!(queue.look(Duration::from_secs(50)).is_err());
    }

    #[test]
    fn what_has_been_taken_and_not_passed_on_waits_too() {
        let mut queue = queue();
        queue.hold(70);
        assert_eq!((queue.bytes(), queue.is_empty()), (70, true));
        assert!(queue.look(Duration::from_secs(29)).is_ok_and(|again| again.is_some()));
        assert_eq!(queue.push(1, 30, Weight::Durable, NOW), Pushed::Done);
        assert_eq!(queue.push(2, 30, Weight::Durable, NOW), Pushed::Behind);
        assert!(queue.look(Duration::from_secs(30)).is_err());
    }

    #[test]
    fn all_queues_share_a_budget_and_give_it_back() {
        let budget = Arc::new(Budget::new(4 * CHUNK + 5));
        let patience = Patience { bytes: 1 << 20, ..PATIENCE };
        let mut queues: Vec<_> =
            (0..3).map(|_| Queue::<u32>::new(patience, &budget, NOW)).collect();
        let hint = Weight::Transient(Topic::Summary(RoomId::new()));
        // What is free in each, and three pieces.
        for queue in &mut queues {
            assert_eq!(queue.push(0, FREE, Weight::Durable, NOW), Pushed::Done);
        }
        assert_eq!(budget.taken(), 0);
        assert_eq!(queues[0].push(1, 3 * CHUNK, Weight::Durable, NOW), Pushed::Done);
        assert_eq!(queues[1].push(1, CHUNK, Weight::Answer, NOW), Pushed::Done);
        assert_eq!(budget.taken(), 4 * CHUNK);
        assert_eq!(queues[2].push(1, 1, Weight::Durable, NOW), Pushed::Behind);
        assert_eq!(queues[2].push(2, 1, hint, NOW), Pushed::Done, "left out");
        assert_eq!(queues[2].push(3, 1, Weight::Urgent, NOW), Pushed::Done);
        assert_eq!(drain(&mut queues[2]), [0, 3]);
        assert_eq!(drain(&mut queues[0]), [0, 1]);
        assert_eq!(budget.taken(), CHUNK);
        assert_eq!(queues[2].push(4, FREE + 1, Weight::Durable, NOW), Pushed::Done);
        drop(queues);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn a_turn_is_kept_while_more_than_half_waits() {
        actix_rt::System::new().block_on(async {
            let (told, heard) = mpsc::channel();
            let session = Session(told).start().recipient();
            let turn = |patient| {
                Turn::new(session.clone(), 1, (RoomId::new(), Cursor::default()), patient)
            };
            // What the session has been told by now.
            let heard = async || {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                heard.try_iter().collect::<Vec<_>>()
            };
            let mut queue = queue();
            assert!(!queue.keep(turn(true), true), "the answer is queued");
            assert_eq!(heard().await, [Answered::Heard]);
            // Of two answers, the second finds no place; each waits for the reader.
            queue.push(1, 200, Weight::Answer, NOW);
            assert!(!queue.keep(turn(true), true) && !queue.keep(turn(true), false));
            queue.hold(51);
            queue.take();
            assert_eq!(heard().await, []);
            queue.hold(50);
            assert_eq!(heard().await, [Answered::Heard, Answered::Again]);
            // Where little waits, nothing is gained by asking again; nor may everybody wait.
            assert!(queue.keep(turn(true), false));
            queue.push(2, 200, Weight::Answer, NOW);
            assert!(queue.keep(turn(false), false) && !queue.keep(turn(false), true));
            let not_kept = [Answered::NotHeard, Answered::NotHeard, Answered::Heard];
            assert_eq!(heard().await, not_kept);
            // Nobody reads any more.
            queue.keep(turn(true), false);
            queue.abandon();
            queue.keep(turn(true), false);
            assert_eq!(heard().await, [Answered::Again, Answered::NotHeard]);
        });
    }
}
