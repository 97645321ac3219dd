//! Tokens as they should be, and every way of forging one that we know.

use super::*;

const SECRET: &[u8] = b"thirty-two bytes of test secret!";
const HOUR: Duration = Duration::from_secs(3_600);

/// A private key in PEM, as OpenSSL makes it.
fn ed25519() -> String {
    const HEAD: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let seed = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
    // 48 bytes are 64 letters, without any rest.
    let letters = [HEAD, &seed].concat();
    let letters = letters.chunks(3).flat_map(|three| {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    });
    let body: String = letters.collect();
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn of(secret: &[u8], issuer: &str, audience: &str) -> Tokens {
    Tokens::new(&SigningKey::Secret(secret.to_vec().into()), issuer, audience).unwrap()
}

fn tokens() -> Tokens {
    of(SECRET, "chat-server", "chat")
}

fn guest(user: u128, name: &str) -> Subject<'_> {
    Subject { user: Uuid::from_u128(user), name, login: None }
}

fn noon() -> DateTime<Utc> {
    "2026-01-02T12:00:00.250Z".parse().unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

fn issue(tokens: &Tokens) -> String {
    tokens.issue(guest(7, "Alice 앨리스"), noon(), HOUR).0
}

/// Signs whatever it is given, as somebody does who has the key.
fn signed(header: &Header, claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn claims() -> serde_json::Value {
    serde_json::to_value(tokens().verify(&issue(&tokens()), noon()).unwrap()).unwrap()
}

#[test]
fn what_is_issued_is_read_back() {
    let (token, expires) = tokens().issue(guest(7, "Alice 앨리스"), noon(), HOUR);
    let claims = tokens().verify(&token, noon()).unwrap();
    assert_eq!((claims.sub, claims.name.as_str()), (Uuid::from_u128(7), "Alice 앨리스"));
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("chat-server", "chat"));
    assert_eq!((claims.kind, claims.iat), (Kind::Guest, noon().timestamp()));
    assert_eq!(claims.expires(), Some(expires));
    assert_eq!(claims.jti.get_version_num(), 7);
    let made = claims.jti.get_timestamp().unwrap().to_unix();
    assert_eq!(made, (noon().timestamp().cast_unsigned(), 250_000_000));

    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::HS256, Some("at+jwt")));
    assert_eq!(header.kid, tokens().header.kid);
    assert_eq!(header.kid.map(|kid| kid.len()), Some(16));
}

#[test]
fn the_given_time_alone_says_when_a_token_ends() {
    let (token, expires) = tokens().issue(guest(0, "A"), noon(), HOUR);
    assert_eq!(expires, later(3_600).trunc_subsecs(0));
    let just_before = expires - TimeDelta::milliseconds(1);
    assert!(tokens().verify(&token, just_before).is_ok());
    assert_eq!(tokens().verify(&token, expires), Err(TokenError::Expired));
    assert_eq!(tokens().verify(&token, later(1_000_000)), Err(TokenError::Expired));
}

#[test]
fn a_span_beyond_all_calendars_ends_with_them() {
    let (token, expires) = tokens().issue(guest(0, "A"), noon(), Duration::MAX);
    assert_eq!(tokens().verify(&token, noon()).unwrap().expires(), Some(expires));
}

#[test]
fn a_token_of_another_key_issuer_or_audience_is_refused() {
    let refusal = |of: &Tokens| tokens().verify(&issue(of), noon()).unwrap_err();
    let key = of(b"another secret of thirty-two by.", "chat-server", "chat");
    assert_eq!(refusal(&key), TokenError::Signature);
    assert_ne!(key.header.kid, tokens().header.kid);
    assert_eq!(refusal(&of(SECRET, "else", "chat")), TokenError::Issuer);
    assert_eq!(refusal(&of(SECRET, "chat-server", "else")), TokenError::Audience);
}

#[test]
fn a_user_s_token_names_its_login_and_a_guest_s_has_none() {
    let subject = Subject { login: Some(Uuid::from_u128(9)), ..guest(7, "Alice") };
    let claims = tokens().verify(&tokens().issue(subject, noon(), HOUR).0, noon()).unwrap();
    assert_eq!((claims.kind, claims.sid), (Kind::User, Some(Uuid::from_u128(9))));
    let mut forged = serde_json::to_value(&claims).unwrap();
    forged["kind"] = "guest".into();
    let token = signed(&tokens().header, &forged);
    assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Claims));
    forged["kind"] = "user".into();
    forged.as_object_mut().unwrap().remove("sid");
    let token = signed(&tokens().header, &forged);
    assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Claims));
}

