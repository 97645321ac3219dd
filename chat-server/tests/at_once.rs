//! What ends somebody's right to be there ends it everywhere at once: after the answer over
//! HTTP every open connection knows soon, and nothing that is sent on one after the answer is done.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, PASSWORD, Person, TestServer, text};

/// Within which time everybody must have heard: at once, on a machine that may have much to do.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A room of Ann's, in which somebody is who will have to go.
struct Scene {
    server: TestServer,
    room: String,
    ann: Person,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let ann = server.sign_up("ann").await;
        let room = server.room(&ann.token, "Lobby").await;
        Self { server, room, ann }
    }

    async fn sign_in(&self, username: &str) -> Person {
        let body = json!({ "username": username, "password": PASSWORD });
        let (status, answer) = self.server.call("POST", "/tokens", "", body).await;
        assert_eq!(status, 201, "{answer}");
        Person::of(&answer)
    }

    /// Three connections with this token, on each of which something has been written.
    async fn devices(&self, token: &str) -> Vec<Client> {
        let mut devices = Vec::new();
        for _ in 0..3 {
            let mut device = Client::connect(&self.server.address, Some(token)).await;
            device.ok(json!({"do":"join","room":self.room})).await;
            device.ok(self.send("in time")).await;
            devices.push(device);
        }
        devices
    }

    fn send(&self, text: &str) -> Value {
        json!({ "do": "send", "room": self.room, "text": text })
    }

    /// Something must succeed, over HTTP. Gives the moment of its answer.
    async fn done(&self, method: &str, path: &str, token: &str, body: Value) -> Instant {
        let (status, answer) = self.server.call(method, path, token, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        Instant::now()
    }

    /// Writes as Ann does; the number of the message.
    async fn written(&self) -> u64 {
        let path = format!("/rooms/{}/messages", self.room);
        let body = json!({ "text": "by the way" });
        let (status, sent) = self.server.call("POST", &path, &self.ann.token, body).await;
        assert_eq!(status, 201, "{sent}");
        sent["seq"].as_u64().expect("a number")
    }

    /// What happens at `answered` ends all of these connections, and the token with which they came. So many
    /// messages had been written before.
    async fn all_end(
        &self,
        devices: Vec<Client>,
        token: &str,
        (code, before): (u16, u64),
        answered: Instant,
    ) {
        let mut devices = devices;
        for device in &mut devices {
            for _ in 0..3 {
                device.try_send(&json!({"do":"join","id":1,"room":self.room})).await;
                let mut send = self.send("too late");
                send["id"] = json!(2);
                device.try_send(&send).await;
            }
        }
        for device in &mut devices {
            assert_eq!(device.close_code().await, code);
        }
        assert!(answered.elapsed() < AT_ONCE, "it took {:?}", answered.elapsed());
        let path = format!("/rooms/{}/messages", self.room);
        let (status, answer) =
            self.server.call("POST", &path, token, json!({"text":"too late"})).await;
        assert_eq!((status, &answer["code"]), (401, &json!("unauthorized")));
        assert!(Client::try_connect(&self.server.address, token).await.is_none());
        assert_eq!(self.written().await, before + 1, "something has been done all the same");
    }

    /// These connections go on. Gives how many messages there are then.
    async fn all_stay(&self, devices: &mut [Client]) -> u64 {
        for device in devices {
            device.ok(self.send("still here")).await;
        }
        self.written().await
    }
}

#[actix_web::test]
async fn signing_out_here() {
    let scene = Scene::new().await;
    let here = scene.server.sign_up("alice").await;
    let there = scene.sign_in("alice").await;
    let devices = scene.devices(&here.token).await;
    let mut others = scene.devices(&there.token).await;
    let before = scene.written().await;
    let answered = scene.done("DELETE", "/tokens", &here.token, Value::Null).await;
    scene.all_end(devices, &here.token, (4401, before), answered).await;
    scene.all_stay(&mut others).await;
}

#[actix_web::test]
async fn signing_out_everywhere() {
    let scene = Scene::new().await;
    let here = scene.server.sign_up("alice").await;
    let there = scene.sign_in("alice").await;
    let mut devices = scene.devices(&here.token).await;
    devices.extend(scene.devices(&there.token).await);
    let mut others = scene.devices(&scene.sign_in("ann").await.token).await;
    let before = scene.written().await;
    let path = "/tokens?everywhere=true";
    let answered = scene.done("DELETE", path, &here.token, Value::Null).await;
    scene.all_end(devices, &there.token, (4401, before), answered).await;
    scene.all_stay(&mut others).await;
}

#[actix_web::test]
async fn changing_the_password() {
    let scene = Scene::new().await;
    let here = scene.server.sign_up("alice").await;
    let there = scene.sign_in("alice").await;
    let mut mine = scene.devices(&here.token).await;
    let devices = scene.devices(&there.token).await;
    let before = scene.written().await;
    let body = json!({ "old": PASSWORD, "new": "another horse" });
    let answered = scene.done("PUT", "/users/me/password", &here.token, body).await;
    scene.all_end(devices, &there.token, (4401, before), answered).await;
    scene.all_stay(&mut mine).await;
}

