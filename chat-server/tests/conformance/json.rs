//! The protocol from a client's side: commands to JSON, and JSON back to the engine's words.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::testkit::Heard;
use chat_core::{
    After, BanPage, Behind, Body, Change, ChangeKind, CloseReason, Code, Command, Counts, Cursor,
    Details, Edit, Error, Event, History, HistoryAt, Joined, Kind, LastReply, Mark, MarkCount,
    MemberPage, MemberView, Membership, Message, Moderation, Mute, Name, OwnChange, OwnMark,
    Parent, Presence, ReadPosition, ReaderPage, Reply, Restriction, Role, RoomCommand, RoomId,
    RoomInfo, RoomView, Sent, Settings, Text, Thread, Timestamp, Title, Unread, User, WhoInvites,
};
use serde_json::{Value, json};

/// A command as a frame.
pub fn encode(tag: u64, command: &Command) -> Value {
    let mut frame = match command {
        Command::Open(room) => json!({
            "do": "open",
            "title": room.title().map(ToString::to_string),
            "kind": room.kind().as_str(),
            "ephemeral": room.is_ephemeral(),
        }),
        Command::Room(room, command) => {
            let mut frame = encode_room(command);
            frame["room"] = json!(room.to_string());
            frame
        }
        Command::Resume(rooms) => {
            let room = |(room, after): &(RoomId, Cursor)| json!({"room": room.to_string(), "after": after.to_string()});
            json!({"do": "resume", "rooms": rooms.iter().map(room).collect::<Vec<_>>()})
        }
        Command::Presence(presence) => json!({"do": "presence", "state": presence.as_str()}),
        Command::Ping => json!({"do": "ping"}),
    };
    frame["id"] = json!(tag);
    frame
}

fn encode_room(command: &RoomCommand) -> Value {
    match command {
        RoomCommand::Join { after: After::Nothing, limit } => json!({"do": "join", "limit": limit}),
        RoomCommand::Join { after: After::Cursor(after), limit } => {
            json!({"do": "join", "after": after.to_string(), "limit": limit})
        }
        RoomCommand::Leave => json!({"do": "leave"}),
        RoomCommand::Send(draft) => {
            let mut frame = json!({"do": "send"});
            if let Some(text) = &draft.body.text {
                frame["text"] = json!(&**text);
            }
            if let Some(seq) = draft.body.reply_to {
                frame["reply_to"] = json!(seq);
            }
            if !draft.body.files.is_empty() {
                let files = draft.body.files.iter().map(ToString::to_string);
                frame["files"] = files.collect();
            }
            if let Some(key) = &draft.key {
                frame["key"] = json!(key.as_str());
            }
            frame
        }
        RoomCommand::Edit { seq, edit } => json!({"do": "edit", "seq": seq, "text": &*edit.text}),
        RoomCommand::Once { key, command } => {
            let mut frame = encode_room(command);
            frame["key"] = json!(key.as_str());
            frame
        }
        RoomCommand::Delete { seq } => json!({"do": "delete", "seq": seq}),
        RoomCommand::Mark { seq, mark, on } => {
            json!({"do": if *on { "mark" } else { "unmark" }, "seq": seq, "mark": &**mark})
        }
        RoomCommand::Markers(query) => {
            let mut frame = json!({"do": "markers", "seq": query.seq, "mark": &*query.mark, "limit": query.limit});
            if let Some(after) = query.after {
                frame["after"] = json!(after.to_string());
            }
            frame
        }
        RoomCommand::Read { seq } => json!({"do": "read", "seq": seq}),
        RoomCommand::Readers(query) => {
            let mut frame = json!({"do": "readers", "seq": query.seq, "limit": query.limit});
            if let Some(after) = query.after {
                frame["after"] = json!(after.to_string());
            }
            frame
        }
        RoomCommand::Standing => json!({"do": "standing"}),
        RoomCommand::Revisions { seq } => json!({"do": "revisions", "seq": seq}),
        RoomCommand::Thread { seq } => json!({"do": "thread", "seq": seq}),
        RoomCommand::Threads(query) => {
            let mut frame = json!({"do": "threads", "limit": query.limit});
            if let Some(place) = query.after {
                frame["after"] = json!(format!("{}.{}", place.at.timestamp_millis(), place.seq));
            }
            frame
        }
        RoomCommand::History(query) => {
            let mut frame = json!({"do": "history", "limit": query.limit});
            match query.at {
                HistoryAt::End => {}
                HistoryAt::Before(seq) => frame["before"] = json!(seq),
                HistoryAt::After(seq) => frame["after"] = json!(seq),
                HistoryAt::Around(seq) => frame["around"] = json!(seq),
            }
            frame
        }
        RoomCommand::Members(query) => {
            let mut frame = json!({"do": "members", "limit": query.limit, "online": query.online});
            if let Some(after) = query.after {
                frame["after"] = json!(after.to_string());
            }
            frame
        }
        RoomCommand::Typing(on) => json!({"do": "typing", "on": on}),
        RoomCommand::InviteUser(user) => json!({"do": "invite", "user": user.to_string()}),
        RoomCommand::Moderate(act) => encode_act(act),
        RoomCommand::Bans(query) => {
            let mut frame = json!({"do": "bans", "limit": query.limit});
            if let Some(after) = query.after {
                frame["after"] = json!(after.to_string());
            }
            frame
        }
        RoomCommand::View | RoomCommand::Invite(_) | RoomCommand::Resume { .. } => {
            panic!("clients have no words for {command:?}")
        }
    }
}

