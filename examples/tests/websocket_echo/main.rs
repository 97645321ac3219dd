//! `websocket_echo` under what a conformance suite for WebSocket asks: every rule of RFC 6455 that
//! a peer can see, over plain TCP and byte by byte, with the program as its own process. How it
//! closes counts as much as what it answers.

mod closing;
mod frames;
mod handshake;
mod messages;
mod peer;
mod reading;
#[path = "../support/mod.rs"]
mod support;
mod text;
