//! A room with two people who have accounts, and what they ask over HTTP.

use serde_json::{Value, json};

use super::{Client, Person, TestServer};

/// Alice's room, with Bob in it.
pub struct Lobby {
    pub server: TestServer,
    pub room: String,
    pub alice: Person,
    pub bob: Person,
}

impl Lobby {
    pub async fn new() -> Self {
        Self::on(TestServer::start().await).await
    }

    pub async fn on(server: TestServer) -> Self {
        let (alice, bob) = (server.sign_up("alice").await, server.sign_up("bob").await);
        let room = server.room(&alice.token, "Lobby").await;
        let lobby = Self { server, room, alice, bob };
        lobby.ok(&lobby.bob, "PUT", "/members/me", Value::Null).await;
        lobby
    }

    /// A call about the room: its path goes on behind the room's.
    pub async fn call(
        &self,
        person: &Person,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let path = format!("/rooms/{}{path}", self.room);
        self.server.call(method, &path, &person.token, body).await
    }

    /// The same, if it succeeds.
    pub async fn ok(&self, person: &Person, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(person, method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// A connection that hears the room.
    pub async fn hear(&self, person: &Person) -> Client {
        let mut client = Client::connect(&self.server.address, Some(&person.token)).await;
        client.ok(json!({"do":"join","room":self.room})).await;
        client
    }
}
