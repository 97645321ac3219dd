//! What is asked of rooms, and how it may be answered.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chat_core::testkit::Broken;
use chat_core::{
    ChangeKind, ClientKey, Code, Error, Given, LoadedRoom, Mark, Message, Moderation, Reply,
    Revision, Role, RoomCommand, RoomId, SettingsChange, Text, Timestamp, UsedKey, User, UserId,
};

use super::plain::Plain;
use crate::support::draft;

/// What somebody does in a room.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Say(String),
    Edit(u64, String),
    Delete(u64),
    /// Gives a mark, or takes it back.
    Mark(u64, &'static str, bool),
    Leave,
    Invite(User),
    Moderate(Moderation),
}

impl Deed {
    pub(crate) fn command(&self) -> RoomCommand {
        match self {
            Self::Say(text) => RoomCommand::Send(draft(text)),
            Self::Edit(seq, text) => {
                RoomCommand::edit(*seq, Text::new(&**text).expect("a good text"))
            }
            Self::Delete(seq) => RoomCommand::Delete { seq: *seq },
            Self::Mark(seq, mark, on) => {
                let mark = Mark::new(*mark).expect("a good mark");
                RoomCommand::Mark { seq: *seq, mark, on: *on }
            }
            Self::Leave => RoomCommand::Leave,
            Self::Invite(guest) => RoomCommand::Invite(guest.clone()),
            Self::Moderate(act) => RoomCommand::Moderate(*act),
        }
    }

    /// Whether it may ever be refused like this.
    pub(crate) fn may_be_refused(&self, code: Code) -> bool {
        let order = matches!(code, Code::NotAMember | Code::NoSuchRoom | Code::Banned);
        let silence = matches!(code, Code::Muted | Code::ReadOnly);
        let message = matches!(code, Code::NoSuchMessage | Code::Forbidden | Code::TooLate);
        match self {
            Self::Say(_) => order || silence || code == Code::SlowMode,
            Self::Edit(..) => order || silence || message || code == Code::MessageDeleted,
            Self::Delete(_) => order || message,
            Self::Mark(..) => {
                let message = matches!(code, Code::NoSuchMessage | Code::MessageDeleted);
                order || message || code == Code::Muted
            }
            Self::Leave => order || code == Code::Forbidden,
            Self::Invite(_) | Self::Moderate(_) => code != Code::KeyConflict,
        }
    }
}

/// What messages are marked with.
pub(crate) const MARKS: [&str; 2] = ["👍", "done"];

/// One of several things that the owner and moderators may do.
pub(crate) fn moderation(act: u8, user: UserId, now: Timestamp) -> Moderation {
    let soon = Some(now + Duration::from_secs(20));
    let set = |slow_s, read_only| {
        let (slow_s, read_only) = (Some(slow_s), Some(read_only));
        Moderation::Configure(SettingsChange { invite: None, slow_s, read_only })
    };
    match act {
        0 | 1 => Moderation::Role { user, role: Role::Moderator },
        2 => Moderation::Role { user, role: Role::Member },
        3 => Moderation::Transfer { user },
        4 => Moderation::Kick { user },
        5 => Moderation::Ban { user, until: soon },
        6 => Moderation::Ban { user, until: None },
        7 => Moderation::Unban { user },
        8 => Moderation::Mute { user, until: soon },
        9 => Moderation::Unmute { user },
        10 => set(5, true),
        _ => set(0, false),
    }
}

/// Something that changes a room, as whoever asks for it knows it.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    number: usize,
    pub(crate) room: RoomId,
    pub(crate) user: User,
    pub(crate) deed: Deed,
    pub(crate) key: Option<ClientKey>,
}

impl Write {
    pub(crate) fn command(&self) -> RoomCommand {
        let command = self.deed.command();
        match &self.key {
            Some(key) => command.once(key.clone()),
            None => command,
        }
    }

    /// What is to be asked again, if nobody knows what came of it.
    pub(crate) fn again(self, expect: Expect) -> Option<Self> {
        (self.key.is_some() && !matches!(expect, Expect::Conflict { .. })).then_some(self)
    }

    /// Whether it waits for some time of the clock before it is answered.
    pub(crate) fn marks(&self) -> bool {
        matches!(self.deed, Deed::Mark(..))
    }

    fn says(&self) -> bool {
        matches!(self.deed, Deed::Say(_))
    }
}

/// How a write should be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// As something new.
    New,
    /// As it was before.
    AsBefore,
    /// Its key stands for something else: a message, or not.
    Conflict { of_message: bool },
}

