//! Messages reach every connection of every member, in order, each once.

use futures_util::future::{try_join, try_join_all};

use crate::command::{After, RoomCommand};
use crate::testkit::transport_suite::guest::Guest;
use crate::testkit::transport_suite::stage::{Outcome, Stage, same};

super::cases![messages_reach_every_connection_in_order, many_rooms_at_once,];

async fn messages_reach_every_connection_in_order(stage: &Stage<'_>) -> Outcome {
    const EACH: usize = 40;
    let (room, ann) = stage.room("Ann").await?;
    let mut guests = vec![ann];
    for name in ["Bob", "Cleo", "Dan", "Eve", "Finn"] {
        let guest = stage.joined(name, room).await?;
        // Everybody has a second device.
        let mut device = stage.connect(&guest.user).await;
        device.join(room, After::Nothing).await?;
        guests.extend([guest, device]);
    }
    let all = guests.len() * EACH;
    let talk = guests.iter_mut().enumerate().map(async |(index, guest): (usize, &mut Guest)| {
        for n in 0..EACH {
            guest.submit_text(room, &format!("{index}: {n}")).await?;
        }
        guest.texts_until(all as u64).await
    });
    let heard = try_join_all(talk).await?;
    for (index, texts) in heard.iter().enumerate() {
        same("messages that a connection hears", texts.len(), all)?;
        same("what two connections hear", texts, &heard[0])?;
        let own = texts.iter().filter(|text| text.starts_with(&format!("{index}: ")));
        let expected: Vec<_> = (0..EACH).map(|n| format!("{index}: {n}")).collect();
        same("one sender's messages", own.cloned().collect(), expected)?;
    }
    // Nobody hears anything twice, and every reply has come.
    for mut guest in guests {
        guest.settle(room).await?;
        guest.answered().await?;
    }
    Ok(())
}

async fn many_rooms_at_once(stage: &Stage<'_>) -> Outcome {
    const ROOMS: usize = 10;
    const EACH: usize = 12;
    let (mut ann, mut bob) = (stage.guest("Ann").await?, stage.guest("Bob").await?);
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = stage.open(&ann.user).await?;
        for guest in [&mut ann, &mut bob] {
            guest.submit_to(room, RoomCommand::join(After::Nothing)).await;
        }
        rooms.push(room);
    }
    for guest in [&mut ann, &mut bob] {
        guest.answered().await?;
    }
    let rooms = &rooms;
    let talk = async |guest: &mut Guest| {
        let mut heard = 0;
        for n in 0..EACH {
            for room in rooms {
                guest.submit_text(*room, &format!("message {n}")).await?;
            }
            // No more than a session may have under way.
            guest.answered().await?;
        }
        while heard < 2 * EACH * ROOMS {
            guest.message().await?;
            heard += 1;
        }
        Outcome::Ok(())
    };
    try_join(talk(&mut ann), talk(&mut bob)).await?;
    for room in rooms {
        ann.settle(*room).await?;
        bob.settle(*room).await?;
    }
    Ok(())
}
