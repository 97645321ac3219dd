//! Who is at the door: tokens, and the key that they are signed with. What a token's owner may then
//! do is for the rooms to say; that a person has been thrown out since is for the session to know.

mod secret;
mod token;

pub use secret::{SecretError, signing_key};
pub use token::{Claims, Kind, LONGEST_TOKEN, TokenError, Tokens};
