//! Who belongs to a room and who of them is there: the member cache that answers every question
//! about members from memory. A plain data structure; what a session is, it leaves to its type
//! parameter.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, btree_map};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::capacity::shrink_map;
use crate::command::{MemberPage, MemberQuery};
use crate::ids::{ConnectionId, UserId};
use crate::model::{Counts, MemberView, Membership, Presence, Role, User};
use crate::page;

/// Members and their sessions. `S` is whatever reaches a session.
#[derive(Debug)]
pub(crate) struct Roster<S> {
    /// In the order of ids, so that a page of members goes on where the last one ended.
    members: BTreeMap<UserId, Entry>,
    present: BTreeSet<UserId>,
    /// Who may become a member of a room that not everybody may enter.
    invited: HashMap<UserId, User>,
    sessions: HashMap<ConnectionId, Seat<S>>,
    /// Who has gone away, oldest first. An entry counts only while the member is still away since
    /// then.
    gone: VecDeque<(Duration, UserId)>,
    /// The page that was asked for last, until a member is seen differently.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    query: MemberQuery,
    /// Whether it says how far members have read.
    receipts: bool,
    members: Arc<[MemberView]>,
    next: Option<UserId>,
}

#[derive(Debug)]
struct Entry {
    membership: Membership,
    sessions: Vec<ConnectionId>,
    /// How many of the sessions have nobody at the keyboard.
    away: usize,
    gone_since: Option<Duration>,
    /// Nobody is told whether it is there.
    unseen: bool,
    /// The last message that it has read.
    read: u64,
}

#[derive(Debug)]
struct Seat<S> {
    user: UserId,
    away: bool,
    session: S,
}

impl Entry {
    fn presence(&self) -> Presence {
        match self.sessions.len() {
            _ if self.unseen => Presence::Offline,
            0 => Presence::Offline,
            all if all == self.away => Presence::Away,
            _ => Presence::Online,
        }
    }

    fn view(&self) -> MemberView {
        MemberView {
            membership: self.membership.clone(),
            presence: self.presence(),
            devices: if self.unseen { 0 } else { self.sessions.len() },
            mute: None,
            read: (!self.unseen).then_some(self.read),
        }
    }
}

impl<S> Roster<S> {
    /// A roster of these members, all of them gone since `now`, and of who is invited.
    pub(crate) fn new(members: Vec<Membership>, invited: Vec<User>, now: Duration) -> Self {
        let mut roster = Self {
            members: BTreeMap::new(),
            present: BTreeSet::new(),
            invited: invited.into_iter().map(|user| (user.id, user)).collect(),
            sessions: HashMap::new(),
            gone: VecDeque::new(),
            asked: None,
        };
        for membership in members {
            roster.add(membership, now);
        }
        roster
    }

    /// Notes an invitation, which lasts until its user is a member.
    pub(crate) fn invite(&mut self, user: User) {
        self.invited.insert(user.id, user);
    }

    /// Withdraws an invitation.
    pub(crate) fn disinvite(&mut self, user: UserId) {
        self.invited.remove(&user);
    }

    /// Whether a user has been invited and is not a member yet.
    pub(crate) fn is_invited(&self, user: UserId) -> bool {
        self.invitee(user).is_some()
    }

    /// A user who has been invited and is not a member yet.
    pub(crate) fn invitee(&self, user: UserId) -> Option<&User> {
        self.invited.get(&user)
    }

    /// Adds a member without a session. A member that is there already stays as it is.
    pub(crate) fn add(&mut self, membership: Membership, now: Duration) {
        let id = membership.user.id;
        self.invited.remove(&id);
        if let btree_map::Entry::Vacant(vacant) = self.members.entry(id) {
            self.asked = None;
            let (sessions, gone_since) = (Vec::new(), Some(now));
            let (away, unseen, read) = (0, false, 0);
            vacant.insert(Entry { membership, sessions, away, gone_since, unseen, read });
            self.note_gone(id, now);
        }
    }

    /// A member has read up to a message. Positions move forward only: answers whether this one has.
    pub(crate) fn set_read(&mut self, user: UserId, seq: u64) -> bool {
        let Some(entry) = self.members.get_mut(&user).filter(|entry| entry.read < seq) else {
            return false;
        };
        entry.read = seq;
        self.asked.take_if(|asked| asked.receipts);
        true
    }

    /// The last message that a member has read.
    pub(crate) fn read(&self, user: UserId) -> Option<u64> {
        self.members.get(&user).map(|entry| entry.read)
    }

    /// How many members have read up to this message, and may be seen to have.
    pub(crate) fn count_readers(&self, seq: u64) -> usize {
        let read = |entry: &&Entry| entry.read >= seq && !entry.unseen;
        self.members.values().filter(read).count()
    }

    /// Those with a greater id who have read up to this message and may be seen to have.
    pub(crate) fn readers(&self, seq: u64, after: Option<UserId>) -> impl Iterator<Item = &User> {
        let members = self.members.range(behind(after)).map(|(_, entry)| entry);
        let readers = members.filter(move |entry| entry.read >= seq && !entry.unseen);
        readers.map(|entry| &entry.membership.user)
    }

