//! Whatever is against the document is noticed.

use serde_json::{Value, json};

use crate::support::contract::{self, Exchange};
use crate::support::http::Http;

/// A good exchange, to be spoilt.
struct Planted {
    method: &'static str,
    target: &'static str,
    sent: Option<Value>,
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Value,
}

impl Planted {
    fn sent() -> Self {
        Self {
            method: "POST",
            target: "/api/v1/rooms/0192f0c1-7a3b-7c4d-8e5f-0a1b2c3d4e5f/messages",
            sent: Some(json!({ "text": "hello" })),
            status: 201,
            headers: vec![("content-type", "application/json")],
            body: json!({ "seq": 1, "at": "2026-01-02T03:04:05.678Z" }),
        }
    }

    fn refused() -> Self {
        Self {
            status: 429,
            headers: vec![("content-type", "application/problem+json"), ("retry-after", "20")],
            body: json!({
                "type": "about:blank", "title": "Too Many Requests", "status": 429,
                "detail": "wait", "code": "slow_mode", "retry": true, "limit": 30, "actual": 10,
            }),
            ..Self::sent()
        }
    }

    fn with(mut self, spoil: impl FnOnce(&mut Self)) -> Self {
        spoil(&mut self);
        self
    }

    fn check(&self) -> Result<(), String> {
        let header = |name: &str| {
            let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| (*value).to_owned())
        };
        let sent = self.sent.as_ref().map(|sent| sent.to_string().into_bytes());
        let body =
            if self.body.is_null() { Vec::new() } else { self.body.to_string().into_bytes() };
        contract::check(&Exchange {
            method: self.method,
            target: self.target,
            sent: sent.as_deref(),
            status: self.status,
            header: &header,
            body: &body,
        })
    }
}

#[test]
fn whatever_the_document_does_not_say_is_noticed() {
    assert_eq!(Planted::sent().check(), Ok(()));
    assert_eq!(Planted::refused().check(), Ok(()));
    let problem = |code: &'static str| Planted::refused().with(|it| it.body["code"] = json!(code));
    let spoilt = [
        ("another status", Planted::sent().with(|it| it.status = 200)),
        ("a missing field", Planted::sent().with(|it| it.body = json!({ "seq": 1 }))),
        ("a field too many", Planted::sent().with(|it| it.body["key"] = json!("k"))),
        ("another type", Planted::sent().with(|it| it.body["seq"] = json!("1"))),
        ("no time", Planted::sent().with(|it| it.body["at"] = json!("soon"))),
        ("no body", Planted::sent().with(|it| it.body = Value::Null)),
        (
            "another content type",
            Planted::sent().with(|it| it.headers = vec![("content-type", "text/html")]),
        ),
        ("no content type", Planted::sent().with(|it| it.headers.clear())),
        (
            "taken with a field too many",
            Planted::sent().with(|it| it.sent = Some(json!({ "text": "a", "b": 1 }))),
        ),
        ("taken without a field", Planted::sent().with(|it| it.sent = Some(json!({})))),
        (
            "taken beyond a limit",
            Planted::sent().with(|it| it.sent = Some(json!({ "text": "a".repeat(4_001) }))),
        ),
        ("taken without a body", Planted::sent().with(|it| it.sent = None)),
        (
            "taken with a parameter",
            Planted::sent().with(|it| {
                it.target = "/api/v1/rooms/0192f0c1-7a3b-7c4d-8e5f-0a1b2c3d4e5f/messages?a=b";
            }),
        ),
        ("taken with a bad id", Planted::sent().with(|it| it.target = "/api/v1/rooms/12/messages")),
        ("a code of another call", problem("rate_limited")),
        ("a code of another status", problem("muted")),
        ("an unknown code", problem("slow")),
        ("another status inside", Planted::refused().with(|it| it.body["status"] = json!(503))),
        ("a problem with more", Planted::refused().with(|it| it.body["why"] = json!("because"))),
        ("a problem as JSON", Planted::refused().with(|it| it.headers[0].1 = "application/json")),
        ("no word when to come back", Planted::refused().with(|it| it.headers.truncate(1))),
        ("an answer at no address", Planted::sent().with(|it| it.target = "/api/v1/nowhere")),
        ("an answer to no method", Planted::sent().with(|it| it.method = "PATCH")),
    ];
    for (what, planted) in spoilt {
        assert!(planted.check().is_err(), "{what} went by");
    }
    let not_allowed = |allow: &'static str| {
        Planted::refused().with(|it| {
            it.method = "PATCH";
            it.status = 405;
            it.headers[1] = ("allow", allow);
            it.body["status"] = json!(405);
            it.body["code"] = json!("method_not_allowed");
            it.body["retry"] = json!(false);
        })
    };
    assert_eq!(not_allowed("GET, POST").check(), Ok(()));
    assert!(not_allowed("GET").check().is_err());
}

/// The clients of the tests do look.
#[actix_web::test]
#[should_panic(expected = "against the OpenAPI document: the status 418 is not described")]
async fn a_test_that_gets_such_an_answer_fails() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    actix_web::rt::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _read = stream.read(&mut [0; 1_024]).await.expect("a request");
        let answer = b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("an open connection");
    });
    Http::default().get(format!("http://{address}/healthz")).send().await.ok();
}
