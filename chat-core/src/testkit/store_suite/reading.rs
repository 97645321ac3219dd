//! How far members have read: positions that move forward only, and what stands behind them, counted whatever
//! becomes of messages; the rooms of a user, the latest activity first.

use super::support::*;
use super::{StoreHome, cases};
use crate::command::{OwnRoomQuery, Standing};
use crate::ids::{RoomId, UserId};
use crate::model::{Activity, Body, ChangeKind, Edit, Reading, RoomInfo, Unread, User};
use crate::store::{Batch, BatchOutcome, Store, Write};

cases!(
    positions_move_forward_only,
    whoever_joins_has_read_what_was_there,
    a_position_ends_with_its_membership,
    positions_follow_what_others_wrote,
    what_is_unread_is_counted,
    what_is_deleted_or_edited_counts_as_it_is_now,
    the_rooms_of_a_user_are_listed_by_activity,
    a_standing_says_how_the_room_is,
    a_deleted_room_takes_its_positions_along,
);

fn reads<const N: usize>(all: [(&User, u64); N]) -> Write {
    Write::Read(all.map(|(user, seq)| Reading { user: user.id, seq }).to_vec())
}

/// A page of somebody's rooms, threads too.
pub(super) fn own(before: Option<Activity>, limit: usize) -> OwnRoomQuery {
    OwnRoomQuery { before, threads: true, limit }
}

fn mentioning(from: &User, said: &str, mentioned: &[&User]) -> Write {
    let mentions = mentioned.iter().map(|user| user.id).collect();
    let body = Body { mentions, ..Body::text(text(said)) };
    Write::Message { from: from.clone(), body, at: at(5), key: None }
}

/// How far members have read, as it is loaded, in the order of their positions.
async fn positions(store: &dyn Store, room: RoomId) -> Checked<Vec<(UserId, u64)>> {
    let readings = load(store, room).await?.readings.into_iter();
    let mut all: Vec<_> = readings.map(|reading| (reading.user, reading.seq)).collect();
    all.sort_unstable_by_key(|(_, seq)| *seq);
    // Nobody has read anything who has no position.
    all.retain(|(_, seq)| *seq > 0);
    Ok(all)
}

async fn standing(store: &dyn Store, user: &User, room: RoomId) -> Checked<Option<Standing>> {
    let mut all = store.standings(user.id, &[room]).await?;
    same("how many standings there are of one room", all.len().max(1), 1)?;
    Ok(all.pop())
}

async fn unread(store: &dyn Store, user: &User, room: RoomId) -> Checked<(u64, u64, u64)> {
    match standing(store, user, room).await? {
        Some(Standing { read, unread: Unread { messages, mentions }, .. }) => {
            Ok((read, messages, mentions))
        }
        None => failed(format!("{user:?} has no standing in its room")),
    }
}

async fn positions_move_forward_only(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let texts = ["one", "two", "three"].map(|text| message(&ann, text));
    write(&*store, room.key, (0, 1), texts.into_iter().chain([join(&bob)]).collect()).await?;
    let done = write(&*store, room.key, (3, 2), vec![reads([(&ann, 2)])]).await?;
    same_all("a position takes no number", done, [stored(3, 2)])?;
    write(&*store, room.key, (3, 2), vec![reads([(&ann, 1), (&bob, 1)])]).await?;
    for store in [&*store, &*home.open().await] {
        let expected = vec![(ann.id, 2), (bob.id, 3)];
        same("how far they have read", positions(store, room.info.id).await?, expected)?;
    }
    let more = vec![message(&bob, "four"), reads([(&ann, 3)]), reads([(&ann, 4), (&bob, 4)])];
    let done = write(&*store, room.key, (3, 2), more).await?;
    same_all("positions among others", done, [stored(4, 2), stored(4, 2), stored(4, 2)])?;
    let mut all = positions(&*store, room.info.id).await?;
    all.sort_unstable();
    let mut expected = vec![(ann.id, 4), (bob.id, 4)];
    expected.sort_unstable();
    same("how far they have read then", all, expected)
}

