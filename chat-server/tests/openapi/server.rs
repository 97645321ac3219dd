//! It is about this server: all of its addresses, with their methods and who may call them, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::json;

use crate::support::TestServer;
use crate::support::contract::methods;
use crate::support::scene::NO_ROOM;
use crate::{document, operations};

const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// An address that a path of the document stands for.
fn address(path: &str) -> String {
    let path = match path {
        "/web/{path}" => "/web/app.js",
        "/api/docs/{file}" => "/api/docs/swagger-ui.css",
        path => path,
    };
    let path = path.replace("{seq}", "1");
    ["{room}", "{user}", "{group}"].iter().fold(path, |path, part| path.replace(part, NO_ROOM))
}

#[actix_web::test]
async fn every_operation_is_routed_and_no_other_method_is() {
    let server = TestServer::start().await;
    let mut refused = 0;
    for (path, item) in document()["paths"].as_object().expect("paths") {
        let described: Vec<_> = methods(item).collect();
        for method in METHODS.into_iter().chain(["BREW"]) {
            let called = Method::from_bytes(method.as_bytes()).expect("a method");
            let request = server.http.request(called, format!("{}{}", server.base, address(path)));
            // That `Allow` names the methods described is seen on the way.
            let answer = request.send().await.expect("an answer");
            let is_described = described.contains(&method.to_lowercase());
            assert_eq!(answer.status() != 405, is_described, "{method} {path}");
            assert_ne!(answer.code().as_deref(), Some("not_found"), "{method} {path}");
            refused += usize::from(!is_described);
        }
    }
    assert!(refused > 150, "only {refused}");
}

#[actix_web::test]
async fn a_token_is_needed_where_it_is_said_and_nowhere_else() {
    let server = TestServer::start().await;
    for (path, method, operation) in operations() {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let request = server.http.request(method, format!("{}{}", server.base, address(path)));
        let request = match operation.get("requestBody") {
            Some(_) => request.json(&json!({})),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let needed = operation["security"].as_array().is_some_and(|all| !all.contains(&json!({})));
        let refused = answer.code().as_deref() == Some("unauthorized");
        assert_eq!(refused, needed, "{path}");
    }
}

/// The addresses that the sources give to `resource`, with the methods that they say there are.
fn resources() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let sources =
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).expect("text"));
    let mut found = Vec::new();
    for source in sources {
        for call in source.split("resource(\"").skip(1) {
            let mut words = call.split('"');
            let (path, methods) = (words.next(), words.nth(1));
            found.push((
                path.expect("a path").replace(":.*", ""),
                methods.expect("methods").to_owned(),
            ));
        }
    }
    found
}

#[test]
fn every_address_is_described() {
    let paths = document()["paths"].as_object().expect("paths");
    let mut described: BTreeSet<_> = paths.keys().map(String::as_str).collect();
    assert!(described.remove("/ws"), "which is the transports' own");
    for (path, allowed) in resources() {
        let below = format!("/api/v1{path}");
        let found = [path.as_str(), &below].into_iter().find(|path| described.contains(path));
        let found = found.unwrap_or_else(|| panic!("{path} is not described, or routed twice"));
        let mut allowed: Vec<_> = allowed.split(", ").map(str::to_lowercase).collect();
        let mut methods: Vec<_> = methods(&paths[found]).collect();
        allowed.sort_unstable();
        methods.sort_unstable();
        assert_eq!(allowed, methods, "{path}");
        described.remove(found);
    }
    assert!(described.is_empty(), "nobody answers at {described:?}");
}

#[actix_web::test]
async fn the_document_is_given_to_everybody_and_once() {
    let server = TestServer::start().await;
    let get = || server.http.get(format!("{}/api/openapi.json", server.base));
    let answer = get().send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json(), *document());
    let tag = answer.header("etag").expect("a tag");
    let again = get().header("if-none-match", &tag).send().await.expect("an answer");
    assert_eq!(again.status(), 304);
}
