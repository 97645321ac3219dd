//! What every store must give back, run against the plainest one, in memory, and against SQLite: bytes
//! as they came, pages, members, lists, and nothing of what was deleted.

#![allow(clippy::unwrap_used, reason = "tests")]

mod store_support;

use std::collections::HashSet;

use chat_core::{
    ChangeKind, Cursor, Membership, Role, RoomId, RoomInfo, RoomKey, RoomQuery, Store, Write,
};
use store_support::*;

every_store!(
    a_new_room_has_its_owner,
    text_comes_back_byte_for_byte,
    pages_end_where_they_should,
    memberships_come_and_go,
    who_left_is_still_named,
    a_deleted_room_is_gone,
    rooms_are_listed_newest_first,
    titles_are_searched,
    ephemeral_rooms_are_known,
);

async fn a_new_room_has_its_owner(store: &dyn Store) {
    let owner = user("Ann");
    let info = info("Küche 🍳");
    store.create_room(&info, &[owner_of(&owner)]).await.unwrap();
    let room = load(store, info.id).await;
    assert_eq!(room.info, info);
    assert_eq!(room.end, Cursor::new(0, 1));
    let membership = Membership { user: owner, role: Role::Owner };
    assert_eq!(room.members, std::slice::from_ref(&membership));
    assert_eq!(room.changes.len(), 1);
    assert_eq!(room.changes[0].cursor, Cursor::new(0, 1));
    assert_eq!(room.changes[0].kind, ChangeKind::Joined(membership));
    assert_eq!(room.changes[0].at, info.created);
    assert!(room.messages.is_empty());
    assert!(store.load_room(RoomId::new(), 10).await.unwrap().is_none());
}

async fn text_comes_back_byte_for_byte(store: &dyn Store) {
    let odd = [
        " padded \n",
        "e\u{301}",
        "é",
        "\u{202e}עברית",
        "a\0b",
        "\0",
        "\r\n.",
        "👨‍👩‍👧‍👦🇩🇪",
        "'; DROP TABLE messages; --",
        "\u{feff}bom",
        "\u{ffff}\u{10ffff}",
        "\\0 %s ? ?1 :a @b $c",
    ];
    let ann = user("O'Ann 👩‍💻");
    let room = open_room(store, &ann).await;
    append(store, room.key, (0, 1), odd.iter().map(|said| message(&ann, said)).collect()).await;
    let long = "👩".repeat(4_000);
    append(store, room.key, (odd.len() as u64, 1), vec![message(&ann, &long)]).await;
    let read = messages(store, room.key).await;
    assert!(read.iter().map(|message| &*message.text).eq(odd.into_iter().chain([&*long])));
    assert!(read.iter().all(|message| message.from == ann && message.at == at(1)));
}

async fn pages_end_where_they_should(store: &dyn Store) {
    let ann = user("Ann");
    let (room, other) = (open_room(store, &ann).await, open_room(store, &ann).await);
    for key in [room.key, other.key] {
        let writes =
            (0..10).flat_map(|i| [message(&ann, &i.to_string()), join(&user("Bob"))]).collect();
        append(store, key, (0, 1), writes).await;
    }
    for (after, until, expected) in [
        (0, 10, 1..11),
        (0, u64::MAX, 1..11),
        (3, 7, 4..8),
        (9, 10, 10..11),
        (10, 11, 0..0),
        (7, 3, 0..0),
        (5, 5, 0..0),
        (u64::MAX, u64::MAX, 0..0),
        (u64::MAX - 1, 4, 0..0),
    ] {
        let read = store.messages(room.key, after, until).await.unwrap();
        assert!(
            read.iter().map(|message| message.seq).eq(expected),
            "{after} to {until}: {read:?}"
        );
    }
    for (after, limit, expected) in [
        (0, 11, 1..12),
        (0, usize::MAX, 1..12),
        (4, 3, 5..8),
        (10, 5, 11..12),
        (11, 5, 0..0),
        (u64::MAX, 5, 0..0),
        (3, 0, 0..0),
    ] {
        let read = store.changes(room.key, after, limit).await.unwrap();
        assert!(
            read.iter().map(|change| change.cursor.change).eq(expected),
            "{after}, {limit}: {read:?}"
        );
    }
    for (recent, kept) in [(0, 0), (1, 1), (4, 4), (usize::MAX, 10)] {
        let loaded = store.load_room(room.info.id, recent).await.unwrap().unwrap();
        assert!(loaded.messages.iter().map(|message| message.seq).eq(11 - kept..=10));
        assert_eq!(loaded.changes.len(), recent.min(11));
        assert!(loaded.changes.last().is_none_or(|change| change.cursor.change == 11));
        assert_eq!(loaded.end, Cursor::new(10, 11));
    }
}

