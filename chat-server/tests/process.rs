//! The program itself: how it starts, what it refuses, how it stops, and what is left when it is
//! killed.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

use serde_json::{Value, json};
use support::http::Http;
use support::process::{ANY_PORT, Process, refused, start};
use support::{Client, Frame, Guest, call, guest, text, until};
use tempfile::TempDir;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

/// Somebody who uses a server by its address.
struct Person {
    http: Http,
    guest: Guest,
}

impl Person {
    async fn new(address: &str, nickname: &str) -> Self {
        let http = Http::default();
        let guest = guest(&http, &format!("http://{address}"), nickname).await;
        Self { http, guest }
    }

    async fn call(&self, address: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let base = format!("http://{address}");
        call(&self.http, &base, method, path, &self.guest.token, body).await
    }

    async fn connect(&self, address: &str) -> Client {
        Client::connect(address, Some(&self.guest.token)).await
    }
}

#[actix_web::test]
async fn starts_without_any_setting_and_keeps_everything_in_its_data_folder() {
    let folder = folder();
    let (mut process, address) = start(folder.path(), &[]).await;
    let mode = |name: &str| {
        let found = fs::metadata(folder.path().join(name)).expect(name);
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("data/signing.key"), 0o600);
    assert_eq!(mode("data"), 0o700);
    assert!(fs::metadata(folder.path().join("data/chat.db")).is_ok_and(|file| file.len() > 0));
    let others = fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(others.count(), 1, "nothing beside the data folder");
    let health = Http::default().get(format!("http://{address}/healthz")).send().await;
    let health = health.expect("an answer");
    assert_eq!((health.status().as_u16(), health.text()), (200, r#"{"status":"ok"}"#.to_owned()));

    // The next process takes the same key and the same database.
    let ann = Person::new(&address, "Ann").await;
    let (_, room) = ann.call(&address, "POST", "/rooms", json!({"title":"Tea"})).await;
    let key = fs::read(folder.path().join("data/signing.key")).expect("a key");
    process.kill();
    let (_process, address) = start(folder.path(), &[]).await;
    let path = format!("/rooms/{}", text(&room["id"]));
    assert_eq!(ann.call(&address, "GET", &path, Value::Null).await, (200, room));
    assert_eq!(fs::read(folder.path().join("data/signing.key")).expect("a key"), key);
}

#[actix_web::test]
async fn production_needs_a_secret() {
    let folder = folder();
    let flags = [&ANY_PORT[..], &["--environment", "production"]].concat();
    let said = refused(folder.path(), &flags, &[]).await;
    assert!(said.contains("CHAT__AUTH__SECRET"), "{said}");
    let short = [("CHAT__AUTH__SECRET", "too short to be one")];
    let said = refused(folder.path(), &flags, &short).await;
    assert!(said.contains("auth.secret") && said.contains("32"), "{said}");
    assert!(!said.contains("too short to be one"), "a secret is not repeated: {said}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    let good = [("CHAT__AUTH__SECRET", "0123456789abcdef0123456789abcdef")];
    let mut process = Process::spawn(folder.path(), &flags, &good);
    process.address().await;
    assert!(!folder.path().join("data/signing.key").exists(), "it is not written down");
}

#[actix_web::test]
async fn a_mistake_in_the_settings_is_named() {
    let folder = folder();
    fs::write(folder.path().join("my.toml"), "[rooms]\ngrace = 5\n").expect("a file");
    fs::write(folder.path().join("not.toml"), "[rooms\n").expect("a file");
    let typo: &[_] = &[("CHAT__SERVER__LISTNE", "127.0.0.1:0")];
    let wrong: &[_] = &[("CHAT__ROOMS__GRACE_S", "soon")];
    for (variables, named) in [
        (typo, ["server.listne", "CHAT__SERVER__LISTNE", "listen"]),
        (wrong, ["rooms.grace_s", "soon", "CHAT__ROOMS__GRACE_S"]),
    ] {
        let said = refused(folder.path(), &[], variables).await;
        assert!(named.iter().all(|name| said.contains(name)), "{variables:?}: {said}");
    }
    for (flags, named) in [
        (["--set", "server.prot=1"], ["server.prot", "--set", "listen"]),
        (["--set", "rooms.grace_s=-1"], ["rooms.grace_s", "--set", "-1"]),
        (["--config", "my.toml"], ["rooms.grace", "my.toml", "grace_s"]),
        (["--config", "not.toml"], ["not.toml", "TOML", "line"]),
        (["--config", "none.toml"], ["none.toml", "no file", "--config"]),
        (["--listen", "here"], ["server.listen", "here", "127.0.0.1:8080"]),
        (["--lisen", "127.0.0.1:0"], ["--lisen", "--listen", ""]),
    ] {
        let said = refused(folder.path(), &flags, &[]).await;
        assert!(named.iter().all(|name| said.contains(name)), "{flags:?}: {said}");
    }
    assert!(!folder.path().join("data").exists(), "nothing is made");
}

#[actix_web::test]
async fn a_port_that_is_taken_is_a_clear_error() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = refused(folder.path(), &["--listen", &address], &[]).await;
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    let said = said.to_lowercase();
    assert!(said.contains("in use"), "{said}");
}

#[actix_web::test]
async fn a_database_that_is_none_is_a_clear_error_and_left_alone() {
    let folder = folder();
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let garbage = "this is somebody's diary, not a database\n".repeat(500);
    fs::write(data.join("chat.db"), &garbage).expect("a file");
    let said = refused(folder.path(), &ANY_PORT, &[]).await;
    assert!(said.contains("chat.db"), "{said}");
    assert_eq!(fs::read_to_string(data.join("chat.db")).expect("the file"), garbage);
    let beside = fs::read_dir(&data).expect("the folder");
    let names = beside.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let known = ["chat.db".to_owned(), "signing.key".to_owned()];
    assert_eq!(
        names.filter(|name| !known.contains(name)).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[actix_web::test]
async fn told_to_stop_it_says_goodbye_and_ends_well() {
    let folder = folder();
    let (process, address) = start(folder.path(), &[]).await;
    let (ann, bob) = (Person::new(&address, "Ann").await, Person::new(&address, "Bob").await);
    let mut clients = [ann.connect(&address).await, bob.connect(&address).await];
    let open = json!({"do":"open","title":"Tea"});
    let room = clients[0].ok(open).await["room"]["id"].clone();
    for client in &mut clients {
        client.ok(json!({"do":"join","room":room})).await;
    }
    // With their HTTP connections, which the server would keep for a while.
    drop((ann, bob));
    process.terminate();
    for client in &mut clients {
        let closing = client.event("closing").await;
        assert_eq!((&closing["code"], &closing["reason"]), (&json!(1001), &json!("draining")));
        assert!(closing["retry_after_ms"].is_u64(), "{closing}");
        assert_eq!(client.close_code().await, 1001);
        assert!(matches!(client.next().await, Frame::End));
    }
    let (status, log) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[actix_web::test]
async fn a_message_sent_again_after_a_crash_gets_its_first_answer() {
    let folder = folder();
    let (mut process, address) = start(folder.path(), &[]).await;
    let ann = Person::new(&address, "Ann").await;
    let mut client = ann.connect(&address).await;
    let room = client.ok(json!({"do":"open","title":"Tea"})).await["room"]["id"].clone();
    let send = json!({"do":"send","room":room,"text":"once","key":"k"});
    let first = client.ok(send.clone()).await;
    process.kill();
    let (_process, address) = start(folder.path(), &[]).await;
    let mut client = ann.connect(&address).await;
    assert_eq!(client.ok(send).await, first);
    let path = format!("/rooms/{}/messages", text(&room));
    let again = ann.call(&address, "POST", &path, json!({"text":"once","key":"k"})).await;
    assert_eq!(again, (201, first.clone()));
    let other = json!({"do":"send","room":room,"text":"twice","key":"k"});
    assert_eq!(client.refused(other).await, "key_conflict");
    let (status, problem) =
        ann.call(&address, "POST", &path, json!({"text":"twice","key":"k"})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("key_conflict")));
    let next = client.ok(json!({"do":"send","room":room,"text":"twice","key":"l"})).await;
    assert_eq!((&first["seq"], &next["seq"]), (&json!(1), &json!(2)));
}

#[actix_web::test]
async fn an_ephemeral_room_outlives_a_crash_only_if_somebody_comes_back() {
    let folder = folder();
    let (mut process, address) = start(folder.path(), &[]).await;
    let (ann, bob) = (Person::new(&address, "Ann").await, Person::new(&address, "Bob").await);
    let mut client = ann.connect(&address).await;
    let open = json!({"do":"open","title":"Tea","ephemeral":true});
    let room = client.ok(open).await["room"]["id"].clone();
    let cursor = client.ok(json!({"do":"join","room":room})).await["cursor"].clone();
    client.ok(json!({"do":"send","room":room,"text":"still here?"})).await;
    process.kill();

    // Ann comes back within the grace period.
    let (mut process, address) = start(folder.path(), &[]).await;
    let mut client = ann.connect(&address).await;
    let resume = json!({"do":"resume","rooms":[{"room":room,"after":cursor}]});
    assert_eq!(client.ok(resume).await, json!({"resumed":1,"failed":0}));
    let resumed = client.event("resumed").await;
    assert_eq!(resumed["ok"]["messages"][0]["text"], "still here?");
    process.kill();

    // Nobody comes back.
    let (_process, address) = start(folder.path(), &["--set", "rooms.grace_s=1"]).await;
    let path = format!("/rooms/{}", text(&room));
    until("the room is gone", async || {
        let (status, answer) = bob.call(&address, "GET", &path, Value::Null).await;
        assert!(status == 200 || answer["code"] == "no_such_room", "{answer}");
        status == 404
    })
    .await;
    // The list is up to a second old.
    until("nor is it listed", async || {
        let (_, list) = bob.call(&address, "GET", "/rooms", Value::Null).await;
        list == json!({"rooms":[]})
    })
    .await;
}

const SENDERS: usize = 6;
const EACH: usize = 250;
const KILLS: usize = 3;
/// Messages before each kill whose sender has not heard that they were written.
const UNHEARD: usize = 8;
const ALL: usize = SENDERS * EACH + KILLS * UNHEARD;

/// What the senders know to be taken: each text and its number.
type Acknowledged = Rc<RefCell<BTreeMap<String, u64>>>;

async fn connect_again(address: &str, person: &Person) -> Client {
    let mut client = None;
    until("there is a server", async || {
        client = Client::try_connect(address, &person.guest.token).await;
        client.is_some()
    })
    .await;
    client.expect("a connection")
}

/// The next reply, unless the connection is lost. Whoever connects just after it was let into a room may hear of that.
async fn next_reply(client: &mut Client) -> Option<Value> {
    loop {
        match client.next().await {
            Frame::Json(event) if event["event"].is_string() => {}
            Frame::Json(reply) => return Some(reply),
            _ => return None,
        }
    }
}

/// Sends these texts, several at a time, each with itself as its key, and again after every loss of
/// the connection until it is acknowledged.
async fn send_all(
    address: &str,
    person: &Person,
    room: &str,
    mut texts: Vec<String>,
    acknowledged: &Acknowledged,
) {
    while !texts.is_empty() {
        let mut client = connect_again(address, person).await;
        while !texts.is_empty() {
            let sent: Vec<_> = texts.iter().take(8).cloned().collect();
            for (id, text) in sent.iter().enumerate() {
                let send = json!({"id":id,"do":"send","room":room,"text":text,"key":text});
                client.try_send(&send).await;
            }
            for _ in &sent {
                let Some(reply) = next_reply(&mut client).await else { break };
                let id = reply["id"].as_u64().expect("an id") as usize;
                let seq = reply["ok"]["seq"].as_u64();
                let seq = seq.unwrap_or_else(|| panic!("{} was answered {reply}", sent[id]));
                acknowledged.borrow_mut().insert(sent[id].clone(), seq);
            }
            let before = texts.len();
            texts.retain(|text| !acknowledged.borrow().contains_key(text));
            if texts.len() == before {
                break;
            }
        }
    }
}

/// Somebody who hears the room from the beginning, whatever happens to the connection.
struct Reader {
    cursor: Value,
    heard: Vec<(u64, String)>,
}

impl Reader {
    fn hear(&mut self, message: &Value) {
        let seq = message["seq"].as_u64().expect("a seq");
        assert_eq!(seq, self.heard.len() as u64 + 1, "a gap, or one twice: {message}");
        self.heard.push((seq, text(&message["text"])));
    }

    /// Comes back with the last cursor; `None` if the connection is lost before everything is
    /// there.
    async fn come_back(&mut self, client: &mut Client, room: &str, resume: bool) -> Option<()> {
        let answer = if resume {
            let rooms = json!([{"room":room,"after":self.cursor}]);
            client.try_ask(json!({"do":"resume","rooms":rooms})).await?;
            // Its reply comes when all rooms have answered.
            let resumed = client.events.iter().position(|event| event["event"] == "resumed");
            client.events.remove(resumed.expect("the room has answered"))
        } else {
            client.try_ask(json!({"do":"join","room":room,"after":self.cursor})).await
        };
        let answer = answer?["ok"].take();
        assert!(answer["cursor"].is_string() && answer.get("reset").is_none(), "{answer}");
        let mut missed = Vec::new();
        if let Some(behind) = answer.get("behind") {
            let until = behind["until"].as_u64().expect("a seq");
            let mut after = behind["after"].as_u64().expect("a seq");
            while after < until {
                let limit = (until - after).min(200);
                let page = json!({"do":"history","room":room,"after":after,"limit":limit});
                let page = client.try_ask(page).await?["ok"]["messages"].take();
                after += limit;
                missed.extend(page.as_array().expect("a page").clone());
            }
        }
        missed.extend(answer["messages"].as_array().expect("messages").clone());
        missed.iter().for_each(|message| self.hear(message));
        self.cursor = answer["cursor"].clone();
        Some(())
    }

    /// Hears events until the connection is lost, or there is nothing more to come.
    async fn listen(&mut self, client: &mut Client) {
        while self.heard.len() < ALL
            && let Some(event) = client.try_event().await
        {
            if event["event"] == "message" {
                self.hear(&event);
            }
            if event["cursor"].is_string() {
                self.cursor = event["cursor"].clone();
            }
            assert_ne!(event["event"], "behind", "it reads all the time");
        }
    }
}

/// A port that the system gives to nobody who does not ask for it by its number. It may be used
/// again at once, whereas a client that knocks at one of the others could get it itself.
fn fixed_port() -> u16 {
    let start = 20_000 + (RandomState::new().build_hasher().finish() % 10_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (start..30_000).chain(20_000..start).find(free).expect("a free port")
}

#[actix_web::test]
async fn nothing_acknowledged_is_lost_and_nothing_comes_twice_when_it_is_killed() {
    let folder = folder();
    let listen = format!("127.0.0.1:{}", fixed_port());
    let flags = ["--listen", &listen];
    let mut process = Process::spawn(folder.path(), &flags, &[]);
    let address = process.address().await;
    let reader = Person::new(&address, "reader").await;
    let (_, room) = reader.call(&address, "POST", "/rooms", json!({"title":"Tea"})).await;
    let room = text(&room["id"]);

    let acknowledged = Acknowledged::default();
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let person = Person::new(&address, &format!("sender {sender}")).await;
        let me = format!("/rooms/{room}/members/me");
        assert_eq!(person.call(&address, "PUT", &me, Value::Null).await.0, 200);
        let texts = (0..EACH).map(|number| format!("{sender}/{number}")).collect();
        let (address, room, acknowledged) = (address.clone(), room.clone(), acknowledged.clone());
        senders.push(actix_web::rt::spawn(async move {
            send_all(&address, &person, &room, texts, &acknowledged).await;
        }));
    }

    let deaf = Person::new(&address, "deaf").await;
    let count = async || acknowledged.borrow().len();
    let killing = async {
        for kill in 0..KILLS {
            // At another moment each time.
            let random = RandomState::new().build_hasher().finish() as usize % (ALL / 8);
            let enough = (kill + 1) * ALL / 5 + random;
            until("enough is written", async || count().await >= enough).await;
            // These are written, and the answers are lost with the process.
            let texts: Vec<_> =
                (0..UNHEARD).map(|number| format!("deaf {kill}/{number}")).collect();
            let mut ear = deaf.connect(&address).await;
            ear.ok(json!({"do":"join","room":room})).await;
            let mut mouth = deaf.connect(&address).await;
            for text in &texts {
                let send = json!({"id":0,"do":"send","room":room,"text":text,"key":text});
                mouth.try_send(&send).await;
            }
            while ear.event("message").await["text"] != texts[UNHEARD - 1] {}
            process.kill();
            process = Process::spawn(folder.path(), &flags, &[]);
            process.address().await;
            send_all(&address, &deaf, &room, texts, &acknowledged).await;
        }
    };
    let reading = async {
        let mut view = Reader { cursor: json!("0.0"), heard: Vec::new() };
        let mut comings = 0;
        while view.heard.len() < ALL {
            // Once it stays away for longer than one answer can tell.
            let enough = if comings == 2 { view.heard.len() + 300 } else { 0 };
            until("enough is missed", async || count().await >= enough.min(ALL)).await;
            let mut client = connect_again(&address, &reader).await;
            if view.come_back(&mut client, &room, comings % 2 == 0).await.is_some() {
                comings += 1;
                view.listen(&mut client).await;
            }
        }
        assert!(comings >= 3, "it was interrupted");
        view.heard
    };
    let sending = async {
        for sender in senders {
            sender.await.expect("a sender gets through");
        }
    };
    let (heard, (), ()) = futures_util::join!(reading, killing, sending);

    let mut written = Vec::new();
    while written.len() < ALL {
        let path = format!("/rooms/{room}/messages?after={}&limit=200", written.len());
        let (_, page) = reader.call(&address, "GET", &path, Value::Null).await;
        let page = page["messages"].as_array().expect("a page");
        assert!(!page.is_empty(), "only {} messages", written.len());
        written.extend(
            page.iter().map(|one| (one["seq"].as_u64().expect("a seq"), text(&one["text"]))),
        );
    }
    assert!(written.iter().map(|(seq, _)| *seq).eq(1..=ALL as u64), "no gap");
    let path = format!("/rooms/{room}/messages?after={ALL}");
    let (_, page) = reader.call(&address, "GET", &path, Value::Null).await;
    assert_eq!(page["messages"], json!([]), "nothing more");
    assert_eq!(heard, written, "the reader has heard what is written");
    let texts: BTreeSet<_> = written.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), ALL, "each once");
    let acknowledged = acknowledged.take();
    assert_eq!(acknowledged.len(), ALL);
    for (seq, text) in &written {
        assert_eq!(acknowledged[text], *seq, "{text} stands where it was acknowledged");
    }
}
