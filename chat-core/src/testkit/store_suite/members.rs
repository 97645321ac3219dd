//! Who is a member, in which role, and who has been invited.

use super::support::*;
use super::{StoreHome, cases};
use crate::ids::UserId;
use crate::model::{ChangeKind, Cursor, Membership, Name, Role, User};
use crate::store::{LoadedRoom, Write};

cases!(
    a_new_room_has_its_members,
    memberships_come_and_go,
    roles_are_kept,
    an_invitation_lasts_until_its_guest_joins,
    invitations_count_in_one_room,
    changes_are_kept_as_they_were,
);

async fn a_new_room_has_its_members(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let moderator = Membership { user: bob.clone(), role: Role::Moderator };
    for first in [vec![], vec![owner(&ann)], vec![owner(&ann), moderator, member(&cyd)]] {
        let info = info("Küche 🍳");
        let room = create(store, &info, &first).await?;
        same("the room", &room.info, &info)?;
        let count = first.len() as u64;
        same("its end", room.end, Cursor::new(0, count))?;
        same("its members", room.members.len(), first.len())?;
        for membership in &first {
            check(room.members.contains(membership), format_args!("{membership:?} is in it"))?;
        }
        same("its invited", room.invited, vec![])?;
        same("its messages", room.messages, vec![])?;
        let cursors = room.changes.iter().map(|change| change.cursor);
        same_all("its changes", cursors, (1..=count).map(|change| Cursor::new(0, change)))?;
        let kinds = room.changes.iter().map(|change| change.kind.clone());
        same_all("its changes", kinds, first.into_iter().map(ChangeKind::Joined))?;
        let times = room.changes.iter().map(|change| change.at);
        same_all("when they were", times, (0..count).map(|_| info.created))?;
    }
    let nobodys = store.load_room(crate::ids::RoomId::new(), 10).await?;
    check(nobodys.is_none(), "a room that never was is not there")
}

async fn memberships_come_and_go(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob, cyd) = (user("Ann"), user("Bob"), user("Cyd"));
    let room = open_room(store, &ann).await?;
    let other = open_room(store, &bob).await?;
    // In one commit, only the last step of each member counts.
    let writes = vec![join(&bob), leave(&bob), join(&cyd), leave(&cyd), join(&cyd)];
    write(store, room.key, (0, 1), writes).await?;
    let loaded = load(store, room.info.id).await?;
    let expected = members([(&ann, Role::Owner), (&cyd, Role::Member)]);
    same_all("members", members_of(&loaded), expected)?;
    let moderator = Membership { user: bob.clone(), role: Role::Moderator };
    let kind = ChangeKind::Joined(moderator);
    write(
        store,
        room.key,
        (0, 6),
        vec![leave(&cyd), Write::Change { kind, by: None, at: at(9), key: None }],
    )
    .await?;
    let loaded = load(store, room.info.id).await?;
    let expected = members([(&ann, Role::Owner), (&bob, Role::Moderator)]);
    same_all("members", members_of(&loaded), expected)?;
    // Joining again is no second membership; leaving twice is nothing.
    let writes = vec![join(&bob), leave(&cyd), leave(&user("Dan")), leave(&ann)];
    write(store, room.key, (0, 8), writes).await?;
    let loaded = load(store, room.info.id).await?;
    same_all("members", members_of(&loaded), members([(&bob, Role::Member)]))?;
    same("the end", loaded.end, Cursor::new(0, 12))?;
    // Nobody has come to another room or left it.
    let loaded = load(store, other.info.id).await?;
    same_all("the other room's", members_of(&loaded), members([(&bob, Role::Owner)]))
}

async fn roles_are_kept(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    let roles = [Role::Owner, Role::Moderator, Role::Member];
    let users = [user("Ann"), user("Bob"), user("Cyd")];
    let room = open_room(&*store, &user("Zoe")).await?;
    write(&*store, room.key, (0, 1), vec![leave(&room.members[0].user)]).await?;
    for shift in 0..3 {
        let memberships = users.iter().zip(roles.iter().cycle().skip(shift));
        let memberships: Vec<_> = memberships.map(|(user, role)| (user, *role)).collect();
        let joining = memberships.iter().map(|(user, role)| {
            let membership = Membership { user: User::clone(user), role: *role };
            Write::Change { kind: ChangeKind::Joined(membership), by: None, at: at(1), key: None }
        });
        let end = (0, 2 + 3 * shift as u64);
        write(&*store, room.key, end, joining.collect()).await?;
        let loaded = load(&*home.open().await, room.info.id).await?;
        let expected = [memberships[0], memberships[1], memberships[2]];
        same_all("roles", members_of(&loaded), members(expected))?;
        let last = &loaded.changes[loaded.changes.len().saturating_sub(3)..];
        let told = last.iter().map(|change| change.kind.membership().role);
        same_all("the changes' roles", told, expected.map(|(_, role)| role))?;
    }
    Ok(())
}

