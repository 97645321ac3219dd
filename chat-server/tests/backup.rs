//! A backup is put back: what has happened since is gone, and its numbers come again with other messages. The command
//! that is for it lets everybody begin anew who comes back, however far the rooms have come by then.

mod database;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use database::Database;
use serde_json::{Value, json};
use support::lobby::Lobby;
use support::{Client, TestServer};

/// Runs the command on the database of these settings.
fn reset_cursors(data: &Path, set: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    program.arg("--reset-cursors").arg("--data").arg(data).current_dir(data);
    set.iter().for_each(|set| _ = program.args(["--set", set]));
    let output = program.env_clear().output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

impl Lobby {
    async fn restarted(self, set: &[&str], meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { server, room, alice, bob } = self;
        let data = server.stop().await;
        meanwhile(data.path());
        Self { server: TestServer::start_in(data, None, set).await, room, alice, bob }
    }

    async fn say(&self, what: &str, count: usize) {
        for n in 1..=count {
            let text = json!({ "text": format!("{what} {n}") });
            self.ok(&self.alice, "POST", "/messages", text).await;
        }
    }

    /// What Bob is answered who comes back with this cursor.
    async fn back(&self, after: Option<&str>) -> (Client, Value) {
        let mut bob = Client::connect(&self.server.address, Some(&self.bob.token)).await;
        let mut join = json!({ "do": "join", "room": self.room });
        if let Some(after) = after {
            join["after"] = json!(after);
        }
        let joined = bob.ok(join).await;
        (bob, joined)
    }
}

fn cursor(answer: &Value) -> String {
    answer["cursor"].as_str().expect("a cursor").to_owned()
}

fn texts(joined: &Value) -> Vec<&str> {
    let messages = joined["messages"].as_array().expect("messages");
    messages.iter().map(|message| message["text"].as_str().expect("a text")).collect()
}

/// Whoever knows the room up to one of these cursors begins anew, and is exactly told what follows.
async fn begins_anew(lobby: &Lobby, known: &[String], last: &str) {
    for known in known {
        let (_, joined) = lobby.back(Some(known)).await;
        assert_eq!(joined["reset"], true, "{known}: {joined}");
        assert_eq!(texts(&joined).last(), Some(&last), "{joined}");
    }
    let (mut bob, joined) = lobby.back(None).await;
    let known = cursor(&joined);
    assert_eq!(lobby.back(Some(&known)).await.1["reset"], Value::Null, "a new cursor is good");
    let seq = bob.ok(json!({"do":"send","room":lobby.room,"text":"after"})).await["seq"].clone();
    bob.ok(json!({"do":"edit","room":lobby.room,"seq":seq,"text":"afterwards"})).await;
    let (_, joined) = lobby.back(Some(&known)).await;
    assert_eq!((&joined["reset"], texts(&joined)), (&Value::Null, vec!["afterwards"]), "{joined}");
    assert_eq!(joined["changes"].as_array().map(Vec::len), Some(1), "{joined}");
    // Edits, which have higher numbers now, are found.
    let found = lobby.ok(&lobby.bob, "GET", "/search?q=afterwards", Value::Null).await;
    assert_eq!(found["results"].as_array().map(Vec::len), Some(1), "{found}");
}

#[actix_web::test]
async fn what_came_after_the_backup_is_forgotten_however_far_the_room_has_come() {
    let backup = tempfile::tempdir().expect("a folder");
    let lobby = Lobby::new().await;
    lobby.say("kept", 10).await;
    let before = cursor(&lobby.back(None).await.1);
    let lobby = lobby.restarted(&[], |data| copy(data, backup.path())).await;
    lobby.say("lost", 5).await;
    lobby.ok(&lobby.alice, "PATCH", "/messages/1", json!({ "text": "lost as well" })).await;
    let since = cursor(&lobby.back(None).await.1);
    let put_back = |data: &Path| {
        copy(backup.path(), data);
        assert!(reset_cursors(data, &[]).contains("1 rooms"));
        reset_cursors(data, &[]);
    };
    let lobby = lobby.restarted(&[], put_back).await;
    // Further than it had come, in the same numbers.
    lobby.say("new", 20).await;
    lobby.ok(&lobby.alice, "PATCH", "/messages/1", json!({ "text": "still" })).await;
    lobby.ok(&lobby.alice, "PATCH", "/messages/2", json!({ "text": "there" })).await;
    let first = cursor(&lobby.back(None).await.1);
    begins_anew(&lobby, &[since.clone(), before.clone()], "new 20").await;
    // The same backup once more: what has been given out since it was put back is gone as well.
    let lobby = lobby.restarted(&[], put_back).await;
    lobby.say("newer", 40).await;
    begins_anew(&lobby, &[first, since, before], "newer 40").await;
}

#[actix_web::test]
async fn in_mariadb_everybody_begins_anew_too() {
    let database = Database::new().await;
    let url = format!("store.url={}", database.url());
    let set = [url.as_str()];
    let lobby = Lobby::on(TestServer::with(&set).await).await;
    lobby.say("kept", 10).await;
    let thread = lobby.ok(&lobby.alice, "PUT", "/messages/3/thread", Value::Null).await;
    let known = cursor(&lobby.back(None).await.1);
    let told = |data: &Path| assert!(reset_cursors(data, &set).contains("2 rooms"));
    let lobby = lobby.restarted(&set, told).await;
    begins_anew(&lobby, &[known], "kept 10").await;
    // A thread still tells its room what it has come to.
    let (mut bob, _) = lobby.back(None).await;
    let path = format!("/rooms/{}/messages", thread["id"].as_str().expect("an id"));
    lobby.server.ok(&lobby.alice, "POST", &path, json!({ "text": "a reply" })).await;
    let replies = loop {
        lobby.server.clock.advance(std::time::Duration::from_secs(1));
        let told = bob.event("thread").await;
        if told["thread"]["replies"] != 0 {
            break told["thread"]["replies"].clone();
        }
    };
    assert_eq!(replies, 1);
}

/// The command is for the time before a server is started; one that runs loses nothing by it.
async fn a_running_server_refuses_until_it_is_started_anew(server: TestServer, set: &[&str]) {
    let lobby = Lobby::on(server).await;
    lobby.say("kept", 10).await;
    reset_cursors(lobby.server.data.path(), set);
    let text = json!({ "text": "too early" });
    let (status, answer) = lobby.call(&lobby.alice, "POST", "/messages", text).await;
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
    let lobby = lobby.restarted(set, |_| ()).await;
    let known = cursor(&lobby.back(None).await.1);
    lobby.say("new", 1).await;
    assert_eq!(texts(&lobby.back(Some(&known)).await.1), ["new 1"]);
    assert_eq!(lobby.back(None).await.1["messages"].as_array().map(Vec::len), Some(11));
}

#[actix_web::test]
async fn a_running_server_on_sqlite_refuses_until_it_is_started_anew() {
    a_running_server_refuses_until_it_is_started_anew(TestServer::start().await, &[]).await;
}

#[actix_web::test]
async fn a_running_server_on_mariadb_refuses_until_it_is_started_anew() {
    let database = Database::new().await;
    let url = format!("store.url={}", database.url());
    let set = [url.as_str()];
    a_running_server_refuses_until_it_is_started_anew(TestServer::with(&set).await, &set).await;
}
