//! Text of every kind goes through every field byte for byte, and is counted in characters.

mod support;

use std::sync::Arc;

use reqwest::Url;
use serde_json::{Value, json};
use support::{Client, TestServer, text};

/// What is easily changed on the way: joined, composed, turned round, cut, trimmed or escaped.
const TEXTS: [&str; 16] = [
    "👩‍👩‍👧‍👦 👋🏽 🇰🇷 ❤️ ❤",
    "안녕하세요",
    "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
    "caf\u{e9}",
    "cafe\u{301}",
    "a\u{323}\u{307} a\u{307}\u{323}",
    "שלום عليكم",
    "\u{202e}evil\u{202c} \u{2066}isolated\u{2069} \u{200f}",
    "\u{feff}with a byte order mark",
    " \u{a0}padded\u{3000} ",
    "𝒳 𠜎 \u{10ffff} \u{e000}",
    "ﬁ ß İ ı K Å",
    "zero\u{200b}width\u{200d}joiners\u{ad}",
    r#"<b>&amp;"quoted" \n \u0041 %00 ' ; --"#,
    "\u{fffd}\u{fffe}\u{2028}\u{2029}",
    "z̸͖͌a̷͙̐l̶̰̈g̴̢̀o̵͎͗",
];

/// What only a message may contain besides.
const LINES: [&str; 3] = ["a\0b", "\r\n\ttabs and lines\n\u{b}\u{1b}[31m", "\u{7f}\u{85}\u{1}"];

fn list<'a>(answer: &'a Value, of: &str) -> &'a Vec<Value> {
    answer[of].as_array().unwrap_or_else(|| panic!("no {of} in {answer}"))
}

fn texts(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| text(&message["text"])).collect()
}

