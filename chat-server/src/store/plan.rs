//! Decides what a commit writes: numbers the writes, finds keys that were used before, and sums up
//! memberships. Pure: what the database knows is passed in, and nothing here waits.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use chat_core::{
    Batch, BatchOutcome, Body, Change, ChangeKind, ClientKey, Cursor, Edit, Fingerprint, Marking,
    Membership, Message, Outcome, Role, RoomKey, Sent, Settings, Thread, Timestamp, User, UserId,
    Write,
};
use uuid::Uuid;

/// Where rooms stand. A room that is not in it does not exist, or no longer.
pub(super) type Ends = HashMap<RoomKey, Cursor>;

/// A client key, in bytes, and the room and user it counts for.
pub(super) type KeyOf<'a> = (RoomKey, UserId, &'a [u8]);

/// What took a key: what stands for its contents, and what it was answered, if it was a message.
pub(super) type FirstUse = (Fingerprint, Option<Sent>);

/// Keys that were used before.
pub(super) type Keys<'a> = HashMap<KeyOf<'a>, FirstUse>;

/// What a commit writes, and what to answer once it is committed.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) rows: Rows<'a>,
    /// Where the rooms stand with it.
    pub(super) ends: Ends,
    /// What others have written that the engine has not seen: to be read, and to be told with the
    /// outcomes.
    pub(super) between: Vec<Between>,
    /// One for each batch.
    outcomes: Vec<BatchOutcome>,
}

/// A range of a room's messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    batch: usize,
    pub(super) room: RoomKey,
    pub(super) after: u64,
    pub(super) until: u64,
}

/// The rows of a commit, each kind in the order of writing.
#[derive(Debug, Default)]
pub(super) struct Rows<'a> {
    pub(super) messages: Vec<NewMessage<'a>>,
    pub(super) changes: Vec<NewChange>,
    /// How each touched membership ends up: with a role, or with none.
    pub(super) members: HashMap<(RoomKey, UserId), Option<Role>>,
    /// Whether each user who was touched ends up invited.
    pub(super) invited: HashMap<(RoomKey, UserId), bool>,
    /// How each touched restriction ends up: until when it holds, or lifted.
    pub(super) restrictions: HashMap<(RoomKey, UserId, Kept), Option<Option<Timestamp>>>,
    /// How far members have read who have read, or have joined.
    pub(super) reads: BTreeMap<(i64, UserId), u64>,
    /// How each room ends up that was configured.
    pub(super) settings: HashMap<RoomKey, Settings>,
    /// What becomes of messages.
    pub(super) amends: Vec<Amend<'a>>,
    /// Keys of what is no message.
    pub(super) keys: Vec<NewKey<'a>>,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// It says this from then on.
    Edited(&'a Edit),
    /// It is deleted.
    Deleted,
    /// These give it marks, or take them back.
    Marked(&'a [Marking]),
    /// Its thread has come to this.
    Thread(&'a Thread),
}

/// A key that is not a message's.
#[derive(Debug)]
pub(super) struct NewKey<'a> {
    pub(super) room: RoomKey,
    pub(super) user: UserId,
    pub(super) key: &'a ClientKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) at: Timestamp,
}

impl<'a> NewKey<'a> {
    fn of(&self) -> KeyOf<'a> {
        (self.room, self.user, self.key.as_str().as_bytes())
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) struct Amend<'a> {
    pub(super) room: RoomKey,
    pub(super) seq: u64,
    pub(super) what: What<'a>,
    /// The number of the change that it is.
    pub(super) number: u64,
    pub(super) at: Timestamp,
}

/// What a user is kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    /// From being a member.
    Ban,
    /// From writing.
    Mute,
}

impl Kept {
    /// The text form, as stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Mute => "mute",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Ban, Self::Mute].into_iter().find(|kept| kept.as_str() == text)
    }
}

/// A message with its number.
#[derive(Debug)]
pub(super) struct NewMessage<'a> {
    pub(super) room: RoomKey,
    pub(super) seq: u64,
    pub(super) from: &'a User,
    pub(super) body: &'a Body,
    pub(super) mentions: Option<Vec<u8>>,
    pub(super) files: Option<Vec<u8>>,
    pub(super) at: Timestamp,
    pub(super) key: Option<(&'a ClientKey, Fingerprint)>,
}

/// A change with its number.
#[derive(Debug)]
pub(super) struct NewChange {
    pub(super) room: RoomKey,
    pub(super) change: Change,
}

impl Between {
    /// One message alone.
    pub(super) fn last(room: RoomKey, seq: u64) -> Self {
        Self { batch: 0, room, after: seq.saturating_sub(1), until: seq }
    }
}