    /// Removes a member with all its sessions, which it gives back.
    pub(crate) fn remove(&mut self, user: UserId) -> Vec<(ConnectionId, S)> {
        let Some(entry) = self.members.remove(&user) else { return Vec::new() };
        self.asked = None;
        self.present.remove(&user);
        let seats = entry.sessions.into_iter();
        let seats = seats.filter_map(|id| Some((id, self.sessions.remove(&id)?.session))).collect();
        shrink_map(&mut self.sessions);
        seats
    }

    /// Seats a member's session. Answers how the member is seen now. A session
    /// that is seated already stays where it is; a user who is no member is not seated.
    pub(crate) fn enter(
        &mut self,
        user: UserId,
        id: ConnectionId,
        session: S,
        away: bool,
    ) -> Option<MemberView> {
        let entry = self.members.get_mut(&user)?;
        if let Some(seat) = self.sessions.get_mut(&id) {
            // The latest way to reach it is the one to keep.
            seat.session = session;
            return None;
        }
        self.asked = None;
        self.sessions.insert(id, Seat { user, away, session });
        if entry.sessions.is_empty() {
            // Most have one device.
            entry.sessions.reserve_exact(1);
        }
        entry.sessions.push(id);
        entry.away += usize::from(away);
        entry.gone_since = None;
        if !entry.unseen {
            self.present.insert(user);
        }
        Some(entry.view())
    }

    /// Whether nobody is told whether a member is there.
    pub(crate) fn is_unseen(&self, user: UserId) -> bool {
        self.members.get(&user).is_some_and(|entry| entry.unseen)
    }

    /// Lets a member be seen, or not, whether it is there. Answers how it is seen now if that has changed.
    pub(crate) fn set_unseen(&mut self, user: UserId, unseen: bool) -> Option<MemberView> {
        let entry = self.members.get_mut(&user)?;
        let before = entry.presence();
        entry.unseen = unseen;
        self.asked = None;
        if unseen {
            self.present.remove(&user);
        } else if !entry.sessions.is_empty() {
            self.present.insert(user);
        }
        (entry.presence() != before).then(|| entry.view())
    }

    /// Takes a session from its seat. Answers the session, and how its member is seen now.
    pub(crate) fn depart(&mut self, id: ConnectionId, now: Duration) -> Option<(S, MemberView)> {
        let seat = self.sessions.remove(&id)?;
        self.asked = None;
        shrink_map(&mut self.sessions);
        let entry = self.members.get_mut(&seat.user)?;
        entry.sessions.retain(|other| *other != id);
        entry.away -= usize::from(seat.away);
        if entry.sessions.is_empty() {
            entry.gone_since = Some(now);
            self.present.remove(&seat.user);
        }
        let (gone, view) = (entry.sessions.is_empty(), entry.view());
        if gone {
            self.note_gone(seat.user, now);
        }
        Some((seat.session, view))
    }

    /// Notes when a member went away. What no longer counts is dropped once it is most of what is
    /// noted.
    fn note_gone(&mut self, user: UserId, now: Duration) {
        self.gone.push_back((now, user));
        let absent = self.members.len() - self.present.len();
        if self.gone.len() > 2 * absent + 16 {
            let Self { gone, members, .. } = self;
            gone.retain(|(since, user)| {
                members.get(user).is_some_and(|entry| entry.gone_since == Some(*since))
            });
            gone.shrink_to(2 * absent + 16);
        }
    }

    /// Notes whether somebody is at a session's keyboard. Answers how the member is seen now if
    /// that has changed.
    pub(crate) fn set_away(&mut self, id: ConnectionId, away: bool) -> Option<MemberView> {
        let seat = self.sessions.get_mut(&id)?;
        let entry = self.members.get_mut(&seat.user)?;
        self.asked = None;
        let before = entry.presence();
        entry.away = entry.away - usize::from(seat.away) + usize::from(away);
        seat.away = away;
        (entry.presence() != before).then(|| entry.view())
    }

    /// Gives a member another role.
    pub(crate) fn set_role(&mut self, user: UserId, role: Role) {
        if let Some(entry) = self.members.get_mut(&user) {
            entry.membership.role = role;
            self.asked = None;
        }
    }

    /// Gives a user another name. Answers whether it is a member.
    pub(crate) fn rename(&mut self, user: &User) -> bool {
        if let Some(invited) = self.invited.get_mut(&user.id) {
            *invited = user.clone();
        }
        let Some(entry) = self.members.get_mut(&user.id) else { return false };
        entry.membership.user = user.clone();
        self.asked = None;
        true
    }

    /// Who takes the place of this member: the first moderator, in the order of ids, which begin with
    /// the time at which they were made; without one, the first member.
    pub(crate) fn heir(&self, of: UserId) -> Option<Membership> {
        let others = || {
            let members = self.members.values().map(|entry| &entry.membership);
            members.filter(move |member| member.user.id != of)
        };
        others().find(|member| member.role.moderates()).or_else(|| others().next()).cloned()
    }

