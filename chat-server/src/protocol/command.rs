//! What clients say, from JSON to the engine's words.

use chat_core::{
    After, BanQuery, Command, Draft, HistoryAt, HistoryQuery, Kind, Mark, MarkerQuery, MemberQuery,
    Moderation, Name, NewRoom, Presence, ReaderQuery, Role, RoomCommand, SettingsChange, Text,
    ThreadPlace, ThreadQuery, Timestamp, UserId, WhoInvites, limits,
};
use serde::Deserialize;

use crate::protocol::Problem;
use crate::protocol::fields::{Fields, GREATEST, checked, missing, parse_id};

/// One frame from a client.
#[derive(Debug)]
pub struct Asked {
    /// What the client calls it.
    pub id: u64,
    /// What it asks.
    pub request: Request,
}

/// What a frame asks.
#[derive(Debug)]
pub enum Request {
    /// To be known by this token. Transports answer it, with [`reply_auth`](super::reply_auth).
    Auth(String),
    /// Something of the engine.
    Command(Command),
}

/// Why a frame is not carried out, and its id if that could be read.
#[derive(Debug)]
pub struct Refused {
    /// The frame's id.
    pub id: Option<u64>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

/// Reads a frame.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &[u8]) -> Result<Asked, Refused> {
    let refuse = |id| move |problem| Refused { id, problem: Box::new(problem) };
    let mut fields = Fields::from_json(text).map_err(refuse(None))?;
    let id = fields.number("id").and_then(|id| id.ok_or_else(|| missing("id")));
    let id = id.map_err(refuse(None))?;
    let request = request(fields).map_err(refuse(Some(id)))?;
    Ok(Asked { id, request })
}

/// The id of a frame that is not to be carried out, if it is one that could be: looks for nothing
/// else, and keeps nothing.
#[must_use]
pub fn read_id(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: u64,
    }
    // Serde would take a list of the fields' values for the same.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let only: OnlyId = serde_json::from_slice(text).ok()?;
    Some(only.id).filter(|id| *id <= GREATEST)
}

fn request(mut fields: Fields) -> Result<Request, Problem> {
    let name = fields.text("do")?.ok_or_else(|| missing("do"))?;
    let command = match name.as_str() {
        "auth" => {
            let token = fields.text("token")?.ok_or_else(|| missing("token"))?;
            fields.finish()?;
            return Ok(Request::Auth(token));
        }
        "open" => Command::Open(new_room(&mut fields)?),
        "resume" => Command::Resume(
            fields
                .objects("rooms")?
                .ok_or_else(|| missing("rooms"))?
                .into_iter()
                .map(|mut fields| {
                    let room = fields.room()?;
                    let after = fields.cursor("after")?.ok_or_else(|| missing("after"))?;
                    fields.finish().map(|()| (room, after))
                })
                .collect::<Result<_, _>>()?,
        ),
        "presence" => Command::Presence(presence(&mut fields)?),
        "ping" => Command::Ping,
        name => match room_command(name, &mut fields) {
            Some(command) => {
                let (room, command) = (fields.room()?, command?);
                let key = fields.key()?;
                match key {
                    Some(key) => Command::Room(room, command.once(key)),
                    None => Command::Room(room, command),
                }
            }
            None => return Err(Problem::unknown_command(name)),
        },
    };
    fields.finish()?;
    Ok(Request::Command(command))
}

