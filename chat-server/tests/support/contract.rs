//! The OpenAPI document as a contract: every answer that a test gets over HTTP is held against it, and
//! whatever the document does not say is a failure. So is a request that was taken although the document
//! does not allow it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// One call and its answer.
pub struct Exchange<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The body that was sent, if it was one of JSON.
    pub sent: Option<&'a [u8]>,
    pub status: u16,
    /// A header of the answer.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub body: &'a [u8],
}

/// Fails unless the document allows this.
pub fn hold(exchange: &Exchange<'_>) {
    if let Err(why) = CONTRACT.check(exchange) {
        let Exchange { method, target, status, body, .. } = exchange;
        let body = String::from_utf8_lossy(&body[..body.len().min(2_000)]);
        panic!("against the OpenAPI document: {why}\n  {method} {target}\n  {status} {body}");
    }
}

/// Whether the document allows this.
pub fn check(exchange: &Exchange<'_>) -> Result<(), String> {
    CONTRACT.check(exchange)
}

pub static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let document = serde_json::from_str(chat_server::http::document()).expect("JSON");
    Contract { document, validators: Mutex::default() }
});

/// The document, and its schemas as they are asked for.
pub struct Contract {
    pub document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    fn check(&self, exchange: &Exchange<'_>) -> Result<(), String> {
        let (path, query) = exchange.target.split_once('?').unwrap_or((exchange.target, ""));
        let Some(template) = self.template(path) else {
            self.problem(exchange, 404, "not_found")?;
            return Ok(());
        };
        let item = &self.document["paths"][template];
        let method = exchange.method.to_ascii_lowercase();
        let Some(operation) = item.get(&method) else {
            self.problem(exchange, 405, "method_not_allowed")?;
            let allow = (exchange.header)("allow").unwrap_or_default();
            let mut allowed: Vec<_> = allow.split(", ").map(str::to_lowercase).collect();
            let mut documented: Vec<_> = methods(item).collect();
            allowed.sort_unstable();
            documented.sort_unstable();
            return if allowed == documented {
                Ok(())
            } else {
                Err(format!("Allow is {allow:?}, but the methods are {documented:?}"))
            };
        };
        let status = exchange.status.to_string();
        let Some(response) = operation["responses"].get(&status) else {
            return Err(format!("the status {status} is not described"));
        };
        headers(response, exchange)?;
        let place = format!("/paths/{}/{method}", escape(template));
        let responses = format!("{place}/responses/{status}");
        self.content(response, &responses, exchange)?;
        if (200..300).contains(&exchange.status) {
            self.request(operation, &place, exchange)?;
            self.parameters(operation, &place, template, path, query)?;
        }
        Ok(())
    }

