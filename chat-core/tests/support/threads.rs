//! Threads, as their tests open and see them.

use super::{Bench, draft, engine, until};
use chat_core::testkit::Probe;
use chat_core::{
    After, Code, Event, HistoryAt, HistoryQuery, Limits, MemberQuery, NewRoom, Role, RoomId,
    Session, Text, Thread, User,
};

pub fn code<T>(result: chat_core::Result<T>) -> Option<Code> {
    result.err().map(|error| error.code())
}

/// The thread on the first message of a room, which its owner has opened and joined.
pub async fn thread(owner: &Probe, room: RoomId) -> RoomId {
    owner.session.send(room, draft("what do you think?")).await.expect("sent");
    let view = owner.session.open_thread(room, 1).await.expect("a thread");
    owner.session.join(view.info.id, After::Nothing).await.expect("in it");
    view.info.id
}

pub async fn follow(probe: &Probe, thread: RoomId) {
    probe.session.join(thread, After::Nothing).await.expect("in the thread");
}

/// What the parent says that a thread has come to, as it is told next.
pub async fn told(probe: &mut Probe) -> Thread {
    probe
        .find(|event| match event {
            Event::Change { change, .. } => change.kind.thread().cloned(),
            _ => None,
        })
        .await
}

/// Waits until the parent has told that so many replies are there.
pub async fn told_of(bench: &Bench, probe: &mut Probe, replies: u64) -> Thread {
    loop {
        let pause = Limits::default().marks_every;
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), told(probe)).await;
        match next {
            Ok(thread) if thread.replies == replies => return thread,
            Ok(_) => {}
            // What comes at once is gathered for as long.
            Err(_) => bench.clock.advance(pause),
        }
    }
}

pub async fn shown(session: &Session, room: RoomId, seq: u64) -> Option<Thread> {
    let query = HistoryQuery { at: HistoryAt::Around(seq), limit: 1 };
    let page = session.history(room, query).await.expect("a page");
    page.messages.first().and_then(|message| message.thread.clone())
}

pub async fn followers(session: &Session, room: RoomId) -> Vec<(String, Role)> {
    let query = MemberQuery { after: None, limit: 100, online: false };
    let page = session.members(room, query).await.expect("a page");
    let members = page.members.iter().map(|one| &one.membership);
    members.map(|member| (member.user.name.to_string(), member.role)).collect()
}

/// A room with a thread that Bob follows.
pub struct Scene {
    pub bench: Bench,
    pub room: RoomId,
    pub thread: RoomId,
    pub ann: Probe,
    pub bob: Probe,
}

pub async fn scene(new: NewRoom) -> Scene {
    scene_in(engine(), new).await
}

pub async fn scene_in(bench: Bench, new: NewRoom) -> Scene {
    let (room, ann) = bench.room_of("Ann", new).await;
    let bob = bench.connect("Bob");
    ann.session.invite(room, bob.session.user().clone()).await.expect("invited");
    bob.session.join(room, After::Nothing).await.expect("in it");
    let thread = thread(&ann, room).await;
    follow(&bob, thread).await;
    bob.session.send(thread, draft("hi")).await.expect("sent");
    Scene { bench, room, thread, ann, bob }
}

impl Scene {
    pub fn bob(&self) -> User {
        self.bob.session.user().clone()
    }

    /// Bob, whose membership of the room has ended, can do nothing in the thread, with a connection or without,
    /// and hears nothing of it.
    pub async fn is_shut_out(&mut self, refused: Code) {
        let (session, thread) = (&self.bob.session, self.thread);
        let refused = Some(refused);
        assert_eq!(code(session.send(thread, draft("me again")).await), refused);
        assert_eq!(code(session.join(thread, After::Nothing).await), refused);
        assert_eq!(code(session.edit(thread, 1, Text::new("x").expect("good")).await), refused);
        assert_eq!(code(session.delete(thread, 1).await), refused);
        assert_eq!(code(session.typing(thread, true).await), refused);
        assert!(session.open_thread(self.room, 1).await.is_err());
        let latest = HistoryQuery { at: HistoryAt::End, limit: 9 };
        assert_eq!(code(session.history(thread, latest).await), refused);
        let room = self.bench.engine.room(thread);
        assert_eq!(code(room.history(&self.bob(), latest).await), refused);
        assert_eq!(code(room.view(&self.bob()).await), Some(Code::NoSuchRoom));
        self.ann.session.send(thread, draft("he has gone")).await.expect("sent");
        // Whatever he has heard of the thread since the end of his membership was told.
        let mut ended = false;
        for event in self.bob.waiting() {
            match &*event {
                Event::Change { room, change, .. } if *room == self.room => {
                    ended |= change.kind.ends_membership();
                }
                Event::Closed { room } if *room == thread => {}
                Event::Message { room, .. } | Event::Change { room, .. } if *room == thread => {
                    assert!(!ended, "he has heard {event:?}");
                }
                _ => {}
            }
        }
        until("he is no follower", async || followers(&self.ann.session, thread).await.len() == 1)
            .await;
    }
}
