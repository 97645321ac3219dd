//! What becomes of messages after they have been written: they are answered, edited, deleted; whoever is
//! mentioned in them hears of it; and whoever was away finds them as they are.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_core::testkit::{FakeClock, Faults, FaultyStore, Probe};
use chat_core::{
    After, ChangeKind, Code, Cursor, Directory, Draft, Edit, Engine, Event, FileId, History,
    HistoryAt, HistoryQuery, Limits, MemoryStore, Message, Moderation, NewRoom, Result, Role,
    RoomId, Session, SettingsChange, Text, User, UserId,
};
use support::{Bench, draft, engine, engine_with, faulty, keyed, until, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn text(text: &str) -> Text {
    Text::new(text).expect("a good text")
}

async fn edit(session: &Session, room: RoomId, seq: u64, said: &str) -> Option<Code> {
    session.edit(room, seq, text(said)).await.err().map(|error| error.code())
}

async fn delete(session: &Session, room: RoomId, seq: u64) -> Option<Code> {
    session.delete(room, seq).await.err().map(|error| error.code())
}

async fn all(session: &Session, room: RoomId) -> History {
    session.history(room, HistoryQuery { at: HistoryAt::End, limit: 100 }).await.expect("a page")
}

/// What is said in a room, with a `*` behind what was edited, and `-` for what was deleted.
async fn said(session: &Session, room: RoomId) -> Vec<String> {
    all(session, room).await.messages.iter().map(|message| shown(message)).collect()
}

fn shown(message: &Message) -> String {
    match (message.deleted, message.edited) {
        (true, _) => "-".into(),
        (false, Some(_)) => format!("{}*", message.text()),
        (false, None) => message.text().into(),
    }
}

/// The next edit or deletion that somebody hears of: its message, what that says, and where the room stands.
async fn change(probe: &mut Probe) -> (u64, Option<String>, Cursor) {
    probe
        .find(|event| match event {
            Event::Change { change, .. } => match &change.kind {
                ChangeKind::Edited(_, seq, edit) => {
                    let said = edit.as_ref().map(|edit| edit.text.to_string());
                    Some((*seq, said, change.cursor))
                }
                ChangeKind::Deleted(_, seq) => Some((*seq, None, change.cursor)),
                _ => None,
            },
            _ => None,
        })
        .await
}

#[tokio::test]
async fn an_author_edits_and_deletes_and_everybody_sees_it() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    let mut bob = bench.joined("Bob", room).await;
    for said in ["frist", "second"] {
        bob.session.send(room, draft(said)).await.expect("sent");
    }
    assert_eq!(edit(&bob.session, room, 1, "first").await, None);
    for probe in [&mut ann, &mut bob] {
        assert_eq!(change(probe).await, (1, Some("first".into()), Cursor::new(2, 3)));
    }
    assert_eq!(said(&ann.session, room).await, ["first*", "second"]);
    assert_eq!(edit(&bob.session, room, 1, "first").await, None, "it is so already");
    assert_eq!(delete(&bob.session, room, 2).await, None);
    assert_eq!(delete(&bob.session, room, 2).await, None, "it is so already");
    for probe in [&mut ann, &mut bob] {
        assert_eq!(change(probe).await, (2, None, Cursor::new(2, 4)));
    }
    assert_eq!(said(&ann.session, room).await, ["first*", "-"]);
    assert_eq!(bob.session.send(room, draft("third")).await.expect("sent").seq, 3);
    assert_eq!(edit(&bob.session, room, 2, "back").await, Some(Code::MessageDeleted));
    let before = bob.session.revisions(room, 1).await.expect("what it said");
    assert_eq!(before.iter().map(|one| one.text.as_deref()).collect::<Vec<_>>(), [Some("frist")]);
    assert!(bob.session.revisions(room, 2).await.expect("nothing").is_empty());
}

