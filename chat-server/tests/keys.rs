//! Keys over a whole server, with both databases: what takes none and is done once, what is remembered for how long, and
//! what is forgotten in the background.

mod database;
mod support;

use std::time::Duration;

use chat_core::limits;
use database::Database;
use serde_json::{Value, json};
use support::{Guest, PASSWORD, Person, TestServer, until};

/// How often the server looks for what is to be forgotten.
const LOOKS_EVERY: Duration = Duration::from_secs(3_600);

/// A server that may be stopped and started again on what it has kept.
struct Kept {
    server: TestServer,
    settings: Vec<String>,
    ann: Guest,
    room: String,
}

async fn start(settings: &[String]) -> TestServer {
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    TestServer::with(&settings).await
}

impl Kept {
    /// A room of Ann's, with messages 1 to 4.
    async fn new(url: Option<String>) -> Self {
        let lasting = "auth.guest_ttl_s=31536000".to_owned();
        let settings: Vec<_> =
            url.map(|url| format!("store.url={url}")).into_iter().chain([lasting]).collect();
        let server = start(&settings).await;
        let ann = server.guest("Ann").await;
        let room = server.room(&ann.token, "Lobby").await;
        let kept = Self { server, settings, ann, room };
        for text in ["one", "two", "three", "four"] {
            let sent = kept.ask("POST", "/messages", json!({ "text": text, "key": text })).await;
            assert_eq!(sent.0, 201, "{sent:?}");
        }
        kept
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        // Marks are written now and then.
        self.server.clock.advance(Duration::from_secs(1));
        let path = format!("/rooms/{}{path}", self.room);
        self.server.call(method, &path, &self.ann.token, body).await
    }

    /// The status of the answer, and the code if it is an error.
    async fn code(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.ask(method, path, body).await;
        (status, answer["code"].clone())
    }

    async fn restarted(self) -> Self {
        let folder = self.server.stop().await;
        let settings: Vec<_> = self.settings.iter().map(String::as_str).collect();
        Self { server: TestServer::start_in(folder, None, &settings).await, ..self }
    }

    async fn text(&self, seq: u64) -> Value {
        self.ask("GET", &format!("/messages/{seq}"), Value::Null).await.1["text"].clone()
    }

    /// Lets time pass, with nobody there: rooms are in memory no more, and what is old enough is forgotten.
    async fn wait(&self, time: Duration) {
        self.server.clock.advance(time);
        let server = &self.server;
        until("rooms have stopped", async || {
            server.clock.advance(Duration::from_secs(1));
            server.server().engine().stats().rooms == 0
        })
        .await;
        // As long as the server is at it, it does not sleep.
        server.clock.advance(LOOKS_EVERY);
        until("it has looked", async || server.clock.sleepers(LOOKS_EVERY) > 0).await;
    }
}

async fn what_changes_nothing_is_not_done_later_either(mut kept: Kept) {
    let none = || Value::Null;
    let said = |text: &str| json!({ "text": text });
    assert_eq!(kept.ask("PUT", "/messages/1/marks/x", none()).await.0, 204);
    // All of this is so already.
    let same = [
        ("PUT", "/messages/1/marks/x?key=n1", none()),
        ("DELETE", "/messages/1/marks/y?key=n2", none()),
        ("PATCH", "/messages/1?key=n3", said("one")),
    ];
    for (method, path, body) in &same {
        assert_eq!(kept.ask(method, path, body.clone()).await.0, 204, "{path}");
    }
    // And now it is not.
    assert_eq!(kept.ask("DELETE", "/messages/1/marks/x", none()).await.0, 204);
    assert_eq!(kept.ask("PUT", "/messages/1/marks/y", none()).await.0, 204);
    assert_eq!(kept.ask("PATCH", "/messages/1", said("otherwise")).await.0, 204);
    let before = kept.ask("GET", "/messages/1", none()).await.1;
    for restarted in [false, true] {
        if restarted {
            kept = kept.restarted().await;
        } else {
            kept.wait(Duration::from_secs(60)).await;
        }
        for (method, path, body) in &same {
            assert_eq!(kept.ask(method, path, body.clone()).await.0, 204, "{path}");
        }
        assert_eq!(kept.ask("GET", "/messages/1", none()).await.1, before);
        for (nth, _) in (1..).zip(&same) {
            let other = kept.code("DELETE", &format!("/messages/2?key=n{nth}"), none()).await;
            assert_eq!(other, (409, json!("key_conflict")), "{nth}");
        }
    }
}

