//! The in-process fan-out: one actor per engine thread and wire format, which encodes each event
//! once and puts it into the outboxes of its connections. A program that embeds the engine reads
//! events as they are; a transport that brings a [`Wire`] reads them as its frames.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, WrapFuture};
use actix_rt::ArbiterHandle;

use crate::capacity::{shrink_map, shrink_vec};
use crate::clock::Clock;
use crate::command::{Joined, Reply};
use crate::deliver::{AdmitAs, Deliver, End, Fanout, Parcel};
use crate::error::{Error, Result};
use crate::event::{CloseReason, Event};
use crate::ids::{ConnectionId, RoomId};
use crate::model::{Change, ChangeKind, MemberView, Message};
use crate::outbox::{Outbox, Pusher};
use crate::queue::{Pushed, Stuck, Weight};

/// How events and replies look to a reader.
pub trait Wire: Clone + Send + Unpin + 'static {
    /// One of them. Cloned for every reader, so a clone should cost no more than a counter.
    type Frame: Clone + Send + 'static;

    /// An event; called once for all readers of a fan-out.
    fn event(&self, event: &Arc<Event>) -> Self::Frame;

    /// The reply to the command that was submitted with this tag; `None` if this wire has no
    /// replies.
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
        let message = |message: &Arc<Message>| size_of::<Message>() + message.text().len();
        let change = |change: &Arc<Change>| size_of::<Change>() + said(&change.kind);
        let more = match &**event {
            Event::Message { message, .. } | Event::Mentioned { message, .. } => {
                message.text().len()
            }
            Event::Change { change, .. } => said(&change.kind),
            Event::Resumed { result: Ok(joined), .. } => {
                let Joined { messages, changes, first, .. } = &**joined;
                messages.iter().map(message).sum::<usize>()
                    + changes.iter().map(change).sum::<usize>()
                    + first.len() * size_of::<MemberView>()
            }
            Event::Summary { some, .. } => size_of_val(&**some),
            Event::Receipts { of, .. } => size_of_val(&**of),
            _ => 0,
        };
        size_of::<Event>() + more
    }
}

/// How many bytes it takes to say what a change is, beside the change itself.
fn said(kind: &ChangeKind) -> usize {
    match kind {
        ChangeKind::Edited(_, _, Some(edit)) => edit.text.len(),
        ChangeKind::Marked(_, _, marks) => size_of_val(&**marks),
        _ => 0,
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
            connections: HashMap::new(),
            rooms: HashMap::new(),
        });
        Self { fanout: Fanout::new(address.clone().recipient(), most), address }
    }

    /// Adds a connection, before its session can say anything.
    pub(crate) fn attach(
        &self,
        connection: ConnectionId,
        outbox: Outbox<W::Frame>,
        session: WeakRecipient<End>,
    ) {
        self.address.do_send(Attach { connection, outbox, session });
    }
}

struct FanoutActor<W: Wire> {
    wire: W,
    clock: Arc<dyn Clock>,
    connections: HashMap<ConnectionId, Connection<W::Frame>>,
    /// Who hears which room.
    rooms: HashMap<RoomId, Vec<Listener<W::Frame>>>,
}

/// A connection as a room sees it: all that an event needs on its way into the outbox.
struct Listener<F> {
    connection: ConnectionId,
    pusher: Pusher<F>,
}

/// A room that a connection hears, and where it stands among the room's listeners.
struct Heard {
    room: RoomId,
    index: usize,
}

struct Connection<F> {
    outbox: Outbox<F>,
    /// In the order of ids.
    rooms: Vec<Heard>,
    /// Weak: a session ends when its owner lets go, and tells this fan-out then.
    session: WeakRecipient<End>,
    /// It has fallen behind, and is looked at until it has caught up.
    watched: bool,
    /// Its session has been told to end.
    ending: bool,
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Attach<F> {
    connection: ConnectionId,
    outbox: Outbox<F>,
    session: WeakRecipient<End>,
}

impl<W: Wire> Actor for FanoutActor<W> {
    type Context = Context<Self>;
}

impl<W: Wire> Handler<Attach<W::Frame>> for FanoutActor<W> {
    type Result = ();