#[test]
fn a_key_that_was_replaced_is_good_for_what_it_has_signed() {
    let pem = ed25519();
    let keys = || {
        let secret = |secret: &[u8]| SigningKey::Secret(secret.to_vec().into());
        [
            secret(SECRET),
            secret(b"another secret of thirty-two by."),
            SigningKey::Ed25519(pem.clone().into()),
        ]
    };
    for (old, new) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
        let tokens = |key: usize| Tokens::new(&keys()[key], "chat-server", "chat").unwrap();
        let (before, after) = (tokens(old), tokens(new).and_earlier(&keys()[old]).unwrap());
        assert!(after.verify(&issue(&before), noon()).is_ok(), "{old} {new}");
        assert!(after.verify(&issue(&after), noon()).is_ok(), "{old} {new}");
        assert!(before.verify(&issue(&after), noon()).is_err(), "{old} {new}");
        assert!(tokens(new).verify(&issue(&before), noon()).is_err(), "{old} {new}");
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let pem = ed25519();
    let ed = SigningKey::Ed25519(pem.clone().into());
    let tokens = Tokens::new(&ed, "chat-server", "chat").unwrap();
    assert_eq!(tokens.header.alg, Algorithm::EdDSA);
    assert!(tokens.verify(&issue(&tokens), noon()).is_ok());
    // Signed with what everybody may know of the key, as if that were an HMAC secret.
    let public = Jwk::from_encoding_key(&tokens.signing, Algorithm::EdDSA).unwrap();
    let public = serde_json::to_value(&public).unwrap()["x"].as_str().unwrap().to_owned();
    for secret in [public.as_bytes(), pem.as_bytes()] {
        let header = Header { alg: Algorithm::HS256, ..tokens.header.clone() };
        let key = EncodingKey::from_secret(secret);
        let forged = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(tokens.verify(&forged, noon()), Err(TokenError::Algorithm));
        let both = Tokens::new(&ed, "chat-server", "chat").unwrap();
        let both = both.and_earlier(&SigningKey::Secret(SECRET.to_vec().into())).unwrap();
        assert_eq!(both.verify(&forged, noon()), Err(TokenError::Signature));
    }
    let bad = [pem[..60].to_owned(), String::new(), pem.replace("PRIVATE", "PUBLIC")];
    for bad in bad {
        let key = SigningKey::Ed25519(bad.clone().into());
        assert_eq!(Tokens::new(&key, "a", "b").unwrap_err(), BadKey, "{bad}");
    }
}

#[test]
fn a_token_without_signature_is_refused() {
    let real = issue(&tokens());
    let payload = real.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"at+jwt"}, and the same with "None"
    for header in
        ["eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0", "eyJhbGciOiJOb25lIiwidHlwIjoiYXQrand0In0"]
    {
        for signature in ["", real.rsplit('.').next().unwrap()] {
            let forged = format!("{header}.{payload}.{signature}");
            assert_eq!(tokens().verify(&forged, noon()), Err(TokenError::Algorithm), "{forged}");
        }
    }
    let stripped = &real[..=real.rfind('.').unwrap()];
    assert_eq!(tokens().verify(stripped, noon()), Err(TokenError::Signature));
}

#[test]
fn another_algorithm_is_refused_though_its_signature_is_right() {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let header = Header { alg: algorithm, ..tokens().header };
        let token = signed(&header, &claims());
        assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Algorithm));
    }
}

#[test]
fn another_type_of_token_is_refused() {
    for typ in [None, Some("JWT".to_owned()), Some("rt+jwt".to_owned())] {
        let token = signed(&Header { typ, ..tokens().header }, &claims());
        assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Type));
    }
    let header = Header { typ: Some("AT+JWT".to_owned()), ..tokens().header };
    assert!(tokens().verify(&signed(&header, &claims()), noon()).is_ok());
}

#[test]
fn what_must_be_understood_is_not() {
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..tokens().header };
    let token = signed(&header, &claims());
    assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Algorithm));
}

#[test]
fn a_changed_claim_is_refused() {
    let (mine, other) = (issue(&tokens()), {
        let t = tokens();
        t.issue(guest(8, "Mallory"), noon(), HOUR).0
    });
    let mine: Vec<_> = mine.split('.').collect();
    let other: Vec<_> = other.split('.').collect();
    let mixed = [mine[0], other[1], mine[2]].join(".");
    assert_eq!(tokens().verify(&mixed, noon()), Err(TokenError::Signature));
}

#[test]
fn every_claim_must_be_there_and_of_its_type() {
    for name in ["sub", "name", "kind", "iss", "aud", "iat", "exp", "jti"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        let token = signed(&tokens().header, &without);
        assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Claims), "no {name}");

        let mut strange = claims();
        strange[name] = serde_json::json!([true]);
        let token = signed(&tokens().header, &strange);
        assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Claims), "strange {name}");
    }
    let mut endless = claims();
    endless["exp"] = i64::MAX.into();
    let token = signed(&tokens().header, &endless);
    assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Claims));
}

#[test]
fn garbage_is_refused() {
    let real = issue(&tokens());
    let garbage = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "not.a.token".to_owned(),
        "토큰".to_owned(),
        "a.b.c.d".to_owned(),
        format!("{real}.{real}"),
        format!(" {real}"),
        real.replace('.', ""),
        format!("{}=", real),
    ];
    for token in garbage {
        assert_eq!(tokens().verify(&token, noon()), Err(TokenError::Malformed), "{token}");
    }
    for end in 0..real.len() {
        assert!(tokens().verify(&real[..end], noon()).is_err(), "cut at {end}");
    }
}

#[test]
fn a_token_that_is_too_long_is_not_looked_at() {
    let long = "a".repeat(LONGEST_TOKEN + 1);
    assert_eq!(tokens().verify(&long, noon()), Err(TokenError::TooLong));
    assert_eq!(tokens().verify(&long[1..], noon()), Err(TokenError::Malformed));
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", tokens());
    assert!(shown.contains("chat-server") && !shown.contains("thirty"), "{shown}");
}
