//! What programs keep goes through JSON unchanged, and what the rules forbid does not come back.
#![cfg(feature = "serde")]

use std::fmt::Debug;

use chat_core::{
    Batch, Body, Change, ChangeKind, ClientKey, Cursor, Draft, Edit, FileId, Fingerprint, Kind,
    LastReply, Mark, MarkCount, Marking, Membership, Message, Name, Parent, Reading, Restriction,
    Role, RoomId, RoomInfo, RoomKey, Sent, Settings, Text, Thread, Timestamp, Title, User, UserId,
    WhoInvites, Write,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const TEXTS: [&str; 6] =
    [" padded ", "e\u{301}", "\u{202e}עברית", "한글 👨‍👩‍👧‍👦", "\"\\/\u{2028}", "\u{feff}\u{10ffff}"];

/// Sends a value through JSON. Comparing the debug forms too shows what `==` may pass over.
fn through<T: Serialize + DeserializeOwned + Debug>(value: &T) -> T {
    let json = serde_json::to_string(value).expect("JSON");
    let back = serde_json::from_str(&json).expect("the same value");
    assert_eq!(format!("{back:?}"), format!("{value:?}"), "{json}");
    assert_eq!(serde_json::to_string(&back).expect("JSON"), json);
    back
}

/// The value is this in JSON, and comes back equal.
fn is<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: &T, json: &Value) {
    assert_eq!(serde_json::to_value(value).expect("JSON"), *json);
    assert_eq!(through(value), *value);
}

/// None of these values is taken; the error says why.
fn refused<T: DeserializeOwned + Debug>(values: &[Value], why: &str) {
    for value in values {
        let error =
            serde_json::from_value::<T>(value.clone()).expect_err("no such value").to_string();
        assert!(error.contains(why), "{value}: {error}");
    }
}

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).expect("a name"))
}

fn moment() -> Timestamp {
    "2026-02-28T23:59:59.123Z".parse().expect("a time")
}

#[test]
fn names_and_numbers_are_text_where_they_have_a_text_form() {
    let (room, user) = (RoomId::new(), UserId::new());
    is(&room, &json!(room.to_string()));
    is(&user, &json!(user.to_string()));
    is(&Cursor::new(57, 9), &json!("57.9"));
    is(&Cursor::new(i64::MAX as u64, 0), &json!("9223372036854775807.0"));
    is(&RoomKey(i64::MIN), &json!(i64::MIN));
    is(&Fingerprint([255; 16]), &json!(vec![255; 16]));
    is(&Sent { seq: u64::MAX, at: moment() }, &json!({ "seq": u64::MAX, "at": moment() }));
    for kind in [Kind::Open, Kind::Private, Kind::Direct, Kind::Thread] {
        is(&kind, &json!(kind.as_str()));
    }
    for role in [Role::Owner, Role::Moderator, Role::Member] {
        is(&role, &json!(role.as_str()));
    }
}

#[test]
fn every_byte_of_a_text_comes_back() {
    for text in TEXTS {
        is(&Name::new(text).unwrap(), &json!(text));
        is(&Title::new(text).unwrap(), &json!(text));
    }
    for text in TEXTS.into_iter().chain(["a\0b", "\0", "\r\n.", "\u{1}\u{7f}\u{85}"]) {
        is(&Text::new(text).unwrap(), &json!(text));
        is(&ClientKey::new(text).unwrap(), &json!(text));
    }
    is(&ClientKey::new(" ").unwrap(), &json!(" "));
    is(&Text::new("👩".repeat(4_000)).unwrap(), &json!("👩".repeat(4_000)));
}

