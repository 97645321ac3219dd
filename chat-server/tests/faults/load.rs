//! Many who speak, in every room, until they are told to stop. What is refused and has a key, they
//! send again with the same key, until it is accepted. In each room somebody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_core::{After, RoomId};
use futures_util::{StreamExt, future::join_all};
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::database::PATIENCE;
use crate::house::{House, user};
use crate::ledger::{Ledger, Voice};
use crate::until;

/// Between two messages of a sender: with fifty senders, some two thousand a second are asked for.
const BREATH: Duration = Duration::from_millis(25);
/// Between two pages that a reader reads.
const READING: Duration = Duration::from_millis(100);
/// How many messages it reads.
const PAGE: usize = 20;
/// Before a sender tries again.
const AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Load {
    ledger: Arc<Ledger>,
    enough: Arc<AtomicBool>,
    /// Whoever reads has a share of it.
    reading: Arc<RwLock<()>>,
    senders: JoinSet<()>,
}

impl Load {
    /// So many senders in each of these rooms: one of three without keys, one of two with a
    /// connection, and the listeners too.
    pub(crate) async fn start(
        house: &House,
        ledger: &Arc<Ledger>,
        rooms: &[RoomId],
        each: usize,
    ) -> Self {
        let mut voices = Vec::new();
        for room in rooms {
            for sender in 0..each {
                voices.push(voice(house, *room, sender));
            }
        }
        let mut voices = join_all(voices).await;
        for listener in &house.listeners {
            let in_rooms =
                rooms.iter().map(|room| Voice::Connected(*room, listener.session().clone()));
            voices.extend(in_rooms);
        }
        let (ledger, enough) = (Arc::clone(ledger), Arc::new(AtomicBool::new(false)));
        let (reading, mut senders) = (Arc::<RwLock<()>>::default(), JoinSet::new());
        for room in rooms {
            let voice = Voice::Connected(*room, house.listeners[0].session().clone());
            let (ledger, enough) = (Arc::clone(&ledger), Arc::clone(&enough));
            let reading = Arc::clone(&reading);
            senders.spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let shared = reading.read().await;
                    ledger.read(&voice, PAGE).await;
                    drop(shared);
                    sleep(READING).await;
                }
            });
        }
        for (number, voice) in voices.into_iter().enumerate() {
            let (ledger, enough) = (Arc::clone(&ledger), Arc::clone(&enough));
            senders.spawn(async move { speak(&ledger, &voice, number % 3 != 0, &enough).await });
        }
        Self { ledger, enough, reading, senders }
    }

    /// Waits until so many more messages have been accepted.
    pub(crate) async fn goes_on(&self, more: usize) {
        let before = self.ledger.accepted();
        let what = format!("{more} more messages are accepted");
        until(&what, async || self.ledger.accepted() >= before + more).await;
    }

    /// Nobody of them reads while this is held.
    pub(crate) async fn unread(&self) -> RwLockWriteGuard<'_, ()> {
        self.reading.write().await
    }

    /// Has everybody finish what they are saying, and waits for it.
    pub(crate) async fn stop(mut self) {
        self.enough.store(true, Ordering::Relaxed);
        let all = async {
            while self.senders.join_next().await.transpose().expect("no panic").is_some() {}
        };
        timeout(PATIENCE, all).await.expect("what was refused is accepted in the end");
    }
}

/// Somebody who has joined a room.
async fn voice(house: &House, room: RoomId, number: usize) -> Voice {
    let me = user(&format!("sender {number}"));
    if number.is_multiple_of(2) {
        let room = house.engine.room(room);
        room.join(&me, After::Nothing).await.expect("in it");
        return Voice::Alone(room, me);
    }
    let (session, mut inbox) = house.engine.connect(me).expect("a session");
    session.join(room, After::Nothing).await.expect("in it");
    tokio::spawn(async move { while inbox.next().await.is_some() {} });
    Voice::Connected(room, session)
}

/// Says one thing after the other.
async fn speak(ledger: &Ledger, voice: &Voice, keyed: bool, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        let line = ledger.note(voice, keyed);
        // Whether a message without a key is stored that was refused, its sender cannot know.
        while ledger.send(voice, line).await.is_err() && keyed {
            sleep(AGAIN).await;
        }
        sleep(BREATH).await;
    }
}
