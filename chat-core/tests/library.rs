//! The engine as somebody else's dependency: started from anywhere, called from anywhere, over any transport.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use actix::prelude::{Actor, Handler};
use chat_core::{
    AdmitAs, After, CloseReason, Code, Command, ConnectionId, Deliver, Engine, EngineBuilder,
    Event, Fanout, InProcess, Inbox, Inboxes, Limits, MemoryStore, NewRoom, Parcel, Room,
    RoomCommand, RoomQuery, Session, Store,
};
use futures_executor::block_on;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::{Bench, draft, engine, engine_with, until, user};

fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

/// Two people in a room, one of whom says something that the other hears.
async fn chat(engine: &Engine) {
    let (ann, mut ann_hears) = engine.connect(user("Ann")).expect("a session");
    let (bob, _bob_hears) = engine.connect(user("Bob")).expect("a session");
    let room = engine.open_room(bob.user(), open()).await.expect("a room").id();
    for session in [&ann, &bob] {
        session.join(room, After::Nothing).await.expect("in it");
    }
    bob.send(room, draft("hello")).await.expect("sent");
    while let Some(event) = ann_hears.next().await {
        if matches!(&*event, Event::Message { message, .. } if message.text() == "hello") {
            return;
        }
    }
    panic!("nothing was heard");
}

#[test]
fn handles_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    anywhere::<Engine>();
    anywhere::<Session>();
    anywhere::<Room>();
    anywhere::<Inboxes<InProcess>>();
    fn sent<T: Send + 'static>() {}
    sent::<EngineBuilder>();
    sent::<Inbox<Arc<Event>>>();
}

#[test]
fn it_runs_under_any_runtime_and_under_none() {
    let whole = || async {
        let engine = Engine::builder().threads(1).start().expect("an engine");
        chat(&engine).await;
        engine.stop().await;
    };
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(whole());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
        .block_on(async { tokio::spawn(whole()).await.expect("no panic") });
    actix_rt::System::new().block_on(whole());
    block_on(whole());
}

#[test]
fn engines_of_one_process_do_not_know_of_each_other() {
    let engines: Vec<_> =
        (0..5).map(|_| Engine::builder().threads(1).start().expect("an engine")).collect();
    block_on(async {
        join_all(engines.iter().map(chat)).await;
        engines[0].stop().await;
        join_all(engines[1..].iter().map(chat)).await;
        for engine in &engines[1..] {
            assert_eq!(engine.stats().rooms, 2);
        }
        // A program that is done with one simply drops it, or stops it from within a runtime's
        // task.
        join_all(engines[1..].iter().map(Engine::stop)).await;
    });
}

#[test]
fn threads_that_may_block_call_it_too() {
    let engine = Engine::builder().threads(2).start().expect("an engine");
    let room = block_on(engine.open_room(&user("Ann"), open())).expect("a room").id();
    let speakers: Vec<_> = (0..8)
        .map(|n| {
            let engine = engine.clone();
            thread::spawn(move || {
                let (session, mut inbox) =
                    engine.connect(user(&format!("speaker {n}"))).expect("a session");
                block_on(session.join(room, After::Nothing)).expect("in it");
                for n in 0..20 {
                    block_on(session.send(room, draft(&n.to_string()))).expect("sent");
                }
                let own = session.user().id;
                let mut heard = 0;
                while heard < 20 {
                    let event = block_on(inbox.next()).expect("an event");
                    if let Event::Message { message, .. } = &*event {
                        heard += usize::from(message.from.id == own);
                    }
                }
            })
        })
        .collect();
    for speaker in speakers {
        speaker.join().expect("no panic");
    }
    block_on(engine.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_every_call_with_a_clear_answer() {
    for round in 0..20 {
        let store = MemoryStore::default();
        let bench = engine_with(store.clone(), Limits::default());
        let (room, ann) = bench.room("Ann").await;
        let sent = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..16)
            .map(|sender| {
                let engine = bench.engine.clone();
                let (session, _inbox) = engine.connect(user("sender")).expect("a session");
                let (sent, owner) = (Arc::clone(&sent), ann.session.user().clone());
                tokio::spawn(async move {
                    let _inbox = _inbox;
                    let mut acknowledged = Vec::new();
                    if let Err(error) = session.join(room, After::Nothing).await {
                        return (acknowledged, error);
                    }
                    for n in 0.. {
                        let text = format!("{sender}.{n}");
                        let result = match n % 4 {
                            0 => engine.room(room).send(&owner, draft(&text)).await,
                            _ => session.send(room, draft(&text)).await,
                        };
                        match result {
                            Ok(message) => acknowledged.push((message.seq, text)),
                            Err(error) => return (acknowledged, error),
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    unreachable!("they send until they are told to stop");
                })
            })
            .collect();
        until("they send", async || sent.load(Ordering::Relaxed) > 50 + round).await;
        bench.engine.stop().await;
        let mut acknowledged = Vec::new();
        for sender in senders {
            let (messages, error) = sender.await.expect("no panic");
            assert_eq!((error.code(), error.code().retry()), (Code::Stopping, true));
            acknowledged.extend(messages);
        }
        acknowledged.sort_unstable();
        let key = store.load_room(room, 1).await.expect("it answers").expect("the room").key;
        let stored = store.messages(key, 0, u64::MAX).await.expect("messages");
        let stored: Vec<_> = stored.iter().map(|m| (m.seq, m.text().to_owned())).collect();
        assert!(
            acknowledged.iter().all(|message| stored.contains(message)),
            "what was taken stays"
        );
        // And so does every call from now on.
        let late = ann.session.send(room, draft("late")).await.expect_err("stopped");
        assert_eq!(late.code(), Code::Stopping);
        let late = bench.engine.room(room).send(ann.session.user(), draft("late")).await;
        assert_eq!(late.expect_err("stopped").code(), Code::Stopping);
        let late = bench.engine.open_room(ann.session.user(), open()).await;
        assert_eq!(late.err().map(|error| error.code()), Some(Code::Stopping));
        let late = bench.engine.rooms(&RoomQuery::default()).await;
        assert_eq!(late.expect_err("stopped").code(), Code::Stopping);
        let late = bench.engine.connect(user("late"));
        assert_eq!(late.err().map(|error| error.code()), Some(Code::Stopping));
        bench.engine.stop().await;
    }
}

#[tokio::test]
async fn an_engine_that_is_dropped_ends_its_sessions() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("hi")).await.expect("sent");
    drop(bench);
    // The session's own handles keep nothing alive that could answer; it is told so, and so is the
    // reader.
    until("calls end", async || {
        let sent = ann.session.send(room, draft("anybody?")).await;
        sent.is_err_and(|error| error.code() == Code::Stopping)
    })
    .await;
    while ann.inbox.next().await.is_some() {}
}

#[tokio::test]
async fn a_session_whose_inbox_is_dropped_says_so() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let (bob, inbox) = bench.engine.connect(user("Bob")).expect("a session");
    bob.join(room, After::Nothing).await.expect("in it");
    drop(inbox);
    until("his session has ended", async || bench.engine.stats().sessions == 1).await;
    let error = bob.send(room, draft("hi")).await.expect_err("he cannot hear");
    assert_eq!((error.code(), error.code().retry()), (Code::SessionEnded, false));
    ann.session.send(room, draft("well")).await.expect("sent");
    assert_eq!(ann.message().await, (1, "well".into()));
}

