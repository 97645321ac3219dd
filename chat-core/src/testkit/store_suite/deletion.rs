//! A deleted room is gone with all that belongs to it, and nothing of it reaches another room.

use futures_util::future::try_join;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::Cursor;
use crate::store::{BatchOutcome, RoomKey};

cases!(
    a_deleted_room_is_gone,
    a_room_that_is_not_there_is_gone,
    a_deleted_rooms_number_is_not_given_out_again,
    a_big_room_is_deleted_while_others_write,
);

async fn a_deleted_room_is_gone(home: &dyn StoreHome) -> Checked {
    let ann = user("Ann");
    let store = home.open().await;
    let (room, other) = (open_room(&*store, &ann).await?, open_room(&*store, &ann).await?);
    for key in [room.key, other.key] {
        let writes = vec![keyed(&ann, "hello", "k"), join(&user("Bob")), invite(&user("Cyd"))];
        write(&*store, key, (0, 1), writes).await?;
    }
    let before = contents(&*store, &other).await?;
    store.delete_room(room.key).await?;
    // A second time it does nothing, and neither of a room that never was.
    store.delete_room(room.key).await?;
    store.delete_room(RoomKey(12_345)).await?;
    store.delete_room(RoomKey(-1)).await?;
    let mut store = Some(store);
    for _ in 0..2 {
        let open = match store.take() {
            Some(store) => store,
            None => home.open().await,
        };
        let open = &*open;
        check(open.load_room(room.info.id, 10).await?.is_none(), "the room is not loaded")?;
        same("its messages", messages(open, room.key).await?, vec![])?;
        same("its changes", changes(open, room.key).await?, vec![])?;
        let listed = listed(open, "").await?;
        same_all("the listed rooms", listed.iter().map(|room| room.info.id), [other.info.id])?;
        let outcome = append(open, room.key, (1, 3), vec![message(&ann, "late")]).await?;
        same("a late batch", outcome, BatchOutcome::Gone)?;
        same("another room", contents(open, &other).await?, before.clone())?;
    }
    let store = home.open().await;
    let outcome = append(&*store, other.key, (1, 3), vec![keyed(&ann, "hello", "k")]).await?;
    same("the other room's key", outcome, done([seen(1)]))
}

async fn a_room_that_is_not_there_is_gone(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let live = open_room(store, &ann).await?;
    store.delete_room(room.key).await?;
    for key in [room.key, RoomKey(i64::MAX), RoomKey(i64::MIN), RoomKey(-1), RoomKey(0)] {
        for after in [(0, 1), (0, 0), (7, 7)] {
            let writes = vec![message(&ann, "no"), join(&ann), keyed(&ann, "no", "k")];
            let outcome = append(store, key, after, writes).await?;
            same(format_args!("room {key:?}"), outcome, BatchOutcome::Gone)?;
            same("nothing", append(store, key, after, vec![]).await?, BatchOutcome::Gone)?;
        }
        same("its messages", messages(store, key).await?, vec![])?;
        same("its changes", changes(store, key).await?, vec![])?;
    }
    same("the live room", load(store, live.info.id).await?.end, Cursor::new(0, 1))
}

async fn a_deleted_rooms_number_is_not_given_out_again(home: &dyn StoreHome) -> Checked {
    let ann = user("Ann");
    let mut gone = Vec::new();
    for _ in 0..5 {
        // The last one is what a simple counter would give out again, above all after a restart.
        let store = home.open().await;
        let rooms = open_rooms(&*store, &ann, 3).await?;
        for room in rooms.iter().rev() {
            check(!gone.contains(&room.key), format_args!("{:?} is a new number", room.key))?;
            store.delete_room(room.key).await?;
            gone.push(room.key);
        }
        let room = open_room(&*store, &ann).await?;
        check(!gone.contains(&room.key), format_args!("{:?} is a new number", room.key))?;
        for key in &gone {
            let outcome = append(&*store, *key, (0, 1), vec![message(&ann, "late")]).await?;
            same("a late batch", outcome, BatchOutcome::Gone)?;
        }
        said(&*store, room.key, [""; 0]).await?;
        store.delete_room(room.key).await?;
        gone.push(room.key);
    }
    Ok(())
}

async fn a_big_room_is_deleted_while_others_write(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = &user("Ann");
    let (big, small) = (open_room(store, ann).await?, open_room(store, ann).await?);
    for page in 0..3 {
        let writes = (0..1_000).flat_map(|_| [message(ann, "x"), join(&user("Bob"))]).collect();
        write(store, big.key, (page * 1_000, page * 1_000 + 1), writes).await?;
    }
    let writing = async {
        for seq in 0..20 {
            let outcome = append(store, small.key, (seq, 1), vec![message(ann, "x")]).await?;
            same("a write meanwhile", outcome, done([stored(seq + 1, 1)]))?;
            // Whatever is left of the big room, nobody is to write to it once it is not loaded.
            if store.load_room(big.info.id, 1).await?.is_none() {
                let outcome = append(store, big.key, (3_000, 3_001), vec![message(ann, "late")]);
                same("a late batch", outcome.await?, BatchOutcome::Gone)?;
            }
        }
        Checked::Ok(())
    };
    let deleting = async { Ok(store.delete_room(big.key).await?) };
    try_join(deleting, writing).await?;
    same("its messages", messages(store, big.key).await?, vec![])?;
    same("its changes", changes(store, big.key).await?, vec![])?;
    said(store, small.key, ["x"; 20]).await
}
