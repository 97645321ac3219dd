//! Somebody at the far end of the transport, as the cases play it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::command::{
    After, Command, History, HistoryQuery, Joined, MemberPage, MemberQuery, Reply, RoomCommand,
    Sent,
};
use crate::error::{Code, Result};
use crate::event::{CloseReason, Event};
use crate::ids::RoomId;
use crate::model::{Draft, Message, Presence, User};
use crate::testkit::report::Stop;
use crate::testkit::transport_suite::stage::{Outcome, fail, given};
use crate::testkit::transport_suite::witness::Witness;
use crate::testkit::{Heard, Peer};

/// A connected user.
pub(super) struct Guest {
    pub(super) user: User,
    peer: Box<dyn Peer>,
    witness: Witness,
    /// What was heard while something else was waited for.
    events: VecDeque<Arc<Event>>,
    replies: VecDeque<(u64, Result<Reply>)>,
    /// The last tag that was given.
    tag: u64,
    patience: Duration,
}

impl Guest {
    pub(super) fn new(user: User, peer: Box<dyn Peer>, patience: Duration) -> Self {
        let witness = Witness::new(user.id);
        let (events, replies) = (VecDeque::new(), VecDeque::new());
        Self { user, peer, witness, events, replies, tag: 0, patience }
    }

    /// Sends a command, and gives its tag.
    pub(super) async fn submit(&mut self, command: Command) -> u64 {
        self.tag += 1;
        self.witness.asks(self.tag, &command);
        self.peer.submit(self.tag, command).await;
        self.tag
    }

    /// As [`submit`](Self::submit), of a room.
    pub(super) async fn submit_to(&mut self, room: RoomId, command: RoomCommand) -> u64 {
        self.submit(Command::Room(room, command)).await
    }

    /// Sends a message, without waiting for the answer.
    pub(super) async fn submit_text(&mut self, room: RoomId, text: &str) -> Outcome<u64> {
        let draft = given(Draft::text(text))?;
        Ok(self.submit_to(room, RoomCommand::Send(draft)).await)
    }

    /// How many commands have no answer yet.
    pub(super) fn open(&self) -> usize {
        self.witness.open()
    }

    /// The next thing to be heard that was not heard before. The case fails if nothing comes, or
    /// something that must not.
    pub(super) async fn hear(&mut self, what: &str) -> Outcome<Heard> {
        let name = self.user.name.clone();
        let Ok(heard) = timeout(self.patience, self.peer.hear()).await else {
            return fail(format!("{name} expected {what}; nothing comes"));
        };
        match self.witness.hears(&heard) {
            Ok(()) => Ok(heard),
            Err(objection) => fail(format!("{name} {objection}")),
        }
    }

    /// As [`hear`](Self::hear), and keeps it.
    async fn keep(&mut self, what: &str) -> Outcome {
        match self.hear(what).await? {
            Heard::Event(event) => self.events.push_back(event),
            Heard::Reply { tag, result } => self.replies.push_back((tag, result)),
            Heard::Closed(reason) => {
                let name = &self.user.name;
                return fail(format!("{name} expected {what}; closed with {reason:?}"));
            }
        }
        Ok(())
    }

