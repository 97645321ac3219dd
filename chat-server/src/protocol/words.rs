//! The words of the wire as the OpenAPI document describes them: texts with their bounds, and those of
//! which there are a few. Each is read off the constants and types that the program itself goes by.

use chat_core::{Kind, Presence, WhoInvites, limits};
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// A type that stands for a schema, and for nothing else.
macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident = $schema:expr;)*) => {
        $(
            $(#[doc = $doc])*
            pub(crate) struct $name;

            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                    let description = concat!($($doc),*).trim_start();
                    $schema.description(Some(description)).build().into()
                }
            }

            impl utoipa::ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*
    };
}
pub(crate) use words;

words! {
    /// A UUID.
    Id = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    /// The title of a room: not only white space, no control characters.
    Title = text(1, limits::TITLE_CHARS);
    /// What somebody is called: not only white space, no control characters.
    Nickname = text(1, limits::NAME_CHARS);
    /// What a message says: not only white space. Kept byte for byte.
    MessageText = text(1, limits::TEXT_CHARS);
    /// What a message says: nothing, once it has been deleted.
    Said = text(0, limits::TEXT_CHARS);
    /// What a message is marked with, an emoji or a word: not only white space, no control characters. Kept byte
    /// for byte.
    Mark = text(1, limits::MARK_CHARS);
    /// Chosen by the client for a write: the same write with the same key takes effect once.
    Key = text(1, limits::KEY_CHARS);
    /// Who may find and enter a room.
    RoomKind = one_of([Kind::Open, Kind::Private, Kind::Direct, Kind::Thread].map(Kind::as_str));
    /// As what somebody belongs to a room.
    Role = one_of(
        [chat_core::Role::Owner, chat_core::Role::Moderator, chat_core::Role::Member]
            .map(chat_core::Role::as_str),
    );
    /// Whether somebody is there.
    State =
        one_of([Presence::Online, Presence::Away, Presence::Offline].map(Presence::as_str));
    /// Who may invite others.
    Inviters = one_of([WhoInvites::Members, WhoInvites::Moderators].map(WhoInvites::as_str));
    /// How many seconds must pass between two messages of one member; 0 for none.
    SlowSeconds = number(limits::SLOW_S as usize);
    /// How many a page has at most.
    Limit = number(limits::PAGE).default(Some(limits::DEFAULT_PAGE.into()));
    /// The number of a message in its room: 1, 2, 3 … without a gap.
    Seq = number(super::fields::GREATEST as usize);
}

/// A text of so many characters.
pub(crate) fn text(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(least)).max_length(Some(most))
}

/// One of these words.
pub(crate) fn one_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// A whole number up to this one.
fn number(most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_usize)).maximum(Some(most))
}
