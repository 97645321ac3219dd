//! The fields of a JSON object or a query string, taken one by one. Whatever is missing, of the
//! wrong type or left over is an error that names the field, so that a typing mistake is found at
//! once.

use std::fmt;
use std::ops::RangeInclusive;

use chat_core::{ClientKey, Cursor, Error, RoomId, Timestamp, UserId, limits};
use percent_encoding::percent_decode_str;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use crate::protocol::Problem;

/// The greatest whole number that every JSON reader keeps exact: 2^53 − 1 (RFC 8259, section 6).
pub(super) const GREATEST: u64 = (1 << 53) - 1;

/// Fields that have not been taken yet.
#[derive(Debug)]
pub struct Fields {
    /// In the order in which they came. There are few, so a list is quicker than a map.
    left: Vec<(String, Value)>,
    /// In a query string every value is text.
    all_text: bool,
}

/// Whether what stands in an address, with percent signs in it perhaps, is text in UTF-8. Whoever decodes it without
/// having asked reads other characters in place of those that are none.
#[must_use]
pub fn is_text(encoded: &str) -> bool {
    percent_decode_str(encoded).decode_utf8().is_ok()
}

impl Fields {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// `bad_json`, or `bad_request` for JSON that is not an object.
    pub fn from_json(text: &[u8]) -> Result<Self, Problem> {
        if let Ok(Object(left)) = serde_json::from_slice(text) {
            return Ok(Self { left, all_text: false });
        }
        Err(match serde_json::from_slice::<Value>(text) {
            Ok(_) => Problem::bad_request("this must be a JSON object: {…}"),
            Err(cause) => Problem::bad_json(&cause),
        })
    }

    /// The fields of a query string.
    ///
    /// # Errors
    /// `bad_request` if it is not one.
    pub fn from_query(text: &str) -> Result<Self, Problem> {
        if !is_text(text) {
            return Err(Problem::bad_request("the query string is no text in UTF-8"));
        }
        let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
        let pairs = pairs.map_err(|_| Problem::bad_request("the query string cannot be read"))?;
        let pairs = pairs.into_inner().into_iter();
        let left = pairs.map(|(name, value)| (name, Value::String(value))).collect();
        Ok(Self { left, all_text: true })
    }