    fn handle(&mut self, attach: Attach<W::Frame>, _: &mut Self::Context) {
        let Attach { connection, outbox, session } = attach;
        self.attach(connection, outbox, session);
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
    fn attach(
        &mut self,
        connection: ConnectionId,
        outbox: Outbox<W::Frame>,
        session: WeakRecipient<End>,
    ) {
        let rooms = Vec::new();
        let entry = Connection { outbox, rooms, session, watched: false, ending: false };
        self.connections.insert(connection, entry);
    }

    fn handle_parcel(&mut self, parcel: Parcel, now: Duration, ctx: &mut Context<Self>) {
        match parcel {
            Parcel::Room { room, event } => self.tell_room(room, &event, now, ctx),
            Parcel::One { connection, hears, event } => {
                if hears.is_none_or(|room| self.hears(connection, room)) {
                    let weight = Weight::of_own(&event);
                    let frame = self.wire.event(&Arc::new(event));
                    let size = self.wire.size(&frame);
                    if let Some(connection) = self.connections.get_mut(&connection) {
                        connection.push(frame, size, weight, now);
                    }
                }
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
        let weight = Weight::of(event);
        let mut behind = Vec::new();
        for Listener { connection, pusher } in listeners {
            match pusher.push(frame.clone(), size, weight, now) {
                Pushed::Done => {}
                Pushed::Behind => behind.push(*connection),
                lost @ (Pushed::NotReading | Pushed::Abandoned) => {
                    if let Some(connection) = self.connections.get_mut(connection) {
                        connection.lose(lost);
                    }
                }
            }
        }
        if let Some(after) = event.cursor_before().filter(|_| !behind.is_empty()) {
            self.tell_behind(room, &behind, Event::Behind { room, after }, now);
            for connection in behind {
                self.watch(connection, ctx);
            }
        }
    }

    /// Tells these connections that they are behind. They hear no more of the room until they enter
    /// it again, which they do with the cursor that they are told here.
    fn tell_behind(
        &mut self,
        room: RoomId,
        connections: &[ConnectionId],
        event: Event,
        now: Duration,
    ) {
        let frame = self.wire.event(&Arc::new(event));
        let size = self.wire.size(&frame);
        for &id in connections {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.push(frame.clone(), size, Weight::Urgent, now);
            }
            self.exit(id, room);
        }
    }

    /// Looks from time to time whether a reader that has fallen behind takes anything, because
    /// nothing more is queued for it that would show it.
    fn watch(&mut self, id: ConnectionId, ctx: &mut Context<Self>) {
        let now = self.clock.elapsed();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.watched {
            return;
        }
        match connection.outbox.look(now) {
            Err(Stuck) => connection.end(CloseReason::NotReading),
            Ok(None) => {}
            Ok(Some(again)) => {
                connection.watched = true;
                let again = self.clock.sleep(again).into_actor(self);
                ctx.spawn(again.map(move |(), fanout, ctx| fanout.watch_again(id, ctx)));
            }
        }
    }

    fn watch_again(&mut self, id: ConnectionId, ctx: &mut Context<Self>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.watched = false;
            self.watch(id, ctx);
        }
    }

    fn push_one(&mut self, connection: ConnectionId, frame: W::Frame, now: Duration) {
        let size = self.wire.size(&frame);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.push(frame, size, Weight::Urgent, now);
        }
    }

    /// Queues a reply, or a short `busy` in place of one that finds the outbox full, so that
    /// somebody who asks for page after page and reads none costs no more than its outbox. A reply that
    /// is no longer than that goes itself. Answers whether the reply itself was queued.
    fn push_reply(
        &mut self,
        id: ConnectionId,
        tag: u64,
        result: &Result<Reply>,
        now: Duration,
    ) -> bool {
        let Some(frame) = self.wire.reply(tag, result) else { return true };
        if self.push_if_room(id, frame.clone(), now) {
            return true;
        }
        let Some(busy) = self.wire.reply(tag, &Err(Error::busy())) else { return false };
        let short = self.wire.size(&frame) <= self.wire.size(&busy);
        self.push_one(id, if short { frame } else { busy }, now);
        short
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
            Some(AdmitAs::Resumed { joined, turn }) => {
                let event = Event::Resumed { room, result: Ok(joined) };
                let frame = self.wire.event(&Arc::new(event));
                let size = self.wire.size(&frame);
                let Some(connection) = self.connections.get_mut(&id) else { return false };
                let (pushed, busy) = connection.outbox.push_in_turn(frame, size, turn, now);
                connection.lose(pushed);
                if busy {
                    let busy = Event::Resumed { room, result: Err(Error::busy()) };
                    let busy = self.wire.event(&Arc::new(busy));
                    self.push_one(id, busy, now);
                }
                pushed == Pushed::Done
            }
        }
    }

