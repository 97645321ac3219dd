//! What every store of this crate keeps about people, and that it keeps it under many who ask at once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;

use std::sync::Arc;

use chat_core::{ClientKey, Name, Timestamp, User, UserId};
use chat_server::people::{
    Changed, Circle, Created, Departure, FriendChange, GroupName, MOST_GROUPS, Made, NewAccount,
    NewGroup, NewLogin, PasswordHash, ProfileChange, Reach, RefreshHash, RefreshToken, Refreshed,
    Search, Status, Username,
};
use chat_server::store::{MySqlOptions, MySqlStore, SqlStore, SqliteStore};
use database::Database;
use futures_util::future::join_all;
use tempfile::TempDir;
use uuid::Uuid;

/// One database, opened twice.
struct Kept {
    stores: [Arc<dyn SqlStore>; 2],
    _place: Place,
}

enum Place {
    Folder { _folder: TempDir },
    Database { _database: Database },
}

async fn sqlite() -> Kept {
    let folder = TempDir::new().unwrap();
    let open = async || SqliteStore::open(&folder.path().join("chat.db")).await.unwrap();
    let stores = [Arc::new(open().await) as _, Arc::new(open().await) as _];
    Kept { stores, _place: Place::Folder { _folder: folder } }
}

async fn mariadb() -> Kept {
    let database = Database::new().await;
    let open = async || MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    let stores = [Arc::new(open().await) as _, Arc::new(open().await) as _];
    Kept { stores, _place: Place::Database { _database: database } }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
}

fn account(username: &str) -> NewAccount {
    NewAccount {
        user: User::new(UserId::new(), Name::new(username.to_uppercase()).unwrap()),
        username: Username::new(username).unwrap(),
        password: PasswordHash::stored(format!("hash of {username}")),
        was_guest: false,
        created: at(0),
    }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::stored(text.to_owned())
}

fn login() -> NewLogin {
    let token = RefreshToken::random().unwrap().hash();
    NewLogin { id: Uuid::now_v7(), token, created: at(0), expires: at(1_000) }
}

async fn sign_up(store: &dyn SqlStore, username: &str) -> (User, NewLogin) {
    let (account, login) = (account(username), login());
    assert_eq!(store.create_account(&account, &login).await.unwrap(), Created::Done);
    (account.user, login)
}

fn token() -> RefreshHash {
    RefreshToken::random().unwrap().hash()
}

macro_rules! of_every_store {
    ($($name:ident)*) => {
        mod sqlite_keeps {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::sqlite().await).await;
            })*
        }

        mod mariadb_keeps {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::mariadb().await).await;
            })*
        }
    };
}

of_every_store! {
    what_was_kept_is_found
    a_name_is_given_once_however_many_ask
    a_token_is_exchanged_once_however_many_try
    logins_end_one_or_all
    old_logins_are_forgotten
    people_are_found_by_the_beginning_of_either_name
    groups_of_friends_come_and_go
    friends_are_each_ones_own_affair
    who_is_blocked_is_no_friend
    a_profile_changes
    whoever_is_deleted_is_gone_from_everywhere
}

async fn what_was_kept_is_found(kept: Kept) {
    let [one, other] = &kept.stores;
    let (alice, login) = sign_up(&**one, "alice").await;
    let found = other.account(alice.id, alice.id).await.unwrap().unwrap();
    assert_eq!((&found.user, &*found.username, found.created), (&alice, "alice", at(0)));
    let credentials = other.credentials(&Username::new("ALICE").unwrap()).await.unwrap().unwrap();
    assert_eq!(credentials.password.expose(), "hash of alice");
    assert_eq!(credentials.user, alice);
    assert!(other.account(UserId::new(), alice.id).await.unwrap().is_none());
    assert!(other.credentials(&Username::new("bob").unwrap()).await.unwrap().is_none());
    // What is tried again because nobody knows whether it was committed is done once.
    let again = NewAccount { user: alice.clone(), ..account("alice") };
    assert_eq!(other.create_account(&again, &login).await.unwrap(), Created::Done);
    let another = self::login();
    assert_eq!(other.create_account(&again, &another).await.unwrap(), Created::HasAccount);
    let (old, new) = (hash("hash of alice"), hash("another"));
    assert!(one.begin_login(alice.id, &another, &old, None).await.unwrap());
    assert!(other.begin_login(alice.id, &another, &old, Some(&new)).await.unwrap());
    let credentials = other.credentials_of(alice.id).await.unwrap().unwrap();
    assert_eq!(credentials.password, new, "kept in another way");
    // Whoever has shown what is not kept any more does nothing.
    assert!(!one.begin_login(alice.id, &self::login(), &old, None).await.unwrap());
    assert!(!one.begin_login(alice.id, &self::login(), &old, Some(&old)).await.unwrap());
    let pair = (&old, &hash("a third"));
    assert_eq!(other.set_password(alice.id, pair, at(9), login.id).await.unwrap(), None);
    let gone = User::new(alice.id, Name::new("deleted user").unwrap());
    assert_eq!(other.delete_account(&gone, &old, true, at(9)).await.unwrap(), None);
    let credentials = other.credentials_of(alice.id).await.unwrap().unwrap();
    assert_eq!((credentials.password, credentials.user), (new, alice));
    assert_eq!(one.departures().await.unwrap(), []);
    assert!(other.ended_since(at(0)).await.unwrap().logins.is_empty());
}

