//! The chat server's HTTP API, as far as it is needed here: tokens, which are signed without asking if
//! the server's secret is known, and rooms.

use std::fs;
use std::time::Duration;

use chat_server::auth::{SigningKey, Subject, Tokens};
use chrono::Utc;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Unable;
use crate::args::Access;

/// How many requests are under way at once while a run is prepared.
const AT_ONCE: usize = 32;
/// How long a token is good that is signed here.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    /// With the path that all addresses begin with.
    base: String,
}

impl Api {
    /// The API at this address's host, whatever its path; `ws` is taken for `http`.
    pub(crate) fn new(url: &Url) -> Result<Self, Unable> {
        let client = Client::builder().pool_idle_timeout(None).timeout(Duration::from_secs(30));
        let client = client.build().map_err(|error| Unable(format!("no HTTP client: {error}")))?;
        Ok(Self { client, base: format!("http://{}/api/v1", authority(url)) })
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(token)
    }

    pub(crate) fn put(&self, path: &str, token: &str) -> RequestBuilder {
        self.client.put(format!("{}{path}", self.base)).bearer_auth(token)
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    /// Signing in as a guest.
    pub(crate) fn sign_in(&self, name: &str) -> RequestBuilder {
        self.post("/tokens/guest", "", &json!({ "nickname": name }))
    }

    /// So many users' tokens.
    ///
    /// # Errors
    /// If the secret cannot be read, or the server takes no guests.
    pub(crate) async fn users(&self, access: &Access, count: usize) -> Result<Vec<String>, Unable> {
        let name = |number: usize| format!("load-{number}");
        if let Some(secret) = secret(access)? {
            let key = SigningKey::Secret(secret.into());
            let tokens = Tokens::new(&key, &access.issuer, &access.audience).expect("a secret");
            let now = Utc::now();
            let sign = |n| {
                let subject = Subject { user: Uuid::now_v7(), name: &name(n), login: None };
                tokens.issue(subject, now, GOOD_FOR).0
            };
            return Ok((1..=count).map(sign).collect());
        }
        let sign_in = |number| async move {
            let answer = ask(self.sign_in(&name(number))).await?;
            Ok(answer["access_token"].as_str().unwrap_or_default().to_owned())
        };
        stream::iter(1..=count).map(sign_in).buffered(AT_ONCE).try_collect().await
    }

    /// Opens so many rooms; their ids.
    pub(crate) async fn open(&self, token: &str, count: usize) -> Result<Vec<String>, Unable> {
        let open = |number| async move {
            let body = json!({ "title": format!("load {number}") });
            let room = ask(self.post("/rooms", token, &body)).await?;
            Ok(room["id"].as_str().unwrap_or_default().to_owned())
        };
        stream::iter(1..=count).map(open).buffered(AT_ONCE).try_collect().await
    }
}

/// Host and port of an address.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(80))
}

/// Reads an address of one of these schemes.
pub(crate) fn address(text: &str, scheme: &str) -> Result<Url, Unable> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == scheme && url.has_host() => Ok(url),
        _ => Err(Unable(format!("{text} is not an address: --url takes {scheme}://HOST:PORT"))),
    }
}

/// Asks, and takes nothing for an answer but what was asked for.
pub(crate) async fn ask(request: RequestBuilder) -> Result<Value, Unable> {
    let response = request.send().await.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
        Unable(format!(
            "no answer over HTTP: {error} {cause}. Start the server, or say where it is with --url"
        ))
    })?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    let body: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let advice = match status.as_u16() {
        401 => "; is --secret the server's, and are --issuer and --audience?",
        403 => "; with --secret or --secret-file no guests are needed",
        _ => "",
    };
    let detail = body["detail"].as_str().unwrap_or("no reason given");
    Err(Unable(format!("{path} was answered {status}: {detail}{advice}")))
}

/// The bytes that tokens are signed with, if they are known.
fn secret(access: &Access) -> Result<Option<Vec<u8>>, Unable> {
    let Some(path) = &access.secret_file else {
        return Ok(access.secret.as_ref().map(|secret| secret.clone().into_bytes()));
    };
    let text = fs::read_to_string(path)
        .map_err(|error| Unable(format!("can't read --secret-file {}: {error}", path.display())))?;
    let text = text.trim_end();
    // The server writes a key that it made up as 64 hexadecimal digits.
    let pair = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let key: Option<Vec<u8>> = (0..text.len()).step_by(2).map(pair).collect();
    let made_up = path.file_name().is_some_and(|name| name == "signing.key");
    match key {
        Some(key) if made_up => Ok(Some(key)),
        _ if made_up => Err(Unable(format!("{} is not a signing key", path.display()))),
        _ => Ok(Some(text.as_bytes().to_vec())),
    }
}
