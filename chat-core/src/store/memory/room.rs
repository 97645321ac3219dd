//! A room as the store in memory keeps it, and what each write makes of it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::capacity::shrink_map;
use crate::clock::Timestamp;
use crate::command::{Sent, Standing};
use crate::ids::UserId;
use crate::model::{
    Activity, Change, ChangeKind, ClientKey, Counts, Cursor, Fingerprint, Given, LastReply, Mark,
    MarkCount, Marking, Membership, Message, Reading, Restriction, Revision, Role, RoomInfo,
    RoomView, Settings, Thread, Unread, User,
};
use crate::store::{Outcome, Write};

#[derive(Debug)]
pub(super) struct Room {
    pub(super) info: RoomInfo,
    pub(super) pair: Option<[UserId; 2]>,
    pub(super) members: HashMap<UserId, Membership>,
    /// How far members have read.
    pub(super) read: HashMap<UserId, u64>,
    pub(super) invited: HashMap<UserId, User>,
    pub(super) bans: HashMap<UserId, Restriction>,
    pub(super) mutes: HashMap<UserId, Restriction>,
    pub(super) settings: Settings,
    pub(super) messages: Vec<Message>,
    pub(super) revisions: HashMap<u64, Vec<Revision>>,
    pub(super) marks: BTreeSet<(u64, Mark, UserId)>,
    pub(super) changes: Vec<Change>,
    /// What keys were used for: what a message got, or when something else was done.
    pub(super) keys: HashMap<(UserId, ClientKey), (Fingerprint, Use)>,
}

/// What a key was used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Message(Sent),
    Change(Timestamp),
}

impl Room {
    pub(super) fn end(&self) -> Cursor {
        Cursor::new(self.messages.len() as u64, self.changes.len() as u64)
    }

    /// The marks of a range of messages.
    pub(super) fn given(&self, after: u64, until: u64) -> Vec<Given> {
        let of = self.marks.iter().filter(|(seq, ..)| *seq > after && *seq <= until);
        of.map(|(seq, mark, user)| Given { seq: *seq, mark: mark.clone(), user: *user }).collect()
    }

    /// Everybody who is named here.
    pub(super) fn names(&mut self) -> impl Iterator<Item = &mut User> {
        let authors = self.messages.iter_mut().flat_map(Message::names_mut);
        let members = self.members.values_mut().map(|membership| &mut membership.user);
        let kept = self.bans.values_mut().chain(self.mutes.values_mut()).map(|kept| &mut kept.user);
        let changed = self.changes.iter_mut().flat_map(Change::names_mut);
        authors.chain(members).chain(kept).chain(changed).chain(self.invited.values_mut())
    }

    /// What it has come to, if it is a thread.
    pub(super) fn thread(&self) -> Option<Thread> {
        self.info.parent?;
        let replies = self.messages.iter().filter(|message| !message.deleted);
        let last = replies.clone().next_back().map(|last| LastReply {
            from: last.from.clone(),
            at: last.at,
            seq: last.seq,
        });
        let (room, replies) = (self.info.id, replies.count() as u64);
        Some(Thread { room, replies, last, upto: self.end() })
    }

    /// Whether something has come about after this that makes a thread come to something else.
    pub(super) fn goes_beyond(&self, told: Cursor) -> bool {
        let deletes = |change: &Change| {
            matches!(
                change.kind,
                ChangeKind::Deleted(..) | ChangeKind::Edited(_, _, None) | ChangeKind::Erased(_)
            )
        };
        self.end().seq > told.seq
            || self.changes[index(self.changes.len(), told.change)..].iter().any(deletes)
    }

    /// What the room has been told of the thread on a message.
    pub(super) fn told(&self, seq: u64) -> Option<&Thread> {
        of_seq_of(&self.messages, seq)?.thread.as_ref()
    }

