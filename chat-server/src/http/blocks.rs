//! `/blocks`: whom somebody does not want to be seen or found by.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::auth::Bearer;
use crate::http::body::{NoQuery, User};
use crate::http::examples::{AT, DORA};
use crate::http::{Api, account, codes, resource, to_the_end, words};
use crate::people::Blocked;
use crate::protocol::{Problem, Time, UserView};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/blocks", "GET").route(web::get().to(blocks))).service(
        resource("/blocks/{user}", "PUT, DELETE")
            .route(web::put().to(block))
            .route(web::delete().to(unblock)),
    );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(blocks, block, unblock))]
pub(super) struct Calls;

/// Somebody who is blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = Block)]
pub(super) struct BlockView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    /// Guests have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Username>, nullable = false)]
    username: Option<&'a str>,
    since: Time,
}

impl<'a> From<&'a Blocked> for BlockView<'a> {
    fn from(blocked: &'a Blocked) -> Self {
        let Blocked { user, username, since } = blocked;
        Self { user: user.into(), username: username.as_deref(), since: Time(*since) }
    }
}

/// Whom somebody has blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = Blocks)]
pub(super) struct BlocksView<'a> {
    /// Latest first.
    blocks: Vec<BlockView<'a>>,
}

/// Whom the caller has blocked
#[utoipa::path(
    get,
    path = "/blocks",
    tag = "blocks",
    operation_id = "listBlocks",
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "All of them.",
            body = BlocksView<'_>,
            links(("unblock" = (
                operation_id = "unblock",
                parameters(("user" = "$response.body#/blocks/0/id")),
                description = "Unblocks one of them.",
            ))),
            example = json!({
                "blocks": [{ "id": DORA, "name": "Dora 🐑", "username": "dora", "since": AT }],
            }),
        ),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn blocks(
    api: Data<Api>,
    Bearer(identity): Bearer,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let blocks = api.friends.blocks(account(&identity)?).await?;
    let blocks = blocks.iter().map(BlockView::from).collect();
    Ok(HttpResponse::Ok().json(BlocksView { blocks }))
}

/// Block somebody
///
/// Ends the friendship on the own side. Who is blocked is not told: it sees the caller as absent, does not
/// find it, and cannot open a direct room with it, invite it or write to it in the direct room that they have.
#[utoipa::path(
    put,
    path = "/blocks/{user}",
    tag = "blocks",
    operation_id = "block",
    params(User),
    security(("bearer" = [])),
    responses(
        (
            status = 204,
            description = "The user is blocked.",
            links(("unblock" = (
                operation_id = "unblock",
                parameters(("user" = "$request.path.user")),
                description = "Ends that.",
            ))),
        ),
        codes::NoSuchUser,
        codes::TooMany,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn block(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(other): User,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    account(&identity)?;
    let (presence, user) = (api.presence.clone(), identity.user);
    to_the_end(async move { presence.block(&user, other, true).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Unblock somebody
#[utoipa::path(
    delete,
    path = "/blocks/{user}",
    tag = "blocks",
    operation_id = "unblock",
    params(User),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The user is not blocked."),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn unblock(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(other): User,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    account(&identity)?;
    let (presence, user) = (api.presence.clone(), identity.user);
    to_the_end(async move { presence.block(&user, other, false).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}
