//! The chat engine behind HTTP and WebSocket, with SQL persistence and a web page. [`app::build`]
//! makes a whole server of [`config::Settings`]; [`socket::route`] mounts the protocol in another
//! program's actix-web `App`.

pub mod app;
pub mod auth;
pub mod config;
pub mod http;
pub mod listen;
pub mod ops;
pub mod people;
pub mod protocol;
pub mod search;
pub mod socket;
pub mod store;
