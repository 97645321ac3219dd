//! Open, private, direct and ephemeral rooms.

use std::collections::HashSet;

use futures_util::future::try_join_all;

use super::support::*;
use super::{StoreHome, cases};
use crate::ids::RoomId;
use crate::model::{Membership, Role, RoomInfo, User};
use crate::store::Store;

cases!(
    only_open_rooms_are_listed,
    rooms_of_every_kind_come_back_as_they_were,
    a_pair_has_one_direct_room,
    a_pair_has_one_direct_room_however_many_open_it_at_once,
    a_deleted_direct_room_can_be_opened_anew,
    ephemeral_rooms_are_known,
);

async fn only_open_rooms_are_listed(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let open = create(store, &info("tea room"), &[owner(&ann)]).await?;
    let hidden = create(store, &private("tea room"), &[owner(&ann)]).await?;
    create(store, &direct(), &[member(&ann), member(&bob)]).await?;
    write(store, hidden.key, (0, 1), vec![invite(&bob), join(&bob)]).await?;
    for title in ["", "tea"] {
        let listed = listed(store, title).await?;
        same_all("the listed rooms", listed.iter().map(|room| &room.info), [&open.info])?;
    }
    Ok(())
}

async fn rooms_of_every_kind_come_back_as_they_were(home: &dyn StoreHome) -> Checked {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let brief = |info: RoomInfo| RoomInfo { ephemeral: true, ..info };
    let kinds = [info("open"), private("private"), brief(info("open")), brief(private("private"))];
    let store = home.open().await;
    for info in &kinds {
        create(&*store, info, &[owner(&ann)]).await?;
    }
    let pair = direct();
    create(&*store, &pair, &[member(&ann), member(&bob)]).await?;
    drop(store);
    let store = home.open().await;
    for info in kinds.iter().chain([&pair]) {
        let loaded = load(&*store, info.id).await?;
        same("the room", &loaded.info, info)?;
        // Each is written to like any other.
        let end = (loaded.end.seq, loaded.end.change);
        write(&*store, loaded.key, end, vec![keyed(&ann, "x", "k")]).await?;
        said(&*store, loaded.key, ["x"]).await?;
    }
    Ok(())
}

/// Opens the direct room of two users; answers its id.
async fn open_direct(store: &dyn Store, one: &User, other: &User) -> Checked<RoomId> {
    let id = store.create_room(&direct(), &[member(one), member(other)], None).await?;
    id.map_or_else(|| failed("a room without a key has no id"), Ok)
}

/// The room is the pair's: two members, who joined once each.
async fn is_direct_room_of(store: &dyn Store, id: RoomId, pair: [&User; 2]) -> Checked {
    let room = load(store, id).await?;
    same("the direct room's title", &room.info.title, &None)?;
    let expected = members(pair.map(|user| (user, Role::Member)));
    same_all("the direct room's members", members_of(&room), expected)?;
    same("the direct room's end", room.end, cursor((0, 2)))
}

async fn a_pair_has_one_direct_room(home: &dyn StoreHome) -> Checked {
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let store = home.open().await;
    let id = open_direct(&*store, &ann, &bob).await?;
    for _ in 0..2 {
        same("opened again", open_direct(&*store, &ann, &bob).await?, id)?;
        same("opened by the other", open_direct(&*store, &bob, &ann).await?, id)?;
    }
    is_direct_room_of(&*store, id, [&ann, &bob]).await?;
    let others = [
        open_direct(&*store, &ann, &cyd).await?,
        open_direct(&*store, &cyd, &bob).await?,
        open_direct(&*store, &user("Ann"), &user("Bob")).await?,
    ];
    check(!others.contains(&id), "another pair gets another room")?;
    same("how many rooms other pairs have", HashSet::from(others).len(), 3)?;
    // Two who are in rooms of other kinds have no direct room by that.
    let both = [owner(&ann), Membership { user: bob.clone(), role: Role::Member }];
    for info in [info("both"), private("both"), info("both"), private("both")] {
        create(&*store, &info, &both).await?;
    }
    same("opened again", open_direct(&*store, &ann, &bob).await?, id)?;
    drop(store);
    let store = home.open().await;
    same("opened after a restart", open_direct(&*store, &bob, &ann).await?, id)?;
    same("the other pair's", open_direct(&*store, &cyd, &ann).await?, others[0])?;
    is_direct_room_of(&*store, id, [&ann, &bob]).await
}

async fn a_pair_has_one_direct_room_however_many_open_it_at_once(home: &dyn StoreHome) -> Checked {
    let stores = [home.open().await, home.open().await];
    for _ in 0..5 {
        let (ann, bob, cyd) = (&user("Ann"), &user("Bob"), &user("Cyd"));
        let opening = (0..16).map(|i| {
            let store = &*stores[i / 2 % 2];
            let other = if i % 4 == 3 { cyd } else { bob };
            let (one, two) = if i % 2 == 0 { (ann, other) } else { (other, ann) };
            open_direct(store, one, two)
        });
        let opened = try_join_all(opening).await?;
        let (first, last) = (opened[0], opened[3]);
        check(first != last, "another pair gets another room")?;
        let expected = (0..16).map(|i| if i % 4 == 3 { last } else { first });
        same_all("the rooms", opened.iter().copied(), expected)?;
        for store in &stores {
            is_direct_room_of(&**store, first, [ann, bob]).await?;
            is_direct_room_of(&**store, last, [ann, cyd]).await?;
        }
    }
    Ok(())
}

async fn a_deleted_direct_room_can_be_opened_anew(home: &dyn StoreHome) -> Checked {
    let (store, other) = (&*home.open().await, &*home.open().await);
    let (ann, bob) = (user("Ann"), user("Bob"));
    let mut ids = HashSet::new();
    let mut keys = HashSet::new();
    for _ in 0..4 {
        let id = open_direct(store, &ann, &bob).await?;
        check(ids.insert(id), "a deleted room's id is not given out again")?;
        is_direct_room_of(store, id, [&ann, &bob]).await?;
        let room = load(store, id).await?;
        check(keys.insert(room.key), "a deleted room's number is not given out again")?;
        let outcomes = write(other, room.key, (0, 2), vec![keyed(&ann, "x", "k")]).await?;
        same_all("the first message", outcomes, [stored(1, 2)])?;
        other.delete_room(room.key).await?;
        check(store.load_room(id, 1).await?.is_none(), "the deleted room is gone")?;
    }
    let id = open_direct(store, &bob, &ann).await?;
    same("opened again", open_direct(other, &ann, &bob).await?, id)
}

async fn ephemeral_rooms_are_known(home: &dyn StoreHome) -> Checked {
    let ann = user("Ann");
    let store = home.open().await;
    same("before there is one", store.ephemeral_rooms().await?, vec![])?;
    open_room(&*store, &ann).await?;
    let mut brief = Vec::new();
    for info in [info("brief"), private("brief"), info("brief")] {
        let info = RoomInfo { ephemeral: true, ..info };
        brief.push(create(&*store, &info, &[owner(&ann)]).await?);
    }
    write(&*store, brief[0].key, (0, 1), vec![leave(&ann), message(&ann, "x")]).await?;
    for _ in 0..2 {
        let mut known = home.open().await.ephemeral_rooms().await?;
        known.sort_unstable();
        same_all("ephemeral rooms", known, brief.iter().map(|room| room.info.id))?;
    }
    store.delete_room(brief[1].key).await?;
    drop(store);
    let store = home.open().await;
    let mut known = store.ephemeral_rooms().await?;
    known.sort_unstable();
    same_all("those that are left", known, [brief[0].info.id, brief[2].info.id])
}
