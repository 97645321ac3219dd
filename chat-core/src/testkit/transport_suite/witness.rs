//! What every client of every case objects to, whatever the case is about.

use std::collections::{BTreeMap, HashMap};

use crate::command::{After, Command, Joined, Reply, RoomCommand};
use crate::error::Result;
use crate::event::Event;
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{Cursor, Message};
use crate::testkit::Heard;

/// Follows one connection, and says what is wrong with what it hears.
pub(super) struct Witness {
    user: UserId,
    /// Commands without an answer yet.
    open: BTreeMap<u64, Command>,
    /// Rooms of a `resume` that have not answered: of which command, and from where on.
    resuming: HashMap<RoomId, Vec<(u64, Cursor)>>,
    /// How many rooms of a `resume` have answered well, and how many not.
    resumed: HashMap<u64, (usize, usize)>,
    /// The rooms that are heard, and up to where they have been.
    heard: HashMap<RoomId, Cursor>,
    closing: bool,
    closed: bool,
}

/// Says that something is wrong.
type Objection = std::result::Result<(), String>;

macro_rules! object {
    ($($words:tt)*) => {
        return Err(format!($($words)*))
    };
}

impl Witness {
    pub(super) fn new(user: UserId) -> Self {
        Self {
            user,
            open: BTreeMap::new(),
            resuming: HashMap::new(),
            resumed: HashMap::new(),
            heard: HashMap::new(),
            closing: false,
            closed: false,
        }
    }

    /// A command is sent.
    pub(super) fn asks(&mut self, tag: u64, command: &Command) {
        if let Command::Resume(rooms) = command {
            for (room, after) in rooms {
                self.resuming.entry(*room).or_default().push((tag, *after));
            }
        }
        self.open.insert(tag, command.clone());
    }

    /// How many commands have no answer yet.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Something is heard.
    pub(super) fn hears(&mut self, heard: &Heard) -> Objection {
        if self.closed {
            object!("expected nothing after Closed, heard {heard:?}");
        }
        match heard {
            Heard::Closed(_) => {
                self.closed = true;
                Ok(())
            }
            Heard::Event(event) if self.closing => {
                object!("expected no event after Closing, heard {event:?}")
            }
            Heard::Event(event) => self.event(event),
            Heard::Reply { tag, result } => self.reply(*tag, result),
        }
    }

    fn reply(&mut self, tag: u64, result: &Result<Reply>) -> Objection {
        let Some(command) = self.open.remove(&tag) else {
            object!(
                "a reply to command {tag}, which has one already or was never sent: {result:?}"
            );
        };
        if let Command::Resume(rooms) = &command {
            let answered = self.resumed.remove(&tag).unwrap_or_default();
            return self.all_resumed(tag, rooms, answered, result);
        }
        let Ok(reply) = result else { return Ok(()) };
        match (command, reply) {
            (Command::Open(_) | Command::Room(_, RoomCommand::View), Reply::Room(_))
            | (Command::Room(_, RoomCommand::Members(_)), Reply::Members(_))
            | (Command::Room(_, RoomCommand::Bans(_)), Reply::Bans(_))
            | (Command::Ping, Reply::Pong(_))
            | (Command::Presence(_), Reply::Done)
            | (
                Command::Room(
                    _,
                    RoomCommand::Leave
                    | RoomCommand::Typing(_)
                    | RoomCommand::Invite(_)
                    | RoomCommand::InviteUser(_)
                    | RoomCommand::Moderate(_),
                ),
                Reply::Done,
            ) => Ok(()),
            (Command::Room(room, RoomCommand::History(_)), Reply::History(page))
                if page.room == room =>
            {
                in_a_row(&page.messages)
            }
            (Command::Room(room, RoomCommand::Send(draft)), Reply::Sent(sent)) => {
                match self.heard.get(&room).map(|at| at.seq + 1) {
                    // Repeated writes get the answer of the first one.
                    Some(next) if sent.seq > next || (draft.key.is_none() && sent.seq < next) => {
                        object!(
                            "the reply to a send stands before its event and after all others: \
                             expected the reply to message {next}, heard that to {}",
                            sent.seq
                        )
                    }
                    _ => Ok(()),
                }
            }
            (Command::Room(room, RoomCommand::Join { after, limit }), Reply::Joined(joined)) => {
                self.joined(room, after, limit, joined)
            }
            (Command::Room(room, RoomCommand::Resume { after }), Reply::Joined(joined)) => {
                self.joined(room, After::Cursor(after), limits::DEFAULT_PAGE, joined)
            }
            (command, reply) => {
                object!("command {tag}, {command:?}, got another command's reply: {reply:?}")
            }
        }
    }

    fn all_resumed(
        &mut self,
        tag: u64,
        rooms: &[(RoomId, Cursor)],
        (resumed, failed): (usize, usize),
        result: &Result<Reply>,
    ) -> Objection {
        match result {
            Ok(Reply::Resumed { resumed: r, failed: f })
                if (*r, *f) == (resumed, failed) && r + f == rooms.len() =>
            {
                Ok(())
            }
            Ok(reply) => object!(
                "expected the reply to a resume of {} rooms after {resumed} have answered well and \
                 {failed} not, heard {reply:?}",
                rooms.len()
            ),
            Err(_) => {
                for waiting in self.resuming.values_mut() {
                    waiting.retain(|(of, _)| *of != tag);
                }
                Ok(())
            }
        }
    }

