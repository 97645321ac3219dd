//! Those who listen: each hears all rooms, and writes down what it hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chat_core::testkit::View;
use chat_core::{After, Engine, Event, RoomId, Session, User};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::house::user;
use crate::stored::{Row, Stored};
use crate::{tell, until};

/// Somebody who hears every room from before the first message on.
pub(crate) struct Listener {
    heard: Arc<Mutex<Heard>>,
    session: Session,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    /// Of each room, as a client knows it: whatever breaks the contract is found when it is heard.
    views: HashMap<RoomId, View>,
    messages: HashMap<RoomId, Vec<Row>>,
    broken: Vec<String>,
}

impl Listener {
    /// Joins all rooms and begins to listen.
    pub(crate) async fn new(engine: &Engine, name: &str, rooms: &[RoomId]) -> Self {
        let me: User = user(name);
        let (session, mut inbox) = engine.connect(me.clone()).expect("a session");
        let mut heard = Heard::default();
        for room in rooms {
            let joined = session.join(*room, After::Nothing).await.expect("in it");
            let mut view = View::new(*room, me.id);
            view.joined(After::Nothing, &joined).expect("a good answer");
            heard.views.insert(*room, view);
        }
        let heard = Arc::new(Mutex::new(heard));
        let hears = Arc::clone(&heard);
        let reading = tokio::spawn(async move {
            while let Some(event) = inbox.next().await {
                hears.lock().expect("what is heard").hear(&event);
            }
        });
        Self { heard, session, reading }
    }

    /// With what it speaks.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("what is heard")
    }

    /// The last message that it has heard of a room.
    fn last(&self, room: RoomId) -> u64 {
        let heard = self.heard();
        heard.messages.get(&room).and_then(|rows| rows.last()).map_or(0, |row| row.seq)
    }

    /// Compares what it has heard with what is stored, once it has heard each room at least up to
    /// these messages.
    pub(crate) async fn check(&self, until_these: &HashMap<RoomId, u64>, stored: &Stored) {
        until("a listener has heard everything", async || {
            !self.heard().broken.is_empty()
                || until_these.iter().all(|(room, seq)| self.last(*room) >= *seq)
        })
        .await;
        let heard = self.heard();
        let mut faults = heard.broken.clone();
        for (room, rows) in &heard.messages {
            let differs = rows.iter().enumerate().find(|(index, row)| {
                let stored = stored.of(*room).get(*index);
                !stored.is_some_and(|stored| Row { key: None, ..stored.clone() } == **row)
            });
            if let Some((index, row)) = differs {
                let stored = stored.of(*room).get(index);
                faults.push(format!("heard {row:?} where {stored:?} is stored"));
            }
        }
        tell(&faults);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Heard {
    fn hear(&mut self, event: &Event) {
        if let Event::Message { room, message, .. } = event {
            let (seq, sender, at_ms) =
                (message.seq, message.from.id, message.at.timestamp_millis());
            let row = Row { seq, sender, text: message.text().to_owned(), at_ms, key: None };
            self.messages.entry(*room).or_default().push(row);
        }
        for view in self.views.values_mut() {
            if let Err(broken) = view.heard(event) {
                self.broken.push(broken);
            }
            if !view.hears() {
                self.broken.push(format!("hears no more of a room after {event:?}"));
            }
        }
    }
}