impl<'a> Plan<'a> {
    /// What to write if rooms stand at `ends` and these `keys` were used before.
    pub(super) fn new<'k>(batches: &'a [Batch], mut ends: Ends, mut keys: Keys<'k>) -> Self
    where
        'a: 'k,
    {
        let (mut rows, mut between) = (Rows::default(), Vec::new());
        let outcomes =
            batches.iter().enumerate().map(|(index, batch)| match ends.get_mut(&batch.room) {
                None => BatchOutcome::Gone,
                Some(end) if !batch.fits(*end) => BatchOutcome::Fenced,
                Some(end) => {
                    if batch.follows(*end) {
                        let (room, after, until) = (batch.room, batch.after.seq, end.seq);
                        between.push(Between { batch: index, room, after, until });
                    }
                    let writes = batch.writes.iter();
                    BatchOutcome::Done(
                        writes.map(|write| rows.write(batch.room, end, &mut keys, write)).collect(),
                    )
                }
            });
        let outcomes = outcomes.collect();
        Self { rows, ends, between, outcomes }
    }

    /// What to answer, with what was read of others.
    pub(super) fn answer(self, mut read: HashMap<RoomKey, Vec<Message>>) -> Vec<BatchOutcome> {
        let mut answers = self.outcomes;
        for range in self.between {
            let between = read.remove(&range.room).unwrap_or_default();
            if let BatchOutcome::Done(outcomes) = &mut answers[range.batch] {
                let outcomes = std::mem::take(outcomes);
                answers[range.batch] = BatchOutcome::Followed { between, outcomes };
            }
        }
        answers
    }
}