fn room_command(name: &str, fields: &mut Fields) -> Option<Result<RoomCommand, Problem>> {
    let command = match name {
        "join" => join(fields),
        "leave" => Ok(RoomCommand::Leave),
        "invite" => fields.user().map(RoomCommand::InviteUser),
        "role" => fields.user().and_then(|user| {
            let role = role(fields)?.ok_or_else(|| missing("role"))?;
            Ok(RoomCommand::Moderate(Moderation::Role { user, role }))
        }),
        "transfer" => upon(fields, |user, _| Ok(Moderation::Transfer { user })),
        "kick" => upon(fields, |user, _| Ok(Moderation::Kick { user })),
        "ban" => upon(fields, |user, fields| Ok(Moderation::Ban { user, until: until(fields)? })),
        "unban" => upon(fields, |user, _| Ok(Moderation::Unban { user })),
        "mute" => upon(fields, |user, fields| Ok(Moderation::Mute { user, until: until(fields)? })),
        "unmute" => upon(fields, |user, _| Ok(Moderation::Unmute { user })),
        "configure" => settings_change(fields)
            .map(|change| RoomCommand::Moderate(Moderation::Configure(change))),
        "bans" => ban_query(fields).map(RoomCommand::Bans),
        "send" => draft(fields).map(RoomCommand::Send),
        "edit" => seq(fields).and_then(|seq| Ok(RoomCommand::edit(seq, new_text(fields)?))),
        "delete" => seq(fields).map(|seq| RoomCommand::Delete { seq }),
        "mark" => mark(fields, true),
        "unmark" => mark(fields, false),
        "markers" => {
            seq(fields).and_then(|seq| marker_query(fields, seq)).map(RoomCommand::Markers)
        }
        "read" => seq(fields).map(|seq| RoomCommand::Read { seq }),
        "readers" => {
            seq(fields).and_then(|seq| reader_query(fields, seq)).map(RoomCommand::Readers)
        }
        "standing" => Ok(RoomCommand::Standing),
        "revisions" => seq(fields).map(|seq| RoomCommand::Revisions { seq }),
        "thread" => seq(fields).map(|seq| RoomCommand::Thread { seq }),
        "threads" => thread_query(fields).map(RoomCommand::Threads),
        "history" => history_query(fields).map(RoomCommand::History),
        "members" => member_query(fields).map(RoomCommand::Members),
        "typing" => {
            let on = fields.flag("on").and_then(|on| on.ok_or_else(|| missing("on")));
            on.map(RoomCommand::Typing)
        }
        _ => return None,
    };
    Some(command)
}

fn join(fields: &mut Fields) -> Result<RoomCommand, Problem> {
    let after = fields.cursor("after")?.map_or(After::Nothing, After::Cursor);
    Ok(RoomCommand::Join { after, limit: fields.limit()? })
}

fn presence(fields: &mut Fields) -> Result<Presence, Problem> {
    let state = fields.text("state")?.ok_or_else(|| missing("state"))?;
    let known = [Presence::Online, Presence::Away];
    known
        .into_iter()
        .find(|presence| presence.as_str() == state)
        .ok_or_else(|| Problem::bad_request("`state` must be \"online\" or \"away\"").at("state"))
}

/// A room that is to be opened: `title`, `kind`, `ephemeral`; or `kind` and `with` of a direct one; and
/// `key`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn new_room(fields: &mut Fields) -> Result<NewRoom, Problem> {
    let kind = fields.text("kind")?.map_or(Some(Kind::Open), |kind| Kind::parse(&kind));
    let open = match kind {
        Some(Kind::Open) => NewRoom::open,
        Some(Kind::Private) => NewRoom::private,
        Some(Kind::Direct) => {
            let room = NewRoom::direct_with(parse_id(&fields.needed_text("with")?, "with")?);
            return keyed_room(room, fields);
        }
        _ => {
            let message = "the kinds of room are `open`, `private` and `direct`";
            return Err(Problem::bad_request(message).at("kind"));
        }
    };
    let ephemeral = fields.flag("ephemeral")?.unwrap_or(false);
    let room = checked(fields, "title", open)?;
    keyed_room(if ephemeral { room.ephemeral() } else { room }, fields)
}

fn keyed_room(room: NewRoom, fields: &mut Fields) -> Result<NewRoom, Problem> {
    Ok(match fields.key()? {
        Some(key) => room.key(key),
        None => room,
    })
}

/// A message that is to be written: `text`, `reply_to`, `files`, `key`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn draft(fields: &mut Fields) -> Result<Draft, Problem> {
    let (key, reply_to) = (fields.key()?, fields.number("reply_to")?);
    let files = fields.ids("files")?;
    let mut draft = match files {
        Some(files) if !fields.has("text") => Draft::of_files(files)?,
        Some(files) => checked(fields, "text", Draft::text)?.files(files)?,
        None => checked(fields, "text", Draft::text)?,
    };
    if let Some(seq) = reply_to {
        draft = draft.reply_to(seq);
    }
    Ok(Draft { key, ..draft })
}

/// What a message is to say from now on: `text`.
///
/// # Errors
/// Whatever is wrong with it.
pub fn new_text(fields: &mut Fields) -> Result<Text, Problem> {
    checked(fields, "text", Text::new)
}

