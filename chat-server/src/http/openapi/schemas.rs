//! What is done to the schemas once they are all there: what a type takes over from another one by
//! `serde(flatten)` is written out, and every object is closed, so that a field too many is against the
//! document in a request as in an answer.

use std::collections::BTreeSet;
use std::mem::take;

use serde_json::{Map, Value, json};

const PREFIX: &str = "#/components/schemas/";

/// Writes out, closes, and drops what nobody refers to.
pub(super) fn close(document: &mut Value) {
    let mut schemas = match document.pointer_mut("/components/schemas") {
        Some(Value::Object(schemas)) => take(schemas),
        _ => return,
    };
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in names {
        let mut flat = flat(&schemas[&name], &schemas);
        if flat.get("properties").is_some() {
            flat["additionalProperties"] = json!(false);
        }
        schemas[&name] = flat;
    }
    without_null(document);
    document["components"]["schemas"] = json!(null);
    let mut used = BTreeSet::new();
    find(document, &schemas, &mut used);
    schemas.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = Value::Object(schemas);
}

/// A body that may be left out is an `Option` at its handler; one that is there is never `null`.
fn without_null(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for call in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let content = call.pointer_mut("/requestBody/content/application~1json/schema");
        if let Some(schema) = content
            && let Some([body, null]) = schema["oneOf"].as_array().map(Vec::as_slice)
            && null["type"] == "null"
        {
            *schema = body.clone();
        }
    }
}

/// One object in place of several of which each has some of its fields.
fn flat(schema: &Value, all: &Map<String, Value>) -> Value {
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts {
        let part = flat(target(part, all).unwrap_or(part), all);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let mut object = json!({ "type": "object", "properties": properties, "required": required });
    if let Some(description) = schema.get("description") {
        object["description"] = description.clone();
    }
    object
}

/// The schema that this one refers to, if it does nothing else.
fn target<'a>(schema: &Value, all: &'a Map<String, Value>) -> Option<&'a Value> {
    all.get(schema["$ref"].as_str()?.strip_prefix(PREFIX)?)
}

/// Finds the names that a value refers to, and those that they refer to.
fn find(value: &Value, all: &Map<String, Value>, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|name| name.strip_prefix(PREFIX))
                && found.insert(name.to_owned())
                && let Some(schema) = all.get(name)
            {
                find(schema, all, found);
            }
            fields.values().for_each(|field| find(field, all, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, all, found)),
        _ => {}
    }
}
