//! The port between the engine and whatever carries frames to people. A transport registers a
//! [`Fanout`] for each of its threads; a room sends each fan-out one [`Deliver`] for all its
//! connections there, never one per member. Replies take the same way, so that they stand in order
//! among the events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::{Message, Recipient};
use tokio::sync::oneshot;

use crate::command::{Joined, Reply};
use crate::error::{Code, Error, Result};
use crate::event::{CloseReason, Event};
use crate::ids::{ConnectionId, RoomId, UserId};
use crate::model::{ClientKey, Cursor, Fingerprint, User};

/// What a fan-out is to do, in order. A fan-out is an actor that handles this message.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// When it was sent, by the engine's [`Clock::elapsed`](crate::Clock::elapsed).
    pub at: Duration,
    /// The room that says it; `None` if a session does. What one room says keeps its order. What
    /// different rooms say need not, but what a session says to its connection follows what rooms
    /// have said to that connection alone.
    pub room: Option<RoomId>,
    /// What to do.
    pub parcels: Vec<Parcel>,
    /// Counted until it is dropped, because an actor's mailbox does not bound what is sent to it. A
    /// fan-out that does what it is told later on keeps it until then.
    pub under_way: UnderWay,
}

/// One thing for a fan-out to do.
pub enum Parcel {
    /// Tell an event to every connection that hears the room.
    Room {
        /// Which room.
        room: RoomId,
        /// What happened.
        event: Arc<Event>,
    },
    /// Tell an event to one connection.
    One {
        /// Which connection.
        connection: ConnectionId,
        /// Only if the connection hears this room.
        hears: Option<RoomId>,
        /// What happened.
        event: Event,
    },
    /// Answer a connection's command.
    Reply {
        /// Which connection.
        connection: ConnectionId,
        /// What the transport called the command when it submitted it.
        tag: u64,
        /// The answer.
        result: Result<Reply>,
        /// Says, by being dropped, that the command is no longer under way.
        permit: Permit,
    },
    /// Answer a connection that joins a room or comes back to it; it hears the room from here on.
    /// If the answer finds no place, the connection is told `busy` in its stead and does not begin
    /// to hear the room, so that there is no gap between the two.
    Admit {
        /// Which connection.
        connection: ConnectionId,
        /// Which room.
        room: RoomId,
        /// How to answer; `None` if somebody else has been answered.
        answer: Option<AdmitAs>,
    },
    /// From here on the connection does not hear the room.
    Exit {
        /// Which connection.
        connection: ConnectionId,
        /// Which room.
        room: RoomId,
    },
    /// The connection's session has ended: give it what waits, then close it.
    End {
        /// Which connection.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// How a connection is answered that begins to hear a room.
pub enum AdmitAs {
    /// By a reply to its command.
    Reply {
        /// What the transport called the command when it submitted it.
        tag: u64,
        /// What the room has for it.
        joined: Box<Joined>,
        /// Says, by being dropped, that the command is no longer under way.
        permit: Permit,
    },
    /// By an [`Event::Resumed`].
    Resumed {
        /// What the room has for it.
        joined: Box<Joined>,
        /// To be kept while much waits for the connection.
        turn: Turn,
    },
}

/// The turn of one of the rooms that a session comes back to. When it is dropped, the next room is
/// asked: a fan-out keeps it as long as much waits for the connection, so that all that a session has
/// missed never waits there at once. [`Queue::keep`](crate::Queue::keep) does. A fan-out without one
/// says [`taken`](Self::taken) or [`again`](Self::again); of an answer of which neither is said, it
/// has told the connection `busy`.
pub struct Turn(Box<TurnOf>);

struct TurnOf {
    session: Recipient<RoomAnswered>,
    answered: RoomAnswered,
    patient: bool,
}

impl Turn {
    /// The turn of this room, which is asked for this command; `patient` unless whoever has asked may
    /// read nothing before it has the reply.
    pub(crate) fn new(
        session: Recipient<RoomAnswered>,
        batch: u64,
        (room, after): (RoomId, Cursor),
        patient: bool,
    ) -> Self {
        let answered = RoomAnswered { batch, room, after, how: Answered::NotHeard };
        Self(Box::new(TurnOf { session, answered, patient }))
    }

    /// Whose turn it is.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.0.answered.room
    }

    /// Whether it may be kept, and the room be asked again. If not, a connection for which there is no
    /// place is told `busy` as by any reply.
    #[must_use]
    pub fn is_patient(&self) -> bool {
        self.0.patient
    }

    /// The room's answer goes to the connection.
    pub fn taken(&mut self) {
        self.0.answered.how = Answered::Heard;
    }

    /// The room's answer has found no place, and the connection has not been told so: the room is asked
    /// again.
    pub fn again(&mut self) {
        self.0.answered.how = Answered::Again;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.session.do_send(self.0.answered);
    }
}

/// A fan-out as the engine sees it. Cheap to clone.
#[derive(Clone)]
pub struct Fanout {
    inner: Arc<FanoutInner>,
}

struct FanoutInner {
    recipient: Recipient<Deliver>,
    under_way: Arc<AtomicUsize>,
    most: usize,
    thread: Option<usize>,
}

/// Counts a delivery against its fan-out's budget until it is dropped.
pub struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fanout {
    /// A fan-out at this address; with more than `most` deliveries under way to it, senders are
    /// answered `busy`.
    #[must_use]
    pub fn new(recipient: Recipient<Deliver>, most: usize) -> Self {
        let under_way = Arc::new(AtomicUsize::new(0));
        Self { inner: Arc::new(FanoutInner { recipient, under_way, most, thread: None }) }
    }

    /// As [`new`](Self::new), for a fan-out that runs on this one of the engine's threads
    /// ([`Engine::on_each_thread`](crate::Engine::on_each_thread)). The sessions of its connections
    /// do too.
    #[must_use]
    pub fn on_thread(recipient: Recipient<Deliver>, most: usize, thread: usize) -> Self {
        let under_way = Arc::new(AtomicUsize::new(0));
        let thread = Some(thread);
        Self { inner: Arc::new(FanoutInner { recipient, under_way, most, thread }) }
    }

    pub(crate) fn thread(&self) -> Option<usize> {
        self.inner.thread
    }

    fn is_full(&self) -> bool {
        self.inner.under_way.load(Ordering::Relaxed) >= self.inner.most
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn deliver(&self, at: Duration, room: Option<RoomId>, parcels: Vec<Parcel>) {
        self.inner.under_way.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay(Arc::clone(&self.inner.under_way));
        self.inner.recipient.do_send(Deliver { at, room, parcels, under_way });
    }
}

/// The way to one connection.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) connection: ConnectionId,
    pub(crate) fanout: Fanout,
}

/// Where the answer to a command goes.
pub(crate) enum ReplyTo {
    /// To a caller in this process, who waits for it; the permit, if it is a session's, is given
    /// back by dropping.
    Caller(oneshot::Sender<Result<Reply>>, Option<Permit>),
    /// To a connection, under the tag that its transport gave; `permit` is given back by dropping.
    Tag { line: Line, tag: u64, permit: Permit },
    /// To a connection as an event. Its session, which counts the rooms that it resumes, is told when
    /// the turn ends.
    Resume { line: Line, turn: Turn },
    /// To whoever asked first for something that is to be done once; the room answers likewise all who
    /// have asked for the same since.
    Once { key: Box<OnceKey>, first: Box<ReplyTo> },
}

/// What names a write that is to take effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnceKey {
    pub(crate) user: UserId,
    pub(crate) key: ClientKey,
    pub(crate) fingerprint: Fingerprint,
}

