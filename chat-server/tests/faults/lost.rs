//! Connections break at the worst moments: when a commit is on its way, or its answer. Nobody knows
//! then whether it has been carried out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chat_core::{
    After, Batch, BatchOutcome, Body, ChangeKind, Code, Cursor, Limits, Membership, NewRoom,
    Outcome, Role, Store, Text, Write,
};
use chat_server::store::MySqlStore;
use futures_util::future::join_all;
use sqlx::MySqlConnection;

use crate::bare::{batch, room};
use crate::database::proxy::{Command, Loss, Proxy};
use crate::database::{Database, PATIENCE};
use crate::house::{House, open, user};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::sole::{ANYBODY, NOBODY};
use crate::{MARGIN, execute, random, tell, until};

/// Rooms keep no messages in memory, so that readers need the database too.
fn limits() -> Limits {
    Limits { kept_bytes: 1, ..Limits::default() }
}

/// Loses a command or its answer, one that is to come soon.
fn lose(proxy: &Proxy, command: Command) -> Loss {
    let lose = if random(2) == 0 { Proxy::lose_answer } else { Proxy::lose_command };
    lose(proxy, command, 1 + random(4) as usize)
}

#[tokio::test]
async fn a_lost_commit_or_answer_is_neither_a_gap_nor_a_double() {
    let deadline = Duration::from_secs(10);
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let house = House::build(open(&proxy.url(), deadline).await, limits(), 6).await;
    let ledger = Arc::new(Ledger::new(deadline + MARGIN));
    let mut connection = database.connect().await;
    // As one that makes sure of the rooms, and as one that writes alone.
    for (who, kinds) in [
        (NOBODY, [Command::Commit, Command::Commit, Command::Execute]),
        (ANYBODY, [Command::Execute; 3]),
    ] {
        execute(&mut connection, who).await;
        proxy.cut().await;
        let load = Load::start(&house, &ledger, &house.rooms, 5).await;
        for command in kinds.repeat(10) {
            load.goes_on(10).await;
            lose(&proxy, command).happened().await;
        }
        // Two at once, and then everything there is.
        load.goes_on(10).await;
        let both = [lose(&proxy, kinds[0]), lose(&proxy, kinds[0])];
        for loss in both {
            loss.happened().await;
        }
        load.goes_on(10).await;
        proxy.cut().await;
        load.goes_on(10).await;
        load.stop().await;
    }
    // The store tries again by itself, also what has no key.
    assert_eq!(ledger.refused(Code::Unavailable), 0);
    house.settle_in(&ledger, &database.url()).await;
}

/// What has been given up is carried out all the same, later: bytes that were held back arrive when
/// nobody waits for them any more.
#[tokio::test]
async fn a_commit_that_arrives_late_is_neither_a_gap_nor_a_double() {
    let deadline = Duration::from_secs(3);
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let house = House::build(open(&proxy.url(), deadline).await, limits(), 6).await;
    let ledger = Arc::new(Ledger::new(deadline + MARGIN));
    let load = Load::start(&house, &ledger, &house.rooms, 6).await;
    for _ in 0..4 {
        load.goes_on(100 + random(100) as usize).await;
        let refused = ledger.refused(Code::Unavailable);
        proxy.hold();
        until("senders are told so", async || ledger.refused(Code::Unavailable) > refused + 20)
            .await;
        proxy.release();
    }
    load.goes_on(100).await;
    load.stop().await;
    house.settle_in(&ledger, &database.url()).await;
}

/// Rooms are opened and joined while commits and their answers are lost: each once.
#[tokio::test]
async fn a_lost_opening_or_joining_takes_effect_once() {
    let deadline = Duration::from_secs(10);
    let database = Database::new().await;
    let proxy = Proxy::new(&database.url());
    let house = House::build(open(&proxy.url(), deadline).await, limits(), 2).await;
    let rounds = 8;
    let open_some = async |number: usize| {
        let (me, friend) = (user(&format!("opener {number}")), user("friend"));
        for round in 0..rounds {
            let new = NewRoom::open(format!("{round} of {number}")).expect("a good title");
            house.engine.open_room(&me, new).await.expect("a room");
            // Both open it at once, and more than once.
            let opened = tokio::join!(
                house.engine.open_room(&me, NewRoom::direct(friend.clone())),
                house.engine.open_room(&friend, NewRoom::direct(me.clone()))
            );
            assert_eq!(opened.0.expect("a room").id(), opened.1.expect("a room").id());
        }
    };
    let come_and_go = async |number: usize| {
        let me = user(&format!("guest {number}"));
        let room = house.engine.room(house.rooms[number % house.rooms.len()]);
        for _ in 0..rounds {
            room.join(&me, After::Nothing).await.expect("in it");
            room.leave(&me).await.expect("out of it");
        }
        me
    };
    let work =
        async { tokio::join!(join_all((0..4).map(open_some)), join_all((0..6).map(come_and_go))) };
    let mut work = pin!(work);
    let guests = loop {
        let loss = lose(&proxy, Command::Commit).happened();
        tokio::select! {
            (_, guests) = &mut work => break guests,
            () = loss => {}
        }
    };

    let mut connection = database.connect().await;
    let rooms: i64 = count(&mut connection, "SELECT COUNT(*) FROM rooms").await;
    assert_eq!(rooms, 2 + 4 * rounds + 4, "each room is there once");
    let twice = "SELECT COUNT(*) FROM (SELECT title FROM rooms WHERE kind = 'open' \
         GROUP BY title HAVING COUNT(*) > 1) AS twice";
    assert_eq!(count(&mut connection, twice).await, 0);
    let lone = "SELECT COUNT(*) FROM rooms WHERE \
         (SELECT COUNT(*) FROM members WHERE room = id) = 0 OR \
         last_change <> (SELECT COUNT(*) FROM changes WHERE room = id) OR \
         last_change <> (SELECT MAX(number) FROM changes WHERE room = id)";
    assert_eq!(count(&mut connection, lone).await, 0, "rooms are whole");
    for guest in guests {
        let kinds = "SELECT kind FROM changes WHERE user = ? ORDER BY number";
        let kinds = sqlx::query_scalar(kinds).bind(guest.id.uuid().into_bytes().to_vec());
        let kinds: Vec<String> = kinds.fetch_all(&mut connection).await.expect("changes");
        assert_eq!(kinds, ["joined", "left"].repeat(usize::try_from(rounds).expect("a few")));
    }
}

