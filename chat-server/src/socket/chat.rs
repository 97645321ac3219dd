//! Chat over a connection: tokens, commands and their answers. What it takes to connect a session,
//! and to send a text, is the transport's; everything else is the same for all.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytestring::ByteString;
use chat_core::{CloseReason, Rated, Session, User};

use crate::auth::{Admit, Identity};
use crate::protocol::{
    Asked, CloseCode, Problem, Refused, Request, close_code, error, parse, read_id, reply_auth,
};

/// How many messages and pings of somebody who shows no token are answered.
const STRANGERS_MESSAGES: u8 = 32;

/// One end of a chat.
pub(super) struct Chat {
    gate: Arc<dyn Admit>,
    session: Option<Session>,
    /// Whoever showed a token during the handshake, until the connection stands.
    identity: Option<Identity>,
    /// How many messages and pings came without a token.
    strange: u8,
}

/// What a chat needs of its connection.
pub(super) trait Connection {
    /// Begins a session whose events and answers go over the connection.
    fn connect(&mut self, user: User) -> chat_core::Result<Session>;

    /// Sends a text.
    fn say(&mut self, text: ByteString);
}

impl Chat {
    /// A chat with somebody who has shown this token during the handshake.
    ///
    /// # Errors
    /// `unauthorized`.
    pub(super) fn new(gate: &Arc<dyn Admit>, token: Option<&str>) -> Result<Self, Problem> {
        let identity = token.map(|token| gate.admit(token)).transpose()?;
        Ok(Self { gate: Arc::clone(gate), session: None, identity, strange: 0 })
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The connection stands.
    pub(super) fn begin(&mut self, line: &mut impl Connection) -> ControlFlow<CloseCode> {
        let Some(identity) = self.identity.take() else { return ControlFlow::Continue(()) };
        match self.connect(&identity, line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(refused) => refuse(refused, None, line),
        }
    }

    fn connect(
        &mut self,
        identity: &Identity,
        line: &mut impl Connection,
    ) -> chat_core::Result<()> {
        let session = line.connect(identity.user.clone())?;
        self.entitle(&session, identity);
        self.session = Some(session);
        Ok(())
    }

    /// The token entitles the session, unless it has been withdrawn in this very moment. A name that its user
    /// was given meanwhile is the session's too: the gate knows it before sessions are told, and this one may not
    /// have begun by then.
    fn entitle(&self, session: &Session, identity: &Identity) {
        session.renew(identity.expires, identity.login);
        let mut called = identity.user.clone();
        loop {
            match self.gate.still_admits(identity) {
                Some(user) if user == called => return,
                Some(user) => {
                    session.rename(&user);
                    // Once more: one that was given since has been told before this one.
                    called = user;
                }
                None => return session.end(CloseReason::Withdrawn),
            }
        }
    }

    /// A text message has come.
    pub(super) fn text(
        &mut self,
        text: &str,
        line: &mut impl Connection,
    ) -> ControlFlow<CloseCode> {
        if !self.admit(text.len(), || read_id(text.as_bytes()), line)? {
            return ControlFlow::Continue(());
        }
        let Asked { id, request } = match parse(text.as_bytes()) {
            Ok(asked) => asked,
            Err(Refused { id, problem }) => {
                line.say(error(id, *problem));
                return ControlFlow::Continue(());
            }
        };
        match (request, &self.session) {
            (Request::Auth(token), _) => return self.authenticate(id, &token, line),
            (Request::Command(command), Some(session)) => {
                if let Err(refused) = session.submit(id, command) {
                    line.say(error(Some(id), refused.into()));
                }
            }
            (Request::Command(_), None) => {
                let problem = Problem::unauthorized("show a token first: {\"do\":\"auth\",…}");
                line.say(error(Some(id), problem));
            }
        }
        ControlFlow::Continue(())
    }

    /// A ping with a payload of this many bytes has come. It counts as a command does; one too many
    /// is told so, and answered all the same.
    pub(super) fn ping(
        &mut self,
        bytes: usize,
        line: &mut impl Connection,
    ) -> ControlFlow<CloseCode> {
        self.admit(bytes, || None, line)?;
        ControlFlow::Continue(())
    }

    /// Whether something of this many bytes is to be looked into; if not, the client has been told
    /// why.
    fn admit(
        &mut self,
        bytes: usize,
        id: impl FnOnce() -> Option<u64>,
        line: &mut impl Connection,
    ) -> ControlFlow<CloseCode, bool> {
        let Some(session) = &self.session else {
            self.strange = self.strange.saturating_add(1);
            if self.strange > STRANGERS_MESSAGES {
                return ControlFlow::Break(CloseCode::UNAUTHORIZED);
            }
            return ControlFlow::Continue(true);
        };
        match session.admit(bytes) {
            Rated::Granted => ControlFlow::Continue(true),
            Rated::Refused(refused) => {
                line.say(error(id(), refused.into()));
                ControlFlow::Continue(false)
            }
            Rated::Flooding => {
                session.end(CloseReason::Flooding);
                ControlFlow::Break(close_code(CloseReason::Flooding))
            }
        }
    }

    fn authenticate(
        &mut self,
        id: u64,
        token: &str,
        line: &mut impl Connection,
    ) -> ControlFlow<CloseCode> {
        let identity = match self.gate.admit(token) {
            Ok(identity) => identity,
            Err(problem) => {
                line.say(error(Some(id), problem));
                return ControlFlow::Break(CloseCode::UNAUTHORIZED);
            }
        };
        match &self.session {
            Some(session) if session.user().id != identity.user.id => {
                let message = "this token is another user's; open another connection for it";
                line.say(error(Some(id), Problem::unauthorized(message).at("token")));
                return ControlFlow::Continue(());
            }
            Some(session) => self.entitle(session, &identity),
            None => {
                if let Err(refused) = self.connect(&identity, line) {
                    return refuse(refused, Some(id), line);
                }
            }
        }
        line.say(reply_auth(id, &identity.user, identity.expires));
        ControlFlow::Continue(())
    }
}

/// Somebody who is known gets no session.
fn refuse(
    refused: chat_core::Error,
    id: Option<u64>,
    line: &mut impl Connection,
) -> ControlFlow<CloseCode> {
    let close = match refused.code() {
        chat_core::Code::TooManySessions => CloseCode::TOO_MANY,
        _ => close_code(CloseReason::Draining),
    };
    line.say(error(id, refused.into()));
    ControlFlow::Break(close)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chat_core::{After, Engine, Event, Inbox, MemberQuery, Name, NewRoom, UserId};

    use super::*;

    /// Admits a user who gets these names later, each as soon as it is asked for the one before.
    struct Door {
        user: User,
        later: Mutex<Vec<&'static str>>,
    }

    fn called(user: UserId, name: &str) -> User {
        User::new(user, Name::new(name).unwrap())
    }

    impl Admit for Door {
        fn admit(&self, _: &str) -> Result<Identity, Problem> {
            Ok(Identity { user: self.user.clone(), expires: None, login: None, guest: false })
        }

        fn still_admits(&self, identity: &Identity) -> Option<User> {
            let mut later = self.later.lock().unwrap();
            let name = if later.len() > 1 { later.remove(0) } else { later[0] };
            Some(called(identity.user.id, name))
        }
    }

    struct Line {
        engine: Engine,
        inbox: Option<Inbox<Arc<Event>>>,
    }

    impl Connection for Line {
        fn connect(&mut self, user: User) -> chat_core::Result<Session> {
            let (session, inbox) = self.engine.connect(user)?;
            self.inbox = Some(inbox);
            Ok(session)
        }

        fn say(&mut self, text: ByteString) {
            panic!("{text}");
        }
    }

    #[tokio::test]
    async fn whoever_is_renamed_while_it_connects_goes_by_the_last_name() {
        let engine = Engine::builder().start().unwrap();
        let bob = called(UserId::new(), "Bob");
        let later = Mutex::new(vec!["Bobby", "Robert"]);
        let gate: Arc<dyn Admit> = Arc::new(Door { user: bob.clone(), later });
        let mut line = Line { engine: engine.clone(), inbox: None };
        let mut chat = Chat::new(&gate, Some("token")).unwrap();
        assert!(chat.begin(&mut line).is_continue());
        let session = chat.session().unwrap();
        let ann = called(UserId::new(), "Ann");
        let room = engine.open_room(&ann, NewRoom::open("Lobby").unwrap()).await.unwrap();
        session.join(room.id(), After::Nothing).await.unwrap();
        let query = MemberQuery { after: None, limit: 10, online: true };
        let there = session.members(room.id(), query).await.unwrap().members;
        assert_eq!(there[0].membership.user, called(bob.id, "Robert"));
        engine.stop().await;
    }
}
