//! Several writers on one room: whoever believes the room to stand elsewhere writes nothing.

use futures_util::future;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::{Cursor, User};
use crate::store::{Batch, BatchOutcome, RoomKey, Store};

cases!(
    a_room_that_stands_elsewhere_is_fenced,
    of_two_writers_at_once_one_wins,
    many_writers_leave_no_gap,
    a_writer_knows_what_another_did,
    messages_may_follow_messages_and_nothing_else,
);

async fn a_room_that_stands_elsewhere_is_fenced(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let writes = vec![message(&ann, "1"), message(&ann, "2"), join(&user("Bob"))];
    write(store, room.key, (0, 1), writes).await?;
    for after in [(1, 2), (3, 2), (2, 1), (2, 3), (0, 0), (u64::MAX >> 1, 2), (3, 1)] {
        let dan = user("Dan");
        for no in [message(&ann, "no"), keyed(&ann, "no", "k"), invite(&dan), leave(&ann)] {
            let outcome = append(store, room.key, after, vec![no]).await?;
            same(format_args!("a batch after {after:?}"), outcome, BatchOutcome::Fenced)?;
        }
    }
    let loaded = load(store, room.info.id).await?;
    same("the room's end", loaded.end, Cursor::new(2, 2))?;
    same("members, invited", (loaded.members.len(), loaded.invited.len()), (2, 0))?;
    // The key that came with a fenced write was not taken.
    let outcome = append(store, room.key, (2, 2), vec![keyed(&ann, "yes", "k")]).await?;
    same("the key of a fenced batch", outcome, done([stored(3, 2)]))?;
    said(store, room.key, ["1", "2", "yes"]).await
}

async fn of_two_writers_at_once_one_wins(home: &dyn StoreHome) -> Checked {
    let stores = [&*home.open().await, &*home.open().await];
    let ann = &user("Ann");
    for _ in 0..2 {
        let room = &open_room(stores[0], ann).await?;
        let mut end = 0;
        for round in 0..20 {
            let race = |writer: usize| {
                let writes = vec![message(ann, &format!("{round}.{writer}"))];
                append(stores[writer], room.key, (end, 1), writes)
            };
            let (one, two) = future::join(race(0), race(1)).await;
            let outcomes = [one?, two?];
            let fenced = outcomes.iter().filter(|outcome| **outcome == BatchOutcome::Fenced);
            same(format_args!("how many are fenced of {outcomes:?}"), fenced.count(), 1)?;
            let won = outcomes.iter().filter(|outcome| **outcome == done([stored(end + 1, 1)]));
            same(format_args!("how many win of {outcomes:?}"), won.count(), 1)?;
            // The loser reads the end again, and goes on.
            let loser = usize::from(outcomes[1] == BatchOutcome::Fenced);
            let found = load(stores[loser], room.info.id).await?.end;
            same("the end that the loser finds", found, Cursor::new(end + 1, 1))?;
            let writes = vec![message(ann, &format!("{round}.{loser}"))];
            let outcome = append(stores[loser], room.key, (end + 1, 1), writes);
            same("the loser's second try", outcome.await?, done([stored(end + 2, 1)]))?;
            end += 2;
        }
        let mut read = texts(stores[1], room.key).await?;
        read.sort_unstable();
        let mut expected: Vec<_> = (0..40).map(|i| format!("{}.{}", i / 2, i % 2)).collect();
        expected.sort_unstable();
        same_all("the messages, sorted", read, expected)?;
    }
    Ok(())
}

async fn many_writers_leave_no_gap(home: &dyn StoreHome) -> Checked {
    let stores = [home.open().await, home.open().await, home.open().await];
    let ann = &user("Ann");
    let room = &open_room(&*stores[0], ann).await?;
    let writers = (0..6).map(|writer| {
        let store = &*stores[writer % 3];
        async move {
            for i in 0..10 {
                write_on(store, room, vec![message(ann, &format!("{writer}.{i}"))]).await?;
            }
            Checked::Ok(())
        }
    });
    future::try_join_all(writers).await?;
    for store in &stores {
        let read = texts(&**store, room.key).await?;
        same("how many messages", read.len(), 60)?;
        for writer in 0..6 {
            let own = read.iter().filter(|text| text.starts_with(&format!("{writer}.")));
            same_all("one writer's messages", own.cloned(), {
                (0..10).map(|i| format!("{writer}.{i}"))
            })?;
        }
    }
    Ok(())
}

