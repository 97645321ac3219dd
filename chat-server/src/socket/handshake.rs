//! The opening handshake (RFC 6455, section 4.2) as every transport takes it: what must be in a
//! request, from which pages it may come, and what it is answered.

use std::fmt;

use actix_http::{RequestHead, Version, ws};
use actix_web::http::Method;
use actix_web::http::header::{
    HOST, HeaderMap, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use actix_web::web::Bytes;

use crate::auth::bearer;
use crate::protocol::{Fields, Problem};

/// The subprotocol (RFC 6455, section 1.9).
pub(super) const SUBPROTOCOL: &str = "chat.v1";

/// A handshake that is in order.
pub(super) struct Handshake {
    /// The token that came with it, in the header or in the address.
    pub(super) token: Option<String>,
    key: [u8; 28],
    subprotocol: bool,
}

impl Handshake {
    /// Looks at a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(head: &RequestHead, origins: &Origins) -> Result<Self, Problem> {
        let headers = &head.headers;
        if head.method != Method::GET {
            return Err(Problem::method_not_allowed());
        }
        if head.version < Version::HTTP_11 {
            return Err(not_websocket("it needs HTTP/1.1"));
        }
        let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION);
        if versions.next().is_none_or(|version| version != "13") || versions.next().is_some() {
            return Err(Problem::unsupported_version());
        }
        // The key is looked at below.
        ws::verify_handshake(head).map_err(not_websocket)?;
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY);
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(not_websocket("it needs one Sec-WebSocket-Key"));
        };
        if !is_key(key.as_bytes()) {
            return Err(not_websocket("Sec-WebSocket-Key must be 16 bytes in base64"));
        }
        origins.check(headers)?;
        let mut query = Fields::from_query(head.uri.query().unwrap_or_default())?;
        let token = match bearer(headers) {
            Some(token) => Some(token.to_owned()),
            None => query.text("access_token")?,
        };
        let key = ws::hash_key(key.as_bytes());
        Ok(Self { token, key, subprotocol: offers(headers) })
    }

    /// The answer that opens the connection.
    pub(super) fn answer(&self) -> Bytes {
        let accept = std::str::from_utf8(&self.key).expect("base64 is text");
        let subprotocol = match self.subprotocol {
            true => format!("sec-websocket-protocol: {SUBPROTOCOL}\r\n"),
            false => String::new(),
        };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\n{subprotocol}\r\n"
        );
        answer.into()
    }
}

fn not_websocket(cause: impl fmt::Display) -> Problem {
    Problem::bad_request(format!("this is no WebSocket handshake of version 13: {cause}"))
}

/// Whether this is base64 of 16 bytes: 22 digits, of which the last has four bits at 0, and two
/// signs that fill up.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24
        && key.ends_with(b"==")
        && key[..21].iter().all(digit)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
}

fn offers(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|header| header.to_str().ok());
    offered.flat_map(|header| header.split(',')).any(|name| name.trim() == SUBPROTOCOL)
}

/// The pages that may open connections. A browser says by the header `Origin` which page asks, and
/// sends cookies and reaches addresses that a foreign page must not use; programs send none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Besides those of the server itself; `None` for all.
    allowed: Option<Vec<String>>,
}

impl Origins {
    /// The server's own pages, and those of these origins, as `https://chat.example.com`.
    #[must_use]
    pub fn these(origins: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: Some(origins.into_iter().map(|origin| origin.to_lowercase()).collect()) }
    }

    /// The server's own pages alone.
    #[must_use]
    pub fn own() -> Self {
        Self::these([])
    }

    /// All pages there are.
    #[must_use]
    pub fn all() -> Self {
        Self { allowed: None }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let mut origins = headers.get_all(ORIGIN);
        let (origin, second) = (origins.next(), origins.next());
        let Some(origin) = origin else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = authority(&origin) == Some(without_default_port(&host.to_ascii_lowercase()));
        if second.is_none() && (own || allowed.contains(&origin)) {
            return Ok(());
        }
        Err(Problem::foreign_origin())
    }
}

