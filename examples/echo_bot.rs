//! `cargo run -p examples --bin echo_bot` — a bot that repeats whatever begins with `!echo `: once,
//! even if it is started again, and everything, even if it was too slow.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;

use chat_core::{
    After, Behind, CloseReason, Cursor, Draft, Engine, Event, HistoryAt, HistoryQuery, Inbox,
    Limits, Message, Name, NewRoom, Result, RoomId, Session, User, UserId, limits,
};
use futures_util::StreamExt;

struct Bot {
    session: Session,
    inbox: Inbox<Arc<Event>>,
    room: RoomId,
    /// How far it has heard the room. A bot in a process of its own would write it down.
    known: Cursor,
}

impl Bot {
    /// Joins the room, and answers what has been said since `known`.
    async fn start(chat: &Engine, user: &User, room: RoomId, known: Cursor) -> Result<Self> {
        let (session, inbox) = chat.connect(user.clone())?;
        let mut bot = Self { session, inbox, room, known };
        bot.catch_up().await?;
        Ok(bot)
    }

    /// Answers until its session ends.
    async fn run(mut self) -> Result<Cursor> {
        while let Some(event) = self.inbox.next().await {
            match &*event {
                Event::Message { message, cursor, .. } => {
                    self.answer(message).await?;
                    self.known = *cursor;
                }
                Event::Change { change, .. } => self.known = change.cursor,
                // It did not read fast enough, and hears nothing more until it joins again.
                Event::Behind { after, .. } => {
                    println!("(the bot is behind, and catches up)");
                    self.known = *after;
                    self.catch_up().await?;
                }
                _ => {}
            }
        }
        Ok(self.known)
    }

    async fn catch_up(&mut self) -> Result<()> {
        let joined = self.session.join(self.room, After::Cursor(self.known)).await?;
        // Of very much, the answer has only the newest part; what is before it is in the history.
        if let Some(Behind { after: mut known, until }) = joined.behind {
            while known < until {
                let next = HistoryQuery { at: HistoryAt::After(known), limit: limits::PAGE };
                for message in self.session.history(self.room, next).await?.messages {
                    self.answer(&message).await?;
                    known = message.seq;
                }
            }
        }
        for message in &joined.messages {
            self.answer(message).await?;
        }
        self.known = joined.cursor;
        Ok(())
    }

    /// Answers a message that asks for it. The key belongs to that message: its answer is written
    /// once, however often the bot comes across it.
    async fn answer(&self, message: &Message) -> Result<()> {
        let Some(text) = message.text().strip_prefix("!echo ") else { return Ok(()) };
        // Otherwise `!echo !echo hello` would make it talk to itself.
        if message.from.id == self.session.user().id {
            return Ok(());
        }
        let draft = Draft::text(text)?.key(format!("echo-{}", message.seq))?;
        self.session.send(self.room, draft).await.map(drop)
    }
}

/// Prints what is said, until somebody of this name says this.
async fn hear(inbox: &mut Inbox<Arc<Event>>, name: &str, text: &str) {
    while let Some(event) = inbox.next().await {
        let Event::Message { message, .. } = &*event else { continue };
        println!("#{} {}: {}", message.seq, message.from.name, message.text());
        if *message.from.name == *name && message.text() == text {
            break;
        }
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // An inbox so small that the bot is soon behind, and one thread, so that it is so every time:
    // only to show it.
    let limits = Limits { outbox_bytes: 2_000, ..Limits::default() };
    let chat = Engine::builder().threads(1).limits(limits).start()?;
    let ann = User::new(UserId::new(), Name::new("Ann")?);
    // In earnest its id is a fixed one: keys count for one user.
    let echo = User::new(UserId::new(), Name::new("Echo")?);
    let room = chat.open_room(&ann, NewRoom::open("Lobby")?).await?.id();
    let (ann, mut ann_hears) = chat.connect(ann)?;
    ann.join(room, After::Nothing).await?;

    // The bot hears the room from now on, but does not look into its inbox yet.
    let bot = Bot::start(&chat, &echo, room, Cursor::default()).await?;
    let session = bot.session.clone();
    for text in (1..=20).map(|number| format!("small talk {number}")) {
        ann.send(room, Draft::text(text.as_str())?).await?;
        hear(&mut ann_hears, "Ann", &text).await;
    }
    ann.send(room, Draft::text("!echo Are you there?")?).await?;
    let running = tokio::spawn(bot.run());
    hear(&mut ann_hears, "Echo", "Are you there?").await;
    session.end(CloseReason::Left);
    println!("(the bot ends at {})", running.await??);

    ann.send(room, Draft::text("!echo And now?")?).await?;
    println!("(the bot starts, and has forgotten how far it was)");
    let bot = Bot::start(&chat, &echo, room, Cursor::default()).await?;
    hear(&mut ann_hears, "Echo", "And now?").await;
    drop(bot);
    chat.stop().await;
    Ok(())
}
