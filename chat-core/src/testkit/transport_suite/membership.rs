//! Leaving and being invited.

use crate::command::{After, Command, RoomCommand};
use crate::error::Code;
use crate::event::Event;
use crate::ids::RoomId;
use crate::model::NewRoom;
use crate::testkit::report::Stop;
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, given, same};

super::cases![
    whoever_leaves_hears_no_more,
    an_invited_user_hears_of_it_and_may_join,
    members_invite_through_the_transport,
];

async fn whoever_leaves_hears_no_more(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let mut device = stage.connect(&bob.user).await;
    device.join(room, After::Nothing).await?;
    bob.ok(Command::Room(room, RoomCommand::Leave)).await?;
    for n in 1..=20 {
        ann.send(room, &format!("message {n}")).await?;
    }
    // Both of his connections hear that he has left, and object to anything after it.
    for guest in [&mut bob, &mut device] {
        guest
            .find("that he has left", |event| match event {
                Event::Change { change, .. } if change.kind.as_str() == "left" => Some(()),
                _ => None,
            })
            .await?;
        guest.settle(room).await?;
        ensure(guest.kept().is_empty(), || "nothing follows that he has left".to_owned())?;
    }
    let send = Command::Room(room, RoomCommand::Typing(true));
    same("what somebody who has left is told", bob.refused(send).await?, Code::NotAMember)?;
    // He may come back.
    let joined = bob.join(room, After::Nothing).await?;
    same("messages when he comes back", joined.messages.len(), 20)?;
    ann.send(room, "welcome back").await?;
    same("what follows", &*bob.message().await?.text, "welcome back")
}

/// Hears that it is invited, and joins.
async fn accept(guest: &mut Guest, to: RoomId, title: &str) -> Outcome {
    let (room, heard) = guest
        .find("Invited", |event| match event {
            Event::Invited { room } => {
                Some((room.id, room.title.as_ref().map(ToString::to_string)))
            }
            _ => None,
        })
        .await?;
    same("the room that he is invited to", (room, heard.as_deref()), (to, Some(title)))?;
    let joined = guest.join(room, After::Nothing).await?;
    same("the room that he has joined", joined.room.info.id, to)
}

async fn an_invited_user_hears_of_it_and_may_join(stage: &Stage<'_>) -> Outcome {
    let title = "by invitation only";
    let ann = stage.user("Ann")?;
    let room = given(NewRoom::private(title))?;
    let room = given(stage.engine.open_room(&ann, room).await)?;
    let (mut bob, mut eve) = (stage.guest("Bob").await?, stage.guest("Eve").await?);
    let mut device = stage.connect(&bob.user).await;
    given(room.invite(&ann, bob.user.clone()).await)?;
    accept(&mut bob, room.id(), title).await?;
    // Each of his connections is told.
    accept(&mut device, room.id(), title).await?;
    let join = Command::Room(room.id(), RoomCommand::join(After::Nothing));
    same("what a stranger is told", eve.refused(join).await?, Code::NoSuchRoom)?;
    ensure(eve.kept().is_empty(), || "a stranger hears nothing of it".to_owned())
}

async fn members_invite_through_the_transport(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.guest("Bob").await?;
    let invite = Command::Room(room, RoomCommand::Invite(bob.user.clone()));
    if !stage.transport.carries(&invite) {
        return Err(Stop::Skipped("clients have no words for an invitation".to_owned()));
    }
    ann.ok(invite).await?;
    let told = ann.find("that he is invited", |event| match event {
        Event::Change { change, .. } if change.kind.as_str() == "invited" => {
            Some(change.kind.membership().user.clone())
        }
        _ => None,
    });
    same("who is invited", told.await?, bob.user.clone())?;
    accept(&mut bob, room, "a room").await
}
