//! What comes with a request: a JSON body or a query string as [`Fields`], ids in the path, and where it
//! comes from.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use actix_web::web::{self, Bytes, Path};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use chat_core::{ClientKey, Mark, RoomCommand, RoomId, UserId};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};
use utoipa::{IntoParams, PartialSchema};
use uuid::Uuid;

use crate::auth::still_admitted;
use crate::http::{Api, MOST_BODY, words};
use crate::protocol::{Fields, Problem, is_text};

/// How long a body may take, which has 64 KiB at most.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// The fields of a JSON body.
pub(super) struct Body(pub(super) Fields);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return ready(Err(Problem::unsupported_media_type())).boxed_local();
        }
        let (bytes, request) = (Bytes::from_request(request, payload), request.clone());
        let read = async move {
            let bytes = timeout(BODY_WITHIN, bytes).await;
            let bytes = bytes.map_err(|_| {
                let seconds = BODY_WITHIN.as_secs();
                Problem::bad_request(format!("the body was not there after {seconds} s"))
            })?;
            let bytes = bytes.map_err(|error| match error.as_error() {
                Some(PayloadError::Overflow) => Problem::too_large(MOST_BODY),
                _ => Problem::bad_request("the body broke off, or its chunks cannot be read"),
            })?;
            still_admitted(&request)?;
            Fields::from_json(&bytes).map(Self)
        };
        read.boxed_local()
    }
}

/// The fields of a JSON body, if there is one.
pub(super) struct MaybeBody(pub(super) Option<Fields>);

impl FromRequest for MaybeBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if length.is_none_or(|length| length == "0") && !headers.contains_key(TRANSFER_ENCODING) {
            return ready(Ok(Self(None))).boxed_local();
        }
        let body = Body::from_request(request, payload);
        async move { Ok(Self(Some(body.await?.0))) }.boxed_local()
    }
}

/// The fields of the query string.
pub(super) struct Query(pub(super) Fields);

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Fields::from_query(request.query_string()).map(Self))
    }
}

/// Nothing: the call has no parameters. One that is there all the same is refused, lest somebody believes that it
/// counts; above all a `key`, without which what is asked twice is done twice.
pub(super) struct NoQuery<const KEY: bool = false>;

/// The call takes a `key`, but in its body.
pub(super) const KEY_IN_BODY: bool = true;

impl<const KEY: bool> FromRequest for NoQuery<KEY> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let none = Fields::from_query(request.query_string()).and_then(|fields| {
            if KEY && fields.has("key") {
                let message = "of this call, `key` is a field of the body; put it there";
                return Err(Problem::bad_request(message).at("key"));
            }
            fields.finish().map(|()| Self)
        });
        ready(none)
    }
}

/// The key of a write, if it is to take effect once: the query string has nothing else.
pub(super) struct Key(Option<ClientKey>);

impl Key {
    /// Carries out a write upon a room, once if there is a key. It has nothing to tell.
    pub(super) async fn write(
        self,
        api: &Api,
        user: &chat_core::User,
        room: RoomId,
        command: RoomCommand,
    ) -> Result<HttpResponse, Problem> {
        let command = match self.0 {
            Some(key) => command.once(key),
            None => command,
        };
        api.engine.room(room).ask(user, command).await?;
        Ok(HttpResponse::NoContent().finish())
    }
}

impl FromRequest for Key {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = Fields::from_query(request.query_string()).and_then(|mut fields| {
            let key = fields.key()?;
            fields.finish().map(|()| key)
        });
        ready(key.map(Self))
    }
}

impl IntoParams for Key {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "Chosen by the client: the same call with the same key, on any connection and as often as \
                     anybody likes, takes effect once and gets the first answer.";
        let parameter = ParameterBuilder::new().name("key").parameter_in(ParameterIn::Query);
        let parameter = parameter.description(Some(about)).required(Required::False);
        vec![parameter.schema(Some(words::Key::schema())).build()]
    }
}

/// Where a request comes from: `None` from this machine, and if a believed proxy does not say.
pub(super) struct Address(pub(super) Option<IpAddr>);

impl FromRequest for Address {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>();
        let peer = request.peer_addr().map(|peer| peer.ip());
        let client =
            api.zip(peer).and_then(|(api, peer)| api.proxies.client(peer, request.headers()));
        ready(Ok(Self(client.filter(|client| !client.is_loopback()))))
    }
}

/// A part of the path, for the document.
fn in_path(name: &str, schema: RefOr<Schema>) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
    let parameter = parameter.description(Some(format!("Which {name}.")));
    parameter.required(Required::True).schema(Some(schema)).build()
}

/// Ids in the path, each under a name of its own.
macro_rules! in_path {
    ($(#[$doc:meta])* $name:ident, $id:ty, $part:literal) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) $id);

        impl FromRequest for $name {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let id = request.match_info().query($part).parse();
                let message = concat!("the ", $part, " in the address must be a UUID");
                ready(id.map(Self).map_err(|_| Problem::bad_request(message).at($part)))
            }
        }

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![in_path($part, words::Id::schema())]
            }
        }
    };
}

in_path! {
    /// The room in the path.
    Room, RoomId, "room"
}
in_path! {
    /// The user in the path.
    User, UserId, "user"
}
in_path! {
    /// The group of friends in the path.
    Group, Uuid, "group"
}

/// The mark in the path.
pub(super) struct InPath(pub(super) Mark);

impl FromRequest for InPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        #[derive(Deserialize)]
        struct Part {
            mark: String,
        }
        let bad = || Problem::bad_request("the mark in the address is no text in UTF-8").at("mark");
        if !is_text(request.uri().path()) {
            return ready(Err(bad()));
        }
        // Decodes what is left of the percent signs.
        let part = Path::<Part>::extract(request).into_inner().map_err(|_| bad());
        ready(
            part.and_then(|part| {
                Mark::new(part.into_inner().mark).map(Self).map_err(Problem::from)
            }),
        )
    }
}

impl IntoParams for InPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![in_path("mark", words::Mark::schema())]
    }
}

/// The number of a message in the path.
pub(super) struct Seq(pub(super) u64);

impl FromRequest for Seq {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let seq = request.match_info().query("seq").parse();
        let message = "the message in the address must be a number";
        ready(seq.map(Self).map_err(|_| Problem::bad_request(message).at("seq")))
    }
}

impl IntoParams for Seq {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![in_path("seq", words::Seq::schema())]
    }
}
