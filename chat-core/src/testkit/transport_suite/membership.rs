//! Leaving, being kicked or banned, and being invited.

use crate::command::{After, Command, RoomCommand};
use crate::error::Code;
use crate::event::{Event, OwnChange};
use crate::ids::RoomId;
use crate::model::{
    Draft, Moderation, NewRoom, ReadPosition, Role, Settings, SettingsChange, Unread,
};
use crate::testkit::report::Stop;
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, given, same};

super::cases![
    whoever_leaves_hears_no_more,
    whoever_is_thrown_out_hears_so_and_no_more,
    what_the_owner_decides_is_told,
    an_invited_user_hears_of_it_and_may_join,
    members_invite_through_the_transport,
    what_becomes_of_somebody_is_told_elsewhere,
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
    same("what follows", bob.message().await?.text(), "welcome back")
}

async fn whoever_is_thrown_out_hears_so_and_no_more(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let mut device = stage.connect(&bob.user).await;
    device.join(room, After::Nothing).await?;
    let user = bob.user.id;
    let until = Some(stage.engine.clock().now() + std::time::Duration::from_secs(3_600));
    for (act, name) in
        [(Moderation::Kick { user }, "kicked"), (Moderation::Ban { user, until }, "banned")]
    {
        let command = Command::Room(room, RoomCommand::Moderate(act));
        match stage.transport.carries(&command) {
            true => _ = ann.ok(command).await?,
            false => given(stage.engine.room(room).moderate(&ann.user, act).await)?,
        }
        for n in 1..=20 {
            ann.send(room, &format!("{name}, message {n}")).await?;
        }
        for guest in [&mut bob, &mut device] {
            let told = guest.find("why it is out", |event| match event {
                Event::Change { change, .. } if change.kind.as_str() == name => {
                    Some((change.by.clone(), change.kind.until()))
                }
                _ => None,
            });
            let until = until.filter(|_| name == "banned");
            same("who did it, until when", told.await?, (Some(ann.user.clone()), until))?;
            guest.settle(room).await?;
            ensure(guest.kept().is_empty(), || format!("nothing follows that he was {name}"))?;
        }
        let join = Command::Room(room, RoomCommand::join(After::Nothing));
        if name == "kicked" {
            for guest in [&mut bob, &mut device] {
                guest.join(room, After::Nothing).await?;
            }
        } else {
            same("what somebody who is banned is told", bob.refused(join).await?, Code::Banned)?;
        }
    }
    Ok(())
}

async fn what_the_owner_decides_is_told(stage: &Stage<'_>) -> Outcome {
    let (room, ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let settings = Settings { slow_s: 7, read_only: true, ..Settings::default() };
    let change = SettingsChange { invite: None, slow_s: Some(7), read_only: Some(true) };
    let up = Moderation::Role { user: bob.user.id, role: Role::Moderator };
    for act in [Moderation::Configure(change), up] {
        given(stage.engine.room(room).moderate(&ann.user, act).await)?;
    }
    let told = bob.find("the settings", |event| match event {
        Event::Change { change, .. } => change.kind.settings(),
        _ => None,
    });
    same("the settings", told.await?, settings)?;
    let told = bob.find("his role", |event| match event {
        Event::Change { change, .. } if change.kind.as_str() == "role" => {
            Some(change.kind.membership().role)
        }
        _ => None,
    });
    same("his role", told.await?, Role::Moderator)?;
    let joined = bob.join(room, After::Nothing).await?;
    same("what he finds", (joined.me.role, joined.settings), (Role::Moderator, settings))
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

/// What somebody hears next has become of it in a room that it does not hear.
async fn becomes(guest: &mut Guest, of: RoomId, expected: OwnChange) -> Outcome {
    let heard = guest
        .find("what has become of him", |event| match event {
            Event::Mine { room, change } => Some((*room, change.clone())),
            _ => None,
        })
        .await?;
    same("what has become of him", heard, (of, expected))
}

async fn what_becomes_of_somebody_is_told_elsewhere(stage: &Stage<'_>) -> Outcome {
    let ann = stage.user("Ann")?;
    let room = given(stage.engine.open_room(&ann, given(NewRoom::open("tea"))?).await)?;
    let (id, info) = (room.id(), given(room.view(&ann).await)?.info);
    let joined = || OwnChange::Joined(info.clone());
    // One of his connections hears the room, the other one does not.
    let mut bob = stage.guest("Bob").await?;
    let mut device = stage.connect(&bob.user).await;
    bob.join(id, After::Nothing).await?;
    becomes(&mut device, id, joined()).await?;
    given(room.send(&ann, given(Draft::text("hello"))?).await)?;
    let position = given(room.read(&bob.user, 1).await)?;
    same("what is left", position, ReadPosition { seq: 1, unread: Some(Unread::default()) })?;
    becomes(&mut device, id, OwnChange::Read(position)).await?;
    bob.ok(Command::Room(id, RoomCommand::Leave)).await?;
    becomes(&mut device, id, OwnChange::Left).await?;
    // From here on neither does.
    for act in [
        (Moderation::Kick { user: bob.user.id }, OwnChange::Kicked),
        (Moderation::Ban { user: bob.user.id, until: None }, OwnChange::Banned(None)),
    ] {
        given(room.join(&bob.user, After::Nothing).await)?;
        given(room.moderate(&ann, act.0).await)?;
        for guest in [&mut bob, &mut device] {
            becomes(guest, id, joined()).await?;
            becomes(guest, id, act.1.clone()).await?;
        }
    }
    let opened = given(stage.engine.open_room(&bob.user, given(NewRoom::open("his"))?).await)?;
    let info = given(opened.view(&bob.user).await)?.info;
    for guest in [&mut bob, &mut device] {
        becomes(guest, info.id, OwnChange::Joined(info.clone())).await?;
        guest.settle(id).await?;
        let more = guest.kept();
        ensure(more.is_empty(), || format!("nothing else is told, but he hears {more:?}"))?;
    }
    Ok(())
}
