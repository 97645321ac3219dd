//! What a message can be, over HTTP and sockets: answered, edited, deleted, with people mentioned in it; whoever did it
//! and however, everybody else hears of it, and a restart changes nothing.

mod support;

use serde_json::{Value, json};
use support::lobby::Lobby;
use support::{Client, TestServer, text};

/// A room, and a connection of each of the two in it that hears it.
struct Scene {
    lobby: Lobby,
    alices: Client,
    bobs: Client,
}

impl Scene {
    async fn new() -> Self {
        let lobby = Lobby::new().await;
        let (alices, bobs) = (lobby.hear(&lobby.alice).await, lobby.hear(&lobby.bob).await);
        Self { lobby, alices, bobs }
    }
}

#[actix_web::test]
async fn what_is_done_over_one_wire_is_heard_over_the_other() {
    let mut scene = Scene::new().await;
    scene.lobby.ok(&scene.lobby.bob, "POST", "/messages", json!({"text":"over http"})).await;
    let room = scene.lobby.room.clone();
    scene.bobs.ok(json!({"do":"send","room":room,"text":"over a socket","reply_to":1})).await;
    assert_eq!(scene.alices.event("message").await["text"], "over http");
    assert_eq!(scene.alices.event("message").await["reply_to"], 1);
    scene.bobs.ok(json!({"do":"edit","room":room,"seq":1,"text":"edited over a socket"})).await;
    let edited = scene.alices.event("edited").await;
    assert_eq!((&edited["seq"], &edited["text"]), (&json!(1), &json!("edited over a socket")));
    assert_eq!(edited["by"], json!({"id":scene.lobby.bob.id,"name":"bob"}));
    scene
        .lobby
        .ok(&scene.lobby.bob, "PATCH", "/messages/2", json!({"text":"edited over http"}))
        .await;
    assert_eq!(scene.alices.event("edited").await["text"], "edited over http");
    let revisions =
        scene.lobby.ok(&scene.lobby.alice, "GET", "/messages/2/revisions", Value::Null).await;
    assert_eq!(revisions["revisions"][0]["text"], "over a socket");
    scene.lobby.ok(&scene.lobby.alice, "DELETE", "/messages/1", Value::Null).await;
    let deleted = scene.bobs.event("deleted").await;
    assert_eq!((&deleted["seq"], &deleted["by"]["name"]), (&json!(1), &json!("alice")));
    scene.bobs.ok(json!({"do":"delete","room":room,"seq":2})).await;
    for seq in 1..=2 {
        assert_eq!(scene.alices.event("deleted").await["seq"], seq);
    }
    for seq in 1..=2 {
        let left = scene
            .lobby
            .ok(&scene.lobby.alice, "GET", &format!("/messages/{seq}"), Value::Null)
            .await;
        assert_eq!((&left["text"], &left["deleted"]), (&json!(""), &json!(true)), "{left}");
    }
}

#[actix_web::test]
async fn nobody_changes_what_somebody_else_said() {
    let mut scene = Scene::new().await;
    scene.lobby.ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"Alice's"})).await;
    let eve = scene.lobby.server.sign_up("eve").await;
    let room = scene.lobby.room.clone();
    for (person, edit) in [(&scene.lobby.bob, "forbidden"), (&eve, "not_a_member")] {
        let calls = [
            ("PATCH", "/messages/1", json!({"text":"mine"})),
            ("DELETE", "/messages/1", Value::Null),
            ("GET", "/messages/1/revisions", Value::Null),
        ];
        for (method, path, body) in calls {
            let (status, problem) = scene.lobby.call(person, method, path, body).await;
            assert_eq!((status, &problem["code"]), (403, &json!(edit)), "{method}");
        }
        let mut client = Client::connect(&scene.lobby.server.address, Some(&person.token)).await;
        for command in [
            json!({"do":"edit","room":room,"seq":1,"text":"mine"}),
            json!({"do":"delete","room":room,"seq":1}),
            json!({"do":"revisions","room":room,"seq":1}),
        ] {
            assert_eq!(client.refused(command.clone()).await, edit, "{command}");
        }
    }
    // Fields that nobody may set.
    for field in ["from", "seq", "at", "edited", "deleted", "mentions"] {
        let (status, problem) = scene
            .lobby
            .call(&scene.lobby.bob, "POST", "/messages", json!({"text":"a",field:1}))
            .await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)));
        let command = json!({"do":"send","room":room,"text":"a",field:1});
        let error = scene.bobs.error(command).await;
        assert_eq!((&error["code"], &error["field"]), (&json!("bad_request"), &json!(field)));
    }
    let page = scene.lobby.ok(&scene.lobby.alice, "GET", "/messages", Value::Null).await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page["messages"][0]["text"], "Alice's");
}

