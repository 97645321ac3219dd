//! How far somebody has read, over HTTP and sockets: one position on all devices, told to others, kept over a restart; and
//! one's own rooms with what is left in them.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::lobby::Lobby;
use support::{Client, Person, TestServer};

impl Lobby {
    async fn say(&self, person: &Person, text: &str) {
        self.ok(person, "POST", "/messages", json!({"text":text})).await;
    }
}

async fn mine(server: &TestServer, person: &Person, query: &str) -> (Vec<Value>, Option<String>) {
    let (status, page) =
        server.call("GET", &format!("/rooms/mine{query}"), &person.token, Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let rooms = page["rooms"].as_array().expect("rooms").clone();
    (rooms, page["next"].as_str().map(ToOwned::to_owned))
}

#[actix_web::test]
async fn what_is_read_on_one_device_is_read_on_all_of_them() {
    let scene = Lobby::new().await;
    let (mut alices, mut phone) = (scene.hear(&scene.alice).await, scene.hear(&scene.bob).await);
    for text in ["one", "two @bob", "three @bob"] {
        scene.say(&scene.alice, text).await;
    }
    let left = json!({"seq":0,"unread":3,"mentions":2});
    assert_eq!(scene.ok(&scene.bob, "GET", "/read", Value::Null).await, left);
    let answer = scene.ok(&scene.bob, "PUT", "/read", json!({"seq":2})).await;
    assert_eq!(answer, json!({"seq":2,"unread":1,"mentions":1}));
    let receipts = json!([{"user":{"id":scene.bob.id,"name":"bob"},"seq":2}]);
    assert_eq!(alices.event("receipts").await["receipts"], receipts);
    let read = phone.event("read").await;
    assert_eq!(
        (&read["seq"], &read["unread"], &read["mentions"]),
        (&json!(2), &json!(1), &json!(1))
    );
    // Over a socket, seen over HTTP; what is read in quick succession waits for a moment.
    scene.server.clock.advance(Duration::from_millis(250));
    phone.ok(json!({"do":"read","room":scene.room,"seq":3})).await;
    let readers = scene.ok(&scene.alice, "GET", "/messages/3/readers", Value::Null).await;
    assert_eq!(readers, json!({"count":1,"users":[{"id":scene.bob.id,"name":"bob"}]}));
    // A device that comes back learns it.
    let mut laptop = Client::connect(&scene.server.address, Some(&scene.bob.token)).await;
    let joined = laptop.ok(json!({"do":"join","room":scene.room,"after":"3.2"})).await;
    assert_eq!(joined["read"], json!({"seq":3,"unread":0,"mentions":0}));
    laptop.ok(json!({"do":"presence","state":"away"})).await;
    laptop.send(&json!({"id":90,"do":"resume","rooms":[{"room":scene.room,"after":"1.2"}]})).await;
    let resumed = laptop.event("resumed").await;
    assert_eq!(resumed["ok"]["read"], json!({"seq":3,"unread":0,"mentions":0}));
}

#[actix_web::test]
async fn ones_rooms_come_by_activity_with_what_is_left_also_after_a_restart() {
    let scene = Lobby::new().await;
    let other = scene.server.room(&scene.bob.token, "Quiet").await;
    scene.server.clock.advance(Duration::from_secs(1));
    scene.say(&scene.alice, "one").await;
    scene.say(&scene.alice, "two @bob").await;
    let check = async |server: &TestServer| {
        let (rooms, next) = mine(server, &scene.bob, "").await;
        assert_eq!(next, None);
        let shown = |room: &Value| {
            (room["room"]["id"].clone(), room["last"]["text"].clone(), room["read"].clone())
        };
        let all: Vec<_> = rooms.iter().map(shown).collect();
        let left = json!({"seq":0,"unread":2,"mentions":1});
        let nothing = json!({"seq":0,"unread":0,"mentions":0});
        let lobby = (json!(scene.room), json!("two @bob"), left);
        assert_eq!(all, [lobby, (json!(other), Value::Null, nothing)]);
        let (first, next) = mine(server, &scene.bob, "?limit=1").await;
        let (second, end) =
            mine(server, &scene.bob, &format!("?limit=1&before={}", next.expect("more"))).await;
        assert_eq!([first, second].concat(), rooms);
        assert_eq!(end, None);
        rooms[0]["cursor"].clone()
    };
    let cursor = check(&scene.server).await;
    let data = scene.server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    assert_eq!(check(&server).await, cursor);
    // What its cursor stands for is what one comes back with.
    let mut client = Client::connect(&server.address, Some(&scene.bob.token)).await;
    let joined = client.ok(json!({"do":"join","room":scene.room,"after":cursor})).await;
    assert_eq!((&joined["messages"], &joined["changes"]), (&json!([]), &json!([])));
    assert_eq!(joined["read"], json!({"seq":0,"unread":2,"mentions":1}));
    let (status, _) = server
        .call(
            "DELETE",
            &format!("/rooms/{}/messages/2", scene.room),
            &scene.alice.token,
            json!(null),
        )
        .await;
    assert_eq!(status, 204);
    let (rooms, _) = mine(&server, &scene.bob, "").await;
    assert_eq!(rooms[0]["read"], json!({"seq":0,"unread":1,"mentions":0}));
}

#[actix_web::test]
async fn a_bad_position_is_refused_and_moves_nothing() {
    let scene = Lobby::new().await;
    let mut bobs = scene.hear(&scene.bob).await;
    scene.say(&scene.alice, "one").await;
    let eve = scene.server.sign_up("eve").await;
    let bad = [
        (json!({"seq":2}), 404, "no_such_message"),
        (json!({"seq":9_007_199_254_740_991_u64}), 404, "no_such_message"),
        (json!({"seq":9_007_199_254_740_992_u64}), 400, "bad_request"),
        (json!({"seq":-1}), 400, "bad_request"),
        (json!({"seq":"1"}), 400, "bad_request"),
        (json!({"seq":1.5}), 400, "bad_request"),
        (json!({}), 400, "bad_request"),
        (json!({"seq":1,"unread":0}), 400, "bad_request"),
    ];
    for (body, status, code) in bad {
        let (is, problem) = scene.call(&scene.bob, "PUT", "/read", body.clone()).await;
        assert_eq!((is, &problem["code"]), (status, &json!(code)), "{body}");
        let mut command = body.clone();
        command["do"] = json!("read");
        command["room"] = json!(scene.room);
        assert_eq!(bobs.refused(command).await, code, "{body}");
    }
    let keyed = json!({"do":"read","room":scene.room,"seq":1,"key":"k"});
    assert_eq!(bobs.refused(keyed).await, "bad_request", "it needs no key");
    for (method, path, body) in [
        ("PUT", "/read", json!({"seq":1})),
        ("GET", "/read", Value::Null),
        ("GET", "/messages/1/readers", Value::Null),
    ] {
        let (status, problem) = scene.call(&eve, method, path, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_a_member")), "{path}");
    }
    for query in ["limit=1000000000", "limit=-1", "before=7", "before=7.x", "before=", "after=7"] {
        let (status, problem) = scene
            .server
            .call("GET", &format!("/rooms/mine?{query}"), &scene.bob.token, Value::Null)
            .await;
        assert_eq!((status, &problem["code"]), (400, &json!("bad_request")), "{query}");
    }
    let (status, problem) = scene.call(&scene.bob, "GET", "/messages/2/readers", Value::Null).await;
    assert_eq!((status, &problem["code"]), (404, &json!("no_such_message")));
    let left = scene.ok(&scene.bob, "GET", "/read", Value::Null).await;
    assert_eq!(left, json!({"seq":0,"unread":1,"mentions":0}));
}
