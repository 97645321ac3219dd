//! `/rooms/{room}/members`: who belongs to a room; invite, join and leave; roles, mutes and kicks.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use chat_core::{After, Moderation, RoomCommand};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Caller;
use crate::http::body::{Body, Key, NoQuery, Query, Room, User};
use crate::http::examples::{CAROL, DORA};
use crate::http::{Api, codes, resource, words};
use crate::protocol::{MemberPageView, MembershipView, Problem, Time, member_change, member_query};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/rooms/{room}/members", "GET, POST")
                .route(web::get().to(list))
                .route(web::post().to(invite)),
        )
        .service(
            resource("/rooms/{room}/members/me", "PUT, DELETE")
                .route(web::put().to(join))
                .route(web::delete().to(leave)),
        )
        .service(
            resource("/rooms/{room}/members/{user}", "PATCH, DELETE")
                .route(web::patch().to(change))
                .route(web::delete().to(kick)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(list, invite, join, leave, change, kick))]
pub(super) struct Calls;

/// A page of members, as `member_query` reads it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct MemberQuery {
    /// `next` of the page before.
    after: Option<Uuid>,
    #[param(inline, value_type = Option<words::Limit>)]
    limit: Option<usize>,
    /// Only those who are present.
    #[param(default = false)]
    online: Option<bool>,
}

/// Somebody who is to be let in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct Invitation {
    user: Uuid,
}

/// What is to become of a member: one thing at a time.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub(super) enum MemberChange {
    Role(RoleChange),
    Mute(MuteChange),
}

/// Another role; `owner` transfers the room, and makes a moderator of whoever owned it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct RoleChange {
    #[schema(value_type = words::Role)]
    role: String,
}

/// Whether a member may not write.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct MuteChange {
    muted: bool,
    /// When that ends by itself; goes with `"muted": true` alone.
    #[schema(nullable = false)]
    muted_until: Option<Time>,
}

/// The members of a room
///
/// In the order of their ids, or with `online=true` those who are present.
#[utoipa::path(
    get,
    path = "/rooms/{room}/members",
    tag = "members",
    operation_id = "listMembers",
    params(Room, MemberQuery),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "A page of members.",
            body = MemberPageView<'_>,
            links(
                ("next" = (
                    operation_id = "listMembers",
                    parameters(
                        ("room" = "$request.path.room"),
                        ("online" = "$request.query.online"),
                        ("after" = "$response.body#/next")
                    ),
                    description = "The next page, if there is one.",
                )),
                ("user" = (
                    operation_id = "getUser",
                    parameters(("user" = "$response.body#/members/0/id")),
                    description = "The account of one of them.",
                ))
            ),
            example = json!({
                "count": 1,
                "online": 0,
                "members": [{
                    "id": CAROL,
                    "name": "Carol",
                    "role": "owner",
                    "state": "offline",
                    "devices": 0,
                }],
            }),
        ),
        codes::ToMembers,
    ),
)]
async fn list(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let query = member_query(&mut fields)?;
    fields.finish()?;
    let page = api.engine.room(room).members(&user, query).await?;
    Ok(HttpResponse::Ok().json(MemberPageView::from(&page)))
}

/// Join a room
///
/// Makes the caller a member, if it is none yet. A private room takes whoever is invited.
#[utoipa::path(
    put,
    path = "/rooms/{room}/members/me",
    tag = "members",
    operation_id = "join",
    params(Room),
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The caller is a member.",
            body = MembershipView<'_>,
            links(
                ("send" = (
                    operation_id = "sendMessage",
                    parameters(("room" = "$request.path.room")),
                    description = "Writes in the room.",
                )),
                ("messages" = (
                    operation_id = "listMessages",
                    parameters(("room" = "$request.path.room")),
                    description = "What was said last.",
                )),
                ("leave" = (
                    operation_id = "leave",
                    parameters(("room" = "$request.path.room")),
                    description = "Ends it.",
                ))
            ),
            example = json!({ "id": CAROL, "name": "Carol", "role": "owner" }),
        ),
        codes::ToMembers,
        codes::Forbidden,
    ),
)]
async fn join(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let joined = api.engine.room(room).join(&user, After::Nothing).await?;
    Ok(HttpResponse::Ok().json(MembershipView::new(&joined.me, joined.mute)))
}

/// Leave a room
///
/// For all of the caller's connections. An owner cannot leave others behind in a room that is not
/// ephemeral, and nobody leaves a direct room.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/members/me",
    tag = "members",
    operation_id = "leave",
    params(Room, Key),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The caller is no member."),
        codes::AsMember,
        codes::Once,
    ),
)]
async fn leave(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    key: Key,
) -> Result<HttpResponse, Problem> {
    key.write(&api, &user, room, RoomCommand::Leave).await
}

/// Invite somebody
///
/// Who may then join; of a private room, all connections of the user are told so. The room's settings
/// say who may invite.
#[utoipa::path(
    post,
    path = "/rooms/{room}/members",
    tag = "members",
    operation_id = "invite",
    params(Room, Key),
    security(("bearer" = [])),
    request_body(content = Invitation, example = json!({ "user": DORA })),
    responses(
        (status = 204, description = "The user is invited, or a member already."),
        codes::AsMember,
        codes::NoSuchUser,
        codes::Once,
    ),
)]
async fn invite(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    key: Key,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let guest = fields.user()?;
    fields.finish()?;
    key.write(&api, &user, room, RoomCommand::InviteUser(guest)).await
}

/// Change a member
///
/// Its role, for the owner; or whether it may write, for moderators too. Nobody acts upon somebody whose
/// role is not below the own one.
#[utoipa::path(
    patch,
    path = "/rooms/{room}/members/{user}",
    tag = "members",
    operation_id = "changeMember",
    params(Room, User, Key),
    security(("bearer" = [])),
    request_body(
        content = MemberChange,
        examples(
            ("moderator" = (summary = "A moderator", value = json!({ "role": "moderator" }))),
            ("transfer" = (summary = "The new owner", value = json!({ "role": "owner" }))),
            ("mute" = (
                summary = "May not write for a while",
                value = json!({ "muted": true, "muted_until": "2100-01-02T03:04:05.678Z" }),
            )),
            ("unmute" = (summary = "May write again", value = json!({ "muted": false }))),
        ),
    ),
    responses(
        (status = 204, description = "It is so, or was before."),
        codes::AsMember,
        codes::NoSuchMember,
        codes::Once,
    ),
)]
async fn change(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    User(member): User,
    key: Key,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let act = member_change(&mut fields, member)?;
    fields.finish()?;
    key.write(&api, &user, room, RoomCommand::Moderate(act)).await
}

/// Kick a member
///
/// Ends a membership. The user may join again; a private room, if it is invited again.
#[utoipa::path(
    delete,
    path = "/rooms/{room}/members/{user}",
    tag = "members",
    operation_id = "kick",
    params(Room, User, Key),
    security(("bearer" = [])),
    responses(
        (
            status = 204,
            description = "The user is no member any more.",
            links(("ban" = (
                operation_id = "ban",
                parameters(
                    ("room" = "$request.path.room"),
                    ("user" = "$request.path.user")
                ),
                description = "Keeps the user out.",
            ))),
        ),
        codes::AsMember,
        codes::NoSuchMember,
        codes::Once,
    ),
)]
async fn kick(
    api: Data<Api>,
    Caller(user): Caller,
    Room(room): Room,
    User(member): User,
    key: Key,
) -> Result<HttpResponse, Problem> {
    let kick = RoomCommand::Moderate(Moderation::Kick { user: member });
    key.write(&api, &user, room, kick).await
}
