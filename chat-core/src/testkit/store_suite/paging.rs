//! Reading ranges, at both ends and in the middle; listing and finding rooms.

use futures_util::future::try_join;

use super::support::*;
use super::{StoreHome, cases};
use crate::model::{Cursor, RoomInfo};
use crate::store::{LoadedRoom, RoomQuery, Store};

cases!(
    pages_of_messages_end_where_they_should,
    pages_of_changes_end_where_they_should,
    a_room_is_loaded_with_its_latest,
    a_room_is_loaded_as_it_is_at_one_moment,
    rooms_are_listed_newest_first,
    titles_are_searched,
);

/// Two rooms, whose 10 messages and 11 changes stand among each other's.
async fn two_rooms(store: &dyn Store) -> Checked<[LoadedRoom; 2]> {
    let ann = user("Ann");
    let rooms = [open_room(store, &ann).await?, open_room(store, &ann).await?];
    for i in 0..10 {
        for room in &rooms {
            let writes = vec![message(&ann, &(i + 1).to_string()), join(&user("Bob"))];
            write(store, room.key, (i, i + 1), writes).await?;
        }
    }
    Ok(rooms)
}

async fn pages_of_messages_end_where_they_should(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let [room, _] = two_rooms(store).await?;
    let signed = i64::MAX as u64;
    for (after, until, expected) in [
        (0, 10, 1..11),
        (0, u64::MAX, 1..11),
        (0, 1, 1..2),
        (3, 7, 4..8),
        (9, 10, 10..11),
        (9, u64::MAX, 10..11),
        (0, 0, 0..0),
        (10, 11, 0..0),
        (7, 3, 0..0),
        (5, 5, 0..0),
        (4, signed, 5..11),
        (4, signed + 1, 5..11),
        (signed, signed + 1, 0..0),
        (signed + 1, u64::MAX, 0..0),
        (u64::MAX, u64::MAX, 0..0),
        (u64::MAX, 0, 0..0),
        (u64::MAX - 1, 4, 0..0),
    ] {
        let read = store.messages(room.key, after, until).await?;
        let read = read.iter().map(|message| (message.seq, message.text().to_owned()));
        let what = format_args!("messages above {after}, up to {until}").to_string();
        same_all(what, read, expected.map(|seq| (seq, seq.to_string())))?;
    }
    Ok(())
}

async fn pages_of_changes_end_where_they_should(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let [room, _] = two_rooms(store).await?;
    for (after, limit, expected) in [
        (0, 11, 1..12),
        (0, usize::MAX, 1..12),
        (0, 1, 1..2),
        (4, 3, 5..8),
        (10, 5, 11..12),
        (10, 1, 11..12),
        (11, 5, 0..0),
        (u64::MAX, 5, 0..0),
        (u64::MAX, usize::MAX, 0..0),
        (i64::MAX as u64 + 1, 1, 0..0),
        (3, 0, 0..0),
    ] {
        let read = store.changes(room.key, after, limit).await?;
        let read = read.iter().map(|change| change.cursor.change);
        same_all(format!("changes above {after}, at most {limit}"), read, expected)?;
    }
    Ok(())
}

async fn a_room_is_loaded_with_its_latest(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let [room, _] = two_rooms(store).await?;
    for recent in [0, 1, 4, 10, 11, 12, usize::MAX] {
        let Some(loaded) = store.load_room(room.info.id, recent).await? else {
            return failed("load_room answers None for a room that is there");
        };
        let seqs = loaded.messages.iter().map(|message| message.seq);
        same_all(format!("the last {recent} messages"), seqs, 11 - recent.min(10) as u64..11)?;
        let changes = loaded.changes.iter().map(|change| change.cursor.change);
        same_all(format!("the last {recent} changes"), changes, 12 - recent.min(11) as u64..12)?;
        same("the room's end", loaded.end, Cursor::new(10, 11))?;
        same("how many members", loaded.members.len(), 11)?;
        same("the room's number", loaded.key, room.key)?;
    }
    Ok(())
}