    fn event(&mut self, event: &Event) -> Objection {
        match event {
            Event::Message { room, cursor, message } => {
                if message.seq != cursor.seq || cursor.seq == 0 {
                    object!("message {} at the cursor {cursor}", message.seq);
                }
                self.durable(*room, event, *cursor)
            }
            Event::Change { room, change, .. } => {
                if change.cursor.change == 0 {
                    object!("a change at the cursor {}", change.cursor);
                }
                self.durable(*room, event, change.cursor)?;
                let mine = change.kind.membership().user.id == self.user;
                if mine && change.kind.ends_membership() {
                    self.heard.remove(room);
                }
                Ok(())
            }
            Event::Receipts { room, of } => {
                let at = self.hearing(*room, event)?;
                self.read_before(at, of.iter().map(|(_, seq)| *seq))
            }
            Event::Read { room, position } => {
                let at = self.hearing(*room, event)?;
                self.read_before(at, std::iter::once(position.seq))
            }
            Event::Presence { room, .. } | Event::Typing { room, .. } => {
                self.hearing(*room, event).map(drop)
            }
            Event::Summary { room, cursor, .. } => {
                let at = self.hearing(*room, event)?;
                if cursor.seq != at.seq || cursor.change < at.change {
                    object!("a summary at {cursor}, where {at} has been heard");
                }
                self.heard.insert(*room, *cursor);
                Ok(())
            }
            Event::Renamed { room: Some(room), .. } => self.hearing(*room, event).map(drop),
            Event::Renamed { room: None, .. }
            | Event::Invited { .. }
            | Event::Mentioned { .. }
            | Event::Notice(_) => Ok(()),
            Event::Marked { room, .. } => self.hearing(*room, event).map(drop),
            Event::Mine { room, .. } => match self.hearing(*room, event) {
                Ok(_) => object!("a room that is heard tells it by itself: {event:?}"),
                Err(_) => Ok(()),
            },
            Event::Closed { room } => {
                self.hearing(*room, event)?;
                self.heard.remove(room);
                Ok(())
            }
            Event::Behind { room, after } => {
                let at = self.hearing(*room, event)?;
                if *after != at {
                    object!("expected Behind after {at}, the last that was heard, heard {after}");
                }
                self.heard.remove(room);
                Ok(())
            }
            Event::Resumed { room, result } => self.resumed(*room, result),
            Event::Expiring { .. } => Ok(()),
            Event::Closing { .. } => {
                self.closing = true;
                Ok(())
            }
        }
    }

    /// Up to where a room has been heard, which is heard.
    fn hearing(&self, room: RoomId, event: &Event) -> std::result::Result<Cursor, String> {
        let at = self.heard.get(&room).copied();
        at.ok_or_else(|| format!("an event of a room that is not heard: {event:?}"))
    }

    /// Nobody has read what is not told yet.
    fn read_before(&self, at: Cursor, mut read: impl Iterator<Item = u64>) -> Objection {
        match read.find(|seq| *seq > at.seq) {
            Some(seq) => object!("somebody has read message {seq}, where {at} has been heard"),
            None => Ok(()),
        }
    }

    fn durable(&mut self, room: RoomId, event: &Event, cursor: Cursor) -> Objection {
        let at = self.hearing(room, event)?;
        if event.cursor_before() != Some(at) {
            object!("expected what follows {at}, without gap or double, heard {event:?}");
        }
        self.heard.insert(room, cursor);
        Ok(())
    }

    fn resumed(&mut self, room: RoomId, result: &Result<Box<Joined>>) -> Objection {
        let waiting = self.resuming.get_mut(&room).filter(|waiting| !waiting.is_empty());
        let Some((tag, after)) = waiting.map(|waiting| waiting.remove(0)) else {
            object!("Resumed of a room that has answered already or was not asked: {room}");
        };
        let count = self.resumed.entry(tag).or_default();
        match result {
            Ok(joined) => {
                count.0 += 1;
                self.joined(room, After::Cursor(after), limits::DEFAULT_PAGE, joined)
            }
            Err(_) => {
                count.1 += 1;
                Ok(())
            }
        }
    }

    /// What a room answers to somebody who knows it up to `after`: exactly what follows.
    fn joined(&mut self, room: RoomId, after: After, limit: usize, joined: &Joined) -> Objection {
        let Joined { cursor, messages, changes, behind, reset, .. } = joined;
        if joined.room.info.id != room {
            object!("expected the answer of room {room}, heard that of {}", joined.room.info.id);
        }
        if let Some(at) = self.heard.get(&room)
            && at != cursor
        {
            object!(
                "expected an answer at {at}, up to which the room was heard, it is at {cursor}"
            );
        }
        in_a_row(messages)?;
        if messages.last().is_some_and(|last| last.seq != cursor.seq) {
            object!("the messages of an answer at {cursor} end with another");
        }
        let latest = |limit: usize| limit.min(limits::PAGE).min(cursor.seq as usize);
        let (wanted, known) = match after {
            After::Cursor(known) if !reset => {
                let from = behind.map_or(known.seq, |behind| behind.until);
                (cursor.seq.saturating_sub(from) as usize, Some(known))
            }
            After::Cursor(_) | After::Nothing => (latest(limit), None),
        };
        if messages.len() != wanted {
            object!("expected {wanted} messages up to {cursor}, the answer has {}", messages.len());
        }
        if let Some(known) = known {
            let numbers = changes.iter().map(|change| change.cursor.change);
            if !numbers.eq(known.change + 1..=cursor.change) {
                object!("expected the changes between {known} and {cursor}, heard {changes:?}");
            }
        }
        self.heard.insert(room, *cursor);
        Ok(())
    }
}

/// Each message has the number after the one before it.
fn in_a_row(messages: &[std::sync::Arc<Message>]) -> Objection {
    for pair in messages.windows(2) {
        if pair[1].seq != pair[0].seq + 1 {
            object!("message {} of an answer is followed by {}", pair[0].seq, pair[1].seq);
        }
    }
    Ok(())
}