fn mark(fields: &mut Fields, on: bool) -> Result<RoomCommand, Problem> {
    Ok(RoomCommand::Mark { seq: seq(fields)?, mark: checked(fields, "mark", Mark::new)?, on })
}

/// Which page of those who have marked a message: `mark`, `after`, `limit`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn marker_query(fields: &mut Fields, seq: u64) -> Result<MarkerQuery, Problem> {
    let mark = checked(fields, "mark", Mark::new)?;
    let after = fields.text("after")?.map(|text| parse_id(&text, "after")).transpose()?;
    Ok(MarkerQuery { seq, mark, after, limit: fields.limit()? })
}

/// Which page of a room's threads: `after`, `limit`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn thread_query(fields: &mut Fields) -> Result<ThreadQuery, Problem> {
    let place = |text: String| {
        let (at, seq) = text.split_once('.')?;
        let at = Timestamp::from_timestamp_millis(at.parse().ok()?)?;
        Some(ThreadPlace { at, seq: seq.parse().ok()? })
    };
    let after = fields.text("after")?.map(|text| {
        let message = "`after` must be the `next` of the page before";
        place(text).ok_or_else(|| Problem::bad_request(message).at("after"))
    });
    Ok(ThreadQuery { after: after.transpose()?, limit: fields.limit()? })
}

/// Which page of those who have read a message: `after`, `limit`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn reader_query(fields: &mut Fields, seq: u64) -> Result<ReaderQuery, Problem> {
    let after = fields.text("after")?.map(|text| parse_id(&text, "after")).transpose()?;
    Ok(ReaderQuery { seq, after, limit: fields.limit()? })
}

/// Which message: `seq`.
///
/// # Errors
/// It is missing, or no whole number.
pub fn seq(fields: &mut Fields) -> Result<u64, Problem> {
    fields.number("seq")?.ok_or_else(|| missing("seq"))
}

/// Which page of messages: `before`, `after` or `around`, and `limit`.
///
/// # Errors
/// Whatever is wrong with them, and more than one of the first three.
pub fn history_query(fields: &mut Fields) -> Result<HistoryQuery, Problem> {
    let places = ["before", "after", "around"];
    let given: Vec<_> = places.into_iter().filter(|place| fields.has(place)).collect();
    if let [_, second, ..] = given[..] {
        let message = "give one of `before`, `after` and `around`, or none for the latest";
        return Err(Problem::bad_request(message).at(second));
    }
    let before = fields.number("before")?.map(HistoryAt::Before);
    let after = fields.number("after")?.map(HistoryAt::After);
    let around = fields.number("around")?.map(HistoryAt::Around);
    let at = before.or(after).or(around).unwrap_or(HistoryAt::End);
    Ok(HistoryQuery { at, limit: fields.limit()? })
}

/// Which page of members: `after`, `limit`, `online`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn member_query(fields: &mut Fields) -> Result<MemberQuery, Problem> {
    let after = fields.text("after")?.map(|text| parse_id(&text, "after")).transpose()?;
    let online = fields.flag("online")?.unwrap_or(false);
    Ok(MemberQuery { after, limit: fields.limit()?, online })
}

/// Which page of bans: `after`, `limit`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn ban_query(fields: &mut Fields) -> Result<BanQuery, Problem> {
    let after = fields.text("after")?.map(|text| parse_id(&text, "after")).transpose()?;
    Ok(BanQuery { after, limit: fields.limit()? })
}

/// Until when somebody is banned: `until`.
///
/// # Errors
/// Whatever is wrong with it.
pub fn until(fields: &mut Fields) -> Result<Option<Timestamp>, Problem> {
    fields.time("until")
}

/// Which settings of a room are to be others: `invite`, `slow_s`, `read_only`.
///
/// # Errors
/// Whatever is wrong with them.
pub fn settings_change(fields: &mut Fields) -> Result<SettingsChange, Problem> {
    let who = |text: String| {
        let message = "`invite` must be \"members\" or \"moderators\"";
        WhoInvites::parse(&text).ok_or_else(|| Problem::bad_request(message).at("invite"))
    };
    let invite = fields.text("invite")?.map(who).transpose()?;
    let slow = |seconds: u64| {
        u32::try_from(seconds).map_err(|_| {
            let most = limits::SLOW_S;
            Problem::bad_request(format!("`slow_s` is too much; at most {most} are allowed"))
                .at("slow_s")
        })
    };
    let slow_s = fields.number("slow_s")?.map(slow).transpose()?;
    Ok(SettingsChange { invite, slow_s, read_only: fields.flag("read_only")? })
}

