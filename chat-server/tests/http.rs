//! The HTTP calls and the sockets are two doors to one house: what comes in through one is seen
//! through the other, at once and the same.

mod support;

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{Client, TestServer, text, until};

/// The names of an object's fields.
fn fields(object: &Value) -> Vec<&String> {
    object.as_object().expect("an object").keys().collect()
}

/// Everything of a list of rooms that shows which they are.
fn titles(list: &Value) -> Vec<String> {
    let rooms = list["rooms"].as_array().expect("rooms");
    rooms.iter().map(|room| text(&room["title"])).collect()
}

#[actix_web::test]
async fn what_is_done_over_http_reaches_sockets_as_the_same_events() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    let room = server.room(&ann.token, "Tea").await;
    let mut socket = Client::connect(&server.address, Some(&ann.token)).await;
    socket.ok(json!({"do":"join","room":room})).await;
    let carol = server.guest("Carol").await;
    let me = format!("/rooms/{room}/members/me");
    let messages = format!("/rooms/{room}/messages");

    let (status, member) = server.call("PUT", &me, &carol.token, Value::Null).await;
    assert_eq!((status, &member), (200, &json!({"id":carol.id,"name":"Carol","role":"member"})));
    let joined = socket.event("member").await;
    assert_eq!(
        (&joined["change"], &joined["user"]["id"], &joined["members"], &joined["online"]),
        (&json!("joined"), &json!(carol.id), &json!(2), &json!(1)),
        "a member, but not present"
    );

    let (status, sent) =
        server.call("POST", &messages, &carol.token, json!({"text":"from HTTP","key":"k"})).await;
    assert_eq!(status, 201, "{sent}");
    let heard = socket.event("message").await;
    assert_eq!(
        (&heard["seq"], &heard["at"], &heard["text"], &heard["from"]),
        (&sent["seq"], &sent["at"], &json!("from HTTP"), &json!({"id":carol.id,"name":"Carol"}))
    );

    // Sent again, through the other door: the first answer.
    let mut other = Client::connect(&server.address, Some(&carol.token)).await;
    let send = json!({"do":"send","room":room,"text":"from HTTP","key":"k"});
    assert_eq!(other.ok(send).await, sent);
    other.ok(json!({"do":"send","room":room,"text":"from a socket"})).await;
    let also = socket.event("message").await;
    assert_eq!((&also["text"], &also["seq"]), (&json!("from a socket"), &json!(2)));
    assert_eq!(fields(&also), fields(&heard));

    let (_, page) = server.call("GET", &messages, &carol.token, Value::Null).await;
    assert_eq!(page, socket.ok(json!({"do":"history","room":room})).await);
    for (shown, mut event) in page["messages"].as_array().expect("a page").iter().zip([heard, also])
    {
        let seq = &event["seq"];
        let (_, one) =
            server.call("GET", &format!("{messages}/{seq}"), &ann.token, Value::Null).await;
        assert_eq!(&one, shown);
        let event = event.as_object_mut().expect("an event");
        event.retain(|field, _| field != "event" && field != "cursor");
        assert_eq!(&json!(event), shown, "an event is the message and its cursor");
    }

    assert_eq!(server.call("DELETE", &me, &carol.token, Value::Null).await, (204, Value::Null));
    let left = socket.event("member").await;
    assert_eq!(
        (&left["change"], &left["user"]["id"], &left["members"]),
        (&json!("left"), &json!(carol.id), &json!(1))
    );
    let refused = other.refused(json!({"do":"send","room":room,"text":"am I here?"})).await;
    assert_eq!(refused, "not_a_member", "leaving is for all of somebody's connections");
}

