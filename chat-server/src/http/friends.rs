//! `/friends`, `/friend-groups` and `/blocks`: whom somebody wants to see, and whom not.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Bearer;
use crate::http::body::{Body, Group, MaybeBody, Query, User};
use crate::http::examples::{AT, DORA, GROUP};
use crate::http::users::NamedView;
use crate::http::{Api, account, codes, resource, words};
use crate::people::{self, Blocked, Friend, FriendChange, GroupName, Notice};
use crate::protocol::{Fields, Problem, Time};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/friend-groups", "GET, POST")
                .route(web::get().to(groups))
                .route(web::post().to(add_group)),
        )
        .service(
            resource("/friend-groups/{group}", "PATCH, DELETE")
                .route(web::patch().to(rename_group))
                .route(web::delete().to(remove_group)),
        )
        .service(resource("/friends", "GET").route(web::get().to(friends)))
        .service(
            resource("/friends/{user}", "PUT, PATCH, DELETE")
                .route(web::put().to(add))
                .route(web::patch().to(change))
                .route(web::delete().to(remove)),
        )
        .service(resource("/blocks", "GET").route(web::get().to(blocks)))
        .service(
            resource("/blocks/{user}", "PUT, DELETE")
                .route(web::put().to(block))
                .route(web::delete().to(unblock)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(
    groups,
    add_group,
    rename_group,
    remove_group,
    friends,
    add,
    change,
    remove,
    blocks,
    block,
    unblock
))]
pub(super) struct Calls;

/// A group of friends.
#[derive(Serialize, ToSchema)]
#[schema(as = FriendGroup)]
pub(super) struct GroupView<'a> {
    id: Uuid,
    #[schema(value_type = words::GroupName)]
    name: &'a str,
    /// How many are in it.
    friends: u64,
}

impl<'a> From<&'a people::Group> for GroupView<'a> {
    fn from(group: &'a people::Group) -> Self {
        Self { id: group.id, name: &group.name, friends: group.friends }
    }
}

/// The groups of friends that somebody has.
#[derive(Serialize, ToSchema)]
#[schema(as = FriendGroups)]
pub(super) struct GroupsView<'a> {
    /// Oldest first.
    groups: Vec<GroupView<'a>>,
}

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

/// Friends.
#[derive(Serialize, ToSchema)]
#[schema(as = Friends)]
pub(super) struct FriendsView<'a> {
    /// Favourites first, in the order of usernames.
    friends: Vec<FriendView<'a>>,
}

/// Somebody who is blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = Block)]
pub(super) struct BlockView<'a> {
    #[serde(flatten)]
    account: NamedView<'a>,
    since: Time,
}

impl<'a> From<&'a Blocked> for BlockView<'a> {
    fn from(blocked: &'a Blocked) -> Self {
        let account = NamedView::new(&blocked.user, &blocked.username);
        Self { account, since: Time(blocked.since) }
    }
}

/// Whom somebody has blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = Blocks)]
pub(super) struct BlocksView<'a> {
    /// Latest first.
    blocks: Vec<BlockView<'a>>,
}

/// What a group of friends is to be called.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewGroup {
    #[schema(value_type = words::GroupName)]
    name: String,
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

/// The caller's groups of friends
///
/// Besides the default one, which has no id.
#[utoipa::path(
    get,
    path = "/friend-groups",
    tag = "friends",
    operation_id = "listGroups",
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "All of them.",
            body = GroupsView<'_>,
            example = json!({ "groups": [{ "id": GROUP, "name": "Work", "friends": 0 }] }),
        ),
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn groups(api: Data<Api>, Bearer(identity): Bearer) -> Result<HttpResponse, Problem> {
    let groups = api.friends.groups(account(&identity)?).await?;
    let groups = groups.iter().map(GroupView::from).collect();
    Ok(HttpResponse::Ok().json(GroupsView { groups }))
}

fn group_name(mut fields: Fields) -> Result<GroupName, Problem> {
    let name = GroupName::new(fields.needed_text("name")?)?;
    fields.finish()?;
    Ok(name)
}

/// Make a group of friends
#[utoipa::path(
    post,
    path = "/friend-groups",
    tag = "friends",
    operation_id = "addGroup",
    security(("bearer" = [])),
    request_body(content = NewGroup, example = json!({ "name": "Work" })),
    responses(
        (
            status = 201,
            description = "The group.",
            body = GroupView<'_>,
            links(
                ("rename" = (
                    operation_id = "renameGroup",
                    parameters(("group" = "$response.body#/id")),
                    description = "Calls it something else.",
                )),
                ("remove" = (
                    operation_id = "removeGroup",
                    parameters(("group" = "$response.body#/id")),
                    description = "Removes it.",
                ))
            ),
            example = json!({ "id": GROUP, "name": "Work", "friends": 0 }),
        ),
        codes::TooMany,
        codes::TooShort,
        codes::TooLong,
        codes::BadText,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn add_group(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Body(fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let group = api.friends.add_group(user, group_name(fields)?).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::Created().json(GroupView::from(&group)))
}

/// Rename a group of friends
#[utoipa::path(
    patch,
    path = "/friend-groups/{group}",
    tag = "friends",
    operation_id = "renameGroup",
    params(Group),
    security(("bearer" = [])),
    request_body(content = NewGroup, example = json!({ "name": "Büro" })),
    responses(
        (status = 204, description = "It is called so."),
        codes::NoSuchGroup,
        codes::TooShort,
        codes::TooLong,
        codes::BadText,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn rename_group(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Group(group): Group,
    Body(fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.friends.rename_group(user, group, &group_name(fields)?).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::NoContent().finish())
}

/// Remove a group of friends
///
/// Its friends fall into the default one.
#[utoipa::path(
    delete,
    path = "/friend-groups/{group}",
    tag = "friends",
    operation_id = "removeGroup",
    params(Group),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "There is no such group."),
        codes::NoSuchGroup,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn remove_group(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Group(group): Group,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.friends.remove_group(user, group).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::NoContent().finish())
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
            example = json!({ "friends": [{
                    "id": DORA,
                    "name": "Dora 🐑",
                    "username": "dora",
                    "group": GROUP,
                    "favourite": false,
                    "hidden": false,
                    "mutual": false,
                    "state": "offline",
                }] }),
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
            example = json!({
                "id": DORA,
                "name": "Dora 🐑",
                "username": "dora",
                "group": GROUP,
                "favourite": false,
                "hidden": false,
                "mutual": false,
                "state": "offline",
            }),
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
    MaybeBody(fields): MaybeBody,
) -> Result<HttpResponse, Problem> {
    let change = fields.map(friend_change).transpose()?.unwrap_or_default();
    let user = account(&identity)?;
    let added = api.friends.add(user, friend, change);
    let friend = api.presence.change(user, friend, added).await?;
    api.presence.notify(user, Notice::Friends);
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
            example = json!({
                "id": DORA,
                "name": "Dora 🐑",
                "username": "dora",
                "group": GROUP,
                "favourite": false,
                "hidden": false,
                "mutual": false,
                "state": "offline",
            }),
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
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.presence.change(user, friend, api.friends.remove(user, friend)).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::NoContent().finish())
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
async fn blocks(api: Data<Api>, Bearer(identity): Bearer) -> Result<HttpResponse, Problem> {
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
) -> Result<HttpResponse, Problem> {
    account(&identity)?;
    api.presence.block(&identity.user, other, true).await?;
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
) -> Result<HttpResponse, Problem> {
    account(&identity)?;
    api.presence.block(&identity.user, other, false).await?;
    Ok(HttpResponse::NoContent().finish())
}
