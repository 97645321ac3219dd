//! The in-process fan-out: one actor per engine thread and wire format, which encodes each event once and
//! puts it into the outboxes of its connections. A program that embeds the engine reads events as they are; a
//! transport that brings a [`Wire`] reads them as its frames.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient, WrapFuture,
};
use actix_rt::ArbiterHandle;
use indexmap::IndexSet;

use crate::clock::Clock;
use crate::command::Reply;
use crate::deliver::{AdmitAs, Deliver, End, Fanout, Parcel};
use crate::error::{Error, Result};
use crate::event::{CloseReason, Event};
use crate::ids::{ConnectionId, RoomId};
use crate::outbox::{Outbox, Pushed, Stuck, Weight};

/// How events and replies look to a reader.
pub trait Wire: Clone + Send + Unpin + 'static {
    /// One of them. Cloned for every reader, so a clone should cost no more than a counter.
    type Frame: Clone + Send + 'static;

    /// An event; called once for all readers of a fan-out.
    fn event(&self, event: &Arc<Event>) -> Self::Frame;

    /// The reply to the command that was submitted with this tag; `None` if this wire has no replies.
    fn reply(&self, tag: u64, result: &Result<Reply>) -> Option<Self::Frame>;

    /// How many bytes the frame counts for in its reader's outbox.
    fn size(&self, frame: &Self::Frame) -> usize;
}

/// Events as they are: the wire of programs that embed the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl Wire for InProcess {
    type Frame = Arc<Event>;

    fn event(&self, event: &Arc<Event>) -> Arc<Event> {
        Arc::clone(event)
    }

    fn reply(&self, _tag: u64, _result: &Result<Reply>) -> Option<Arc<Event>> {
        None
    }

    fn size(&self, event: &Arc<Event>) -> usize {
        let text = match &**event {
            Event::Message { message, .. } => message.text.len(),
            _ => 0,
        };
        size_of::<Event>() + text
    }
}

/// A fan-out's address, for the engine and for attaching connections.
#[derive(Clone)]
pub(crate) struct InboxFanout<W: Wire> {
    pub(crate) fanout: Fanout,
    address: Addr<FanoutActor<W>>,
}

impl<W: Wire> InboxFanout<W> {
    /// Starts a fan-out on a thread.
    pub(crate) fn start(
        arbiter: &ArbiterHandle,
        wire: W,
        clock: Arc<dyn Clock>,
        most: usize,
    ) -> Self {
        let address = FanoutActor::start_in_arbiter(arbiter, |_| FanoutActor {
            wire,
            clock,
            connections: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            rooms: HashMap::new(),
        });
        Self { fanout: Fanout::new(address.clone().recipient(), most), address }
    }

    /// Adds a connection, before its session can say anything.
    pub(crate) fn attach(
        &self,
        connection: ConnectionId,
        outbox: Outbox<W::Frame>,
        session: Recipient<End>,
    ) {
        self.address.do_send(Attach { connection, outbox, session });
    }
}

struct FanoutActor<W: Wire> {
    wire: W,
    clock: Arc<dyn Clock>,
    connections: Vec<Option<Connection<W::Frame>>>,
    /// Indices of `connections` that are free.
    free: Vec<usize>,
    slots: HashMap<ConnectionId, usize>,
    /// Who hears which room, as indices of `connections`.
    rooms: HashMap<RoomId, IndexSet<usize>>,
}

struct Connection<F> {
    id: ConnectionId,
    outbox: Outbox<F>,
    rooms: Vec<RoomId>,
    session: Recipient<End>,
    /// It has fallen behind, and is looked at until it has caught up.
    watched: bool,
    /// Its session has been told to end; nothing more is queued.
    ending: bool,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Attach<F> {
    connection: ConnectionId,
    outbox: Outbox<F>,
    session: Recipient<End>,
}

impl<W: Wire> Actor for FanoutActor<W> {
    type Context = Context<Self>;
}

impl<W: Wire> Handler<Attach<W::Frame>> for FanoutActor<W> {
    type Result = ();

