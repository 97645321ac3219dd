//! Roles, bans, mutes and settings: what the owner and moderators of a room have done.

use super::support::*;
use super::{StoreHome, cases};
use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::model::{ChangeKind, Cursor, Membership, Restriction, Role, Settings, User, WhoInvites};
use crate::store::{LoadedRoom, Write};

cases!(
    a_role_changes_and_nothing_else_does,
    a_transfer_changes_two_roles,
    a_ban_ends_membership_and_invitation,
    restrictions_last_until_they_are_lifted,
    restrictions_count_in_one_room,
    settings_are_kept,
    changes_say_who_did_what_until_when,
);

fn act(kind: ChangeKind, by: &User) -> Write {
    Write::Change { kind, by: Some(by.clone()), at: at(6), key: None }
}

fn role(user: &User, role: Role) -> Membership {
    Membership { user: user.clone(), role }
}

fn ban(user: &User, until: Option<Timestamp>, by: &User) -> Write {
    act(ChangeKind::Banned(member(user), until), by)
}

fn mute(user: &User, until: Option<Timestamp>, by: &User) -> Write {
    act(ChangeKind::Muted(member(user), until), by)
}

fn set(settings: Settings, by: &User) -> Write {
    Write::Change {
        kind: ChangeKind::Settings(owner(by), settings),
        by: None,
        at: at(7),
        key: None,
    }
}

type Listed = Vec<(UserId, String, Option<Timestamp>)>;

fn restricted(restrictions: &[Restriction]) -> Listed {
    let listed = restrictions.iter().map(|one| (one.user.id, one.user.name.to_string(), one.until));
    let mut listed: Vec<_> = listed.collect();
    listed.sort_unstable();
    listed
}

fn these(restrictions: &[(&User, Option<Timestamp>)]) -> Listed {
    let all = restrictions
        .iter()
        .map(|(user, until)| Restriction { user: (*user).clone(), until: *until });
    restricted(&all.collect::<Vec<_>>())
}

fn banned_and_muted(room: &LoadedRoom) -> [Listed; 2] {
    [restricted(&room.bans), restricted(&room.mutes)]
}

async fn a_role_changes_and_nothing_else_does(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![join(&bob), join(&cyd)]).await?;
    let up = |user| act(ChangeKind::Role(role(user, Role::Moderator)), &ann);
    let down = |user| act(ChangeKind::Role(role(user, Role::Member)), &ann);
    let steps = [
        (vec![up(&bob)], Role::Moderator, Role::Member),
        (vec![down(&bob), up(&cyd)], Role::Member, Role::Moderator),
        // In one commit, the last step counts.
        (vec![up(&bob), down(&bob), down(&cyd), up(&cyd)], Role::Member, Role::Moderator),
    ];
    let mut end = 3;
    for (writes, bobs, cyds) in steps {
        let count = writes.len() as u64;
        write(&*store, room.key, (0, end), writes).await?;
        end += count;
        let loaded = load(&*home.open().await, room.info.id).await?;
        let expected = members([(&ann, Role::Owner), (&bob, bobs), (&cyd, cyds)]);
        same_all("roles", members_of(&loaded), expected)?;
        same("the end", loaded.end, Cursor::new(0, end))?;
    }
    Ok(())
}

async fn a_transfer_changes_two_roles(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(&*store, &ann).await?;
    let other = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![join(&bob), join(&cyd)]).await?;
    let transfer = |from: &User, to: &User| act(ChangeKind::Transferred(owner(to)), from);
    write(&*store, room.key, (0, 3), vec![transfer(&ann, &bob)]).await?;
    let roles = [(&ann, Role::Moderator), (&bob, Role::Owner), (&cyd, Role::Member)];
    same_all("roles", members_of(&load(&*store, room.info.id).await?), members(roles))?;
    // On and back in one commit.
    let writes = vec![transfer(&bob, &cyd), transfer(&cyd, &ann)];
    write(&*store, room.key, (0, 4), writes).await?;
    drop(store);
    let store = home.open().await;
    let loaded = load(&*store, room.info.id).await?;
    let roles = [(&ann, Role::Owner), (&bob, Role::Moderator), (&cyd, Role::Moderator)];
    same_all("roles", members_of(&loaded), members(roles))?;
    let last = loaded.changes.last().map(|change| (change.kind.clone(), change.by.clone()));
    same("the last change", last, Some((ChangeKind::Transferred(owner(&ann)), Some(cyd))))?;
    let other = load(&*store, other.info.id).await?;
    same_all("the other room's roles", members_of(&other), members([(&ann, Role::Owner)]))
}

