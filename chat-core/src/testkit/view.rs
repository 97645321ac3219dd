//! What a client knows of a room, rebuilt from nothing but what it was answered and told: the model
//! that a client's view is compared with. It finds every break of the contract between engine and
//! client: a gap, a double, something out of order, something heard that should not be.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::{After, Behind, History, HistoryAt, HistoryQuery, Joined, MemberPage};
use crate::event::Event;
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::model::{
    Change, ChangeKind, Cursor, Kind, Membership, Message, ReadPosition, Role, Unread,
};
use crate::roster::newcomer;
use crate::store::LoadedRoom;

/// What was answered or told breaks the contract, in words.
pub type Broken = String;

/// One client's view of one room.
#[derive(Clone, Debug)]
pub struct View {
    room: RoomId,
    me: UserId,
    /// Where the client stands; `None` while it knows nothing.
    cursor: Option<Cursor>,
    /// Whether it hears the room.
    hears: bool,
    messages: BTreeMap<u64, Arc<Message>>,
    members: BTreeMap<UserId, Membership>,
    /// How far members are known to have read.
    read: BTreeMap<UserId, u64>,
    /// The member after whom the next page of members begins; `None` when all pages have been read.
    page: Option<Option<UserId>>,
    /// Messages that it is behind with.
    missing: Vec<Behind>,
    /// Whether memberships are not all announced, because the room is big.
    big: bool,
}

/// Two things that should be the same.
#[allow(clippy::needless_pass_by_value, reason = "so that what is compared is plain to read")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Result<(), Broken> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what}: {actual:?}, where {expected:?} was expected"))
}

impl View {
    /// The view of a user who knows nothing of the room.
    #[must_use]
    pub fn new(room: RoomId, me: UserId) -> Self {
        Self {
            room,
            me,
            cursor: None,
            hears: false,
            messages: BTreeMap::new(),
            members: BTreeMap::new(),
            read: BTreeMap::new(),
            page: None,
            missing: Vec::new(),
            big: false,
        }
    }

    /// The same view of a room that may be big, where messages are told one by one, but memberships
    /// need not be.
    #[must_use]
    pub fn big(mut self) -> Self {
        self.big = true;
        self
    }

    /// What to join or resume with.
    #[must_use]
    pub fn after(&self) -> After {
        self.cursor.map_or(After::Nothing, After::Cursor)
    }