    fn handle(&mut self, attach: Attach<W::Frame>, _: &mut Self::Context) {
        let Attach { connection, outbox, session } = attach;
        let (id, rooms) = (connection, Vec::new());
        let entry = Connection { id, outbox, rooms, session, watched: false, ending: false };
        let entry = Some(entry);
        let slot = self.free.pop().unwrap_or(self.connections.len());
        if slot == self.connections.len() {
            self.connections.push(entry);
        } else {
            self.connections[slot] = entry;
        }
        self.slots.insert(connection, slot);
    }
}

impl<W: Wire> Handler<Deliver> for FanoutActor<W> {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, ctx: &mut Self::Context) {
        for parcel in deliver.parcels {
            self.handle_parcel(parcel, deliver.at, ctx);
        }
    }
}

impl<W: Wire> FanoutActor<W> {
    fn handle_parcel(&mut self, parcel: Parcel, now: Duration, ctx: &mut Context<Self>) {
        match parcel {
            Parcel::Room { room, event } => self.tell_room(room, &event, now, ctx),
            Parcel::One { connection, event } => {
                let frame = self.wire.event(&Arc::new(event));
                self.push_one(connection, frame, now);
            }
            Parcel::Reply { connection, tag, result, permit } => {
                self.push_reply(connection, tag, &result, now);
                drop(permit);
            }
            Parcel::Admit { connection, room, answer } => {
                if self.push_answer(connection, room, answer, now) {
                    self.enter(connection, room);
                }
            }
            Parcel::Exit { connection, room } => self.exit(connection, room),
            Parcel::End { connection, reason } => self.end(connection, reason),
        }
    }

    fn tell_room(
        &mut self,
        room: RoomId,
        event: &Arc<Event>,
        now: Duration,
        ctx: &mut Context<Self>,
    ) {
        let Some(listeners) = self.rooms.get(&room) else { return };
        let frame = self.wire.event(event);
        let size = self.wire.size(&frame);
        let weight = event.topic().map_or(Weight::Durable, Weight::Transient);
        let mut behind = Vec::new();
        for &slot in listeners {
            let Some(Some(connection)) = self.connections.get_mut(slot) else { continue };
            if connection.push(frame.clone(), size, weight, now) == Pushed::Behind {
                behind.push(slot);
            }
        }
        if let Some(after) = event.cursor_before().filter(|_| !behind.is_empty()) {
            self.tell_behind(room, &behind, Event::Behind { room, after }, now);
            for slot in behind {
                self.watch(slot, ctx);
            }
        }
    }

    /// Tells these connections that they are behind. They hear no more of the room until they enter it
    /// again, which they do with the cursor that they are told here.
    fn tell_behind(&mut self, room: RoomId, slots: &[usize], event: Event, now: Duration) {
        let frame = self.wire.event(&Arc::new(event));
        let size = self.wire.size(&frame);
        for &slot in slots {
            if let Some(Some(connection)) = self.connections.get_mut(slot) {
                connection.push(frame.clone(), size, Weight::Urgent, now);
                connection.rooms.retain(|other| *other != room);
            }
            self.unlist(room, slot);
        }
    }

