//! Commands that are wrong in every way there is: each gets the error that `docs/protocol.md`
//! promises, the connection stays, and nobody else notices.

mod support;

use std::collections::BTreeSet;

use futures_util::SinkExt;
use serde_json::{Value, json};
use support::scene::{Scene, assert_error};
use support::text;
use tokio_tungstenite::tungstenite::Message;

#[actix_web::test]
async fn a_bad_command_gets_its_error_and_the_connection_stays() {
    let mut scene = Scene::new().await;
    let long = format!(r#""do":"send","room":"$room","text":"{}""#, "x".repeat(4_001));
    let long_key = format!(r#""do":"send","room":"$room","text":"a","key":"{}""#, "k".repeat(65));
    let huge = "m".repeat(10_240);
    let huge_mark = format!(r#""do":"mark","room":"$room","seq":1,"mark":"{huge}""#);
    let huge_unmark = format!(r#""do":"unmark","room":"$room","seq":1,"mark":"{huge}""#);
    let long_title = format!(r#""do":"open","title":"{}""#, "t".repeat(101));
    let ids = [r#""$nowhere""#; 11].join(",");
    let many_files = format!(r#""do":"send","room":"$room","text":"a","files":[{ids}]"#);
    let entry = r#"{"room":"$room","after":"0.0"}"#;
    let many = format!(r#""do":"resume","rooms":[{}]"#, [entry; 101].join(","));
    let cases = [
        (r#""x":1"#, "bad_request", "do"),
        (r#""do":5"#, "bad_request", "do"),
        (r#""do":null"#, "bad_request", "do"),
        (r#""do":"dance""#, "unknown_command", "do"),
        (r#""do":"Ping""#, "unknown_command", "do"),
        (r#""do":"""#, "unknown_command", "do"),
        (r#""do":"ping","pong":1"#, "bad_request", "pong"),
        (r#""do":"auth""#, "bad_request", "token"),
        (r#""do":"auth","token":5"#, "bad_request", "token"),
        (r#""do":"send","room":"$room""#, "bad_request", "text"),
        (r#""do":"send","room":"$room","text":5"#, "bad_request", "text"),
        (r#""do":"send","room":"$room","text":null"#, "bad_request", "text"),
        (r#""do":"send","room":"$room","text":["a"]"#, "bad_request", "text"),
        (r#""do":"send","text":"a""#, "bad_request", "room"),
        (r#""do":"send","room":"12","text":"a""#, "bad_request", "room"),
        (r#""do":"send","room":12,"text":"a""#, "bad_request", "room"),
        (r#""do":"send","room":"$room","text":"a","txet":"b""#, "bad_request", "txet"),
        (r#""do":"send","room":"$room","text":"a","key":7"#, "bad_request", "key"),
        (r#""do":"send","room":"$room","text":"""#, "empty", "text"),
        (r#""do":"send","room":"$room","text":" \n\t\u3000""#, "empty", "text"),
        (r#""do":"send","room":"$room","text":"a","key":"""#, "empty", "key"),
        (&long, "too_long", "text"),
        (r#""do":"send","room":"$room","text":"a","reply_to":1"#, "no_such_message", "reply_to"),
        (r#""do":"send","room":"$room","text":"a","reply_to":-1"#, "bad_request", "reply_to"),
        (r#""do":"send","room":"$room","text":"a","files":"x""#, "bad_request", "files"),
        (r#""do":"send","room":"$room","text":"a","files":["x"]"#, "bad_request", "files"),
        (r#""do":"send","room":"$room","files":[]"#, "empty", "text"),
        (&many_files, "bad_request", "files"),
        (r#""do":"edit","room":"$room","text":"a""#, "bad_request", "seq"),
        (r#""do":"edit","room":"$room","seq":1"#, "bad_request", "text"),
        (r#""do":"edit","room":"$room","seq":1,"text":" ""#, "empty", "text"),
        (r#""do":"edit","room":"$room","seq":1,"text":"a""#, "no_such_message", "seq"),
        (
            r#""do":"edit","room":"$room","seq":9007199254740991,"text":"a""#,
            "no_such_message",
            "seq",
        ),
        (r#""do":"edit","room":"$foreign","seq":1,"text":"a""#, "not_a_member", ""),
        (r#""do":"edit","room":"$nowhere","seq":1,"text":"a""#, "no_such_room", ""),
        (r#""do":"delete","room":"$room","seq":0"#, "no_such_message", "seq"),
        (r#""do":"delete","room":"$room","seq":"1""#, "bad_request", "seq"),
        (r#""do":"revisions","room":"$room","seq":2"#, "no_such_message", "seq"),
        (r#""do":"revisions","room":"$foreign","seq":2"#, "not_a_member", ""),
        (r#""do":"mark","room":"$room","seq":1"#, "bad_request", "mark"),
        (r#""do":"mark","room":"$room","seq":1,"mark":5"#, "bad_request", "mark"),
        (r#""do":"mark","room":"$room","mark":"x""#, "bad_request", "seq"),
        (r#""do":"mark","room":"$room","seq":"1","mark":"x""#, "bad_request", "seq"),
        (r#""do":"mark","room":"$room","seq":1,"mark":"""#, "empty", "mark"),
        (r#""do":"mark","room":"$room","seq":1,"mark":"two\nlines""#, "bad_text", "mark"),
        (r#""do":"mark","room":"$room","seq":1,"mark":"x","on":true"#, "bad_request", "on"),
        (r#""do":"mark","room":"$room","seq":1,"mark":"x","key":"""#, "empty", "key"),
        (r#""do":"mark","room":"$room","seq":1,"mark":"x""#, "no_such_message", "seq"),
        (r#""do":"unmark","room":"$room","seq":1,"mark":"x""#, "no_such_message", "seq"),
        (r#""do":"unmark","room":"$room","seq":1"#, "bad_request", "mark"),
        (&huge_mark, "too_long", "mark"),
        (&huge_unmark, "too_long", "mark"),
        (r#""do":"mark","room":"$foreign","seq":1,"mark":"x""#, "not_a_member", ""),
        (r#""do":"unmark","room":"$nowhere","seq":1,"mark":"x""#, "no_such_room", ""),
        (r#""do":"markers","room":"$room","seq":1"#, "bad_request", "mark"),
        (r#""do":"markers","room":"$room","seq":1,"mark":" ""#, "empty", "mark"),
        (r#""do":"markers","room":"$room","seq":1,"mark":"x""#, "no_such_message", "seq"),
        (r#""do":"markers","room":"$room","seq":1,"mark":"x","limit":201"#, "bad_request", "limit"),
        (r#""do":"markers","room":"$room","seq":1,"mark":"x","after":5"#, "bad_request", "after"),
        (r#""do":"markers","room":"$foreign","seq":1,"mark":"x""#, "not_a_member", ""),
        (&long_key, "too_long", "key"),
        (&long_title, "too_long", "title"),
        (r#""do":"open""#, "bad_request", "title"),
        (r#""do":"open","title":5"#, "bad_request", "title"),
        (r#""do":"open","title":" ""#, "empty", "title"),
        (r#""do":"open","title":"two\nlines""#, "bad_text", "title"),
        (r#""do":"open","title":"a","kind":"secret""#, "bad_request", "kind"),
        (r#""do":"open","title":"a","ephemeral":"yes""#, "bad_request", "ephemeral"),
        (r#""do":"open","kind":"direct""#, "bad_request", "with"),
        (r#""do":"open","kind":"direct","with":"Bob""#, "bad_request", "with"),
        (r#""do":"kick","room":"$room""#, "bad_request", "user"),
        (r#""do":"kick","room":"$room","user":"Bob""#, "bad_request", "user"),
        (r#""do":"kick","room":"$room","user":"$nowhere""#, "no_such_member", ""),
        (r#""do":"kick","room":"$foreign","user":"$nowhere""#, "not_a_member", ""),
        (r#""do":"kick","room":"$nowhere","user":"$nowhere""#, "no_such_room", ""),
        (r#""do":"role","room":"$room","user":"$nowhere","role":"king""#, "bad_request", "role"),
        (r#""do":"role","room":"$room","user":"$nowhere","role":"owner""#, "bad_request", "role"),
        (r#""do":"transfer","room":"$room","user":"$nowhere""#, "no_such_member", ""),
        (r#""do":"mute","room":"$room","user":"$nowhere""#, "no_such_member", ""),
        (r#""do":"ban","room":"$room","user":"$nowhere""#, "no_such_user", ""),
        (r#""do":"invite","room":"$room","user":"$nowhere""#, "no_such_user", ""),
        (
            r#""do":"ban","room":"$room","user":"$nowhere","until":"2001-01-01T00:00:00Z""#,
            "bad_request",
            "until",
        ),
        (
            r#""do":"ban","room":"$room","user":"$nowhere","until":"31 December""#,
            "bad_request",
            "until",
        ),
        (r#""do":"configure","room":"$room","slow_s":21601"#, "bad_request", "slow_s"),
        (r#""do":"configure","room":"$room","slow_s":-1"#, "bad_request", "slow_s"),
        (r#""do":"configure","room":"$room","invite":"all""#, "bad_request", "invite"),
        (r#""do":"configure","room":"$foreign","read_only":true"#, "not_a_member", ""),
        (r#""do":"bans","room":"$foreign""#, "not_a_member", ""),
        (r#""do":"send","room":"$nowhere","text":"a""#, "no_such_room", ""),
        (r#""do":"join","room":"$nowhere""#, "no_such_room", ""),
        (r#""do":"leave","room":"$nowhere""#, "no_such_room", ""),
        (r#""do":"history","room":"$nowhere""#, "no_such_room", ""),
        (r#""do":"members","room":"$nowhere""#, "no_such_room", ""),
        (r#""do":"typing","room":"$nowhere","on":true"#, "no_such_room", ""),
        (r#""do":"send","room":"$foreign","text":"a""#, "not_a_member", ""),
        (r#""do":"leave","room":"$foreign""#, "not_a_member", ""),
        (r#""do":"history","room":"$foreign""#, "not_a_member", ""),
        (r#""do":"members","room":"$foreign""#, "not_a_member", ""),
        (r#""do":"typing","room":"$foreign","on":true"#, "not_a_member", ""),
        (r#""do":"join","room":"$room","after":"yesterday""#, "bad_request", "after"),
        (r#""do":"join","room":"$room","after":5"#, "bad_request", "after"),
        (r#""do":"join","room":"$room","after":"-1.0""#, "bad_request", "after"),
        (r#""do":"join","room":"$room","after":"9223372036854775808.0""#, "bad_request", "after"),
        (r#""do":"join","room":"$room","limit":201"#, "bad_request", "limit"),
        (r#""do":"join","room":"$room","limit":-1"#, "bad_request", "limit"),
        (r#""do":"join","room":"$room","limit":"5""#, "bad_request", "limit"),
        (r#""do":"history","room":"$room","before":1,"after":1"#, "bad_request", "after"),
        (r#""do":"history","room":"$room","before":"1""#, "bad_request", "before"),
        (r#""do":"history","room":"$room","around":1.5"#, "bad_request", "around"),
        (r#""do":"history","room":"$room","after":9007199254740992"#, "bad_request", "after"),
        (r#""do":"history","room":"$room","after":1e999"#, "bad_json", ""),
        (r#""do":"members","room":"$room","after":"Ann""#, "bad_request", "after"),
        (r#""do":"members","room":"$room","online":"yes""#, "bad_request", "online"),
        (r#""do":"typing","room":"$room""#, "bad_request", "on"),
        (r#""do":"typing","room":"$room","on":1"#, "bad_request", "on"),
        (r#""do":"presence""#, "bad_request", "state"),
        (r#""do":"presence","state":"offline""#, "bad_request", "state"),
        (r#""do":"resume""#, "bad_request", "rooms"),
        (r#""do":"resume","rooms":{}"#, "bad_request", "rooms"),
        (r#""do":"resume","rooms":["$room"]"#, "bad_request", "rooms"),
        (r#""do":"resume","rooms":[{"room":"$room"}]"#, "bad_request", "after"),
        (r#""do":"resume","rooms":[{"after":"0.0"}]"#, "bad_request", "room"),
        (&many, "bad_request", "rooms"),
    ];
    for (id, (command, code, field)) in cases.into_iter().enumerate() {
        let frame = scene.fill(&format!(r#"{{"id":{id},{command}}}"#));
        scene.ann.send_text(&frame).await;
        let reply = scene.ann.reply().await;
        let known = if code == "bad_json" { Value::Null } else { json!(id) };
        assert_eq!(reply["id"], known, "{frame}: {reply}");
        assert_error(&reply["error"], code, field, &frame);
        assert_eq!(
            reply.as_object().map(|reply| reply.len()),
            Some(1 + usize::from(!known.is_null()))
        );
    }
    let (limit, actual) = ("limit", "actual");
    let measured = [
        (&*long, 4_000, 4_001),
        (&*long_key, 64, 65),
        (&*huge_mark, 32, 10_240),
        (&*many, 100, 101),
    ];
    for (command, most, count) in measured {
        let command = serde_json::from_str(&scene.fill(&format!("{{{command}}}"))).expect("JSON");
        let error = scene.ann.error(command).await;
        assert_eq!((&error[limit], &error[actual]), (&json!(most), &json!(count)), "{error}");
        let message = text(&error["message"]);
        assert!(message.contains(&count.to_string()) && message.contains(&most.to_string()));
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn a_frame_without_a_readable_id_gets_an_error_without_one() {
    let mut scene = Scene::new().await;
    let open = "[".repeat(10_000);
    let deep = format!(r#"{{"id":1,"do":"ping","x":{open}{}}}"#, "]".repeat(10_000));
    let objects = r#"{"id":"#.repeat(5_000);
    let cases = [
        ("this is not JSON", "bad_json", ""),
        ("", "bad_json", ""),
        (" ", "bad_json", ""),
        ("{", "bad_json", ""),
        (r#"{"id":1,"do":"ping""#, "bad_json", ""),
        (r#"{"id":1,"do":"ping"} {"id":2,"do":"ping"}"#, "bad_json", ""),
        (r#"{'id':1,'do':'ping'}"#, "bad_json", ""),
        (r#"{"id":1,"do":"ping",}"#, "bad_json", ""),
        ("{\"id\":1,\"do\":\"pi\ng\"}", "bad_json", ""),
        (r#"{"id":NaN,"do":"ping"}"#, "bad_json", ""),
        (r#"{"id":01,"do":"ping"}"#, "bad_json", ""),
        // Half of a pair of surrogates is no character.
        (r#"{"id":1,"do":"send","room":"$room","text":"\ud83d"}"#, "bad_json", ""),
        (r#"{"id":1,"do":"send","room":"$room","text":"\ude00\ud83d"}"#, "bad_json", ""),
        (r#"{"id":1,"do":"send","room":"$room","text":"\ud83dx"}"#, "bad_json", ""),
        (&open, "bad_json", ""),
        (&deep, "bad_json", ""),
        (&objects, "bad_json", ""),
        ("null", "bad_request", ""),
        ("[]", "bad_request", ""),
        ("5", "bad_request", ""),
        (r#""ping""#, "bad_request", ""),
        (r#"{"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":null,"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":"1","do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":-1,"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":1.5,"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":9007199254740992,"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":18446744073709551616,"do":"ping"}"#, "bad_request", "id"),
        (r#"{"id":{},"do":"ping"}"#, "bad_request", "id"),
    ];
    for (frame, code, field) in cases {
        let frame = scene.fill(frame);
        scene.ann.send_text(&frame).await;
        let reply = scene.ann.reply().await;
        assert_eq!(reply.get("id"), None, "{reply}");
        assert_error(&reply["error"], code, field, &frame);
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn json_may_be_nested_a_hundred_deep_and_not_without_end() {
    let mut scene = Scene::new().await;
    for (deep, code) in [(100, "bad_request"), (1_000, "bad_json"), (30_000, "bad_json")] {
        let (open, close) = ("[".repeat(deep - 1), "]".repeat(deep - 1));
        scene.ann.send_text(&format!(r#"{{"id":1,"do":"ping","x":{open}{close}}}"#)).await;
        let reply = scene.ann.reply().await;
        assert_eq!(reply["error"]["code"], code, "{deep} deep: {reply}");
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn odd_but_good_json_is_understood() {
    let mut scene = Scene::new().await;
    let cases = [
        (r#" { "do" : "ping" , "id" : 0 } "#, 0),
        (r#"{"id":9007199254740991,"do":"ping"}"#, 9_007_199_254_740_991_u64),
        (r#"{"\u0069d":3,"do":"\u0070ing"}"#, 3),
        // Of a key that is there twice the last one counts, as in browsers.
        (r#"{"id":4,"id":5,"do":"dance","do":"ping"}"#, 5),
    ];
    for (frame, id) in cases {
        scene.ann.send_text(frame).await;
        let reply = scene.ann.reply().await;
        assert_eq!(reply["id"], id, "{reply}");
        assert!(reply["ok"]["at"].is_string(), "{frame}: {reply}");
    }
    scene.undisturbed().await;
}

#[actix_web::test]
async fn a_thousand_commands_at_once_are_answered_or_busy_and_none_is_lost() {
    let Scene { server: _server, room, mut ann, mut bob, .. } = Scene::without_rates().await;
    ann.events.clear();
    for id in 0..1_000_u64 {
        let send = json!({"id":id,"do":"send","room":room,"text":id.to_string()});
        ann.socket.feed(Message::text(send.to_string())).await.expect("an open socket");
    }
    ann.socket.flush().await.expect("an open socket");
    let (mut written, mut busy, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    while written.len() + busy.len() < 1_000 || heard.len() < written.len() {
        let frame = ann.json().await;
        if frame["event"] == "message" {
            heard.push(text(&frame["text"]).parse::<u64>().expect("a number"));
        } else if frame["ok"].is_object() {
            let id = frame["id"].as_u64().expect("an id");
            written.push(id);
            assert_eq!(frame["ok"]["seq"], written.len(), "{frame}");
        } else if frame["error"].is_object() {
            assert_error(&frame["error"], "busy", "", "one of a thousand");
            busy.push(frame["id"].as_u64().expect("an id"));
        }
    }
    assert!(written.len() >= 64, "so many may be under way: {}", written.len());
    assert!(written.is_sorted() && busy.is_sorted(), "in the order in which they were asked");
    let all: BTreeSet<u64> = written.iter().chain(&busy).copied().collect();
    assert!(all.into_iter().eq(0..1_000), "each is answered");
    assert_eq!(heard, written);
    for id in &written {
        let message = bob.event("message").await;
        assert_eq!(message["text"], id.to_string());
    }
    // Whoever was busy comes again.
    for id in busy {
        ann.ok(json!({"do":"send","room":room,"text":id.to_string()})).await;
    }
    let page = bob.ok(json!({"do":"history","room":room,"limit":1})).await;
    assert_eq!(page["messages"][0]["seq"], 1_000);
}