/// What is to become of a member: one of `role` and `muted`, the latter with `muted_until` if it is to
/// end by itself.
///
/// # Errors
/// Whatever is wrong with them.
pub fn member_change(fields: &mut Fields, user: UserId) -> Result<Moderation, Problem> {
    let (role, muted) = (role(fields)?, fields.flag("muted")?);
    let until = fields.time("muted_until")?;
    match (role, muted) {
        (Some(Role::Owner), None) => Ok(Moderation::Transfer { user }),
        (Some(role), None) => Ok(Moderation::Role { user, role }),
        (None, Some(true)) => return Ok(Moderation::Mute { user, until }),
        (None, Some(false)) => Ok(Moderation::Unmute { user }),
        _ => {
            let message = "give one of `role` and `muted`, each in a call of its own";
            return Err(Problem::bad_request(message).at("role"));
        }
    }
    .and_then(|act| match until {
        None => Ok(act),
        Some(_) => {
            let message = "`muted_until` goes with `\"muted\":true` alone";
            Err(Problem::bad_request(message).at("muted_until"))
        }
    })
}

fn role(fields: &mut Fields) -> Result<Option<Role>, Problem> {
    let role = |text: String| {
        let message = "`role` must be \"owner\", \"moderator\" or \"member\"";
        Role::parse(&text).ok_or_else(|| Problem::bad_request(message).at("role"))
    };
    fields.text("role")?.map(role).transpose()
}

/// An act upon the user that is named.
fn upon(
    fields: &mut Fields,
    act: impl FnOnce(UserId, &mut Fields) -> Result<Moderation, Problem>,
) -> Result<RoomCommand, Problem> {
    let user = fields.user()?;
    act(user, fields).map(RoomCommand::Moderate)
}

