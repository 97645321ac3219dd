//! What people may do to each other, as the engine asks: whoever has blocked somebody is not there for it,
//! neither to be invited or mentioned, nor to open a direct room with, nor to be written to or seen in one that is there.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    Code, Command, Directory, Error, Policy, Result, RoomCommand, RoomId, Text, User, UserId,
};
use moka::future::Cache;

use super::mentions::Mentions;
use super::{Friends, PeopleError, PeopleStore, Reach};

/// How many rooms are remembered, at about a hundred bytes each; what is forgotten is read again.
const MOST_ROOMS: u64 = 100_000;

/// The rules, over what a store knows. Cheap to clone.
#[derive(Clone)]
pub struct Rules {
    store: Arc<dyn PeopleStore>,
    friends: Arc<Friends>,
    mentions: Mentions,
    /// The two members of direct rooms and of threads in these, and which rooms are none: that never changes.
    pairs: Cache<RoomId, Option<[UserId; 2]>>,
}

impl Rules {
    /// The rules for these people.
    #[must_use]
    pub fn new(store: Arc<dyn PeopleStore>, friends: Arc<Friends>) -> Self {
        let pairs = Cache::builder().max_capacity(MOST_ROOMS).build();
        let mentions = Mentions::new(Arc::clone(&store));
        Self { store, friends, mentions, pairs }
    }

    /// Whether `user` may turn to `other`.
    async fn reach(&self, user: UserId, other: UserId) -> Result<()> {
        match &*self.reach_of(other).await? {
            Reach::AllBut(blocked) if !blocked.contains(&user) => {}
            _ => return Err(Error::no_such_user()),
        }
        match &*self.reach_of(user).await? {
            Reach::AllBut(blocked) if blocked.contains(&other) => {
                let message = "you have blocked this user; end that first";
                Err(Error::new(Code::Forbidden, message))
            }
            _ => Ok(()),
        }
    }

    async fn reach_of(&self, user: UserId) -> Result<Arc<Reach>> {
        self.friends.reach(user).await.map_err(|error| unavailable(&error))
    }

    /// Whether `user` may write in a room, if that is a direct one.
    async fn write(&self, user: UserId, room: RoomId) -> Result<()> {
        let read = async { self.store.pair(room).await.map_err(PeopleError::from) };
        let pair = self.pairs.try_get_with(room, read).await;
        let pair = pair.map_err(|error| unavailable(&error))?;
        match pair.and_then(|pair| pair.into_iter().find(|other| *other != user)) {
            Some(other) => self.reach(user, other).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Policy for Rules {
    async fn may(&self, user: &User, command: &Command) -> Result<()> {
        match command {
            Command::Open(room) => match room.with() {
                Some(other) => self.reach(user.id, other).await,
                None => Ok(()),
            },
            Command::Room(_, RoomCommand::Invite(guest)) => self.reach(user.id, guest.id).await,
            Command::Room(_, RoomCommand::InviteUser(guest)) => self.reach(user.id, *guest).await,
            Command::Room(
                room,
                RoomCommand::Send(_)
                | RoomCommand::Edit { .. }
                | RoomCommand::Mark { on: true, .. }
                | RoomCommand::Thread { .. }
                | RoomCommand::Typing(true),
            ) => self.write(user.id, *room).await,
            _ => Ok(()),
        }
    }

    async fn shows_presence(&self, user: UserId, to: UserId) -> bool {
        // While nobody knows, it is not shown.
        self.friends.reach(user).await.is_ok_and(|reach| match &*reach {
            Reach::AllBut(blocked) => !blocked.contains(&to),
            Reach::Nobody => false,
        })
    }
}

#[async_trait]
impl Directory for Rules {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        let account = self.store.account(id, id).await.map_err(PeopleError::from);
        let account = account.map_err(|error| unavailable(&error))?;
        Ok(account.map(|account| account.user))
    }

    /// Whoever has blocked the author is not mentioned, as somebody is not who is absent: not in the message, so that it
    /// is neither counted nor told.
    async fn mentioned(&self, by: UserId, text: &Text) -> Result<Vec<UserId>> {
        if !text.contains('@') {
            return Ok(Vec::new());
        }
        let named = self.mentions.find(text).await.map_err(|error| unavailable(&error))?;
        let mut mentioned = Vec::with_capacity(named.len());
        for user in named {
            // From memory, but for the first time.
            match &*self.reach_of(user).await? {
                Reach::AllBut(blocked) if blocked.contains(&by) => {}
                _ => mentioned.push(user),
            }
        }
        Ok(mentioned)
    }
}

/// As the engine says it.
fn unavailable(error: &PeopleError) -> Error {
    Error::new(Code::Unavailable, error.message())
}
