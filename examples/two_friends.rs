//! `cargo run -p examples --bin two_friends` — the engine inside a program of your own: two people
//! in a room, without a server and without a database.

use std::sync::Arc;

use chat_core::{After, Draft, Engine, Event, Inbox, Name, NewRoom, User, UserId};
use futures_util::StreamExt;

/// Prints what somebody hears until a message ends with a full stop.
async fn listen(who: &str, mut inbox: Inbox<Arc<Event>>) -> std::io::Result<()> {
    use std::io::Write;
    while let Some(event) = inbox.next().await {
        let Event::Message { message, .. } = &*event else { continue };
        writeln!(
            std::io::stdout(),
            "{who} hears #{}: {}: {}",
            message.seq,
            message.from.name,
            message.text()
        )?;
        if message.text().ends_with('.') {
            break;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Engine::builder().start()?;
    let ann = User::new(UserId::new(), Name::new("Ann")?);
    let bob = User::new(UserId::new(), Name::new("Bob")?);
    let room = chat.open_room(&ann, NewRoom::open("Lobby")?).await?.id();

    let (ann, ann_hears) = chat.connect(ann)?;
    let (bob, bob_hears) = chat.connect(bob)?;
    ann.join(room, After::Nothing).await?;
    bob.join(room, After::Nothing).await?;

    ann.send(room, Draft::text("Hello, Bob!")?).await?;
    // With a key a message may be sent as often as one likes: it takes effect once.
    for _ in 0..2 {
        bob.send(room, Draft::text("안녕 Ann 👋.")?.key("first-answer")?).await?;
    }

    let (ann, bob) = tokio::join!(listen("Ann", ann_hears), listen("Bob", bob_hears));
    ann?;
    bob?;
    chat.stop().await;
    Ok(())
}