#[tokio::test]
async fn what_is_not_there_or_not_ones_own_stays() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let (bob, cyd) = (bench.joined("Bob", room).await, bench.joined("Cyd", room).await);
    let eve = bench.connect("Eve");
    bob.session.send(room, draft("Bob's")).await.expect("sent");
    for seq in [0, 2, u64::MAX] {
        assert_eq!(edit(&bob.session, room, seq, "no").await, Some(Code::NoSuchMessage), "{seq}");
        assert_eq!(delete(&ann.session, room, seq).await, Some(Code::NoSuchMessage), "{seq}");
        let before = bob.session.revisions(room, seq).await.expect_err("none");
        assert_eq!(before.code(), Code::NoSuchMessage, "{seq}");
        let reply = bob.session.send(room, draft("what?").reply_to(seq)).await.expect_err("none");
        assert_eq!(reply.code(), Code::NoSuchMessage, "{seq}");
    }
    for (session, edited, deleted) in [
        (&ann.session, Some(Code::Forbidden), None),
        (&cyd.session, Some(Code::Forbidden), Some(Code::Forbidden)),
        (&eve.session, Some(Code::NotAMember), Some(Code::NotAMember)),
    ] {
        assert_eq!(edit(session, room, 1, "no").await, edited);
        if deleted.is_some() {
            assert_eq!(delete(session, room, 1).await, deleted);
        }
    }
    for session in [&cyd.session, &eve.session] {
        assert!(session.revisions(room, 1).await.is_err());
    }
    assert_eq!(said(&bob.session, room).await, ["Bob's"]);
}

#[tokio::test]
async fn who_moderates_deletes_what_others_said_whose_role_is_below() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let (mia, bob) = (bench.joined("Mia", room).await, bench.joined("Bob", room).await);
    let id = |probe: &Probe| probe.session.user().id;
    let role = Moderation::Role { user: id(&mia), role: Role::Moderator };
    ann.session.moderate(room, role).await.expect("a moderator");
    for probe in [&ann, &mia, &bob] {
        probe.session.send(room, draft("mine")).await.expect("sent");
    }
    bench.clock.advance(3 * DAY);
    assert_eq!(delete(&mia.session, room, 1).await, Some(Code::Forbidden), "the owner's");
    assert_eq!(delete(&bob.session, room, 3).await, Some(Code::TooLate), "its own, too late");
    assert_eq!(edit(&mia.session, room, 2, "late").await, Some(Code::TooLate), "an edit, too");
    assert_eq!(delete(&mia.session, room, 3).await, None, "of any age");
    assert_eq!(delete(&ann.session, room, 2).await, None);
    assert_eq!(said(&bob.session, room).await, ["mine", "-", "-"]);
    // What somebody said who has left is a member's.
    bob.session.send(room, draft("bye")).await.expect("sent");
    bob.session.leave(room).await.expect("gone");
    assert_eq!(delete(&mia.session, room, 4).await, None);
    let changes = mia.session.join(room, After::Cursor(Cursor::new(4, 0))).await.expect("in");
    let by = changes.changes.last().and_then(|change| change.by.as_ref().map(|by| by.id));
    assert_eq!(by, Some(id(&mia)));
}

#[tokio::test]
async fn in_a_direct_room_nobody_deletes_what_the_other_said() {
    let bench = engine();
    let bob = bench.connect("Bob");
    let (room, ann) = bench.room_of("Ann", NewRoom::direct(bob.session.user().clone())).await;
    ann.session.send(room, draft("Ann's")).await.expect("sent");
    bob.session.send(room, draft("Bob's")).await.expect("sent");
    assert_eq!(delete(&ann.session, room, 2).await, Some(Code::Forbidden));
    assert_eq!(delete(&bob.session, room, 1).await, Some(Code::Forbidden));
    assert!(ann.session.revisions(room, 2).await.is_err());
    assert_eq!(delete(&bob.session, room, 2).await, None);
}