/// A transport of somebody's own: one actor that carries everything to one place, in words.
struct Telegraph(tokio::sync::mpsc::UnboundedSender<String>);

impl Actor for Telegraph {
    type Context = actix::Context<Self>;
}

impl Handler<Deliver> for Telegraph {
    type Result = ();

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) {
        for parcel in deliver.parcels {
            let words = match parcel {
                Parcel::Room { event, .. } => match &*event {
                    Event::Message { message, .. } => format!("message {}", message.text()),
                    _ => continue,
                },
                Parcel::Reply { tag, result, .. } => format!("reply {tag} {}", result.is_ok()),
                Parcel::Admit { answer: Some(AdmitAs::Reply { tag, .. }), .. } => {
                    format!("admitted {tag}")
                }
                Parcel::Exit { .. } => "exit".into(),
                Parcel::End { reason, .. } => format!("end {reason:?}"),
                Parcel::One { .. } | Parcel::Admit { .. } => continue,
            };
            self.0.send(words).expect("the test listens");
        }
    }
}

#[test]
fn a_transport_of_ones_own_takes_the_place_of_inboxes() {
    actix_rt::System::new().block_on(async {
        let bench = engine();
        let (words, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let fanout = Fanout::new(Telegraph(words).start().recipient(), 100);
        let (room, ann) = bench.room("Ann").await;
        let connect = || bench.engine.connect_through(&fanout, ConnectionId::new(), user("Bob"));
        let bob = connect().expect("a session");
        let room_command = |command| Command::Room(room, command);
        bob.submit(1, room_command(RoomCommand::join(After::Nothing))).expect("taken");
        bob.submit(2, room_command(RoomCommand::Send(draft("hello")))).expect("taken");
        bob.submit(3, room_command(RoomCommand::Leave)).expect("taken");
        bob.submit(4, room_command(RoomCommand::Leave)).expect("taken");
        for expected in ["admitted 1", "reply 2 true", "message hello", "reply 3 true", "exit"] {
            assert_eq!(hears.recv().await.as_deref(), Some(expected));
        }
        assert_eq!(hears.recv().await.as_deref(), Some("reply 4 false"));
        bob.end(CloseReason::Silent);
        assert_eq!(hears.recv().await.as_deref(), Some("end Silent"));
        drop((bob, ann));
        bench.engine.stop().await;
        assert_eq!(connect().err().map(|error| error.code()), Some(Code::Stopping));
    });
}

#[tokio::test]
async fn a_user_has_no_more_sessions_than_it_may() {
    let limits = Limits { user_sessions: 2, ..Limits::default() };
    let Bench { engine, .. } = engine_with(MemoryStore::default(), limits);
    let (ann, bob) = (user("Ann"), user("Bob"));
    let first = engine.connect(ann.clone()).expect("a session");
    let _second = engine.connect(ann.clone()).expect("a session");
    let refused = engine.connect(ann.clone()).err().expect("a third one is refused");
    assert_eq!((refused.code(), refused.code().retry()), (Code::TooManySessions, true));
    let _other = engine.connect(bob).expect("others are not counted");
    drop(first);
    until("the first has ended", async || engine.stats().sessions == 2).await;
    let _third = engine.connect(ann).expect("there is room again");
}