/// Everything that anybody has wanted to write, by number.
#[derive(Default)]
pub(crate) struct Writes {
    all: Vec<Write>,
    /// How many times each has been asked and not been refused.
    possible: HashMap<usize, usize>,
    /// What was acknowledged, and the number that a message got.
    done: BTreeMap<usize, Option<u64>>,
}

/// Where texts have been seen: each in one message.
pub(crate) type Seen = HashMap<String, (RoomId, u64)>;

impl Writes {
    /// A new write, with a key of its own if it is to have one.
    pub(crate) fn add(&mut self, user: &User, room: RoomId, deed: Deed, keyed: bool) -> Write {
        let number = self.all.len();
        let key = keyed.then(|| ClientKey::new(format!("key {number}")).expect("a good key"));
        let write = Write { number, room, user: user.clone(), deed, key };
        self.all.push(write.clone());
        write
    }

    /// What the next write says, and no other one.
    pub(crate) fn text(&self) -> String {
        format!("text {}", self.all.len())
    }

    /// Something else with the key of what has been done.
    pub(crate) fn clash(&mut self, first: &Write, what: u8) -> (Write, Expect) {
        let deed = match (&first.deed, what) {
            (_, 0) => Deed::Say(self.text()),
            (Deed::Delete(seq), 1) => Deed::Delete(seq + 1),
            (_, 2) => Deed::Edit(1, self.text()),
            _ => Deed::Delete(1),
        };
        let write = self.add(&first.user, first.room, deed, false);
        (Write { key: first.key.clone(), ..write }, Expect::Conflict { of_message: first.says() })
    }

    pub(crate) fn keyed(&self) -> impl Iterator<Item = &Write> {
        self.all.iter().filter(|write| write.key.is_some())
    }

    /// Whether something is known to have been done with the key of a write.
    pub(crate) fn is_used(&self, write: &Write, stored: Option<&LoadedRoom>) -> bool {
        let is_this =
            |used: &UsedKey| used.user == write.user.id && Some(&used.key) == write.key.as_ref();
        let acknowledged = write.key.is_some() && self.done.contains_key(&write.number);
        acknowledged || stored.is_some_and(|room| room.keys.iter().any(is_this))
    }

    pub(crate) fn asked(&mut self, write: &Write) {
        *self.possible.entry(write.number).or_default() += 1;
    }

