//! A room as plain rules make it out of nothing but its log: who may do what to a message, and what every
//! message says in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chat_core::testkit::Broken;
use chat_core::{
    Change, ChangeKind, Code, Edit, Kind, LoadedRoom, Message, Revision, Role, Settings, Timestamp,
    UserId,
};

use super::writes::Deed;

/// A message, and everything that has become of it.
#[derive(Debug)]
pub(super) struct Said {
    from: UserId,
    at: Timestamp,
    /// What it has said since when, but for what it said first; nothing where that is forgotten.
    pub(super) edits: Vec<(Option<String>, Timestamp)>,
    pub(super) deletions: usize,
}

/// A room.
#[derive(Debug)]
pub(crate) struct Plain {
    kind: Kind,
    /// Of a thread, the room that it is in, as that is now.
    parent: Option<Box<Self>>,
    roles: HashMap<UserId, Role>,
    /// The role that each had before its last change.
    before: HashMap<UserId, Option<Role>>,
    /// Who has ever been more than a member.
    moderators: HashSet<UserId>,
    invited: Vec<UserId>,
    bans: HashMap<UserId, Option<Timestamp>>,
    mutes: HashMap<UserId, Option<Timestamp>>,
    settings: Settings,
    pub(super) messages: Vec<Said>,
    edit_age: Duration,
}

fn holds(until: Option<&Option<Timestamp>>, now: Timestamp) -> bool {
    until.is_some_and(|until| until.is_none_or(|until| until > now))
}

impl Plain {
    /// A room after everything that has happened in it, each edit and deletion by somebody who might. Who might in
    /// a thread, its parent's room knows.
    pub(crate) fn replay(
        stored: &LoadedRoom,
        parent: Option<Self>,
        edit_age: Duration,
    ) -> Result<Self, Broken> {
        let mut room = Self {
            kind: stored.info.kind,
            parent: parent.map(Box::new),
            moderators: HashSet::new(),
            roles: HashMap::new(),
            before: HashMap::new(),
            invited: Vec::new(),
            bans: HashMap::new(),
            mutes: HashMap::new(),
            settings: Settings::default(),
            messages: Vec::new(),
            edit_age,
        };
        for change in &stored.changes {
            room.hear(&stored.messages, change.cursor.seq)?;
            let said = |code| format!("{change:?} is stored, where {code:?} was expected");
            room.happen(change).map_err(said)?;
        }
        room.hear(&stored.messages, stored.end.seq)?;
        Ok(room)
    }

    fn hear(&mut self, messages: &[Message], until: u64) -> Result<(), Broken> {
        let new = messages.iter().take_while(|message| message.seq <= until);
        for message in new.skip(self.messages.len()) {
            let (from, at) = (message.from.id, message.at);
            if !self.roles.contains_key(&from) {
                return Err(format!("who is no member has written {message:?}"));
            }
            self.messages.push(Said { from, at, edits: Vec::new(), deletions: 0 });
        }
        Ok(())
    }

    fn happen(&mut self, change: &Change) -> Result<(), Code> {
        let of_threads = matches!(
            change.kind,
            ChangeKind::Joined(_)
                | ChangeKind::Left(_)
                | ChangeKind::Edited(..)
                | ChangeKind::Deleted(..)
                | ChangeKind::Marked(..)
        );
        if self.kind == Kind::Thread && !of_threads {
            return Err(Code::Forbidden);
        }
        let user = change.kind.membership().user.id;
        let by = change.by.as_ref().map_or(user, |by| by.id);
        match &change.kind {
            ChangeKind::Joined(membership) | ChangeKind::Role(membership) => {
                self.set_role(user, Some(membership.role));
            }
            ChangeKind::Transferred(_) => {
                self.set_role(user, Some(Role::Owner));
                self.set_role(by, Some(Role::Moderator));
            }
            ChangeKind::Left(_) | ChangeKind::Kicked(_) => self.set_role(user, None),
            ChangeKind::Invited(_) => self.invited.push(user),
            ChangeKind::Banned(_, until) => {
                self.set_role(user, None);
                self.bans.insert(user, *until);
            }
            ChangeKind::Unbanned(_) => _ = self.bans.remove(&user),
            ChangeKind::Muted(_, until) => _ = self.mutes.insert(user, *until),
            ChangeKind::Unmuted(_) => _ = self.mutes.remove(&user),
            ChangeKind::Settings(_, settings) => self.settings = *settings,
            ChangeKind::Edited(_, seq, edit) => self.edit(by, *seq, edit.as_ref(), change.at)?,
            ChangeKind::Deleted(_, seq) => self.delete(by, *seq, change.at)?,
            _ => {}
        }
        Ok(())
    }

