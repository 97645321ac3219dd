//! A store without an engine.

use chat_core::{
    Batch, Body, Kind, LoadedRoom, Membership, Role, RoomId, RoomInfo, Store, Text, Timestamp,
    Title, User, Write,
};
use chat_server::store::MySqlStore;

/// A new room.
pub(crate) async fn room(store: &MySqlStore, owner: &User, title: &str) -> LoadedRoom {
    let (info, owner) = new_room(owner, title);
    store.create_room(&info, &[owner], None).await.expect("a room");
    store.load_room(info.id, 0).await.expect("an answer").expect("a room")
}

pub(crate) fn new_room(owner: &User, title: &str) -> (RoomInfo, Membership) {
    let title = Some(Title::new(title).expect("a good title"));
    let created = Timestamp::from_timestamp_millis(0).expect("a moment");
    let info = RoomInfo {
        id: RoomId::new(),
        title,
        kind: Kind::Open,
        ephemeral: false,
        created,
        parent: None,
    };
    (info, Membership { user: owner.clone(), role: Role::Owner })
}

/// So many messages, which say their own numbers, if the room stands before them.
pub(crate) fn batch(room: &LoadedRoom, from: &User, messages: u64) -> Batch {
    let write = |number: u64| Write::Message {
        from: from.clone(),
        body: Body::text(Text::new(number.to_string()).expect("a good text")),
        at: room.info.created,
        key: None,
    };
    let writes = (room.end.seq + 1..=room.end.seq + messages).map(write).collect();
    Batch { room: room.key, after: room.end, may_follow: false, writes }
}
