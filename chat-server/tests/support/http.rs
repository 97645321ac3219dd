//! HTTP as the tests speak it: reqwest, but every answer is held against the OpenAPI document before a
//! test sees it.

use reqwest::header::HeaderMap;
use reqwest::{IntoUrl, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::contract::{self, Exchange};

#[derive(Clone, Default)]
pub struct Http(reqwest::Client);

impl Http {
    pub fn get(&self, address: impl IntoUrl) -> Call {
        self.request(Method::GET, address)
    }

    pub fn post(&self, address: impl IntoUrl) -> Call {
        self.request(Method::POST, address)
    }

    pub fn request(&self, method: Method, address: impl IntoUrl) -> Call {
        Call(self.0.request(method, address))
    }
}

/// A call that is being written.
pub struct Call(RequestBuilder);

impl Call {
    pub fn bearer_auth(self, token: impl std::fmt::Display) -> Self {
        Self(self.0.bearer_auth(token))
    }

    pub fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub fn try_clone(&self) -> Option<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sends it, reads the whole answer, and fails if the document does not allow it.
    pub async fn send(self) -> reqwest::Result<Answer> {
        let (client, request) = self.0.build_split();
        let request = request?;
        let (method, address) = (request.method().clone(), request.url().clone());
        let sent = request.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec);
        let response = client.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match status {
            // What follows is no body.
            StatusCode::SWITCHING_PROTOCOLS => Vec::new(),
            _ => response.bytes().await?.to_vec(),
        };
        let answer = Answer { status, headers, body };
        let query = address.query().map(|query| format!("?{query}")).unwrap_or_default();
        contract::hold(&Exchange {
            method: method.as_str(),
            target: &format!("{}{query}", address.path()),
            sent: sent.as_deref().filter(|sent| !sent.is_empty()),
            status: status.as_u16(),
            header: &|name| answer.header(name),
            body: &answer.body,
        });
        Ok(answer)
    }
}

/// An answer, with all of its body.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().expect("text").to_owned())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    /// The code, if it is a problem.
    pub fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["code"].as_str()?.to_owned())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}
