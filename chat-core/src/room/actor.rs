//! The actor of a room: it loads the room, hands what it is told to it, and ends it.

use std::sync::Arc;

use actix::prelude::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture,
};

use super::following::Bond;
use super::registry::Live;
use super::threads::{Adopt, Doubt, FromParent, News};
use super::{AGAIN, About, Ask, Depart, Glance, Hosted, Look, Rooms, Seat, SetAway};
use crate::deliver::ReplyTo;
use crate::error::{Code, Error, Result};
use crate::ids::{RoomId, UserId};
use crate::journal::Committed;
use crate::model::{Counts, Kind};
use crate::shared::Shared;
use crate::store::{BatchOutcome, LoadedRoom, RoomKey, Store, StoreError};

/// The actor.
pub(crate) struct RoomActor {
    pub(super) rooms: Arc<Rooms>,
    pub(super) id: RoomId,
    live: Arc<Live>,
    pub(super) state: State,
    /// It has ended and is being deleted from the store: it may not stop before it is.
    deleting: bool,
}

pub(super) enum State {
    /// The store has not answered yet. The actor's mailbox waits meanwhile.
    Loading,
    /// It lives.
    Hosted(Box<Hosted>),
    /// It does not, or no longer: everybody is told why until nobody holds it any more.
    Ended(Error),
}

impl RoomActor {
    /// A room that loads itself when it starts.
    pub(crate) fn new(rooms: Arc<Rooms>, id: RoomId, live: Arc<Live>) -> Self {
        Self { rooms, id, live, state: State::Loading, deleting: false }
    }

    fn loaded(
        &mut self,
        loaded: Result<Option<LoadedRoom>, StoreError>,
        unseen: &[UserId],
        bond: Option<Result<Bond>>,
        ctx: &mut Context<Self>,
    ) {
        match loaded {
            Ok(Some(mut loaded)) => {
                let bond = match bond.transpose() {
                    Ok(bond) => bond,
                    Err(error) => {
                        // A thread goes with its parent's room.
                        if error.code() == Code::NoSuchRoom {
                            self.state = State::Ended(error);
                            self.delete(loaded.key, ctx);
                        } else {
                            self.ended(error, ctx);
                        }
                        return;
                    }
                };
                self.wake(std::mem::take(&mut loaded.untold));
                let (rooms, live) = (Arc::clone(&self.rooms), Arc::clone(&self.live));
                let mut hosted = Box::new(Hosted::new(rooms, live, bond, loaded));
                for user in unseen {
                    hosted.roster.set_unseen(*user, true);
                }
                self.state = State::Hosted(hosted);
                self.with_hosted(ctx, |_, _| {});
            }
            Ok(None) => self.ended(Error::no_such_room(), ctx),
            Err(error) => {
                tracing::error!(%error, room = %self.id, "could not load a room");
                self.ended(Error::unavailable(), ctx);
            }
        }
    }

    /// Loads threads that have not told everything, so that they do.
    fn wake(&self, threads: Vec<RoomId>) {
        let rooms = Arc::clone(&self.rooms);
        actix_rt::spawn(async move {
            // One after the other, so that the store is there for others meanwhile.
            for thread in threads {
                if let Err(error) = rooms.load(thread).await {
                    tracing::debug!(%error, room = %thread, "could not wake a thread");
                }
            }
        });
    }

    /// From here on everybody who asks is told why there is no room.
    fn ended(&mut self, error: Error, ctx: &mut Context<Self>) {
        self.state = State::Ended(error);
        self.retire_when_unheld(ctx);
    }

    fn retire_when_unheld(&mut self, ctx: &mut Context<Self>) {
        if self.rooms.retire(self.id) {
            ctx.stop();
        } else {
            let again = self.rooms.shared.clock.sleep(AGAIN).into_actor(self);
            ctx.spawn(again.map(|(), room, ctx| room.retire_when_unheld(ctx)));
        }
    }

    /// An ephemeral room without members goes, with all that belongs to it.
    fn end_if_empty(&mut self, ctx: &mut Context<Self>) {
        let State::Hosted(hosted) = &mut self.state else { return };
        // While nobody knows what has been written, somebody may have joined.
        let settled = hosted.writes.is_idle() && hosted.writes.unsure.is_none();
        if hosted.info.ephemeral && hosted.roster.counts().members == 0 && settled {
            let key = hosted.key;
            self.close();
            self.delete(key, ctx);
        }
    }

