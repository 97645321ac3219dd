//! It is a document of OpenAPI 3.1, as another program understands these, and its parts fit each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::contract::CONTRACT;
use crate::support::text;
use crate::{document, operations, walk};

#[test]
fn it_is_a_document_of_openapi_3_1() {
    let read = oas3::from_json(document().to_string()).expect("a document of OpenAPI 3.1");
    assert!(read.validate_version().is_ok_and(|version| (version.major, version.minor) == (3, 1)));
    assert_eq!(read.operations().count(), operations().len());
    // What it does not know, it drops. (Links and schemas, of which it does not know all, have tests of
    // their own.)
    let again = serde_json::to_value(&read).expect("JSON");
    walk(document(), "", &mut |place, value| {
        let known = !place.contains("/links/") && !place.contains("/schema");
        let kept = again.pointer(place).is_some() || value.is_null() || !known;
        assert!(kept, "{place} is no part of OpenAPI");
    });
    for (name, schema) in document()["components"]["schemas"].as_object().expect("schemas") {
        let good = jsonschema::meta::validate(schema);
        assert!(good.is_ok(), "{name}: {good:?}");
        let closed = schema["additionalProperties"] == json!(false);
        assert_eq!(closed, schema["type"] == "object", "{name}: objects are closed");
    }
    let info = &document()["info"];
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["license"]["name"], "MIT OR Apache-2.0");
    assert_eq!(document()["servers"][0]["url"], "/");
}

#[test]
fn all_that_is_referred_to_is_there_and_used() {
    let mut used = BTreeSet::new();
    walk(document(), "", &mut |place, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let found = reference.strip_prefix('#').and_then(|place| document().pointer(place));
            assert!(found.is_some(), "{place} refers to {reference}");
            used.insert(reference.to_owned());
        }
    });
    for name in document()["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(used.contains(&format!("#/components/schemas/{name}")), "nobody uses {name}");
    }
    let tags = document()["tags"].as_array().expect("tags").iter();
    let tags: BTreeSet<_> = tags.map(|tag| text(&tag["name"])).collect();
    let mut of_operations = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let id = text(&operation["operationId"]);
        assert!(ids.insert(id), "{method} {path} has the id of another one");
        assert!(!text(&operation["summary"]).is_empty(), "{method} {path}");
        of_operations.extend(operation["tags"].as_array().into_iter().flatten().map(text));
        for name in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_this =
                parameters.filter(|known| known["name"] == *name && known["in"] == "path");
            assert_eq!(of_this.count(), 1, "{method} {path}: {name}");
        }
    }
    assert_eq!(tags, of_operations, "described, and used");
}

#[test]
fn links_lead_to_operations_and_from_what_is_there() {
    let by_id: BTreeMap<_, _> = operations()
        .into_iter()
        .map(|(.., operation)| (text(&operation["operationId"]), operation))
        .collect();
    let mut seen = 0;
    for (path, method, operation) in operations() {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                seen += 1;
                let what = format!("{method} {path} {status} {name}");
                let target = by_id[&text(&link["operationId"])];
                let takes = target["parameters"].as_array().map_or(&[][..], Vec::as_slice);
                let given: BTreeSet<_> = link["parameters"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name)
                    .collect();
                for name in &given {
                    assert!(takes.iter().any(|known| known["name"] == ***name), "{what}: {name}");
                }
                for known in takes.iter().filter(|known| known["in"] == "path") {
                    let name = text(&known["name"]);
                    assert!(given.contains(&name), "{what}: {name} is missing");
                }
                walk(link, "", &mut |_, value| {
                    if let Some(from) = value.as_str().filter(|from| from.starts_with('$')) {
                        assert!(leads(from, operation, response), "{what}: {from}");
                    }
                });
            }
        }
    }
    assert!(seen > 50, "only {seen}");
}

/// Whether an expression (OpenAPI 3.1, section 4.8.20.4) names something that such an exchange has.
fn leads(from: &str, operation: &Value, response: &Value) -> bool {
    if let Some(place) = from.strip_prefix("$response.body#") {
        let schema = &response["content"]["application/json"]["schema"];
        return place
            .split('/')
            .skip(1)
            .try_fold(schema, |schema, part| {
                let schema = resolved(schema);
                schema["properties"].get(part).or_else(|| schema.get("items"))
            })
            .is_some();
    }
    let part = ["path", "query"].into_iter().find_map(|part| {
        Some((part, from.strip_prefix("$request.")?.strip_prefix(part)?.strip_prefix('.')?))
    });
    let Some((part, name)) = part else { return false };
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.into_iter().any(|known| known["name"] == *name && known["in"] == part)
}

fn resolved(schema: &Value) -> &Value {
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.map_or(schema, |place| document().pointer(place).expect("it is there"))
}

#[test]
fn examples_are_as_their_schemas_say() {
    let mut seen = 0;
    walk(document(), "", &mut |place, value| {
        let Some(schema) = value.get("schema").map(|_| format!("{place}/schema")) else { return };
        let examples = value["examples"].as_object().into_iter().flatten();
        let examples = examples.map(|(_, example)| &example["value"]).chain(value.get("example"));
        for example in examples {
            seen += 1;
            CONTRACT.validate(&schema, example).unwrap_or_else(|why| panic!("{place}: {why}"));
        }
    });
    assert!(seen > 200, "only {seen}");
    for (path, method, operation) in operations() {
        let bodies = operation["responses"].as_object().expect("responses").values();
        for content in bodies.chain([&operation["requestBody"]]) {
            if let Some(json) = content["content"].get("application/json") {
                let shown = json.get("example").or_else(|| json.get("examples"));
                assert!(shown.is_some(), "{method} {path} has no example");
            }
        }
    }
}
