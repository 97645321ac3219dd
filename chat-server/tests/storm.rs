//! A resume storm over sockets: hundreds of connections are cut off, their rooms go on, and all come back at
//! once with their last cursors. Each gets exactly what it missed; the store is asked nothing that memory knows,
//! and MariaDB itself says so.

mod database;
mod support;

use chat_core::{Cursor, Engine};
use database::server::Server;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::MySqlConnection;
use support::{Client, Guest, TestServer, until};

/// So many rooms, and so many connections in each.
const ROOMS: usize = 6;
const EACH: usize = 50;
/// What each room goes on by.
const MESSAGES: u64 = 4;
const CHANGES: u64 = 2;

/// Somebody who comes back.
struct Person {
    guest: Guest,
    room: String,
    cursor: String,
}

struct Storm {
    server: TestServer,
    /// Who owns each of the rooms.
    owners: Vec<(Guest, String)>,
    people: Vec<Person>,
}

impl Storm {
    async fn gather(server: TestServer) -> Self {
        let (mut owners, mut people) = (Vec::new(), Vec::new());
        for n in 0..ROOMS {
            let owner = server.guest(&format!("Owner {n}")).await;
            let room = server.room(&owner.token, &format!("Room {n}")).await;
            for text in ["one", "two"] {
                said(&server, &owner, &room, text).await;
            }
            for n in 0..EACH {
                let guest = server.guest(&format!("Guest {n}")).await;
                let (room, cursor) = (room.clone(), String::new());
                people.push(Person { guest, room, cursor });
            }
            owners.push((owner, room));
        }
        Self { server, owners, people }
    }

    fn engine(&self) -> Engine {
        self.server.server().engine().clone()
    }

    /// Everybody is in its room, and then cut off without a goodbye.
    async fn cut_off(&mut self) {
        let mut clients = Vec::new();
        for person in &mut self.people {
            let mut client = Client::connect(&self.server.address, Some(&person.guest.token)).await;
            client.ok(json!({"do":"join","room":person.room})).await;
            clients.push(client);
        }
        // What is known by then is where the room stands when the last of them is there.
        for (person, client) in self.people.iter_mut().zip(&mut clients) {
            let back = client.ok(json!({"do":"join","room":person.room})).await;
            person.cursor = support::text(&back["cursor"]);
        }
        drop(clients);
        let engine = self.engine();
        until("all are cut off", async || engine.stats().sessions == 0).await;
    }

    async fn go_on(&self) {
        for (owner, room) in &self.owners {
            for n in 0..MESSAGES {
                said(&self.server, owner, room, &format!("meanwhile {n}")).await;
            }
            let edit = (format!("/rooms/{room}/messages/1"), json!({"text":"edited"}));
            let delete = (format!("/rooms/{room}/messages/2"), Value::Null);
            for (method, (path, body)) in [("PATCH", edit), ("DELETE", delete)] {
                let (status, answer) = self.server.call(method, &path, &owner.token, body).await;
                assert_eq!(status, 204, "{answer}");
            }
        }
    }

    /// All come back at once; gives their connections.
    async fn come_back(&self) -> Vec<Client> {
        join_all(self.people.iter().map(|person| self.resume(person))).await
    }

    async fn resume(&self, person: &Person) -> Client {
        let mut client = Client::connect(&self.server.address, Some(&person.guest.token)).await;
        let rooms = json!([{"room":person.room,"after":person.cursor}]);
        loop {
            client.ok(json!({"do":"resume","rooms":rooms})).await;
            let resumed = client.event("resumed").await;
            if resumed["error"]["code"] == "busy" {
                continue;
            }
            let missed = &resumed["ok"];
            let known: Cursor = person.cursor.parse().expect("a cursor");
            let seqs = missed["messages"].as_array().expect("messages").iter();
            let seqs: Vec<_> = seqs.map(|message| message["seq"].as_u64()).collect();
            let expected: Vec<_> = (known.seq + 1..=known.seq + MESSAGES).map(Some).collect();
            assert_eq!(seqs, expected, "{missed}");
            let changes = missed["changes"].as_array().expect("changes").iter();
            let changes: Vec<_> = changes.map(|change| support::text(&change["event"])).collect();
            assert_eq!(changes, ["edited", "deleted"], "{missed}");
            let end = Cursor::new(known.seq + MESSAGES, known.change + CHANGES);
            assert_eq!(missed["cursor"], json!(end.to_string()));
            assert!(missed["reset"].is_null() && missed["behind"].is_null(), "{missed}");
            return client;
        }
    }
}

async fn said(server: &TestServer, who: &Guest, room: &str, text: &str) {
    let path = format!("/rooms/{room}/messages");
    let (status, answer) = server.call("POST", &path, &who.token, json!({ "text": text })).await;
    assert_eq!(status, 201, "{answer}");
}

#[actix_web::test]
async fn hundreds_come_back_and_cost_the_store_nothing() {
    let mut storm = Storm::gather(TestServer::with(&["socket.max_handshakes=1000"]).await).await;
    storm.cut_off().await;
    storm.go_on().await;
    let before = storm.engine().stats().store;
    let clients = storm.come_back().await;
    assert_eq!(storm.engine().stats().store, before, "memory knows all of it");
    assert_eq!(storm.engine().stats().sessions, ROOMS * EACH);
    drop(clients);

    // After a restart, each room is read once.
    let Storm { server, owners, people } = storm;
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &["socket.max_handshakes=1000"]).await;
    let storm = Storm { server, owners, people };
    let engine = storm.engine();
    until("it has looked around", async || engine.stats().store.reads == 1).await;
    let _clients = storm.come_back().await;
    assert_eq!(engine.stats().store.reads, 1 + ROOMS as u64);
}

async fn selects(connection: &mut MySqlConnection) -> u64 {
    let show = "SHOW GLOBAL STATUS LIKE 'Com_select'";
    let (_, count): (String, String) =
        sqlx::query_as(show).fetch_one(connection).await.expect("a counter");
    count.parse().expect("a number")
}

/// The same on MariaDB, which counts for itself what it is asked.
#[actix_web::test]
async fn hundreds_come_back_and_mariadb_is_asked_nothing() {
    let database = Server::new().await;
    let url = format!("store.url={}", database.url());
    let set = ["socket.max_handshakes=1000", "auth.access_ttl_s=86400", &url];
    let server = TestServer::with(&set).await;
    let mut storm = Storm::gather(server).await;
    storm.cut_off().await;
    storm.go_on().await;
    let mut counting = database.connect().await;
    let engine = storm.engine();
    let (before, reads) = (selects(&mut counting).await, engine.stats().store.reads);
    let _clients = storm.come_back().await;
    assert_eq!(engine.stats().store.reads, reads, "memory knows all of it");
    assert_eq!(selects(&mut counting).await, before, "by its own count");
}
