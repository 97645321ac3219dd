//! A room as the embedding program holds it: what a user may ask of it without a connection.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::command::{
    After, BanPage, BanQuery, History, HistoryQuery, Joined, MarkerPage, MarkerQuery, MemberPage,
    MemberQuery, ReaderPage, ReaderQuery, Reply, RoomCommand, Sent, Standing, ThreadPage,
    ThreadQuery,
};
use crate::deliver::ReplyTo;
use crate::error::{Error, Result};
use crate::ids::RoomId;
use crate::model::{Draft, Moderation, ReadPosition, Revision, RoomView, Text, User};
use crate::room::{Asker, Rooms};

/// A room of an engine, for asking on a user's behalf without a connection: for a bot, for an HTTP
/// API, for the program itself. Cheap to clone. Holding it neither loads the room nor keeps it
/// loaded.
///
/// A user who joins this way is a member, but not present.
#[derive(Clone)]
pub struct Room {
    rooms: Arc<Rooms>,
    id: RoomId,
}

impl Room {
    pub(crate) fn new(rooms: Arc<Rooms>, id: RoomId) -> Self {
        Self { rooms, id }
    }

    /// Which room.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Carries out a command and waits for its answer.
    ///
    /// # Errors
    /// Whatever the command is refused with; `no_such_room` if there is none with this id.
    pub async fn ask(&self, user: &User, command: RoomCommand) -> Result<Reply> {
        self.rooms.shared.running()?;
        let (caller, answer) = oneshot::channel();
        let (rooms, id) = (Arc::clone(&self.rooms), self.id);
        let asker = Asker { user: user.clone(), connection: None, seat: None, away: false };
        // On the room's own thread, so that a policy finds the runtime that it may need.
        self.rooms.thread(id).spawn(async move {
            let reply = ReplyTo::Caller(caller, None);
            match rooms.shared.prepare_for_room(&asker.user, id, command).await {
                Ok(command) => _ = rooms.get(id).ask(&rooms.shared, asker, command, reply),
                Err(error) => reply.answer(rooms.shared.clock.elapsed(), Err(error)),
            }
        });
        answer.await.unwrap_or_else(|_| Err(Error::stopping()))
    }

    /// The room's title and counts.
    ///
    /// # Errors
    /// `no_such_room`, also of a private room for whoever is neither a member nor invited;
    /// `unavailable`, `busy`.
    pub async fn view(&self, user: &User) -> Result<RoomView> {
        self.ask(user, RoomCommand::View).await?.room()
    }

    /// Makes the user a member, if it is none yet, and answers what it has missed.
    ///
    /// # Errors
    /// As [`Session::join`](crate::Session::join).
    pub async fn join(&self, user: &User, after: After) -> Result<Joined> {
        self.ask(user, RoomCommand::join(after)).await?.joined()
    }

    /// Ends the user's membership.
    ///
    /// # Errors
    /// As [`Session::leave`](crate::Session::leave).
    pub async fn leave(&self, user: &User) -> Result<()> {
        self.ask(user, RoomCommand::Leave).await.map(drop)
    }

    /// Invites a guest in the name of a member.
    ///
    /// # Errors
    /// As [`Session::invite`](crate::Session::invite).
    pub async fn invite(&self, member: &User, guest: User) -> Result<()> {
        self.ask(member, RoomCommand::Invite(guest)).await.map(drop)
    }

    /// Keeps order in the name of the owner or a moderator.
    ///
    /// # Errors
    /// As [`Session::moderate`](crate::Session::moderate).
    pub async fn moderate(&self, user: &User, act: Moderation) -> Result<()> {
        self.ask(user, RoomCommand::Moderate(act)).await.map(drop)
    }

    /// Reads a page of who is banned.
    ///
    /// # Errors
    /// As [`Session::bans`](crate::Session::bans).
    pub async fn bans(&self, user: &User, query: BanQuery) -> Result<BanPage> {
        self.ask(user, RoomCommand::Bans(query)).await?.bans()
    }

    /// Writes a message. Answers its `seq` and time once the store has committed it.
    ///
    /// # Errors
    /// As [`Session::send`](crate::Session::send).
    pub async fn send(&self, user: &User, draft: Draft) -> Result<Sent> {
        self.ask(user, RoomCommand::Send(draft)).await?.sent()
    }

    /// Lets a message of a user's say something else.
    ///
    /// # Errors
    /// As [`Session::edit`](crate::Session::edit).
    pub async fn edit(&self, user: &User, seq: u64, text: Text) -> Result<()> {
        self.ask(user, RoomCommand::edit(seq, text)).await.map(drop)
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// As [`Session::delete`](crate::Session::delete).
    pub async fn delete(&self, user: &User, seq: u64) -> Result<()> {
        self.ask(user, RoomCommand::Delete { seq }).await.map(drop)
    }

    /// Reads a page of those who have given a message a mark.
    ///
    /// # Errors
    /// As [`Session::markers`](crate::Session::markers).
    pub async fn markers(&self, user: &User, query: MarkerQuery) -> Result<MarkerPage> {
        self.ask(user, RoomCommand::Markers(query)).await?.markers()
    }

    /// Opens the thread on a message, or finds the one that is there.
    ///
    /// # Errors
    /// As [`Session::open_thread`](crate::Session::open_thread).
    pub async fn open_thread(&self, user: &User, seq: u64) -> Result<RoomView> {
        self.ask(user, RoomCommand::Thread { seq }).await?.room()
    }

    /// Reads a page of the room's threads, the one that was written in last first.
    ///
    /// # Errors
    /// As [`Session::threads`](crate::Session::threads).
    pub async fn threads(&self, user: &User, query: ThreadQuery) -> Result<ThreadPage> {
        self.ask(user, RoomCommand::Threads(query)).await?.threads()
    }

    /// Reads what a message said before it was edited.
    ///
    /// # Errors
    /// As [`Session::revisions`](crate::Session::revisions).
    pub async fn revisions(&self, user: &User, seq: u64) -> Result<Vec<Revision>> {
        self.ask(user, RoomCommand::Revisions { seq }).await?.revisions()
    }

    /// Has the user have read the room up to a message, and answers what is left.
    ///
    /// # Errors
    /// As [`Session::read`](crate::Session::read).
    pub async fn read(&self, user: &User, seq: u64) -> Result<ReadPosition> {
        self.ask(user, RoomCommand::Read { seq }).await?.read()
    }

    /// Reads a page of those who have read the room up to a message.
    ///
    /// # Errors
    /// As [`Session::readers`](crate::Session::readers).
    pub async fn readers(&self, user: &User, query: ReaderQuery) -> Result<ReaderPage> {
        self.ask(user, RoomCommand::Readers(query)).await?.readers()
    }

    /// How the room stands for a member: what was said last, and what it has not read.
    ///
    /// # Errors
    /// As [`Session::standing`](crate::Session::standing).
    pub async fn standing(&self, user: &User) -> Result<Standing> {
        self.ask(user, RoomCommand::Standing).await?.standing()
    }

    /// Reads a page of messages.
    ///
    /// # Errors
    /// As [`Session::history`](crate::Session::history).
    pub async fn history(&self, user: &User, query: HistoryQuery) -> Result<History> {
        self.ask(user, RoomCommand::History(query)).await?.history()
    }

    /// Reads a page of members, and how many there are.
    ///
    /// # Errors
    /// As [`Session::members`](crate::Session::members).
    pub async fn members(&self, user: &User, query: MemberQuery) -> Result<MemberPage> {
        self.ask(user, RoomCommand::Members(query)).await?.members()
    }
}