async fn count(connection: &mut MySqlConnection, question: &'static str) -> i64 {
    sqlx::query_scalar(question).fetch_one(connection).await.expect("a count")
}

/// What is written while a statement is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Messages,
    /// Behind messages of somebody else, of which the writer does not know.
    MessagesBehindOthers,
    Change,
}

/// Writes to a room of its own while the `nth` statement of the commit is lost, or its answer. Says
/// whether there was such a statement, and what is wrong.
async fn write_and_lose(
    database: &Database,
    other: &MySqlStore,
    writing: Writing,
    (command, answer, nth): (Command, bool, usize),
) -> (bool, Option<String>) {
    let proxy = Proxy::new(&database.url());
    let store = open(&proxy.url(), Duration::from_secs(10)).await;
    let me = user("me");
    let mut room = room(other, &me, "a room").await;
    store.append(&[batch(&room, &me, 1)]).await.expect("an answer");
    room.end.seq = 1;
    if writing == Writing::MessagesBehindOthers {
        other.append(&[batch(&room, &me, 2)]).await.expect("an answer");
    }
    let guest = Membership { user: user("guest"), role: Role::Member };
    let at = room.info.created;
    let message = |text: &str| Write::Message {
        from: me.clone(),
        body: Body::text(Text::new(text).expect("a good text")),
        at,
        key: None,
    };
    let (may_follow, writes) = match writing {
        Writing::Change => (
            false,
            vec![Write::Change { kind: ChangeKind::Joined(guest), by: None, at, key: None }],
        ),
        _ => (true, vec![message("one"), message("two")]),
    };
    let lose = if answer { Proxy::lose_answer } else { Proxy::lose_command };
    let loss = lose(&proxy, command, nth);
    let written = Batch { room: room.key, after: room.end, may_follow, writes };
    let outcome = store.append(&[written]).await.expect("it is tried again").remove(0);
    let happened = loss.has_happened();

    let loaded = other.load_room(room.info.id, 100).await.expect("an answer").expect("a room");
    let stored: Vec<_> = loaded.messages.iter().map(|message| message.text()).collect();
    let (expected, done) = match writing {
        Writing::Messages => (vec!["1", "one", "two"], [(2, 1), (3, 1)].to_vec()),
        Writing::MessagesBehindOthers => {
            (vec!["1", "2", "3", "one", "two"], [(4, 1), (5, 1)].to_vec())
        }
        Writing::Change => (vec!["1"], vec![(1, 2)]),
    };
    let told = done.iter().map(|(seq, change)| Outcome::Stored(Cursor::new(*seq, *change)));
    let outcomes: Vec<_> = told.collect();
    let end = done[done.len() - 1];
    let told = match &outcome {
        BatchOutcome::Done(told) | BatchOutcome::Followed { outcomes: told, .. } => told.clone(),
        BatchOutcome::Fenced | BatchOutcome::Gone => Vec::new(),
    };
    let right = stored == expected && told == outcomes && loaded.end == Cursor::new(end.0, end.1);
    let wrong = format!(
        "{writing:?}, {command:?} {nth} lost (answer: {answer}): {outcome:?}, {stored:?} at {}",
        loaded.end
    );
    (happened, (!right).then_some(wrong))
}

/// Every statement of a commit in turn, and every answer: what has no key is not doubled either.
#[tokio::test]
async fn whichever_statement_is_lost_a_commit_takes_effect_once() {
    let database = Database::new().await;
    let other = open(&database.url(), PATIENCE).await;
    let mut cases = Vec::new();
    for writing in [Writing::Messages, Writing::MessagesBehindOthers, Writing::Change] {
        for answer in [false, true] {
            cases.push((writing, (Command::Commit, answer, 1)));
            cases.extend((1..=8).map(|nth| (writing, (Command::Execute, answer, nth))));
        }
    }
    let run = |(writing, loss)| write_and_lose(&database, &other, writing, loss);
    let results = join_all(cases.into_iter().map(run)).await;
    let happened = results.iter().filter(|(happened, _)| *happened).count();
    assert!(happened > 20, "{happened} losses");
    tell(&results.into_iter().filter_map(|(_, wrong)| wrong).collect::<Vec<_>>());
}