    /// Whether a field is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(field, _)| field == name)
    }

    /// Takes a field. Of several with one name the last one counts, as with most readers of JSON.
    fn take(&mut self, name: &str) -> Option<Value> {
        let mut taken = None;
        self.left.retain_mut(|(field, value)| {
            let found = field == name;
            if found {
                taken = Some(value.take());
            }
            !found
        });
        taken
    }

    /// Takes a text, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is not text.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "text", &other)),
        }
    }

    /// Takes a text that must be there.
    ///
    /// # Errors
    /// `bad_request` if it is not, or is of another type.
    pub fn needed_text(&mut self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Takes a whole number from 0 to 2^53 − 1, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is not one.
    pub fn number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Value::String(text) if self.all_text => text.parse().ok(),
            other => other.as_u64(),
        };
        let number = number.filter(|number| *number <= GREATEST);
        number.map(Some).ok_or_else(|| wrong(name, "a whole number from 0 to 2^53 − 1", &value))
    }

    /// Takes true or false, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is something else.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let flag = match &value {
            Value::String(text) if self.all_text => text.parse().ok(),
            other => other.as_bool(),
        };
        flag.map(Some).ok_or_else(|| wrong(name, "true or false", &value))
    }

    /// Takes the key of a write, if it is there.
    ///
    /// # Errors
    /// `bad_request`, `empty` or `too_long`.
    pub fn key(&mut self) -> Result<Option<ClientKey>, Problem> {
        let key = self.text("key")?;
        key.map(|key| ClientKey::new(key).map_err(Problem::from)).transpose()
    }

    /// Takes a list of ids, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is something else.
    pub fn ids<T: From<Uuid>>(&mut self, name: &'static str) -> Result<Option<Vec<T>>, Problem> {
        let id = |value: &Value| match value {
            Value::String(text) => text.parse().ok().map(|id: Uuid| T::from(id)),
            _ => None,
        };
        match self.take(name) {
            None => Ok(None),
            Some(list @ Value::Array(_)) => {
                let ids = list.as_array().and_then(|list| list.iter().map(id).collect());
                ids.map(Some).ok_or_else(|| wrong(name, "a list of ids", &list))
            }
            Some(other) => Err(wrong(name, "a list of ids", &other)),
        }
    }

    /// Takes an id or `null`, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is neither.
    pub fn id_or_null(&mut self, name: &'static str) -> Result<Option<Option<Uuid>>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => parse_id(&text, name).map(|id| Some(Some(id))),
            Some(other) => Err(wrong(name, "an id or null", &other)),
        }
    }

    /// Takes a room's id, which must be there.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn room(&mut self) -> Result<RoomId, Problem> {
        parse_id(&self.needed_text("room")?, "room")
    }

    /// Takes a user's id, which must be there.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn user(&mut self) -> Result<UserId, Problem> {
        parse_id(&self.needed_text("user")?, "user")
    }

    /// Takes a time, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is not in the form of RFC 3339.
    pub fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        let parse = |text: String| {
            let message = "must be a time as in RFC 3339: 2026-01-02T03:04:05.678Z";
            text.parse().map_err(|_| Problem::bad_request(format!("`{name}` {message}")).at(name))
        };
        self.text(name)?.map(parse).transpose()
    }

    /// Takes a cursor, if it is there.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn cursor(&mut self, name: &'static str) -> Result<Option<Cursor>, Problem> {
        let parse = |text: String| {
            text.parse().map_err(|error: chat_core::BadCursor| {
                Problem::bad_request(format!("`{name}`: {error}")).at(name)
            })
        };
        self.text(name)?.map(parse).transpose()
    }

    /// Takes the size of a page; [`limits::DEFAULT_PAGE`] if it is not there.
    ///
    /// # Errors
    /// `bad_request` if it is more than [`limits::PAGE`].
    pub fn limit(&mut self) -> Result<usize, Problem> {
        let limit = self.number("limit")?.unwrap_or(limits::DEFAULT_PAGE as u64);
        match usize::try_from(limit) {
            Ok(limit) if limit <= limits::PAGE => Ok(limit),
            _ => {
                let message = format!("`limit` is {limit}; at most {} are allowed", limits::PAGE);
                let (most, limit) = (Some(limits::PAGE as u64), Some(limit));
                let problem = Problem::bad_request(message).at("limit");
                Err(Problem { limit: most, actual: limit, ..problem })
            }
        }
    }

    /// Takes a whole number of this range, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is another one.
    pub fn number_within(
        &mut self,
        name: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        let (least, most) = (*range.start(), *range.end());
        match usize::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("`{name}` is {number}; {least} to {most} are allowed");
                let (limit, actual) = (Some(most as u64), Some(number));
                Err(Problem { limit, actual, ..Problem::bad_request(message).at(name) })
            }
        }
    }

    /// Takes a list, if it is there.
    ///
    /// # Errors
    /// `bad_request` if it is not a list of objects.
    pub fn objects(&mut self, name: &'static str) -> Result<Option<Vec<Self>>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(wrong(name, "a list", &value)) };
        let object = |item| match item {
            Value::Object(left) => Ok(Self { left: left.into_iter().collect(), all_text: false }),
            other => Err(wrong(name, "a list of objects", &other)),
        };
        items.into_iter().map(object).collect::<Result<_, _>>().map(Some)
    }

    /// Says that nothing else is expected.
    ///
    /// # Errors
    /// `bad_request`, naming a field that is left over.
    pub fn finish(self) -> Result<(), Problem> {
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(40).collect();
                let message = format!("there is no field `{name}` here; leave it out");
                Err(Problem::bad_request(message).at(name))
            }
        }
    }
}

/// A JSON object as it is read.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                // Most commands have no more.
                let mut left = Vec::with_capacity(5);
                while let Some(field) = map.next_entry()? {
                    left.push(field);
                }
                Ok(Object(left))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Reads an id.
pub(super) fn parse_id<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, Problem> {
    let message = || Problem::bad_request(format!("`{name}` must be an id: a UUID")).at(name);
    text.parse().map_err(|_| message())
}

/// A field that must be there is not.
pub(super) fn missing(name: &'static str) -> Problem {
    Problem::bad_request(format!("`{name}` is missing")).at(name)
}

/// The text of a field that must be there, checked by its type.
pub(super) fn checked<T>(
    fields: &mut Fields,
    name: &'static str,
    check: impl FnOnce(String) -> Result<T, Error>,
) -> Result<T, Problem> {
    check(fields.needed_text(name)?).map_err(Problem::from)
}

fn wrong(name: &'static str, expected: &str, value: &Value) -> Problem {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let message = if expected == kind || matches!(value, Value::Number(_) | Value::String(_)) {
        format!("`{name}` must be {expected}; this {kind} is not")
    } else {
        format!("`{name}` must be {expected}, not {kind}")
    };
    Problem::bad_request(message).at(name)
}