    pub(super) fn change(&mut self, kind: ChangeKind, by: Option<User>, at: Timestamp) -> Outcome {
        let cursor = self.end().next_change();
        let Membership { user, .. } = kind.membership();
        let restriction =
            |until: &Option<Timestamp>| Restriction { user: user.clone(), until: *until };
        match &kind {
            ChangeKind::Joined(membership) => {
                self.invited.remove(&user.id);
                self.members.insert(user.id, membership.clone());
                self.read_up_to(user.id, cursor.seq);
            }
            ChangeKind::Role(membership) => {
                self.members.insert(user.id, membership.clone());
            }
            ChangeKind::Transferred(membership) => {
                self.members.insert(user.id, membership.clone());
                if let Some(before) = by.as_ref().and_then(|by| self.members.get_mut(&by.id)) {
                    before.role = Role::Moderator;
                }
            }
            ChangeKind::Left(_) | ChangeKind::Kicked(_) => self.end_membership(user.id),
            ChangeKind::Invited(_) => _ = self.invited.insert(user.id, user.clone()),
            ChangeKind::Banned(_, until) => {
                self.end_membership(user.id);
                self.invited.remove(&user.id);
                self.bans.insert(user.id, restriction(until));
            }
            ChangeKind::Unbanned(_) => _ = self.bans.remove(&user.id),
            ChangeKind::Muted(_, until) => _ = self.mutes.insert(user.id, restriction(until)),
            ChangeKind::Unmuted(_) => _ = self.mutes.remove(&user.id),
            ChangeKind::Settings(_, settings) => self.settings = *settings,
            ChangeKind::Edited(_, seq, Some(edit)) => {
                if let Some(message) = of_seq(&mut self.messages, *seq).filter(|one| !one.deleted) {
                    let at_then = message.edited.unwrap_or(message.at);
                    let before = Revision { text: message.body.text.clone(), at: at_then };
                    message.edit(edit, at);
                    self.revisions.entry(*seq).or_default().push(before);
                }
            }
            ChangeKind::Deleted(_, seq) => {
                of_seq(&mut self.messages, *seq).into_iter().for_each(Message::delete);
                self.forget_said(*seq);
                self.forget_edits();
            }
            ChangeKind::Thread(_, seq, thread) => {
                if let Some(message) = of_seq(&mut self.messages, *seq) {
                    message.set_thread(thread);
                }
            }
            ChangeKind::Erased(_) | ChangeKind::Edited(_, _, None) | ChangeKind::Marked(..) => {}
        }
        shrink_map(&mut self.members);
        shrink_map(&mut self.invited);
        self.changes.push(Change { cursor, kind, by, at });
        Outcome::Stored(cursor)
    }

    pub(super) fn end_membership(&mut self, user: UserId) {
        self.members.remove(&user);
        self.read.remove(&user);
    }

    pub(super) fn read_up_to(&mut self, user: UserId, seq: u64) {
        if self.members.contains_key(&user) {
            let read = self.read.entry(user).or_default();
            *read = seq.max(*read);
        }
    }

    /// When something was last said here.
    pub(super) fn activity(&self) -> Activity {
        let at = self.messages.last().map_or(self.info.created, |message| message.at);
        Activity { at, room: self.info.id }
    }

    pub(super) fn standing(&self, user: UserId) -> Option<Standing> {
        self.members.get(&user)?;
        let read = self.read.get(&user).copied().unwrap_or_default();
        let mut unread = Unread::default();
        for message in &self.messages[index(self.messages.len(), read)..] {
            unread.count(message, user);
        }
        let last = self.messages.last().map(|last| Message { marks: Vec::new(), ..last.clone() });
        Some(Standing {
            room: RoomView {
                info: self.info.clone(),
                counts: Counts { members: self.members.len(), online: 0 },
            },
            cursor: self.end(),
            last: last.map(Arc::new),
            read,
            unread,
        })
    }

    /// What belongs to a message that is deleted.
    pub(super) fn forget_said(&mut self, seq: u64) {
        self.revisions.remove(&seq);
        self.marks.retain(|(marked, ..)| *marked != seq);
    }

