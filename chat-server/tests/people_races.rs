//! What two requests do about the same person at once: whatever is told of it last is what is kept.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::{FakeClock, FaultyStore};
use chat_core::{Engine, MemoryStore, Name, Timestamp, User, UserId};
use chat_server::people::{
    DELETED_NAME, Friends, FriendsPresence, Password, Passwords, People, PeopleStore,
    ProfileChange, SignUp, Told, Username,
};
use chat_server::store::SqliteStore;
use support::until;
use tempfile::TempDir;
use tokio::select;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Everybody who is told how somebody is called. Whoever tells them first is held up.
#[derive(Default)]
struct Everybody {
    names: Mutex<Vec<String>>,
    asked: AtomicBool,
    held_up: Notify,
    go_on: Notify,
}

impl Everybody {
    fn last(&self) -> String {
        self.names.lock().unwrap().last().unwrap().clone()
    }
}

#[async_trait]
impl Told for Everybody {
    fn login_ended(&self, _: UserId, _: Uuid, _: Timestamp) {}

    fn guest_signed_up(&self, _: UserId, _: Timestamp) {}

    async fn renamed(
        &self,
        user: &User,
        _: &HashSet<UserId>,
        _: Timestamp,
    ) -> chat_core::Result<()> {
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.held_up.notify_one();
            self.go_on.notified().await;
        }
        self.names.lock().unwrap().push(user.name.to_string());
        Ok(())
    }

    fn deleted(&self, _: UserId, _: &[Uuid], _: &HashSet<UserId>, _: Timestamp) {}

    async fn forget(&self, user: &User, _: bool) -> chat_core::Result<()> {
        self.names.lock().unwrap().push(user.name.to_string());
        Ok(())
    }
}

/// Bob, about whom two things are done at once, and Carol.
struct Scene {
    people: Arc<People>,
    store: Arc<dyn PeopleStore>,
    friends: Arc<Friends>,
    told: Arc<Everybody>,
    bob: UserId,
    carol: UserId,
    _data: TempDir,
}

fn password() -> Password {
    Password::new("correct horse".into(), "password").unwrap()
}

fn called(name: &str) -> ProfileChange {
    ProfileChange { nickname: Some(Name::new(name).unwrap()), status: None }
}

impl Scene {
    async fn new() -> Self {
        let data = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(&data.path().join("chat.db")).await.unwrap());
        let (told, clock) = (Arc::new(Everybody::default()), Arc::new(FakeClock::default()));
        let friends = Arc::new(Friends::new(Arc::clone(&store) as _, Arc::clone(&clock) as _));
        let (passwords, ttl) = (Passwords::start(1), Duration::from_secs(60));
        let people = People::new(
            Arc::clone(&store) as _,
            passwords,
            clock,
            Arc::clone(&friends),
            Arc::clone(&told) as _,
            ttl,
        );
        let people = Arc::new(people);
        let sign_up = async |name: &str| {
            let username = Username::new(name).unwrap();
            let new = SignUp { username, password: password(), nickname: None, guest: None };
            people.sign_up(new, None).await.unwrap().user.id
        };
        let (bob, carol) = (sign_up("bob").await, sign_up("carol").await);
        Self { people, store, friends, told, bob, carol, _data: data }
    }

    /// Begins to call Bob so, up to where everybody is to be told.
    async fn begin_to_call_bob(&self, name: &str) -> JoinHandle<()> {
        let (people, bob, change) = (Arc::clone(&self.people), self.bob, called(name));
        let renaming = tokio::spawn(async move {
            people.change_profile(bob, change).await.unwrap();
        });
        self.told.held_up.notified().await;
        renaming
    }

    /// Does something while that is held up, which goes on when it is done or has had all the time it takes.
    async fn meanwhile(&self, act: impl Future<Output = ()>) {
        let mut act = pin!(act);
        let done = select! {
            () = &mut act => true,
            () = self.long_enough() => false,
        };
        self.told.go_on.notify_one();
        if !done {
            act.await;
        }
    }

    /// Returns when Carol has done ten times what takes longest of all that is done here, which nobody keeps
    /// from it.
    async fn long_enough(&self) {
        for _ in 0..10 {
            self.people.sign_in("carol", password(), None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn of_two_names_at_once_everybody_knows_the_one_that_is_kept() {
    let scene = Scene::new().await;
    let first = scene.begin_to_call_bob("First").await;
    let second = async {
        scene.people.change_profile(scene.bob, called("Second")).await.unwrap();
    };
    scene.meanwhile(second).await;
    first.await.unwrap();
    let kept = scene.people.account(scene.bob, scene.bob).await.unwrap().user.name;
    assert_eq!(scene.told.last(), &*kept);
}

#[tokio::test]
async fn whoever_is_deleted_while_it_is_renamed_has_no_name_in_the_end() {
    let scene = Scene::new().await;
    let renaming = scene.begin_to_call_bob("Bobby").await;
    let delete = async {
        scene.people.delete(scene.bob, Some(password()), false, None).await.unwrap();
        assert!(scene.people.forget_departed().await);
    };
    scene.meanwhile(delete).await;
    renaming.await.unwrap();
    assert_eq!(scene.told.last(), DELETED_NAME);
}

#[tokio::test]
async fn whoever_is_found_to_be_deleted_while_it_is_renamed_has_no_name_in_the_end() {
    let scene = Scene::new().await;
    let renaming = scene.begin_to_call_bob("Bobby").await;
    // As if whoever has deleted it had not been answered.
    let found = scene.store.credentials_of(scene.bob).await.unwrap().unwrap();
    let nobody = User::new(scene.bob, Name::new(DELETED_NAME).unwrap());
    let now = Timestamp::default();
    scene.store.delete_account(&nobody, &found.password, false, now).await.unwrap().unwrap();
    let forget = async {
        assert!(scene.people.forget_departed().await);
    };
    scene.meanwhile(forget).await;
    renaming.await.unwrap();
    assert_eq!(scene.told.last(), DELETED_NAME);
}

#[tokio::test]
async fn rooms_are_told_of_blocking_and_of_unblocking_one_after_the_other() {
    let scene = Scene::new().await;
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let engine = Engine::builder().store(store).start().unwrap();
    let presence = FriendsPresence::new(engine.clone(), Arc::clone(&scene.friends));
    let (bob, carol) = (User::new(scene.bob, Name::new("bob").unwrap()), scene.carol);
    let change = |block| {
        let (presence, bob) = (presence.clone(), bob.clone());
        tokio::spawn(async move { presence.block(&bob, carol, block).await.unwrap() })
    };
    faults.hold_reads(true);
    let blocking = change(true);
    until("rooms are looked for", async || faults.held_reads() == 1).await;
    let unblocking = change(false);
    select! {
        () = until("again", async || faults.held_reads() == 2) => {}
        () = scene.long_enough() => {}
    }
    assert_eq!(faults.held_reads(), 1, "nobody knows which of them is told last");
    faults.hold_reads(false);
    blocking.await.unwrap();
    unblocking.await.unwrap();
    assert_eq!(scene.friends.blocks(scene.bob).await.unwrap(), []);
    engine.stop().await;
}