fn invited(room: &LoadedRoom) -> Vec<(UserId, String)> {
    let mut invited: Vec<_> =
        room.invited.iter().map(|user| (user.id, user.name.to_string())).collect();
    invited.sort_unstable();
    invited
}

fn guests(users: &[&User]) -> Vec<(UserId, String)> {
    let mut guests: Vec<_> = users.iter().map(|user| (user.id, user.name.to_string())).collect();
    guests.sort_unstable();
    guests
}

async fn an_invitation_lasts_until_its_guest_joins(home: &dyn StoreHome) -> Checked {
    let (ann, bob, cyd) = (user("Ann"), user("Bob 🍣 "), user("Cyd"));
    let store = home.open().await;
    let room = create(&*store, &private("a private room"), &[owner(&ann)]).await?;
    // Each step is a commit: what is written, and who is invited after it.
    let steps: [(Vec<Write>, &[&User], usize); 9] = [
        (vec![invite(&bob)], &[&bob], 1),
        (vec![invite(&bob), invite(&cyd)], &[&bob, &cyd], 1),
        // Whoever has left is as invited as before.
        (vec![leave(&cyd)], &[&bob, &cyd], 1),
        (vec![join(&bob)], &[&cyd], 2),
        (vec![leave(&bob)], &[&cyd], 1),
        (vec![invite(&bob), join(&bob)], &[&cyd], 2),
        (vec![join(&cyd), leave(&cyd), invite(&cyd)], &[&cyd], 2),
        (vec![leave(&bob), invite(&bob), leave(&bob)], &[&bob, &cyd], 1),
        (vec![join(&bob), join(&cyd)], &[], 3),
    ];
    let mut end = (0, 1);
    for (i, (writes, expected, members)) in steps.into_iter().enumerate() {
        let next = (0, end.1 + writes.len() as u64);
        write(&*store, room.key, end, writes).await?;
        end = next;
        let loaded = load(&*store, room.info.id).await?;
        same_all(
            format!("who is invited after step {}", i + 1),
            invited(&loaded),
            guests(expected),
        )?;
        same("how many are members", loaded.members.len(), members)?;
        same("the room's end", loaded.end, cursor(end))?;
    }
    write(&*store, room.key, end, vec![invite(&user("Dan")), leave(&bob), invite(&bob)]).await?;
    let before = load(&*store, room.info.id).await?;
    drop(store);
    let after = load(&*home.open().await, room.info.id).await?;
    same_all("who is invited after a restart", invited(&after), invited(&before))?;
    same("how many are invited", after.invited.len(), 2)
}

async fn invitations_count_in_one_room(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let one = create(store, &private("one"), &[owner(&ann)]).await?;
    let two = create(store, &private("two"), &[owner(&ann)]).await?;
    let both = [one.key, two.key].map(|key| batch(key, (0, 1), vec![invite(&bob)]));
    let outcomes = store.append(&both).await?;
    same_all("the outcomes", outcomes, [done([stored(0, 2)]), done([stored(0, 2)])])?;
    write(store, one.key, (0, 2), vec![join(&bob)]).await?;
    same_all("guests of one", invited(&load(store, one.info.id).await?), [])?;
    same_all("guests of two", invited(&load(store, two.info.id).await?), guests(&[&bob]))?;
    // A guest's name is the last that was seen.
    let robert = User { name: Name::new("Robert")?, ..bob };
    write(store, two.key, (0, 2), vec![invite(&robert)]).await?;
    same_all("guests of two", invited(&load(store, two.info.id).await?), guests(&[&robert]))
}

async fn changes_are_kept_as_they_were(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await?;
    let moderator = |user: &User| Membership { user: user.clone(), role: Role::Moderator };
    let kinds = [
        ChangeKind::Invited(moderator(&bob)),
        ChangeKind::Joined(moderator(&bob)),
        ChangeKind::Left(member(&bob)),
        ChangeKind::Invited(owner(&bob)),
    ];
    let steps = kinds.iter().zip(10..);
    let writes = steps.clone().flat_map(|(kind, ms)| {
        [message(&ann, "x"), Write::Change { kind: kind.clone(), by: None, at: at(ms), key: None }]
    });
    write(store, room.key, (0, 1), writes.collect()).await?;
    let read = store.changes(room.key, 1, 9).await?;
    let read = read.into_iter().map(|change| (change.cursor, change.kind, change.at));
    let expected =
        steps.zip(1..).map(|((kind, ms), i)| (Cursor::new(i, i + 1), kind.clone(), at(ms)));
    same_all("the changes", read, expected)
}
