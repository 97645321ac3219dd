//! `/friends`: whom somebody wants to see come and go.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Bearer;
use crate::http::body::{Body, MaybeBody, NoQuery, Query, User};
use crate::http::examples::{DORA, GROUP};
use crate::http::users::NamedView;
use crate::http::{Api, account, codes, resource, to_the_end, words};
use crate::people::{Friend, FriendChange, Notice};
use crate::protocol::{Fields, Problem};

pub(super) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/friends", "GET").route(web::get().to(friends))).service(
        resource("/friends/{user}", "PUT, PATCH, DELETE")
            .route(web::put().to(add))
            .route(web::patch().to(change))
            .route(web::delete().to(remove)),
    );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(friends, add, change, remove))]
pub(super) struct Calls;

/// A friend.
#[derive(Serialize, ToSchema)]
#[schema(as = Friend)]
pub(super) struct FriendView<'a> {
    #[serde(flatten)]
    account: NamedView<'a>,
    /// In which group; `null` for the default one.
    #[schema(required)]
    group: Option<Uuid>,
    /// Whether it stands first.
    favourite: bool,
    /// Whether it is left out of the list.
    hidden: bool,
    /// Whether each has the other as a friend.
    mutual: bool,
    #[schema(value_type = words::State)]
    state: &'static str,
}

impl<'a> FriendView<'a> {
    /// What is there to see of a friend; whether it is there only if each has the other.
    fn new(api: &Api, friend: &'a Friend) -> Self {
        let Friend { user, username, group, favourite, hidden, mutual } = friend;
        let presence = api.engine.presence(user.id);
        Self {
            account: NamedView::new(user, username),
            group: *group,
            favourite: *favourite,
            hidden: *hidden,
            mutual: *mutual,
            state: if *mutual { presence.as_str() } else { "offline" },
        }
    }
}

impl FriendView<'_> {
    fn example() -> Value {
        json!({
            "id": DORA,
            "name": "Dora 🐑",
            "username": "dora",
            "group": GROUP,
            "favourite": false,
            "hidden": false,
            "mutual": false,
            "state": "offline",
        })
    }
}

/// Friends.
#[derive(Serialize, ToSchema)]
#[schema(as = Friends)]
pub(super) struct FriendsView<'a> {
    /// Favourites first, in the order of usernames.
    friends: Vec<FriendView<'a>>,
}

impl FriendsView<'_> {
    fn example() -> Value {
        json!({ "friends": [FriendView::example()] })
    }
}

/// What is to be another way about a friend; what is left out stays.
#[derive(ToSchema)]
#[schema(as = FriendChange)]
#[expect(dead_code, reason = "only described")]
pub(super) struct FriendFields {
    /// One of the caller's groups; `null` for the default one.
    group: Option<Uuid>,
    #[schema(nullable = false)]
    favourite: Option<bool>,
    #[schema(nullable = false)]
    hidden: Option<bool>,
}

/// Which friends.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct Shown {
    /// Those that are hidden, too.
    #[param(default = false)]
    hidden: Option<bool>,
}

/// The caller's friends
///
/// Two who have each other see each other's `state`; everybody else is shown as `offline`.
#[utoipa::path(
    get,
    path = "/friends",
    tag = "friends",
    operation_id = "listFriends",
    params(Shown),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "All of them.",
            body = FriendsView<'_>,
            links(("change" = (
                operation_id = "changeFriend",
                parameters(("user" = "$response.body#/friends/0/id")),
                description = "Changes something about one of them.",
            ))),
            example = FriendsView::example,
        ),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn friends(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let hidden = fields.flag("hidden")?.unwrap_or(false);
    fields.finish()?;
    let friends = api.friends.friends(account(&identity)?).await?;
    let shown = friends.iter().filter(|friend| hidden || !friend.hidden);
    let friends = shown.map(|friend| FriendView::new(&api, friend)).collect();
    Ok(HttpResponse::Ok().json(FriendsView { friends }))
}

fn friend_change(mut fields: Fields) -> Result<FriendChange, Problem> {
    let change = FriendChange {
        group: fields.id_or_null("group")?,
        favourite: fields.flag("favourite")?,
        hidden: fields.flag("hidden")?,
    };
    fields.finish()?;
    Ok(change)
}

/// Add a friend
///
/// The other one is neither asked nor told. The body may be left out.
#[utoipa::path(
    put,
    path = "/friends/{user}",
    tag = "friends",
    operation_id = "addFriend",
    params(User),
    security(("bearer" = [])),
    request_body(content = Option<FriendFields>, example = json!({ "group": GROUP })),
    responses(
        (
            status = 200,
            description = "The friend.",
            body = FriendView<'_>,
            links(
                ("change" = (
                    operation_id = "changeFriend",
                    parameters(("user" = "$response.body#/id")),
                    description = "Changes something about it.",
                )),
                ("remove" = (
                    operation_id = "removeFriend",
                    parameters(("user" = "$response.body#/id")),
                    description = "Is no friend any more.",
                ))
            ),
            example = FriendView::example,
        ),
        codes::NoSuchUser,
        codes::NoSuchGroup,
        codes::TooMany,
        codes::Blocked,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn add(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(friend): User,
    _: NoQuery,
    MaybeBody(fields): MaybeBody,
) -> Result<HttpResponse, Problem> {
    let change = fields.map(friend_change).transpose()?.unwrap_or_default();
    let user = account(&identity)?;
    let presence = api.presence.clone();
    let friend = to_the_end(async move { presence.add(user, friend, change).await }).await?;
    Ok(HttpResponse::Ok().json(FriendView::new(&api, &friend)))
}

/// Change something about a friend
#[utoipa::path(
    patch,
    path = "/friends/{user}",
    tag = "friends",
    operation_id = "changeFriend",
    params(User),
    security(("bearer" = [])),
    request_body(content = FriendFields, example = json!({ "favourite": true, "hidden": false, "group": null })),
    responses(
        (
            status = 200,
            description = "The friend.",
            body = FriendView<'_>,
            links(
                ("change" = (
                    operation_id = "changeFriend",
                    parameters(("user" = "$response.body#/id")),
                    description = "Changes something about it.",
                )),
                ("remove" = (
                    operation_id = "removeFriend",
                    parameters(("user" = "$response.body#/id")),
                    description = "Is no friend any more.",
                ))
            ),
            example = FriendView::example,
        ),
        codes::NotAFriend,
        codes::NoSuchGroup,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn change(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(friend): User,
    _: NoQuery,
    Body(fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let friend = api.friends.change(user, friend, friend_change(fields)?).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::Ok().json(FriendView::new(&api, &friend)))
}

/// Remove a friend
#[utoipa::path(
    delete,
    path = "/friends/{user}",
    tag = "friends",
    operation_id = "removeFriend",
    params(User),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The user is no friend."),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn remove(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(friend): User,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let presence = api.presence.clone();
    to_the_end(async move { presence.remove(user, friend).await }).await?;
    Ok(HttpResponse::NoContent().finish())
}
