//! Search over HTTP: for members alone, with what was said around a message, page by page, in one room and in all; and
//! the command that makes its index anew.

mod database;
mod support;

use std::process::{Command, Stdio};

use database::Database;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use support::lobby::Lobby;
use support::{Person, TestServer, text};

impl Lobby {
    async fn say(&self, person: &Person, room: &str, said: &str) {
        let path = format!("/rooms/{room}/messages");
        self.server.ok(person, "POST", &path, json!({"text":said})).await;
    }

    async fn search(&self, person: &Person, query: &str) -> Value {
        self.ok(person, "GET", &format!("/search?{query}"), Value::Null).await
    }
}

/// What the messages that were found say.
fn found(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|result| text(&result["message"]["text"])).collect()
}

fn texts(messages: &Value) -> Vec<String> {
    messages.as_array().expect("messages").iter().map(|one| text(&one["text"])).collect()
}

#[actix_web::test]
async fn what_was_said_around_it_comes_with_it() {
    let scene = Lobby::new().await;
    for n in 1..=9 {
        scene.say(&scene.alice, &scene.room, &format!("message {n}")).await;
    }
    let around = async |query: &str| {
        let answer = scene.search(&scene.bob, query).await;
        let one = &answer["results"][0];
        (texts(&one["before"]), text(&one["message"]["text"]), texts(&one["after"]))
    };
    let say = |numbers: &[u64]| numbers.iter().map(|n| format!("message {n}")).collect::<Vec<_>>();
    assert_eq!(around("q=5").await, (say(&[4]), "message 5".to_owned(), say(&[6])));
    let first = around("q=message%201&context=3").await;
    assert_eq!(first, (vec![], "message 1".to_owned(), say(&[2, 3, 4])));
    let last = around("q=9&context=5").await;
    assert_eq!(last, (say(&[4, 5, 6, 7, 8]), "message 9".to_owned(), vec![]));
    assert_eq!(around("q=5&context=0").await, (vec![], "message 5".to_owned(), vec![]));
    // Page by page.
    let page = scene.search(&scene.bob, "q=message&limit=4").await;
    assert_eq!(found(&page), ["message 9", "message 8", "message 7", "message 6"]);
    let page =
        scene.search(&scene.bob, &format!("q=message&limit=5&before={}", page["next"])).await;
    assert_eq!(found(&page), ["message 5", "message 4", "message 3", "message 2", "message 1"]);
    assert_eq!(page["next"], Value::Null);
}

#[actix_web::test]
async fn only_members_find_what_is_said_in_a_room() {
    let scene = Lobby::new().await;
    scene.say(&scene.alice, &scene.room, "a secret").await;
    let body = json!({"title":"Cellar","kind":"private"});
    let cellar = text(&scene.server.ok(&scene.alice, "POST", "/rooms", body).await["id"]);
    scene.say(&scene.alice, &cellar, "another secret").await;
    let everywhere = async |person: &Person| {
        found(&scene.server.ok(person, "GET", "/search?q=secret", Value::Null).await)
    };
    assert_eq!(everywhere(&scene.alice).await, ["another secret", "a secret"]);
    assert_eq!(everywhere(&scene.bob).await, ["a secret"]);
    let refused = async |person: &Person, room: &str| {
        let path = format!("/rooms/{room}/search?q=secret");
        let (_, problem) = scene.server.call("GET", &path, &person.token, Value::Null).await;
        text(&problem["code"])
    };
    assert_eq!(refused(&scene.bob, &cellar).await, "no_such_room");
    // Kicked, and then banned.
    let path = format!("/rooms/{}/members/{}", scene.room, scene.bob.id);
    scene.server.ok(&scene.alice, "DELETE", &path, Value::Null).await;
    assert_eq!(refused(&scene.bob, &scene.room).await, "not_a_member");
    assert!(everywhere(&scene.bob).await.is_empty());
    let path = format!("/rooms/{}/bans/{}", scene.room, scene.bob.id);
    scene.server.ok(&scene.alice, "PUT", &path, json!({})).await;
    assert!(everywhere(&scene.bob).await.is_empty());
    assert_eq!(found(&scene.search(&scene.alice, "q=SECRET").await), ["a secret"]);
}

#[actix_web::test]
async fn a_room_that_was_left_or_has_ended_is_found_no_more() {
    let scene = Lobby::new().await;
    let other = scene.server.room(&scene.alice.token, "Other").await;
    scene.say(&scene.alice, &scene.room, "in the lobby").await;
    scene.say(&scene.alice, &other, "in the other one").await;
    let search = async || {
        found(&scene.server.ok(&scene.alice, "GET", "/search?q=in%20the", Value::Null).await)
    };
    assert_eq!(search().await, ["in the other one", "in the lobby"]);
    scene
        .server
        .ok(&scene.alice, "DELETE", &format!("/rooms/{other}/members/me"), Value::Null)
        .await;
    assert_eq!(search().await, ["in the lobby"]);
}

