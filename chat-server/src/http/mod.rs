//! The HTTP interface: one file a resource, the data it takes and gives beside its handlers.
//! Everything is asked of the engine and of [`people`](crate::people); nothing here knows a store.

mod bans;
mod blocks;
mod body;
mod codes;
mod docs;
mod examples;
mod file;
mod friends;
mod groups;
mod health;
mod members;
mod messages;
mod metrics;
mod openapi;
mod page;
mod problem;
mod reading;
mod rooms;
mod search;
mod threads;
mod tokens;
mod users;
mod words;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ALLOW;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Responder};
use chat_core::{Clock, Code, Engine, Error, UserId};

use crate::auth::{Admit, Identity, Proxies, Tokens};
pub use crate::http::openapi::document;
pub use crate::http::rooms::Lists;
use crate::ops::Metrics;
use crate::people::{Friends, FriendsPresence, People, PeopleError};
use crate::protocol::Problem;
use crate::search::Search;

/// The most bytes that a request's body may have.
const MOST_BODY: usize = 65_536;

/// What the HTTP interface needs.
pub struct Api {
    /// The engine.
    pub engine: Engine,
    /// Who has an account.
    pub people: Arc<People>,
    /// Who has whom as a friend, and whom not.
    pub friends: Arc<Friends>,
    /// Finds messages.
    pub search: Search,
    /// Tells friends of each other.
    pub presence: FriendsPresence,
    /// The proxies whose word counts for where somebody comes from.
    pub proxies: Proxies,
    /// Signs new tokens.
    pub tokens: Arc<Tokens>,
    /// Knows users by their tokens.
    pub gate: Arc<dyn Admit>,
    /// The engine's clock.
    pub clock: Arc<dyn Clock>,
    /// Whether anybody may become a guest.
    pub guests: bool,
    /// How long a user's token lasts.
    pub access_ttl: Duration,
    /// How long a guest's token lasts.
    pub guest_ttl: Duration,
    /// What the server counts, if anybody may know it.
    pub metrics: Option<Arc<Metrics>>,
}

/// Adds the interface to an `App`, one for each worker.
pub fn configure(api: &Arc<Api>, lists: &Lists) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let gate = web::Data::from(Arc::clone(&api.gate));
    let api = web::Data::from(Arc::clone(api));
    let lists = web::Data::new(lists.clone());
    move |config| {
        let calls = web::scope("/api/v1")
            .app_data(web::PayloadConfig::new(MOST_BODY))
            .configure(tokens::configure)
            .configure(users::configure)
            .configure(groups::configure)
            .configure(friends::configure)
            .configure(blocks::configure)
            // Before the rooms, one of which could be called `mine`.
            .configure(reading::configure)
            .configure(rooms::configure)
            .configure(members::configure)
            .configure(bans::configure)
            .configure(messages::configure)
            .configure(search::configure)
            .configure(threads::configure)
            .default_service(web::to(not_found));
        config
            .app_data(gate)
            .app_data(api)
            .app_data(lists)
            .configure(health::configure)
            .configure(metrics::configure)
            .configure(docs::configure)
            .service(calls)
            .configure(page::configure)
            .default_service(web::to(not_found));
    }
}

/// Who has an account: guests have no profile and no friends here.
fn account(identity: &Identity) -> Result<UserId, PeopleError> {
    identity.login.ok_or(PeopleError::NoAccount)?;
    Ok(identity.user.id)
}

/// Does something to its end, even if whoever asked for it has gone by then: what is kept is told as well.
async fn to_the_end<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => {
            tracing::error!(%error, "a call has panicked");
            Err(Error::new(Code::Internal, "something went wrong here; try again").into())
        }
    }
}

async fn not_found() -> Problem {
    Problem::not_found()
}

/// A resource that answers methods other than the `allowed` ones like every other error.
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move {
        Problem::method_not_allowed().customize().insert_header((ALLOW, allowed))
    }))
}