#[actix_web::test]
async fn leaving_over_http_ends_what_the_users_own_socket_hears() {
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    let room = ann.ok(json!({"do":"open","title":"Tea"})).await["room"]["id"].clone();
    ann.ok(json!({"do":"join","room":room})).await;
    let bob = server.guest("Bob").await;
    let mut socket = Client::connect(&server.address, Some(&bob.token)).await;
    socket.ok(json!({"do":"join","room":room})).await;
    let me = format!("/rooms/{}/members/me", text(&room));
    assert_eq!(server.call("DELETE", &me, &bob.token, Value::Null).await.0, 204);
    let mut left = socket.event("member").await;
    while left["change"] != "left" {
        left = socket.event("member").await;
    }
    ann.ok(json!({"do":"send","room":room,"text":"he is gone"})).await;
    ann.event("message").await;
    socket.ok(json!({"do":"join","room":room})).await;
    let next = socket.event("member").await;
    assert_eq!(next["change"], "joined", "nothing of the time between");
    assert!(socket.events.is_empty());
}

#[actix_web::test]
async fn the_list_of_rooms_is_paged_newest_first_and_searched_by_title() {
    let server = TestServer::start().await;
    let token = server.guest("Ann").await.token;
    for title in ["Tea", "Coffee", "Green tea", "Milk", "100% juice", "Te_a"] {
        server.room(&token, title).await;
    }
    let list = async |query: &str| {
        let (status, list) =
            server.call("GET", &format!("/rooms?{query}"), &token, Value::Null).await;
        assert_eq!(status, 200, "{query}: {list}");
        list
    };
    let all = ["Te_a", "100% juice", "Milk", "Green tea", "Coffee", "Tea"];
    let whole = list("").await;
    assert_eq!(titles(&whole), all);
    assert!(whole.get("next").is_none(), "{whole}");

    for limit in 1..=6 {
        let mut page = list(&format!("limit={limit}")).await;
        let mut seen = titles(&page);
        while let Some(next) = page.get("next") {
            page = list(&format!("limit={limit}&after={}", text(next))).await;
            assert!(!titles(&page).is_empty(), "`next` promises more");
            seen.extend(titles(&page));
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
    assert_eq!(titles(&list("query=tea").await), ["Green tea", "Tea"]);
    assert_eq!(titles(&list("query=TEA&limit=1").await), ["Green tea"]);
    assert_eq!(titles(&list("query=tea%25").await), Vec::<String>::new(), "% is a letter like any");
    assert_eq!(titles(&list("query=%25").await), ["100% juice"]);
    assert_eq!(titles(&list("query=_").await), ["Te_a"]);
    assert_eq!(titles(&list("query=water").await), Vec::<String>::new());
}

#[actix_web::test]
async fn the_list_of_rooms_has_the_counts_of_this_moment() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    let room = server.room(&ann.token, "Tea").await;
    let counts = async || {
        let (_, list) = server.call("GET", "/rooms", &ann.token, Value::Null).await;
        let (_, one) = server.call("GET", &format!("/rooms/{room}"), &ann.token, Value::Null).await;
        let of = |room: &Value| (room["members"].clone(), room["online"].clone());
        (of(&list["rooms"][0]), of(&one))
    };
    let both = |members: u64, online: u64| {
        ((json!(members), json!(online)), (json!(members), json!(online)))
    };
    assert_eq!(counts().await, both(1, 0));
    let mut socket = Client::connect(&server.address, Some(&ann.token)).await;
    socket.ok(json!({"do":"join","room":room})).await;
    assert_eq!(counts().await, both(1, 1));
    let bob = server.guest("Bob").await;
    let me = format!("/rooms/{room}/members/me");
    server.call("PUT", &me, &bob.token, Value::Null).await;
    assert_eq!(counts().await, both(2, 1));
    drop(socket);
    until("Ann is seen to be gone", async || counts().await == both(2, 0)).await;
    assert_eq!(server.call("DELETE", &me, &bob.token, Value::Null).await, (204, Value::Null));
    assert_eq!(counts().await, both(1, 0));
}

#[actix_web::test]
async fn questions_about_a_live_room_read_nothing_from_the_store() {
    let server = TestServer::start().await;
    let ann = server.guest("Ann").await;
    let room = server.room(&ann.token, "Tea").await;
    let mut socket = Client::connect(&server.address, Some(&ann.token)).await;
    let start = socket.ok(json!({"do":"join","room":room})).await["cursor"].clone();
    let mut bob = server.connect("Bob").await;
    bob.ok(json!({"do":"join","room":room})).await;
    for number in 1..=60 {
        socket.ok(json!({"do":"send","room":room,"text":number.to_string()})).await;
    }
    let before = server.server().engine().stats().store;

    for _ in 0..20 {
        for online in [true, false] {
            let command = json!({"do":"members","room":room,"online":online});
            let page = socket.ok(command).await;
            assert_eq!(page["members"].as_array().map(Vec::len), Some(2));
            let path = format!("/rooms/{room}/members?online={online}");
            assert_eq!(server.call("GET", &path, &ann.token, Value::Null).await, (200, page));
        }
        for (place, first) in [("before=31", 1), ("after=10", 11), ("around=30", 5), ("", 11)] {
            let path = format!("/rooms/{room}/messages?{place}");
            let (status, page) = server.call("GET", &path, &ann.token, Value::Null).await;
            assert_eq!((status, &page["messages"][0]["seq"]), (200, &json!(first)), "{place}");
        }
        let path = format!("/rooms/{room}/messages/33");
        assert_eq!(server.call("GET", &path, &ann.token, Value::Null).await.1["text"], "33");
        let path = format!("/rooms/{room}");
        assert_eq!(server.call("GET", &path, &ann.token, Value::Null).await.1["online"], 2);
        let missed = bob.ok(json!({"do":"join","room":room,"after":start})).await;
        assert_eq!(missed["messages"].as_array().map(Vec::len), Some(60));
        bob.ok(json!({"do":"resume","rooms":[{"room":room,"after":start}]})).await;
        bob.ok(json!({"do":"typing","room":room,"on":true})).await;
        bob.ok(json!({"do":"presence","state":"away"})).await;
    }
    assert_eq!(server.server().engine().stats().store, before);
}

#[actix_web::test]
async fn sixty_four_people_talk_at_once_and_everybody_hears_the_same() {
    const PEOPLE: usize = 64;
    const EACH: usize = 10;
    let server = TestServer::start().await;
    let mut ann = server.connect("Ann").await;
    let room = ann.ok(json!({"do":"open","title":"Lobby"})).await["room"]["id"].clone();
    let mut bob = server.connect("Bob").await;
    for reader in [&mut ann, &mut bob] {
        reader.ok(json!({"do":"join","room":room})).await;
    }
    let people = (0..PEOPLE).map(|person| {
        let (server, room) = (&server, &room);
        async move {
            let mut client = server.connect(&format!("person {person}")).await;
            client.ok(json!({"do":"join","room":room})).await;
            client
        }
    });
    let people = join_all(people).await;

    let talk = people.into_iter().enumerate().map(|(person, mut client)| {
        let room = &room;
        async move {
            let mut sent = Vec::new();
            for number in 0..EACH {
                let text = format!("{person}/{number}");
                let send = json!({"do":"send","room":room,"text":text});
                sent.push((client.ok(send).await["seq"].as_u64().expect("a seq"), text));
            }
            sent
        }
    });
    let hear = async |reader: &mut Client| {
        let mut heard = Vec::new();
        while heard.len() < PEOPLE * EACH {
            let message = reader.event("message").await;
            heard.push((message["seq"].as_u64().expect("a seq"), text(&message["text"])));
        }
        heard
    };
    let (sent, heard, also) = futures_util::join!(join_all(talk), hear(&mut ann), hear(&mut bob));

    let numbers: Vec<_> = heard.iter().map(|(seq, _)| *seq).collect();
    let expected: Vec<_> = (1..=(PEOPLE * EACH) as u64).collect();
    assert_eq!(numbers, expected, "in order, no gap, none twice");
    assert_eq!(heard, also, "the same for both");
    let by_seq: HashMap<_, _> = heard.into_iter().collect();
    for sent in sent {
        assert!(sent.is_sorted(), "everybody's own order is kept");
        for (seq, text) in sent {
            assert_eq!(by_seq[&seq], text, "heard as it was acknowledged");
        }
    }
}