    fn push_if_room(&mut self, id: ConnectionId, frame: W::Frame, now: Duration) -> bool {
        let size = self.wire.size(&frame);
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        connection.push(frame, size, Weight::Answer, now) == Pushed::Done
    }

    fn hears(&self, id: ConnectionId, room: RoomId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.place(room).is_ok())
    }

    fn enter(&mut self, id: ConnectionId, room: RoomId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Err(place) = connection.place(room) else { return };
        let listeners = self.rooms.entry(room).or_default();
        // Most hear one room only.
        if connection.rooms.is_empty() {
            connection.rooms.reserve_exact(1);
        }
        connection.rooms.insert(place, Heard { room, index: listeners.len() });
        listeners.push(Listener { connection: id, pusher: connection.outbox.pusher() });
    }

    fn exit(&mut self, id: ConnectionId, room: RoomId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Ok(place) = connection.place(room) else { return };
        let Heard { index, .. } = connection.rooms.remove(place);
        shrink_vec(&mut connection.rooms);
        self.unlist(room, index);
    }

    fn end(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(connection) = self.connections.remove(&id) else { return };
        shrink_map(&mut self.connections);
        for Heard { room, index } in connection.rooms {
            self.unlist(room, index);
        }
        connection.outbox.close(reason);
    }

    /// Takes a listener off a room. The last one takes its place.
    fn unlist(&mut self, room: RoomId, index: usize) {
        let Some(listeners) = self.rooms.get_mut(&room) else { return };
        listeners.swap_remove(index);
        if let Some(moved) = listeners.get(index)
            && let Some(connection) = self.connections.get_mut(&moved.connection)
            && let Ok(place) = connection.place(room)
        {
            connection.rooms[place].index = index;
        }
        shrink_vec(listeners);
        if listeners.is_empty() {
            self.rooms.remove(&room);
            shrink_map(&mut self.rooms);
        }
    }
}

impl<F> Connection<F> {
    fn push(&mut self, frame: F, size: usize, weight: Weight, now: Duration) -> Pushed {
        let pushed = self.outbox.push(frame, size, weight, now);
        self.lose(pushed);
        pushed
    }

