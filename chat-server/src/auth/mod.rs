//! Who is at the door: tokens, the key that they are signed with, which of them have been withdrawn, and
//! the gate that knows a user by one. What the user may then do is for the rooms to say.

mod gate;
mod issuer;
mod proxies;
mod secret;
mod token;
mod withdrawn;

pub use gate::{Admit, Anybody, Bearer, Caller, Gate, Identity, bearer, still_admitted};
pub use issuer::{Foreigner, Issuer, IssuerError};
pub use proxies::Proxies;
pub use secret::{SecretError, signing_keys};
pub use token::{BadKey, Claims, Kind, LONGEST_TOKEN, SigningKey, Subject, TokenError, Tokens};
pub use withdrawn::Withdrawn;