#[actix_web::test]
async fn the_command_makes_the_index_anew() {
    let scene = Lobby::new().await;
    for n in 0..5 {
        scene.say(&scene.alice, &scene.room, &format!("안녕하세요 {n}")).await;
    }
    let Lobby { server, room, alice, .. } = scene;
    let data = server.stop().await;
    let run = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        program.args(["--rebuild-search", "--data"]).arg(data.path()).current_dir(data.path());
        let output = program.env_clear().output().expect("the program");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(run().contains("1 rooms, 5 messages"));
    assert!(run().contains("1 rooms, 5 messages"), "as often as anybody likes");
    let server = TestServer::start_in(data, None, &[]).await;
    let path = format!("/rooms/{room}/search?q=%EC%95%88%EB%85%95");
    let (status, answer) = server.call("GET", &path, &alice.token, Value::Null).await;
    assert_eq!((status, found(&answer).len()), (200, 5), "{answer}");
}

/// Runs the command while two servers on one database write and search; `empty` removes what is in the index.
async fn is_made_anew_beside_servers(
    set: &[&str],
    scene: Lobby,
    other: TestServer,
    empty: impl AsyncFn(),
) {
    for n in 0..70 {
        scene.say(&scene.alice, &scene.room, &format!("안녕하세요 {n}")).await;
    }
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat-server"));
        let folder = scene.server.data.path();
        program.arg("--rebuild-search").arg("--data").arg(folder).current_dir(folder);
        set.iter().for_each(|set| _ = program.args(["--set", set]));
        program.env_clear().stdout(Stdio::null()).spawn().expect("the program")
    };
    let path = format!("/rooms/{}/search?q=%EC%95%88%EB%85%95&limit=50", scene.room);
    let count = async |server: &TestServer| {
        let (mut count, mut before) = (0, String::new());
        loop {
            let path = format!("{path}{before}");
            let (status, page) = server.call("GET", &path, &scene.bob.token, Value::Null).await;
            assert_eq!(status, 200, "{page}");
            count += found(&page).len();
            match &page["next"] {
                Value::Null => return count,
                next => before = format!("&before={next}"),
            }
        }
    };
    assert!(program().wait().expect("its end").success(), "it puts everything into the index");
    assert_eq!([count(&scene.server).await, count(&other).await], [70, 70]);
    empty().await;
    assert_eq!(
        [count(&scene.server).await, count(&other).await],
        [0, 0],
        "nothing else finds them"
    );
    let mut rebuilding = program();
    let say = async |server: &TestServer| {
        let path = format!("/rooms/{}/messages", scene.room);
        let body = json!({"text":"안녕, still here"});
        let (status, sent) = server.call("POST", &path, &scene.alice.token, body).await;
        assert_eq!(status, 201, "{sent}");
        sent["seq"].as_u64().expect("a number") as usize
    };
    // Both write while it runs.
    for _ in 0..100 {
        say(&scene.server).await;
        say(&other).await;
    }
    assert!(rebuilding.wait().expect("its end").success());
    // Whoever has just written knows what the other one wrote before.
    for server in [&scene.server, &other] {
        let last = say(server).await;
        assert_eq!(count(server).await, last);
    }
    other.stop().await;
    scene.server.stop().await;
}

#[actix_web::test]
async fn the_command_makes_the_index_of_sqlite_anew_while_servers_run() {
    let scene = Lobby::new().await;
    let other = TestServer::start_in(scene.server.data.clone(), None, &[]).await;
    let file = format!("sqlite:{}", scene.server.data.path().join("chat.db").display());
    let empty = async || {
        let mut connection = SqliteConnection::connect(&file).await.expect("the database");
        let emptied = sqlx::raw_sql("DELETE FROM search_grams").execute(&mut connection).await;
        emptied.expect("emptied");
    };
    is_made_anew_beside_servers(&[], scene, other, empty).await;
}

#[actix_web::test]
async fn the_command_makes_the_index_of_mariadb_anew_while_servers_run() {
    let database = Database::new().await;
    let set = [&*format!("store.url={}", database.url())];
    let scene = Lobby::on(TestServer::with(&set).await).await;
    let other = TestServer::start_in(scene.server.data.clone(), None, &set).await;
    let empty = async || {
        let mut connection = database.connect().await;
        let emptied = sqlx::raw_sql("DELETE FROM search_grams").execute(&mut connection).await;
        emptied.expect("emptied");
    };
    is_made_anew_beside_servers(&set, scene, other, empty).await;
}

#[actix_web::test]
async fn a_store_in_memory_is_searched_too() {
    let server = TestServer::with(&["store.url=memory:"]).await;
    let guest = server.guest("Ann").await;
    let room = server.room(&guest.token, "Lobby").await;
    let path = format!("/rooms/{room}/messages");
    server.call("POST", &path, &guest.token, json!({"text":"I write C++"})).await;
    for path in [format!("/rooms/{room}/search?q=c%2B%2B"), "/search?q=c%2B%2B".to_owned()] {
        let (_, answer) = server.call("GET", &path, &guest.token, Value::Null).await;
        assert_eq!(found(&answer), ["I write C++"]);
    }
}