#[tokio::test]
async fn who_may_not_write_may_not_edit_but_delete() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for said in ["one", "two", "three"] {
        bob.session.send(room, draft(said)).await.expect("sent");
    }
    let user = bob.session.user().id;
    ann.session.moderate(room, Moderation::Mute { user, until: None }).await.expect("muted");
    assert_eq!(edit(&bob.session, room, 1, "no").await, Some(Code::Muted));
    assert_eq!(delete(&bob.session, room, 1).await, None);
    ann.session.moderate(room, Moderation::Unmute { user }).await.expect("not muted");
    let read_only = SettingsChange { read_only: Some(true), ..SettingsChange::default() };
    ann.session.moderate(room, Moderation::Configure(read_only)).await.expect("read-only");
    assert_eq!(edit(&bob.session, room, 2, "no").await, Some(Code::ReadOnly));
    assert_eq!(delete(&bob.session, room, 2).await, None);
    ann.session.moderate(room, Moderation::Kick { user }).await.expect("out");
    assert_eq!(delete(&bob.session, room, 3).await, Some(Code::NotAMember));
    assert_eq!(said(&ann.session, room).await, ["-", "-", "three"]);
}

#[tokio::test]
async fn an_answer_names_what_it_answers_unless_that_is_deleted() {
    let bench = engine();
    let (room, mut ann) = bench.room("Ann").await;
    ann.session.send(room, draft("question?")).await.expect("sent");
    let file = FileId::new();
    let answer = draft("answer").reply_to(1).files(vec![file]).expect("a file");
    let answer = answer.key("k").expect("a key");
    assert_eq!(ann.session.send(room, answer.clone()).await.expect("sent").seq, 2);
    let picture = Draft::of_files(vec![file]).expect("a picture");
    assert_eq!(ann.session.send(room, picture).await.expect("sent").seq, 3);
    ann.message().await;
    let heard = ann.find(|event| match event {
        Event::Message { message, .. } => Some(message.body.clone()),
        _ => None,
    });
    let body = heard.await;
    assert_eq!((body.reply_to, body.files), (Some(1), vec![file]));
    // With its key, it is another message without what it answers, and without the file.
    for other in [keyed("answer", "k"), keyed("answer", "k").reply_to(1)] {
        let error = ann.session.send(room, other).await.expect_err("another message");
        assert_eq!(error.code(), Code::KeyConflict);
    }
    assert_eq!(delete(&ann.session, room, 1).await, None);
    let late = ann.session.send(room, draft("late").reply_to(1)).await.expect_err("deleted");
    assert_eq!((late.code(), late.at_field()), (Code::MessageDeleted, Some("reply_to")));
    // Sent again it gets its first answer all the same.
    assert_eq!(ann.session.send(room, answer).await.expect("sent before").seq, 2);
    assert_eq!(all(&ann.session, room).await.messages[1].body.reply_to, Some(1));
}

#[test]
fn files_are_few_and_named_once() {
    let file = FileId::new();
    let code = |files| draft("with files").files(files).err().map(|error| error.code());
    assert_eq!(code(vec![file, FileId::new()]), None);
    assert_eq!(code(vec![file, file]), Some(Code::BadRequest));
    assert_eq!(code((0..11).map(|_| FileId::new()).collect()), Some(Code::BadRequest));
    assert_eq!(Draft::of_files(vec![]).err().map(|error| error.code()), Some(Code::Empty));
}

/// Everybody whose name stands in a text behind an `@`, but for whom it cannot say.
struct Names(Vec<User>);

#[async_trait]
impl Directory for Names {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.0.iter().find(|user| user.id == id).cloned())
    }

    async fn mentioned(&self, _: UserId, text: &Text) -> Result<Vec<UserId>> {
        tokio::task::yield_now().await;
        assert!(!text.contains("@cursed"), "no such page");
        let named = text.split_whitespace().filter_map(|word| word.strip_prefix('@'));
        let found = named.filter_map(|name| self.0.iter().find(|user| *user.name == *name));
        Ok(found.map(|user| user.id).collect())
    }
}

