//! The database stops for 20 s and goes on where it was: as under a virtual machine that is moved,
//! or on a disk that hangs. Connections stay, and nobody is told anything.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{After, Code, Draft, Limits};
use chat_server::store::SqlStore;
use futures_util::future::join_all;
use sqlx::Connection;
use tokio::time::{Instant, sleep_until, timeout};

use crate::database::server::Server;
use crate::database::{Database, PATIENCE};
use crate::house::{House, open, user};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::sole::forbid;
use crate::stored::Stored;
use crate::{MARGIN, execute, until};

const DEADLINE: Duration = Duration::from_secs(3);
const STOPPED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_database_that_stops_for_20_s_costs_nobody_a_message() {
    let server = Server::new().await;
    let store = open(&server.url(), DEADLINE).await;
    let house = House::build(store, Limits::default(), 6).await;
    let ledger = Arc::new(Ledger::new(DEADLINE + MARGIN));
    let load = Load::start(&house, &ledger, &house.rooms, 6).await;
    load.goes_on(500).await;
    server.freeze();
    let stopped = Instant::now();
    // Those without keys give up what is refused and go on, and so do the others.
    until("senders are told so", async || ledger.refused(Code::Unavailable) > 100).await;
    sleep_until(stopped + STOPPED).await;
    server.thaw();
    load.goes_on(500).await;
    load.stop().await;
    house.settle_in(&ledger, &server.url()).await;
}

/// Somebody holds rows for longer than the store waits: as it writes alone, those of messages, and the
/// places behind them; else that of a room, and the rooms beside it wait too; or that of who writes alone.
#[tokio::test]
async fn a_row_that_is_held_costs_nobody_a_message() {
    let database = Database::new().await;
    let store = open(&database.url(), DEADLINE).await;
    let house = House::build(store, Limits::default(), 4).await;
    let ledger = Arc::new(Ledger::new(DEADLINE + MARGIN));
    let mut connection = database.connect().await;
    for (alone, held) in [
        (true, "SELECT seq FROM messages FOR UPDATE"),
        (false, "SELECT id FROM rooms ORDER BY id LIMIT 1 FOR UPDATE"),
        (false, "SELECT id FROM sole_writer FOR UPDATE"),
    ] {
        if !alone {
            forbid(&mut connection).await;
        }
        let load = Load::start(&house, &ledger, &house.rooms, 4).await;
        load.goes_on(100).await;
        let refused = ledger.refused(Code::Unavailable);
        let mut holder = connection.begin().await.expect("a transaction");
        execute(&mut holder, held).await;
        until("senders are told so", async || ledger.refused(Code::Unavailable) > refused + 5)
            .await;
        holder.rollback().await.expect("it ends");
        load.goes_on(100).await;
        load.stop().await;
    }
    house.settle_in(&ledger, &database.url()).await;
}

/// An engine that is stopped while its database has stopped ends all the same, with an answer for
/// everybody.
#[tokio::test]
async fn an_engine_stops_though_its_database_does_not_answer() {
    let server = Server::new().await;
    // Until all are taken, none has waited too long.
    let deadline = 2 * DEADLINE;
    let store = open(&server.url(), deadline).await;
    let house = House::build(Arc::clone(&store) as _, Limits::default(), 4).await;
    let me = user("me");
    for room in &house.rooms {
        house.engine.room(*room).join(&me, After::Nothing).await.expect("in it");
    }
    server.freeze();
    let send = async |number: usize| {
        let room = house.engine.room(house.rooms[number % house.rooms.len()]);
        let draft = Draft::text(number.to_string()).expect("a good text");
        room.send(&me, draft.key(number.to_string()).expect("a good key")).await
    };
    let stop = async {
        until("all are taken", async || house.engine.stats().waiting_writes == 40).await;
        let since = Instant::now();
        house.engine.stop().await;
        store.close().await;
        since.elapsed()
    };
    let all = async { tokio::join!(join_all((0..40).map(send)), stop) };
    let (answers, took) = timeout(PATIENCE, all).await.expect("it stops");
    for answer in answers {
        let code = answer.expect_err("nobody is there").code();
        assert!(matches!(code, Code::Unavailable | Code::Stopping), "{code:?}");
    }
    // What it has taken is given up by the deadline, and closing takes another one.
    assert!(took < 2 * deadline + MARGIN, "after {took:?}");
    server.thaw();
    // At most one commit of each of the two connections was under way.
    let stored = Stored::in_mysql(&mut server.connect().await).await;
    assert_eq!(stored.faults(), [""; 0]);
}