fn encode_act(act: &Moderation) -> Value {
    let (name, until) = match act {
        Moderation::Role { .. } => ("role", None),
        Moderation::Transfer { .. } => ("transfer", None),
        Moderation::Kick { .. } => ("kick", None),
        Moderation::Ban { until, .. } => ("ban", *until),
        Moderation::Unban { .. } => ("unban", None),
        Moderation::Mute { until, .. } => ("mute", *until),
        Moderation::Unmute { .. } => ("unmute", None),
        Moderation::Configure(_) => ("configure", None),
    };
    let mut frame = json!({ "do": name });
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            frame[field] = value;
        }
    };
    put("user", act.user().map(|user| json!(user.to_string())));
    put("until", until.map(|until| json!(until.to_rfc3339())));
    if let Moderation::Role { role, .. } = act {
        put("role", Some(json!(role.as_str())));
    }
    if let Moderation::Configure(change) = act {
        put("invite", change.invite.map(|invite| json!(invite.as_str())));
        put("slow_s", change.slow_s.map(|slow_s| json!(slow_s)));
        put("read_only", change.read_only.map(|read_only| json!(read_only)));
    }
    frame
}

/// A frame as it is heard. Answers are taken for what the command that they answer asks for. `None`
/// of an error that answers no command: whoever connects to a server that stops is told so before
/// it is closed.
pub fn decode(frame: &Value, open: &mut HashMap<u64, Command>) -> Option<Heard> {
    if frame.get("event").is_some() {
        return Some(Heard::Event(Arc::new(event(frame))));
    }
    if frame.get("id").is_none() {
        assert_eq!(error(&frame["error"]).code(), Code::Stopping, "{frame}");
        return None;
    }
    let tag = number(frame, "id");
    let result = match frame.get("error") {
        Some(refused) => Err(error(refused)),
        None => Ok(reply(&frame["ok"], open.get(&tag))),
    };
    open.remove(&tag);
    Some(Heard::Reply { tag, result })
}

fn reply(ok: &Value, command: Option<&Command>) -> Reply {
    let Some(command) = command else { panic!("an answer to nothing: {ok}") };
    match command {
        Command::Open(_) => Reply::Room(room_view(&ok["room"])),
        Command::Resume(_) => {
            Reply::Resumed { resumed: count(ok, "resumed"), failed: count(ok, "failed") }
        }
        Command::Presence(_) => done(ok),
        Command::Ping => Reply::Pong(time(ok)),
        Command::Room(room, command) => match command {
            RoomCommand::Join { .. } => Reply::Joined(Box::new(joined(ok))),
            RoomCommand::Send(_) => Reply::Sent(Sent { seq: number(ok, "seq"), at: time(ok) }),
            RoomCommand::History(_) => Reply::History(History {
                mine: mine(list(ok, "messages")),
                room: *room,
                messages: messages(ok, *room),
                more_before: flag(&ok["more"], "before"),
                more_after: flag(&ok["more"], "after"),
            }),
            RoomCommand::Members(_) => Reply::Members(MemberPage {
                counts: Counts { members: count(ok, "count"), online: count(ok, "online") },
                members: list(ok, "members").iter().map(member).collect(),
                next: ok.get("next").map(|_| parsed(ok, "next")),
            }),
            RoomCommand::Read { .. } => Reply::Read(read_position(ok)),
            RoomCommand::Readers(_) => Reply::Readers(ReaderPage {
                count: count(ok, "count"),
                users: list(ok, "users").iter().map(user).collect(),
                next: ok.get("next").map(|_| parsed(ok, "next")),
            }),
            RoomCommand::Bans(_) => Reply::Bans(BanPage {
                bans: list(ok, "bans").iter().map(restriction).collect(),
                next: ok.get("next").map(|_| parsed(ok, "next")),
            }),
            _ => done(ok),
        },
    }
}

