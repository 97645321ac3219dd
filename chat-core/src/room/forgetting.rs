//! What becomes of a user who is called otherwise from now on, is not to be seen, or goes for good: its
//! name, its presence, its membership, and what it has written. The engine asks this of every room that
//! knows the user, so it is done whatever the user's role is, and may be asked again.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::{ActorFutureExt, AsyncContext, Context};

use crate::command::Reply;
use crate::deliver::ReplyTo;
use crate::error::Error;
use crate::event::Event;
use crate::ids::UserId;
use crate::model::{ChangeKind, Kind, Membership, Moderation, Role, User};
use crate::room::writes::What;
use crate::room::{About, Happened, Hosted, RoomActor};
use crate::roster::newcomer;
use crate::store::{Store, StoreError};

impl Happened {
    /// There is no room in which it could be done.
    pub(super) fn refuse(self, now: Duration, error: &Error) {
        match self {
            Self::Renamed | Self::Shown { .. } => {}
            Self::Gone(reply) | Self::Erased(reply) => reply.answer(now, Err(error.clone())),
        }
    }
}

impl Hosted {
    pub(super) fn take_note(&mut self, about: About, ctx: &mut Context<RoomActor>) {
        let About { user, what } = about;
        match what {
            Happened::Renamed => self.rename(user),
            Happened::Shown { to, shown } => {
                if self.info.kind == Kind::Direct && self.roster.membership(to).is_some() {
                    self.show_presence(user.id, shown);
                    self.tell_threads_shown(user.id, shown);
                }
            }
            Happened::Gone(reply) => self.retire(user.id, reply),
            Happened::Erased(reply) => self.erase(user, reply, ctx),
        }
    }

    fn rename(&mut self, user: User) {
        self.timeline.rename(&user);
        self.writes.rename(&user);
        self.bans.rename(&user);
        self.mutes.rename(&user);
        if let Some(parent) = &mut self.following {
            parent.rename(&user);
        }
        if let Some(thread) = &mut self.replying {
            thread.rename(&user);
        }
        if self.roster.rename(&user) {
            self.audience.tell(Event::Renamed { room: Some(self.id), user });
        }
    }

    /// Ends a membership. What an owner leaves behind is somebody else's from then on; a direct room
    /// keeps both of its members, and a thread has no owner.
    fn retire(&mut self, user: UserId, reply: ReplyTo) {
        if self.is_expelled(user) {
            return self.answer(reply, Ok(Reply::Done));
        }
        if self.writes.is_moving(user) {
            return self.answer(reply, Err(Error::busy()));
        }
        let membership = self.roster.membership(user).cloned();
        let Some(membership) = membership.filter(|_| self.info.kind != Kind::Direct) else {
            return self.answer(reply, Ok(Reply::Done));
        };
        let owns = membership.role == Role::Owner && self.info.kind != Kind::Thread;
        if let Some(heir) = self.roster.heir(user).filter(|_| owns) {
            let (by, act) = (membership.user.clone(), Moderation::Transfer { user: heir.user.id });
            let kind = ChangeKind::Transferred(Membership { role: Role::Owner, ..heir });
            // In the queue right before the leaving, so that both are one commit.
            if !self.accept(What::Moderate { by, act, kind, reply: ReplyTo::nobody() }) {
                return self.answer(reply, Err(Error::busy()));
            }
        }
        self.end_membership(membership, Some(reply));
    }

    /// Deletes what a user has written: first in the store, so that whoever is told finds nothing there.
    fn erase(&mut self, user: User, reply: ReplyTo, ctx: &mut Context<RoomActor>) {
        let until = self.timeline.end().seq;
        self.erase_stored(user.id, 0, until, ctx, move |hosted, erased, _| match erased {
            Ok(()) => {
                let author = hosted.roster.membership(user.id).cloned();
                let author = author.unwrap_or_else(|| newcomer(user));
                hosted.accept(What::Erase { author, until, reply });
            }
            Err(error) => hosted.answer(reply, Err(error)),
        });
    }

    /// The change is committed. What had been on its way before it is deleted as well.
    pub(super) fn erased(
        &mut self,
        user: User,
        until: u64,
        reply: ReplyTo,
        ctx: &mut Context<RoomActor>,
    ) {
        let end = self.timeline.end().seq;
        if end == until {
            return self.answer(reply, Ok(Reply::Done));
        }
        self.erase_stored(user.id, until, end, ctx, move |hosted, erased, _| {
            hosted.count_anew(&user);
            hosted.answer(reply, erased.map(|()| Reply::Done));
        });
    }

    fn erase_stored(
        &mut self,
        user: UserId,
        after: u64,
        until: u64,
        ctx: &mut Context<RoomActor>,
        then: impl FnOnce(&mut Self, Result<(), Error>, &mut Context<RoomActor>) + 'static,
    ) {
        let (store, key) = (Arc::clone(&self.shared.store), self.key);
        self.reads += 1;
        let erase = async move { store.erase(key, user, after, until).await };
        ctx.spawn(wrap_future::<_, RoomActor>(erase).map(move |erased, room, ctx| {
            room.with_hosted(ctx, |hosted, ctx| {
                hosted.reads -= 1;
                let erased = erased.map_err(|error: StoreError| {
                    tracing::error!(%error, room = %hosted.id, "could not erase what a user wrote");
                    Error::unavailable()
                });
                then(hosted, erased, ctx);
            });
        }));
    }
}
