//! Keeping order: what the owner and moderators do, and what members may do under the room's
//! settings. Who may do what is asked of the room's memory in the moment in which a command is
//! carried out, and again if another process has changed the room before it was written.

use std::collections::VecDeque;

use crate::clock::{Timestamp, to_millis};
use crate::command::{BanQuery, Reply};
use crate::deliver::ReplyTo;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::limits;
use crate::model::{
    ChangeKind, Kind, MemberView, Membership, Moderation, Mute, Role, User, WhoInvites,
};
use crate::room::writes::What;
use crate::room::{Hosted, authority};
use crate::roster::newcomer;

impl Hosted {
    /// Takes an act of moderation for writing, unless it would change nothing.
    pub(super) fn moderate(&mut self, by: &User, act: Moderation, reply: ReplyTo) {
        let kind = match self.judge(by.id, &act) {
            Ok(Some(kind)) => kind,
            Ok(None) => return self.change_nothing(reply),
            Err(error) => return self.answer(reply, Err(error)),
        };
        // What somebody has sent who is being stopped, and what is not on its way yet, is not
        // written any more.
        let stopped = match &kind {
            ChangeKind::Kicked(membership) => Some((membership.user.id, Error::not_a_member())),
            ChangeKind::Banned(membership, until) => {
                Some((membership.user.id, self.banned(*until)))
            }
            ChangeKind::Muted(membership, until) => {
                Some((membership.user.id, Error::muted(*until)))
            }
            _ => None,
        };
        let settings = kind.settings();
        let by = self.as_kept(by);
        if self.accept(What::Moderate { by, act, kind, reply }) {
            self.upcoming = settings.or(self.upcoming);
            if let Some((user, error)) = stopped {
                self.refuse_queued(user, &error);
            }
        }
    }

    /// What somebody's act would change, `None` if nothing.
    pub(super) fn judge(&self, by: UserId, act: &Moderation) -> Result<Option<ChangeKind>> {
        let Some(me) = self.roster.membership(by) else { return Err(self.not_a_member(by)) };
        self.keeps_order_itself()?;
        if self.info.kind == Kind::Direct {
            return Err(Error::forbidden("in a direct room, nobody is above the other"));
        }
        let target = act.user().and_then(|user| self.roster.membership(user));
        authority::may(me.role, act, target.map(|target| target.role))?;
        let member = || target.cloned().ok_or_else(Error::no_such_member);
        let with = |role| member().map(|member| Membership { role, ..member });
        let now = self.shared.clock.now();
        Ok(match *act {
            Moderation::Role { role, .. } => {
                let before = member()?.role;
                (before != role).then_some(ChangeKind::Role(with(role)?))
            }
            Moderation::Transfer { user } => {
                (user != by).then_some(ChangeKind::Transferred(with(Role::Owner)?))
            }
            Moderation::Kick { .. } => Some(ChangeKind::Kicked(member()?)),
            Moderation::Ban { user, until } => {
                let until = until.map(|until| end(until, now)).transpose()?;
                let before = self.bans.find(user, || now).map(|ban| ban.until);
                let membership = member().or_else(|_| self.known(user).map(newcomer))?;
                (before != Some(until)).then_some(ChangeKind::Banned(membership, until))
            }
            Moderation::Unban { user } => {
                let ban = self.bans.find(user, || now);
                ban.map(|ban| ChangeKind::Unbanned(newcomer(ban.user.clone())))
            }
            Moderation::Mute { user, until } => {
                let until = until.map(|until| end(until, now)).transpose()?;
                let before = self.mutes.find(user, || now).map(|mute| mute.until);
                let membership = member()?;
                (before != Some(until)).then_some(ChangeKind::Muted(membership, until))
            }
            Moderation::Unmute { user } => self.mutes.find(user, || now).map(|mute| {
                let membership = member().unwrap_or_else(|_| newcomer(mute.user.clone()));
                ChangeKind::Unmuted(membership)
            }),
            Moderation::Configure(change) => {
                let settings = self.settings.with(&change)?;
                (settings != self.settings).then(|| ChangeKind::Settings(me.clone(), settings))
            }
        })
    }

    /// A member under the name that others see.
    pub(super) fn as_kept(&self, user: &User) -> User {
        self.roster.membership(user.id).map_or_else(|| user.clone(), |kept| kept.user.clone())
    }

    /// Somebody whom the room knows.
    pub(super) fn known(&self, user: UserId) -> Result<User> {
        let member = self.roster.membership(user).map(|member| &member.user);
        let kept = [&self.bans, &self.mutes].into_iter().find_map(|kept| kept.user(user));
        let known = member.or_else(|| self.roster.invitee(user)).or(kept);
        let known = known.or_else(|| self.timeline.seen(user));
        known.cloned().ok_or_else(Error::no_such_user)
    }

    /// What keeps a member from writing, if something does.
    pub(super) fn mute_of(&self, member: &Membership) -> Option<Mute> {
        let mute = self.mutes.find(member.user.id, || self.shared.clock.now());
        mute.filter(|_| member.role != Role::Owner).map(|mute| Mute { until: mute.until })
    }