fn done(ok: &Value) -> Reply {
    assert_eq!(*ok, json!({}), "an answer that has nothing to tell");
    Reply::Done
}

fn event(frame: &Value) -> Event {
    let room = || parsed(frame, "room");
    match text(frame, "event") {
        "message" => Event::Message {
            room: room(),
            cursor: parsed(frame, "cursor"),
            message: Arc::new(message(frame)),
        },
        "member" => {
            let counts =
                Counts { members: count(frame, "members"), online: count(frame, "online") };
            Event::Change { room: room(), change: Arc::new(change(frame)), counts }
        }
        "mentioned" => Event::Mentioned { room: room(), message: Arc::new(message(frame)) },
        "marked" => Event::Marked {
            room: room(),
            seq: number(frame, "seq"),
            mark: Mark::new(text(frame, "mark")).expect("a good mark"),
            on: flag(frame, "on"),
        },
        "settings" | "edited" | "deleted" | "marks" => {
            // These events have no counts.
            let change = Arc::new(change(frame));
            Event::Change { room: room(), change, counts: Counts::default() }
        }
        "presence" => Event::Presence {
            room: room(),
            user: user(&frame["user"]),
            presence: presence(frame),
            devices: count(frame, "devices"),
            online: count(frame, "online"),
        },
        "summary" => Event::Summary {
            room: room(),
            cursor: parsed(frame, "cursor"),
            counts: Counts { members: count(frame, "members"), online: count(frame, "online") },
            some: list(frame, "some").iter().map(user).collect(),
            read: count(frame, "read"),
        },
        "receipts" => Event::Receipts {
            room: room(),
            of: list(frame, "receipts")
                .iter()
                .map(|one| (user(&one["user"]), number(one, "seq")))
                .collect(),
        },
        "read" => Event::Read { room: room(), position: read_position(frame) },
        "typing" => {
            Event::Typing { room: room(), user: user(&frame["user"]), on: flag(frame, "on") }
        }
        "renamed" => {
            Event::Renamed { room: frame.get("room").map(|_| room()), user: user(&frame["user"]) }
        }
        "invited" => Event::Invited { room: room_info(&frame["room"]) },
        "mine" => Event::Mine { room: room(), change: own_change(frame) },
        "closed" => Event::Closed { room: room() },
        "expiring" => Event::Expiring { at: parsed(frame, "at") },
        "behind" => Event::Behind { room: room(), after: parsed(frame, "after") },
        "resumed" => {
            let result = match frame.get("error") {
                Some(refused) => Err(error(refused)),
                None => Ok(Box::new(joined(&frame["ok"]))),
            };
            Event::Resumed { room: room(), result }
        }
        "closing" => {
            let code = u16::try_from(number(frame, "code")).expect("a close code");
            let retry_after = frame.get("retry_after_ms");
            Event::Closing {
                reason: reason(code).expect("a reason"),
                retry_after: retry_after
                    .map(|_| Duration::from_millis(number(frame, "retry_after_ms"))),
            }
        }
        other => panic!("no event that clients know: {other}"),
    }
}

/// Why a connection is closed with this code.
pub fn reason(code: u16) -> Option<CloseReason> {
    match code {
        1000 => Some(CloseReason::Left),
        1001 => Some(CloseReason::Draining),
        4401 => Some(CloseReason::Expired),
        4408 => Some(CloseReason::Silent),
        4429 => Some(CloseReason::Flooding),
        4508 => Some(CloseReason::NotReading),
        _ => None,
    }
}

fn error(value: &Value) -> Error {
    let code = Code::parse(text(value, "code"));
    let code = code.unwrap_or_else(|| panic!("no code of the engine's: {value}"));
    assert_eq!(flag(value, "retry"), code.retry(), "{value}");
    Error::new(code, text(value, "message").to_owned())
}

