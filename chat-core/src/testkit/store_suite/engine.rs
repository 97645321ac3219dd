//! A whole engine over the store, while the store is late, fails, or loses its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use futures_util::{FutureExt, StreamExt};

use super::support::*;
use super::{StoreHome, cases};
use crate::clock::Clock;
use crate::command::After;
use crate::engine::Engine;
use crate::error::{Code, Error};
use crate::event::Event;
use crate::ids::RoomId;
use crate::model::{Moderation, NewRoom, Role, SettingsChange, User};
use crate::outbox::Inbox;
use crate::session::Session;
use crate::store::Store;
use crate::testkit::report::Stop;
use crate::testkit::{FakeClock, Faults, FaultyStore};

cases!(
    an_engine_waits_for_a_delayed_commit,
    an_engine_shows_nothing_of_a_failed_commit,
    an_engine_finds_a_commit_whose_answer_was_lost,
    an_engine_goes_on_after_a_refused_commit,
    what_a_stopped_engine_acknowledged_is_there_once,
    what_a_crashed_engine_acknowledged_is_there_once,
    an_engine_keeps_order_after_a_restart,
);

/// How long to wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected user, and what it hears.
struct Guest {
    session: Session,
    inbox: Inbox<Arc<Event>>,
}

impl Guest {
    async fn join(engine: &Engine, user: &User, room: RoomId) -> Checked<Self> {
        let (session, inbox) = engine.connect(user.clone())?;
        session.join(room, After::Nothing).await?;
        Ok(Self { session, inbox })
    }

    /// The next event of a message: its seq and text.
    async fn message(&mut self) -> Checked<(u64, String)> {
        loop {
            match tokio::time::timeout(PATIENCE, self.inbox.next()).await {
                Ok(Some(event)) => {
                    if let Event::Message { message, .. } = &*event {
                        return Ok((message.seq, message.text().to_owned()));
                    }
                }
                Ok(None) => return failed("the session ended while a message was expected"),
                Err(_) => return failed("a message was not shown in time"),
            }
        }
    }

    /// It hears exactly these messages next.
    async fn hears<const N: usize>(&mut self, expected: [(u64, &str); N]) -> Checked {
        for (seq, text) in expected {
            same("the message shown", self.message().await?, (seq, text.to_owned()))?;
        }
        Ok(())
    }

    /// Has heard no message that was not asked for.
    fn hears_nothing(&mut self) -> Checked {
        while let Some(Some(event)) = self.inbox.next().now_or_never() {
            if let Event::Message { message, .. } = &*event {
                return failed(format!("{message:?} was shown too early"));
            }
        }
        Ok(())
    }
}

fn start(store: Arc<dyn Store>) -> Checked<(Engine, Faults)> {
    let (store, faults) = FaultyStore::over(store);
    match Engine::builder().store(store).threads(2).start() {
        Ok(engine) => Ok((engine, faults)),
        Err(error) => failed(error.to_string()),
    }
}

/// A room with two who hear it.
async fn two_in_a_room(engine: &Engine) -> Checked<(RoomId, Guest, Guest)> {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = engine.open_room(&ann, NewRoom::open("a room")?).await?.id();
    Ok((room, Guest::join(engine, &ann, room).await?, Guest::join(engine, &bob, room).await?))
}

fn is_unavailable<T>(answer: Result<T, Error>) -> Checked {
    same("the answer's code", answer.err().map(|error| error.code()), Some(Code::Unavailable))
}

/// What the home holds in the end, as a process that starts now finds it.
async fn in_the_end(
    home: &dyn StoreHome,
    engine: Engine,
    room: RoomId,
    expected: &[&str],
) -> Checked {
    engine.stop().await;
    drop(engine);
    let store = home.open().await;
    let room = load(&*store, room).await?;
    said(&*store, room.key, expected).await
}

