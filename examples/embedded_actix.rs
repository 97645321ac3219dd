//! `cargo run -p examples --bin embedded_actix [ADDRESS]` — the engine and its WebSocket protocol
//! inside an actix-web server that has pages and users of its own.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, Responder, get, post, rt, web};
use chat_core::{Draft, Engine, Name, NewRoom, Room, User, UserId};
use chat_server::auth::{Admit, Identity};
use chat_server::protocol::Problem;
use chat_server::socket::{self, Sockets, TcpOptions};

/// The users that this app has anyway, by what they show at the door: a session cookie, an API key.
struct Customers {
    by_token: HashMap<&'static str, User>,
}

impl Admit for Customers {
    fn admit(&self, token: &str) -> Result<Identity, Problem> {
        let user = self.by_token.get(token);
        let user = user.ok_or_else(|| Problem::unauthorized("nobody has this token; sign in"))?;
        Ok(Identity { user: user.clone(), expires: None, login: None, guest: false })
    }
}

/// What this app's own handlers need of the chat.
struct Shop {
    lobby: Room,
    /// In whose name the app itself writes.
    assistant: User,
}

/// One of the pages that the app has anyway.
#[get("/")]
async fn hello(shop: web::Data<Shop>) -> impl Responder {
    format!("Hello! Connect to /ws and join {}\n", shop.lobby.id())
}

/// The app writes into the room; everybody there hears it.
#[post("/announce")]
async fn announce(text: String, shop: web::Data<Shop>) -> HttpResponse {
    let sent = async { shop.lobby.send(&shop.assistant, Draft::text(text)?).await };
    match sent.await {
        Ok(sent) => HttpResponse::Ok().body(format!("this is message {}\n", sent.seq)),
        // Knows a status for every error of the engine, and answers application/problem+json.
        Err(error) => HttpResponse::from_error(Problem::from(error)),
    }
}

/// In earnest a user has the same id for ever: the app's own, if that is a UUID.
fn user(name: &str) -> chat_core::Result<User> {
    Ok(User::new(UserId::new(), Name::new(name)?))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());

    let chat = Engine::builder().start()?;
    let by_token = HashMap::from([("ann-7c1e", user("Ann")?), ("bob-93fa", user("Bob")?)]);
    let assistant = user("Shop")?;
    let lobby = chat.open_room(&assistant, NewRoom::open("Lobby")?).await?;
    let shop = web::Data::new(Shop { lobby, assistant });

    // Made once and cloned for every worker.
    let sockets = Sockets::new(&chat, Arc::new(Customers { by_token }));
    let app = move || {
        App::new()
            .app_data(shop.clone())
            .service(hello)
            .service(announce)
            .service(socket::route("/ws", sockets.clone()))
    };
    let server = HttpServer::new(app)
        // So that frames leave at once, and a peer that has stopped reading does not stay for ever.
        .on_connect(socket::on_connect(TcpOptions::default()))
        .disable_signals()
        .bind(&address)?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    let server = server.run();
    let handle = server.handle();
    let server = rt::spawn(server);

    rt::signal::ctrl_c().await?;
    // In this order: connections end when their sessions do, and the server stops when they have
    // ended.
    chat.drain(Duration::from_secs(5));
    handle.stop(true).await;
    chat.stop().await;
    server.await??;
    Ok(())
}
