//! What comes back: every byte of texts, titles and names, and every millisecond.

use super::support::*;
use super::{StoreHome, cases};
use crate::clock::Timestamp;
use crate::model::{ChangeKind, Name, RoomInfo, Title, User};
use crate::store::Write;

cases!(
    texts_come_back_byte_for_byte,
    the_longest_text_comes_back_whole,
    titles_and_names_come_back_byte_for_byte,
    times_keep_their_milliseconds,
    authors_are_named_whether_or_not_they_are_members,
);

const ODD: [&str; 30] = [
    " padded ",
    "space at the end ",
    "spaces at the end   ",
    "\ttab\t",
    "line at the end\n",
    "\n\nlines at the beginning",
    "\r\n.\r\n",
    "e\u{301}",
    "é",
    "\u{1112}\u{1161}\u{11ab}",
    "한",
    "\u{202e}עברית\u{202c} and العربية",
    "a\0b",
    "\0",
    "at the end\0",
    "\u{1}\u{7f}\u{80}\u{9f}",
    "👨‍👩‍👧‍👦",
    "👍🏽 🇩🇪 ❤️ ☃︎",
    "𝒌𠜎\u{10ffff}",
    "\u{feff}bom",
    "\u{ffff}\u{fffd}\u{fffe}",
    "\u{d7ff}\u{e000}",
    "\u{200b}nothing to be seen\u{ad}",
    "ß ss ẞ ŉ İ ı",
    "'; DROP TABLE messages; --",
    "\\0 \\n \\\\ \" ' `",
    "%s %d {} ${x} ? ?1 :a @b $c #{d}",
    "null",
    "0",
    "<b>&amp;</b>",
];

async fn texts_come_back_byte_for_byte(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let (one, two) = (open_room(store, &ann).await?, open_room(store, &ann).await?);
    // One by one and all at once, with and without a key.
    for (i, odd) in (0..).zip(ODD) {
        write(store, one.key, (i, 1), vec![message(&ann, odd)]).await?;
    }
    let all = ODD.iter().zip(0..).map(|(odd, i)| keyed(&ann, odd, &format!("{i}")));
    write(store, two.key, (0, 1), all.collect()).await?;
    for room in [one, two] {
        said(store, room.key, ODD).await?;
        let loaded = load(store, room.info.id).await?;
        same_all("the loaded texts", loaded.messages.iter().map(|m| m.text()), ODD)?;
    }
    Ok(())
}

async fn the_longest_text_comes_back_whole(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let ann = user("Ann");
    let room = open_room(store, &ann).await?;
    let long = ["👩".repeat(4_000), "\0".repeat(4_000), format!("{}.", " ".repeat(3_999)), {
        "x".repeat(101)
    }];
    for (i, text) in (0..).zip(&long) {
        write(store, room.key, (i, 1), vec![message(&ann, text)]).await?;
    }
    said(store, room.key, &long).await?;
    // Many of them in one commit.
    let many = || (0..64).map(|i| format!("{i:>4000}")).map(|text| text.replace(' ', "🍣"));
    write(store, room.key, (4, 1), many().map(|text| message(&ann, &text)).collect()).await?;
    said(store, room.key, long.iter().cloned().chain(many())).await
}

async fn titles_and_names_come_back_byte_for_byte(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let lines = ODD.into_iter().filter(|odd| Name::new(*odd).is_ok() && Title::new(*odd).is_ok());
    let (wide, long) = ("👩".repeat(32), "🍣".repeat(100));
    let mut rooms = Vec::new();
    for line in lines.chain([&*wide]) {
        let (ann, bob, cyd) = (user(line), user(line), user(line));
        let info = info(if line == wide { &long } else { line });
        let room = create(store, &info, &[owner(&ann)]).await?;
        write(store, room.key, (0, 1), vec![message(&cyd, "x"), join(&bob), invite(&cyd)]).await?;
        let loaded = load(store, info.id).await?;
        same("the room", &loaded.info, &info)?;
        let mut names: Vec<_> = loaded.members.iter().map(|member| &*member.user.name).collect();
        names.extend(loaded.invited.iter().map(|user| &*user.name));
        names.extend(loaded.messages.iter().map(|message| &*message.from.name));
        names.extend(loaded.changes.iter().map(|c| &*c.kind.membership().user.name));
        same_all("names", names, [line; 7])?;
        rooms.insert(0, info);
    }
    let listed = listed(store, "").await?;
    same_all("the listed rooms", listed.iter().map(|room| &room.info), &rooms)
}

async fn times_keep_their_milliseconds(home: &dyn StoreHome) -> Checked {
    // Of the first and the last day that anybody's clock will show, and beyond 32 bits of seconds.
    let times = [
        1,
        999,
        1_000,
        86_399_999,
        1_767_323_045_001,
        1_767_323_045_010,
        1_767_323_045_999,
        2_147_483_647_999,
        2_147_483_648_001,
        4_294_967_296_123,
        32_503_679_999_999,
    ];
    let times = times.map(|time| Timestamp::from_timestamp_millis(time).unwrap_or_default());
    let ann = user("Ann");
    let mut rooms = Vec::new();
    let store = home.open().await;
    for time in times {
        let info = RoomInfo { created: time, ..info("a room") };
        let room = create(&*store, &info, &[owner(&ann)]).await?;
        let kind = ChangeKind::Joined(member(&user("Bob")));
        let writes = vec![
            message_at(&ann, "x", time),
            Write::Change { kind, by: None, at: time, key: None },
            keyed_at(&ann, "y", "k", time),
        ];
        write(&*store, room.key, (0, 1), writes).await?;
        rooms.insert(0, room);
    }
    drop(store);
    let store = &*home.open().await;
    let listed = listed(store, "").await?;
    let listed = listed.iter().map(|room| room.info.created);
    same_all("when the listed rooms were opened", listed, times.into_iter().rev())?;
    for (room, time) in rooms.iter().rev().zip(times) {
        let loaded = load(store, room.info.id).await?;
        same("when a room was opened", loaded.info.created, time)?;
        same_all("when a change was", loaded.changes.iter().map(|c| c.at), [time, time])?;
        let read = messages(store, room.key).await?;
        same_all("when a message was", read.iter().map(|m| m.at), [time, time])?;
        let outcome = append(store, room.key, (2, 2), vec![keyed(&ann, "y", "k")]).await?;
        let first = crate::store::Outcome::Seen(crate::command::Sent { seq: 2, at: time });
        same("what a repeated key is told", outcome, done([first]))?;
    }
    Ok(())
}

async fn authors_are_named_whether_or_not_they_are_members(home: &dyn StoreHome) -> Checked {
    let store = &*home.open().await;
    let (ann, bob) = (user("Ann"), user("Bob"));
    let room = open_room(store, &ann).await?;
    write(store, room.key, (0, 1), vec![join(&bob), message(&bob, "bye"), leave(&bob)]).await?;
    // Somebody who never was a member may write too: whether is for the engine to say.
    let bot = user("O'Bot 👩‍💻");
    write(store, room.key, (1, 3), vec![message(&bot, "beep"), message(&bot, "boop")]).await?;
    let read = messages(store, room.key).await?;
    let authors: [&User; 3] = [&bob, &bot, &bot];
    same_all("the authors", read.iter().map(|message| &message.from), authors)?;
    let last = changes(store, room.key).await?.pop().map(|change| change.kind);
    same("who left", last, Some(ChangeKind::Left(member(&bob))))
}