#[actix_web::test]
async fn whoever_is_mentioned_is_told_on_every_connection_but_whom_it_has_blocked_does_not_mention_it()
 {
    let mut scene = Scene::new().await;
    let carol = scene.lobby.server.sign_up("carol").await;
    let mut carols = Client::connect(&scene.lobby.server.address, Some(&carol.token)).await;
    // No member, so there is nothing to tell.
    scene
        .lobby
        .ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"@carol before she is here"}))
        .await;
    carols.ok(json!({"do":"join","room":scene.lobby.room})).await;
    let mut elsewhere = Client::connect(&scene.lobby.server.address, Some(&carol.token)).await;
    elsewhere.ok(json!({"do":"ping"})).await;
    scene
        .lobby
        .ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"@Carol, @bob. @nobody @alice"}))
        .await;
    for client in [&mut carols, &mut elsewhere] {
        let told = client.event("mentioned").await;
        assert_eq!((&told["seq"], &told["room"]), (&json!(2), &json!(scene.lobby.room)), "{told}");
        assert_eq!(told["mentions"], json!([carol.id, scene.lobby.bob.id]));
    }
    let left = async || {
        let path = format!("/rooms/{}/read", scene.lobby.room);
        let (_, read) = scene.lobby.server.call("GET", &path, &carol.token, Value::Null).await;
        (read["unread"].clone(), read["mentions"].clone())
    };
    assert_eq!(left().await, (json!(1), json!(1)), "what was said since she is here");
    let block = format!("/blocks/{}", scene.lobby.alice.id);
    scene.lobby.server.call("PUT", &block, &carol.token, Value::Null).await;
    let sent = scene
        .lobby
        .ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"@carol @bob"}))
        .await;
    assert_eq!(
        left().await,
        (json!(2), json!(1)),
        "it counts as a message, and mentions Bob alone"
    );
    let mentions = async |seq: &Value| {
        let message = scene
            .lobby
            .ok(&scene.lobby.alice, "GET", &format!("/messages/{seq}"), Value::Null)
            .await;
        message["mentions"].clone()
    };
    assert_eq!(mentions(&sent["seq"]).await, json!([scene.lobby.bob.id]), "as if she were absent");
    scene
        .lobby
        .ok(&scene.lobby.alice, "PATCH", "/messages/1", json!({"text":"@carol edited"}))
        .await;
    assert_eq!(mentions(&json!(1)).await, Value::Null);
    // What has mentioned her before does so until it is edited.
    scene
        .lobby
        .ok(&scene.lobby.alice, "PATCH", "/messages/2", json!({"text":"@Carol, @bob, edited"}))
        .await;
    assert_eq!(mentions(&json!(2)).await, json!([scene.lobby.bob.id]));
    assert_eq!(left().await, (json!(2), json!(0)));
    // Bob has blocked nobody, and Carol may be mentioned by him.
    scene.lobby.ok(&scene.lobby.bob, "POST", "/messages", json!({"text":"@carol, by Bob"})).await;
    assert_eq!(carols.event("mentioned").await["text"], "@carol, by Bob", "of nothing in between");
    assert_eq!(left().await, (json!(3), json!(1)));
    scene.lobby.server.call("DELETE", &block, &carol.token, Value::Null).await;
    scene.lobby.ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"hello"})).await;
    scene
        .lobby
        .ok(&scene.lobby.alice, "PATCH", "/messages/5", json!({"text":"hello @carol"}))
        .await;
    assert_eq!(carols.event("mentioned").await["text"], "hello @carol");
    // A guest has no username.
    let guest = scene.lobby.server.guest("carol").await;
    let mut guests = Client::connect(&scene.lobby.server.address, Some(&guest.token)).await;
    guests.ok(json!({"do":"join","room":scene.lobby.room})).await;
    scene.bobs.ok(json!({"do":"send","room":scene.lobby.room,"text":"@carol"})).await;
    assert_eq!(carols.event("mentioned").await["text"], "@carol");
    guests.ok(json!({"do":"ping"})).await;
    assert!(guests.events.iter().all(|event| event["event"] != "mentioned"));
}