async fn an_engine_waits_for_a_delayed_commit(home: &dyn StoreHome) -> Checked {
    let (engine, faults) = start(home.open().await)?;
    let (room, mut ann, mut bob) = two_in_a_room(&engine).await?;
    faults.hold_commits(true);
    let session = ann.session.clone();
    let mut sending = Box::pin(session.send(room, draft("soon", "k")));
    let held = async {
        while faults.held_commits() == 0 {
            if let Some(answer) = (&mut sending).now_or_never() {
                return failed(format!("answered {answer:?} before the commit began"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, held).await {
        Ok(held) => held?,
        Err(_) => return failed("no commit began"),
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    check((&mut sending).now_or_never().is_none(), "nothing is acknowledged before the commit")?;
    ann.hears_nothing()?;
    bob.hears_nothing()?;
    let other = home.open().await;
    let key = load(&*other, room).await?.key;
    said(&*other, key, [""; 0]).await?;
    faults.hold_commits(false);
    same("the seq", sending.await?.seq, 1)?;
    said(&*other, key, ["soon"]).await?;
    bob.hears([(1, "soon")]).await?;
    ann.hears([(1, "soon")]).await?;
    in_the_end(home, engine, room, &["soon"]).await
}

async fn an_engine_shows_nothing_of_a_failed_commit(home: &dyn StoreHome) -> Checked {
    let (engine, faults) = start(home.open().await)?;
    let (room, ann, mut bob) = two_in_a_room(&engine).await?;
    let send = |said: &str| ann.session.send(room, draft(said, said));
    same("the seq", send("one").await?.seq, 1)?;
    faults.fail_commits(1);
    is_unavailable(send("two").await)?;
    faults.fail_all(true);
    is_unavailable(send("two").await)?;
    faults.fail_all(false);
    let first = send("two").await?;
    same("the seq", first.seq, 2)?;
    same("the answer to the same key", send("two").await?, first)?;
    same("the seq", send("three").await?.seq, 3)?;
    bob.hears([(1, "one"), (2, "two"), (3, "three")]).await?;
    bob.hears_nothing()?;
    in_the_end(home, engine, room, &["one", "two", "three"]).await
}

async fn an_engine_finds_a_commit_whose_answer_was_lost(home: &dyn StoreHome) -> Checked {
    let (engine, faults) = start(home.open().await)?;
    let (room, ann, mut bob) = two_in_a_room(&engine).await?;
    let send = |said: &str| ann.session.send(room, draft(said, said));
    for said in ["one", "two"] {
        faults.lose_answers(1);
        is_unavailable(send(said).await)?;
    }
    // Asked again, they were there all along.
    same("the first seq", send("one").await?.seq, 1)?;
    same("the second seq", send("two").await?.seq, 2)?;
    same("what follows", send("three").await?.seq, 3)?;
    bob.hears([(1, "one"), (2, "two"), (3, "three")]).await?;
    bob.hears_nothing()?;
    // A membership too.
    faults.lose_answers(1);
    let (cyd, _inbox) = engine.connect(user("Cyd"))?;
    is_unavailable(cyd.join(room, After::Nothing).await)?;
    let joined = cyd.join(room, After::Nothing).await?;
    same("members, changes", (joined.room.counts.members, joined.cursor.change), (3, 3))?;
    in_the_end(home, engine, room, &["one", "two", "three"]).await
}

async fn an_engine_goes_on_after_a_refused_commit(home: &dyn StoreHome) -> Checked {
    let store = home.open().await;
    if !home.refuse("refuse this").await {
        return Err(cannot_refuse());
    }
    let (engine, _) = start(store)?;
    let (room, ann, mut bob) = two_in_a_room(&engine).await?;
    let send = |said: &str, key: &str| ann.session.send(room, draft(said, key));
    same("the seq", send("one", "1").await?.seq, 1)?;
    is_unavailable(send("refuse this", "2").await)?;
    is_unavailable(send("refuse this", "2").await)?;
    same("the seq", send("two", "2").await?.seq, 2)?;
    same("the first key's seq", send("one", "1").await?.seq, 1)?;
    bob.hears([(1, "one"), (2, "two")]).await?;
    bob.hears_nothing()?;
    in_the_end(home, engine, room, &["one", "two"]).await
}

async fn what_a_stopped_engine_acknowledged_is_there_once(home: &dyn StoreHome) -> Checked {
    restart(home, async |engine| engine.stop().await).await
}

async fn what_a_crashed_engine_acknowledged_is_there_once(home: &dyn StoreHome) -> Checked {
    // Its threads end in the middle of whatever they are doing.
    restart(home, async |engine| drop(engine)).await
}

/// A user who sends one message after the other.
struct Sender {
    user: User,
    /// What was acknowledged, with its seq; the place is its number.
    sent: Vec<(u64, String)>,
}

impl Sender {
    /// Sends on until it has sent so many; answers `false` if the engine has ended before. Counts
    /// what is acknowledged.
    async fn send(
        &mut self,
        session: &Session,
        room: RoomId,
        most: usize,
        count: &AtomicUsize,
    ) -> Checked<bool> {
        while self.sent.len() < most {
            let text = format!("{} {}", &*self.user.name, self.sent.len());
            match session.send(room, draft(&text, &text)).await {
                Ok(sent) => self.sent.push((sent.seq, text)),
                Err(error) if error.code() == Code::Stopping => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }
}

async fn restart(home: &dyn StoreHome, end: impl AsyncFnOnce(Engine)) -> Checked {
    const SENDERS: usize = 16;
    let (engine, _) = start(home.open().await)?;
    let room = engine.open_room(&user("Ann"), NewRoom::open("a room")?).await?.id();
    let mut senders = Vec::new();
    for i in 0..SENDERS {
        let user = user(&format!("sender {i}"));
        let guest = Guest::join(&engine, &user, room).await?;
        senders.push((Sender { user, sent: Vec::new() }, guest));
    }
    // They send without end. The last message of each is not acknowledged, and may be stored or
    // not.
    let count = &AtomicUsize::new(0);
    let sending = try_join_all(senders.iter_mut().map(|(sender, guest)| async {
        let all = sender.send(&guest.session, room, usize::MAX, count).await?;
        check(!all, "sending ends with the engine")
    }));
    let ending = async {
        let enough = async {
            while count.load(Ordering::Relaxed) < 10 * SENDERS {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let enough = tokio::time::timeout(PATIENCE, enough).await;
        end(engine).await;
        check(enough.is_ok(), "ten messages of each sender are acknowledged in time")
    };
    try_join(sending, ending).await?;
    let mut senders: Vec<_> = senders.into_iter().map(|(sender, _)| sender).collect();
    let before = count.load(Ordering::Relaxed);

    let (engine, _) = start(home.open().await)?;
    try_join_all(senders.iter_mut().map(|sender| async {
        let guest = Guest::join(&engine, &sender.user, room).await?;
        let most = sender.sent.len() + 4;
        let all = sender.send(&guest.session, room, most, count).await?;
        check(all, "the next engine takes everything")
    }))
    .await?;
    engine.stop().await;
    drop(engine);
    let store = home.open().await;
    let key = load(&*store, room).await?.key;
    for sender in &senders {
        let seqs = sender.sent.iter().map(|(seq, _)| *seq);
        check(seqs.is_sorted(), "one sender's messages are in its order")?;
    }
    let mut sent: Vec<_> = senders.into_iter().flat_map(|sender| sender.sent).collect();
    sent.sort_unstable();
    same("how many were acknowledged", sent.len(), before + 4 * SENDERS)?;
    let read = messages(&*store, key).await?;
    let read = read.iter().map(|message| (message.seq, message.text().to_owned()));
    same_all("what is stored, and what was acknowledged", read, sent)
}

async fn an_engine_keeps_order_after_a_restart(home: &dyn StoreHome) -> Checked {
    let clock = FakeClock::default();
    let start = async || {
        let engine = Engine::builder().shared_store(home.open().await).threads(2);
        let engine = engine.clock(Arc::new(clock.clone())).start();
        engine.map_err(|error| Stop::Failed(error.to_string()))
    };
    let engine = start().await?;
    let (room, ann, bob) = two_in_a_room(&engine).await?;
    let users = ["Cyd", "Dan", "Eve"].map(user);
    for user in &users {
        Guest::join(&engine, user, room).await?;
    }
    let (ann, bob) = (ann.session.user().clone(), bob.session.user().clone());
    let [cyd, dan, eve] = &users;
    let (now, minute, hour) = (clock.now(), Duration::from_secs(60), Duration::from_secs(3_600));
    let (soon, later, slow_s) = (Some(now + minute), Some(now + hour), Some(3_600));
    let acts = [
        Moderation::Role { user: bob.id, role: Role::Moderator },
        Moderation::Mute { user: cyd.id, until: later },
        Moderation::Ban { user: dan.id, until: None },
        Moderation::Ban { user: eve.id, until: soon },
        Moderation::Configure(SettingsChange { slow_s, ..SettingsChange::default() }),
        Moderation::Transfer { user: bob.id },
    ];
    for act in acts {
        engine.room(room).moderate(&ann, act).await?;
    }
    engine.stop().await;
    drop(engine);
    clock.advance(minute);
    let engine = start().await?;
    let handle = engine.room(room);
    let code = |answer: Result<(), Error>| answer.err().map(|error| error.code());
    let send =
        async |user: &User, key: &str| code(handle.send(user, draft("hi", key)).await.map(drop));
    let join = async |user: &User| code(handle.join(user, After::Nothing).await.map(drop));
    same("what a muted member is told", send(cyd, "a").await, Some(Code::Muted))?;
    same("what a banned user is told", join(dan).await, Some(Code::Banned))?;
    same("whose ban has ended", join(eve).await, None)?;
    same("the first message in slow mode", send(eve, "b").await, None)?;
    same("the second one", send(eve, "c").await, Some(Code::SlowMode))?;
    let kick = |user: &User| Moderation::Kick { user: user.id };
    same("a moderator", code(handle.moderate(&ann, kick(&bob)).await), Some(Code::Forbidden))?;
    same("the owner", code(handle.moderate(&bob, kick(&ann)).await), None)?;
    engine.stop().await;
    Ok(())
}
