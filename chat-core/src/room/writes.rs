//! The writes of one room that wait for the store, in order. One batch at a time is with the
//! journal, and can be added to until its commit begins; what comes after that gathers here and makes
//! up the next one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::command::RoomCommand;
use crate::deliver::{OnceKey, ReplyTo};
use crate::ids::{ConnectionId, UserId};
use crate::journal::{OpenBatch, Slot};
use crate::model::{
    Body, ChangeKind, ClientKey, Fingerprint, Membership, Message, Moderation, Thread, User,
};
use crate::room::Ask;
use crate::room::entering::Entering;
use crate::room::marking::Marker;
use crate::room::positions::Reader;

/// What waits, and what is under way.
#[derive(Default)]
pub(super) struct Writes {
    /// Not sent to the journal yet.
    pub(super) queue: VecDeque<Pending>,
    /// With the journal.
    pub(super) in_flight: VecDeque<Pending>,
    /// That batch, as long as the journal has not taken it.
    pub(super) open: Option<OpenBatch>,
    pub(super) under_way: UnderWay,
    /// The last commit failed, so that nobody knows whether it took effect: the store's end of the
    /// room is read before anything else is written, and at this time at the latest, so that what
    /// did take effect is shown.
    pub(super) unsure: Option<Duration>,
    /// How often in a row somebody else's write was in the way.
    pub(super) fenced: usize,
    /// Keys of what is to be done once and has no answer yet, and who else has asked for the same.
    keys: HashMap<(UserId, ClientKey), (Fingerprint, Vec<ReplyTo>)>,
    /// Users whose membership, invitation, role, ban or mute is being written, or for whom a message is
    /// being read, and what they have asked since, or others about them.
    moving: HashMap<UserId, Moving>,
}

/// Somebody of whom something is being written or read.
#[derive(Default)]
struct Moving {
    /// How much.
    count: usize,
    parked: Vec<Ask>,
}

/// What the room waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UnderWay {
    #[default]
    Nothing,
    /// A commit.
    Commit,
    /// Reading where the store says the room stands.
    Check,
}

/// A write that has been accepted.
pub(super) struct Pending {
    pub(super) what: What,
    /// When it happened: as of when it went to the journal.
    pub(super) at: Timestamp,
    /// Since when it waits, by the clock's time that never goes back.
    pub(super) since: Duration,
    /// Counts it until it is settled; it is answered in the same step.
    pub(super) _slot: Slot,
}

pub(super) enum What {
    Send {
        from: User,
        body: Body,
        reply: ReplyTo,
    },
    Join {
        membership: Membership,
        entering: Box<Entering>,
    },
    /// Without a reply: the member was away for too long.
    Leave {
        membership: Membership,
        reply: Option<ReplyTo>,
    },
    Invite {
        by: User,
        guest: Membership,
        reply: ReplyTo,
    },
    Moderate {
        by: User,
        act: Moderation,
        kind: ChangeKind,
        reply: ReplyTo,
    },
    /// A message, which says this so far, is edited or deleted.
    Amend {
        by: User,
        message: Box<Message>,
        kind: ChangeKind,
        reply: ReplyTo,
    },
    /// A message is marked, by the last of these and the others.
    Marks {
        seq: u64,
        given: Vec<Marker>,
        last: Membership,
    },
    /// Members have read the room up to these messages.
    Read(Vec<Reader>),
    /// The thread on a message has come to this, by whose membership this is.
    Thread {
        membership: Membership,
        seq: u64,
        thread: Box<Thread>,
    },
    /// What was asked with a key changes nothing: the key is kept.
    Key {
        key: OnceKey,
        reply: ReplyTo,
    },
    /// In the store, its messages up to and including `until` are deleted already.
    Erase {
        author: Membership,
        until: u64,
        reply: ReplyTo,
    },
}

impl What {
    /// Whose message, membership or invitation it is; whom it is done to. Nobody, if it may be several.
    fn user(&self) -> Option<UserId> {
        Some(match self {
            Self::Send { from, .. } => from.id,
            Self::Join { membership, .. }
            | Self::Leave { membership, .. }
            | Self::Thread { membership, .. } => membership.user.id,
            Self::Invite { guest, .. } => guest.user.id,
            Self::Moderate { kind, .. } | Self::Amend { kind, .. } => kind.membership().user.id,
            Self::Erase { author, .. } => author.user.id,
            Self::Marks { .. } | Self::Read(_) | Self::Key { .. } => return None,
        })
    }

    /// A user whom it names has another name.
    fn rename(&mut self, user: &User) {
        let (one, other) = match self {
            Self::Read(_) | Self::Key { .. } => return,
            Self::Send { from, .. } => (from, None),
            Self::Join { membership, .. }
            | Self::Leave { membership, .. }
            | Self::Marks { last: membership, .. }
            | Self::Erase { author: membership, .. } => (&mut membership.user, None),
            Self::Thread { membership, thread, .. } => {
                (&mut membership.user, thread.last.as_mut().map(|last| &mut last.from))
            }
            Self::Invite { by, guest, .. } => (by, Some(&mut guest.user)),
            Self::Moderate { by, kind, .. } | Self::Amend { by, kind, .. } => {
                (by, Some(&mut kind.membership_mut().user))
            }
        };
        rename(std::iter::once(one).chain(other), user);
    }