    /// Ends the session of a reader that turns out to be lost.
    fn lose(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::NotReading => self.end(CloseReason::NotReading),
            Pushed::Abandoned => self.end(CloseReason::Left),
            Pushed::Done | Pushed::Behind => {}
        }
    }

    /// Tells the session to end, once. It tells this fan-out when it has.
    fn end(&mut self, reason: CloseReason) {
        if !std::mem::replace(&mut self.ending, true)
            && let Some(session) = self.session.upgrade()
        {
            session.do_send(End { reason, retry_after: None });
        }
    }

    /// Where a room is among those that the connection hears, or where it belongs.
    fn place(&self, room: RoomId) -> std::result::Result<usize, usize> {
        self.rooms.binary_search_by_key(&room, |heard| heard.room)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::clock::SystemClock;
    use crate::deliver::{RoomAnswered, Turn};
    use crate::lag::Patience;
    use crate::model::Cursor;
    use crate::outbox::{Inbox, outbox};
    use crate::queue::Budget;

    struct Sink;

    impl Actor for Sink {
        type Context = Context<Self>;
    }

    impl Handler<End> for Sink {
        type Result = ();

        fn handle(&mut self, _: End, _: &mut Self::Context) {}
    }

    impl Handler<RoomAnswered> for Sink {
        type Result = ();

        fn handle(&mut self, _: RoomAnswered, _: &mut Self::Context) {}
    }

    const PATIENCE: Patience = Patience { bytes: 1_000, close_after: None };

    /// A fan-out that is not running, with its connections' inboxes.
    struct Scene {
        fanout: FanoutActor<InProcess>,
        inboxes: HashMap<ConnectionId, Inbox<Arc<Event>>>,
        session: WeakRecipient<End>,
    }

    impl Scene {
        fn new() -> Self {
            let fanout = FanoutActor {
                wire: InProcess,
                clock: Arc::<SystemClock>::default(),
                connections: HashMap::new(),
                rooms: HashMap::new(),
            };
            let session = Sink.start().downgrade().recipient();
            Self { fanout, inboxes: HashMap::new(), session }
        }

        fn connect(&mut self) -> ConnectionId {
            let budget = Arc::new(Budget::new(0));
            let (id, (outbox, inbox)) =
                (ConnectionId::new(), outbox(PATIENCE, &budget, Duration::ZERO));
            self.fanout.attach(id, outbox, self.session.clone());
            self.inboxes.insert(id, inbox);
            id
        }

        /// Who hears the room.
        fn hear(&mut self, room: RoomId) -> Vec<ConnectionId> {
            let event = Arc::new(Event::Closed { room });
            self.fanout.tell_room(room, &event, Duration::ZERO, &mut Context::new());
            let heard = |inbox: &mut Inbox<_>| inbox.next().now_or_never().flatten().is_some();
            let heard =
                self.inboxes.iter_mut().filter_map(|(id, inbox)| heard(inbox).then_some(*id));
            let mut heard: Vec<_> = heard.collect();
            heard.sort();
            heard
        }
    }

    #[test]
    fn a_room_is_heard_by_those_who_have_entered_it_and_not_left() {
        actix_rt::System::new().block_on(async {
            let mut scene = Scene::new();
            let rooms: Vec<_> = (0..3).map(|_| RoomId::new()).collect();
            let ids: Vec<_> = (0..6).map(|_| scene.connect()).collect();
            for &id in &ids {
                for &room in rooms.iter().rev() {
                    scene.fanout.enter(id, room);
                    scene.fanout.enter(id, room);
                }
            }
            scene.fanout.exit(ids[0], rooms[1]);
            scene.fanout.exit(ids[0], rooms[1]);
            scene.fanout.exit(ids[5], rooms[1]);
            scene.fanout.exit(ids[3], rooms[1]);
            scene.fanout.end(ids[2], CloseReason::Left);
            scene.fanout.enter(ids[3], rooms[1]);
            assert_eq!(scene.hear(rooms[0]), [ids[0], ids[1], ids[3], ids[4], ids[5]]);
            assert_eq!(scene.hear(rooms[1]), [ids[1], ids[3], ids[4]]);
            assert_eq!(scene.hear(rooms[2]), [ids[0], ids[1], ids[3], ids[4], ids[5]]);
        });
    }

    #[test]
    fn connections_that_have_gone_leave_no_memory_behind() {
        actix_rt::System::new().block_on(async {
            let mut scene = Scene::new();
            let lobby = RoomId::new();
            let ids: Vec<_> = (0..1_000).map(|_| scene.connect()).collect();
            for &id in &ids {
                scene.fanout.enter(id, lobby);
                scene.fanout.enter(id, RoomId::new());
            }
            for &id in &ids[1..] {
                scene.fanout.end(id, CloseReason::Left);
            }
            let FanoutActor { connections, rooms, .. } = &scene.fanout;
            assert_eq!((connections.len(), rooms.len(), rooms[&lobby].len()), (1, 2, 1));
            assert!(connections.capacity() < 100);
            assert!(rooms.capacity() < 100);
            assert!(rooms[&lobby].capacity() < 100);
        });
    }

    #[test]
    fn nobody_is_told_busy_because_it_has_just_read() {
        let session = actix_rt::System::new().block_on(async { Sink.start().recipient() });
        let budget = Arc::new(Budget::new(1 << 20));
        let (outbox, mut inbox) = outbox(PATIENCE, &budget, Duration::ZERO);
        let written = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Takes as fast as it can, so that what waits changes at any moment.
            scope.spawn(|| {
                while !written.load(Ordering::Relaxed) {
                    inbox.next().now_or_never();
                }
            });
            let (mut refused, mut told_busy) = (0, 0);
            while refused < 20_000 {
                let turn = Turn::new(session.clone(), 1, (RoomId::new(), Cursor::default()), true);
                let (pushed, busy) = outbox.push_in_turn((), 600, turn, Duration::ZERO);
                refused += usize::from(pushed == Pushed::Behind);
                told_busy += usize::from(busy);
            }
            written.store(true, Ordering::Relaxed);
            assert_eq!(told_busy, 0);
        });
    }
}