#[actix_web::test]
async fn deleting_the_account() {
    for erase in [false, true] {
        let scene = Scene::new().await;
        let here = scene.server.sign_up("alice").await;
        let there = scene.sign_in("alice").await;
        let mut devices = scene.devices(&here.token).await;
        devices.extend(scene.devices(&there.token).await);
        let before = scene.written().await;
        let body = json!({ "password": PASSWORD, "erase_messages": erase });
        let answered = scene.done("DELETE", "/users/me", &here.token, body).await;
        scene.all_end(devices, &there.token, (4403, before), answered).await;
    }
}

#[actix_web::test]
async fn a_copy_of_a_refresh_token() {
    let scene = Scene::new().await;
    let first = scene.server.sign_up("alice").await;
    let other = scene.sign_in("alice").await;
    let refresh = json!({ "refresh_token": first.refresh });
    let (_, answer) = scene.server.call("POST", "/tokens/refresh", "", refresh.clone()).await;
    let second = Person::of(&answer);
    let mut devices = scene.devices(&first.token).await;
    devices.extend(scene.devices(&second.token).await);
    let mut others = scene.devices(&other.token).await;
    scene.server.clock.advance(Duration::from_secs(11));
    let before = scene.written().await;
    let (status, answer) = scene.server.call("POST", "/tokens/refresh", "", refresh).await;
    let answered = Instant::now();
    assert_eq!((status, &answer["code"]), (401, &json!("bad_refresh_token")));
    scene.all_end(devices, &second.token, (4401, before), answered).await;
    scene.all_stay(&mut others).await;
}

#[actix_web::test]
async fn signing_up_as_a_guest() {
    let scene = Scene::new().await;
    let guest = scene.server.guest("Gisela").await;
    let other = scene.server.guest("Gisela").await;
    let devices = scene.devices(&guest.token).await;
    let mut others = scene.devices(&other.token).await;
    let before = scene.written().await;
    let body = json!({ "username": "gisela", "password": PASSWORD });
    let answered = scene.done("POST", "/users", &guest.token, body).await;
    scene.all_end(devices, &guest.token, (4401, before), answered).await;
    scene.all_stay(&mut others).await;
}

#[actix_web::test]
async fn blocking_somebody() {
    let mut scene = Scene::new().await;
    let ann = scene.ann.clone();
    let bob = scene.server.sign_up("bob").await;
    let direct = json!({ "kind": "direct", "with": bob.id });
    let (status, room) = scene.server.call("POST", "/rooms", &ann.token, direct).await;
    assert_eq!(status, 201, "{room}");
    scene.room = text(&room["id"]);
    for (one, other) in [(&ann, &bob), (&bob, &ann)] {
        scene.done("PUT", &format!("/friends/{}", other.id), &one.token, Value::Null).await;
    }
    let mut hers = scene.devices(&ann.token).await;
    let mut his = scene.devices(&bob.token).await;
    let before = scene.written().await;
    let block = format!("/blocks/{}", bob.id);
    let answered = scene.done("PUT", &block, &ann.token, Value::Null).await;
    // In the room and as a friend she is gone, for all of his connections.
    for device in &mut his {
        let gone = |event: &Value, name: &str| {
            let who = &event["user"]["id"];
            event["event"] == name && *who == json!(ann.id) && event["state"] == "offline"
        };
        let (mut in_the_room, mut as_a_friend) = (false, false);
        while !(in_the_room && as_a_friend) {
            let event = device.try_event().await.expect("he is still connected");
            in_the_room |= gone(&event, "presence");
            as_a_friend |= gone(&event, "friend");
        }
    }
    for device in &mut hers {
        device.event("blocks").await;
    }
    assert!(answered.elapsed() < AT_ONCE, "it took {:?}", answered.elapsed());
    for device in &mut his {
        let members = device.ok(json!({"do":"members","room":scene.room})).await;
        let online = members["members"].as_array().expect("members").iter();
        let online = online.filter(|member| member["state"] == "online");
        assert_eq!(online.map(|member| text(&member["id"])).collect::<Vec<_>>(), [&*bob.id]);
        assert_eq!(device.refused(scene.send("too late")).await, "no_such_user");
        let typing = json!({"do":"typing","room":scene.room,"on":true});
        assert_eq!(device.refused(typing).await, "no_such_user");
    }
    // She hears nothing of him after what she has been told of it, whatever he tries.
    for device in &mut hers {
        device.ok(json!({"do":"ping"})).await;
        let heard = device.events.iter().find(|event| event["user"]["id"] == json!(bob.id));
        assert_eq!(heard, None);
    }
    scene.done("DELETE", &block, &ann.token, Value::Null).await;
    assert_eq!(scene.written().await, before + 1, "something has been done all the same");
}
