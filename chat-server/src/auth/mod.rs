//! Who is at the door: tokens, the key that they are signed with, and the gate that knows a user by
//! one. What the user may then do is for the rooms to say; that a person has been thrown out since
//! is for the session to know.

mod gate;
mod secret;
mod token;

pub use gate::{Admit, Caller, Gate, Identity, bearer};
pub use secret::{SecretError, signing_key};
pub use token::{Claims, Kind, LONGEST_TOKEN, TokenError, Tokens};