async fn whoever_joins_has_read_what_was_there(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let writes = vec![message(&ann, "one"), join(&bob), message(&ann, "two")];
    write(&*store, room.key, (0, 1), writes).await?;
    same("what a newcomer has to read", unread(&*store, &bob, room.info.id).await?, (1, 1, 0))?;
    write(&*store, room.key, (2, 2), vec![leave(&bob), message(&ann, "three"), join(&bob)]).await?;
    same("and who came back", unread(&*store, &bob, room.info.id).await?, (3, 0, 0))
}

async fn a_position_ends_with_its_membership(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, eve) = (user("Ann"), user("Bob"), user("Eve"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "one"), join(&bob)]).await?;
    write(&*store, room.key, (1, 2), vec![leave(&bob), reads([(&bob, 1), (&eve, 1)])]).await?;
    for store in [&*store, &*home.open().await] {
        same("the positions", positions(store, room.info.id).await?, Vec::new())?;
        same("the standing of one who left", standing(store, &bob, room.info.id).await?, None)?;
    }
    write(&*store, room.key, (1, 3), vec![reads([(&bob, 1), (&ann, 1)])]).await?;
    same("the positions then", positions(&*store, room.info.id).await?, vec![(ann.id, 1)])
}

async fn positions_follow_what_others_wrote(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    let other = home.open().await;
    write(&*other, room.key, (0, 1), vec![message(&ann, "one"), message(&ann, "two")]).await?;
    let batch = Batch { may_follow: true, ..batch(room.key, (1, 1), vec![reads([(&ann, 1)])]) };
    match &store.append(&[batch]).await?[..] {
        [BatchOutcome::Followed { between, outcomes }] => {
            same_all("what came between", between.iter().map(|message| message.seq), [2])?;
            same_all("where the room stands", outcomes.clone(), [stored(2, 1)])?;
        }
        // A store need not be able to.
        [BatchOutcome::Fenced] => return Ok(()),
        other => return failed(format!("expected that it follows, got {other:?}")),
    }
    same("the position", positions(&*store, room.info.id).await?, vec![(ann.id, 1)])
}

async fn what_is_unread_is_counted(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let writes = vec![
        join(&bob),
        message(&ann, "one"),
        mentioning(&ann, "two @bob", &[&bob]),
        message(&bob, "three"),
        mentioning(&ann, "four @bob @ann", &[&user("Eve"), &bob]),
        mentioning(&ann, "five", &[&user("Eve")]),
    ];
    write(&*store, room.key, (0, 1), writes).await?;
    for store in [&*store, &*home.open().await] {
        same("what Bob has to read", unread(store, &bob, room.info.id).await?, (0, 4, 2))?;
        same("what Ann has to read", unread(store, &ann, room.info.id).await?, (0, 1, 0))?;
    }
    write(&*store, room.key, (5, 2), vec![reads([(&bob, 2), (&ann, 5)])]).await?;
    same("what is left to Bob", unread(&*store, &bob, room.info.id).await?, (2, 2, 1))?;
    same("what is left to Ann", unread(&*store, &ann, room.info.id).await?, (5, 0, 0))
}

async fn what_is_deleted_or_edited_counts_as_it_is_now(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(&*store, &ann).await?;
    let change = |kind| Write::Change { kind, by: None, at: at(6), key: None };
    let edit = |seq, said: &str, mentions: &[&User]| {
        let edit =
            Edit { text: text(said), mentions: mentions.iter().map(|user| user.id).collect() };
        change(ChangeKind::Edited(member(&ann), seq, Some(edit)))
    };
    let delete = |seq| change(ChangeKind::Deleted(member(&ann), seq));
    let said = [
        message(&ann, "one"),
        mentioning(&ann, "two @bob", &[&bob]),
        message(&ann, "three"),
        mentioning(&ann, "four @bob", &[&bob]),
    ];
    write(&*store, room.key, (0, 1), std::iter::once(join(&bob)).chain(said).collect()).await?;
    let amends = vec![delete(1), edit(2, "two", &[]), edit(3, "three @bob", &[&bob]), delete(4)];
    write(&*store, room.key, (4, 2), amends).await?;
    for store in [&*store, &*home.open().await] {
        same("what is left", unread(store, &bob, room.info.id).await?, (0, 2, 1))?;
    }
    store.erase(room.key, ann.id, 0, 4).await?;
    same("what is left of what is erased", unread(&*store, &bob, room.info.id).await?, (0, 0, 0))
}

