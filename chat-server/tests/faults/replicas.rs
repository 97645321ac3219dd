//! A replica stops following, stops altogether, or is killed: everything is answered as before, by
//! the primary, and the replica is asked again once it is back.

use std::sync::Arc;
use std::time::Duration;

use chat_core::{
    After, Code, Draft, HistoryAt, HistoryQuery, Limits, Name, NewRoom, RoomQuery, User,
};
use chat_server::store::{MySqlOptions, MySqlStore, Replica, SqlStore};
use sqlx::MySqlConnection;
use tokio::time::timeout;

use crate::database::connect;
use crate::database::server::Server;
use crate::house::{House, user};
use crate::ledger::{Ledger, Voice};
use crate::load::Load;
use crate::{MARGIN, execute, until};

const DEADLINE: Duration = Duration::from_secs(5);
/// What a page of history has here.
const PAGE: usize = 20;

/// Two servers of this test's own, of which one follows the other.
struct Pair {
    primary: Server,
    replica: Server,
}

impl Pair {
    async fn new() -> Self {
        let (primary, replica) = tokio::join!(Server::new(), Server::new());
        let pair = Self { primary, replica };
        let url = pair.primary.admin_url();
        // mysql://admin:password@127.0.0.1:port/chat
        let parts: Vec<_> = url.split([':', '@', '/']).collect();
        let [_, _, _, _, password, _, port, ..] = parts[..] else { panic!("{url}") };
        let mut admin = pair.admin().await;
        execute(&mut admin, "DROP DATABASE chat").await;
        execute(&mut admin, "RESET MASTER").await;
        let change = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, \
             MASTER_USER = 'admin', MASTER_PASSWORD = '{password}', \
             MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
        );
        execute(&mut admin, &change).await;
        pair.follow().await;
        pair
    }

    /// Has the replica follow from where it is.
    async fn follow(&self) {
        let mut admin = self.admin().await;
        execute(&mut admin, "SET GLOBAL server_id = 2").await;
        // It may have tried under the other's number.
        execute(&mut admin, "STOP SLAVE").await;
        execute(&mut admin, "START SLAVE").await;
    }

    async fn pause(&self) {
        execute(&mut self.admin().await, "STOP SLAVE").await;
    }

    /// On the replica, in no database.
    async fn admin(&self) -> MySqlConnection {
        connect(&self.replica.admin_url().replace("/chat?", "/?")).await
    }
}

/// How many questions a server has answered since it was started.
async fn answered(server: &Server) -> u64 {
    let mut connection = connect(&server.admin_url().replace("/chat?", "/?")).await;
    let count = "SHOW GLOBAL STATUS LIKE 'Com_select'";
    let (_, count): (String, String) =
        sqlx::query_as(count).fetch_one(&mut connection).await.expect("a status");
    count.parse().expect("a number")
}

/// Who writes and reads back at once.
struct Reader {
    house: House,
    store: Arc<MySqlStore>,
    ledger: Arc<Ledger>,
    me: User,
}

impl Reader {
    async fn new(pair: &Pair) -> Self {
        let mut options = MySqlOptions::new(pair.primary.url());
        options.replicas = vec![pair.replica.url().into()];
        options.deadline = DEADLINE;
        let store = Arc::new(MySqlStore::open(&options).await.expect("it is fit for use"));
        // Rooms keep no message in memory, so that each page is read from the store.
        let limits = Limits { kept_bytes: 1, ..Limits::default() };
        let house = House::build(Arc::clone(&store) as _, limits, 3).await;
        let me = user("reader");
        for room in &house.rooms {
            house.engine.room(*room).join(&me, After::Nothing).await.expect("in it");
        }
        Self { house, store, ledger: Arc::new(Ledger::new(DEADLINE + MARGIN)), me }
    }

    /// As the store sees it.
    fn replica(&self) -> Replica {
        self.store.stats().replicas.remove(0)
    }

    /// Whatever has just been written is there: a room, a member, a message.
    async fn reads_back(&self) {
        let engine = &self.house.engine;
        let title = format!("room {}", getrandom::u64().expect("random bytes"));
        let new = NewRoom::open(title.as_str()).expect("a good title");
        let room = engine.open_room(&self.me, new).await.expect("a room");
        let query = RoomQuery { title, after: None, limit: 10 };
        for members in 1..4 {
            let listed = in_time(engine.rooms(&query)).await.expect("a list");
            let found: Vec<_> = listed.iter().map(|room| (room.info.id, room.members)).collect();
            assert_eq!(found, [(room.id(), members)], "what was just written is listed");
            room.join(&user("guest"), After::Nothing).await.expect("in it");
        }
        for room in &self.house.rooms {
            let voice = Voice::Alone(engine.room(*room), self.me.clone());
            let line = self.ledger.note(&voice, true);
            let last = self.ledger.send(&voice, line).await.expect("it is stored").seq;
            let query = HistoryQuery { at: HistoryAt::End, limit: PAGE };
            let page = in_time(engine.room(*room).history(&self.me, query)).await.expect("a page");
            let end = page.messages.last().map_or(0, |message| message.seq);
            assert!(end >= last, "a page ends at {end}, and {last} has been written");
            let seqs: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
            assert_eq!(seqs, (end.saturating_sub(PAGE as u64) + 1..=end).collect::<Vec<_>>());
        }
    }