    /// A write has been carried out, or refused for good. Answers whether it might be.
    pub(crate) fn answered(
        &mut self,
        write: &Write,
        expect: Expect,
        result: Result<&Reply, &Error>,
    ) -> bool {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                *self.possible.entry(write.number).or_default() -= 1;
                return self.may_refuse(write, expect, error.code());
            }
        };
        let seq = match reply {
            Reply::Sent(sent) if write.says() => Some(sent.seq),
            Reply::Done if !write.says() => None,
            _ => return false,
        };
        let before = self.done.insert(write.number, seq);
        !matches!(expect, Expect::Conflict { .. }) && before.is_none_or(|before| before == seq)
    }

    fn may_refuse(&self, write: &Write, expect: Expect, code: Code) -> bool {
        // The keys of messages are not looked for before these are written.
        match expect {
            Expect::New => write.deed.may_be_refused(code),
            Expect::AsBefore => write.says() && write.deed.may_be_refused(code),
            Expect::Conflict { of_message } => {
                let unknown = (of_message || write.says()) && write.deed.may_be_refused(code);
                unknown || code == Code::KeyConflict
            }
        }
    }

    fn is_possible(&self, write: &Write) -> bool {
        self.possible.get(&write.number).is_some_and(|count| *count > 0)
    }

    /// A message that is not deleted said at first what its author has sent, and no other one did.
    pub(crate) fn compare(
        &self,
        room: RoomId,
        message: &Message,
        revisions: &[Revision],
        seen: &mut Seen,
    ) -> Result<(), Broken> {
        if message.deleted {
            return Ok(());
        }
        let first = revisions.first().map_or(&message.body.text, |first| &first.text);
        let first = first.as_deref().unwrap_or_default();
        let place = (room, message.seq);
        self.see(first, place, seen, |write| write.says() && write.user.id == message.from.id)
    }

    /// Every edit and deletion was asked for, and is there once.
    pub(crate) fn compare_amendments(
        &self,
        stored: &LoadedRoom,
        room: &Plain,
        seen: &mut Seen,
    ) -> Result<(), Broken> {
        let id = stored.info.id;
        for change in &stored.changes {
            if let ChangeKind::Edited(author, seq, Some(edit)) = &change.kind {
                self.see(&edit.text, (id, *seq), seen, |write| {
                    let edits = matches!(write.deed, Deed::Edit(edited, _) if edited == *seq);
                    edits && write.user.id == author.user.id
                })?;
            }
        }
        let count = |fits: &dyn Fn(&Write) -> bool| {
            self.all.iter().filter(|write| write.room == id && fits(write)).count()
        };
        for (seq, said) in (1..).zip(&room.messages) {
            let edits = |write: &Write| matches!(write.deed, Deed::Edit(of, _) if of == seq);
            let deletes = |write: &Write| matches!(write.deed, Deed::Delete(of) if of == seq);
            let least = count(&|write| edits(write) && self.done.contains_key(&write.number));
            let most = count(&|write| edits(write) && self.is_possible(write));
            let deletions = count(&|write| deletes(write) && self.is_possible(write));
            if !(least..=most).contains(&said.edits.len()) || said.deletions > deletions {
                return Err(format!("too little or too much was done to message {seq}: {said:?}"));
            }
        }
        Ok(())
    }

    /// Marks are counted, each was given by whoever is said to have, and what was acknowledged and has not been
    /// taken back is there.
    pub(crate) fn compare_marks(&self, stored: &LoadedRoom) -> Result<(), Broken> {
        let mut counts = BTreeMap::<_, u64>::new();
        for given in &stored.marks {
            *counts.entry((given.seq, &given.mark)).or_default() += 1;
        }
        let shown = stored.messages.iter().flat_map(|message| {
            message.marks.iter().map(|one| ((message.seq, &one.mark), one.count))
        });
        let shown = shown.collect();
        if counts != shown {
            return Err(format!("{shown:?} is shown of the marks {:?}", stored.marks));
        }
        let set = |user: UserId, of: u64, mark: &str, on: bool| {
            let here = self.all.iter().filter(|write| write.room == stored.info.id);
            let mut such = here.filter(|write| match write.deed {
                Deed::Mark(seq, text, is_on) => {
                    write.user.id == user && (seq, text, is_on) == (of, mark, on)
                }
                _ => false,
            });
            such.any(|write| self.is_possible(write))
        };
        let unasked = |given: &&Given| !set(given.user, given.seq, &given.mark, true);
        if let Some(given) = stored.marks.iter().find(unasked) {
            return Err(format!("nobody has asked for {given:?}"));
        }
        for write in self.done.keys().map(|number| &self.all[*number]) {
            let Deed::Mark(seq, mark, true) = write.deed else { continue };
            let user = write.user.id;
            let is_here = write.room == stored.info.id && !set(user, seq, mark, false);
            let mut given = stored.marks.iter();
            let is_given = given.any(|one| (one.user, one.seq, &*one.mark) == (user, seq, mark));
            if is_here && !is_given && !stored.messages[seq as usize - 1].deleted {
                return Err(format!("{write:?} was acknowledged, where is the mark?"));
            }
        }
        Ok(())
    }

    /// What was acknowledged is there.
    pub(crate) fn compare_done(
        &self,
        rooms: &HashMap<RoomId, Option<LoadedRoom>>,
        seen: &Seen,
    ) -> Result<(), Broken> {
        for (number, got) in &self.done {
            let write = &self.all[*number];
            // An ephemeral room goes with its messages.
            let Some(room) = &rooms[&write.room] else { continue };
            let deleted = |seq: u64| room.messages[seq as usize - 1].deleted;
            let said = |text, seq| seen.get(text) == Some(&(write.room, seq)) || deleted(seq);
            let there = match (&write.deed, got) {
                (Deed::Say(text), Some(seq)) | (Deed::Edit(seq, text), _) => said(text, *seq),
                (Deed::Delete(seq), _) => deleted(*seq),
                _ => true,
            };
            if !there {
                return Err(format!("{write:?} was acknowledged as {got:?}, where is it?"));
            }
        }
        Ok(())
    }

    /// Takes note that a text has been seen, which must have been asked for, and not been seen before.
    fn see(
        &self,
        text: &str,
        place: (RoomId, u64),
        seen: &mut Seen,
        fits: impl Fn(&Write) -> bool,
    ) -> Result<(), Broken> {
        let number = text.strip_prefix("text ").and_then(|number| number.parse::<usize>().ok());
        let write = number.and_then(|number| self.all.get(number));
        let fits = |write: &Write| write.room == place.0 && self.is_possible(write) && fits(write);
        if write.is_some_and(fits) && seen.insert(text.to_owned(), place).is_none() {
            return Ok(());
        }
        Err(format!("{text} of {place:?} is doubled, or was never asked for: {write:?}"))
    }
}