    /// Where the client stands.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// Whether the client hears the room.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.hears
    }

    /// The connection is gone; what is known stays known.
    pub fn disconnected(&mut self) {
        self.hears = false;
    }

    /// The room has answered a join or a resume, which asked for what is `after`. What has been
    /// heard between the question and the answer is in the answer too.
    ///
    /// # Errors
    /// If the answer is not exactly what is missing.
    pub fn joined(&mut self, after: After, joined: &Joined) -> Result<(), Broken> {
        same("the room", joined.room.info.id, self.room)?;
        same("whose membership", joined.me.user.id, self.me)?;
        match after {
            After::Cursor(known) if !joined.reset => self.go_on(known, joined)?,
            _ => self.begin(joined)?,
        }
        self.members.insert(self.me, joined.me.clone());
        same("where the view stands after the answer", self.cursor, Some(joined.cursor))?;
        self.hears = true;
        for member in &joined.first {
            self.learn_read(member.id(), member.read)?;
        }
        self.read_up_to(&joined.read)
    }

    fn begin(&mut self, joined: &Joined) -> Result<(), Broken> {
        *self = Self { big: self.big, ..Self::new(self.room, self.me) };
        same("what a newcomer is behind with", joined.behind, None)?;
        same("the changes that a newcomer has missed", joined.changes.len(), 0)?;
        let seq = joined.cursor.seq - joined.messages.len() as u64;
        self.cursor = Some(Cursor { seq, ..joined.cursor });
        self.page = Some(None);
        joined.messages.iter().try_for_each(|message| self.message(message))
    }

    fn go_on(&mut self, asked: Cursor, joined: &Joined) -> Result<(), Broken> {
        let known = self.cursor.unwrap_or(asked);
        let mut first = asked.seq + 1;
        if let Some(behind) = joined.behind {
            same("the beginning of what is missing", behind.after, asked.seq)?;
            first = behind.until + 1;
            if behind.until > known.seq {
                self.missing.push(Behind { after: known.seq, ..behind });
                self.cursor = Some(Cursor { seq: behind.until, ..known });
            }
        }
        let seqs = joined.messages.iter().map(|message| message.seq);
        same(
            "the messages of an answer",
            seqs.collect(),
            (first..=joined.cursor.seq).collect::<Vec<_>>(),
        )?;
        let numbers = joined.changes.iter().map(|change| change.cursor.change);
        let expected = asked.change + 1..=joined.cursor.change;
        same("the changes of an answer", numbers.collect(), expected.collect::<Vec<_>>())?;
        for message in &joined.messages {
            match message.seq > self.cursor.unwrap_or_default().seq {
                true => self.message(message)?,
                false => self.keep(message)?,
            }
        }
        // In a big room some of those that were heard of since may not have been announced.
        let known = if self.big { asked } else { known };
        self.cursor = self.cursor.map(|cursor| Cursor { change: known.change, ..cursor });
        let new = joined.changes.iter().filter(|change| change.cursor.change > known.change);
        new.into_iter().try_for_each(|change| self.change(change))
    }

    /// The client has heard something.
    ///
    /// # Errors
    /// If it is not what comes next.
    pub fn heard(&mut self, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Message { room, cursor, message } if *room == self.room => {
                self.hearing("a message")?;
                self.message(message)?;
                let after = self.cursor.unwrap_or_default();
                self.cursor = Some(after.max_change(*cursor, self.big));
                same("the cursor of a message", self.cursor, Some(*cursor))
            }
            Event::Change { room, change, .. } if *room == self.room => {
                self.hearing("a change")?;
                if !self.big {
                    let seq = self.cursor.unwrap_or_default().seq;
                    same("the last message before a change", change.cursor.seq, seq)?;
                }
                self.change(change)?;
                let mine = change.kind.membership().user.id == self.me;
                self.hears &= !(change.kind.ends_membership() && mine);
                Ok(())
            }
            Event::Summary { room, cursor, .. } if *room == self.room => {
                self.hearing("a summary")?;
                let after = self.cursor.unwrap_or_default();
                self.cursor = Some(after.max_change(*cursor, true));
                Ok(())
            }
            Event::Receipts { room, of } if *room == self.room => {
                self.hearing("who has read what")?;
                of.iter().try_for_each(|(user, seq)| self.learn_read(user.id, Some(*seq)))
            }
            Event::Read { room, position } if *room == self.room => {
                self.hearing("how far it has read itself")?;
                self.read_up_to(position)
            }
            Event::Behind { room, after } if *room == self.room => {
                self.hearing("that it is behind")?;
                self.hears = false;
                same("the last thing heard", after.seq, self.cursor.unwrap_or_default().seq)
            }
            Event::Mine { room, .. } if *room == self.room => {
                same("whether a room is heard that is told of elsewhere", self.hears, false)
            }
            Event::Closed { room } if *room == self.room => {
                self.hears = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The room has said how far the client's user has read, and what is left: by an answer or an event, each in
    /// its place among all that the client hears.
    ///
    /// # Errors
    /// If the position has moved back, or what is left is not what the client counts itself.
    pub fn read_up_to(&mut self, position: &ReadPosition) -> Result<(), Broken> {
        self.learn_read(self.me, Some(position.seq))?;
        let counted = position.unread.and_then(|_| self.unread(position.seq));
        match counted {
            Some(counted) => same("what is left to read", position.unread, Some(counted)),
            None => Ok(()),
        }
    }

    /// What is left behind this message, if the client hears the room and has all of it.
    fn unread(&self, read: u64) -> Option<Unread> {
        let end = self.cursor?.seq;
        let behind = self.messages.range(read + 1..).map(|(_, message)| message);
        let complete = end < read || behind.clone().count() as u64 == end - read;
        let mut unread = Unread::default();
        behind.for_each(|message| unread.count(message, self.me));
        (self.hears && complete).then_some(unread)
    }

    fn learn_read(&mut self, user: UserId, seq: Option<u64>) -> Result<(), Broken> {
        let Some(seq) = seq else { return Ok(()) };
        let before = self.read.insert(user, seq).unwrap_or_default();
        if seq < before {
            return Err(format!("{user} has read up to {before}, and now only up to {seq}"));
        }
        Ok(())
    }

    fn hearing(&self, what: &str) -> Result<(), Broken> {
        if self.hears {
            Ok(())
        } else {
            Err(format!("{what} is heard of a room that is not heard"))
        }
    }

    fn message(&mut self, message: &Arc<Message>) -> Result<(), Broken> {
        let end = self.cursor.unwrap_or_default();
        same("the next seq", message.seq, end.seq + 1)?;
        self.cursor = Some(end.next_message());
        self.keep(message)
    }

    fn keep(&mut self, message: &Arc<Message>) -> Result<(), Broken> {
        match self.messages.insert(message.seq, Arc::clone(message)) {
            // What it says may have changed since.
            Some(known) => {
                let (known, now) = ((known.from.id, known.at), (message.from.id, message.at));
                same("a message that was known already", now, known)
            }
            None => Ok(()),
        }
    }

    /// A message that is known is otherwise from now on.
    fn change_message(&mut self, seq: u64, change: impl FnOnce(&mut Message)) {
        if let Some(message) = self.messages.get_mut(&seq) {
            change(Arc::make_mut(message));
        }
    }

    fn change(&mut self, change: &Change) -> Result<(), Broken> {
        let end = self.cursor.unwrap_or_default();
        if !self.big {
            same("the next change", change.cursor.change, end.change + 1)?;
        }
        self.cursor = Some(Cursor { change: change.cursor.change, ..end });
        match &change.kind {
            ChangeKind::Joined(membership) => {
                self.members.insert(membership.user.id, membership.clone());
                let read = self.read.entry(membership.user.id).or_default();
                *read = change.cursor.seq.max(*read);
            }
            kind if kind.ends_membership() => {
                self.members.remove(&kind.membership().user.id);
                self.read.remove(&kind.membership().user.id);
            }
            ChangeKind::Role(membership) | ChangeKind::Transferred(membership) => {
                // Of whoever has been a member for longer than the view, another page may tell.
                if let Some(known) = self.members.get_mut(&membership.user.id) {
                    known.role = membership.role;
                }
                let before = change.by.as_ref().and_then(|by| self.members.get_mut(&by.id));
                if let (ChangeKind::Transferred(_), Some(before)) = (&change.kind, before) {
                    before.role = Role::Moderator;
                }
            }
            ChangeKind::Edited(_, seq, Some(edit)) => {
                self.change_message(*seq, |message| message.edit(edit, change.at));
            }
            ChangeKind::Edited(_, seq, None) | ChangeKind::Deleted(_, seq) => {
                self.change_message(*seq, Message::delete);
            }
            ChangeKind::Marked(_, seq, marks) => {
                self.change_message(*seq, |message| message.mark(marks));
            }
            ChangeKind::Thread(_, seq, thread) => {
                self.change_message(*seq, |message| message.set_thread(thread));
            }
            ChangeKind::Erased(author) => {
                let id = author.user.id;
                let theirs = self.messages.values_mut().filter(|message| message.from.id == id);
                theirs.for_each(|message| Arc::make_mut(message).delete());
            }
            _ => {}
        }
        Ok(())
    }

    /// The next page of messages that the client is behind with.
    #[must_use]
    pub fn missing(&self) -> Option<HistoryQuery> {
        let Behind { after, until } = *self.missing.first()?;
        let limit = usize::try_from(until - after).unwrap_or(usize::MAX).min(limits::PAGE);
        Some(HistoryQuery { at: HistoryAt::After(after), limit })
    }

    /// The room has answered with the page that was [`missing`](Self::missing).
    ///
    /// # Errors
    /// If it is not that page.
    pub fn paged(&mut self, history: &History) -> Result<(), Broken> {
        let Some(behind) = self.missing.first().copied() else { return Ok(()) };
        let seqs = history.messages.iter().map(|message| message.seq);
        let expected = behind.after + 1..=behind.after + history.messages.len() as u64;
        same("the numbers of a page", seqs.collect::<Vec<_>>(), expected.collect())?;
        history.messages.iter().try_for_each(|message| self.keep(message))?;
        let after = behind.after + history.messages.len() as u64;
        if history.messages.is_empty() {
            return Err("a page of what is missing is empty".into());
        }
        if after >= behind.until {
            self.missing.remove(0);
        } else {
            self.missing[0].after = after;
        }
        Ok(())
    }

    /// Where the next page of members begins that a newcomer has not read: `Some(None)` for the
    /// first page, `None` when it has read all.
    #[must_use]
    pub fn next_members(&self) -> Option<Option<UserId>> {
        self.page
    }

    /// The room has answered with that page of members.
    ///
    /// # Errors
    /// If somebody has read less than it had.
    pub fn members(&mut self, page: &MemberPage) -> Result<(), Broken> {
        for member in page.members.iter() {
            self.members.insert(member.id(), member.membership.clone());
            self.learn_read(member.id(), member.read)?;
        }
        self.page = page.next.map(Some);
        Ok(())
    }

    /// Whether the client has heard everything up to where the room stands. Of a big room that is
    /// the messages: who comes and goes there is summarised, and who does not keep up gets no
    /// summary.
    #[must_use]
    pub fn has_heard(&self, end: Cursor) -> bool {
        let heard = self.cursor.unwrap_or_default();
        heard.seq == end.seq && (self.big || heard.change == end.change)
    }

    /// Whether the client's user has read as far as the store says, as far as the client knows.
    #[must_use]
    pub fn has_read(&self, stored: &LoadedRoom) -> bool {
        self.compare_read(stored).is_ok()
    }

    /// Compares the view of a client that has heard and read everything with what the store says.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, stored: &LoadedRoom) -> Result<(), Broken> {
        if !self.has_heard(stored.end) {
            return same("where the view stands", self.cursor, Some(stored.end));
        }
        let first = self.messages.keys().next().copied().unwrap_or(stored.end.seq + 1);
        let stored_messages: Vec<_> = stored.messages.iter().filter(|m| m.seq >= first).collect();
        same("the number of messages", self.messages.len(), stored_messages.len())?;
        for (known, stored) in self.messages.values().zip(stored_messages) {
            same("a message", &**known, stored)?;
        }
        if self.page.is_none() && !self.big {
            let members = |all: &mut dyn Iterator<Item = &Membership>| {
                let as_kept = |one: &Membership| match stored.info.kind {
                    // Its parent's room says what everybody is.
                    Kind::Thread => newcomer(one.user.clone()),
                    _ => one.clone(),
                };
                all.map(|one| (one.user.id, as_kept(one))).collect::<BTreeMap<_, _>>()
            };
            let known = members(&mut self.members.values());
            same("the members", known, members(&mut stored.members.iter()))?;
        }
        self.compare_read(stored)
    }

    /// How far the client's own user has read. Of others, what they have read while the client was away comes
    /// with a page of members.
    fn compare_read(&self, stored: &LoadedRoom) -> Result<(), Broken> {
        let own = stored.readings.iter().find(|reading| reading.user == self.me);
        let read = own.map_or(0, |reading| reading.seq);
        same("how far it has read", self.read.get(&self.me).copied().unwrap_or_default(), read)
    }
}

impl Cursor {
    /// This cursor, with the other's change if the changes up to there need not have been heard.
    fn max_change(self, other: Self, unheard: bool) -> Self {
        Self { change: if unheard { self.change.max(other.change) } else { self.change }, ..self }
    }
}
