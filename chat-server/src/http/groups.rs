//! `/friend-groups`: in which order somebody keeps friends.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::auth::Bearer;
use crate::http::body::{Body, Group, KEY_IN_BODY, NoQuery};
use crate::http::examples::GROUP;
use crate::http::{Api, account, codes, resource, words};
use crate::people::{self, GroupName, Notice};
use crate::protocol::{Fields, Problem};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/friend-groups", "GET, POST")
                .route(web::get().to(groups))
                .route(web::post().to(add)),
        )
        .service(
            resource("/friend-groups/{group}", "PATCH, DELETE")
                .route(web::patch().to(rename))
                .route(web::delete().to(remove)),
        );
}

/// These calls, for the document.
#[derive(OpenApi)]
#[openapi(paths(groups, add, rename, remove))]
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

/// What a group of friends is to be called.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct GroupTitle {
    #[schema(value_type = words::GroupName)]
    name: String,
}

/// A group of friends that is to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(super) struct NewGroup {
    #[schema(value_type = words::GroupName)]
    name: String,
    #[schema(value_type = Option<words::Key>, nullable = false)]
    key: Option<String>,
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
async fn groups(
    api: Data<Api>,
    Bearer(identity): Bearer,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let groups = api.friends.groups(account(&identity)?).await?;
    let groups = groups.iter().map(GroupView::from).collect();
    Ok(HttpResponse::Ok().json(GroupsView { groups }))
}

fn group_name(fields: &mut Fields) -> Result<GroupName, Problem> {
    Ok(GroupName::new(fields.needed_text("name")?)?)
}

/// Make a group of friends
#[utoipa::path(
    post,
    path = "/friend-groups",
    tag = "friends",
    operation_id = "addGroup",
    security(("bearer" = [])),
    request_body(content = NewGroup, example = json!({ "name": "Work", "key": "g1" })),
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
        codes::Once,
        codes::TooShort,
        codes::BadText,
        codes::NoAccount,
        codes::Unavailable,
    ),
)]
async fn add(
    api: Data<Api>,
    Bearer(identity): Bearer,
    _: NoQuery<KEY_IN_BODY>,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let (name, key) = (group_name(&mut fields)?, fields.key()?);
    fields.finish()?;
    let group = api.friends.add_group(user, name, key).await?;
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
    request_body(content = GroupTitle, example = json!({ "name": "Büro" })),
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
async fn rename(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Group(group): Group,
    _: NoQuery,
    Body(mut fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let name = group_name(&mut fields)?;
    fields.finish()?;
    api.friends.rename_group(user, group, &name).await?;
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
async fn remove(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Group(group): Group,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.friends.remove_group(user, group).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::NoContent().finish())
}