    fn set_role(&mut self, user: UserId, role: Option<Role>) {
        self.invited.retain(|invited| *invited != user);
        if role.is_some_and(|role| role != Role::Member) {
            self.moderators.insert(user);
        }
        let before = match role {
            Some(role) => self.roles.insert(user, role),
            None => self.roles.remove(&user),
        };
        self.before.insert(user, before);
    }

    fn edit(
        &mut self,
        by: UserId,
        seq: u64,
        edit: Option<&Edit>,
        at: Timestamp,
    ) -> Result<(), Code> {
        let judged = match &self.parent {
            Some(_) if self.find(seq)?.deletions > 0 => Err(Code::MessageDeleted),
            Some(_) => self.might(by, seq, false),
            None => self.may_edit(by, seq, at),
        };
        match judged {
            // It was taken before it was written.
            Ok(()) | Err(Code::TooLate) => {}
            refused => return refused,
        }
        let text = edit.map(|edit| edit.text.to_string());
        self.messages[seq as usize - 1].edits.push((text, at));
        Ok(())
    }

    fn delete(&mut self, by: UserId, seq: u64, at: Timestamp) -> Result<(), Code> {
        let author = self.find(seq)?.from;
        if let Some(parent) = &self.parent {
            self.might(by, seq, parent.moderators.contains(&by))?;
            self.messages[seq as usize - 1].deletions += 1;
            return Ok(());
        }
        let roles = [self.roles.get(&author), self.before.get(&author).and_then(Option::as_ref)];
        // Another role may have been on its way to the author when the deletion was taken.
        let judged = roles.map(|role| self.may_delete(by, seq, role.copied(), at));
        match judged {
            [Ok(()) | Err(Code::TooLate), _] | [_, Ok(())] => {}
            [refused, _] => return refused,
        }
        self.messages[seq as usize - 1].deletions += 1;
        Ok(())
    }

    /// Whether somebody might once do something to a message of the thread: its author, who follows the thread, or
    /// whoever moderates where that is.
    fn might(&self, by: UserId, seq: u64, moderated: bool) -> Result<(), Code> {
        let is_author = self.find(seq)?.from == by;
        match self.roles.contains_key(&by) {
            _ if moderated => Ok(()),
            true if is_author => Ok(()),
            true => Err(Code::Forbidden),
            false => Err(Code::NotAMember),
        }
    }

    fn find(&self, seq: u64) -> Result<&Said, Code> {
        let place = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        place.and_then(|place| self.messages.get(place)).ok_or(Code::NoSuchMessage)
    }