    /// Who does it, if it is somebody else than the user whom it is done to.
    pub(super) fn by(&self) -> Option<&User> {
        match self {
            Self::Invite { by, .. } | Self::Moderate { by, .. } | Self::Amend { by, .. } => {
                Some(by).filter(|by| Some(by.id) != self.user())
            }
            Self::Send { .. }
            | Self::Join { .. }
            | Self::Leave { .. }
            | Self::Marks { .. }
            | Self::Read(_)
            | Self::Thread { .. }
            | Self::Key { .. }
            | Self::Erase { .. } => None,
        }
    }

    /// To whom the answer goes, if to somebody.
    pub(super) fn reply(&self) -> Option<&ReplyTo> {
        match self {
            Self::Send { reply, .. }
            | Self::Invite { reply, .. }
            | Self::Moderate { reply, .. }
            | Self::Amend { reply, .. }
            | Self::Key { reply, .. }
            | Self::Erase { reply, .. } => Some(reply),
            Self::Leave { reply, .. } => reply.as_ref(),
            Self::Join { .. } | Self::Marks { .. } | Self::Read(_) | Self::Thread { .. } => None,
        }
    }

    /// The keys with which it was asked.
    pub(super) fn keys(&self) -> impl Iterator<Item = &OnceKey> {
        let markers = match self {
            Self::Marks { given, .. } => &given[..],
            _ => &[],
        };
        let of_marks = markers.iter().filter_map(|marker| marker.reply.key());
        self.reply().and_then(ReplyTo::key).into_iter().chain(of_marks)
    }

    /// Whether this user says something by it.
    pub(super) fn is_said_by(&self, user: UserId) -> bool {
        match self {
            Self::Send { from, .. } => from.id == user,
            Self::Amend { by, kind: ChangeKind::Edited(..), .. } => by.id == user,
            _ => false,
        }
    }

    /// Whose membership, invitation, role, ban or mute it changes.
    pub(super) fn moves(&self) -> Vec<UserId> {
        match self {
            Self::Send { .. } | Self::Amend { .. } | Self::Thread { .. } => Vec::new(),
            // The owner is one no longer.
            Self::Moderate { by, act: Moderation::Transfer { user }, .. } => vec![by.id, *user],
            _ => self.user().into_iter().collect(),
        }
    }
}

/// Those of the named who are this user have its other name.
fn rename<'a>(named: impl Iterator<Item = &'a mut User>, user: &User) {
    for named in named.filter(|named| named.id == user.id) {
        *named = user.clone();
    }
}

/// What is under way with a key.
pub(super) enum Begun {
    /// This, from now on.
    Now(ReplyTo),
    /// The same: the reply will be answered with it.
    Before,
    /// Something else.
    Other(ReplyTo),
}

