//! The examples that print something and end.

mod support;

use std::fs::OpenOptions;
use std::io::Write;

use support::run;

#[tokio::test]
async fn two_friends_hear_each_other() {
    let lines = run(env!("CARGO_BIN_EXE_two_friends"), &[]).await;
    for who in ["Ann", "Bob"] {
        let heard: Vec<_> = lines.iter().filter(|line| line.starts_with(who)).collect();
        let hello = format!("{who} hears #1: Ann: Hello, Bob!");
        let answer = format!("{who} hears #2: Bob: 안녕 Ann 👋.");
        assert_eq!(heard, [&hello, &answer]);
    }
}

#[tokio::test]
async fn the_bot_answers_once() {
    let lines = run(env!("CARGO_BIN_EXE_echo_bot"), &[]).await;
    let talk = (1..=20).map(|number| format!("#{number} Ann: small talk {number}"));
    let said: Vec<_> = lines.iter().filter(|line| line.starts_with('#')).cloned().collect();
    let asked = [
        "#21 Ann: !echo Are you there?",
        "#22 Echo: Are you there?",
        "#23 Ann: !echo And now?",
        "#24 Echo: And now?",
    ];
    assert_eq!(said, talk.chain(asked.map(str::to_owned)).collect::<Vec<_>>());
    // It was behind, and it did come to its end.
    assert!(lines.iter().any(|line| line == "(the bot is behind, and catches up)"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "(the bot ends at 22.2)"), "{lines:?}");
}

#[tokio::test]
async fn the_companys_rules_hold_beside_the_roles() {
    let lines = run(env!("CARGO_BIN_EXE_own_users"), &[]).await;
    let expected = [
        "# Rules of the company",
        "Ivy opens a room: forbidden (only managers open rooms)",
        "A stranger opens a room: forbidden (you do not work here)",
        "Carl joins Sales: forbidden (this room is another department's)",
        "Ivy writes: forbidden (interns only read here)",
        "Ivy writes, now that interns may: done",
        "# Roles in a room",
        "Sue kicks Ivy: forbidden (only the owner and moderators of the room may do this)",
        "Mia makes Sue a moderator: done",
        "Sue mutes Ivy: done",
        "Ivy writes, muted: muted (you may read this room but not write in it)",
        "Sue kicks Ivy: done",
        "Ivy writes, kicked: not_a_member (you are not a member of this room; join it first)",
        "Sue bans Ivy: done",
        "Ivy joins, banned: banned (you are banned from this room)",
        "Sue bans Max: forbidden (nobody shows a manager the door)",
        "Mia makes Sue a member again: done",
        "Sue lifts the ban: forbidden (only the owner and moderators of the room may do this)",
        "Mia lifts the ban: done",
        "# People by their ids",
        "Mia invites Carl: done",
        "Mia invites somebody who does not work here: no_such_user (nobody here knows this user)",
        "Carl joins: done",
        "# Who wants nothing to do with whom",
        "Carl writes to Sue: done",
        "Carl writes to Sue, blocked: no_such_user (nobody here knows this user)",
        "Carl opens another room with her: no_such_user (nobody here knows this user)",
        "Carl invites Sue: no_such_user (nobody here knows this user)",
        "Sue writes to Carl: forbidden (you have blocked them; end that first)",
        "# The end of it",
        "Sue writes, suspended: forbidden (you are suspended; talk to your manager)",
        "Mia writes: done",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_log_survives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a plain path");
    for before in 0..3 {
        let lines = run(env!("CARGO_BIN_EXE_own_store"), &[path]).await;
        let expected = [
            &format!("{path} has {before} rooms; run it again to see one more"),
            "sent again with its key, the first message is #1 still",
            "#1 Ann: Dear diary,",
            "#2 Ann: it keeps 한글 and 👩‍🚀.",
            "#3 Ann: Good night.",
        ];
        assert_eq!(lines, expected);
        // Somebody dies while writing a line.
        let log = OpenOptions::new().append(true).open(folder.path().join("chat.log"));
        log.expect("the log").write_all(b"{\"Delete\":").expect("half a line");
    }
}
