//! The limits that the settings say, as each part takes them.

use chat_core::Limits;

use crate::config::Settings;
use crate::listen::Descriptors;
use crate::socket::{ConnectionLimits, SocketLimits};

pub(super) fn engine_limits(settings: &Settings) -> Limits {
    let (rooms, socket) = (&settings.rooms, &settings.socket);
    Limits {
        grace: rooms.grace,
        idle: rooms.idle_stop,
        typing: rooms.typing,
        big_room: rooms.big,
        kept_messages: rooms.kept_messages,
        edit_age: rooms.edit_age,
        outbox_bytes: socket.outbox_bytes,
        all_outboxes_bytes: socket.all_outboxes_bytes,
        slow_close: socket.slow_close,
        commands_per_s: socket.commands_per_s,
        commands_burst: socket.commands_burst,
        bytes_per_s: socket.bytes_per_s,
        bytes_burst: socket.bytes_burst,
        user_sessions: any_number(socket.max_per_user),
        ..Limits::default()
    }
}

pub(super) fn socket_limits(settings: &Settings) -> SocketLimits {
    let socket = &settings.socket;
    SocketLimits {
        frame: socket.max_frame_bytes,
        auth: socket.auth_timeout,
        ping_every: socket.ping_interval,
        ping_timeout: socket.ping_timeout,
    }
}

/// How many connections there may be, never more than there are descriptors for.
pub(super) fn connection_limits(settings: &Settings, descriptors: Descriptors) -> ConnectionLimits {
    let socket = &settings.socket;
    let possible = descriptors.sockets;
    let wanted = any_number(socket.max_connections);
    if wanted > possible && socket.max_connections > 0 {
        tracing::warn!(
            wanted,
            possible,
            "the system's limit of open files allows fewer connections; raise it (`ulimit -n`)"
        );
    }
    ConnectionLimits {
        connections: wanted.min(possible),
        per_address: any_number(socket.max_per_address),
        strangers: socket.max_handshakes,
    }
}

/// A limit of which 0 says that there is none.
fn any_number(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}