async fn the_rooms_of_a_user_are_listed_by_activity(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let mut rooms = Vec::new();
    for _ in 0..4 {
        rooms.push(open_room(&*store, &ann).await?);
    }
    let said = |millis| message_at(&ann, "hello", at(millis));
    write(&*store, rooms[0].key, (0, 1), vec![said(102)]).await?;
    write(&*store, rooms[1].key, (0, 1), vec![said(101), join(&bob)]).await?;
    write(&*store, rooms[2].key, (0, 1), vec![said(101)]).await?;
    // Two of the same moment: the greater id is the later one.
    let mut expected = vec![rooms[2].info.id, rooms[1].info.id];
    expected.sort_unstable_by(|one, other| other.cmp(one));
    expected.insert(0, rooms[0].info.id);
    expected.push(rooms[3].info.id);
    for store in [&*store, &*home.open().await] {
        let all = store.active_rooms(ann.id, &own(None, 10)).await?;
        same_all("her rooms", all.iter().map(|active| active.room), expected.clone())?;
        let mut before = None;
        let mut paged = Vec::new();
        while let [active] = store.active_rooms(ann.id, &own(before, 1)).await?[..] {
            paged.push(active);
            before = Some(active);
            if paged.len() > all.len() {
                break;
            }
        }
        same("her rooms, page by page", paged, all)?;
        let of_bob = store.active_rooms(bob.id, &own(None, 10)).await?;
        let expected = Activity { at: at(101), room: rooms[1].info.id };
        same("Bob's rooms", of_bob, vec![expected])?;
        same(
            "nobody's rooms",
            store.active_rooms(user("Eve").id, &own(None, 9)).await?,
            Vec::new(),
        )?;
        same("no rooms", store.active_rooms(ann.id, &own(None, 0)).await?, Vec::new())?;
    }
    Ok(())
}

async fn a_standing_says_how_the_room_is(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (one, two) = (open_room(&*store, &ann).await?, open_room(&*store, &ann).await?);
    write(&*store, one.key, (0, 1), vec![join(&bob), message(&bob, "hello")]).await?;
    let mut all = store.standings(ann.id, &[one.info.id, two.info.id, RoomId::new()]).await?;
    all.sort_unstable_by_key(|standing| standing.room.info.id != one.info.id);
    let [first, second] = &all[..] else {
        return failed(format!("expected two standings, got {all:?}"));
    };
    let infos: [&RoomInfo; 2] = [&first.room.info, &second.room.info];
    same("the rooms", infos, [&one.info, &two.info])?;
    same("who is a member", first.room.counts.members, 2)?;
    same("who is online", first.room.counts.online, 0)?;
    same("where it stands", first.cursor, cursor((1, 2)))?;
    let last = first.last.as_ref().map(|last| (last.seq, last.text(), &last.from));
    same("what was said last", last, Some((1, "hello", &bob)))?;
    same("what was said in an empty room", &second.last, &None)?;
    same("what is to be read there", second.unread, Unread::default())?;
    let none = store.standings(bob.id, &[two.info.id]).await?;
    same("how rooms of others stand", none, Vec::new())
}

async fn a_deleted_room_takes_its_positions_along(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![message(&ann, "one"), reads([(&ann, 1)])]).await?;
    store.delete_room(room.key).await?;
    same("her rooms", store.active_rooms(ann.id, &own(None, 9)).await?, Vec::new())?;
    same("how it stands", store.standings(ann.id, &[room.info.id]).await?, Vec::new())
}