    /// What comes of an edit or a deletion that somebody asks for now.
    pub(crate) fn judge(&self, user: UserId, deed: &Deed, now: Timestamp) -> Result<(), Code> {
        match deed {
            Deed::Edit(seq, _) => self.may_edit(user, *seq, now),
            Deed::Delete(seq) => {
                let author = self.find(*seq).ok().map(|said| said.from);
                let author = author.and_then(|author| self.rules().roles.get(&author));
                self.may_delete(user, *seq, author.copied(), now)
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody opens the thread on a message, which may have one.
    pub(crate) fn judge_thread(
        &self,
        user: UserId,
        seq: u64,
        has_thread: bool,
        now: Timestamp,
    ) -> Result<(), Code> {
        if self.kind == Kind::Thread {
            return Err(Code::BadRequest);
        }
        let role = self.role(user, now)?;
        match self.find(seq)? {
            _ if has_thread => Ok(()),
            said if said.deletions > 0 => Err(Code::MessageDeleted),
            _ => self.may_write(user, role, now),
        }
    }

    /// The room whose roles, mutes and settings count here.
    fn rules(&self) -> &Self {
        self.parent.as_deref().unwrap_or(self)
    }

    /// How many of its messages are not deleted, and the last of these.
    pub(crate) fn come_to(&self) -> (u64, Option<(u64, UserId, Timestamp)>) {
        let all = (1..).zip(&self.messages);
        let left: Vec<_> = all.filter(|(_, said)| said.deletions == 0).collect();
        (left.len() as u64, left.last().map(|(seq, said)| (*seq, said.from, said.at)))
    }

    /// Everybody who belongs to the room, as what counts here.
    pub(crate) fn members(&self) -> BTreeMap<UserId, Role> {
        let roles = &self.rules().roles;
        self.roles.keys().filter_map(|user| Some((*user, *roles.get(user)?))).collect()
    }

    /// As what somebody reads here: whoever is in the room that a thread is in reads it without following it.
    pub(crate) fn reads_as(&self, user: UserId, now: Timestamp) -> Result<Role, Code> {
        let role = self.parent.as_ref().and_then(|parent| parent.roles.get(&user));
        role.map_or_else(|| self.role(user, now), |role| Ok(*role))
    }

    /// What somebody is here, or what it is told that is no member.
    pub(crate) fn role(&self, user: UserId, now: Timestamp) -> Result<Role, Code> {
        if let Some(parent) = &self.parent {
            return match parent.roles.get(&user) {
                Some(role) if self.roles.contains_key(&user) => Ok(*role),
                Some(_) => Err(Code::NotAMember),
                None if parent.kind == Kind::Open => Err(Code::NotAMember),
                None => Err(Code::NoSuchRoom),
            };
        }
        let banned = holds(self.bans.get(&user), now);
        self.roles.get(&user).copied().ok_or(match self.kind {
            Kind::Open if banned => Code::Banned,
            Kind::Open => Code::NotAMember,
            Kind::Private if self.invited.contains(&user) && !banned => Code::NotAMember,
            _ => Code::NoSuchRoom,
        })
    }

    fn may_edit(&self, user: UserId, seq: u64, now: Timestamp) -> Result<(), Code> {
        self.reads_as(user, now)?;
        let said = self.find(seq)?;
        let role = self.role(user, now)?;
        if said.from != user {
            return Err(Code::Forbidden);
        }
        if said.deletions > 0 {
            return Err(Code::MessageDeleted);
        }
        self.may_write(user, role, now)?;
        self.in_time(said, now)
    }

    fn may_write(&self, user: UserId, role: Role, now: Timestamp) -> Result<(), Code> {
        if role != Role::Owner && holds(self.rules().mutes.get(&user), now) {
            return Err(Code::Muted);
        }
        if role == Role::Member && self.rules().settings.read_only {
            return Err(Code::ReadOnly);
        }
        Ok(())
    }

    fn may_delete(
        &self,
        user: UserId,
        seq: u64,
        author: Option<Role>,
        now: Timestamp,
    ) -> Result<(), Code> {
        let role = self.reads_as(user, now)?;
        let said = self.find(seq)?;
        let moderates = role != Role::Member && self.kind != Kind::Direct;
        if !moderates {
            self.role(user, now)?;
        }
        let below = match author {
            None | Some(Role::Member) => true,
            Some(Role::Moderator) => role == Role::Owner,
            Some(Role::Owner) => false,
        };
        if said.from != user && !(moderates && below) {
            return Err(Code::Forbidden);
        }
        if said.from != user || moderates || said.deletions > 0 {
            return Ok(());
        }
        self.in_time(said, now)
    }

    fn in_time(&self, said: &Said, now: Timestamp) -> Result<(), Code> {
        let late = said.at + self.edit_age <= now;
        if late { Err(Code::TooLate) } else { Ok(()) }
    }

    /// Compares what a message says, and said before, with what the store says of it.
    pub(crate) fn compare(&self, stored: &Message, revisions: &[Revision]) -> Result<(), Broken> {
        let said = self.find(stored.seq).map_err(|code| format!("{stored:?}: {code:?}"))?;
        let deleted = said.deletions > 0;
        let edits: Vec<_> = said.edits.iter().map(|(text, _)| text.as_deref()).collect();
        let shown = match deleted {
            true => stored.body.text.is_none() && stored.edited.is_none() && revisions.is_empty(),
            false => {
                let texts = revisions.iter().map(|revision| revision.text.as_deref());
                let texts = texts.chain([stored.body.text.as_deref()]).skip(1);
                let edited = said.edits.last().map(|(_, at)| *at);
                texts.eq(edits.iter().copied()) && stored.edited == edited
            }
        };
        // What a message said that has been deleted is not in the log either.
        let forgotten = edits.iter().all(|text| text.is_none() == deleted);
        if shown && forgotten && stored.deleted == deleted {
            return Ok(());
        }
        Err(format!("{said:?} is stored as {stored:?}, and was {revisions:?}"))
    }

    /// Compares who belongs to the room, and as what, with what the store says.
    pub(crate) fn compare_members(&self, stored: &LoadedRoom) -> Result<(), Broken> {
        let members = stored.members.iter().map(|member| (member.user.id, member.role));
        let members: HashMap<_, _> = members.collect();
        if members == self.roles {
            return Ok(());
        }
        Err(format!("{members:?} are members, where {:?} were expected", self.roles))
    }
}
