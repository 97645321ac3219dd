//! The protocol's tests once more, over the portable route (see `support::transport`).

#![allow(
    clippy::duplicate_mod,
    reason = "each file is also a program of its own, with its support"
)]

#[path = "at_once.rs"]
mod at_once;
#[path = "bad_commands.rs"]
mod bad_commands;
#[path = "bad_frames.rs"]
mod bad_frames;
#[path = "bad_tokens.rs"]
mod bad_tokens;
#[path = "flooding.rs"]
mod flooding;
#[path = "hostile.rs"]
mod hostile;
#[path = "protocol_examples.rs"]
mod protocol_examples;
#[path = "sockets.rs"]
mod sockets;
#[path = "state_machine.rs"]
mod state_machine;
