//! Chat over the direct transport.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytestring::ByteString;
use chat_core::{CloseReason, Engine, Session, User};

use crate::auth::Admit;
use crate::protocol::{CloseCode, Problem};
use crate::socket::chat::{Chat, Connection};
use crate::socket::direct::conversation::{Conversation, Line};

/// One end of a chat, and the engine that its session is of.
pub struct ChatLine {
    chat: Chat,
    engine: Engine,
}

impl ChatLine {
    /// A chat with somebody who has shown this token during the handshake.
    ///
    /// # Errors
    /// `unauthorized`.
    pub(super) fn new(
        engine: &Engine,
        gate: &Arc<dyn Admit>,
        token: Option<&str>,
    ) -> Result<Self, Problem> {
        Ok(Self { chat: Chat::new(gate, token)?, engine: engine.clone() })
    }

    fn split<'a>(&'a mut self, line: &'a Line) -> (&'a mut Chat, OnLine<'a>) {
        (&mut self.chat, OnLine { engine: &self.engine, line })
    }
}

/// A line, with the engine that it leads to.
struct OnLine<'a> {
    engine: &'a Engine,
    line: &'a Line,
}

impl Connection for OnLine<'_> {
    fn connect(&mut self, user: User) -> chat_core::Result<Session> {
        let session =
            self.engine.connect_through(self.line.fanout(), self.line.connection(), user)?;
        self.line.known();
        Ok(session)
    }

    fn say(&mut self, text: ByteString) {
        self.line.text(&text);
    }
}

impl Conversation for ChatLine {
    fn begin(&mut self, line: &Line) -> ControlFlow<CloseCode> {
        let (chat, mut line) = self.split(line);
        chat.begin(&mut line)
    }

    fn text(&mut self, line: &Line, text: &str) -> ControlFlow<CloseCode> {
        let (chat, mut line) = self.split(line);
        chat.text(text, &mut line)
    }

    fn binary(&mut self, _: &Line, _: &[u8]) -> ControlFlow<CloseCode> {
        ControlFlow::Break(CloseCode::NOT_OURS)
    }

    fn ping(&mut self, line: &Line, bytes: usize) -> ControlFlow<CloseCode> {
        let (chat, mut line) = self.split(line);
        chat.ping(bytes, &mut line)
    }

    fn binary_begins(&mut self) -> ControlFlow<CloseCode> {
        ControlFlow::Break(CloseCode::NOT_OURS)
    }

    fn lose(&mut self, reason: CloseReason) -> bool {
        match self.chat.session() {
            Some(session) => {
                session.end(reason);
                true
            }
            None => false,
        }
    }
}