    pub(super) fn mark(
        &mut self,
        seq: u64,
        markings: Vec<Marking>,
        last: Membership,
        at: Timestamp,
    ) -> Outcome {
        let used = |marking: &Marking| {
            let key = marking.key.as_ref().map(|(key, _)| (marking.user, key.clone()));
            key.is_some_and(|key| self.keys.contains_key(&key))
        };
        if markings.iter().any(used) {
            return Outcome::KeyConflict;
        }
        let message = of_seq(&mut self.messages, seq).filter(|message| !message.deleted);
        let is_there = message.is_some();
        for Marking { user, mark, on, key } in markings {
            if let Some((key, fingerprint)) = key {
                self.keys.entry((user, key)).or_insert((fingerprint, Use::Change(at)));
            }
            match on {
                true if is_there => _ = self.marks.insert((seq, mark, user)),
                _ => _ = self.marks.remove(&(seq, mark, user)),
            }
        }
        let mut counts = Vec::<MarkCount>::new();
        for (_, mark, _) in self.marks.iter().filter(|(marked, ..)| *marked == seq) {
            match counts.last_mut() {
                Some(last) if last.mark == *mark => last.count += 1,
                _ => counts.push(MarkCount { mark: mark.clone(), count: 1 }),
            }
        }
        of_seq(&mut self.messages, seq).into_iter().for_each(|message| message.mark(&counts));
        self.change(ChangeKind::Marked(last, seq, counts), None, at)
    }

    /// Changes say no more what messages said that have been deleted since.
    pub(super) fn forget_edits(&mut self) {
        let Self { messages, changes, .. } = self;
        for change in changes {
            if let ChangeKind::Edited(_, seq, edit) = &mut change.kind
                && of_seq(messages, *seq).is_none_or(|message| message.deleted)
            {
                *edit = None;
            }
        }
    }

    /// Takes a key for a change, unless it is taken.
    pub(super) fn take_key(
        &mut self,
        user: UserId,
        (key, fingerprint): (ClientKey, Fingerprint),
        at: Timestamp,
    ) -> Result<(), Outcome> {
        match self.keys.entry((user, key)) {
            Entry::Vacant(entry) => _ = entry.insert((fingerprint, Use::Change(at))),
            Entry::Occupied(first) if first.get().0 == fingerprint => {
                return Err(Outcome::Repeated);
            }
            Entry::Occupied(_) => return Err(Outcome::KeyConflict),
        }
        Ok(())
    }

    pub(super) fn write(&mut self, write: Write) -> Outcome {
        match write {
            Write::Change { kind, by, at, key } => {
                let user = by.as_ref().map_or(kind.membership().user.id, |by| by.id);
                let taken = key.map_or(Ok(()), |key| self.take_key(user, key, at));
                match taken {
                    Ok(()) => self.change(kind, by, at),
                    Err(before) => before,
                }
            }
            Write::Key { user, key, fingerprint, at } => {
                let taken = self.take_key(user, (key, fingerprint), at);
                taken.map_or_else(|before| before, |()| Outcome::Stored(self.end()))
            }
            Write::Marks { seq, markings, last, at } => self.mark(seq, markings, last, at),
            Write::Read(readings) => {
                readings.into_iter().for_each(|Reading { user, seq }| self.read_up_to(user, seq));
                Outcome::Stored(self.end())
            }
            Write::Message { from, body, at, key } => {
                let key = key.map(|(key, fingerprint)| ((from.id, key), fingerprint));
                if let Some((key, fingerprint)) = &key
                    && let Some((first, used)) = self.keys.get(key)
                {
                    return match used {
                        Use::Message(sent) if first == fingerprint => Outcome::Seen(*sent),
                        _ => Outcome::KeyConflict,
                    };
                }
                let cursor = self.end().next_message();
                if let Some((key, fingerprint)) = key {
                    let sent = Sent { seq: cursor.seq, at };
                    self.keys.insert(key, (fingerprint, Use::Message(sent)));
                }
                self.messages.push(Message::new(cursor.seq, from, body, at));
                Outcome::Stored(cursor)
            }
        }
    }
}

/// The message with this number.
pub(super) fn of_seq(messages: &mut [Message], seq: u64) -> Option<&mut Message> {
    messages.get_mut(usize::try_from(seq.checked_sub(1)?).ok()?)
}

pub(super) fn of_seq_of(messages: &[Message], seq: u64) -> Option<&Message> {
    messages.get(usize::try_from(seq.checked_sub(1)?).ok()?)
}

/// Index into a list whose first element has number 1.
pub(super) fn index(list_len: usize, number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).min(list_len)
}
