//! Text arrives byte for byte, whatever it is.

use crate::command::{After, Command, HistoryAt, HistoryQuery, Reply, RoomCommand};
use crate::model::{Cursor, Draft, Name, NewRoom, User};
use crate::testkit::transport_suite::stage::{Outcome, Stage, given, same};
use crate::{RoomView, UserId, limits};

super::cases![messages_arrive_byte_for_byte, names_titles_and_keys_arrive_byte_for_byte,];

/// In one line, and short enough for a name: easily joined, composed, turned round, trimmed or
/// escaped.
const LINES: [&str; 14] = [
    "👩‍👩‍👧‍👦 👋🏽 🇰🇷 ❤️ ❤",
    "안녕하세요",
    "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
    "caf\u{e9} cafe\u{301}",
    "a\u{323}\u{307} a\u{307}\u{323}",
    "שלום عليكم",
    "\u{202e}evil\u{202c} \u{2066}x\u{2069} \u{200f}",
    "\u{feff}byte order mark",
    " \u{a0}padded\u{3000} ",
    "𝒳 𠜎 \u{10ffff} \u{e000}",
    "ﬁ ß İ ı K Å",
    "zero\u{200b}width\u{200d}joiner\u{ad}",
    r#"<b>&amp; "\n" \u0041 %00 ' ;"#,
    "\u{fffd}\u{fffe}\u{2028}\u{2029}",
];

/// What only messages may contain.
const WILD: [&str; 4] = ["a\0b", "\0", "\r\n\ttabs, lines\n\u{b}\u{1b}[31m", "\u{7f}\u{85}\u{1}"];

fn texts() -> Vec<String> {
    let mut texts: Vec<_> = LINES.iter().chain(&WILD).map(ToString::to_string).collect();
    for filler in ["x", "\0", "\u{202e}", "가", "👩"] {
        texts.push(filler.repeat(limits::TEXT_CHARS));
    }
    texts
}

async fn messages_arrive_byte_for_byte(stage: &Stage<'_>) -> Outcome {
    let (room, mut ann) = stage.room("Ann").await?;
    let mut bob = stage.joined("Bob", room).await?;
    let texts = texts();
    for text in &texts {
        ann.send(room, text).await?;
        for guest in [&mut ann, &mut bob] {
            same("the text that is heard", guest.message().await?.text(), text)?;
        }
    }
    let query = HistoryQuery { at: HistoryAt::Before(1_000), limit: 100 };
    let page = bob.history(room, query).await?;
    let mut again = stage.connect(&bob.user).await;
    let joined = again.join(room, After::Cursor(Cursor::default())).await?;
    for messages in [page.messages, joined.messages] {
        let read: Vec<_> = messages.iter().map(|message| message.text().to_owned()).collect();
        same("the texts of an answer", read, texts.clone())?;
    }
    Ok(())
}

async fn names_titles_and_keys_arrive_byte_for_byte(stage: &Stage<'_>) -> Outcome {
    let mut names: Vec<_> = LINES.iter().map(ToString::to_string).collect();
    names.push("👩".repeat(limits::NAME_CHARS));
    let (room, mut ann) = stage.room("Ann").await?;
    for name in names {
        let user = User::new(UserId::new(), given(Name::new(name.as_str()))?);
        let mut guest = stage.connect(&user).await;
        let joined = guest.join(room, After::Nothing).await?;
        same("her own name", &joined.me.user, &user)?;
        guest.send(room, "it is me").await?;
        same("the name of whoever wrote", &ann.message().await?.from, &user)?;
        let listed = ann.members(room).await?.members;
        let listed = listed.iter().any(|member| member.membership.user == user);
        same("whether the list of members has her name", listed, true)?;
    }
    let mut titles: Vec<_> = LINES.iter().map(ToString::to_string).collect();
    titles.push("👩".repeat(limits::TITLE_CHARS));
    for title in titles {
        let open = Command::Open(given(NewRoom::open(title.as_str()))?);
        let Reply::Room(RoomView { info, .. }) = ann.ok(open).await? else { continue };
        same("the title of the new room", info.title.as_deref(), Some(title.as_str()))?;
        let joined = ann.join(info.id, After::Nothing).await?;
        same("the title of the room", joined.room.info.title.as_deref(), Some(title.as_str()))?;
    }
    let mut keys: Vec<_> = LINES.iter().chain(&WILD).map(ToString::to_string).collect();
    keys.push("👩".repeat(limits::KEY_CHARS));
    let mut seqs = Vec::new();
    // Each key is another one, and each is known again.
    for key in keys.iter().chain(&keys) {
        let draft = given(given(Draft::text("keyed"))?.key(key.as_str()))?;
        let reply = ann.ok(Command::Room(room, RoomCommand::Send(draft))).await?;
        seqs.push(given(reply.sent())?.seq);
    }
    let (first, second) = seqs.split_at(keys.len());
    same("the numbers of repeated messages", second, first)?;
    let mut different = first.to_vec();
    different.dedup();
    same("messages with different keys", different.len(), keys.len())
}
