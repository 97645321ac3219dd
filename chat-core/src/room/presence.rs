//! Who is here, who is at the keyboard and who is writing: hints about this moment, never stored.
//! In a big room they are summarised, because announcing everyone to everyone grows with the
//! square.

use crate::command::Reply;
use crate::deliver::ReplyTo;
use crate::error::Error;
use crate::event::Event;
use crate::ids::{ConnectionId, UserId};
use crate::model::{MemberView, Presence, User};
use crate::room::{Hosted, Seat, SetAway};

/// How many of those present a summary names.
const NAMED: usize = 20;

impl Hosted {
    /// Whether so many are here that their coming and going is summarised.
    pub(super) fn is_big(&self) -> bool {
        self.roster.sessions() > self.shared.limits.big_room
    }

    /// Lets a member be seen, or not, whether it is there.
    pub(super) fn show_presence(&mut self, user: UserId, shown: bool) {
        if let Some(view) = self.roster.set_unseen(user, !shown) {
            self.tell_presence(view);
        }
    }

    /// Tells how a member is seen now.
    pub(super) fn announce(&mut self, view: MemberView) {
        if !self.roster.is_unseen(view.id()) {
            self.tell_presence(view);
        }
    }

    fn tell_presence(&mut self, view: MemberView) {
        // Hints do not add to a fan-out that cannot keep up; a summary makes up for them.
        if self.is_big() || self.audience.is_full() {
            self.summary.1 = true;
            return;
        }
        let online = self.roster.counts().online;
        let MemberView { membership, presence, devices, .. } = view;
        let user = membership.user;
        self.audience.tell(Event::Presence { room: self.id, user, presence, devices, online });
    }

    /// Tells who is here, in a big room.
    pub(super) fn summarise(&mut self) {
        self.summary = (self.now(), false);
        let (cursor, counts) = (self.timeline.end(), self.roster.counts());
        let some = self.roster.some_present(NAMED);
        let read = self.roster.count_readers(cursor.seq);
        self.audience.tell(Event::Summary { room: self.id, cursor, counts, some, read });
    }

    pub(super) fn set_away(&mut self, set: &SetAway) {
        if self.entering.contains_key(&set.connection) {
            // It is seated like this when it arrives.
            self.away.insert(set.connection, set.away);
        }
        if let Some(view) = self.roster.set_away(set.connection, set.away) {
            self.announce(view);
        }
    }

    /// A session has ended: it is not seated any more, and will not be.
    pub(super) fn depart(&mut self, connection: ConnectionId) {
        let now = self.now();
        self.quiet_since = now;
        self.entering.remove(&connection);
        self.away.remove(&connection);
        self.writes.forget(connection);
        let Some((Seat { line, .. }, view)) = self.roster.depart(connection, now) else { return };
        self.audience.exit(&line);
        if view.presence == Presence::Offline {
            self.typing.stop(view.id());
        }
        self.announce(view);
    }

    pub(super) fn type_(&mut self, user: &User, on: bool, reply: ReplyTo) {
        let Some(membership) = self.roster.membership(user.id) else {
            return self.answer(reply, Err(self.not_a_member(user.id)));
        };
        if on && let Err(error) = self.may_write(membership) {
            return self.answer(reply, Err(error));
        }
        if self.audience.is_full() {
            return self.answer(reply, Err(Error::busy()));
        }
        let user = membership.user.clone();
        let until = self.now().saturating_add(self.shared.limits.typing);
        self.answer(reply, Ok(Reply::Done));
        let changed = if on { self.typing.start(&user, until) } else { self.typing.stop(user.id) };
        if changed {
            self.tell_typing(user, on);
        }
    }

    pub(super) fn tell_typing(&mut self, user: User, on: bool) {
        if !self.is_big() {
            self.audience.tell(Event::Typing { room: self.id, user, on });
        }
    }
}
