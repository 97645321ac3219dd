//! A session as its owner holds it: submit commands, wait for answers, end.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::Addr;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::command::{
    After, BanPage, BanQuery, Command, History, HistoryQuery, Joined, MarkerPage, MarkerQuery,
    MemberPage, MemberQuery, ReaderPage, ReaderQuery, Reply, RoomCommand, Sent, Standing,
    ThreadPage, ThreadQuery,
};
use crate::deliver::{End, Line, Order, Permit, ReplyTo};
use crate::error::{Error, Result};
use crate::event::CloseReason;
use crate::ids::{GrantId, RoomId};
use crate::model::{
    Draft, Mark, Moderation, NewRoom, Presence, ReadPosition, Revision, RoomView, Text, User,
};
use crate::rate::{Budgets, Rated};
use crate::session::{Renew, Request, SessionActor, Sessions};

/// One connection of one user. Cheap to clone; the session ends when the last clone is dropped, and
/// with it the user's presence through it.
#[derive(Clone)]
pub struct Session {
    owner: Arc<Owner>,
}

struct Owner {
    sessions: Arc<Sessions>,
    user: User,
    line: Line,
    address: Addr<SessionActor>,
    /// How many commands are under way.
    commands: Arc<AtomicUsize>,
    /// How much its client may send; only transports ask.
    budgets: Mutex<Budgets>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.address.do_send(End { reason: CloseReason::Left, retry_after: None });
    }
}