#[actix_web::test]
async fn messages_keep_every_byte_on_every_way_and_on_disk() {
    let server = TestServer::start().await;
    let guest = server.guest("Ann").await;
    let room = server.room(&guest.token, "Tea").await;
    let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
    let start = ann.ok(json!({"do":"join","room":room})).await["cursor"].clone();
    let path = format!("/rooms/{room}/messages");
    let mut expected = Vec::new();
    for said in TEXTS.iter().chain(&LINES) {
        ann.ok(json!({"do":"send","room":room,"text":said})).await;
        assert_eq!(ann.event("message").await["text"], *said, "over a socket");
        let (status, _) = server.call("POST", &path, &guest.token, json!({"text":said})).await;
        assert_eq!(status, 201);
        assert_eq!(ann.event("message").await["text"], *said, "over HTTP");
        // With everything escaped that JSON can escape.
        let escaped =
            said.encode_utf16().fold(String::new(), |all, unit| format!("{all}\\u{unit:04x}"));
        ann.send_text(&format!(r#"{{"id":0,"do":"send","room":"{room}","text":"{escaped}"}}"#))
            .await;
        assert_eq!(ann.event("message").await["text"], *said, "escaped");
        expected.extend([said.to_string(), said.to_string(), said.to_string()]);
    }
    everywhere(&server, &mut ann, &room, &start, &guest.token, &expected).await;

    drop(ann);
    let server = TestServer::start_in(server.stop().await, None, &[]).await;
    let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
    everywhere(&server, &mut ann, &room, &start, &guest.token, &expected).await;
}

/// Every way to read a room's messages gives these.
async fn everywhere(
    server: &TestServer,
    client: &mut Client,
    room: &str,
    start: &Value,
    token: &str,
    expected: &[String],
) {
    let answer = client.ok(json!({"do":"join","room":room,"limit":200})).await;
    assert_eq!(texts(list(&answer, "messages")), expected, "join");
    let answer = client.ok(json!({"do":"join","room":room,"after":start})).await;
    assert_eq!(texts(list(&answer, "messages")), expected, "join after");
    client.events.clear();
    client.ok(json!({"do":"resume","rooms":[{"room":room,"after":start}]})).await;
    let resumed = client.event("resumed").await;
    assert_eq!(texts(list(&resumed["ok"], "messages")), expected, "resume");
    let answer = client.ok(json!({"do":"history","room":room,"limit":200})).await;
    assert_eq!(texts(list(&answer, "messages")), expected, "history");
    let path = format!("/rooms/{room}/messages");
    let (_, answer) = server.call("GET", &format!("{path}?limit=200"), token, Value::Null).await;
    assert_eq!(texts(list(&answer, "messages")), expected, "history over HTTP");
    for (index, text) in expected.iter().enumerate() {
        let path = format!("{path}/{}", index + 1);
        let (_, one) = server.call("GET", &path, token, Value::Null).await;
        assert_eq!(one["text"], *text, "one message");
    }
}

#[actix_web::test]
async fn nicknames_keep_every_byte_on_every_way_and_on_disk() {
    let mut server = TestServer::start().await;
    let owner = server.guest("Ann").await;
    let room = server.room(&owner.token, "Tea").await;
    let mut ann = Client::connect(&server.address, Some(&owner.token)).await;
    let start = ann.ok(json!({"do":"join","room":room})).await["cursor"].clone();
    ann.event("presence").await;
    let names = TEXTS.map(|name| name.chars().take(32).collect::<String>());
    let mut guests = Vec::new();
    for name in &names {
        let (status, answer) =
            server.call("POST", "/tokens/guest", "", json!({"nickname":name})).await;
        assert_eq!((status, &answer["user"]["name"]), (201, &json!(name)));
        let token = text(&answer["access_token"]);
        let mut client = Client::connect(&server.address, None).await;
        let known = client.ok(json!({"do":"auth","token":token})).await;
        assert_eq!(known["user"]["name"], *name, "auth");
        let joined = client.ok(json!({"do":"join","room":room})).await;
        assert_eq!(joined["me"]["name"], *name, "join");
        let first = list(&joined["members"], "first");
        assert!(first.iter().any(|member| member["name"] == *name), "first members");
        for event in ["member", "presence"] {
            assert_eq!(ann.event(event).await["user"]["name"], *name, "{event}");
        }
        client.ok(json!({"do":"typing","room":room,"on":true})).await;
        assert_eq!(ann.event("typing").await["user"]["name"], *name);
        client.ok(json!({"do":"send","room":room,"text":"hi"})).await;
        assert_eq!(ann.event("message").await["from"]["name"], *name);
        let me = format!("/rooms/{room}/members/me");
        let (_, member) = server.call("PUT", &me, &token, Value::Null).await;
        assert_eq!(member["name"], *name, "PUT");
        guests.push(client);
    }
    for restarted in [false, true] {
        let answer = ann.ok(json!({"do":"join","room":room,"after":start})).await;
        let from = list(&answer, "messages").iter().map(|message| text(&message["from"]["name"]));
        assert!(from.eq(names.iter().cloned()), "messages, restarted: {restarted}");
        let joined = list(&answer, "changes").iter().map(|change| text(&change["user"]["name"]));
        assert!(joined.eq(names.iter().cloned()), "changes, restarted: {restarted}");
        let path = format!("/rooms/{room}/members?limit=200");
        let (_, page) = server.call("GET", &path, &owner.token, Value::Null).await;
        let members: Vec<_> = list(&page, "members").iter().map(|one| text(&one["name"])).collect();
        assert!(names.iter().all(|name| members.contains(name)), "members, restarted: {restarted}");
        if !restarted {
            guests.clear();
            drop(ann);
            server = TestServer::start_in(server.stop().await, None, &[]).await;
        }
        ann = Client::connect(&server.address, Some(&owner.token)).await;
    }
}

#[actix_web::test]
async fn titles_keep_every_byte_and_are_found_by_what_they_contain() {
    let server = TestServer::start().await;
    let token = server.guest("Ann").await.token;
    let mut ann = Client::connect(&server.address, Some(&token)).await;
    let mut rooms = Vec::new();
    for title in TEXTS {
        rooms.push((server.room(&token, title).await, title));
        let opened = ann.ok(json!({"do":"open","title":title})).await;
        assert_eq!(opened["room"]["title"], title, "over a socket");
        rooms.push((text(&opened["room"]["id"]), title));
    }
    let server = TestServer::start_in(stop(server, ann).await, None, &[]).await;
    let mut ann = Client::connect(&server.address, Some(&token)).await;
    for (room, title) in &rooms {
        let (_, one) = server.call("GET", &format!("/rooms/{room}"), &token, Value::Null).await;
        assert_eq!(one["title"], *title, "one room");
        let joined = ann.ok(json!({"do":"join","room":room})).await;
        assert_eq!(joined["room"]["title"], *title, "join");
    }
    let (_, all) = server.call("GET", "/rooms?limit=200", &token, Value::Null).await;
    let listed = list(&all, "rooms").iter().map(|room| (text(&room["id"]), text(&room["title"])));
    let newest = rooms.iter().rev().map(|(room, title)| (room.clone(), title.to_string()));
    assert!(listed.eq(newest), "{all}");
    // "é" composed and decomposed are not the same, nor are Hangul syllables and their letters.
    for title in TEXTS {
        let found = search(&server, &token, title).await;
        assert_eq!(found, [title, title], "{title:?} finds itself and nothing else");
        let start: String = title.chars().take(2).collect();
        assert!(search(&server, &token, &start).await.iter().any(|found| found == title));
    }
    assert_eq!(search(&server, &token, "👩‍👩").await.len(), 2);
}

async fn stop(server: TestServer, client: Client) -> Arc<tempfile::TempDir> {
    drop(client);
    server.stop().await
}

async fn search(server: &TestServer, token: &str, query: &str) -> Vec<String> {
    let address = format!("{}/api/v1/rooms", server.base);
    let address = Url::parse_with_params(&address, [("query", query)]).expect("an address");
    let answer = server.http.get(address).bearer_auth(token).send().await.expect("an answer");
    let answer = answer.json();
    list(&answer, "rooms").iter().map(|room| text(&room["title"])).collect()
}

#[actix_web::test]
async fn keys_are_the_same_only_byte_for_byte_also_on_disk() {
    let mut server = TestServer::start().await;
    let guest = server.guest("Ann").await;
    let room = server.room(&guest.token, "Tea").await;
    let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
    // Unlike a text, a key may be blank.
    let keys: Vec<_> = TEXTS.iter().chain(&LINES).chain(&[" ", "  ", "\0", "A", "a"]).collect();
    let mut first = Vec::new();
    for key in &keys {
        let send = json!({"do":"send","room":room,"text":"hi","key":key});
        first.push(ann.ok(send).await);
    }
    let numbers = first.iter().map(|sent| sent["seq"].as_u64().expect("a seq"));
    assert!(numbers.eq(1..=keys.len() as u64), "no two keys are the same");
    for restarted in [false, true] {
        for (key, first) in keys.iter().zip(&first) {
            let body = json!({"text":"hi","key":key});
            let path = format!("/rooms/{room}/messages");
            let again = server.call("POST", &path, &guest.token, body).await;
            assert_eq!(again, (201, first.clone()), "{key:?}, restarted: {restarted}");
            let send = json!({"do":"send","room":room,"text":"bye","key":key});
            assert_eq!(ann.refused(send).await, "key_conflict", "{key:?}");
        }
        if !restarted {
            server = TestServer::start_in(stop(server, ann).await, None, &[]).await;
        }
        ann = Client::connect(&server.address, Some(&guest.token)).await;
    }
}

#[actix_web::test]
async fn lengths_are_counted_in_characters_and_named_in_the_error() {
    let server = TestServer::start().await;
    let guest = server.guest("Ann").await;
    let room = server.room(&guest.token, "Tea").await;
    let mut ann = Client::connect(&server.address, Some(&guest.token)).await;
    // One that UTF-16 counts as two, one that follows another, one byte, two bytes, three.
    for unit in ["😀", "\u{301}", "x", "é", "한"] {
        let send =
            |text: String, key: String| json!({"do":"send","room":room,"text":text,"key":key});
        let open = |title: String| json!({"do":"open","title":title});
        ann.ok(send(unit.repeat(4_000), unit.repeat(64))).await;
        ann.ok(open(unit.repeat(100))).await;
        let refused = [
            ("text", 4_000, ann.error(send(unit.repeat(4_001), unit.to_owned())).await),
            ("key", 64, ann.error(send(unit.to_owned(), unit.repeat(65))).await),
            ("title", 100, ann.error(open(unit.repeat(101))).await),
        ];
        for (field, most, error) in refused {
            assert_too_long(&error, "message", field, most, most + 1);
        }

        let path = format!("/rooms/{room}/messages");
        let post =
            async |path: &str, body: Value| server.call("POST", path, &guest.token, body).await;
        let name = |count: usize| json!({"nickname":unit.repeat(count)});
        let body = json!({"text":unit.repeat(4_000),"key":unit.repeat(63)});
        assert_eq!(post(&path, body).await.0, 201);
        assert_eq!(post("/rooms", json!({"title":unit.repeat(100)})).await.0, 201);
        let (status, guest) = post("/tokens/guest", name(32)).await;
        assert_eq!(status, 201, "{guest}");
        let mut named = Client::connect(&server.address, Some(&text(&guest["access_token"]))).await;
        named.ok(json!({"do":"ping"})).await;
        let refused = [
            ("text", 4_000, post(&path, json!({"text":unit.repeat(4_001)})).await),
            ("key", 64, post(&path, json!({"text":"a","key":unit.repeat(65)})).await),
            ("title", 100, post("/rooms", json!({"title":unit.repeat(101)})).await),
            ("nickname", 32, post("/tokens/guest", name(33)).await),
        ];
        for (field, most, (status, problem)) in refused {
            assert_eq!(status, 422);
            assert_too_long(&problem, "detail", field, most, most + 1);
        }
    }
    // A text that is far too long still has all its characters counted.
    let error = ann.error(json!({"do":"send","room":room,"text":"é".repeat(30_000)})).await;
    assert_too_long(&error, "message", "text", 4_000, 30_000);
    // Escaped, as some clients send everything.
    let escaped = r"\ud83d\ude00".repeat(4_000);
    ann.send_text(&format!(r#"{{"id":77,"do":"send","room":"{room}","text":"{escaped}"}}"#)).await;
    let reply = ann.reply().await;
    assert!(reply["ok"]["seq"].is_u64(), "{reply}");
}

fn assert_too_long(error: &Value, message: &str, field: &str, limit: usize, actual: usize) {
    let named = (&error["code"], &error["field"], &error["limit"], &error["actual"]);
    let expected = (&json!("too_long"), &json!(field), &json!(limit), &json!(actual));
    assert_eq!(named, expected, "{error}");
    let message = text(&error[message]);
    let numbers = [limit.to_string(), actual.to_string()];
    assert!(numbers.iter().all(|number| message.contains(number)), "{message}");
}

#[actix_web::test]
async fn a_search_is_counted_in_characters_too() {
    let server = TestServer::start().await;
    let token = server.guest("Ann").await.token;
    let title = "😀".repeat(100);
    server.room(&token, &title).await;
    assert_eq!(search(&server, &token, &title).await.first(), Some(&title));
    let address = format!("{}/api/v1/rooms", server.base);
    let query = "😀".repeat(101);
    let address = Url::parse_with_params(&address, [("query", query)]).expect("an address");
    let answer = server.http.get(address).bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(answer.status(), 422);
    let problem = answer.json();
    assert_eq!(problem["code"], "too_long");
    assert_eq!((&problem["limit"], &problem["actual"]), (&json!(100), &json!(101)));
    assert_eq!(problem["field"], "query");
    let detail = text(&problem["detail"]);
    assert!(detail.contains("100") && detail.contains("101"), "{detail}");
}

#[actix_web::test]
async fn only_white_space_is_empty_in_every_script() {
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    let room = ann.ok(json!({"do":"open","title":"Tea"})).await["room"]["id"].clone();
    for blank in [" ", "\u{a0}", "\u{3000}", "\u{2003}\u{2028}", "\n", "\u{85}"] {
        let send = json!({"do":"send","room":room,"text":blank});
        assert_eq!(ann.refused(send).await, "empty", "{blank:?}");
        let open = json!({"do":"open","title":blank});
        assert_eq!(ann.refused(open).await, "empty", "{blank:?}");
        let body = json!({"nickname":blank});
        let (status, problem) = server.call("POST", "/tokens/guest", "", body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("empty")), "{blank:?}");
    }
}