    /// The role a user has, if it is a member.
    pub(crate) fn role(&self, user: UserId) -> Option<Role> {
        self.membership(user).map(|membership| membership.role)
    }

    /// A member as it is seen now.
    pub(crate) fn member(&self, user: UserId) -> Option<MemberView> {
        self.members.get(&user).map(Entry::view)
    }

    /// A member as it is stored.
    pub(crate) fn membership(&self, user: UserId) -> Option<&Membership> {
        self.members.get(&user).map(|entry| &entry.membership)
    }

    /// All members as they are stored.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = &Membership> {
        self.members.values().map(|entry| &entry.membership)
    }

    /// Members of whom nobody is told whether they are there.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = UserId> {
        self.members.iter().filter(|(_, entry)| entry.unseen).map(|(user, _)| *user)
    }

    /// How many members there are and how many of them are present.
    pub(crate) fn counts(&self) -> Counts {
        Counts { members: self.members.len(), online: self.present.len() }
    }

    /// How many sessions are seated.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a session is seated.
    pub(crate) fn is_seated(&self, id: ConnectionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// A member's sessions.
    pub(crate) fn seats_of(&self, user: UserId) -> impl Iterator<Item = &S> {
        let sessions = self.members.get(&user).into_iter().flat_map(|entry| &entry.sessions);
        sessions.filter_map(|id| self.sessions.get(id)).map(|seat| &seat.session)
    }

    /// Every seated session.
    pub(crate) fn seated(&self) -> impl Iterator<Item = (ConnectionId, &S)> {
        self.sessions.iter().map(|(id, seat)| (*id, &seat.session))
    }

    /// The first of those present.
    pub(crate) fn some_present(&self, most: usize) -> Vec<User> {
        let members = self.present.iter().take(most).filter_map(|id| self.members.get(id));
        members.map(|entry| entry.membership.user.clone()).collect()
    }

    /// The first members of a page, one more than it holds if there are more.
    fn views(&self, query: &MemberQuery) -> Vec<MemberView> {
        let range = behind(query.after);
        let wanted = query.limit + 1;
        let all = if query.online { self.present.len() } else { self.members.len() };
        let mut members = Vec::with_capacity(wanted.min(all));
        if query.online {
            let ids = self.present.range(range).take(wanted);
            members.extend(ids.filter_map(|id| self.member(*id)));
        } else {
            members.extend(self.members.range(range).take(wanted).map(|(_, entry)| entry.view()));
        }
        members
    }

    /// The first of those present, as they are seen now, with or without how far each has read.
    pub(crate) fn first_present(&self, limit: usize, receipts: bool) -> Vec<MemberView> {
        let members = self.present.iter().take(limit).filter_map(|id| self.member(*id));
        let seen =
            |member: MemberView| MemberView { read: member.read.filter(|_| receipts), ..member };
        members.map(seen).collect()
    }

    /// A page of members, with or without how far each has read.
    pub(crate) fn page(&mut self, query: &MemberQuery, receipts: bool) -> MemberPage {
        let counts = self.counts();
        let asked = self.asked.as_ref();
        if let Some(Asked { members, next, .. }) =
            asked.filter(|asked| asked.query == *query && asked.receipts == receipts)
        {
            return MemberPage { counts, members: Arc::clone(members), next: *next };
        }
        let mut members = self.views(query);
        let next = page::cut(&mut members, query.limit, MemberView::id);
        members.iter_mut().filter(|_| !receipts).for_each(|member| member.read = None);
        let members = Arc::<[MemberView]>::from(members);
        self.asked = Some(Asked { query: *query, receipts, members: Arc::clone(&members), next });
        MemberPage { counts, members, next }
    }

    /// When the member that has been gone for longest went.
    pub(crate) fn first_gone(&mut self) -> Option<Duration> {
        while let Some((since, user)) = self.gone.front() {
            let still = self.members.get(user).is_some_and(|e| e.gone_since == Some(*since));
            if still {
                return Some(*since);
            }
            self.gone.pop_front();
        }
        None
    }

    /// Takes note of the members gone since `then` or longer, each once.
    pub(crate) fn take_gone(&mut self, then: Duration) -> Vec<Membership> {
        let mut gone = Vec::new();
        while self.first_gone().is_some_and(|since| since <= then) {
            let member = self.gone.pop_front().and_then(|(_, user)| self.members.get_mut(&user));
            gone.extend(member.map(|entry| {
                entry.gone_since = None;
                entry.membership.clone()
            }));
        }
        gone
    }

    /// Puts a member whose leaving could not be stored back among those who are gone, as of `now`.
    pub(crate) fn still_gone(&mut self, user: UserId, now: Duration) {
        if let Some(entry) = self.members.get_mut(&user).filter(|e| e.sessions.is_empty()) {
            entry.gone_since = Some(now);
            self.note_gone(user, now);
        }
    }
}

/// All ids that are greater.
fn behind(after: Option<UserId>) -> (Bound<UserId>, Bound<UserId>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// The membership of somebody who joins.
pub(crate) fn newcomer(user: User) -> Membership {
    Membership { user, role: Role::Member }
}

#[cfg(test)]
mod tests;