    /// The path of the document that this one is an instance of. A part as it is written goes before a
    /// part with a name.
    fn template(&self, path: &str) -> Option<&str> {
        let templates = self.document["paths"].as_object().expect("paths").keys();
        let fitting = templates.filter(|template| parts(template, path).is_some());
        fitting.min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// An answer that is the same everywhere, and therefore at no operation.
    fn problem(&self, exchange: &Exchange<'_>, status: u16, code: &str) -> Result<(), String> {
        if exchange.status != status {
            return Err(format!("nothing like it is described, so that it must be a {status}"));
        }
        if exchange.method == "HEAD" {
            return Ok(());
        }
        let kind = (exchange.header)("content-type");
        if kind.as_deref() != Some("application/problem+json") {
            return Err(format!("the content type is {kind:?}"));
        }
        let problem = json(exchange.body)?;
        self.validate("/components/schemas/Problem", &problem)?;
        if problem["code"] != code || problem["status"] != status {
            return Err(format!("it must be {status} {code}"));
        }
        Ok(())
    }

    fn content(
        &self,
        response: &Value,
        place: &str,
        exchange: &Exchange<'_>,
    ) -> Result<(), String> {
        let Some(content) = response["content"].as_object() else {
            let empty = exchange.body.is_empty();
            return if empty {
                Ok(())
            } else {
                Err("there is a body, but none is described".into())
            };
        };
        let kind = (exchange.header)("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let described = content.keys().find(|described| *described == kind || *described == "*/*");
        let Some(described) = described else {
            let described: Vec<_> = content.keys().collect();
            return Err(format!("the content type {kind:?} is none of {described:?}"));
        };
        if !kind.ends_with("json") {
            return Ok(());
        }
        let body = json(exchange.body)?;
        if body["status"].is_u64() && body["status"] != exchange.status {
            return Err("the problem names another status".into());
        }
        self.validate(&format!("{place}/content/{}/schema", escape(described)), &body)
    }

    /// What was taken was allowed.
    fn request(
        &self,
        operation: &Value,
        place: &str,
        exchange: &Exchange<'_>,
    ) -> Result<(), String> {
        let described = operation.get("requestBody");
        match (exchange.sent, described) {
            (None, None) => Ok(()),
            (None, Some(body)) if body["required"] == json!(true) => {
                Err("it was taken without a body, which is said to be needed".into())
            }
            (None, Some(_)) => Ok(()),
            (Some(_), None) => Err("it was taken with a body, but none is described".into()),
            (Some(sent), Some(_)) => {
                let schema = format!("{place}/requestBody/content/application~1json/schema");
                self.validate(&schema, &json(sent)?).map_err(|why| format!("it was taken: {why}"))
            }
        }
    }

    fn parameters(
        &self,
        operation: &Value,
        place: &str,
        template: &str,
        path: &str,
        query: &str,
    ) -> Result<(), String> {
        let known = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let in_query = actix_web::web::Query::<Vec<(String, String)>>::from_query(query);
        let in_query = in_query.map_err(|error| error.to_string())?.into_inner();
        let in_path = parts(template, path).unwrap_or_default();
        let given = in_path.into_iter().map(|(name, value)| ("path", name, value));
        let given = given.chain(in_query.into_iter().map(|(name, value)| ("query", name, value)));
        let mut seen = Vec::new();
        for (place_of, name, value) in given {
            let is = |known: &Value| known["name"] == *name && known["in"] == place_of;
            let Some(nth) = known.iter().position(is) else {
                return Err(format!("it was taken with {name} in the {place_of}"));
            };
            let value = match known[nth]["schema"]["type"].as_str() {
                Some("string") | None => json!(value),
                Some(_) => json(value.as_bytes())?,
            };
            self.validate(&format!("{place}/parameters/{nth}/schema"), &value)
                .map_err(|why| format!("it was taken with {name}: {why}"))?;
            seen.push(nth);
        }
        let missing = |(nth, known): &(usize, &Value)| {
            known["required"] == json!(true) && !seen.contains(nth)
        };
        match known.iter().enumerate().find(missing) {
            Some((_, missing)) => Err(format!("it was taken without {}", missing["name"])),
            None => Ok(()),
        }
    }

    /// Whether a value is as the schema at this place says.
    pub fn validate(&self, place: &str, value: &Value) -> Result<(), String> {
        let known = self.validators.lock().expect("a lock").get(place).cloned();
        let validator = known.unwrap_or_else(|| {
            let validator = Arc::new(self.compile(place));
            self.validators.lock().expect("a lock").insert(place.to_owned(), validator.clone());
            validator
        });
        let whys: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("at {:?}: {error}", error.instance_path().as_str()))
            .collect();
        if whys.is_empty() { Ok(()) } else { Err(whys.join("; ")) }
    }

    fn compile(&self, place: &str) -> Validator {
        let schema = self.document.pointer(place).unwrap_or_else(|| panic!("no schema at {place}"));
        let schema = json!({ "allOf": [schema], "components": self.document["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        let options = options.should_validate_formats(true);
        options.build(&schema).unwrap_or_else(|error| panic!("{place} is no schema: {error}"))
    }
}

/// The methods of a path of the document.
pub fn methods(item: &Value) -> impl Iterator<Item = String> {
    let known = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    known.into_iter().filter(|method| item.get(method).is_some()).map(str::to_owned)
}

/// What stands for the named parts of a template, if the path is an instance of it. The last part of
/// `/web/{path}` may have slashes.
fn parts(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = Some(path.strip_prefix('/')?);
    for part in template.strip_prefix('/')?.split('/') {
        let (given, behind) = match rest?.split_once('/') {
            Some((given, behind)) if part != "{path}" => (given, Some(behind)),
            _ => (rest?, None),
        };
        rest = behind;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !given.is_empty() => found.push((name.to_owned(), given.to_owned())),
            None if part == given => {}
            _ => return None,
        }
    }
    rest.is_none().then_some(found)
}

/// The headers that say how to go on are there if they are described, and only then.
fn headers(response: &Value, exchange: &Exchange<'_>) -> Result<(), String> {
    let described = response["headers"].as_object();
    let names = described.into_iter().flatten().map(|(name, _)| name.as_str());
    let telling = ["Retry-After", "WWW-Authenticate", "Sec-WebSocket-Version"];
    for name in names.clone() {
        let value = (exchange.header)(name);
        let schema = &response["headers"][name]["schema"];
        match &value {
            Some(value) if schema["type"] == "integer" && value.parse::<u64>().is_err() => {
                return Err(format!("{name} is {value:?}"));
            }
            Some(value) if schema.get("enum").is_some_and(|words| *words != json!([value])) => {
                return Err(format!("{name} is {value:?}"));
            }
            None if schema.get("enum").is_some() => return Err(format!("{name} is not there")),
            _ => {}
        }
    }
    for name in telling {
        if (exchange.header)(name).is_some() && !names.clone().any(|described| described == name) {
            return Err(format!("{name} is there, and is not described"));
        }
    }
    let retry = json(exchange.body).is_ok_and(|body| body["retry"] == json!(true));
    if exchange.status >= 400 && retry != (exchange.header)("retry-after").is_some() {
        return Err("Retry-After and `retry` contradict each other".into());
    }
    Ok(())
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("this is not JSON: {error}"))
}

/// A name as a part of a JSON pointer (RFC 6901).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
