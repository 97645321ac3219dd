//! The calls as an OpenAPI 3.1 document, put together from what stands at the handlers and at the types
//! that they take and give. Made once, when somebody asks for it.

mod refusals;
mod schemas;
mod socket;

use std::sync::LazyLock;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::{
    bans, blocks, docs, friends, groups, health, members, messages, metrics, page, problem,
    reading, rooms, search, threads, tokens, users,
};

/// The document, in JSON.
#[must_use]
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(make);
    &DOCUMENT
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "chat-server",
        description = "Rooms, messages and people over HTTP. What is done here reaches WebSocket sessions \
as the same events, which are described with all commands in `docs/protocol.md`.

- JSON in and out. Fields and query parameters that the server does not know are refused. Answers have no \
fields but those described here.
- `Authorization: Bearer` and an access token, but where somebody gets one.
- Errors are problem documents (RFC 9457) with a stable `code`. Any address that is not described is \
answered 404 `not_found`, and any method that an address does not take 405 `method_not_allowed`, with the \
header `Allow`.
- Ids are UUIDs. Times are RFC 3339 in UTC with milliseconds. Lengths are counted in characters (Unicode \
scalar values), and text is kept byte for byte.
- A page of a list has `next` if there are more: sent as `after`, it gives the next page.
- A body has 64 KiB at most.",
    ),
    servers((url = "/", description = "This server.")),
    tags(
        (name = "tokens", description = "How somebody gets them, keeps them fresh, and gives them up."),
        (name = "users", description = "Accounts, one's own and those of others."),
        (
            name = "friends",
            description = "Whom somebody wants to see. Everybody's own affair: the other one is neither \
asked nor told. For those with an account; at most 1,000 friends in 100 groups."
        ),
        (
            name = "blocks",
            description = "Whom somebody does not want to see, and who is told nothing of it; 1,000 at most."
        ),
        (name = "rooms", description = "Where messages are written."),
        (name = "members", description = "Who belongs to a room; invite, join and leave; roles, mutes, kicks."),
        (name = "bans", description = "Who may not be in a room."),
        (name = "messages", description = "Read, write and find."),
        (name = "threads", description = "Rooms whose parent is a message."),
        (name = "sockets", description = "The WebSocket, over which events come."),
        (name = "operation", description = "For whoever runs the server."),
        (name = "pages", description = "For people with a browser."),
    ),
    components(schemas(problem::Document<'_>)),
    modifiers(&Bearer),
)]
struct Whole;

/// How somebody says who it is.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token: `becomeGuest`, `signIn` and `signUp` give one."));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

fn make() -> String {
    let mut api = Whole::openapi();
    for calls in [
        tokens::Calls::openapi(),
        users::Calls::openapi(),
        groups::Calls::openapi(),
        friends::Calls::openapi(),
        blocks::Calls::openapi(),
        rooms::Calls::openapi(),
        members::Calls::openapi(),
        bans::Calls::openapi(),
        messages::Calls::openapi(),
        reading::Calls::openapi(),
        search::Calls::openapi(),
        threads::Calls::openapi(),
    ] {
        api = api.nest("/api/v1", calls);
    }
    for calls in [
        socket::Calls::openapi(),
        health::Calls::openapi(),
        metrics::Calls::openapi(),
        docs::Calls::openapi(),
        page::Calls::openapi(),
    ] {
        api.merge(calls);
    }
    refusals::write(&mut api);
    let mut document = serde_json::to_value(&api).expect("a document is JSON");
    schemas::close(&mut document);
    document.to_string()
}
