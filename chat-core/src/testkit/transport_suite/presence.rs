//! Who is here is true at every moment, and who is writing.

use std::time::Duration;

use crate::command::{After, Command, RoomCommand};
use crate::event::Event;
use crate::model::{Name, Presence, User};
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, ensure, given, same};

use Presence::{Away, Offline, Online};

super::cases![
    a_peer_that_vanishes_goes_offline,
    devices_and_keyboards_are_counted,
    many_come_and_go,
    a_new_name_is_heard,
    typing_is_told_and_ends { typing: Duration::from_secs(7) },
];

async fn a_peer_that_vanishes_goes_offline(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut cleo = stage.joined("Cleo", room).await?;
    let bob = stage.joined("Bob", room).await?;
    let user = bob.user.clone();
    for guest in [&mut ann, &mut cleo] {
        same("Bob, who has come", guest.sees(&user).await?, (Online, 1, 3))?;
    }
    drop(bob);
    for guest in [&mut ann, &mut cleo] {
        same("Bob, who has vanished", guest.sees(&user).await?, (Offline, 0, 2))?;
    }
    stage.sessions(2).await?;
    let page = ann.members(room).await?;
    same("members and those online", (page.counts.members, page.counts.online), (3, 2))?;
    let bob = page.members.iter().find(|member| member.membership.user == user);
    let seen = bob.map(|member| (member.presence, member.devices));
    same("Bob in the list of members", seen, Some((Offline, 0)))
}

async fn devices_and_keyboards_are_counted(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut phone = stage.joined("Bob", room).await?;
    let bob = phone.user.clone();
    same("with a phone", ann.sees(&bob).await?, (Online, 1, 2))?;
    let mut laptop = stage.connect(&bob).await;
    laptop.join(room, After::Nothing).await?;
    same("with a laptop too", ann.sees(&bob).await?, (Online, 2, 2))?;
    phone.ok(Command::Presence(Away)).await?;
    laptop.ok(Command::Presence(Away)).await?;
    same("away from both", ann.sees(&bob).await?, (Away, 2, 2))?;
    phone.ok(Command::Presence(Online)).await?;
    same("back at one", ann.sees(&bob).await?, (Online, 2, 2))?;
    drop(phone);
    same("away from the one that is left", ann.sees(&bob).await?, (Away, 1, 2))?;
    drop(laptop);
    same("without any", ann.sees(&bob).await?, (Offline, 0, 1))
}

async fn many_come_and_go(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut guests = Vec::new();
    for n in 1..=30 {
        guests.push(stage.joined(&format!("guest {n}"), room).await?);
    }
    let users: Vec<_> = guests.iter().map(|guest| guest.user.clone()).collect();
    stage.sessions(31).await?;
    drop(guests);
    stage.sessions(1).await?;
    ann.settle(room).await?;
    let mut seen: Vec<(User, Presence)> = Vec::new();
    for event in ann.kept() {
        if let Event::Presence { user, presence, .. } = &*event
            && *user != ann.user
        {
            seen.push((user.clone(), *presence));
        }
    }
    for user in &users {
        let of_user: Vec<_> = seen.iter().filter(|(of, _)| of == user).map(|(_, p)| *p).collect();
        same(&format!("how {} was seen", user.name), of_user, vec![Online, Offline])?;
    }
    let page = ann.members(room).await?;
    same("members and those online", (page.counts.members, page.counts.online), (31, 1))
}

async fn a_new_name_is_heard(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let mut cleo = stage.guest("Cleo").await?;
    let bobby = User::new(bob.user.id, given(Name::new("바비 🎈"))?);
    given(stage.engine.rename(&bobby).await)?;
    let renamed = async |guest: &mut Guest| {
        guest
            .find("a new name", |event| match event {
                Event::Renamed { room, user } => Some((*room, user.clone())),
                _ => None,
            })
            .await
    };
    same("the name, as others hear it", renamed(&mut ann).await?, (Some(room), bobby.clone()))?;
    // From its session and from its room, in any order.
    let both = [renamed(&mut bob).await?, renamed(&mut bob).await?];
    for place in [None, Some(room)] {
        let heard = both.contains(&(place, bobby.clone()));
        ensure(heard, || format!("the name, as it hears it itself: {both:?} is not in {place:?}"))?;
    }
    bob.send(room, "it is me").await?;
    same("the author", ann.message().await?.from.clone(), bobby)?;
    cleo.ok(Command::Ping).await?;
    ensure(cleo.kept().is_empty(), || "who is not in the room hears nothing of it".to_owned())
}

async fn typing_is_told_and_ends(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let user = bob.user.clone();
    let typing = async |guest: &mut Guest| {
        guest
            .find("typing", |event| match event {
                Event::Typing { user: who, on, .. } if *who == user => Some(*on),
                _ => None,
            })
            .await
    };
    for on in [true, false, true] {
        bob.ok(Command::Room(room, RoomCommand::Typing(on))).await?;
        same("typing, as others are told", typing(&mut ann).await?, on)?;
        same("typing, as it is told himself", typing(&mut bob).await?, on)?;
    }
    let (clock, time) = (&stage.clock, stage.limits.typing);
    stage.until("its end is awaited", || clock.sleepers(time) == 1).await?;
    clock.advance(time);
    same("typing, when its time is up", typing(&mut ann).await?, false)
}