fn joined(ok: &Value) -> Joined {
    let room = room_info(&ok["room"]);
    let (id, members) = (room.id, &ok["members"]);
    let counts = Counts { members: count(members, "count"), online: count(members, "online") };
    let behind =
        |behind: &Value| Behind { after: number(behind, "after"), until: number(behind, "until") };
    Joined {
        room: RoomView { info: room, counts },
        me: membership(&ok["me"]),
        mute: mute(&ok["me"]),
        read: read_position(&ok["read"]),
        settings: settings(&ok["settings"]),
        first: list(members, "first").iter().map(member).collect(),
        cursor: parsed(ok, "cursor"),
        messages: messages(ok, id),
        mine: {
            let all = [&list(ok, "messages")[..], &list(ok, "changes")[..]].concat();
            mine(&all)
        },
        changes: list(ok, "changes").iter().map(|missed| Arc::new(change(missed))).collect(),
        behind: ok.get("behind").map(behind),
        reset: ok.get("reset").is_some_and(|_| flag(ok, "reset")),
    }
}

fn own_change(frame: &Value) -> OwnChange {
    match text(frame, "change") {
        "joined" => OwnChange::Joined(room_info(&frame["info"])),
        "left" => OwnChange::Left,
        "kicked" => OwnChange::Kicked,
        "banned" => OwnChange::Banned(frame.get("until").map(|_| moment(frame, "until"))),
        "read" => OwnChange::Read(read_position(frame)),
        other => panic!("{other} is nothing that becomes of somebody"),
    }
}

fn read_position(value: &Value) -> ReadPosition {
    let unread =
        |_| Unread { messages: number(value, "unread"), mentions: number(value, "mentions") };
    ReadPosition { seq: number(value, "seq"), unread: value.get("unread").map(unread) }
}

fn messages(value: &Value, room: RoomId) -> Vec<Arc<Message>> {
    let one = |value: &Value| {
        assert_eq!(parsed::<RoomId>(value, "room"), room, "{value}");
        Arc::new(message(value))
    };
    list(value, "messages").iter().map(one).collect()
}

fn message(value: &Value) -> Message {
    let deleted = value.get("deleted").is_some_and(|_| flag(value, "deleted"));
    let said = text(value, "text");
    let body = Body {
        text: (!said.is_empty()).then(|| Text::new(said).expect("a good text")),
        reply_to: value.get("reply_to").map(|_| number(value, "reply_to")),
        mentions: ids(value, "mentions"),
        files: ids(value, "files"),
    };
    let edited = value.get("edited").map(|_| moment(value, "edited"));
    let message = Message::new(number(value, "seq"), user(&value["from"]), body, time(value));
    let marks = value.get("marks").map(|_| marks(value)).unwrap_or_default();
    let thread = value.get("thread").map(thread);
    Message { edited, deleted, marks, thread, ..message }
}

fn marks(value: &Value) -> Vec<MarkCount> {
    let mark = |one: &Value| MarkCount {
        mark: Mark::new(text(one, "mark")).expect("a good mark"),
        count: number(one, "count"),
    };
    list(value, "marks").iter().map(mark).collect()
}

/// What the asker has marked of these messages or changes.
fn mine(values: &[Value]) -> Vec<OwnMark> {
    let marked = values.iter().filter(|value| value.get("marks").is_some());
    let mine = marked.flat_map(|value| {
        let own = list(value, "marks").iter().filter(|one| one.get("mine").is_some());
        own.map(|one| {
            let mark = Mark::new(text(one, "mark")).expect("a good mark");
            (number(value, "seq"), mark)
        })
    });
    mine.collect()
}

/// Ids, if there are any.
fn ids<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value, field: &str) -> Vec<T> {
    let ids = value.get(field).map(|_| list(value, field));
    let id = |id: &Value| id.as_str().expect("a text").parse().expect("an id");
    ids.into_iter().flatten().map(id).collect()
}

