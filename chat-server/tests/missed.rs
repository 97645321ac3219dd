//! What somebody has missed is read by few statements, however many messages and threads it is about, in both
//! databases.

#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod store_support;

use std::collections::HashMap;

use chat_core::{
    Batch, BatchOutcome, Body, Change, ChangeKind, Cursor, Kind, LastReply, LoadedRoom, Mark,
    MarkCount, Marking, Membership, Message, Name, Outcome, Parent, Role, RoomId, RoomInfo, Text,
    Thread, Timestamp, Title, User, UserId, Write,
};
use chat_server::store::{MySqlOptions, MySqlStore, SqlStore};
use database::Database;
use store_support::Home;

/// So many messages are marked, and so many others have a thread.
const MARKED: u64 = 100;
const WITH_THREAD: u64 = 50;

/// A moment.
fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_312_000 + second, 0).unwrap()
}

fn user(name: &str) -> User {
    User::new(UserId::new(), Name::new(name).unwrap())
}

fn member(user: &User) -> Membership {
    Membership { user: user.clone(), role: Role::Member }
}

fn info(kind: Kind, parent: Option<Parent>) -> RoomInfo {
    let title = parent.is_none().then(|| Title::new("a room").unwrap());
    RoomInfo { id: RoomId::new(), title, kind, ephemeral: false, created: at(0), parent }
}

async fn write(store: &dyn SqlStore, room: &mut LoadedRoom, writes: Vec<Write>) {
    let batch = Batch { room: room.key, after: room.end, may_follow: false, writes };
    match store.append(&[batch]).await.unwrap().remove(0) {
        BatchOutcome::Done(outcomes) => match outcomes.last() {
            Some(Outcome::Stored(end)) => room.end = *end,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Gives a message a mark.
fn mark(seq: u64, by: &User, mark: &str) -> Write {
    let mark = Mark::new(mark).unwrap();
    let markings = vec![Marking { user: by.id, mark, on: true, key: None }];
    Write::Marks { seq, markings, last: member(by), at: at(2) }
}

/// Tells what the thread on a message has come to.
fn tell(seq: u64, thread: RoomId, from: &User, replies: u64) -> Write {
    let last = Some(LastReply { from: from.clone(), at: at(3), seq: replies });
    let thread = Thread { room: thread, replies, last, upto: Cursor::new(replies, 1) };
    let kind = ChangeKind::Thread(member(from), seq, thread);
    Write::Change { kind, by: None, at: at(4), key: None }
}

/// What the messages that a change is about have come to, as the change says it, and as they do.
fn said(change: &Change) -> (u64, Vec<MarkCount>, Option<Thread>) {
    match &change.kind {
        ChangeKind::Marked(_, seq, marks) => (*seq, marks.clone(), None),
        ChangeKind::Thread(_, seq, thread) => (*seq, Vec::new(), Some(thread.clone())),
        other => panic!("{other:?}"),
    }
}

fn shown(message: &Message) -> (u64, Vec<MarkCount>, Option<Thread>) {
    (message.seq, message.marks.clone(), message.thread.clone())
}

/// Each message is marked twice, and each thread tells twice what it has come to.
async fn many_changes_are_read_by_few_statements(store: &dyn SqlStore) {
    let (ann, bob) = (user("Ann"), user("Bob"));
    let new = info(Kind::Open, None);
    let owner = Membership { user: ann.clone(), role: Role::Owner };
    store.create_room(&new, &[owner], None).await.unwrap();
    let mut room = store.load_room(new.id, 0).await.unwrap().unwrap();
    let before = room.end.change;
    let message = |n| Write::Message {
        from: ann.clone(),
        body: Body::text(Text::new(format!("message {n}")).unwrap()),
        at: at(1),
        key: None,
    };
    write(store, &mut room, (1..=MARKED + WITH_THREAD).map(message).collect()).await;
    let mut threads = HashMap::new();
    for seq in MARKED + 1..=MARKED + WITH_THREAD {
        let thread = info(Kind::Thread, Some(Parent { room: new.id, seq }));
        store.create_room(&thread, &[member(&ann)], None).await.unwrap();
        threads.insert(seq, thread.id);
    }
    for (by, given, replies) in [(&ann, "👍", 1), (&bob, "done", 2)] {
        let marks = (1..=MARKED).map(|seq| mark(seq, by, given));
        let tells = threads.iter().map(|(seq, thread)| tell(*seq, *thread, by, replies));
        write(store, &mut room, marks.chain(tells).collect()).await;
    }

    let messages = store.messages(room.key, 0, room.end.seq).await.unwrap();
    let shown: HashMap<_, _> = messages.iter().map(|one| (one.seq, shown(one))).collect();
    let marks: Vec<_> = shown[&1].1.iter().map(|one| (&*one.mark, one.count)).collect();
    assert_eq!(marks, [("done", 1), ("👍", 1)]);
    assert_eq!(shown[&(MARKED + 1)].2.as_ref().map(|thread| thread.replies), Some(2));

    let asked = store.stats().queries.selects;
    let changes = store.changes(room.key, before, 1_000).await.unwrap();
    let asked = store.stats().queries.selects - asked;
    assert_eq!(changes.len() as u64, 2 * (MARKED + WITH_THREAD));
    for change in &changes {
        let said = said(change);
        assert_eq!(said, shown[&said.0], "{change:?}");
    }
    assert!(asked < 10, "{asked} statements");
}

#[tokio::test]
async fn in_sqlite() {
    many_changes_are_read_by_few_statements(&Home::new().open().await).await;
}

#[tokio::test]
async fn in_mariadb() {
    let database = Database::new().await;
    let store = MySqlStore::open(&MySqlOptions::new(database.url())).await.unwrap();
    many_changes_are_read_by_few_statements(&store).await;
}
