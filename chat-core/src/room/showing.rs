//! What has been committed is applied to what the room has in memory, and shown to everybody whom it concerns.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::event::{Event, OwnChange};
use crate::ids::UserId;
use crate::model::{Change, ChangeKind, Cursor, Membership, Message, Restriction, Role, User};
use crate::room::Hosted;

impl Hosted {
    /// Adds a committed message and shows it.
    pub(super) fn show(&mut self, message: Arc<Message>) {
        let cursor = self.timeline.end().next_message();
        self.timeline.push_message(Arc::clone(&message));
        self.count_reply(&message);
        self.typing.stop(message.from.id);
        self.slow.wrote(message.from.id, message.at);
        self.tell_mentioned(&message, &message.body.mentions);
        self.audience.tell(Event::Message { room: self.id, cursor, message });
    }

    /// Tells these users, wherever they are connected, that a message mentions them.
    fn tell_mentioned(&self, message: &Arc<Message>, users: &[UserId]) {
        for user in users.iter().copied() {
            if self.belongs(user) {
                let event = Event::Mentioned { room: self.id, message: Arc::clone(message) };
                self.shared.connections.tell(user, &event, self.now());
            }
        }
    }

    /// Tells those whom a message, which was this, mentions since an edit.
    pub(super) fn tell_newly_mentioned(&self, before: &Message, change: &Change) {
        let ChangeKind::Edited(_, _, Some(edit)) = &change.kind else { return };
        let mut users = edit.mentions.clone();
        users.retain(|user| !before.body.mentions.contains(user));
        let mut message = before.clone();
        message.edit(edit, change.at);
        self.tell_mentioned(&Arc::new(message), &users);
    }

    /// Adds a committed change. Whoever is to be told is told afterwards, by
    /// [`tell_change`](Self::tell_change).
    pub(super) fn change(
        &mut self,
        cursor: Cursor,
        kind: ChangeKind,
        by: Option<User>,
        at: Timestamp,
    ) -> Arc<Change> {
        let change = Arc::new(Change { cursor, kind, by, at });
        self.apply_change(&change);
        change
    }

    pub(super) fn apply_change(&mut self, change: &Arc<Change>) {
        self.timeline.push_change(Arc::clone(change));
        let Membership { user, role } = change.kind.membership();
        let restricted = |until: &Option<Timestamp>| {
            (Restriction { user: user.clone(), until: *until }, change.at)
        };
        match &change.kind {
            ChangeKind::Joined(membership) => {
                self.roster.add(membership.clone(), self.now());
                self.roster.set_read(user.id, change.cursor.seq);
                self.is_settled(user.id);
                self.look_at_newcomer(user.id);
            }
            ChangeKind::Invited(_) => self.roster.invite(user.clone()),
            ChangeKind::Role(_) => self.roster.set_role(user.id, *role),
            ChangeKind::Transferred(_) => {
                if let Some(before) = &change.by {
                    self.roster.set_role(before.id, Role::Moderator);
                }
                self.roster.set_role(user.id, *role);
            }
            // Whose membership ends hears of it first.
            ChangeKind::Left(_) | ChangeKind::Kicked(_) => self.is_settled(user.id),
            ChangeKind::Banned(_, until) => {
                let (ban, now) = restricted(until);
                self.roster.disinvite(user.id);
                self.bans.set(ban, now);
            }
            ChangeKind::Unbanned(_) => self.bans.lift(user.id),
            ChangeKind::Muted(_, until) => {
                let (mute, now) = restricted(until);
                self.mutes.set(mute, now);
            }
            ChangeKind::Unmuted(_) => self.mutes.lift(user.id),
            ChangeKind::Settings(_, settings) => {
                self.settled(&change.kind);
                if self.settings.slow_s != settings.slow_s {
                    self.slow.set(settings.slow_s, self.timeline.kept());
                }
                self.settings = *settings;
            }
            ChangeKind::Erased(_) => {
                let written = self.timeline.kept().filter(|message| message.from.id == user.id);
                let first = self.timeline.kept().next().map_or(u64::MAX, |message| message.seq);
                self.marks.delete_all(written.map(|message| message.seq), first);
                self.timeline.erase(user.id);
                self.count_anew(user);
            }
            ChangeKind::Marked(_, seq, marks) => self.timeline.mark(*seq, marks),
            ChangeKind::Edited(_, seq, Some(edit)) => self.timeline.edit(*seq, edit, change.at),
            ChangeKind::Thread(_, seq, thread) => self.timeline.set_thread(*seq, thread),
            ChangeKind::Edited(_, seq, None) | ChangeKind::Deleted(_, seq) => {
                let before = self.timeline.find(*seq);
                self.timeline.delete(*seq);
                self.marks.delete(*seq);
                self.count_deletion(*seq, before.as_deref(), user);
            }
        }
        self.tell_threads(change);
    }

    /// Tells a user what has become of it here, wherever it is connected and neither hears the room nor is
    /// about to.
    pub(super) fn tell_own(&mut self, user: UserId, change: &OwnChange) {
        let is_here = |connection| {
            self.roster.is_seated(connection) || self.entering.contains_key(&connection)
        };
        for line in self.shared.connections.elsewhere(user, is_here) {
            let event = Event::Mine { room: self.id, change: change.clone() };
            self.audience.tell_elsewhere(&line, event);
        }
    }

    /// Tells a change to everybody who hears the room. Those whose membership ends with it hear no
    /// more after it; those who are invited hear so wherever they are connected. In a big room, who
    /// comes and goes is summarised; what somebody has decided is not.
    pub(super) fn tell_change(&mut self, change: &Arc<Change>) {
        let mut seats = Vec::new();
        let user = &change.kind.membership().user;
        let own = match &change.kind {
            ChangeKind::Joined(_) => Some(OwnChange::Joined(self.info.clone())),
            ChangeKind::Left(_) => Some(OwnChange::Left),
            ChangeKind::Kicked(_) => Some(OwnChange::Kicked),
            ChangeKind::Banned(_, until) => Some(OwnChange::Banned(*until)),
            _ => None,
        };
        // Not somebody who was no member, and not once more whom a thread has put out, or is about to.
        let is_known = self.roster.membership(user.id).is_some();
        let is_told = match own {
            Some(OwnChange::Joined(_)) => self.belongs(user.id),
            _ => is_known,
        };
        if let Some(own) = own.filter(|_| is_told) {
            self.tell_own(user.id, &own);
        }
        if change.kind.ends_membership() {
            seats = self.roster.remove(user.id);
            self.typing.stop(user.id);
        }
        match &change.kind {
            ChangeKind::Invited(_) => {
                let event = Event::Invited { room: self.info.clone() };
                self.shared.connections.tell(user.id, &event, self.now());
            }
            ChangeKind::Muted(..) if self.typing.stop(user.id) => {
                self.tell_typing(user.clone(), false);
            }
            _ => {}
        }
        let event = Event::Change {
            room: self.id,
            change: Arc::clone(change),
            counts: self.roster.counts(),
        };
        let is_big = self.is_big();
        self.summary.1 |= is_big;
        if is_big && change.kind.is_coming_or_going() {
            for (_, seat) in &seats {
                self.audience.tell_one(&seat.line, event.clone());
            }
        } else {
            self.audience.tell(event);
        }
        for (_, seat) in seats {
            self.unseat(&seat);
        }
    }
}