    /// Lets go of everybody. What comes now is told that there is no such room.
    fn close(&mut self) {
        let ended = State::Ended(Error::no_such_room());
        if let State::Hosted(mut hosted) = std::mem::replace(&mut self.state, ended) {
            // Another process may have ended a room in which nothing has been done for long.
            hosted.now = hosted.shared.clock.elapsed();
            // Before anybody is told.
            self.live.publish(Counts::default());
            hosted.let_go();
        }
    }

    fn delete(&mut self, key: RoomKey, ctx: &mut Context<Self>) {
        self.deleting = true;
        let store = Arc::clone(&self.rooms.shared.store);
        let delete = async move { store.delete_room(key).await };
        ctx.spawn(delete.into_actor(self).map(move |deleted, room, ctx| match deleted {
            Ok(()) => {
                room.deleting = false;
                room.retire_when_unheld(ctx);
            }
            Err(error) => {
                tracing::error!(%error, room = %room.id, "could not delete a room; trying again");
                let again = room.rooms.shared.clock.sleep(AGAIN).into_actor(room);
                ctx.spawn(again.map(move |(), room, ctx| room.delete(key, ctx)));
            }
        }));
    }

    /// Goes on with something that has waited for the store. If the room has ended meanwhile,
    /// whoever waits is told so.
    pub(super) fn go_on<T>(
        &mut self,
        waiting: T,
        ctx: &mut Context<Self>,
        act: impl FnOnce(&mut Hosted, T, &mut Context<Self>),
        who: impl FnOnce(T) -> (ReplyTo, Option<Seat>),
    ) {
        let State::Ended(error) = &self.state else {
            return self.with_hosted(ctx, |hosted, ctx| act(hosted, waiting, ctx));
        };
        let (reply, seat) = who(waiting);
        self.turn_away(reply, seat.as_ref(), error);
    }

    /// Tells somebody that there is no room.
    fn turn_away(&self, reply: ReplyTo, seat: Option<&Seat>, error: &Error) {
        reply.answer(self.rooms.shared.clock.elapsed(), Err(error.clone()));
        if let Some(seat) = seat {
            seat.say_unseated(self.id);
        }
    }

    /// Does something with the loaded room, sends what that has gathered, and looks whether the
    /// room is to end. Does nothing if the room is not loaded. A thread looks first how everybody stands in its
    /// parent's room, which stays so until the step is done.
    pub(super) fn with_hosted(
        &mut self,
        ctx: &mut Context<Self>,
        act: impl FnOnce(&mut Hosted, &mut Context<Self>),
    ) {
        let State::Hosted(hosted) = &mut self.state else { return };
        let access = hosted.following.as_ref().map(|parent| parent.access());
        let step = access.as_ref().map(|access| access.step());
        hosted.now = hosted.shared.clock.elapsed();
        hosted.follow_parent(ctx);
        act(hosted, ctx);
        hosted.finish(ctx);
        drop(step);
        self.end_if_empty(ctx);
        self.end_if_unbound(ctx);
    }

    /// A thread whose parent's room has fallen, by a fault of ours, is loaded anew by whoever asks next.
    fn end_if_unbound(&mut self, ctx: &mut Context<Self>) {
        let State::Hosted(hosted) = &self.state else { return };
        if hosted.following.as_ref().is_some_and(|parent| !parent.is_bound()) {
            self.close();
            self.ended(Error::unavailable(), ctx);
        }
    }
}

/// Who of a direct room's members does not show the other one whether it is there.
async fn unseen(shared: &Shared, room: &LoadedRoom) -> Vec<UserId> {
    let mut unseen = Vec::new();
    if let (Kind::Direct, [one, other]) = (room.info.kind, &room.members[..]) {
        for (user, to) in [(one.user.id, other.user.id), (other.user.id, one.user.id)] {
            if !shared.shows_presence(user, to).await {
                unseen.push(user);
            }
        }
    }
    unseen
}