    /// Looks from time to time whether a reader that has fallen behind takes anything, because nothing more
    /// is queued for it that would show it.
    fn watch(&mut self, slot: usize, ctx: &mut Context<Self>) {
        let now = self.clock.elapsed();
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return };
        if connection.watched {
            return;
        }
        match connection.outbox.look(now) {
            Err(Stuck) => connection.end(CloseReason::NotReading),
            Ok(None) => {}
            Ok(Some(again)) => {
                connection.watched = true;
                let id = connection.id;
                let again = self.clock.sleep(again).into_actor(self);
                ctx.spawn(again.map(move |(), fanout, ctx| fanout.watch_again(id, ctx)));
            }
        }
    }

    fn watch_again(&mut self, id: ConnectionId, ctx: &mut Context<Self>) {
        if let Some(connection) = self.connection(id) {
            connection.watched = false;
        }
        if let Some(&slot) = self.slots.get(&id) {
            self.watch(slot, ctx);
        }
    }

    fn push_one(&mut self, connection: ConnectionId, frame: W::Frame, now: Duration) {
        let size = self.wire.size(&frame);
        if let Some(connection) = self.connection(connection) {
            connection.push(frame, size, Weight::Urgent, now);
        }
    }

    /// Queues a reply, or a short `busy` in place of one that finds the outbox full, so that somebody who
    /// asks for page after page and reads none costs no more than its outbox. Answers whether the reply
    /// itself was queued.
    fn push_reply(
        &mut self,
        id: ConnectionId,
        tag: u64,
        result: &Result<Reply>,
        now: Duration,
    ) -> bool {
        let Some(frame) = self.wire.reply(tag, result) else { return true };
        let queued = self.push_if_room(id, frame, now);
        if !queued && let Some(busy) = self.wire.reply(tag, &Err(Error::busy())) {
            self.push_one(id, busy, now);
        }
        queued
    }

    /// As [`push_reply`](Self::push_reply), for somebody who begins to hear a room.
    fn push_answer(
        &mut self,
        id: ConnectionId,
        room: RoomId,
        answer: Option<AdmitAs>,
        now: Duration,
    ) -> bool {
        match answer {
            None => true,
            Some(AdmitAs::Reply { tag, joined, permit }) => {
                let queued = self.push_reply(id, tag, &Ok(Reply::Joined(joined)), now);
                drop(permit);
                queued
            }
            Some(AdmitAs::Resumed(joined)) => {
                let event = Event::Resumed { room, result: Ok(joined) };
                let frame = self.wire.event(&Arc::new(event));
                let queued = self.push_if_room(id, frame, now);
                if !queued {
                    let busy = Event::Resumed { room, result: Err(Error::busy()) };
                    let busy = self.wire.event(&Arc::new(busy));
                    self.push_one(id, busy, now);
                }
                queued
            }
        }
    }

    fn push_if_room(&mut self, id: ConnectionId, frame: W::Frame, now: Duration) -> bool {
        let size = self.wire.size(&frame);
        let Some(connection) = self.connection(id) else { return false };
        connection.push(frame, size, Weight::Answer, now) == Pushed::Done
    }

    fn enter(&mut self, id: ConnectionId, room: RoomId) {
        let Some(&slot) = self.slots.get(&id) else { return };
        if self.rooms.entry(room).or_default().insert(slot)
            && let Some(connection) = self.connection(id)
        {
            connection.rooms.push(room);
        }
    }

    fn exit(&mut self, id: ConnectionId, room: RoomId) {
        let Some(&slot) = self.slots.get(&id) else { return };
        if let Some(connection) = self.connection(id) {
            connection.rooms.retain(|other| *other != room);
        }
        self.unlist(room, slot);
    }

    fn end(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(slot) = self.slots.remove(&id) else { return };
        let Some(connection) = self.connections[slot].take() else { return };
        self.free.push(slot);
        for room in connection.rooms {
            self.unlist(room, slot);
        }
        connection.outbox.close(reason);
    }

    fn unlist(&mut self, room: RoomId, slot: usize) {
        if let Some(listeners) = self.rooms.get_mut(&room) {
            listeners.swap_remove(&slot);
            if listeners.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection<W::Frame>> {
        let slot = *self.slots.get(&id)?;
        self.connections.get_mut(slot)?.as_mut()
    }
}

impl<F> Connection<F> {
    fn push(&mut self, frame: F, size: usize, weight: Weight, now: Duration) -> Pushed {
        if self.ending {
            return Pushed::Abandoned;
        }
        let pushed = self.outbox.push(frame, size, weight, now);
        match pushed {
            Pushed::NotReading => self.end(CloseReason::NotReading),
            Pushed::Abandoned => self.end(CloseReason::Left),
            Pushed::Done | Pushed::Behind => {}
        }
        pushed
    }

    /// Tells the session to end. It tells this fan-out when it has.
    fn end(&mut self, reason: CloseReason) {
        self.ending = true;
        self.session.do_send(End { reason, retry_after: None });
    }
}