async fn a_ban_ends_membership_and_invitation(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, cyd, dan) = (user("Ann"), user("Bob"), user("Cyd"), user("Dan 🍣 "));
    let room = create(&*store, &private("a private room"), &[owner(&ann)]).await?;
    write(&*store, room.key, (0, 1), vec![join(&bob), invite(&cyd), join(&dan)]).await?;
    let kick = act(ChangeKind::Kicked(member(&dan)), &ann);
    write(
        &*store,
        room.key,
        (0, 4),
        vec![ban(&bob, None, &ann), ban(&cyd, Some(at(99)), &ann), kick],
    )
    .await?;
    let check_room = async |expected: &[(&User, Option<Timestamp>)]| {
        let loaded = load(&*home.open().await, room.info.id).await?;
        same_all("members", members_of(&loaded), members([(&ann, Role::Owner)]))?;
        same("who is invited", loaded.invited.clone(), vec![])?;
        let [bans, mutes] = banned_and_muted(&loaded);
        same_all("bans", bans, these(expected))?;
        same_all("mutes", mutes, [])
    };
    check_room(&[(&bob, None), (&cyd, Some(at(99)))]).await?;
    // Somebody who is neither a member nor invited may be banned too.
    write(&*store, room.key, (0, 7), vec![ban(&dan, Some(at(50)), &ann)]).await?;
    check_room(&[(&bob, None), (&cyd, Some(at(99))), (&dan, Some(at(50)))]).await?;
    // In one commit, the last step counts.
    let writes = vec![join(&bob), invite(&bob), ban(&bob, Some(at(70)), &ann)];
    write(&*store, room.key, (0, 8), writes).await?;
    check_room(&[(&bob, Some(at(70))), (&cyd, Some(at(99))), (&dan, Some(at(50)))]).await
}

