//! Numbers: 1, 2, 3 … without a gap, in the order of writing, however much is written at once.

use futures_util::future::try_join_all;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::Cursor;
use crate::store::BatchOutcome;

cases!(
    numbers_have_no_gap,
    what_is_answered_is_there,
    any_number_of_writes_fits,
    many_rooms_in_one_commit_keep_their_order,
    many_rooms_at_once_keep_their_order,
    many_appends_to_one_room_at_once_leave_no_gap,
    one_bad_batch_does_not_hurt_the_others,
    two_batches_of_a_room_follow_each_other,
);

async fn numbers_have_no_gap(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await?;
    let writes =
        vec![message(&ann, "1"), join(&bob), message(&bob, "2"), leave(&bob), message(&ann, "3")];
    let outcome = append(store, room.key, (0, 1), writes).await?;
    let expected = [stored(1, 1), stored(1, 2), stored(2, 2), stored(2, 3), stored(3, 3)];
    same("a batch of messages and changes", outcome, done(expected))?;
    same("a batch of nothing", append(store, room.key, (3, 3), vec![]).await?, done([]))?;
    let outcome = append(store, room.key, (3, 3), vec![message(&ann, "4")]).await?;
    same("the next batch", outcome, done([stored(4, 3)]))?;
    same("a commit of nothing", store.append(&[]).await?, vec![])?;

    let loaded = load(store, room.info.id).await?;
    same("the room's end", loaded.end, Cursor::new(4, 3))?;
    let read = loaded.messages.iter().map(|m| (m.seq, m.text(), m.from.id));
    let expected = [(1, "1", ann.id), (2, "2", bob.id), (3, "3", ann.id), (4, "4", ann.id)];
    same_all("the messages", read, expected)?;
    let cursors = loaded.changes.iter().map(|change| change.cursor);
    let expected = [Cursor::new(0, 1), Cursor::new(1, 2), Cursor::new(2, 3)];
    same_all("where the changes stand", cursors, expected)
}

async fn what_is_answered_is_there(home: &dyn StoreHome) -> Checked {
    // For whoever wrote it, and for another process; asked in any way.
    let (store, other) = (&*home.open().await, &*home.open().await);
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    for seq in 1..=12 {
        let bob = user("Bob");
        let end = (seq - 1, seq);
        write(store, room.key, end, vec![message(&ann, &seq.to_string()), join(&bob)]).await?;
        let asked = if seq % 2 == 0 { store } else { other };
        match seq % 3 {
            0 => {
                let loaded = load(asked, room.info.id).await?;
                same("the end after a commit", loaded.end, Cursor::new(seq, seq + 1))?;
                same("how many members", loaded.members.len() as u64, seq + 1)?;
                same("the last message", loaded.messages.last().map(|m| m.seq), Some(seq))?;
            }
            1 => {
                let read = asked.messages(room.key, seq - 1, seq).await?;
                same_all("the message just written", read.iter().map(|m| m.seq), [seq])?;
            }
            _ => {
                let read = asked.changes(room.key, seq, 9).await?;
                same_all(
                    "the change just written",
                    read.iter().map(|c| c.cursor.change),
                    [seq + 1],
                )?;
            }
        }
    }
    Ok(())
}

async fn any_number_of_writes_fits(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let mut end = (0, 1);
    for count in [1, 2, 3, 7, 64, 511, 512, 513, 1_100] {
        let next = end.0 + 1..=end.0 + count;
        let writes = next.flat_map(|i| [message(&ann, &i.to_string()), join(&user("Bob"))]);
        let outcomes = write(store, room.key, end, writes.collect()).await?;
        let expected = (1..=count)
            .flat_map(|i| [(i, i - 1), (i, i)])
            .map(|(s, c)| stored(end.0 + s, end.1 + c));
        same_all("the outcomes", outcomes, expected)?;
        end = (end.0 + count, end.1 + count);
    }
    let loaded = load(store, room.info.id).await?;
    same("the room's end", loaded.end, cursor(end))?;
    same("how many members", loaded.members.len() as u64, end.1)?;
    said(store, room.key, 1..=end.0).await?;
    let changes = changes(store, room.key).await?;
    same_all("the changes", changes.iter().map(|change| change.cursor.change), 1..=end.1)
}