async fn a_name_is_given_once_however_many_ask(kept: Kept) {
    for round in 0..5 {
        let name = format!("name{round}");
        let tries = (0..16).map(|nth| {
            let (store, account) = (Arc::clone(&kept.stores[nth % 2]), account(&name));
            async move { store.create_account(&account, &login()).await.unwrap() }
        });
        let outcomes = join_all(tries).await;
        let done = outcomes.iter().filter(|outcome| **outcome == Created::Done).count();
        let taken = outcomes.iter().filter(|outcome| **outcome == Created::UsernameTaken).count();
        assert_eq!((done, taken), (1, 15), "{outcomes:?}");
    }
}

async fn a_token_is_exchanged_once_however_many_try(kept: Kept) {
    let (alice, login) = sign_up(&*kept.stores[0], "alice").await;
    let mut current = login.token;
    for _ in 0..5 {
        let tries = (0..16).map(|nth| {
            let (store, next) = (Arc::clone(&kept.stores[nth % 2]), token());
            async move { (store.refresh(&current, &next, at(10), at(2_000)).await.unwrap(), next) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(tries)
            .await
            .into_iter()
            .partition(|(outcome, _)| matches!(outcome, Refreshed::Done { .. }));
        assert_eq!(won.len(), 1, "{won:?}");
        let done = Refreshed::Done { user: alice.clone(), login: login.id };
        assert_eq!(won[0].0, done);
        for (outcome, _) in lost {
            assert_eq!(outcome, Refreshed::Used { user: alice.id, login: login.id, at: at(10) });
        }
        // Tried again, because nobody knew whether it was committed: the same.
        let again = kept.stores[1].refresh(&current, &won[0].1, at(11), at(2_000)).await.unwrap();
        assert_eq!(again, done);
        current = won[0].1;
    }
    // Past its time, nobody's, or of a login that has ended.
    let store = &kept.stores[0];
    let late = store.refresh(&current, &token(), at(2_000), at(3_000)).await.unwrap();
    assert_eq!(late, Refreshed::Unknown);
    let nobodys = store.refresh(&token(), &token(), at(20), at(2_000)).await.unwrap();
    assert_eq!(nobodys, Refreshed::Unknown);
    assert!(store.end_login(login.id, at(20)).await.unwrap());
    let ended = store.refresh(&current, &token(), at(21), at(2_000)).await.unwrap();
    assert_eq!(ended, Refreshed::Unknown);
}

async fn logins_end_one_or_all(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, first) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let logins: Vec<_> = (0..3).map(|_| login()).collect();
    let old = hash("hash of alice");
    for login in &logins {
        assert!(store.begin_login(alice.id, login, &old, None).await.unwrap());
    }
    assert!(store.end_login(first.id, at(1)).await.unwrap());
    assert!(!other.end_login(first.id, at(2)).await.unwrap(), "once");
    let new = hash("another");
    for _ in 0..2 {
        // Also tried again, because nobody knew whether it was committed.
        let pair = (&old, &new);
        let ended = other.set_password(alice.id, pair, at(3), logins[0].id).await.unwrap();
        let mut ended = ended.expect("it is the one that is kept");
        ended.sort_unstable();
        assert_eq!(ended, [logins[1].id, logins[2].id]);
    }
    assert_eq!(store.end_logins(alice.id, at(4)).await.unwrap(), [logins[0].id]);
    assert!(store.end_logins(alice.id, at(5)).await.unwrap().is_empty());
    // A guest who signed up is told too, and bob's login has nothing to do with it.
    let guest = NewAccount { was_guest: true, created: at(3), ..account("guest") };
    store.create_account(&guest, &login()).await.unwrap();
    let since = other.ended_since(at(3)).await.unwrap();
    let mut logins_since = since.logins.clone();
    logins_since.sort_unstable();
    let mut expected = vec![(logins[1].id, at(3)), (logins[2].id, at(3)), (logins[0].id, at(4))];
    expected.sort_unstable();
    assert_eq!(logins_since, expected);
    assert_eq!(since.guests, [(guest.user.id, at(3))]);
    assert_eq!(other.ended_since(at(6)).await.unwrap(), Default::default());
    assert_eq!(store.end_logins(bob.id, at(6)).await.unwrap().len(), 1);
}

async fn old_logins_are_forgotten(kept: Kept) {
    let store = &kept.stores[0];
    let (alice, first) = sign_up(&**store, "alice").await;
    let next = token();
    store.refresh(&first.token, &next, at(1), at(5_000)).await.unwrap();
    for _ in 0..250 {
        let old = hash("hash of alice");
        assert!(store.begin_login(alice.id, &login(), &old, None).await.unwrap());
    }
    assert_eq!(store.forget_logins(at(1_000)).await.unwrap(), 0, "they are good at this moment");
    let mut forgotten = 0;
    loop {
        match store.forget_logins(at(1_001)).await.unwrap() {
            0 => break,
            some => forgotten += some,
        }
        assert!(forgotten <= 251);
    }
    assert_eq!(forgotten, 251, "with the first one's first token");
    assert_eq!(store.end_logins(alice.id, at(2)).await.unwrap(), [first.id], "it has another");
    assert_eq!(store.forget_logins(at(6_000)).await.unwrap(), 1);
    assert_eq!(store.ended_since(at(0)).await.unwrap().logins, []);
}

async fn people_are_found_by_the_beginning_of_either_name(kept: Kept) {
    let store = &kept.stores[0];
    for username in ["bob", "boris", "carol", "50-cent"] {
        sign_up(&**store, username).await;
    }
    let nickname = Name::new("BOOM 100%_").unwrap();
    let zoe = NewAccount { user: User::new(UserId::new(), nickname), ..account("zoe") };
    store.create_account(&zoe, &login()).await.unwrap();
    let asker = zoe.user.id;
    let find = async |beginning: &str, after: Option<&str>, limit| {
        let (beginning, after) = (beginning.to_owned(), after.map(str::to_owned));
        let found = store.search(Search { asker, beginning, after, limit }).await.unwrap();
        found.iter().map(|account| account.username.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(find("bo", None, 10).await, "bob boris zoe");
    assert_eq!(find("bo", None, 2).await, "bob boris");
    assert_eq!(find("bo", Some("boris"), 2).await, "zoe");
    assert_eq!(find("boo", None, 10).await, "zoe");
    for none in ["%", "_", "b%", "ob", "'", "\\", "bob\0"] {
        assert_eq!(find(none, None, 10).await, "", "{none}");
    }
    // Who has blocked the one who asks is not there, and asks and finds as before.
    let boris = Search { asker, beginning: "boris".into(), after: None, limit: 1 };
    let boris = store.search(boris).await.unwrap()[0].user.id;
    store.block(boris, asker, at(1)).await.unwrap();
    assert_eq!(find("bo", None, 10).await, "bob zoe");
    assert!(store.account(boris, asker).await.unwrap().is_none());
    assert!(store.account(asker, boris).await.unwrap().is_some());
    assert!(store.account(boris, boris).await.unwrap().is_some());
}

fn new_group(id: Uuid, name: &str) -> NewGroup {
    NewGroup { id, name: GroupName::new(name.to_owned()).unwrap(), key: None, at: at(1) }
}

async fn groups_of_friends_come_and_go(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, _) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let name = |text: &str| GroupName::new(text.to_owned()).unwrap();
    let (work, home) = (Uuid::now_v7(), Uuid::now_v7());
    let add = async |user: &User, group: NewGroup| store.add_group(user.id, &group).await.unwrap();
    for (id, text) in [(work, "Work"), (work, "Work"), (home, "집")] {
        assert_eq!(add(&alice, new_group(id, text)).await, Made::Done(id));
    }
    let change = FriendChange { group: Some(Some(work)), ..FriendChange::default() };
    assert_eq!(store.add_friend(alice.id, bob.id, change, at(1)).await.unwrap(), Changed::Done);
    let groups = async |user| {
        let groups = other.groups(user).await.unwrap();
        let show =
            |group: &chat_server::people::Group| format!("{} {}", &*group.name, group.friends);
        groups.iter().map(show).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(groups(alice.id).await, "Work 1, 집 0");
    assert_eq!(groups(bob.id).await, "");
    // Nobody else's.
    let stranger = bob.id;
    for done in [
        store.rename_group(stranger, work, &name("x")).await.unwrap(),
        store.remove_group(stranger, work).await.unwrap(),
        store.add_friend(stranger, alice.id, change, at(1)).await.unwrap(),
    ] {
        assert_eq!(done, Changed::NoSuchGroup);
    }
    assert_eq!(store.rename_group(alice.id, work, &name("Work!")).await.unwrap(), Changed::Done);
    assert_eq!(store.rename_group(alice.id, work, &name("Work!")).await.unwrap(), Changed::Done);
    assert_eq!(groups(alice.id).await, "Work! 1, 집 0");
    assert_eq!(store.remove_group(alice.id, work).await.unwrap(), Changed::Done);
    assert_eq!(store.remove_group(alice.id, work).await.unwrap(), Changed::NoSuchGroup);
    let friend = other.friend(alice.id, bob.id).await.unwrap().unwrap();
    assert_eq!(friend.group, None, "it falls into the default one");
    // With a key, once, whatever it was called or whether it was removed since; and for each user by itself.
    let keyed = |text: &str| {
        let key = Some(ClientKey::new("g1").unwrap());
        NewGroup { key, ..new_group(Uuid::now_v7(), text) }
    };
    let Made::Done(once) = add(&alice, keyed("Once")).await else { panic!("it is made") };
    store.rename_group(alice.id, once, &name("Twice")).await.unwrap();
    assert_eq!(add(&alice, keyed("Once")).await, Made::Done(once));
    assert_eq!(groups(alice.id).await, "집 0, Twice 0");
    assert_eq!(store.remove_group(alice.id, once).await.unwrap(), Changed::Done);
    assert_eq!(add(&alice, keyed("Once")).await, Made::Done(once));
    assert_eq!(add(&alice, keyed("Twice")).await, Made::KeyConflict);
    assert_eq!(groups(alice.id).await, "집 0");
    assert!(matches!(add(&bob, keyed("Twice")).await, Made::Done(id) if id != once));
    // All at once, also over two connections to the database.
    let all = (0..8).map(|nth| {
        let group = NewGroup { key: Some(ClientKey::new("g2").unwrap()), ..keyed("Crowd") };
        let store = Arc::clone(&kept.stores[nth % 2]);
        let alice = alice.id;
        async move { store.add_group(alice, &group).await.unwrap() }
    });
    let all = join_all(all).await;
    assert!(all.iter().all(|made| matches!(made, Made::Done(_)) && *made == all[0]), "{all:?}");
    assert_eq!(groups(alice.id).await, "집 0, Crowd 0");
    for _ in 2..MOST_GROUPS {
        let id = Uuid::now_v7();
        assert_eq!(add(&alice, new_group(id, "one more")).await, Made::Done(id));
    }
    assert_eq!(add(&alice, new_group(Uuid::now_v7(), "too many")).await, Made::TooMany);
    assert_eq!(add(&alice, keyed("Once")).await, Made::Done(once), "though no more has a place");
}

async fn friends_are_each_ones_own_affair(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, _) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let (carol, _) = sign_up(&**store, "carol").await;
    let plain = FriendChange::default();
    let add = async |user: &User, friend: &User| {
        store.add_friend(user.id, friend.id, plain, at(1)).await.unwrap()
    };
    assert_eq!(add(&alice, &bob).await, Changed::Done);
    assert_eq!(add(&alice, &bob).await, Changed::Done);
    assert_eq!(add(&alice, &carol).await, Changed::Done);
    let nobody = UserId::new();
    let added = store.add_friend(alice.id, nobody, plain, at(1)).await.unwrap();
    assert_eq!(added, Changed::NoSuchUser);
    let of = async |user: &User| {
        let friends = other.friends(user.id).await.unwrap();
        let show = |friend: &chat_server::people::Friend| {
            let flags = [(friend.favourite, "*"), (friend.hidden, "-"), (friend.mutual, "=")];
            let flags = flags.iter().filter(|(set, _)| *set).map(|(_, sign)| *sign);
            format!("{}{}", &*friend.username, flags.collect::<String>())
        };
        friends.iter().map(show).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(&alice).await, "bob carol");
    assert_eq!(of(&bob).await, "");
    assert_eq!(add(&bob, &alice).await, Changed::Done);
    assert_eq!((of(&alice).await, of(&bob).await), ("bob= carol".into(), "alice=".into()));
    let change = |favourite, hidden| FriendChange { group: None, favourite, hidden };
    let favourite = change(Some(true), None);
    store.change_friend(alice.id, carol.id, favourite).await.unwrap();
    store.change_friend(alice.id, carol.id, change(None, Some(true))).await.unwrap();
    assert_eq!(of(&alice).await, "carol*- bob=");
    store.change_friend(alice.id, carol.id, change(Some(false), Some(false))).await.unwrap();
    assert_eq!(of(&alice).await, "bob= carol");
    let not = store.change_friend(carol.id, alice.id, favourite).await.unwrap();
    assert_eq!(not, Changed::NotAFriend);
    store.remove_friend(bob.id, alice.id).await.unwrap();
    store.remove_friend(bob.id, alice.id).await.unwrap();
    assert_eq!((of(&alice).await, of(&bob).await), ("bob carol".into(), String::new()));
}

async fn who_is_blocked_is_no_friend(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, _) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let plain = FriendChange::default();
    for (user, friend) in [(&alice, &bob), (&bob, &alice)] {
        store.add_friend(user.id, friend.id, plain, at(1)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(store.block(alice.id, bob.id, at(2)).await.unwrap(), Changed::Done);
    }
    assert_eq!(store.block(alice.id, UserId::new(), at(2)).await.unwrap(), Changed::NoSuchUser);
    assert!(other.friend(alice.id, bob.id).await.unwrap().is_none());
    let alice_to_bob = other.friend(bob.id, alice.id).await.unwrap().unwrap();
    assert!(!alice_to_bob.mutual, "and bob is told nothing else");
    let added = store.add_friend(alice.id, bob.id, plain, at(3)).await.unwrap();
    assert_eq!(added, Changed::Blocked);
    let blocks = other.blocks(alice.id).await.unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!((&blocks[0].user, blocks[0].since), (&bob, at(2)));
    assert!(other.blocks(bob.id).await.unwrap().is_empty());
    // Whoever is blocked makes no friend of whoever has blocked it, and is told what is told of nobody.
    let (carol, _) = sign_up(&**store, "carol").await;
    store.block(alice.id, carol.id, at(2)).await.unwrap();
    let added = store.add_friend(carol.id, alice.id, plain, at(3)).await.unwrap();
    assert_eq!(added, Changed::NoSuchUser);
    store.unblock(alice.id, carol.id).await.unwrap();
    // Guests can be blocked who have been met.
    let guest = User::new(UserId::new(), Name::new("Gus").unwrap());
    store.rename(&guest).await.unwrap();
    assert_eq!(store.block(bob.id, guest.id, at(3)).await.unwrap(), Changed::Done);
    let blocks = other.blocks(bob.id).await.unwrap();
    assert_eq!((&blocks[0].user, &blocks[0].username), (&guest, &None));
    store.unblock(bob.id, guest.id).await.unwrap();
    store.unblock(alice.id, bob.id).await.unwrap();
    store.unblock(alice.id, bob.id).await.unwrap();
    assert!(other.blocks(alice.id).await.unwrap().is_empty());
    let added = store.add_friend(alice.id, bob.id, plain, at(4)).await.unwrap();
    assert_eq!(added, Changed::Done);
    assert!(other.friend(alice.id, bob.id).await.unwrap().unwrap().mutual);
}

async fn a_profile_changes(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, _) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let change = |nickname: Option<&str>, status: Option<&str>| ProfileChange {
        nickname: nickname.map(|name| Name::new(name).unwrap()),
        status: status.map(|status| Status::new(status.to_owned()).unwrap()),
    };
    let account = async || other.account(alice.id, bob.id).await.unwrap().unwrap();
    assert_eq!(&*account().await.status, "");
    store.change_profile(alice.id, change(None, Some("⛵ away")), at(5)).await.unwrap();
    assert_eq!((account().await.user, &*account().await.status), (alice.clone(), "⛵ away"));
    assert!(other.ended_since(at(0)).await.unwrap().renamed.is_empty());
    store.change_profile(alice.id, change(Some("앨리스"), None), at(6)).await.unwrap();
    assert_eq!((&*account().await.user.name, &*account().await.status), ("앨리스", "⛵ away"));
    let renamed = User::new(alice.id, Name::new("앨리스").unwrap());
    assert_eq!(other.ended_since(at(6)).await.unwrap().renamed, [(renamed, at(6))]);
    assert!(other.ended_since(at(7)).await.unwrap().renamed.is_empty());
    let found = Search { asker: bob.id, beginning: "앨".into(), after: None, limit: 9 };
    assert_eq!(other.search(found).await.unwrap().len(), 1);
    let found = Search { asker: bob.id, beginning: "alice".into(), after: None, limit: 9 };
    assert_eq!(other.search(found).await.unwrap().len(), 1, "by the username, still");
    // Of nobody, nothing changes.
    store.change_profile(UserId::new(), change(Some("x"), Some("x")), at(8)).await.unwrap();
    assert_eq!(account().await.user.name, Name::new("앨리스").unwrap());
}

async fn whoever_is_deleted_is_gone_from_everywhere(kept: Kept) {
    let [store, other] = &kept.stores;
    let (alice, login) = sign_up(&**store, "alice").await;
    let (bob, _) = sign_up(&**store, "bob").await;
    let (carol, _) = sign_up(&**store, "carol").await;
    let plain = FriendChange::default();
    for (user, friend) in [(&alice, &bob), (&bob, &alice), (&alice, &carol)] {
        store.add_friend(user.id, friend.id, plain, at(1)).await.unwrap();
    }
    store.block(carol.id, alice.id, at(1)).await.unwrap();
    store.add_group(alice.id, &new_group(Uuid::now_v7(), "Work")).await.unwrap();
    let circle = other.circle(alice.id).await.unwrap();
    assert_eq!(circle, Some(Circle { user: alice.clone(), friends: [bob.id].into() }));
    assert_eq!(other.reach(carol.id).await.unwrap(), Reach::AllBut([alice.id].into()));
    assert_eq!(other.reach(alice.id).await.unwrap(), Reach::AllBut([].into()));

    let gone = User::new(alice.id, Name::new("deleted user").unwrap());
    let shown = hash("hash of alice");
    for _ in 0..2 {
        let ended = store.delete_account(&gone, &shown, true, at(9)).await.unwrap();
        assert_eq!(ended, Some(vec![login.id]));
        assert_eq!(other.departures().await.unwrap(), [Departure { user: alice.id, erase: true }]);
    }
    assert!(other.account(alice.id, bob.id).await.unwrap().is_none());
    assert!(other.credentials_of(alice.id).await.unwrap().is_none());
    assert!(other.credentials(&Username::new("alice").unwrap()).await.unwrap().is_none());
    let refreshed = other.refresh(&login.token, &token(), at(10), at(99)).await.unwrap();
    assert_eq!(refreshed, Refreshed::Unknown);
    assert_eq!(other.friends(bob.id).await.unwrap(), []);
    assert_eq!(other.blocks(carol.id).await.unwrap(), []);
    assert_eq!(other.groups(alice.id).await.unwrap(), []);
    assert_eq!(other.circle(alice.id).await.unwrap(), None);
    assert_eq!(other.circle(bob.id).await.unwrap().unwrap().friends, [].into());
    assert_eq!(other.reach(alice.id).await.unwrap(), Reach::Nobody);
    let found = Search { asker: bob.id, beginning: String::new(), after: None, limit: 9 };
    assert_eq!(other.search(found).await.unwrap().len(), 2);
    // The name is nobody's again, however it is written.
    for username in ["alice", "a1ice"] {
        let created = other.create_account(&account(username), &self::login()).await.unwrap();
        assert_eq!(created, Created::UsernameTaken, "{username}");
    }
    let change = ProfileChange { nickname: Some(Name::new("back").unwrap()), status: None };
    store.change_profile(alice.id, change, at(11)).await.unwrap();
    assert!(other.ended_since(at(0)).await.unwrap().renamed.is_empty());
    assert_eq!(store.logins_of(alice.id).await.unwrap(), [login.id]);
    assert!(!store.begin_login(alice.id, &self::login(), &shown, None).await.unwrap());
    store.departed(alice.id).await.unwrap();
    store.departed(alice.id).await.unwrap();
    assert_eq!(other.departures().await.unwrap(), []);
}
