//! A room with an owner, a moderator and a member, and what is asked of them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use chat_core::testkit::Probe;
use chat_core::{
    After, Change, Clock, Code, Command, Event, Moderation, NewRoom, Notice, Role, RoomCommand,
    RoomId, SettingsChange, Timestamp, UserId,
};

use crate::support::{Bench, draft, engine, user};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// How long a test waits for what must not take long.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(30);

/// A room with an owner, a moderator and a member in it.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) room: RoomId,
    pub(crate) ann: Probe,
    pub(crate) mo: Probe,
    pub(crate) bob: Probe,
}

pub(crate) fn open() -> NewRoom {
    NewRoom::open("room").expect("a good title")
}

pub(crate) fn private() -> NewRoom {
    NewRoom::private("room").expect("a good title")
}

pub(crate) fn id(probe: &Probe) -> UserId {
    probe.session.user().id
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(engine(), open()).await
    }

    pub(crate) async fn of(bench: Bench, new: NewRoom) -> Self {
        let (room, ann) = bench.room_of("Ann", new).await;
        let mut others = Vec::new();
        for name in ["Mo", "Bob"] {
            let probe = bench.connect(name);
            ann.session.invite(room, probe.session.user().clone()).await.expect("invited");
            probe.session.join(room, After::Nothing).await.expect("in it");
            others.push(probe);
        }
        let [mo, bob] = <[Probe; 2]>::try_from(others).ok().expect("two");
        let up = Moderation::Role { user: id(&mo), role: Role::Moderator };
        ann.session.moderate(room, up).await.expect("a moderator");
        let mut scene = Self { bench, room, ann, mo, bob };
        for probe in [&mut scene.ann, &mut scene.mo, &mut scene.bob] {
            change(probe, "role").await;
            probe.waiting();
        }
        scene
    }

    /// In an hour.
    pub(crate) fn later(&self) -> Timestamp {
        self.bench.clock.now() + HOUR
    }

    pub(crate) async fn set(&self, change: SettingsChange) {
        let done = self.ann.session.moderate(self.room, Moderation::Configure(change)).await;
        done.expect("set");
    }

    /// Returns when the room has got everything that was asked before, over these sessions or without.
    pub(crate) async fn arrived(&self, more: &[&Probe]) {
        // What was spawned is asked first.
        tokio::task::yield_now().await;
        for probe in [&self.ann, &self.mo, &self.bob].into_iter().chain(more.iter().copied()) {
            probe.session.ask(Command::Ping).await.expect("behind what it has asked");
        }
        let (room, asker) = (self.bench.engine.room(self.room), user("asker"));
        room.view(&asker).await.expect("an open room");
    }

    /// Why somebody cannot write.
    pub(crate) async fn refused(&self, probe: &Probe) -> Code {
        probe.session.send(self.room, draft("hi")).await.expect_err("refused").code()
    }
}

/// The next change of this kind that somebody hears of; others are passed over.
pub(crate) async fn change(probe: &mut Probe, kind: &str) -> Change {
    probe
        .find(|event| match event {
            Event::Change { change, .. } if change.kind.as_str() == kind => {
                Some((**change).clone())
            }
            _ => None,
        })
        .await
}

/// Returns when somebody has heard everything of a room that has happened so far, and answers it.
pub(crate) async fn heard(bench: &Bench, probe: &mut Probe, room: RoomId) -> Vec<String> {
    probe.session.ask(Command::Room(room, RoomCommand::View)).await.ok();
    // Comes behind everything that the room has said to it.
    let end = UserId::new();
    bench.engine.notify(id(probe), Notice::new(end));
    let mut names = Vec::new();
    loop {
        match &*probe.event().await {
            Event::Change { change, .. } => names.push(change.kind.as_str().to_owned()),
            Event::Message { message, .. } => names.push(message.text().to_owned()),
            Event::Notice(notice) if notice.get::<UserId>() == Some(&end) => return names,
            // Was for another device.
            Event::Notice(_) => {}
            other => names.push(format!("{other:?}")),
        }
    }
}

pub(crate) fn code<T>(result: chat_core::Result<T>) -> Option<Code> {
    result.err().map(|error| error.code())
}