impl Actor for RoomActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, id) = (Arc::clone(&self.rooms.shared.store), self.id);
        let recent = self.rooms.shared.limits.kept_messages;
        let rooms = Arc::clone(&self.rooms);
        let address = ctx.address().downgrade().recipient();
        let load = async move {
            let loaded = store.load_room(id, recent).await;
            let unseen = match &loaded {
                Ok(Some(room)) => unseen(&rooms.shared, room).await,
                _ => Vec::new(),
            };
            let parent = loaded.as_ref().ok().and_then(Option::as_ref);
            let bond = match parent.map(|room| (room, room.info.parent)) {
                Some((room, Some(parent))) => {
                    Some(Bond::form(&rooms, parent.room, room, address).await)
                }
                _ => None,
            };
            (loaded, unseen, bond)
        };
        ctx.wait(load.into_actor(self).map(|(loaded, unseen, bond), room, ctx| {
            room.loaded(loaded, &unseen, bond, ctx);
        }));
    }
}

impl Handler<Ask> for RoomActor {
    type Result = ();

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) {
        let State::Ended(error) = &self.state else {
            return self.with_hosted(ctx, |hosted, ctx| hosted.ask(ask, ctx));
        };
        let Ask { asker, reply, queued, .. } = ask;
        self.turn_away(reply, asker.seat.as_ref(), error);
        drop((asker, queued));
        if !self.deleting && self.rooms.retire(self.id) {
            ctx.stop();
        }
    }
}

impl Handler<Look> for RoomActor {
    type Result = Result<()>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Result<()> {
        match &self.state {
            State::Ended(error) => Err(error.clone()),
            State::Loading | State::Hosted(_) => Ok(()),
        }
    }
}

impl Handler<Glance> for RoomActor {
    type Result = ();

    fn handle(&mut self, glance: Glance, ctx: &mut Self::Context) {
        self.with_hosted(ctx, |hosted, _| {
            if let Some(standing) = hosted.glance(glance.user) {
                // Who asked may have gone.
                glance.answer.send(standing).ok();
            }
        });
    }
}

impl Handler<Committed> for RoomActor {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut Self::Context) {
        if committed.outcome == Some(BatchOutcome::Gone) {
            // Another process has deleted the room.
            self.close();
            return self.retire_when_unheld(ctx);
        }
        self.with_hosted(ctx, |hosted, ctx| hosted.committed(committed.outcome, ctx));
    }
}

impl Handler<SetAway> for RoomActor {
    type Result = ();

    fn handle(&mut self, set: SetAway, ctx: &mut Self::Context) {
        self.with_hosted(ctx, |hosted, _| hosted.set_away(&set));
    }
}

impl Handler<Depart> for RoomActor {
    type Result = ();

    fn handle(&mut self, depart: Depart, ctx: &mut Self::Context) {
        self.with_hosted(ctx, |hosted, _| hosted.depart(depart.connection));
    }
}

impl Handler<About> for RoomActor {
    type Result = ();

    fn handle(&mut self, about: About, ctx: &mut Self::Context) {
        if let State::Ended(error) = &self.state {
            return about.what.refuse(self.rooms.shared.clock.elapsed(), error);
        }
        self.with_hosted(ctx, |hosted, ctx| hosted.take_note(about, ctx));
    }
}

impl Handler<Adopt> for RoomActor {
    type Result = ();

    fn handle(&mut self, adopt: Adopt, ctx: &mut Self::Context) {
        let Adopt { thread, address, answer } = adopt;
        let mut adopted = Err(Error::no_such_room());
        match &self.state {
            State::Ended(error) => adopted = Err(error.clone()),
            _ => self.with_hosted(ctx, |hosted, _| adopted = Ok(hosted.adopt(thread, address))),
        }
        // A thread that does not wait any more has gone.
        answer.send(adopted).ok();
    }
}

impl Handler<FromParent> for RoomActor {
    type Result = ();

    fn handle(&mut self, what: FromParent, ctx: &mut Self::Context) {
        match (what, &self.state) {
            // A step looks by itself who is a member still.
            (FromParent::Ended, _) => self.with_hosted(ctx, |_, _| {}),
            (FromParent::Gone, State::Hosted(hosted)) => {
                let key = hosted.key;
                self.close();
                self.delete(key, ctx);
            }
            (FromParent::Gone, _) => {}
        }
    }
}

impl Handler<Doubt> for RoomActor {
    type Result = ();

    fn handle(&mut self, doubt: Doubt, ctx: &mut Self::Context) {
        self.with_hosted(ctx, |hosted, _| hosted.doubt(doubt));
    }
}

impl Handler<News> for RoomActor {
    type Result = ();

    fn handle(&mut self, news: News, ctx: &mut Self::Context) {
        self.with_hosted(ctx, |hosted, _| hosted.hear_of_thread(news));
    }
}
