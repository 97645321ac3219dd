//! What the calls are refused with. A handler names the codes that are its own; those that go with what it
//! takes are added here, and each finds its status in the list of codes. So no refusal is described twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::AllOfBuilder;
use utoipa::openapi::{
    ContentBuilder, Header, ObjectBuilder, OpenApi, Ref, Response, ResponseBuilder, Type,
};

use crate::http::codes::{self, Row};
use crate::http::problem::Document;

/// Writes the refusals of all calls.
pub(super) fn write(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let is_call = path.starts_with("/api/v1/");
        for operation in operations(item) {
            refuse(operation, is_call);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, head, patch, .. } = item;
    [get, put, post, delete, head, patch].into_iter().flatten()
}

fn refuse(operation: &mut Operation, is_call: bool) {
    let responses = &mut operation.responses.responses;
    let mut rows: Vec<&Row> = responses.keys().filter_map(|key| codes::row(key)).collect();
    responses.retain(|key, _| codes::row(key).is_none());
    let known = |code| codes::row(code).expect("a code on the list");
    if operation.security.is_some() {
        rows.push(known("unauthorized"));
    }
    let takes_body = operation.request_body.is_some();
    if takes_body {
        rows.extend(["bad_json", "unsupported_media_type", "too_large"].map(known));
    }
    if is_call {
        rows.push(known("bad_request"));
    }
    rows.sort_by_key(|row| row.code);
    rows.dedup_by_key(|row| row.code);
    let mut by_status = BTreeMap::<u16, Vec<&Row>>::new();
    for row in rows {
        let status = row.status.expect("a code of HTTP");
        by_status.entry(status.as_u16()).or_default().push(row);
    }
    for (status, rows) in by_status {
        responses.insert(status.to_string(), response(status, &rows).into());
    }
}

/// The answer with this status, which has one of these codes.
fn response(status: u16, rows: &[&Row]) -> Response {
    let lines = rows.iter().map(|row| format!("- `{}`: {}", row.code, row.when));
    let codes = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(rows.iter().map(|row| row.code)));
    let statuses = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status]));
    let narrower = ObjectBuilder::new().property("code", codes).property("status", statuses);
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrower);
    let examples =
        rows.iter().map(|row| (row.code, ExampleBuilder::new().value(Some(sample(row)))));
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n"))
        .content("application/problem+json", content);
    for (name, header) in headers(status, rows) {
        response = response.header(name, header);
    }
    response.build()
}

fn sample(row: &Row) -> Value {
    let status = row.status.expect("a code of HTTP");
    json!(Document::new(&(row.sample)(), status))
}

/// What comes in the headers of such an answer.
fn headers(status: u16, rows: &[&Row]) -> Vec<(&'static str, Header)> {
    let text = |description: &str, value: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([value]));
        HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
    };
    let mut headers = Vec::new();
    match status {
        401 => headers.push(("WWW-Authenticate", text("How to say who one is.", "Bearer"))),
        426 => {
            headers.push(("Upgrade", text("What is spoken here.", "websocket")));
            headers.push(("Sec-WebSocket-Version", text("In which version.", "13")));
        }
        _ => {}
    }
    if rows.iter().any(|row| (row.sample)().retry) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_usize));
        let header = HeaderBuilder::new().schema(Some(seconds));
        let what = "In how many seconds the very same may succeed.";
        headers.push(("Retry-After", header.description(Some(what)).build()));
    }
    headers
}