#[actix_web::test]
async fn a_particle_may_follow_a_mention() {
    let scene = Scene::new().await;
    scene.lobby.server.sign_up("bobby").await;
    let mentions = async |said: &str| {
        let sent =
            scene.lobby.ok(&scene.lobby.alice, "POST", "/messages", json!({"text":said})).await;
        let path = format!("/messages/{}", sent["seq"]);
        scene.lobby.ok(&scene.lobby.alice, "GET", &path, Value::Null).await["mentions"].clone()
    };
    for said in ["@bob", "@bob님", "@Bob에게 물어봐", "@bobさん、どう？", "@bob님 @bobさん @bob"]
    {
        assert_eq!(mentions(said).await, json!([scene.lobby.bob.id]), "{said}");
    }
    for said in ["@bobby", "@bobb", "@bob2", "@bo님", "@알리스님"] {
        assert_eq!(
            mentions(said).await,
            Value::Null,
            "{said}: bobby is no member, nobody has the others"
        );
    }
    // Whoever is called so as a whole is meant, and nobody else.
    let kim = scene.lobby.server.sign_up("bob김").await;
    let path = format!("/rooms/{}/members/me", scene.lobby.room);
    scene.lobby.server.call("PUT", &path, &kim.token, Value::Null).await;
    assert_eq!(mentions("@bob김").await, json!([kim.id]));
    scene.lobby.ok(&scene.lobby.alice, "PATCH", "/messages/1", json!({"text":"@bob이"})).await;
    let edited = scene.lobby.ok(&scene.lobby.alice, "GET", "/messages/1", Value::Null).await;
    assert_eq!(edited["mentions"], json!([scene.lobby.bob.id]));
}

#[actix_web::test]
async fn a_blocked_user_edits_nothing_in_the_direct_room() {
    let scene = Scene::new().await;
    let body = json!({"kind":"direct","with":scene.lobby.bob.id});
    let (_, room) = scene.lobby.server.call("POST", "/rooms", &scene.lobby.alice.token, body).await;
    let direct = Lobby { room: text(&room["id"]), ..scene.lobby };
    direct.ok(&direct.alice, "POST", "/messages", json!({"text":"hello"})).await;
    let block = format!("/blocks/{}", direct.alice.id);
    direct.server.call("PUT", &block, &direct.bob.token, Value::Null).await;
    let (status, problem) =
        direct.call(&direct.alice, "PATCH", "/messages/1", json!({"text":"rude"})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("no_such_user")));
    direct.ok(&direct.alice, "DELETE", "/messages/1", Value::Null).await;
}

#[actix_web::test]
async fn a_restart_changes_nothing() {
    let scene = Scene::new().await;
    let file = "00000000-0000-7000-8000-000000000001";
    scene
        .lobby
        .ok(&scene.lobby.alice, "POST", "/messages", json!({"text":"frist @bob","key":"k"}))
        .await;
    scene.lobby.ok(&scene.lobby.alice, "PATCH", "/messages/1", json!({"text":"first @bob"})).await;
    scene
        .lobby
        .ok(&scene.lobby.bob, "POST", "/messages", json!({"text":"secret","reply_to":1}))
        .await;
    scene.lobby.ok(&scene.lobby.bob, "DELETE", "/messages/2", Value::Null).await;
    scene
        .lobby
        .ok(&scene.lobby.bob, "POST", "/messages", json!({"files":[file],"reply_to":1}))
        .await;
    let page = scene.lobby.ok(&scene.lobby.alice, "GET", "/messages", Value::Null).await;
    let revisions =
        scene.lobby.ok(&scene.lobby.alice, "GET", "/messages/1/revisions", Value::Null).await;
    let Scene { lobby: Lobby { server, room, alice, bob }, alices, bobs } = scene;
    drop((alices, bobs));
    let data = server.stop().await;
    let server = TestServer::start_in(data, None, &[]).await;
    let path = format!("/rooms/{room}/messages");
    assert_eq!(server.call("GET", &path, &alice.token, Value::Null).await, (200, page));
    let before =
        server.call("GET", &format!("{path}/1/revisions"), &alice.token, Value::Null).await;
    assert_eq!(before, (200, revisions));
    let again = json!({"text":"frist @bob","key":"k"});
    let (status, sent) = server.call("POST", &path, &alice.token, again).await;
    assert_eq!((status, &sent["seq"]), (201, &json!(1)), "sent again, it is what it was");
    // Whoever was away since the beginning hears of it all.
    let mut client = Client::connect(&server.address, Some(&bob.token)).await;
    let joined = client.ok(json!({"do":"join","room":room,"after":"0.2"})).await;
    let changes = joined["changes"].as_array().expect("changes");
    let changes: Vec<_> =
        changes.iter().map(|one| (text(&one["event"]), one["seq"].clone())).collect();
    assert_eq!(changes, [("edited".to_owned(), json!(1)), ("deleted".to_owned(), json!(2))]);
    assert_eq!(joined["messages"].as_array().map(Vec::len), Some(3));
}