    /// Members as they are seen now, with what keeps them from writing.
    pub(super) fn with_mutes(&self, mut members: Vec<MemberView>) -> Vec<MemberView> {
        for member in &mut members {
            member.mute = self.mute_of(&member.membership);
        }
        members
    }

    /// Whether a member may write now, but for slow mode.
    pub(super) fn may_write(&self, member: &Membership) -> Result<()> {
        if let Some(mute) = self.mute_of(member) {
            return Err(Error::muted(mute.until));
        }
        // What is being written counts already, because a message would be written behind it.
        let read_only = [Some(self.settings), self.upcoming].into_iter().flatten();
        if !member.role.moderates() && read_only.into_iter().any(|settings| settings.read_only) {
            return Err(Error::read_only());
        }
        Ok(())
    }

    /// Whether a member has waited for long enough since its last message. If so, it has written as
    /// of now.
    pub(super) fn wait_in_slow_mode(&mut self, member: &Membership) -> Result<()> {
        if let Some(passed) = self.passed_in_slow_mode(member) {
            return Err(Error::slow_mode(self.settings.slow_s, passed));
        }
        if self.settings.slow_s > 0 {
            self.slow.wrote(member.user.id, self.shared.clock.now().max(self.last_at));
        }
        Ok(())
    }

    /// How many seconds have passed since the last message of a member who is to wait for more.
    pub(super) fn passed_in_slow_mode(&self, member: &Membership) -> Option<u32> {
        if self.settings.slow_s == 0 || member.role.moderates() {
            return None;
        }
        self.slow.passed(member.user.id, self.shared.clock.now().max(self.last_at))
    }

    /// Whether a member may invite somebody, and whether that would change anything.
    pub(super) fn may_invite(&self, by: UserId, guest: UserId) -> Result<bool> {
        let Some(role) = self.roster.role(by) else { return Err(self.not_a_member(by)) };
        self.keeps_order_itself()?;
        if self.info.kind == Kind::Direct {
            let message = "a direct room is between two people; open another room for more";
            return Err(Error::forbidden(message));
        }
        if self.settings.invite == WhoInvites::Moderators && !role.moderates() {
            return Err(Error::forbidden("only the owner and moderators invite to this room"));
        }
        if self.is_banned(guest) {
            let message = "this user is banned from the room; lift the ban first";
            return Err(Error::new(Code::Banned, message));
        }
        Ok(self.roster.membership(guest).is_none() && !self.roster.is_invited(guest))
    }

    /// Whether a member may leave.
    pub(super) fn may_leave(&self, member: &Membership) -> Result<()> {
        if self.info.kind == Kind::Direct {
            let message = "a direct room belongs to its two people and cannot be left";
            return Err(Error::forbidden(message));
        }
        let others = self.roster.counts().members > 1 && self.info.kind != Kind::Thread;
        // An ephemeral room ends members who are away, its owner too, so it does without one.
        if member.role == Role::Owner && others && !self.info.ephemeral {
            let message =
                "this room has other members; transfer it to one of them before you leave";
            return Err(Error::forbidden(message));
        }
        Ok(())
    }

    /// Whether a user is banned now.
    pub(super) fn is_banned(&self, user: UserId) -> bool {
        self.bans.find(user, || self.shared.clock.now()).is_some()
    }

    /// What somebody is told who is banned: of a private room, nothing.
    fn banned(&self, until: Option<Timestamp>) -> Error {
        match self.info.kind {
            Kind::Open => Error::banned(until),
            Kind::Private | Kind::Direct | Kind::Thread => Error::no_such_room(),
        }
    }

    /// What somebody is told who may not join.
    pub(super) fn no_entry(&self, user: UserId) -> Error {
        if let Some(error) = self.no_entry_to_thread() {
            return error;
        }
        let ban = self.bans.find(user, || self.shared.clock.now());
        ban.map_or_else(Error::no_such_room, |ban| self.banned(ban.until))
    }

    /// Reads a page of bans.
    pub(super) fn bans(&mut self, user: &User, query: &BanQuery, reply: ReplyTo) {
        let result = match self.roster.role(user.id) {
            None => Err(self.not_a_member(user.id)),
            Some(role) if !role.moderates() => {
                Err(Error::forbidden("only the owner and moderators see who is banned"))
            }
            Some(_) => self.keeps_order_itself().map(|()| {
                let query = BanQuery { limit: query.limit.min(limits::PAGE), ..*query };
                Reply::Bans(self.bans.page(&query, self.shared.clock.now()))
            }),
        };
        self.answer(reply, result);
    }

    pub(super) fn refuse_queued(&mut self, user: UserId, error: &Error) {
        self.refuse_marks_of(user, error);
        let (refused, queue) = std::mem::take(&mut self.writes.queue)
            .into_iter()
            .partition::<VecDeque<_>, _>(|pending| pending.what.is_said_by(user));
        self.writes.queue = queue;
        for pending in refused {
            self.fail(pending.what, error);
        }
    }
}

/// The end of a ban or a mute, as it is kept.
fn end(until: Timestamp, now: Timestamp) -> Result<Timestamp> {
    let until = to_millis(until);
    if until <= now {
        let message = "`until` has passed; name a later time, or none for no end";
        return Err(Error::new(Code::BadRequest, message).field("until"));
    }
    Ok(until)
}