impl OnceKey {
    /// Whether it is this key of this user's.
    pub(crate) fn is(&self, user: UserId, key: &ClientKey) -> bool {
        self.user == user && self.key == *key
    }
}

impl ReplyTo {
    /// What names the write that is answered, if something does.
    pub(crate) fn key(&self) -> Option<&OnceKey> {
        match self {
            Self::Once { key, .. } => Some(key),
            _ => None,
        }
    }

    /// To nobody.
    pub(crate) fn nobody() -> Self {
        Self::Caller(oneshot::channel().0, None)
    }
}

/// Told to a session: one of the rooms of a `resume` has answered, and it is another one's turn.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RoomAnswered {
    pub(crate) batch: u64,
    pub(crate) room: RoomId,
    pub(crate) after: Cursor,
    pub(crate) how: Answered,
}

/// What has become of a room's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The connection hears the room.
    Heard,
    /// It does not, and has been told why, or is no more.
    NotHeard,
    /// It does not, and is to be told when it has read what waits for it.
    Again,
}

/// Told to a session by the engine, or by its owner.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) enum Order {
    /// It is to end.
    End(End),
    /// Its user is called otherwise from now on.
    Rename(User),
    /// In which rooms is it, or has it asked to be?
    Rooms(oneshot::Sender<Vec<RoomId>>),
}