async fn restrictions_last_until_they_are_lifted(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(&*store, &ann).await?;
    write(&*store, room.key, (0, 1), vec![join(&bob), join(&cyd)]).await?;
    let unban = |user| act(ChangeKind::Unbanned(member(user)), &ann);
    let unmute = |user| act(ChangeKind::Unmuted(member(user)), &ann);
    let end = |millis| Some(at(millis));
    type Kept<'a> = &'a [(&'a User, Option<Timestamp>)];
    let (one, two) = (end(1_000_000), end(2_000_123));
    let steps: [(Vec<Write>, Kept<'_>, Kept<'_>); 9] = [
        (vec![mute(&bob, one, &ann)], &[], &[(&bob, one)]),
        // Another end takes the place of the one before.
        (vec![mute(&bob, None, &ann)], &[], &[(&bob, None)]),
        (vec![mute(&bob, two, &ann), mute(&cyd, None, &ann)], &[], &[(&bob, two), (&cyd, None)]),
        // A mute outlasts the membership; a ban stands beside it.
        (vec![leave(&bob)], &[], &[(&bob, two), (&cyd, None)]),
        (vec![join(&bob)], &[], &[(&bob, two), (&cyd, None)]),
        (vec![ban(&bob, one, &ann)], &[(&bob, one)], &[(&bob, two), (&cyd, None)]),
        (vec![unmute(&bob), ban(&bob, None, &ann)], &[(&bob, None)], &[(&cyd, None)]),
        (vec![unban(&bob), unban(&cyd), mute(&cyd, one, &ann)], &[], &[(&cyd, one)]),
        (vec![ban(&bob, one, &ann), unban(&bob), unmute(&cyd)], &[], &[]),
    ];
    let mut number = 3;
    for (i, (writes, bans, mutes)) in steps.into_iter().enumerate() {
        let count = writes.len() as u64;
        write(&*store, room.key, (0, number), writes).await?;
        number += count;
        let loaded = load(&*home.open().await, room.info.id).await?;
        let [banned, muted] = banned_and_muted(&loaded);
        same_all(format!("bans after step {}", i + 1), banned, these(bans))?;
        same_all(format!("mutes after step {}", i + 1), muted, these(mutes))?;
    }
    write(&*store, room.key, (0, number), vec![ban(&bob, two, &ann), mute(&cyd, None, &ann)])
        .await?;
    drop(store);
    let loaded = load(&*home.open().await, room.info.id).await?;
    let expected = [these(&[(&bob, two)]), these(&[(&cyd, None)])];
    same("bans and mutes after a restart", banned_and_muted(&loaded), expected)
}

async fn restrictions_count_in_one_room(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let rooms = open_rooms(store, &ann, 3).await?;
    let both = [&rooms[0], &rooms[1]].map(|room| {
        batch(room.key, (0, 1), vec![join(&bob), mute(&bob, None, &ann), ban(&bob, None, &ann)])
    });
    let stored = done([stored(0, 2), stored(0, 3), stored(0, 4)]);
    same_all("the outcomes", store.append(&both).await?, [stored.clone(), stored])?;
    let lift = [
        act(ChangeKind::Unbanned(member(&bob)), &ann),
        act(ChangeKind::Unmuted(member(&bob)), &ann),
    ];
    write(store, rooms[0].key, (0, 4), lift.to_vec()).await?;
    let expected = [[these(&[]), these(&[])], [these(&[(&bob, None)]), these(&[(&bob, None)])]];
    for (room, expected) in rooms.iter().zip(expected.into_iter().chain([Default::default()])) {
        let loaded = load(store, room.info.id).await?;
        same("bans and mutes", banned_and_muted(&loaded), expected)?;
    }
    Ok(())
}

async fn settings_are_kept(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let ann = user("Ann");
    let rooms = open_rooms(&*store, &ann, 2).await?;
    same("settings of a new room", rooms[0].settings, Settings::default())?;
    let mut end = 1;
    for invite in [WhoInvites::Moderators, WhoInvites::Members] {
        for (slow_s, read_only) in [(0, true), (1, false), (21_600, true)] {
            let settings = Settings { invite, slow_s, read_only };
            // In one commit, the last ones count.
            let writes = vec![set(Settings::default(), &ann), set(settings, &ann)];
            write(&*store, rooms[0].key, (0, end), writes).await?;
            end += 2;
            let loaded = load(&*home.open().await, rooms[0].info.id).await?;
            same("settings", loaded.settings, settings)?;
            let told = loaded.changes.last().and_then(|change| change.kind.settings());
            same("the settings of the change", told, Some(settings))?;
        }
    }
    let before = load(&*store, rooms[0].info.id).await?.settings;
    drop(store);
    let store = home.open().await;
    let after = load(&*store, rooms[0].info.id).await?;
    same("settings after a restart", after.settings, before)?;
    let other = load(&*store, rooms[1].info.id).await?;
    same("another room's settings", other.settings, Settings::default())
}

async fn changes_say_who_did_what_until_when(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    // Known from nowhere else.
    let mo = user("Mo\u{301} 🧹 ");
    let room = open_room(store, &ann).await?;
    let settings = Settings { invite: WhoInvites::Moderators, slow_s: 30, read_only: false };
    let kinds = [
        ChangeKind::Invited(member(&bob)),
        ChangeKind::Joined(member(&bob)),
        ChangeKind::Role(role(&bob, Role::Moderator)),
        ChangeKind::Muted(role(&bob, Role::Moderator), Some(at(1_234_567))),
        ChangeKind::Muted(role(&bob, Role::Moderator), None),
        ChangeKind::Unmuted(role(&bob, Role::Moderator)),
        ChangeKind::Kicked(role(&bob, Role::Moderator)),
        ChangeKind::Banned(member(&bob), Some(at(7_654_321))),
        ChangeKind::Banned(member(&bob), None),
        ChangeKind::Unbanned(member(&bob)),
        ChangeKind::Settings(owner(&ann), settings),
    ];
    let by = |i: usize| [None, Some(mo.clone()), Some(ann.clone())][i % 3].clone();
    let writes = kinds.iter().enumerate().flat_map(|(i, kind)| {
        let change = Write::Change { kind: kind.clone(), by: by(i), at: at(i as i64), key: None };
        [message(&ann, "x"), change]
    });
    write(store, room.key, (0, 1), writes.collect()).await?;
    let read = store.changes(room.key, 1, 99).await?;
    let read = read.into_iter().map(|change| (change.cursor, change.kind, change.by, change.at));
    let expected = kinds.iter().enumerate().map(|(i, kind)| {
        let number = i as u64 + 1;
        (Cursor::new(number, number + 1), kind.clone(), by(i), at(i as i64))
    });
    same_all("the changes", read, expected)
}