#[test]
fn records_come_back() {
    for name in TEXTS {
        let member = Membership { user: user(name), role: Role::Moderator };
        let json = json!({ "user": { "id": member.user.id, "name": name }, "role": "moderator" });
        is(&member.user, &json["user"]);
        is(&member, &json);

        let text = Text::new(format!("{name}\0\n")).unwrap();
        let (from, at) = (member.user.clone(), moment());
        let body = Body {
            text: Some(text.clone()),
            reply_to: Some(7),
            mentions: vec![from.id],
            files: vec![FileId::new()],
        };
        for body in [Body::text(text.clone()), body.clone(), Body::default()] {
            through(&Message::new(1, from.clone(), body, at));
        }
        let edited = Message { edited: Some(at), ..Message::new(1, from.clone(), body, at) };
        through(&edited);
        through(&Message { deleted: true, ..edited });

        let plain: [fn(Membership) -> ChangeKind; 9] = [
            ChangeKind::Joined,
            ChangeKind::Left,
            ChangeKind::Invited,
            ChangeKind::Role,
            ChangeKind::Transferred,
            ChangeKind::Kicked,
            ChangeKind::Unbanned,
            ChangeKind::Unmuted,
            ChangeKind::Erased,
        ];
        let mut kinds = plain.map(|kind| kind(member.clone())).to_vec();
        for kind in &kinds {
            is(kind, &json!({ kind.as_str(): json }));
        }
        for until in [None, Some(at)] {
            let all = [
                ChangeKind::Banned(member.clone(), until),
                ChangeKind::Muted(member.clone(), until),
            ];
            for kind in all {
                is(&kind, &json!({ kind.as_str(): [json, until] }));
                kinds.push(kind);
            }
        }
        for invite in [WhoInvites::Members, WhoInvites::Moderators] {
            let settings = Settings { invite, slow_s: 5, read_only: true };
            let kind = ChangeKind::Settings(member.clone(), settings);
            let set = json!({ "invite": invite.as_str(), "slow_s": 5, "read_only": true });
            is(&kind, &json!({ "settings": [json, set] }));
            kinds.push(kind);
        }
        let edit = Edit { text: text.clone(), mentions: vec![from.id] };
        for edit in [None, Some(edit)] {
            let kind = ChangeKind::Edited(member.clone(), 7, edit.clone());
            is(&kind, &json!({ "edited": [json, 7, edit] }));
            kinds.push(kind);
        }
        let count = MarkCount { mark: Mark::new("👍").unwrap(), count: 3 };
        let marked = ChangeKind::Marked(member.clone(), 7, vec![count.clone()]);
        is(&marked, &json!({ "marked": [json, 7, [{ "mark": "👍", "count": 3 }]] }));
        kinds.push(marked);
        let last = LastReply { from: member.user.clone(), at: Timestamp::UNIX_EPOCH, seq: 2 };
        let room = RoomId::new();
        let thread = Thread { room, replies: 1, last: Some(last.clone()), upto: Cursor::new(2, 3) };
        let last = json!({ "from": json["user"], "at": last.at, "seq": 2 });
        let expected = json!({ "room": room, "replies": 1, "last": last, "upto": "2.3" });
        let thread = ChangeKind::Thread(member.clone(), 7, thread);
        is(&thread, &json!({ "thread": [json, 7, expected] }));
        kinds.push(thread);
        let deleted = ChangeKind::Deleted(member.clone(), 7);
        is(&deleted, &json!({ "deleted": [json, 7] }));
        kinds.push(deleted);
        for kind in kinds.clone() {
            for by in [None, Some(from.clone())] {
                through(&Change { cursor: Cursor::new(0, 1), kind: kind.clone(), by, at });
            }
        }
        // As it was kept before it was known who did it.
        let old = json!({ "cursor": "0.1", "kind": { "left": json }, "at": at });
        let kind = ChangeKind::Left(member.clone());
        is(&Change { cursor: Cursor::new(0, 1), kind, by: None, at }, &old);
        through(&Restriction { user: from.clone(), until: Some(at) });

        let draft = Draft::text("it").unwrap().key(format!("{name}\0")).unwrap();
        let print = draft.fingerprint();
        let message =
            |key| Write::Message { from: from.clone(), body: Body::text(text.clone()), at, key };
        let mut writes = vec![message(None), message(draft.key.clone().map(|key| (key, print)))];
        writes.extend(kinds.into_iter().map(|kind| Write::Change {
            kind,
            by: None,
            at,
            key: None,
        }));
        let (user, mark) = (from.id, count.mark);
        for key in [None, draft.key.map(|key| (key, print))] {
            if let Some((key, fingerprint)) = key.clone() {
                writes.push(Write::Key { user, key, fingerprint, at });
            }
            let marking = Marking { user, mark: mark.clone(), on: true, key };
            let (markings, last) = (vec![marking], member.clone());
            writes.push(Write::Marks { seq: 7, markings, last, at });
            writes.push(Write::Read(vec![Reading { user: UserId::new(), seq: 7 }]));
        }
        through(&Batch { room: RoomKey(7), after: Cursor::new(3, 4), may_follow: true, writes });
    }
    for title in [None, Some(Title::new(TEXTS[3]).unwrap())] {
        let kind = if title.is_some() { Kind::Private } else { Kind::Direct };
        let (id, created) = (RoomId::new(), moment());
        let parent = Some(Parent { room: RoomId::new(), seq: 7 }).filter(|_| kind == Kind::Direct);
        through(&RoomInfo { id, title, kind, ephemeral: true, created, parent });
    }
}

#[test]
fn times_come_back_whatever_their_precision() {
    for at in ["1969-12-31T23:59:59.999999999Z", "2016-12-31T23:59:60Z", "-0001-01-01T00:00:00Z"] {
        through(&Sent { seq: 1, at: at.parse().unwrap() });
    }
}

#[test]
fn what_the_rules_forbid_is_refused() {
    let blank = [json!(""), json!(" "), json!("\u{3000}\n")];
    refused::<Text>(&blank, "empty: ");
    refused::<Title>(&blank, "empty: ");
    refused::<Name>(&blank, "empty: ");
    refused::<ClientKey>(&[json!("")], "empty: ");
    refused::<Text>(&[json!("x".repeat(4_001))], "too_long: ");
    refused::<Name>(&[json!("가".repeat(33))], "too_long: ");
    refused::<ClientKey>(&[json!("👩".repeat(65))], "too_long: ");
    refused::<Title>(&[json!("a\nb"), json!("a\0")], "bad_text: ");
    refused::<Name>(&[json!("a\tb"), json!("a\0")], "bad_text: ");
    let cursors = ["", "5", "5.", "-1.0", "1.x", "1.2.3", "9223372036854775808.0"];
    refused::<Cursor>(&cursors.map(|cursor| json!(cursor)), "not a cursor");
    refused::<Kind>(&[json!("Open"), json!("secret")], "unknown variant");
    refused::<Role>(&[json!("OWNER"), json!("king")], "unknown variant");
    refused::<RoomId>(&[json!(""), json!("7")], "UUID");
    refused::<Fingerprint>(&[json!([1, 2, 3])], "length");
    for wrong in [json!(1), json!(null), json!(["a"])] {
        refused::<Text>(std::slice::from_ref(&wrong), "invalid type");
        refused::<Cursor>(&[wrong], "invalid type");
    }

    // Inside others too.
    let id = UserId::new();
    refused::<User>(&[json!({ "id": id, "name": "x".repeat(33) })], "too_long: ");
    refused::<User>(&[json!({ "id": id })], "missing field");
    let batch = json!({ "room": 1, "after": "1", "writes": [] });
    refused::<Batch>(&[batch], "not a cursor");
}