/// Told to a session: leave all rooms and end. Its owner says it, a fan-out whose reader has gone,
/// and the engine when it stops.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct End {
    pub(crate) reason: CloseReason,
    pub(crate) retry_after: Option<Duration>,
}

/// One of the commands that a session may have under way; dropping it makes room for another.
pub struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// Takes one of `most`, if one is left.
    pub(crate) fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let permit = Self(Arc::clone(taken));
        // Counted before it is compared, so that two callers never both get the last one; a permit
        // that is not handed out gives itself back.
        (taken.fetch_add(1, Ordering::Relaxed) < most).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReplyTo {
    /// Answers at once. A room answers through its [`Audience`] instead, to keep the order.
    pub(crate) fn answer(self, at: Duration, result: Result<Reply>) {
        match self {
            Self::Caller(caller, permit) => {
                // First, so that whoever has its answer may ask again.
                drop(permit);
                // A caller that no longer waits has dropped its end.
                caller.send(result).ok();
            }
            Self::Tag { line, tag, permit } => {
                let connection = line.connection;
                line.fanout.deliver(
                    at,
                    None,
                    vec![Parcel::Reply { connection, tag, result, permit }],
                );
            }
            Self::Resume { line, turn } => {
                // A room answers a resume that succeeds through [`Audience::admit`].
                let other = Error::new(Code::Internal, "the room gave another command's answer");
                let (room, result) = (turn.room(), result.and(Err(other)));
                let connection = line.connection;
                let event = Event::Resumed { room, result };
                let parcel = Parcel::One { connection, hears: None, event };
                line.fanout.deliver(at, Some(room), vec![parcel]);
                // Ends behind the delivery, so that the session's own answer comes behind it too.
                drop(turn);
            }
            Self::Once { first, .. } => first.answer(at, result),
        }
    }
}

/// The fan-outs that a room's sessions hang on, each with what is to be sent to it next; and the answers of those
/// who hang on none. All wait for [`flush`](Self::flush), so that nobody hears of something before the room has done
/// all of it.
pub(crate) struct Audience {
    room: RoomId,
    stands: Vec<Stand>,
    answers: Vec<(ReplyTo, Result<Reply>)>,
}

struct Stand {
    fanout: Fanout,
    connections: usize,
    parcels: Vec<Parcel>,
}

impl Audience {
    /// Nobody, yet.
    pub(crate) fn new(room: RoomId) -> Self {
        Self { room, stands: Vec::new(), answers: Vec::new() }
    }

    fn stand(&mut self, fanout: &Fanout) -> &mut Stand {
        let found = self.stands.iter().position(|stand| stand.fanout.is(fanout));
        let index = found.unwrap_or_else(|| {
            let fanout = fanout.clone();
            self.stands.push(Stand { fanout, connections: 0, parcels: Vec::new() });
            self.stands.len() - 1
        });
        &mut self.stands[index]
    }

    /// Answers somebody who joins or comes back. If it has a connection, that hears the room from
    /// here on; `new` says that it was not counted before.
    pub(crate) fn admit(
        &mut self,
        line: Option<&Line>,
        new: bool,
        reply_to: ReplyTo,
        joined: Box<Joined>,
    ) {
        let Some(line) = line else {
            return self.answer(reply_to, Ok(Reply::Joined(joined)));
        };
        let answer = match reply_to {
            ReplyTo::Tag { tag, permit, .. } => Some(AdmitAs::Reply { tag, joined, permit }),
            ReplyTo::Resume { turn, .. } => Some(AdmitAs::Resumed { joined, turn }),
            other @ (ReplyTo::Caller(..) | ReplyTo::Once { .. }) => {
                self.answers.push((other, Ok(Reply::Joined(joined))));
                None
            }
        };
        let room = self.room;
        let stand = self.stand(&line.fanout);
        stand.connections += usize::from(new);
        stand.parcels.push(Parcel::Admit { connection: line.connection, room, answer });
    }

