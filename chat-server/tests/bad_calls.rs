//! HTTP calls that are wrong in every way there is: each gets a problem document with the code that
//! `docs/protocol.md` promises.

mod support;

use serde_json::{Value, json};
use support::raw::Raw;
use support::scene::{MOST, Scene, assert_problem};
use support::text;
use tokio::io::AsyncWriteExt;

#[actix_web::test]
async fn a_bad_http_call_gets_a_problem_document() {
    let scene = Scene::new().await;
    let (rooms, messages) = ("/api/v1/rooms", "/api/v1/rooms/$room/messages");
    let long = json!({ "text": "x".repeat(4_001) }).to_string();
    let long_key = json!({ "text": "a", "key": "k".repeat(65) }).to_string();
    let long_title = json!({ "title": "t".repeat(101) }).to_string();
    let long_name = json!({ "nickname": "n".repeat(33) }).to_string();
    let long_query = format!("/api/v1/rooms?query={}", "q".repeat(101));
    let long_search = format!("/api/v1/rooms/$room/search?q={}", "q".repeat(101));
    let long_mark = format!("/api/v1/rooms/$room/messages/1/marks/{}", "m".repeat(33));
    let deep = format!(r#"{{"text":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let guests = "/api/v1/tokens/guest";
    let member = "/api/v1/rooms/$room/members/$nowhere";
    let ban = "/api/v1/rooms/$room/bans/$nowhere";
    let cases = [
        ("POST", rooms, "this is not JSON", "bad_json", ""),
        ("POST", rooms, "", "bad_json", ""),
        ("POST", rooms, r#"{"title":"a""#, "bad_json", ""),
        ("POST", rooms, r#"{"title":"\ud800"}"#, "bad_json", ""),
        ("POST", messages, &deep, "bad_json", ""),
        ("POST", rooms, "[]", "bad_request", ""),
        ("POST", rooms, "{}", "bad_request", "title"),
        ("POST", rooms, r#"{"title":5}"#, "bad_request", "title"),
        ("POST", rooms, r#"{"title":"a","colour":"green"}"#, "bad_request", "colour"),
        ("POST", rooms, r#"{"title":"a","kind":"secret"}"#, "bad_request", "kind"),
        ("POST", rooms, r#"{"title":"a","ephemeral":1}"#, "bad_request", "ephemeral"),
        ("POST", rooms, r#"{"title":"  "}"#, "empty", "title"),
        ("POST", rooms, r#"{"title":"a\u0000b"}"#, "bad_text", "title"),
        ("POST", rooms, &long_title, "too_long", "title"),
        ("POST", guests, "{}", "bad_request", "nickname"),
        ("POST", guests, r#"{"nickname":[]}"#, "bad_request", "nickname"),
        ("POST", guests, r#"{"nickname":""}"#, "empty", "nickname"),
        ("POST", guests, r#"{"nickname":"a\u007fb"}"#, "bad_text", "nickname"),
        ("POST", guests, r#"{"nickname":"a","admin":true}"#, "bad_request", "admin"),
        ("POST", guests, &long_name, "too_long", "nickname"),
        ("POST", messages, "{}", "bad_request", "text"),
        ("POST", messages, r#"{"text":5}"#, "bad_request", "text"),
        ("POST", messages, r#"{"text":"a","key":5}"#, "bad_request", "key"),
        ("POST", messages, r#"{"text":"a","room":"$room"}"#, "bad_request", "room"),
        ("POST", messages, r#"{"text":""}"#, "empty", "text"),
        ("POST", messages, r#"{"text":"a","key":""}"#, "empty", "key"),
        ("POST", messages, &long, "too_long", "text"),
        ("POST", messages, &long_key, "too_long", "key"),
        ("POST", messages, r#"{"files":[]}"#, "empty", "text"),
        (
            "POST",
            messages,
            r#"{"text":"a","files":["$nowhere","$nowhere"]}"#,
            "bad_request",
            "files",
        ),
        ("POST", messages, r#"{"text":"a","reply_to":1}"#, "no_such_message", "reply_to"),
        ("POST", messages, r#"{"text":"a","mentions":["$nowhere"]}"#, "bad_request", "mentions"),
        ("PATCH", "/api/v1/rooms/$room/messages/1", "{}", "bad_request", "text"),
        ("PATCH", "/api/v1/rooms/$room/messages/1", r#"{"text":"a"}"#, "no_such_message", "seq"),
        ("PATCH", "/api/v1/rooms/$room/messages/x", r#"{"text":"a"}"#, "bad_request", "seq"),
        (
            "PATCH",
            "/api/v1/rooms/$room/messages/1",
            r#"{"text":"a","seq":2}"#,
            "bad_request",
            "seq",
        ),
        ("PATCH", "/api/v1/rooms/$foreign/messages/1", r#"{"text":"a"}"#, "not_a_member", ""),
        ("DELETE", "/api/v1/rooms/$room/messages/0", "", "no_such_message", "seq"),
        ("DELETE", "/api/v1/rooms/$nowhere/messages/1", "", "no_such_room", ""),
        ("GET", "/api/v1/rooms/$foreign/messages/1/revisions", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/$room/messages/7/revisions", "", "no_such_message", "seq"),
        ("POST", "/api/v1/rooms/12/messages", r#"{"text":"a"}"#, "bad_request", "room"),
        ("POST", "/api/v1/rooms/$nowhere/messages", r#"{"text":"a"}"#, "no_such_room", ""),
        ("POST", "/api/v1/rooms/$foreign/messages", r#"{"text":"a"}"#, "not_a_member", ""),
        ("PATCH", "/api/v1/rooms/$room", r#"{"slow_s":21601}"#, "bad_request", "slow_s"),
        ("PATCH", "/api/v1/rooms/$room", r#"{"title":"b"}"#, "bad_request", "title"),
        ("PATCH", "/api/v1/rooms/$foreign", r#"{"slow_s":1}"#, "not_a_member", ""),
        ("PATCH", "/api/v1/rooms/$nowhere", r#"{"slow_s":1}"#, "no_such_room", ""),
        ("PATCH", member, "{}", "bad_request", "role"),
        ("PATCH", member, r#"{"role":"member","muted":true}"#, "bad_request", "role"),
        ("PATCH", member, r#"{"role":"king"}"#, "bad_request", "role"),
        ("PATCH", member, r#"{"muted":"yes"}"#, "bad_request", "muted"),
        (
            "PATCH",
            member,
            r#"{"muted":false,"muted_until":"2100-01-01T00:00:00Z"}"#,
            "bad_request",
            "muted_until",
        ),
        ("PATCH", member, r#"{"muted":true,"muted_until":"soon"}"#, "bad_request", "muted_until"),
        ("PATCH", member, r#"{"role":"owner"}"#, "no_such_member", ""),
        ("PATCH", "/api/v1/rooms/$room/members/Bob", r#"{"muted":true}"#, "bad_request", "user"),
        ("DELETE", member, "", "no_such_member", ""),
        ("POST", "/api/v1/rooms/$room/members", "{}", "bad_request", "user"),
        ("PUT", ban, r#"{"until":5}"#, "bad_request", "until"),
        ("PUT", ban, r#"{"until":"2001-01-01T00:00:00Z"}"#, "bad_request", "until"),
        ("PUT", ban, "{}", "no_such_user", ""),
        ("GET", "/api/v1/rooms/$foreign/bans", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/12", "", "bad_request", "room"),
        ("GET", "/api/v1/rooms/%ff%00", "", "bad_request", "room"),
        ("GET", "/api/v1/rooms/$nowhere", "", "no_such_room", ""),
        ("GET", "/api/v1/rooms?limit=201", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms?limit=", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms?limit=-1", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms?after=x", "", "bad_request", "after"),
        ("GET", "/api/v1/rooms?colour=green", "", "bad_request", "colour"),
        ("GET", &long_query, "", "too_long", "query"),
        ("GET", "/api/v1/rooms/12/members", "", "bad_request", "room"),
        ("GET", "/api/v1/rooms/$foreign/members", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/$room/members?limit=201", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms/$room/members?after=x", "", "bad_request", "after"),
        ("GET", "/api/v1/rooms/$room/members?online=1", "", "bad_request", "online"),
        ("GET", "/api/v1/rooms/$nowhere/members", "", "no_such_room", ""),
        ("PUT", "/api/v1/rooms/12/members/me", "", "bad_request", "room"),
        ("PUT", "/api/v1/rooms/$nowhere/members/me", "", "no_such_room", ""),
        ("DELETE", "/api/v1/rooms/$foreign/members/me", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/$foreign/messages", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/$room/messages?limit=201", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms/$room/messages?before=x", "", "bad_request", "before"),
        ("GET", "/api/v1/rooms/$room/messages?after=1.5", "", "bad_request", "after"),
        (
            "GET",
            "/api/v1/rooms/$room/messages?around=9007199254740992",
            "",
            "bad_request",
            "around",
        ),
        ("GET", "/api/v1/rooms/$room/messages?before=1&after=1", "", "bad_request", "after"),
        ("GET", "/api/v1/rooms/$room/messages?befor=1", "", "bad_request", "befor"),
        ("GET", "/api/v1/rooms/$room/search", "", "bad_request", "q"),
        ("GET", "/api/v1/rooms/$room/search?q=", "", "empty", "q"),
        ("GET", "/api/v1/rooms/$room/search?q=%E2%80%8B", "", "empty", "q"),
        ("GET", &long_search, "", "too_long", "q"),
        ("GET", "/api/v1/rooms/$room/search?q=a&limit=0", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms/$room/search?q=a&limit=51", "", "bad_request", "limit"),
        ("GET", "/api/v1/rooms/$room/search?q=a&context=6", "", "bad_request", "context"),
        ("GET", "/api/v1/rooms/$room/search?q=a&before=x", "", "bad_request", "before"),
        ("GET", "/api/v1/rooms/$room/search?q=a&after=1", "", "bad_request", "after"),
        ("GET", "/api/v1/rooms/$foreign/search?q=a", "", "not_a_member", ""),
        ("GET", "/api/v1/rooms/$nowhere/search?q=a", "", "no_such_room", ""),
        ("GET", "/api/v1/search", "", "bad_request", "q"),
        ("GET", "/api/v1/search?q=a&before=1", "", "bad_request", "before"),
        ("GET", "/api/v1/search?q=a&before=1.2.3", "", "bad_request", "before"),
        ("GET", "/api/v1/search?q=a&room=$room", "", "bad_request", "room"),
        ("POST", "/api/v1/search", "{}", "method_not_allowed", ""),
        ("GET", "/api/v1/rooms/$room/messages/x", "", "bad_request", "seq"),
        ("GET", "/api/v1/rooms/$room/messages/-1", "", "bad_request", "seq"),
        ("GET", "/api/v1/rooms/$room/messages/%ff", "", "bad_request", "seq"),
        ("GET", "/api/v1/rooms/$room/messages/0", "", "no_such_message", ""),
        ("GET", "/api/v1/rooms/$room/messages/1", "", "no_such_message", ""),
        ("GET", "/api/v1/rooms/$room/messages/18446744073709551615", "", "no_such_message", ""),
        ("PUT", "/api/v1/rooms/$room/messages/1/marks/x", "", "no_such_message", "seq"),
        ("DELETE", "/api/v1/rooms/$room/messages/1/marks/x", "", "no_such_message", "seq"),
        ("PUT", "/api/v1/rooms/$room/messages/x/marks/x", "", "bad_request", "seq"),
        ("PUT", "/api/v1/rooms/$room/messages/1/marks/%20", "", "empty", "mark"),
        ("PUT", "/api/v1/rooms/$room/messages/1/marks/a%0ab", "", "bad_text", "mark"),
        ("PUT", "/api/v1/rooms/$room/messages/1/marks/%ff", "", "bad_request", "mark"),
        ("DELETE", "/api/v1/rooms/$room/messages/1/marks/%f0%9f%91", "", "bad_request", "mark"),
        ("GET", "/api/v1/rooms/$room/search?q=%ff", "", "bad_request", ""),
        ("PUT", &long_mark, "", "too_long", "mark"),
        ("DELETE", &long_mark, "", "too_long", "mark"),
        ("PUT", "/api/v1/rooms/$room/messages/1/marks/x?key=", "", "empty", "key"),
        ("PUT", "/api/v1/rooms/$foreign/messages/1/marks/x", "", "not_a_member", ""),
        ("DELETE", "/api/v1/rooms/$nowhere/messages/1/marks/x", "", "no_such_room", ""),
        ("POST", "/api/v1/rooms/$room/messages/1/marks/x", "{}", "method_not_allowed", ""),
        ("GET", "/api/v1/rooms/$room/messages/1/marks", "", "bad_request", "mark"),
        ("GET", "/api/v1/rooms/$room/messages/1/marks?mark=", "", "empty", "mark"),
        ("GET", "/api/v1/rooms/$room/messages/1/marks?mark=x", "", "no_such_message", "seq"),
        (
            "GET",
            "/api/v1/rooms/$room/messages/1/marks?mark=x&limit=201",
            "",
            "bad_request",
            "limit",
        ),
        ("GET", "/api/v1/rooms/$room/messages/1/marks?mark=x&after=y", "", "bad_request", "after"),
        ("GET", "/api/v1/rooms/$foreign/messages/1/marks?mark=x", "", "not_a_member", ""),
        ("GET", "/api/v1", "", "not_found", ""),
        ("GET", "/api/v1/nowhere", "", "not_found", ""),
        ("GET", "/api/v2/rooms", "", "not_found", ""),
        ("POST", "/nowhere", "{}", "not_found", ""),
        ("GET", "/web/../Cargo.toml", "", "not_found", ""),
        ("GET", "/web/%2e%2e/%2e%2e/Cargo.toml", "", "not_found", ""),
        ("GET", "/web/%ff", "", "not_found", ""),
        ("PATCH", rooms, "{}", "method_not_allowed", ""),
        ("DELETE", "/api/v1/rooms/$room", "", "method_not_allowed", ""),
        ("PUT", messages, "{}", "method_not_allowed", ""),
        ("POST", "/api/v1/rooms/$room/members/me", "{}", "method_not_allowed", ""),
        ("GET", guests, "", "method_not_allowed", ""),
        ("POST", "/healthz", "{}", "method_not_allowed", ""),
    ];
    for (method, path, body, code, field) in cases {
        let request = scene.request(method, path).bearer_auth(&scene.guest.token);
        let request = request.header("content-type", "application/json").body(scene.fill(body));
        let problem =
            assert_problem(request, code, field, &format!("{method} {path} {body}")).await;
        if code == "too_long" {
            let (limit, actual) = (problem["limit"].as_u64(), problem["actual"].as_u64());
            assert_eq!(limit.map(|limit| limit + 1), actual, "{problem}");
        }
    }
    let huge = format!("/api/v1/rooms/$room/messages/1/marks/{}", "m".repeat(10_240));
    let request = scene.request("PUT", &huge).bearer_auth(&scene.guest.token);
    let problem = assert_problem(request, "too_long", "mark", "10 KB").await;
    assert_eq!((&problem["limit"], &problem["actual"]), (&json!(32), &json!(10_240)));
    scene.undisturbed().await;
}

/// Nobody is to believe that a parameter counts which does not; least of all a `key`, without which what is asked twice
/// is done twice.
#[actix_web::test]
async fn every_call_refuses_parameters_that_it_does_not_have() {
    let scene = Scene::new().await;
    let document = scene.request("GET", "/api/openapi.json").send().await.expect("an answer");
    let document: Value = serde_json::from_str(&document.text()).expect("JSON");
    let (mut writing, mut with_key) = (0, 0);
    for (path, item) in document["paths"].as_object().expect("paths") {
        let Some(calls) = item.as_object().filter(|_| path.starts_with("/api/v1/")) else {
            continue;
        };
        let mut place =
            path.replace("{room}", "$room").replace("{seq}", "1").replace("{mark}", "x");
        for id in ["{user}", "{group}"] {
            place = place.replace(id, "$nowhere");
        }
        for (method, call) in calls {
            let parameters = call["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let in_query = parameters.iter().filter(|one| one["in"] == "query");
            let names: Vec<_> = in_query.map(|one| text(&one["name"])).collect();
            let reads = method == "get";
            if reads && !names.is_empty() {
                // What such a call takes is in the table above.
                continue;
            }
            writing += usize::from(!reads);
            with_key += usize::from(names == ["key"]);
            for parameter in ["nonsense", "key"] {
                if names.iter().any(|name| name == parameter) {
                    continue;
                }
                let cause = format!("{method} {path}?{parameter}=1");
                let target = format!("{place}?{parameter}=1");
                let request = scene.request(&method.to_uppercase(), &target);
                let request = request.bearer_auth(&scene.guest.token);
                let request = request.header("content-type", "application/json").body("{}");
                let problem = assert_problem(request, "bad_request", parameter, &cause).await;
                let schema =
                    call["requestBody"]["content"]["application/json"]["schema"].to_string();
                let keyed =
                    ["NewRoom", "NewMessage", "NewGroup"].iter().any(|name| schema.contains(name));
                let told = text(&problem["detail"]).contains("body");
                assert_eq!(told, keyed && parameter == "key", "{cause}: {problem}");
            }
        }
    }
    assert!(writing > 30 && with_key > 8, "{writing} calls write, {with_key} of them with a key");
    // All the same with everything in place: nothing is written.
    let room = json!({ "title": "a" }).to_string();
    let message = json!({ "text": "a" }).to_string();
    let calls = [("/api/v1/rooms", room), ("/api/v1/rooms/$room/messages", message)];
    for (path, body) in calls {
        let request =
            scene.request("POST", &format!("{path}?key=k")).bearer_auth(&scene.guest.token);
        let request = request.header("content-type", "application/json").body(body);
        assert_problem(request, "bad_request", "key", path).await;
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn an_http_body_must_be_json_by_its_own_word_and_of_64_kib_at_most() {
    let scene = Scene::new().await;
    let post = |kind: Option<&str>, body: String| {
        let request = scene.request("POST", "/api/v1/rooms").bearer_auth(&scene.guest.token);
        let request = request.body(body);
        kind.map(|kind| request.try_clone().expect("a request").header("content-type", kind))
            .unwrap_or(request)
    };
    let room = r#"{"title":"a"}"#;
    let kinds = [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some("multipart/form-data; boundary=application/json"),
        Some(""),
    ];
    for kind in kinds {
        let request = post(kind, room.to_owned());
        assert_problem(request, "unsupported_media_type", "", &format!("{kind:?}")).await;
    }
    for kind in ["application/json", "Application/JSON ; charset=utf-8"] {
        let answer = post(Some(kind), room.to_owned()).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{kind}");
    }
    let padded = |size: usize| format!("{room}{}", " ".repeat(size - room.len()));
    let most = post(Some("application/json"), padded(MOST)).send().await.expect("an answer");
    assert_eq!(most.status(), 201);
    for size in [MOST + 1, 2 * MOST, 16 * MOST] {
        let request = post(Some("application/json"), padded(size));
        let problem = assert_problem(request, "too_large", "", &size.to_string()).await;
        assert_eq!(problem["limit"], MOST);
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn an_http_body_that_breaks_off_is_a_bad_request() {
    let scene = Scene::new().await;
    let head = format!(
        "POST /api/v1/rooms HTTP/1.1\r\nhost: chat\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n",
        scene.guest.token
    );
    for rest in
        ["transfer-encoding: chunked\r\n\r\nzz\r\n{", "content-length: 50\r\n\r\n{\"title\""]
    {
        let mut raw = Raw::connect(&scene.server.address).await;
        raw.write(format!("{head}{rest}").as_bytes()).await;
        raw.stream.shutdown().await.expect("an open connection");
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{rest}");
    }
    scene.undisturbed().await;
}