async fn many_rooms_in_one_commit_keep_their_order(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(store, &ann, 30).await?;
    for round in 0..4 {
        let writes = |room: usize| (0..5).map(move |i| format!("{room}: {}", round * 5 + i));
        let batches = rooms.iter().enumerate().rev().map(|(i, room)| {
            let writes = writes(i).map(|said| message(&ann, &said)).collect();
            batch(room.key, (round * 5, 1), writes)
        });
        let outcomes = store.append(&batches.collect::<Vec<_>>()).await?;
        let expected = done((1..=5).map(|i| stored(round * 5 + i, 1)));
        same_all("the outcomes", outcomes, rooms.iter().map(|_| expected.clone()))?;
    }
    for (i, room) in rooms.iter().enumerate() {
        said(store, room.key, (0..20).map(|n| format!("{i}: {n}"))).await?;
    }
    Ok(())
}

async fn many_rooms_at_once_keep_their_order(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = &user("Ann");
    let rooms = try_join_all((0..40).map(|_| open_room(store, ann))).await?;
    try_join_all(rooms.iter().map(|room| async move {
        for round in 0..10 {
            let writes = (0..=round % 4).map(|i| message(ann, &format!("{round}.{i}"))).collect();
            let end = load(store, room.info.id).await?.end;
            write(store, room.key, (end.seq, end.change), writes).await?;
        }
        Checked::Ok(())
    }))
    .await?;
    for room in rooms {
        let expected = (0..10).flat_map(|n| (0..=n % 4).map(move |i| format!("{n}.{i}")));
        said(store, room.key, expected).await?;
    }
    Ok(())
}

async fn many_appends_to_one_room_at_once_leave_no_gap(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = &user("Ann");
    let room = &open_room(store, ann).await?;
    let writers = (0..8).map(|writer| async move {
        for i in 0..8 {
            let writes = vec![message(ann, &format!("{writer}.{i}.0")), {
                message(ann, &format!("{writer}.{i}.1"))
            }];
            write_on(store, room, writes).await?;
        }
        Checked::Ok(())
    });
    try_join_all(writers).await?;
    let read = texts(store, room.key).await?;
    same("how many messages", read.len(), 128)?;
    for writer in 0..8 {
        let own = read.iter().filter(|text| text.starts_with(&format!("{writer}.")));
        let expected = (0..16).map(|i| format!("{writer}.{}.{}", i / 2, i % 2));
        same_all("one writer's messages", own.cloned(), expected)?;
    }
    // What was written together stands together.
    let halves = read.iter().map(|text| text.rsplit_once('.').map(|(_, half)| half));
    same_all("halves of commits", halves, (0..128).map(|i| Some(["0", "1"][i % 2])))
}

async fn one_bad_batch_does_not_hurt_the_others(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(store, &ann, 5).await?;
    let key = |i: usize| rooms[i].key;
    write(store, key(1), (0, 1), vec![message(&ann, "somebody else's")]).await?;
    write(store, key(3), (0, 1), vec![keyed(&ann, "kept", "k")]).await?;
    store.delete_room(key(2)).await?;
    let batches = [
        batch(key(0), (0, 1), vec![message(&ann, "0")]),
        batch(key(1), (0, 1), vec![message(&ann, "1"), join(&user("Bob"))]),
        batch(key(2), (0, 1), vec![message(&ann, "2")]),
        batch(key(3), (1, 1), vec![keyed(&ann, "kept", "k"), message(&ann, "3")]),
        batch(key(4), (0, 1), vec![message(&ann, "4")]),
    ];
    let expected = [
        done([stored(1, 1)]),
        BatchOutcome::Fenced,
        BatchOutcome::Gone,
        done([seen(1), stored(2, 1)]),
        done([stored(1, 1)]),
    ];
    same_all("the outcomes", store.append(&batches).await?, expected)?;
    said(store, key(0), ["0"]).await?;
    said(store, key(1), ["somebody else's"]).await?;
    same("members", load(store, rooms[1].info.id).await?.members.len(), 1)?;
    said(store, key(3), ["kept", "3"]).await?;
    said(store, key(4), ["4"]).await
}

async fn two_batches_of_a_room_follow_each_other(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let batches = [
        batch(room.key, (0, 1), vec![keyed(&ann, "1", "k")]),
        batch(room.key, (0, 1), vec![message(&ann, "late")]),
        batch(room.key, (1, 1), vec![keyed(&ann, "1", "k"), message(&ann, "2")]),
    ];
    let expected = [done([stored(1, 1)]), BatchOutcome::Fenced, done([seen(1), stored(2, 1)])];
    same_all("the outcomes", store.append(&batches).await?, expected)?;
    said(store, room.key, ["1", "2"]).await
}