impl Writes {
    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way == UnderWay::Nothing
    }

    /// A user has another name.
    pub(super) fn rename(&mut self, user: &User) {
        for pending in self.queue.iter_mut().chain(&mut self.in_flight) {
            pending.what.rename(user);
        }
        for ask in self.moving.values_mut().flat_map(|moving| &mut moving.parked) {
            let guest = match &mut ask.command {
                RoomCommand::Invite(guest) => Some(guest),
                _ => None,
            };
            rename(std::iter::once(&mut ask.asker.user).chain(guest), user);
        }
    }

    /// Takes the write with this key out of those that have not been sent to the journal; of marks, the one
    /// that has it.
    pub(super) fn take_once(&mut self, user: UserId, key: &ClientKey) -> Option<What> {
        let is_it = |once: &OnceKey| once.is(user, key);
        let place = self.queue.iter().position(|pending| pending.what.keys().any(is_it))?;
        if let What::Marks { seq, given, last } = &mut self.queue[place].what
            && given.len() > 1
        {
            let it = given.iter().position(|marker| marker.reply.key().is_some_and(is_it))?;
            let (seq, given, last) = (*seq, vec![given.remove(it)], last.clone());
            return Some(What::Marks { seq, given, last });
        }
        self.queue.remove(place).map(|pending| pending.what)
    }

    /// How many writes wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.in_flight.len()
    }

    /// Adds a write.
    pub(super) fn push(&mut self, pending: Pending) {
        for user in pending.what.moves() {
            self.hold(user);
        }
        self.queue.push_back(pending);
    }

    /// What is under way waits again, before everything else.
    pub(super) fn put_back(&mut self) {
        while let Some(pending) = self.in_flight.pop_back() {
            self.queue.push_front(pending);
        }
    }

    /// Keeps a command back if the membership of its user, or of the one that it invites or acts
    /// upon, is being written.
    pub(super) fn park(&mut self, ask: Ask) -> Option<Ask> {
        let other = match &ask.command {
            RoomCommand::Invite(guest) => Some(guest.id),
            RoomCommand::InviteUser(guest) => Some(*guest),
            RoomCommand::Moderate(act) => act.user(),
            _ => None,
        };
        let moving = [Some(ask.asker.user.id), other].into_iter().flatten();
        match moving.into_iter().find(|user| self.moving.contains_key(user)) {
            Some(user) => {
                self.moving.entry(user).or_default().parked.push(ask);
                None
            }
            None => Some(ask),
        }
    }

    /// Whether an edit of this message waits or is under way.
    pub(super) fn is_editing(&self, seq: u64) -> bool {
        self.amends(|kind| matches!(kind, ChangeKind::Edited(_, edited, _) if *edited == seq))
    }

    /// Whether the deletion of this message waits or is under way.
    pub(super) fn is_deleting(&self, seq: u64) -> bool {
        self.amends(|kind| matches!(kind, ChangeKind::Deleted(_, deleted) if *deleted == seq))
    }

    fn amends(&self, is_such: impl Fn(&ChangeKind) -> bool) -> bool {
        self.all().any(|what| matches!(what, What::Amend { kind, .. } if is_such(kind)))
    }

    /// What waits or is under way, in order.
    fn all(&self) -> impl Iterator<Item = &What> {
        self.in_flight.iter().chain(&self.queue).map(|pending| &pending.what)
    }

    /// Those who mark a message by what waits or is under way.
    pub(super) fn markers_of(&self, seq: u64) -> impl Iterator<Item = &Marker> {
        let given = self.all().filter_map(move |what| match what {
            What::Marks { seq: of, given, .. } if *of == seq => Some(given),
            _ => None,
        });
        given.flatten()
    }

    /// What the thread on this message has come to, as what waits or is under way says it.
    pub(super) fn threads_on(&self, seq: u64) -> impl Iterator<Item = &Thread> {
        self.all().filter_map(move |what| match what {
            What::Thread { seq: of, thread, .. } if *of == seq => Some(&**thread),
            _ => None,
        })
    }

    /// Takes what a user has marked out of what has not been sent to the journal.
    pub(super) fn take_marks_of(&mut self, user: UserId) -> Vec<Marker> {
        let mut taken = Vec::new();
        self.queue.retain_mut(|pending| {
            let What::Marks { given, .. } = &mut pending.what else { return true };
            taken.extend(given.extract_if(.., |marker| marker.user == user));
            !given.is_empty()
        });
        taken
    }

    /// Keeps back what a user asks from now on, until it has [`moved`](Self::moved).
    pub(super) fn hold(&mut self, user: UserId) {
        self.moving.entry(user).or_default().count += 1;
    }

    /// What was kept back of a user goes on with this.
    pub(super) fn park_first(&mut self, user: UserId, ask: Ask) {
        self.moving.entry(user).or_default().parked.insert(0, ask);
    }

    /// All who wait for something else than a write of their own: what was kept back, and who has asked for the
    /// same as others.
    pub(super) fn take_waiting(&mut self) -> (Vec<Ask>, Vec<ReplyTo>) {
        let moving = std::mem::take(&mut self.moving).into_values();
        let same = std::mem::take(&mut self.keys).into_values().flat_map(|(_, replies)| replies);
        (moving.flat_map(|moving| moving.parked).collect(), same.collect())
    }

    /// Whether a user's membership is being written.
    pub(super) fn is_moving(&self, user: UserId) -> bool {
        self.moving.contains_key(&user)
    }

    /// What made a user [wait](Self::hold) is over: what was kept back may go on, unless something else
    /// makes it wait.
    pub(super) fn moved(&mut self, user: UserId) -> Vec<Ask> {
        let Entry::Occupied(mut entry) = self.moving.entry(user) else { return Vec::new() };
        entry.get_mut().count = entry.get().count.saturating_sub(1);
        if entry.get().count > 0 { Vec::new() } else { entry.remove().parked }
    }

    /// Drops what an ended session has asked and was kept back, except for what has been begun with a key:
    /// others may wait for its answer.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        for moving in self.moving.values_mut() {
            moving.parked.retain(|ask| {
                ask.asker.connection != Some(connection) || ask.reply.key().is_some()
            });
        }
    }

    /// Begins what is to be done once with a key, unless it has been begun already.
    pub(super) fn begin(
        &mut self,
        user: UserId,
        key: ClientKey,
        fingerprint: Fingerprint,
        reply: ReplyTo,
    ) -> Begun {
        match self.keys.entry((user, key)) {
            Entry::Vacant(entry) => {
                let key = Box::new(OnceKey { user, key: entry.key().1.clone(), fingerprint });
                entry.insert((fingerprint, Vec::new()));
                Begun::Now(ReplyTo::Once { key, first: Box::new(reply) })
            }
            Entry::Occupied(mut entry) if entry.get().0 == fingerprint => {
                entry.get_mut().1.push(reply);
                Begun::Before
            }
            Entry::Occupied(_) => Begun::Other(reply),
        }
    }

    /// What was begun with a key has its answer: these are to be answered likewise.
    pub(super) fn ended(&mut self, user: UserId, key: &ClientKey) -> Vec<ReplyTo> {
        self.keys.remove(&(user, key.clone())).map(|(_, replies)| replies).unwrap_or_default()
    }
}