async fn a_room_is_loaded_as_it_is_at_one_moment(home: &dyn StoreHome) -> Checked {
    let (store, other) = (&*home.open().await, &*home.open().await);
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let writing = async {
        for seq in 0..100 {
            let writes = vec![message(&ann, "x"), join(&user("Bob"))];
            write(store, room.key, (seq, seq + 1), writes).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    let reading = async {
        loop {
            for store in [store, other] {
                let loaded = load(store, room.info.id).await?;
                let Cursor { seq, change } = loaded.end;
                same("messages and changes of a commit", change, seq + 1)?;
                same_all("the messages", loaded.messages.iter().map(|m| m.seq), 1..=seq)?;
                let changes = loaded.changes.iter().map(|change| change.cursor.change);
                same_all("the changes", changes, 1..=change)?;
                same("how many members", loaded.members.len() as u64, change)?;
                if seq == 100 {
                    return Ok(());
                }
            }
            tokio::task::yield_now().await;
        }
    };
    try_join(writing, reading).await.map(drop)
}

async fn rooms_are_listed_newest_first(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let mut rooms = Vec::new();
    for i in 0..7 {
        let info = RoomInfo { ephemeral: i == 3, created: at(i), ..info(&format!("room {i}")) };
        create(store, &info, &[owner(&ann)]).await?;
        rooms.insert(0, info);
    }
    let third = load(store, rooms[2].id).await?;
    let writes = vec![join(&user("Bob")), join(&user("Cyd")), leave(&ann), invite(&user("Dan"))];
    write(store, third.key, (0, 1), writes).await?;
    for limit in [1, 2, 3, 7, 8, usize::MAX] {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let query = RoomQuery { title: String::new(), after, limit };
            let page = store.list_rooms(&query).await?;
            check(page.len() <= limit, format_args!("{} are at most {limit}", page.len()))?;
            let Some(last) = page.last() else { break };
            after = Some(last.info.id);
            found.extend(page);
            check(found.len() <= rooms.len(), "no room is listed twice")?;
        }
        same_all("the rooms", found.iter().map(|room| &room.info), &rooms)?;
        let counts = found.iter().map(|room| room.members);
        same_all("how many members they have", counts, [1, 1, 2, 1, 1, 1, 1])?;
    }
    // A page goes on where a room was that is gone now.
    store.delete_room(third.key).await?;
    let query = RoomQuery { title: String::new(), after: Some(third.info.id), limit: 3 };
    let page = store.list_rooms(&query).await?;
    same_all("the rooms before a deleted one", page.iter().map(|room| &room.info), &rooms[3..6])?;
    let none = RoomQuery { limit: 0, ..RoomQuery::default() };
    same("at most 0 rooms", store.list_rooms(&none).await?.len(), 0)
}

async fn titles_are_searched(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    for title in [
        "Übergrößen",
        "100% Kaffee",
        "a_b",
        "Δοκιμή",
        "Чат",
        "채팅방",
        "🍣 Sushi",
        "it's",
        "back\\slash",
    ] {
        create(store, &info(title), &[owner(&ann)]).await?;
    }
    for (query, found) in [
        ("", 9),
        ("Kaffee", 1),
        ("0% K", 1),
        ("%", 1),
        ("_", 1),
        ("a%b", 0),
        ("Ü", 1),
        ("größe", 1),
        ("οκιμ", 1),
        ("ат", 1),
        ("팅", 1),
        ("🍣", 1),
        ("🍺", 0),
        ("'", 1),
        ("\\", 1),
        ("\0", 0),
        ("nowhere", 0),
    ] {
        let titles = listed(store, query).await?;
        let titles: Vec<_> = titles.iter().filter_map(|room| room.info.title.as_ref()).collect();
        same(format_args!("how many of {titles:?} have {query:?}"), titles.len(), found)?;
    }
    let query = RoomQuery { title: "a".into(), after: None, limit: 1 };
    same("a limit on what is found", store.list_rooms(&query).await?.len(), 1)
}