async fn a_writer_knows_what_another_did(home: &dyn StoreHome) -> Checked {
    let (one, two) = (&*home.open().await, &*home.open().await);
    let ann = user("Ann");
    let room = open_room(one, &ann).await?;
    write(one, room.key, (0, 1), vec![keyed(&ann, "one", "k")]).await?;
    let writes = vec![message(&ann, "two"), join(&user("Bob"))];
    let outcome = append(two, room.key, (1, 1), writes).await?;
    same("the other goes on", outcome, done([stored(2, 1), stored(2, 2)]))?;
    // The first one may remember the room's end, and must notice that it is no longer true.
    for after in [(1, 1), (2, 1), (1, 2)] {
        let outcome = append(one, room.key, after, vec![message(&ann, "no")]).await?;
        same(format_args!("the first one, after {after:?}"), outcome, BatchOutcome::Fenced)?;
    }
    let outcome = append(one, room.key, (2, 2), vec![message(&ann, "three")]).await?;
    same("the first one, at the end", outcome, done([stored(3, 2)]))?;
    let outcome = append(two, room.key, (3, 2), vec![keyed(&ann, "one", "k")]).await?;
    same("the first one's key", outcome, done([seen(1)]))?;
    two.delete_room(room.key).await?;
    let outcome = append(one, room.key, (3, 2), vec![message(&ann, "late")]).await?;
    same("a room that the other deleted", outcome, BatchOutcome::Gone)
}

async fn messages_may_follow_messages_and_nothing_else(home: &dyn StoreHome) -> Checked {
    let (one, two) = (&*home.open().await, &*home.open().await);
    let ann = user("Ann");
    let room = open_room(one, &ann).await?;
    let (ann, key) = (&ann, room.key);
    same(
        "at the end",
        follow(one, ann, key, (0, 1), "a").await?,
        done([stored(1, 1), stored(2, 1)]),
    )?;
    write(two, key, (2, 1), vec![message(ann, "of another")]).await?;
    // A store that cannot number on fences; one that can answers what came in between.
    let mut end = 3;
    for store in [one, two] {
        let outcome = follow(store, ann, key, (2, 1), &format!("k{end}")).await?;
        if outcome != BatchOutcome::Fenced {
            let between = messages(two, key).await?.drain(2..end as usize).collect();
            let outcomes = vec![stored(end + 1, 1), stored(end + 2, 1)];
            same("numbered on", outcome, BatchOutcome::Followed { between, outcomes })?;
            end += 2;
        }
        same("the room's end", load(store, room.info.id).await?.end, Cursor::new(end, 1))?;
    }
    let outcome = follow(one, ann, key, (2, 1), "a").await?;
    if outcome != BatchOutcome::Fenced {
        let between = messages(two, key).await?.drain(2..end as usize).collect();
        let outcomes = vec![stored(end + 1, 1), seen(2)];
        let expected = BatchOutcome::Followed { between, outcomes };
        same("a repeated one among them", outcome, expected)?;
        end += 1;
    }
    let outcome = follow(two, ann, key, (end, 1), "b").await?;
    same("at the end again", outcome, done([stored(end + 1, 1), stored(end + 2, 1)]))?;
    end += 2;
    write(two, key, (end, 1), vec![leave(ann)]).await?;
    for after in [(end, 1), (end - 1, 1), (end, 0), (end, 3), (end + 1, 2)] {
        let outcome = follow(one, ann, key, after, "no").await?;
        same(format_args!("after {after:?}, where nobody stood"), outcome, BatchOutcome::Fenced)?;
    }
    let read = texts(two, key).await?;
    same("how many messages", read.len() as u64, end)?;
    same("the room's end", load(one, room.info.id).await?.end, Cursor::new(end, 2))
}

/// Two messages that may come after messages of others.
async fn follow(
    store: &dyn Store,
    from: &User,
    room: RoomKey,
    after: (u64, u64),
    key: &str,
) -> Checked<BatchOutcome> {
    let writes = vec![message(from, "first"), keyed(from, "second", key)];
    let batch = Batch { may_follow: true, ..batch(room, after, writes) };
    Ok(store.append(&[batch]).await?.remove(0))
}