/// An origin's host, and its port unless that is the default.
fn authority(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    Some(without_default_port(rest))
}

/// What stands in front of the server may speak TLS, so that the port alone does not tell which
/// default it is.
fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn check(change: &[(&str, &str)]) -> Result<Handshake, Problem> {
        check_from(change, &Origins::own())
    }

    fn check_from(change: &[(&str, &str)], origins: &Origins) -> Result<Handshake, Problem> {
        let mut headers = vec![
            ("host", "chat.example.com"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.retain(|(name, _)| change.iter().all(|(changed, _)| changed != name));
        headers.extend(change.iter().filter(|(_, value)| !value.is_empty()));
        let mut request = TestRequest::get().uri("/ws");
        for header in headers {
            request = request.append_header(header);
        }
        let request = request.to_http_request();
        Handshake::check(request.head(), origins)
    }

    fn code(change: &[(&str, &str)]) -> &'static str {
        check(change).err().expect("refused").code
    }

    #[test]
    fn a_handshake_in_order_gets_the_answer_of_the_standard() {
        // The key and the answer of RFC 6455, section 1.3.
        let handshake = check(&[]).unwrap();
        let answer = handshake.answer();
        let answer = std::str::from_utf8(&answer).unwrap();
        assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!answer.contains("sec-websocket-protocol"));
        assert_eq!(handshake.token, None);
        let handshake = check(&[("sec-websocket-protocol", "other, chat.v1")]).unwrap();
        assert!(handshake.answer().ends_with(b"sec-websocket-protocol: chat.v1\r\n\r\n"));
        let handshake = check(&[("authorization", "bearer abc")]).unwrap();
        assert_eq!(handshake.token.as_deref(), Some("abc"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        assert_eq!(code(&[("upgrade", "")]), "bad_request");
        assert_eq!(code(&[("connection", "keep-alive")]), "bad_request");
        assert_eq!(code(&[("sec-websocket-version", "")]), "upgrade_required");
        assert_eq!(code(&[("sec-websocket-version", "8")]), "upgrade_required");
        let version = |version| ("sec-websocket-version", version);
        assert_eq!(code(&[version("13"), version("8")]), "upgrade_required", "two versions");
        assert_eq!(code(&[("sec-websocket-key", "")]), "bad_request");
        for key in ["short", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZQ=a", "a b"] {
            assert_eq!(code(&[("sec-websocket-key", key)]), "bad_request", "{key}");
        }
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(code(&[key, key]), "bad_request", "two keys");
    }

    #[test]
    fn pages_of_others_are_refused_unless_they_are_listed() {
        let origin = |origin| check(&[("origin", origin)]).map(drop).map_err(|error| error.code);
        assert_eq!(origin("https://chat.example.com"), Ok(()));
        assert_eq!(origin("http://chat.example.com:80"), Ok(()));
        assert_eq!(origin("HTTPS://Chat.Example.com"), Ok(()));
        for foreign in [
            "https://example.com",
            "https://chat.example.com.evil.net",
            "https://evil.net/chat.example.com",
            "https://chat.example.com:8443",
            "chat.example.com",
            "null",
        ] {
            assert_eq!(origin(foreign), Err("foreign_origin"), "{foreign}");
        }
        let listed = Origins::these(["https://App.example.org".to_owned()]);
        let from = |origin| check_from(&[("origin", origin)], &listed).is_ok();
        assert!(from("https://app.example.org") && from("https://chat.example.com"));
        assert!(!from("http://app.example.org") && !from("https://evil.net"));
        assert!(check_from(&[("origin", "https://evil.net")], &Origins::all()).is_ok());
        let twice = [("origin", "https://chat.example.com"), ("origin", "https://evil.net")];
        assert_eq!(code(&twice), "foreign_origin");
    }
}
