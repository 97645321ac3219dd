//! The OpenAPI document at `/api/openapi.json` is one, is about all of this server's addresses and about
//! no others, and says of the codes what `docs/protocol.md` says. That answers are as it says is seen in
//! all other tests (`support/contract.rs`); that this would be noticed, here.

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod document;
mod planted;
mod server;

use serde_json::Value;
use support::contract::{CONTRACT, escape, methods};

fn document() -> &'static Value {
    &CONTRACT.document
}

/// All operations: path, method, and what is said of them.
fn operations() -> Vec<(&'static str, String, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths").iter();
    let all = paths.flat_map(|(path, item)| {
        methods(item).map(move |method| (path.as_str(), method.clone(), &item[method]))
    });
    all.collect()
}

/// Every value below this one, with its JSON pointer.
fn walk<'a>(value: &'a Value, place: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(place, value);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk(value, &format!("{place}/{}", escape(name)), see);
            }
        }
        Value::Array(items) => {
            for (nth, value) in items.iter().enumerate() {
                walk(value, &format!("{place}/{nth}"), see);
            }
        }
        _ => {}
    }
}
