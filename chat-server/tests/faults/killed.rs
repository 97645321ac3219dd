//! The database is killed under load, as the kernel and power cuts do it, and started again.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{Code, Limits};

use crate::database::connect;
use crate::database::server::Server;
use crate::house::{House, open};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::{MARGIN, execute, until};

const DEADLINE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_killed_database_costs_nobody_a_message() {
    let mut server = Server::new().await;
    let store = open(&server.url(), DEADLINE).await;
    // Rooms keep no messages in memory, so that readers need the database too.
    let limits = Limits { kept_bytes: 1, ..Limits::default() };
    let house = House::build(store, limits, 6).await;
    let ledger = Arc::new(Ledger::new(DEADLINE + MARGIN));
    let load = Load::start(&house, &ledger, &house.rooms, 6).await;
    for shut_down in [false, true, false] {
        load.goes_on(300).await;
        if shut_down {
            // As an operator does it, which ends connections with words of farewell.
            execute(&mut connect(&server.admin_url()).await, "SHUTDOWN").await;
        }
        server.kill();
        server.restart().await;
    }
    // And once for longer than anybody waits.
    load.goes_on(300).await;
    server.kill();
    let refused = ledger.refused(Code::Unavailable);
    until("senders are told so", async || ledger.refused(Code::Unavailable) > refused + 30).await;
    server.restart().await;
    load.goes_on(300).await;
    load.stop().await;
    house.settle_in(&ledger, &server.url()).await;
}

/// As a primary is for a moment while another one takes over.
#[tokio::test]
async fn a_database_that_takes_no_writes_for_a_moment_refuses_nobody() {
    let server = Server::new().await;
    // Until everybody waits, nobody has waited too long.
    let deadline = Duration::from_secs(15);
    let store = open(&server.url(), deadline).await;
    let house = House::build(store, Limits::default(), 4).await;
    let ledger = Arc::new(Ledger::new(deadline + MARGIN));
    let load = Load::start(&house, &ledger, &house.rooms, 4).await;
    let senders = house.rooms.len() * (4 + house.listeners.len());
    let mut admin = connect(&server.admin_url()).await;
    for _ in 0..3 {
        load.goes_on(100).await;
        execute(&mut admin, "SET GLOBAL read_only = 1").await;
        until("everybody waits", async || house.engine.stats().waiting_writes == senders).await;
        execute(&mut admin, "SET GLOBAL read_only = 0").await;
    }
    load.goes_on(100).await;
    load.stop().await;
    assert_eq!(ledger.refused(Code::Unavailable), 0);
    house.settle_in(&ledger, &server.url()).await;
}