fn change(value: &Value) -> Change {
    let (cursor, at) = (parsed(value, "cursor"), time(value));
    if text(value, "event") == "settings" {
        // Only an owner changes them.
        let owner = Membership { user: user(&value["by"]), role: Role::Owner };
        let kind = ChangeKind::Settings(owner, settings(&value["settings"]));
        return Change { cursor, kind, by: None, at };
    }
    if let Some(seq) = value.get("seq").map(|_| number(value, "seq")) {
        // Who the author is, and as what it belongs to the room, is not said.
        let author = Membership { user: user(&value["by"]), role: Role::Member };
        let kind = match text(value, "event") {
            "edited" => {
                let said = Text::new(text(value, "text")).expect("a good text");
                let edit = Edit { text: said, mentions: ids(value, "mentions") };
                ChangeKind::Edited(author, seq, Some(edit))
            }
            "deleted" => ChangeKind::Deleted(author, seq),
            "marks" => ChangeKind::Marked(author, seq, marks(value)),
            "thread" => ChangeKind::Thread(author, seq, thread(&value["thread"])),
            other => panic!("{other} is not about a message"),
        };
        return Change { cursor, kind, by: None, at };
    }
    let membership = Membership { user: user(&value["user"]), role: role(value) };
    let until = value.get("until").map(|_| moment(value, "until"));
    let details = Details { until, ..Details::default() };
    let kind = ChangeKind::parse(text(value, "change"), membership, details);
    let by = value.get("by").map(user);
    Change { cursor, kind: kind.expect("a kind of change"), by, at }
}

fn settings(value: &Value) -> Settings {
    Settings {
        invite: WhoInvites::parse(text(value, "invite")).expect("who may invite"),
        slow_s: u32::try_from(number(value, "slow_s")).expect("seconds"),
        read_only: flag(value, "read_only"),
    }
}

fn restriction(value: &Value) -> Restriction {
    Restriction { user: user(value), until: value.get("until").map(|_| moment(value, "until")) }
}

fn room_view(value: &Value) -> RoomView {
    let counts = Counts { members: count(value, "members"), online: count(value, "online") };
    RoomView { info: room_info(value), counts }
}

fn room_info(value: &Value) -> RoomInfo {
    let title = |_| Title::new(text(value, "title")).expect("a good title");
    RoomInfo {
        id: parsed(value, "id"),
        title: value.get("title").map(title),
        kind: Kind::parse(text(value, "kind")).expect("a kind of room"),
        ephemeral: flag(value, "ephemeral"),
        created: moment(value, "created"),
        parent: value
            .get("parent")
            .map(|parent| Parent { room: parsed(parent, "room"), seq: number(parent, "seq") }),
    }
}

fn thread(value: &Value) -> Thread {
    let last = value.get("last").map(|last| LastReply {
        from: user(&last["from"]),
        at: moment(last, "at"),
        seq: number(last, "seq"),
    });
    // How far the thread had come is not said.
    let (replies, upto) = (number(value, "replies"), Cursor::default());
    Thread { room: parsed(value, "room"), replies, last, upto }
}

fn member(value: &Value) -> MemberView {
    let (presence, devices) = (presence(value), count(value, "devices"));
    let read = value.get("read").map(|_| number(value, "read"));
    MemberView { membership: membership(value), presence, devices, mute: mute(value), read }
}

fn membership(value: &Value) -> Membership {
    Membership { user: user(value), role: role(value) }
}

fn mute(value: &Value) -> Option<Mute> {
    let until = || value.get("muted_until").map(|_| moment(value, "muted_until"));
    value.get("muted").filter(|_| flag(value, "muted")).map(|_| Mute { until: until() })
}

fn user(value: &Value) -> User {
    User::new(parsed(value, "id"), Name::new(text(value, "name")).expect("a good name"))
}

fn role(value: &Value) -> Role {
    Role::parse(text(value, "role")).expect("a role")
}

fn presence(value: &Value) -> Presence {
    let all = [Presence::Online, Presence::Away, Presence::Offline];
    all.into_iter().find(|one| one.as_str() == text(value, "state")).expect("a state")
}

fn time(value: &Value) -> Timestamp {
    moment(value, "at")
}

fn moment(value: &Value, field: &str) -> Timestamp {
    text(value, field).parse().expect("a time")
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value, field: &str) -> T {
    text(value, field).parse().expect("its text form")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {value}"))
}

fn count(value: &Value, field: &str) -> usize {
    usize::try_from(number(value, field)).expect("a count")
}

fn flag(value: &Value, field: &str) -> bool {
    value[field].as_bool().unwrap_or_else(|| panic!("no flag {field} in {value}"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a Vec<Value> {
    value[field].as_array().unwrap_or_else(|| panic!("no list {field} in {value}"))
}