impl Session {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        user: User,
        line: Line,
        address: Addr<SessionActor>,
    ) -> Self {
        let (commands, budgets) = Default::default();
        Self { owner: Arc::new(Owner { sessions, user, line, address, commands, budgets }) }
    }

    /// Whose session it is, under the name that it began with.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.owner.user
    }

    /// Takes a message of so many bytes out of what the session's client may send
    /// ([`Limits::commands_per_s`](crate::Limits::commands_per_s) and those beside it). A transport
    /// asks for each command, and for each ping, before it looks into it. Nobody else is asked to:
    /// what [`submit`](Self::submit) and [`ask`](Self::ask) carry is not counted, so that a program
    /// may do with its own sessions what it likes.
    pub fn admit(&self, bytes: usize) -> Rated {
        let shared = self.owner.sessions.shared();
        let now = shared.clock.elapsed();
        // Nothing that runs under the lock leaves the budgets half-changed.
        let mut budgets = self.owner.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.admit(bytes, now, &shared.limits)
    }

    /// Submits a command whose answer comes through the inbox, with this tag, in its place among
    /// the events: the way of transports. An inbox of [`Engine::connect`](crate::Engine::connect)
    /// carries no replies: use [`ask`](Self::ask) there.
    ///
    /// # Errors
    /// `busy` if [`Limits::session_commands`](crate::Limits::session_commands) are under way,
    /// `session_ended` once the session has ended, `stopping` once the engine has stopped.
    pub fn submit(&self, tag: u64, command: Command) -> Result<()> {
        let permit = self.permit()?;
        let line = self.owner.line.clone();
        self.request(command, ReplyTo::Tag { line, tag, permit });
        Ok(())
    }

    /// Carries out a command and waits for its answer.
    ///
    /// # Errors
    /// Whatever the command is refused with, `busy` as [`submit`](Self::submit), `session_ended`
    /// once the session has ended, and `stopping` once the engine has stopped.
    pub async fn ask(&self, command: Command) -> Result<Reply> {
        let permit = self.permit()?;
        let (caller, answer) = oneshot::channel();
        self.request(command, ReplyTo::Caller(caller, Some(permit)));
        // An answer that never comes belonged to an engine or a session that has ended.
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    fn ended(&self) -> Error {
        self.owner.sessions.shared().running().err().unwrap_or_else(Error::session_ended)
    }

    fn permit(&self) -> Result<Permit> {
        if !self.owner.address.connected() {
            return Err(self.ended());
        }
        let most = self.owner.sessions.shared().limits.session_commands;
        Permit::take(&self.owner.commands, most).ok_or_else(Error::busy)
    }

    fn request(&self, command: Command, reply: ReplyTo) {
        self.owner.address.do_send(Request { command, reply });
    }

    async fn ask_room(&self, room: RoomId, command: RoomCommand) -> Result<Reply> {
        self.ask(Command::Room(room, command)).await
    }

    /// Opens a room with the user as its owner, or as one of the two members of a direct room. Does
    /// not join it: [`join`](Self::join) is how this session begins to hear it.
    ///
    /// # Errors
    /// `bad_request` for a direct room with oneself, `unavailable`, `busy`, or what the policy
    /// says.
    pub async fn open(&self, room: NewRoom) -> Result<RoomView> {
        self.ask(Command::Open(room)).await?.room()
    }

    /// Joins a room, if the user is no member yet, and hears it from now on.
    ///
    /// # Errors
    /// `no_such_room`, also for a private room without an invitation or to a banned user; `banned`
    /// from an open room; `unavailable`, `busy`, or what the policy says.
    pub async fn join(&self, room: RoomId, after: After) -> Result<Joined> {
        self.ask_room(room, RoomCommand::join(after)).await?.joined()
    }

    /// Leaves a room for good.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `unavailable`, `busy`; `forbidden` of a direct room, and for
    /// the owner of a room that is not ephemeral and has other members: transfer it first.
    pub async fn leave(&self, room: RoomId) -> Result<()> {
        self.ask_room(room, RoomCommand::Leave).await.map(drop)
    }

    /// Invites a user, who may then join. Every session of that user is told
    /// [`Event::Invited`](crate::Event::Invited).
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `unavailable`, `busy`; `banned` if the guest is; `forbidden`
    /// of a direct room, and for members where only moderators invite.
    pub async fn invite(&self, room: RoomId, guest: User) -> Result<()> {
        self.ask_room(room, RoomCommand::Invite(guest)).await.map(drop)
    }

    /// Keeps order in a room: what its owner and moderators may do. Does nothing if it is so already.
    /// Everybody who hears the room is told, and whoever is kicked or banned hears no more after it.
    ///
    /// # Errors
    /// `forbidden` for members, for acts upon somebody whose role is not below one's own, and in
    /// direct rooms; `no_such_member`, `no_such_user`; `bad_request` for an end that has passed or a
    /// setting that is out of range; `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn moderate(&self, room: RoomId, act: Moderation) -> Result<()> {
        self.ask_room(room, RoomCommand::Moderate(act)).await.map(drop)
    }

    /// Reads a page of who is banned from a room.
    ///
    /// # Errors
    /// `forbidden` for members, `no_such_room`, `not_a_member`, `busy`.
    pub async fn bans(&self, room: RoomId, query: BanQuery) -> Result<BanPage> {
        self.ask_room(room, RoomCommand::Bans(query)).await?.bans()
    }

    /// Writes a message. Answers its `seq` and time once the store has committed it.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `muted`, `read_only`, `slow_mode`, `key_conflict`,
    /// `unavailable`, `busy`.
    pub async fn send(&self, room: RoomId, draft: Draft) -> Result<Sent> {
        self.ask_room(room, RoomCommand::Send(draft)).await?.sent()
    }

    /// Lets a message of the user's say something else from now on. What it said before stays with it,
    /// for its author and for the owner and moderators ([`revisions`](Self::revisions)).
    ///
    /// # Errors
    /// `no_such_message`, `message_deleted`, `forbidden` if it is somebody else's, `too_late` after
    /// [`Limits::edit_age`](crate::Limits::edit_age); `no_such_room`, `not_a_member`, `muted`,
    /// `read_only`, `unavailable`, `busy`.
    pub async fn edit(&self, room: RoomId, seq: u64, text: Text) -> Result<()> {
        self.ask_room(room, RoomCommand::edit(seq, text)).await.map(drop)
    }

    /// Deletes a message of the user's, or of somebody whose role is below its own. Its number and its
    /// author stay. Does nothing if it has been deleted.
    ///
    /// # Errors
    /// `no_such_message`, `forbidden`, `too_late` for one's own after
    /// [`Limits::edit_age`](crate::Limits::edit_age); `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn delete(&self, room: RoomId, seq: u64) -> Result<()> {
        self.ask_room(room, RoomCommand::Delete { seq }).await.map(drop)
    }

    /// Gives a message a mark, or takes one's own back. Does nothing if it is so already. What is marked
    /// within [`Limits::marks_every`](crate::Limits::marks_every) is told together.
    ///
    /// # Errors
    /// `no_such_message`, `message_deleted`, `too_many` beyond [`limits::MARKS`](crate::limits::MARKS) different marks
    /// of one message or [`limits::OWN_MARKS`](crate::limits::OWN_MARKS) of one user; `no_such_room`,
    /// `not_a_member`, `muted`, `unavailable`, `busy`.
    pub async fn mark(&self, room: RoomId, seq: u64, mark: Mark, on: bool) -> Result<()> {
        self.ask_room(room, RoomCommand::Mark { seq, mark, on }).await.map(drop)
    }

    /// Reads a page of those who have given a message a mark.
    ///
    /// # Errors
    /// `no_such_message`, `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn markers(&self, room: RoomId, query: MarkerQuery) -> Result<MarkerPage> {
        self.ask_room(room, RoomCommand::Markers(query)).await?.markers()
    }

    /// Opens the thread on a message, or finds the one that is there: however many ask at once, a message has one.
    /// It is a room of its own, of kind [`Thread`](crate::Kind::Thread), and whoever opens it is a member of it,
    /// as is the message's author; [`join`](Self::join) is how this session begins to hear it. Other members of
    /// the message's room join it if they want to follow it.
    ///
    /// # Errors
    /// `bad_request` in a thread; `no_such_message`, `message_deleted` unless there is a thread on it;
    /// `no_such_room`, `not_a_member`, `muted`, `read_only`, `unavailable`, `busy`.
    pub async fn open_thread(&self, room: RoomId, seq: u64) -> Result<RoomView> {
        self.ask_room(room, RoomCommand::Thread { seq }).await?.room()
    }

    /// Reads a page of a room's threads, the one that was written in last first.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn threads(&self, room: RoomId, query: ThreadQuery) -> Result<ThreadPage> {
        self.ask_room(room, RoomCommand::Threads(query)).await?.threads()
    }

    /// Reads what a message said before it was edited, oldest first.
    ///
    /// # Errors
    /// `forbidden` for all but its author, the owner and moderators; `no_such_message`, `no_such_room`,
    /// `not_a_member`, `unavailable`, `busy`.
    pub async fn revisions(&self, room: RoomId, seq: u64) -> Result<Vec<Revision>> {
        self.ask_room(room, RoomCommand::Revisions { seq }).await?.revisions()
    }

    /// Has the user have read a room up to a message, and answers what is left. Positions move forward only:
    /// of an earlier message, it answers where the user stands.
    ///
    /// # Errors
    /// `no_such_message` beyond the room's end; `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn read(&self, room: RoomId, seq: u64) -> Result<ReadPosition> {
        self.ask_room(room, RoomCommand::Read { seq }).await?.read()
    }

    /// Reads a page of those who have read a room up to a message.
    ///
    /// # Errors
    /// `no_such_message`, `no_such_room`, `not_a_member`, `busy`.
    pub async fn readers(&self, room: RoomId, query: ReaderQuery) -> Result<ReaderPage> {
        self.ask_room(room, RoomCommand::Readers(query)).await?.readers()
    }

    /// How a room stands for the user: what was said last, and what it has not read.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn standing(&self, room: RoomId) -> Result<Standing> {
        self.ask_room(room, RoomCommand::Standing).await?.standing()
    }

    /// Reads a page of a room's messages.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `unavailable`, `busy`.
    pub async fn history(&self, room: RoomId, query: HistoryQuery) -> Result<History> {
        self.ask_room(room, RoomCommand::History(query)).await?.history()
    }

    /// Reads a page of a room's members, and how many there are.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `busy`.
    pub async fn members(&self, room: RoomId, query: MemberQuery) -> Result<MemberPage> {
        self.ask_room(room, RoomCommand::Members(query)).await?.members()
    }

    /// Says that the user is writing in a room, or has stopped.
    ///
    /// # Errors
    /// `no_such_room`, `not_a_member`, `muted`, `read_only`, `busy`.
    pub async fn typing(&self, room: RoomId, on: bool) -> Result<()> {
        self.ask_room(room, RoomCommand::Typing(on)).await.map(drop)
    }

    /// Says whether the user is at this session's keyboard.
    ///
    /// # Errors
    /// `bad_request` for [`Presence::Offline`], which only ending the session brings about.
    pub async fn presence(&self, presence: Presence) -> Result<()> {
        self.ask(Command::Presence(presence)).await.map(drop)
    }

    /// Says what entitles the session from here on, and until when; in time before that the inbox
    /// tells [`Event::Expiring`](crate::Event::Expiring), and then the session ends with
    /// [`CloseReason::Expired`]. `None`: for ever. What may be withdrawn is a grant, by which
    /// [`Engine::end_sessions`](crate::Engine::end_sessions) finds the session as soon as this
    /// returns.
    pub fn renew(&self, until: Option<Timestamp>, grant: Option<GrantId>) {
        let Owner { sessions, user, line, address, .. } = &*self.owner;
        sessions.shared().connections.entitle(user.id, line.connection, grant);
        address.do_send(Renew { until });
    }

    /// Calls the session's user by this name from here on, without which it would go by the one that it began
    /// with: for whoever admitted it while [`Engine::rename`](crate::Engine::rename) did the same everywhere.
    pub fn rename(&self, user: &User) {
        self.owner.address.do_send(Order::Rename(user.clone()));
    }

    /// Ends the session, as dropping the last handle does, with a reason for the inbox to tell.
    pub fn end(&self, reason: CloseReason) {
        self.owner.address.do_send(End { reason, retry_after: None });
    }
}