async fn mention(probe: &mut Probe) -> (u64, String) {
    probe
        .find(|event| match event {
            Event::Mentioned { message, .. } => Some((message.seq, message.text().to_owned())),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn whoever_is_mentioned_hears_of_it_wherever_it_is_connected() {
    let (ann, bob, cyd, eve) = (user("Ann"), user("Bob"), user("Cyd"), user("Eve"));
    let directory = Names(vec![ann.clone(), bob.clone(), cyd.clone(), eve.clone()]);
    let clock = Arc::new(FakeClock::default());
    let engine = Engine::builder().directory(Arc::new(directory)).clock(clock).threads(2);
    let engine = engine.start().expect("an engine");
    let room = engine.open_room(&ann, NewRoom::open("room").expect("a title")).await;
    let room = room.expect("a room");
    let connect = |user: &User| Probe::connect(&engine, user.clone()).expect("a session");
    let [mut ann_hears, mut bob_hears, mut cyd_hears, mut eve_hears] =
        [&ann, &bob, &cyd, &eve].map(connect);
    for member in [&bob, &cyd] {
        room.join(member, After::Nothing).await.expect("a member");
    }
    // Nobody of these hears the room, and one is no member.
    let hello = draft("@Bob @Bob @Ann @Eve @Nobody hello");
    room.send(&ann, hello).await.expect("sent");
    assert_eq!(mention(&mut bob_hears).await, (1, "@Bob @Bob @Ann @Eve @Nobody hello".into()));
    let page = room.history(&ann, HistoryQuery { at: HistoryAt::End, limit: 1 }).await;
    let mentions = page.expect("a page").messages[0].body.mentions.clone();
    assert_eq!(mentions, [bob.id], "once, and neither oneself nor strangers");
    room.edit(&ann, 1, text("@Cyd @Bob hello")).await.expect("edited");
    assert_eq!(mention(&mut cyd_hears).await, (1, "@Cyd @Bob hello".into()));
    room.edit(&ann, 1, text("@Cyd @Bob hello!")).await.expect("edited");
    let cursed = room.send(&ann, draft("@cursed")).await.expect_err("it panics");
    assert_eq!(cursed.code(), Code::Internal);
    room.send(&ann, draft("@Bob once more")).await.expect("sent");
    assert_eq!(mention(&mut bob_hears).await.0, 2, "of no edit, being mentioned before");
    for probe in [&mut ann_hears, &mut cyd_hears, &mut eve_hears] {
        let waiting = probe.waiting();
        let mentions = waiting.iter().filter(|event| matches!(***event, Event::Mentioned { .. }));
        assert_eq!(mentions.count(), 0);
    }
}

#[tokio::test]
async fn edits_that_follow_each_other_at_once_mention_somebody_once() {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    let engine = Engine::builder().store(store).threads(2);
    let engine = engine.directory(Arc::new(Names(vec![bob.clone()]))).start().expect("an engine");
    let room = engine.open_room(&ann, NewRoom::open("room").expect("a title")).await;
    let room = room.expect("a room");
    room.join(&bob, After::Nothing).await.expect("a member");
    let mut bob_hears = Probe::connect(&engine, bob).expect("a session");
    room.send(&ann, draft("hello")).await.expect("sent");
    let writer = Probe::connect(&engine, ann.clone()).expect("a session");
    faults.hold_commits(true);
    let edits = ["@Bob hello", "@Bob hello!", "hello", "@Bob !"];
    let edits = edits.map(|said| writer.session.edit(room.id(), 1, text(said)));
    let release = async {
        until("all wait", async || engine.stats().waiting_writes == 4).await;
        faults.hold_commits(false);
    };
    let (edited, ()) = tokio::join!(futures_util::future::join_all(edits), release);
    assert!(edited.iter().all(Result::is_ok), "{edited:?}");
    room.send(&ann, draft("@Bob at last")).await.expect("sent");
    let mut heard = Vec::new();
    while heard.last() != Some(&(2, "@Bob at last".to_owned())) {
        heard.push(mention(&mut bob_hears).await);
    }
    let expected = [(1, "@Bob hello".into()), (1, "@Bob !".into()), (2, "@Bob at last".into())];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn whoever_comes_back_finds_what_was_edited_and_deleted() {
    let bench = engine();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for n in 1..=5 {
        ann.session.send(room, draft(&format!("text {n}"))).await.expect("sent");
    }
    drop(bob);
    let before = Cursor::new(5, 2);
    assert_eq!(edit(&ann.session, room, 2, "new 2").await, None);
    assert_eq!(edit(&ann.session, room, 4, "new 4").await, None);
    assert_eq!(delete(&ann.session, room, 2).await, None);
    ann.session.send(room, draft("text 6")).await.expect("sent");
    assert_eq!(edit(&ann.session, room, 6, "new 6").await, None);
    let back = bench.connect_as(ann.session.user().clone());
    let joined = back.session.join(room, After::Cursor(before)).await.expect("back");
    assert_eq!(joined.messages.iter().map(|one| shown(one)).collect::<Vec<_>>(), ["new 6*"]);
    let changes = joined.changes.iter().map(|change| match &change.kind {
        ChangeKind::Edited(_, seq, edit) => (*seq, edit.as_ref().map(|edit| edit.text.to_string())),
        kind => (kind.seq().expect("of a message"), None),
    });
    let changes: Vec<_> = changes.collect();
    let expected = [(2, None), (4, Some("new 4")), (2, None), (6, Some("new 6"))];
    assert_eq!(changes, expected.map(|(seq, said)| (seq, said.map(str::to_owned))));
}

/// An engine that keeps next to nothing in memory.
fn forgetful() -> (Bench, Faults) {
    let (store, faults) = FaultyStore::new(MemoryStore::default());
    (engine_with(store, Limits { kept_bytes: 10, ..Limits::default() }), faults)
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_and_ones_commands_stay_in_order() {
    let (bench, faults) = forgetful();
    let (room, ann) = bench.room("Ann").await;
    for n in 1..=4 {
        ann.session.send(room, draft(&format!("a long text, number {n}"))).await.expect("sent");
    }
    let answers = async {
        faults.hold_reads(true);
        let answer = ann.session.send(room, draft("an answer").reply_to(1));
        let next = ann.session.send(room, draft("what comes next"));
        let edited = ann.session.edit(room, 2, text("edited"));
        let deleted = ann.session.delete(room, 3);
        let let_go = async {
            until("the first one is read", async || faults.held_reads() == 1).await;
            faults.hold_reads(false);
        };
        let (one, two, three, four, ()) = tokio::join!(answer, next, edited, deleted, let_go);
        (one.expect("sent").seq, two.expect("sent").seq, three, four)
    };
    let (one, two, three, four) = answers.await;
    assert_eq!((one, two), (5, 6));
    assert!(three.is_ok() && four.is_ok(), "{three:?} {four:?}");
    let expected = ["a long text, number 1", "edited*", "-", "a long text, number 4"];
    assert_eq!(said(&ann.session, room).await[..4], expected);
}

#[tokio::test]
async fn what_is_deleted_while_it_is_read_is_not_edited() {
    let (bench, faults) = forgetful();
    let (room, ann) = bench.room("Ann").await;
    let bob = bench.joined("Bob", room).await;
    for said in ["a long text of his", "another long text", "and one more long text"] {
        bob.session.send(room, draft(said)).await.expect("sent");
    }
    let late = bench.joined("Cyd", room).await;
    faults.hold_reads(true);
    let edited = bob.session.edit(room, 1, text("too late"));
    let deleted = async {
        until("it is read", async || faults.held_reads() == 1).await;
        // What she deletes is read as well.
        let deleted = ann.session.delete(room, 1);
        let let_go = async {
            until("both are read", async || faults.held_reads() == 2).await;
            faults.hold_reads(false);
        };
        tokio::join!(deleted, let_go).0
    };
    let (edited, deleted) = tokio::join!(edited, deleted);
    assert!(deleted.is_ok(), "{deleted:?}");
    // Whichever came first, it is deleted in the end.
    assert!(
        edited.as_ref().is_ok_and(|()| true)
            || edited.is_err_and(|e| e.code() == Code::MessageDeleted)
    );
    assert_eq!(said(&late.session, room).await[0], "-");
}

#[tokio::test]
async fn a_store_that_fails_leaves_messages_as_they_were() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("as it was")).await.expect("sent");
    faults.fail_commits(1);
    assert_eq!(edit(&ann.session, room, 1, "no").await, Some(Code::Unavailable));
    assert_eq!(said(&ann.session, room).await, ["as it was"]);
    // The commit takes effect, and its answer is lost: who asks again finds that it is so.
    faults.lose_answers(1);
    assert_eq!(edit(&ann.session, room, 1, "as it is").await, Some(Code::Unavailable));
    until("it is shown", async || {
        bench.clock.advance(Duration::from_secs(1));
        said(&ann.session, room).await == ["as it is*"]
    })
    .await;
    assert_eq!(edit(&ann.session, room, 1, "as it is").await, None);
    assert_eq!(ann.session.revisions(room, 1).await.expect("one").len(), 1, "once");
}

#[test]
fn a_deleted_message_stays_deleted() {
    let from = user("Ann");
    let at = chat_core::Timestamp::UNIX_EPOCH;
    let mut message = Message::new(1, from, chat_core::Body::text(text("secret")), at);
    message.delete();
    message.edit(&Edit { text: text("back"), mentions: vec![] }, at);
    assert!(message.deleted && message.body.text.is_none() && message.edited.is_none());
}

#[tokio::test]
async fn an_edit_back_is_written_behind_the_one_that_is_under_way() {
    let (bench, faults) = faulty();
    let (room, ann) = bench.room("Ann").await;
    ann.session.send(room, draft("x")).await.expect("sent");
    faults.hold_commits(true);
    let there = ann.session.edit(room, 1, text("y"));
    let back = async {
        until("the first is written", async || faults.held_commits() == 1).await;
        let back = ann.session.edit(room, 1, text("x"));
        let let_go = async { faults.hold_commits(false) };
        tokio::join!(back, let_go).0
    };
    let (there, back) = tokio::join!(there, back);
    assert!(there.is_ok() && back.is_ok(), "{there:?} {back:?}");
    assert_eq!(said(&ann.session, room).await, ["x*"]);
}

#[tokio::test]
async fn what_another_engine_has_deleted_is_not_edited() {
    let store = MemoryStore::default();
    let limits = || Limits { kept_bytes: 10, ..Limits::default() };
    let (slow, faults) = FaultyStore::new(store.clone());
    let (one, two) = (engine_with(slow, limits()), engine_with(store, limits()));
    let (room, ann) = one.room("Ann").await;
    let bob = one.joined("Bob", room).await;
    bob.session.send(room, draft("a long text of his")).await.expect("sent");
    ann.session.send(room, draft("a long text of hers")).await.expect("sent");
    let other = two.connect_as(ann.session.user().clone());
    other.session.join(room, After::Nothing).await.expect("in it");
    faults.hold_commits(true);
    let edited = bob.session.edit(room, 1, text("too late"));
    let deleted = async {
        until("it is to be written", async || faults.held_commits() == 1).await;
        other.session.delete(room, 1).await.expect("deleted");
        faults.hold_commits(false);
    };
    let (edited, ()) = tokio::join!(edited, deleted);
    assert_eq!(edited.err().map(|error| error.code()), Some(Code::MessageDeleted));
    let joined = bob.session.join(room, After::Cursor(Cursor::new(2, 0))).await.expect("in it");
    let last = joined.changes.last().map(|change| change.kind.as_str());
    assert_eq!(last, Some("deleted"), "nothing after it");
}

#[tokio::test]
async fn what_is_read_while_it_is_deleted_is_shown_deleted() {
    let (bench, faults) = forgetful();
    let (room, ann) = bench.room("Ann").await;
    for n in 1..=3 {
        ann.session.send(room, draft(&format!("a long text, number {n}"))).await.expect("sent");
    }
    let (late, reader) = (bench.connect("Bob"), bench.joined("Cyd", room).await);
    faults.hold_reads(true);
    let joined = late.session.join(room, After::Nothing);
    let page = all(&reader.session, room);
    let deleted = async {
        until("both are read", async || faults.held_reads() == 2).await;
        // What she deletes is read, too.
        let deleted = ann.session.delete(room, 2);
        let let_go = async {
            until("all are read", async || faults.held_reads() == 3).await;
            faults.hold_reads(false);
        };
        tokio::join!(deleted, let_go).0.expect("deleted");
    };
    let (joined, page, ()) = tokio::join!(joined, page, deleted);
    let later = said(&reader.session, room).await;
    assert_eq!(later[1], "-");
    // Whoever was answered before it was deleted has heard of that since; nobody is left with the text.
    for (messages, mut probe) in [(joined.expect("in it").messages, late), (page.messages, reader)]
    {
        if shown(&messages[1]) != "-" {
            assert_eq!(change(&mut probe).await.0, 2);
        }
    }
}