    /// Waits until the replica is asked, and proves it: while nobody else reads, pages are read until
    /// it has answered them all, and the primary none.
    async fn replica_answers(&self, pair: &Pair, load: Option<&Load>) {
        until("the replica is in use", async || self.replica().in_use).await;
        let _alone = match load {
            Some(load) => Some(load.unread().await),
            None => None,
        };
        until("the replica answers", async || {
            let before = (answered(&pair.replica).await, answered(&pair.primary).await);
            for (after, room) in (1..=20).zip(self.house.rooms.iter().cycle()) {
                // Far from the end, which it may not have yet.
                let query = HistoryQuery { at: HistoryAt::After(after), limit: PAGE };
                let room = self.house.engine.room(*room);
                let page = room.history(&self.me, query).await.expect("a page");
                assert_eq!(page.messages[0].seq, after + 1);
            }
            let after = (answered(&pair.replica).await, answered(&pair.primary).await);
            after.0 >= before.0 + 20 && after.1 == before.1
        })
        .await;
        until("it is not behind", async || self.replica().behind_s <= 1).await;
    }

    /// Reads back what it writes until the replica is left out, and some more.
    async fn replica_is_left_out(&self) {
        until("the replica is left out", async || {
            self.reads_back().await;
            !self.replica().in_use
        })
        .await;
        self.reads_back().await;
    }
}

/// Nobody waits long for a replica that does not answer.
async fn in_time<T>(question: impl Future<Output = T>) -> T {
    timeout(DEADLINE, question).await.expect("in time")
}

#[tokio::test]
async fn a_replica_comes_and_goes() {
    let mut pair = Pair::new().await;
    let reader = Reader::new(&pair).await;
    let load = Load::start(&reader.house, &reader.ledger, &reader.house.rooms, 2).await;
    load.goes_on(200).await;
    reader.reads_back().await;
    reader.replica_answers(&pair, Some(&load)).await;

    // It does nothing at all, and connections to it stay.
    pair.replica.freeze();
    reader.replica_is_left_out().await;
    pair.replica.thaw();
    reader.replica_answers(&pair, Some(&load)).await;

    pair.replica.kill();
    reader.replica_is_left_out().await;
    pair.replica.restart().await;
    pair.follow().await;
    reader.replica_answers(&pair, Some(&load)).await;

    // It answers, but follows no more: it is asked for what it has, until it is too far behind.
    pair.pause().await;
    until("it is asked though it is behind", async || {
        let replica = reader.replica();
        replica.in_use && replica.behind_s >= 3
    })
    .await;
    reader.reads_back().await;
    reader.replica_is_left_out().await;
    until("it is too far behind", async || {
        let replica = reader.replica();
        !replica.in_use && replica.behind_s > 10
    })
    .await;
    pair.follow().await;
    reader.replica_answers(&pair, Some(&load)).await;

    load.goes_on(200).await;
    load.stop().await;
    assert_eq!(reader.ledger.refused(Code::Unavailable), 0);
    reader.house.settle_in(&reader.ledger, &pair.primary.url()).await;
}

#[tokio::test]
async fn a_replica_that_does_not_know_a_new_name_yet_is_not_asked_for_messages() {
    let pair = Pair::new().await;
    let reader = Reader::new(&pair).await;
    let room = reader.house.engine.room(reader.house.rooms[0]);
    for room in &reader.house.rooms {
        for _ in 0..2 * PAGE {
            let draft = Draft::text("hello").expect("a good text");
            reader.house.engine.room(*room).send(&reader.me, draft).await.expect("it is stored");
        }
    }
    for nth in 1.. {
        reader.replica_answers(&pair, None).await;
        pair.pause().await;
        let name = Name::new(format!("Renamed {nth}")).expect("a good name");
        let renamed = User::new(reader.me.id, name);
        reader.house.engine.rename(&renamed).await.expect("everybody is told");
        let query = HistoryQuery { at: HistoryAt::After(0), limit: PAGE };
        let page = room.history(&renamed, query).await.expect("a page");
        assert!(page.messages.iter().all(|message| message.from == renamed), "{page:?}");
        if reader.replica().in_use {
            break;
        }
        // All this took so long that it was not asked because it was too far behind.
        pair.follow().await;
    }
}