async fn keys_last_as_long_as_they_should(kept: Kept) {
    let open = |title: &str| json!({ "title": title, "key": "opened" });
    let room = kept.server.call("POST", "/rooms", &kept.ann.token, open("Once")).await;
    assert_eq!(room.0, 201, "{room:?}");
    assert_eq!(kept.ask("DELETE", "/messages/1?key=change", Value::Null).await.0, 204);
    assert_eq!(kept.ask("DELETE", "/messages/1?key=nothing", Value::Null).await.0, 204);
    // What one key has been used for, another write does not get.
    let other = async |key: &str, seq: u64| {
        let path = format!("/messages/{seq}?key={key}");
        kept.code("DELETE", &path, Value::Null).await
    };
    let conflict = (409, json!("key_conflict"));
    for _ in 0..2 {
        for key in ["change", "nothing", "two"] {
            assert_eq!(other(key, 3).await, conflict, "{key}");
        }
        let opened = kept.server.call("POST", "/rooms", &kept.ann.token, open("Twice")).await;
        assert_eq!((opened.0, opened.1["code"].clone()), conflict);
        kept.wait(limits::KEYS_LAST).await;
    }
    // By now it is twice as long.
    assert_eq!(other("change", 3).await, (204, Value::Null));
    assert_eq!(other("nothing", 4).await, (204, Value::Null));
    let opened = kept.server.call("POST", "/rooms", &kept.ann.token, open("Twice")).await;
    assert_eq!(opened.0, 201, "{opened:?}");
    // A message has its key as long as it is there itself.
    let again = json!({ "text": "two", "key": "two" });
    assert_eq!(kept.ask("POST", "/messages", again).await.1["seq"], 2);
    assert_eq!(kept.text(2).await, "two");
}

async fn a_group_of_friends_is_made_once(mut kept: Kept) {
    let una = kept.server.sign_up("una").await;
    let make = async |server: &TestServer, name: &str| {
        let body = json!({ "name": name, "key": "g1" });
        server.call("POST", "/friend-groups", &una.token, body).await
    };
    let first = make(&kept.server, "Work").await;
    assert_eq!((first.0, &first.1["name"]), (201, &json!("Work")));
    assert_eq!(make(&kept.server, "Work").await, first);
    kept = kept.restarted().await;
    assert_eq!(make(&kept.server, "Work").await, first, "after a restart");
    let other = make(&kept.server, "Home").await;
    assert_eq!((other.0, &other.1["code"]), (409, &json!("key_conflict")));
    let groups = kept.server.call("GET", "/friend-groups", &una.token, Value::Null).await;
    assert_eq!(groups.1, json!({ "groups": [first.1] }));
}

async fn the_key_of_a_group_lasts_as_long_as_it_should(kept: Kept) {
    kept.server.sign_up("una").await;
    let make = async |name: &str| {
        // Its tokens do not last as long.
        let una = json!({ "username": "una", "password": PASSWORD });
        let (status, una) = kept.server.call("POST", "/tokens", "", una).await;
        assert_eq!(status, 201, "{una}");
        let body = json!({ "name": name, "key": "g1" });
        let token = Person::of(&una).token;
        kept.server.call("POST", "/friend-groups", &token, body).await
    };
    assert_eq!(make("Work").await.0, 201);
    for _ in 0..2 {
        let other = make("Home").await;
        assert_eq!((other.0, &other.1["code"]), (409, &json!("key_conflict")));
        kept.wait(limits::KEYS_LAST).await;
    }
    // By now it is twice as long.
    let other = make("Home").await;
    assert_eq!((other.0, &other.1["name"]), (201, &json!("Home")));
}

/// Groups are kept beside a store in memory, and so are their keys.
#[actix_web::test]
async fn the_key_of_a_group_lasts_as_long_as_it_should_in_memory() {
    let kept = Kept::new(Some("memory:".to_owned())).await;
    the_key_of_a_group_lasts_as_long_as_it_should(kept).await;
}

macro_rules! in_both {
    ($($case:ident: $sqlite:ident, $mariadb:ident;)*) => {$(
        #[actix_web::test]
        async fn $sqlite() {
            $case(Kept::new(None).await).await;
        }

        #[actix_web::test]
        async fn $mariadb() {
            let database = Database::new().await;
            $case(Kept::new(Some(database.url())).await).await;
        }
    )*};
}

in_both! {
    what_changes_nothing_is_not_done_later_either:
        what_changes_nothing_is_not_done_later_in_sqlite,
        what_changes_nothing_is_not_done_later_in_mariadb;
    keys_last_as_long_as_they_should:
        keys_last_as_long_as_they_should_in_sqlite, keys_last_as_long_as_they_should_in_mariadb;
    a_group_of_friends_is_made_once:
        a_group_of_friends_is_made_once_in_sqlite, a_group_of_friends_is_made_once_in_mariadb;
    the_key_of_a_group_lasts_as_long_as_it_should:
        the_key_of_a_group_lasts_as_long_as_it_should_in_sqlite,
        the_key_of_a_group_lasts_as_long_as_it_should_in_mariadb;
}