async fn memberships_come_and_go(store: &dyn Store) {
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(store, &ann).await;
    // In one commit, only the last step of each member counts.
    append(
        store,
        room.key,
        (0, 1),
        vec![join(&bob), leave(&bob), join(&cyd), leave(&cyd), join(&cyd)],
    )
    .await;
    let moderator = Membership { user: bob.clone(), role: Role::Moderator };
    append(
        store,
        room.key,
        (0, 6),
        vec![leave(&cyd), Write::Change { kind: ChangeKind::Joined(moderator.clone()), at: at(9) }],
    )
    .await;
    let loaded = load(store, room.info.id).await;
    let members: HashSet<_> = loaded.members.iter().map(|m| (m.user.id, m.role)).collect();
    assert_eq!(members, HashSet::from([(ann.id, Role::Owner), (bob.id, Role::Moderator)]));
    let kinds: Vec<_> = loaded.changes.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["joined", "joined", "left", "joined", "left", "joined", "left", "joined"]);
    assert_eq!(loaded.changes.last().unwrap().kind, ChangeKind::Joined(moderator));
    // Joining again is no second membership.
    append(store, room.key, (0, 8), vec![join(&bob)]).await;
    let loaded = load(store, room.info.id).await;
    assert_eq!(loaded.members.len(), 2);
    assert!(loaded.members.contains(&member(&bob)));
}

async fn who_left_is_still_named(store: &dyn Store) {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await;
    append(store, room.key, (0, 1), vec![join(&bob), message(&bob, "bye"), leave(&bob)]).await;
    // Somebody who never was a member may write too: whether is for the engine to say.
    let bot = user("Bot");
    append(store, room.key, (1, 3), vec![message(&bot, "beep"), message(&bot, "boop")]).await;
    let authors: Vec<_> =
        messages(store, room.key).await.into_iter().map(|message| message.from).collect();
    assert_eq!(authors, [bob, bot.clone(), bot]);
}

async fn a_deleted_room_is_gone(store: &dyn Store) {
    let ann = user("Ann");
    let (room, other) = (open_room(store, &ann).await, open_room(store, &ann).await);
    for key in [room.key, other.key] {
        append(store, key, (0, 1), vec![keyed(&ann, "hello", "k"), join(&user("Bob"))]).await;
    }
    store.delete_room(room.key).await.unwrap();
    assert!(store.load_room(room.info.id, 10).await.unwrap().is_none());
    assert!(messages(store, room.key).await.is_empty());
    assert!(store.changes(room.key, 0, 10).await.unwrap().is_empty());
    let listed = store.list_rooms(&RoomQuery { limit: 10, ..RoomQuery::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.info.id).collect::<Vec<_>>(), [other.info.id]);
    store.delete_room(room.key).await.unwrap();
    store.delete_room(RoomKey(12_345)).await.unwrap();
    let left = load(store, other.info.id).await;
    assert_eq!((left.end, left.members.len()), (Cursor::new(1, 2), 2));
}

async fn rooms_are_listed_newest_first(store: &dyn Store) {
    let ann = user("Ann");
    let mut ids = Vec::new();
    for i in 0..7 {
        let info = info(&format!("room {i}"));
        store.create_room(&info, &[owner_of(&ann)]).await.unwrap();
        ids.insert(0, info.id);
    }
    let third = load(store, ids[2]).await;
    append(store, third.key, (0, 1), vec![join(&user("Bob")), join(&user("Cyd")), leave(&ann)])
        .await;
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page =
            store.list_rooms(&RoomQuery { title: String::new(), after, limit: 3 }).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.info.id);
        seen.extend(page);
    }
    assert!(seen.iter().map(|listed| listed.info.id).eq(ids));
    assert!(seen.iter().map(|listed| listed.members).eq([1, 1, 2, 1, 1, 1, 1]));
    assert_eq!(seen[0].info.title.as_ref().unwrap().to_string(), "room 6");
    let none = RoomQuery { limit: 0, ..RoomQuery::default() };
    assert!(store.list_rooms(&none).await.unwrap().is_empty());
}

async fn titles_are_searched(store: &dyn Store) {
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
        store.create_room(&info(title), &[owner_of(&ann)]).await.unwrap();
    }
    for (query, found) in [
        ("", 9),
        ("ÜBER", 1),
        ("über", 1),
        ("%", 1),
        ("_", 1),
        ("a%b", 0),
        ("δΟΚ", 1),
        ("чАТ", 1),
        ("팅", 1),
        ("🍣", 1),
        ("🍺", 0),
        ("'", 1),
        ("\\", 1),
        ("kaffee", 1),
        ("\0", 0),
    ] {
        let query = RoomQuery { title: query.into(), after: None, limit: 20 };
        assert_eq!(store.list_rooms(&query).await.unwrap().len(), found, "{query:?}");
    }
}

async fn ephemeral_rooms_are_known(store: &dyn Store) {
    let ann = user("Ann");
    open_room(store, &ann).await;
    let brief = RoomInfo { ephemeral: true, ..info("brief") };
    store.create_room(&brief, &[owner_of(&ann)]).await.unwrap();
    assert_eq!(store.ephemeral_rooms().await.unwrap(), [brief.id]);
    let loaded = load(store, brief.id).await;
    assert_eq!(loaded.info, brief);
    store.delete_room(loaded.key).await.unwrap();
    assert!(store.ephemeral_rooms().await.unwrap().is_empty());
}
