//! Commands with keys, as their tests give them.

use chat_core::{
    After, ClientKey, Code, Command, Engine, RoomCommand, RoomId, Session, Text, User,
};

pub fn key(text: &str) -> ClientKey {
    ClientKey::new(text).expect("a good key")
}

pub async fn ask(
    session: &Session,
    room: RoomId,
    command: RoomCommand,
    name: &str,
) -> Option<Code> {
    let asked = session.ask(Command::Room(room, command.once(key(name)))).await;
    asked.err().map(|error| error.code())
}

pub fn edit(seq: u64, text: &str) -> RoomCommand {
    RoomCommand::edit(seq, Text::new(text).expect("a good text"))
}

/// Where a room stands, as its owner sees it.
pub async fn changes(engine: &Engine, owner: &User, room: RoomId) -> u64 {
    let joined = engine.room(room).join(owner, After::Nothing).await.expect("its owner");
    joined.cursor.change
}
