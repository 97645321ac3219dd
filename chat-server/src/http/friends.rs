//! `/friends`, `/friend-groups` and `/blocks`: whom somebody wants to see, and whom not.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::{Value, json};

use crate::auth::Bearer;
use crate::http::body::{Body, Group, MaybeBody, Query, User};
use crate::http::{Api, account, resource};
use crate::people::{self, Friend, FriendChange, GroupName, Notice};
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

fn group_view(group: &people::Group) -> Value {
    json!({ "id": group.id, "name": &*group.name, "friends": group.friends })
}

/// What is there to see of a friend; whether it is there only if each has the other.
fn friend_view(api: &Api, friend: &Friend) -> Value {
    let Friend { user, username, group, favourite, hidden, mutual } = friend;
    let mut view = json!({
        "id": user.id.uuid(),
        "name": &*user.name,
        "username": &**username,
        "group": group,
        "favourite": favourite,
        "hidden": hidden,
        "mutual": mutual,
    });
    let presence = api.engine.presence(user.id);
    view["state"] = json!(if *mutual { presence.as_str() } else { "offline" });
    view
}

async fn groups(api: Data<Api>, Bearer(identity): Bearer) -> Result<HttpResponse, Problem> {
    let groups = api.friends.groups(account(&identity)?).await?;
    let groups: Vec<_> = groups.iter().map(group_view).collect();
    Ok(HttpResponse::Ok().json(json!({ "groups": groups })))
}

fn group_name(mut fields: Fields) -> Result<GroupName, Problem> {
    let name = GroupName::new(fields.needed_text("name")?)?;
    fields.finish()?;
    Ok(name)
}

async fn add_group(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Body(fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let group = api.friends.add_group(user, group_name(fields)?).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::Created().json(group_view(&group)))
}

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

async fn friends(
    api: Data<Api>,
    Bearer(identity): Bearer,
    Query(mut fields): Query,
) -> Result<HttpResponse, Problem> {
    let hidden = fields.flag("hidden")?.unwrap_or(false);
    fields.finish()?;
    let friends = api.friends.friends(account(&identity)?).await?;
    let shown = friends.iter().filter(|friend| hidden || !friend.hidden);
    let shown: Vec<_> = shown.map(|friend| friend_view(&api, friend)).collect();
    Ok(HttpResponse::Ok().json(json!({ "friends": shown })))
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
    Ok(HttpResponse::Ok().json(friend_view(&api, &friend)))
}

async fn change(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(friend): User,
    Body(fields): Body,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    let friend = api.friends.change(user, friend, friend_change(fields)?).await?;
    api.presence.notify(user, Notice::Friends);
    Ok(HttpResponse::Ok().json(friend_view(&api, &friend)))
}

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

async fn blocks(api: Data<Api>, Bearer(identity): Bearer) -> Result<HttpResponse, Problem> {
    let blocks = api.friends.blocks(account(&identity)?).await?;
    let views = blocks.iter().map(|blocked| {
        json!({
            "id": blocked.user.id.uuid(),
            "name": &*blocked.user.name,
            "username": &*blocked.username,
            "since": Time(blocked.since),
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "blocks": views.collect::<Vec<_>>() })))
}

async fn block(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(other): User,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.presence.change(user, other, api.friends.block(user, other)).await?;
    api.presence.notify(user, Notice::Blocks);
    Ok(HttpResponse::NoContent().finish())
}

async fn unblock(
    api: Data<Api>,
    Bearer(identity): Bearer,
    User(other): User,
) -> Result<HttpResponse, Problem> {
    let user = account(&identity)?;
    api.presence.change(user, other, api.friends.unblock(user, other)).await?;
    api.presence.notify(user, Notice::Blocks);
    Ok(HttpResponse::NoContent().finish())
}
