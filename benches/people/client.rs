//! People at their programs: each has an account, and comes from an address of its own.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use serde_json::json;
use shared::Outcome;

/// How many sign up at once.
const AT_ONCE: usize = 8;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody with an account.
#[derive(Clone)]
pub(crate) struct Person {
    api: Api,
    pub(crate) username: String,
    password: String,
    at: Ipv4Addr,
}

impl Person {
    /// Signs in, with the right password.
    pub(crate) async fn sign_in(&self) -> Outcome<()> {
        let (status, _) = self.api.sign_in(&self.username, &self.password, self.at).await?;
        expect(status, StatusCode::CREATED)
    }
}

/// So many people have accounts.
pub(crate) async fn sign_up(address: &str, count: usize) -> Outcome<Vec<Person>> {
    let api = Api::new(address)?;
    let one = |nth: usize| {
        let api = api.clone();
        async move {
            let username = format!("person{nth:04}");
            let password = format!("the password of {username}");
            let at = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + nth as u32);
            let body = json!({ "username": username, "password": password });
            let (status, _) = api.post("users", &body, at).await?;
            expect(status, StatusCode::CREATED)?;
            Ok(Person { api, username, password, at })
        }
    };
    stream::iter(0..count).map(one).buffered(AT_ONCE).try_collect().await
}

/// The API, over connections that stay open.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    base: String,
}

impl Api {
    pub(crate) fn new(address: &str) -> Outcome<Self> {
        let client = Client::builder().pool_idle_timeout(None).timeout(PATIENCE).build()?;
        Ok(Self { client, base: format!("http://{address}/api/v1") })
    }

    /// Tries to sign in; what was answered, and how long that took.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: &str,
        at: Ipv4Addr,
    ) -> Outcome<(StatusCode, Duration)> {
        let body = json!({ "username": username, "password": password });
        self.post("tokens", &body, at).await
    }

    async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        at: Ipv4Addr,
    ) -> Outcome<(StatusCode, Duration)> {
        let url = format!("{}/{path}", self.base);
        let request = self.client.post(url).header("x-forwarded-for", at.to_string()).json(body);
        let asked = Instant::now();
        let response = request.send().await?;
        let status = response.status();
        response.bytes().await?;
        Ok((status, asked.elapsed()))
    }
}

/// Whether that was the answer.
pub(crate) fn expect(status: StatusCode, expected: StatusCode) -> Outcome<()> {
    match status == expected {
        true => Ok(()),
        false => Err(format!("the server answered {status} in place of {expected}").into()),
    }
}