    /// From here on the connection, which was counted, does not hear the room.
    pub(crate) fn exit(&mut self, line: &Line) {
        let room = self.room;
        let stand = self.stand(&line.fanout);
        stand.connections -= 1;
        stand.parcels.push(Parcel::Exit { connection: line.connection, room });
    }

    /// Tells an event to everyone who hears the room.
    pub(crate) fn tell(&mut self, event: Event) {
        let (room, event) = (self.room, Arc::new(event));
        for stand in self.stands.iter_mut().filter(|stand| stand.connections > 0) {
            stand.parcels.push(Parcel::Room { room, event: Arc::clone(&event) });
        }
    }

    /// Tells a connection that it is behind: it hears no more of the room until it enters it again, but is counted.
    pub(crate) fn leave_behind(&mut self, line: &Line, after: Cursor) {
        let room = self.room;
        self.tell_one(line, Event::Behind { room, after });
        let parcel = Parcel::Exit { connection: line.connection, room };
        self.stand(&line.fanout).parcels.push(parcel);
    }

    /// Tells an event to one connection, if it hears the room.
    pub(crate) fn tell_one(&mut self, line: &Line, event: Event) {
        let hears = Some(self.room);
        let parcel = Parcel::One { connection: line.connection, hears, event };
        self.stand(&line.fanout).parcels.push(parcel);
    }

    /// Tells an event to one connection that need not hear the room.
    pub(crate) fn tell_elsewhere(&mut self, line: &Line, event: Event) {
        let parcel = Parcel::One { connection: line.connection, hears: None, event };
        self.stand(&line.fanout).parcels.push(parcel);
    }

    /// Answers a command: a connection in its place among the events, whoever else when all of them are on their way.
    pub(crate) fn answer(&mut self, reply_to: ReplyTo, result: Result<Reply>) {
        match reply_to {
            ReplyTo::Tag { line, tag, permit } => {
                let parcel = Parcel::Reply { connection: line.connection, tag, result, permit };
                self.stand(&line.fanout).parcels.push(parcel);
            }
            other => self.answers.push((other, result)),
        }
    }

    /// Sends everything, one [`Deliver`] per fan-out, then the answers of those who hang on none.
    pub(crate) fn flush(&mut self, at: Duration) {
        for stand in self.stands.iter_mut().filter(|stand| !stand.parcels.is_empty()) {
            stand.fanout.deliver(at, Some(self.room), std::mem::take(&mut stand.parcels));
        }
        self.stands.retain(|stand| stand.connections > 0);
        for (reply_to, result) in std::mem::take(&mut self.answers) {
            reply_to.answer(at, result);
        }
    }

    /// Whether some fan-out has more under way than it should.
    pub(crate) fn is_full(&self) -> bool {
        self.stands.iter().any(|stand| stand.fanout.is_full())
    }
}

#[cfg(test)]
mod tests {
    use actix::prelude::{Actor, Context, Handler};

    use super::*;

    struct Sink;

    impl Actor for Sink {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Sink {
        type Result = ();

        fn handle(&mut self, _: Deliver, _: &mut Self::Context) {}
    }

    #[test]
    fn a_fan_out_is_full_until_it_has_handled_what_is_under_way() {
        actix_rt::System::new().block_on(async {
            let fanout = Fanout::new(Sink.start().recipient(), 2);
            let line = Line { connection: ConnectionId::new(), fanout: fanout.clone() };
            let mut audience = Audience::new(RoomId::new());
            assert!(!audience.is_full());
            audience.stand(&line.fanout).connections = 1;
            for _ in 0..2 {
                fanout.deliver(Duration::ZERO, None, Vec::new());
            }
            assert!(audience.is_full(), "two are under way, and the fan-out has not run yet");
            while fanout.is_full() {
                tokio::task::yield_now().await;
            }
            assert!(!audience.is_full());
        });
    }
}