    /// The next reply, whichever it is; events are kept.
    pub(super) async fn reply(&mut self) -> Outcome<(u64, Result<Reply>)> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(reply);
            }
            self.keep("a reply").await?;
        }
    }

    /// Every command has been answered, and succeeded, when this returns: the replies as they came.
    pub(super) async fn answered(&mut self) -> Outcome<Vec<(u64, Reply)>> {
        let mut order = Vec::new();
        while self.witness.open() > 0 || !self.replies.is_empty() {
            let (tag, result) = self.reply().await?;
            match result {
                Ok(reply) => order.push((tag, reply)),
                Err(error) => {
                    let name = &self.user.name;
                    return fail(format!("{name}'s command {tag} was answered {error}"));
                }
            }
        }
        Ok(order)
    }

    /// The reply with this tag; everything else is kept.
    pub(super) async fn reply_to(&mut self, tag: u64) -> Outcome<Result<Reply>> {
        loop {
            if let Some(index) = self.replies.iter().position(|(of, _)| *of == tag)
                && let Some((_, result)) = self.replies.remove(index)
            {
                return Ok(result);
            }
            self.keep(&format!("the reply to command {tag}")).await?;
        }
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn ask(&mut self, command: Command) -> Outcome<Result<Reply>> {
        let tag = self.submit(command).await;
        self.reply_to(tag).await
    }

    /// As [`ask`](Self::ask), for what must succeed.
    pub(super) async fn ok(&mut self, command: Command) -> Outcome<Reply> {
        let words = format!("{command:?}");
        let name = self.user.name.clone();
        let result = self.ask(command).await?;
        result.map_err(|error| Stop::Failed(format!("{name}'s {words} was answered {error}")))
    }

    /// As [`ask`](Self::ask), for what must be refused.
    pub(super) async fn refused(&mut self, command: Command) -> Outcome<Code> {
        let words = format!("{command:?}");
        match self.ask(command).await? {
            Err(error) => Ok(error.code()),
            Ok(reply) => {
                fail(format!("expected an error to {}'s {words}, got {reply:?}", self.user.name))
            }
        }
    }

    pub(super) async fn join(&mut self, room: RoomId, after: After) -> Outcome<Joined> {
        given(self.ok(Command::Room(room, RoomCommand::join(after))).await?.joined())
    }

    pub(super) async fn send(&mut self, room: RoomId, text: &str) -> Outcome<Sent> {
        let send = RoomCommand::Send(given(Draft::text(text))?);
        given(self.ok(Command::Room(room, send)).await?.sent())
    }

    pub(super) async fn history(&mut self, room: RoomId, query: HistoryQuery) -> Outcome<History> {
        given(self.ok(Command::Room(room, RoomCommand::History(query))).await?.history())
    }

    pub(super) async fn members(&mut self, room: RoomId) -> Outcome<MemberPage> {
        let query = MemberQuery { after: None, limit: 200, online: false };
        given(self.ok(Command::Room(room, RoomCommand::Members(query))).await?.members())
    }

    /// Everything that the engine has said to this connection by now has been heard when this
    /// returns, events are kept: the engine's own answer comes behind it.
    pub(super) async fn settle(&mut self, room: RoomId) -> Outcome {
        let query = MemberQuery { after: None, limit: 0, online: false };
        self.ask(Command::Room(room, RoomCommand::Members(query))).await.map(drop)
    }

    /// The next event.
    pub(super) async fn event(&mut self, what: &str) -> Outcome<Arc<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.keep(what).await?;
        }
    }

    /// Events that were heard while something else was waited for.
    pub(super) fn kept(&mut self) -> Vec<Arc<Event>> {
        self.events.drain(..).collect()
    }

    /// The next event in which something is found; others are passed over.
    pub(super) async fn find<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&Event) -> Option<T>,
    ) -> Outcome<T> {
        loop {
            if let Some(found) = find(&*self.event(what).await?) {
                return Ok(found);
            }
        }
    }

    /// The next message; other events are passed over.
    pub(super) async fn message(&mut self) -> Outcome<Arc<Message>> {
        self.find("a message", |event| match event {
            Event::Message { message, .. } => Some(Arc::clone(message)),
            _ => None,
        })
        .await
    }

    /// The texts of the messages up to this `seq`, the first of which is yet to be heard.
    pub(super) async fn texts_until(&mut self, seq: u64) -> Outcome<Vec<String>> {
        let mut texts = Vec::new();
        loop {
            let message = self.message().await?;
            texts.push(message.text().to_owned());
            if message.seq >= seq {
                return Ok(texts);
            }
        }
    }

    /// How somebody is seen next: the state, on how many devices, and how many members are online.
    pub(super) async fn sees(&mut self, who: &User) -> Outcome<(Presence, usize, usize)> {
        let what = format!("how {} is seen", who.name);
        self.find(&what, |event| match event {
            Event::Presence { user, presence, devices, online, .. } if user == who => {
                Some((*presence, *devices, *online))
            }
            _ => None,
        })
        .await
    }

    /// Waits for the end of the connection, whatever comes before it, which is kept.
    pub(super) async fn closed(&mut self) -> Outcome<Option<CloseReason>> {
        loop {
            match self.hear("the end of the connection").await? {
                Heard::Event(event) => self.events.push_back(event),
                Heard::Reply { tag, result } => self.replies.push_back((tag, result)),
                Heard::Closed(reason) => return Ok(reason),
            }
        }
    }

    /// After the end nothing comes.
    pub(super) fn is_over(&mut self) -> Outcome {
        match self.peer.hear().now_or_never() {
            None | Some(Heard::Closed(_)) => Ok(()),
            Some(heard) => fail(format!("{} heard {heard:?} after Closed", self.user.name)),
        }
    }
}