/// Who wants to be a guest: `nickname`.
///
/// # Errors
/// Whatever is wrong with it.
pub fn nickname(fields: &mut Fields) -> Result<Name, Problem> {
    checked(fields, "nickname", Name::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<u64>, &'static str, Option<String>) {
        let Refused { id, problem } = parse(text.as_bytes()).unwrap_err();
        (id, problem.code, problem.field.map(|field| field.into_owned()))
    }

    const ROOM: &str = "00000000-0000-7000-8000-000000000000";

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        for frame in [
            r#"{"id":7,"do":"ping"}"#,
            r#" { "do" : "send", "text" : "\"id\":8", "id" : 7 } "#,
            r#"{"do":{"id":8},"more":[{"id":9}],"id":7}"#,
        ] {
            assert_eq!(read_id(frame.as_bytes()), Some(7), "{frame}");
        }
        assert_eq!(read_id(br#"{"id":9007199254740991}"#), Some(9_007_199_254_740_991));
        for frame in ["", "{", "{}", "[7]", "7", r#"{"id":"7"}"#, r#"{"id":7"#, r#"{"x":{"id":7}}"#]
        {
            assert_eq!(read_id(frame.as_bytes()), None, "{frame}");
        }
        for id in ["-1", "1.5", "\"1\"", "null", "9007199254740992", "1e300"] {
            assert_eq!(read_id(format!(r#"{{"id":{id},"do":"ping"}}"#).as_bytes()), None, "{id}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(refused("{"), (None, "bad_json", None));
        assert_eq!(refused("[]"), (None, "bad_request", None));
        assert_eq!(refused(r#"{"do":"ping"}"#), (None, "bad_request", field("id")));
        for id in ["-1", "1.5", "\"1\"", "null", "9007199254740992", "1e300"] {
            let frame = format!(r#"{{"id":{id},"do":"ping"}}"#);
            assert_eq!(refused(&frame), (None, "bad_request", field("id")), "{id}");
        }
        assert_eq!(refused(r#"{"id":1}"#), (Some(1), "bad_request", field("do")));
        assert_eq!(refused(r#"{"id":1,"do":"x"}"#), (Some(1), "unknown_command", field("do")));
        assert_eq!(refused(r#"{"id":1,"do":"ping","a":1}"#), (Some(1), "bad_request", field("a")));
        let cases = [
            (r#""do":"join""#, "room"),
            (r#""do":"join","room":"$","after":"x""#, "after"),
            (r#""do":"join","room":"$","limit":201"#, "limit"),
            (r#""do":"history","room":"$","before":1,"after":2"#, "after"),
            (r#""do":"history","room":"$","before":-1"#, "before"),
            (r#""do":"members","room":"$","after":"x""#, "after"),
            (r#""do":"typing","room":"$""#, "on"),
            (r#""do":"presence","state":"offline""#, "state"),
            (r#""do":"open","title":"a","kind":"secret""#, "kind"),
            (r#""do":"resume","rooms":[1]"#, "rooms"),
            (r#""do":"resume","rooms":[{"room":"$"}]"#, "after"),
            (r#""do":"send","room":"$","text":"a","key":7"#, "key"),
            (r#""do":"send","room":"$","text":"a","reply_to":"1""#, "reply_to"),
            (r#""do":"send","room":"$","text":"a","files":"$""#, "files"),
            (r#""do":"send","room":"$","text":"a","files":["x"]"#, "files"),
            (r#""do":"send","room":"$","text":"a","files":["$","$"]"#, "files"),
            (r#""do":"send","room":"$","reply_to":1"#, "text"),
            (r#""do":"edit","room":"$","text":"a""#, "seq"),
            (r#""do":"edit","room":"$","seq":1"#, "text"),
            (r#""do":"edit","room":"$","seq":1.5,"text":"a""#, "seq"),
            (r#""do":"delete","room":"$""#, "seq"),
            (r#""do":"delete","room":"$","seq":-1"#, "seq"),
            (r#""do":"revisions","room":"$","seq":true"#, "seq"),
            (r#""do":"mark","room":"$","mark":"x""#, "seq"),
            (r#""do":"mark","room":"$","seq":1"#, "mark"),
            (r#""do":"unmark","room":"$","seq":1,"mark":7"#, "mark"),
            (r#""do":"markers","room":"$","seq":1"#, "mark"),
            (r#""do":"markers","room":"$","seq":1,"mark":"x","after":"x""#, "after"),
            (r#""do":"open","kind":"direct""#, "with"),
            (r#""do":"invite","room":"$""#, "user"),
            (r#""do":"invite","room":"$","user":"Bob""#, "user"),
            (r#""do":"role","room":"$","user":"$""#, "role"),
            (r#""do":"role","room":"$","user":"$","role":"king""#, "role"),
            (r#""do":"transfer","room":"$""#, "user"),
            (r#""do":"kick","room":"$","user":5"#, "user"),
            (r#""do":"kick","room":"$","user":"$","until":"2100-01-01T00:00:00Z""#, "until"),
            (r#""do":"ban","room":"$","user":"$","until":"tomorrow""#, "until"),
            (r#""do":"ban","room":"$","user":"$","until":5"#, "until"),
            (r#""do":"mute","room":"$","user":"$","until":null"#, "until"),
            (r#""do":"unmute","room":"$","user":"$","until":"2100-01-01T00:00:00Z""#, "until"),
            (r#""do":"configure","room":"$","invite":"nobody""#, "invite"),
            (r#""do":"configure","room":"$","slow_s":-1"#, "slow_s"),
            (r#""do":"configure","room":"$","slow_s":4294967296"#, "slow_s"),
            (r#""do":"configure","room":"$","read_only":"yes""#, "read_only"),
            (r#""do":"bans","room":"$","after":"x""#, "after"),
        ];
        for (frame, name) in cases {
            let frame = format!("{{\"id\":1,{}}}", frame.replace('$', ROOM));
            assert_eq!(refused(&frame), (Some(1), "bad_request", field(name)), "{frame}");
        }
    }

    #[test]
    fn survives_ten_thousand_brackets() {
        let deep = format!(r#"{{"id":1,"do":{}"#, "[".repeat(10_000));
        assert_eq!(refused(&deep).1, "bad_json");
    }

    #[test]
    fn a_text_of_escapes_fits_a_frame() {
        let text = r"\ud83d\ude00".repeat(limits::TEXT_CHARS);
        let frame = format!(r#"{{"id":1,"do":"send","room":"{ROOM}","text":"{text}"}}"#);
        assert!(frame.len() <= 65_536, "{}", frame.len());
        assert!(parse(frame.as_bytes()).is_ok());
    }
}
