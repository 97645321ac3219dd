//! The rooms that a session comes back to. They are asked a few at a time, each of the others when
//! one has answered and its answer is no longer in the reader's way, so that what a session has missed
//! waits in its rooms and not in its outbox, and a reader that reads gets all of it.

use std::collections::{HashMap, VecDeque};

use crate::command::Reply;
use crate::deliver::{Answered, ReplyTo, RoomAnswered};
use crate::ids::RoomId;
use crate::model::Cursor;

/// How many rooms have been asked and have not answered, at most.
const AT_ONCE: usize = 8;

/// The `resume` commands of a session.
#[derive(Default)]
pub(super) struct Resuming {
    commands: HashMap<u64, Resume>,
    commands_so_far: u64,
    waiting: VecDeque<Ask>,
    asked: usize,
    /// An answer has found no place: what has been missed is so much that the others would find none
    /// either, if they were not asked one after the other.
    crowded: bool,
}

/// A `resume` that waits for its rooms.
struct Resume {
    reply: ReplyTo,
    left: usize,
    resumed: usize,
    failed: usize,
}

/// A room to be asked.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    /// For which command.
    pub(super) batch: u64,
    pub(super) room: RoomId,
    pub(super) after: Cursor,
    /// Whether it may take until the reader has read. Not if the reader may wait for the reply before it
    /// reads anything.
    pub(super) patient: bool,
}

impl Resuming {
    /// A command that names these rooms, at least one.
    pub(super) fn begin(&mut self, rooms: Vec<(RoomId, Cursor)>, reply: ReplyTo) {
        self.commands_so_far += 1;
        let batch = self.commands_so_far;
        let patient = matches!(reply, ReplyTo::Tag { .. });
        let resume = Resume { reply, left: rooms.len(), resumed: 0, failed: 0 };
        self.commands.insert(batch, resume);
        let asks = rooms.into_iter().map(|(room, after)| Ask { batch, room, after, patient });
        self.waiting.extend(asks);
    }

    /// The room to be asked next, if its turn has come.
    pub(super) fn next(&mut self) -> Option<Ask> {
        let most = if self.crowded { 1 } else { AT_ONCE };
        if self.asked >= most {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.asked += 1;
        Some(next)
    }

    /// A room has answered. Gives what is to be answered to its command, if it was the last one of that.
    pub(super) fn answered(&mut self, answered: RoomAnswered) -> Option<(ReplyTo, Reply)> {
        let RoomAnswered { batch, room, after, how } = answered;
        self.asked -= 1;
        let resume = self.commands.get_mut(&batch)?;
        match how {
            Answered::Heard => resume.resumed += 1,
            Answered::NotHeard => resume.failed += 1,
            Answered::Again => {
                self.crowded = true;
                self.waiting.push_front(Ask { batch, room, after, patient: true });
                return None;
            }
        }
        resume.left -= 1;
        if resume.left > 0 {
            return None;
        }
        let Resume { reply, resumed, failed, .. } = self.commands.remove(&batch)?;
        Some((reply, Reply::Resumed { resumed, failed }))
    }

    /// Whether no command waits for a room.
    pub(super) fn is_over(&self) -> bool {
        self.commands.is_empty()
    }
}