impl<'a> Rows<'a> {
    /// Everybody whose name the rows refer to.
    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        let authors = self.messages.iter().map(|message| message.from);
        let changed = self.changes.iter().map(|new| &new.change);
        authors.chain(changed.flat_map(|change| named(&change.kind, change.by.as_ref())))
    }

    /// Sums up what a change does, which stands behind this message.
    fn change(&mut self, room: RoomKey, kind: &ChangeKind, by: Option<&User>, seq: u64) {
        let Membership { user, role } = kind.membership();
        let who = (room, user.id);
        let (ban, mute) = ((room, user.id, Kept::Ban), (room, user.id, Kept::Mute));
        match kind {
            ChangeKind::Joined(_) => {
                self.members.insert(who, Some(*role));
                self.invited.insert(who, false);
                self.read(room, user.id, seq);
            }
            ChangeKind::Invited(_) => _ = self.invited.insert(who, true),
            ChangeKind::Role(_) => _ = self.members.insert(who, Some(*role)),
            ChangeKind::Transferred(_) => {
                if let Some(before) = by {
                    self.members.insert((room, before.id), Some(Role::Moderator));
                }
                self.members.insert(who, Some(*role));
            }
            ChangeKind::Banned(_, until) => {
                self.end_membership(who);
                self.invited.insert(who, false);
                self.restrictions.insert(ban, Some(*until));
            }
            ChangeKind::Unbanned(_) => _ = self.restrictions.insert(ban, None),
            ChangeKind::Muted(_, until) => _ = self.restrictions.insert(mute, Some(*until)),
            ChangeKind::Unmuted(_) => _ = self.restrictions.insert(mute, None),
            ChangeKind::Settings(_, settings) => _ = self.settings.insert(room, *settings),
            ended if ended.ends_membership() => self.end_membership(who),
            _ => {}
        }
    }

    fn end_membership(&mut self, who: (RoomKey, UserId)) {
        self.members.insert(who, None);
        self.reads.remove(&(who.0.0, who.1));
    }

    /// Somebody has read up to a message, who is not just leaving.
    fn read(&mut self, room: RoomKey, user: UserId, seq: u64) {
        if self.members.get(&(room, user)) != Some(&None) {
            let read = self.reads.entry((room.0, user)).or_default();
            *read = seq.max(*read);
        }
    }

    fn write<'k>(
        &mut self,
        room: RoomKey,
        end: &mut Cursor,
        keys: &mut Keys<'k>,
        write: &'a Write,
    ) -> Outcome
    where
        'a: 'k,
    {
        match write {
            Write::Message { from, body, at, key } => {
                let seq = end.seq + 1;
                if let Some((key, fingerprint)) = key {
                    let key = (room, from.id, key.as_str().as_bytes());
                    let sent = Some(Sent { seq, at: *at });
                    if let Some(first) = take_key(keys, key, (*fingerprint, sent)) {
                        return repeated(first, *fingerprint);
                    }
                }
                let key = key.as_ref().map(|(key, fingerprint)| (key, *fingerprint));
                let mentions = packed(body.mentions.iter().map(|user| user.uuid()));
                let files = packed(body.files.iter().map(|file| file.uuid()));
                let at = *at;
                self.messages.push(NewMessage { room, seq, from, body, mentions, files, at, key });
                end.seq = seq;
            }
            Write::Change { kind, by, at, key } => {
                if let Some((key, fingerprint)) = key {
                    let user = doer(kind, by.as_ref());
                    let fingerprint = *fingerprint;
                    let key_of = (room, user, key.as_str().as_bytes());
                    if let Some(first) = take_key(keys, key_of, (fingerprint, None)) {
                        return repeated(first, fingerprint);
                    }
                    self.keys.push(NewKey { room, user, key, fingerprint, at: *at });
                }
                self.change(room, kind, by.as_ref(), end.seq);
                end.change += 1;
                let what = match kind {
                    ChangeKind::Edited(_, _, Some(edit)) => Some(What::Edited(edit)),
                    ChangeKind::Edited(..) | ChangeKind::Deleted(..) => Some(What::Deleted),
                    ChangeKind::Thread(_, _, thread) => Some(What::Thread(thread)),
                    _ => None,
                };
                if let Some((what, seq)) = what.zip(kind.seq()) {
                    self.amends.push(Amend { room, seq, what, number: end.change, at: *at });
                }
                let change = Change { cursor: *end, kind: kind.clone(), by: by.clone(), at: *at };
                self.changes.push(NewChange { room, change });
            }
            Write::Read(readings) => {
                readings.iter().for_each(|reading| self.read(room, reading.user, reading.seq));
            }
            Write::Key { user, key, fingerprint, at } => {
                let (user, fingerprint, at) = (*user, *fingerprint, *at);
                let key_of = (room, user, key.as_str().as_bytes());
                if let Some(first) = take_key(keys, key_of, (fingerprint, None)) {
                    return repeated(first, fingerprint);
                }
                self.keys.push(NewKey { room, user, key, fingerprint, at });
            }
            Write::Marks { seq, markings, last, at } => {
                let used = markings.iter().filter_map(|marking| {
                    let (key, fingerprint) = marking.key.as_ref()?;
                    Some(NewKey {
                        room,
                        user: marking.user,
                        key,
                        fingerprint: *fingerprint,
                        at: *at,
                    })
                });
                let used: Vec<_> = used.collect();
                if used.iter().any(|used| keys.contains_key(&used.of())) {
                    return Outcome::KeyConflict;
                }
                for used in used {
                    if take_key(keys, used.of(), (used.fingerprint, None)).is_none() {
                        self.keys.push(used);
                    }
                }
                end.change += 1;
                let (seq, number, at) = (*seq, end.change, *at);
                self.amends.push(Amend { room, seq, what: What::Marked(markings), number, at });
                let kind = ChangeKind::Marked(last.clone(), seq, Vec::new());
                let change = Change { cursor: *end, kind, by: None, at };
                self.changes.push(NewChange { room, change });
            }
        }
        Outcome::Stored(*end)
    }
}

/// Ids one after the other; `None` for none.
pub(super) fn packed(ids: impl Iterator<Item = Uuid>) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = ids.flat_map(Uuid::into_bytes).collect();
    (!bytes.is_empty()).then_some(bytes)
}

/// Everybody whose name a change refers to.
pub(super) fn named<'c>(
    kind: &'c ChangeKind,
    by: Option<&'c User>,
) -> impl Iterator<Item = &'c User> + use<'c> {
    std::iter::once(&kind.membership().user).chain(by)
}

/// Who has done what a change says.
pub(super) fn doer(kind: &ChangeKind, by: Option<&User>) -> UserId {
    by.unwrap_or(&kind.membership().user).id
}

/// Takes a key for this use. Answers what has taken it before, if something has: that stays.
fn take_key<'k>(keys: &mut Keys<'k>, key: KeyOf<'k>, used: FirstUse) -> Option<FirstUse> {
    match keys.entry(key) {
        Entry::Occupied(first) => Some(*first.get()),
        Entry::Vacant(entry) => {
            entry.insert(used);
            None
        }
    }
}

/// What a write is answered whose key was used by an earlier one. No message has the fingerprint of a
/// change.
fn repeated((first, sent): FirstUse, fingerprint: Fingerprint) -> Outcome {
    if first != fingerprint {
        return Outcome::KeyConflict;
    }
    sent.map_or(Outcome::Repeated, Outcome::Seen)
}
