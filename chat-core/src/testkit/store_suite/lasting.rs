//! A restart: what a method has answered with success is there after it.

use super::support::*;
use super::{StoreHome, cases};
use crate::model::RoomInfo;
use crate::store::Outcome;

cases!(everything_outlives_a_restart, every_answer_outlives_a_restart);

async fn everything_outlives_a_restart(home: &dyn StoreHome) -> Checked {
    let (ann, bob, cyd) = (user("Ann 👩‍💻"), user("Bob"), user("Cyd"));
    let store = home.open().await;
    let mut rooms = Vec::new();
    for info in [info("open "), private("private"), RoomInfo { ephemeral: true, ..info("brief") }] {
        rooms.push(create(&*store, &info, &[owner(&ann)]).await?);
    }
    for room in &rooms {
        let writes = vec![
            keyed(&ann, "a\0b 🍣 ", "k"),
            join(&bob),
            keyed(&bob, "hi", "k"),
            leave(&bob),
            invite(&bob),
            invite(&cyd),
        ];
        write(&*store, room.key, (0, 1), writes).await?;
    }
    let gone = open_room(&*store, &ann).await?;
    store.delete_room(gone.key).await?;
    let mut before = Vec::new();
    for room in &rooms {
        before.push((load(&*store, room.info.id).await?.info, contents(&*store, room).await?));
    }
    let listing = |listed: Vec<crate::store::Listed>| {
        listed.into_iter().map(|room| (room.info, room.members)).collect::<Vec<_>>()
    };
    let listed_before = listing(listed(&*store, "").await?);
    drop(store);

    for _ in 0..2 {
        let store = home.open().await;
        for (room, (info, contents_before)) in rooms.iter().zip(&before) {
            let loaded = load(&*store, room.info.id).await?;
            same("the room's number", loaded.key, room.key)?;
            same("the room", &loaded.info, info)?;
            same("its contents", &contents(&*store, room).await?, contents_before)?;
        }
        same_all("the listed rooms", listing(listed(&*store, "").await?), listed_before.clone())?;
        same("ephemeral rooms", store.ephemeral_rooms().await?, vec![rooms[2].info.id])?;
        check(store.load_room(gone.info.id, 1).await?.is_none(), "the deleted room is gone")?;
    }
    let store = home.open().await;
    for room in &rooms {
        let writes =
            vec![keyed(&ann, "a\0b 🍣 ", "k"), keyed(&bob, "other", "k"), message(&ann, "on")];
        let outcomes = write(&*store, room.key, (2, 5), writes).await?;
        same_all("it goes on", outcomes, [seen(1), Outcome::KeyConflict, stored(3, 5)])?;
    }
    Ok(())
}

async fn every_answer_outlives_a_restart(home: &dyn StoreHome) -> Checked {
    // Whatever was answered last, it must be there.
    let ann = user("Ann");
    let store = home.open().await;
    let room = open_room(&*store, &ann).await?;
    drop(store);
    for round in 0..12 {
        let store = home.open().await;
        let bob = user("Bob");
        let writes = vec![keyed(&ann, &round.to_string(), &round.to_string()), join(&bob)];
        let outcomes = write(&*store, room.key, (round, round + 1), writes).await?;
        let expected = [stored(round + 1, round + 1), stored(round + 1, round + 2)];
        same_all("the outcomes", outcomes, expected)?;
        let (brief, gone) = (open_room(&*store, &ann).await?, open_room(&*store, &ann).await?);
        let answers = round % 3;
        match answers {
            0 => {}
            1 => store.delete_room(gone.key).await?,
            _ => drop(write(&*store, brief.key, (0, 1), vec![message(&ann, "last")]).await?),
        }
        drop(store);
        let store = home.open().await;
        said(&*store, room.key, 0..=round).await?;
        let loaded = load(&*store, room.info.id).await?;
        same("the room's end", loaded.end, cursor((round + 1, round + 2)))?;
        check(loaded.members.iter().any(|member| member.user == bob), "who has joined is in it")?;
        let there = store.load_room(gone.info.id, 1).await?.is_some();
        same("whether the other room is there", there, answers != 1)?;
        let last = load(&*store, brief.info.id).await?.end.seq;
        same("how many messages it has", last, u64::from(answers == 2))?;
    }
    Ok(())
}
