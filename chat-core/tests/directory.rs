//! Invitations by an id alone: the directory knows the rest, or the room does.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::testkit::Probe;
use chat_core::{
    After, Code, Command, Directory, Engine, Error, Event, Moderation, NewRoom, Result, Room,
    RoomCommand, User, UserId,
};
use support::user;

/// Knows one user, cannot say of another, and panics at a third.
struct Phonebook {
    known: User,
    unsure: UserId,
    cursed: UserId,
}

#[async_trait]
impl Directory for Phonebook {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        // As one that has to ask somebody else.
        tokio::task::yield_now().await;
        assert!(id != self.cursed, "no such page");
        if id == self.unsure {
            return Err(Error::new(Code::Unavailable, "the phonebook is out"));
        }
        Ok((id == self.known.id).then(|| self.known.clone()))
    }
}

async fn invite(room: &Room, by: &User, guest: UserId) -> Option<Code> {
    let invited = room.ask(by, RoomCommand::InviteUser(guest)).await;
    invited.err().map(|error| error.code())
}

#[tokio::test]
async fn whoever_the_directory_knows_may_be_invited() {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (unsure, cursed) = (UserId::new(), UserId::new());
    let directory = Phonebook { known: bob.clone(), unsure, cursed };
    let engine = Engine::builder().directory(Arc::new(directory)).threads(2).start();
    let engine = engine.expect("an engine");
    let room = engine.open_room(&ann, NewRoom::private("plans").expect("a title")).await;
    let room = room.expect("a room");
    let mut guest = Probe::connect(&engine, bob.clone()).expect("a session");
    assert_eq!(invite(&room, &ann, UserId::new()).await, Some(Code::NoSuchUser));
    assert_eq!(invite(&room, &ann, unsure).await, Some(Code::Unavailable));
    assert_eq!(invite(&room, &ann, cursed).await, Some(Code::Internal));
    assert_eq!(invite(&room, &bob, bob.id).await, Some(Code::NoSuchRoom), "not a member's");
    assert_eq!(invite(&room, &ann, bob.id).await, None);
    let told = guest.find(|event| match event {
        Event::Invited { room } => Some(room.id),
        _ => None,
    });
    assert_eq!(told.await, room.id());
    guest.session.join(room.id(), After::Nothing).await.expect("in it");
}

#[tokio::test]
async fn commands_behind_an_invitation_wait_for_the_directory() {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let directory = Phonebook { known: bob.clone(), unsure: UserId::new(), cursed: UserId::new() };
    let engine = Engine::builder().directory(Arc::new(directory)).threads(2).start();
    let engine = engine.expect("an engine");
    let room = engine.open_room(&ann, NewRoom::private("plans").expect("a title")).await;
    let room = room.expect("a room").id();
    let owner = Probe::connect(&engine, ann).expect("a session");
    let ask = |command| owner.session.ask(Command::Room(room, command));
    let ban = RoomCommand::Moderate(Moderation::Ban { user: bob.id, until: None });
    let (invited, banned) = tokio::join!(ask(RoomCommand::InviteUser(bob.id)), ask(ban));
    invited.expect("invited first");
    banned.expect("then known to the room, and banned");
}

#[tokio::test]
async fn without_a_directory_rooms_know_their_own() {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let engine = Engine::builder().threads(2).start().expect("an engine");
    let room = engine.open_room(&ann, NewRoom::private("plans").expect("a title")).await;
    let room = room.expect("a room");
    assert_eq!(invite(&room, &ann, bob.id).await, Some(Code::NoSuchUser));
    room.invite(&ann, bob.clone()).await.expect("invited by name");
    room.join(&bob, After::Nothing).await.expect("in it");
    room.moderate(&ann, Moderation::Kick { user: bob.id }).await.expect("kicked");
    assert_eq!(invite(&room, &ann, bob.id).await, None);
    room.join(&bob, After::Nothing).await.expect("back");
}
