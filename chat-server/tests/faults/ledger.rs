//! The ledger: everything that was said, by whom and where, and every answer to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chat_core::{
    Code, Draft, Engine, History, HistoryAt, HistoryQuery, Message, RoomId, Sent, Session, User,
    UserId,
};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::database::PATIENCE;
use crate::stored::Stored;
use crate::tell;

/// With what somebody speaks in a room: for itself alone, or from a connection.
#[derive(Clone)]
pub(crate) enum Voice {
    Alone(chat_core::Room, User),
    Connected(RoomId, Session),
}

impl Voice {
    pub(crate) fn room(&self) -> RoomId {
        match self {
            Self::Alone(room, _) => room.id(),
            Self::Connected(room, _) => *room,
        }
    }

    fn user(&self) -> &User {
        match self {
            Self::Alone(_, user) => user,
            Self::Connected(_, session) => session.user(),
        }
    }

    async fn history(&self, query: HistoryQuery) -> chat_core::Result<History> {
        match self {
            Self::Alone(room, user) => room.history(user, query).await,
            Self::Connected(room, session) => session.history(*room, query).await,
        }
    }

    async fn send(&self, draft: Draft) -> chat_core::Result<Sent> {
        match self {
            Self::Alone(room, user) => room.send(user, draft).await,
            Self::Connected(room, session) => session.send(*room, draft).await,
        }
    }
}

/// What was said, line by line. Each sender says one thing after the other.
pub(crate) struct Ledger {
    /// How long an answer may take.
    within: Duration,
    lines: Mutex<Vec<Line>>,
    accepted: AtomicUsize,
    /// Whatever else was wrong.
    faults: Mutex<Vec<String>>,
}

/// One message, however often it was sent.
#[derive(Clone)]
struct Line {
    room: RoomId,
    by: User,
    text: String,
    key: Option<String>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    result: Result<Sent, Code>,
    took: Duration,
}

impl Line {
    fn draft(&self) -> Draft {
        let draft = Draft::text(self.text.as_str()).expect("a good text");
        match &self.key {
            Some(key) => draft.key(key.as_str()).expect("a good key"),
            None => draft,
        }
    }

    fn accepted(&self) -> Option<Sent> {
        self.answers.iter().find_map(|answer| answer.result.ok())
    }
}

impl Ledger {
    /// Nobody may wait longer than this for an answer.
    pub(crate) fn new(within: Duration) -> Self {
        Self {
            within,
            lines: Mutex::default(),
            accepted: AtomicUsize::new(0),
            faults: Mutex::default(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().expect("the lines")
    }

    /// Writes down what somebody is about to say. Every text and every key is another one.
    pub(crate) fn note(&self, voice: &Voice, keyed: bool) -> usize {
        let (room, by) = (voice.room(), voice.user().clone());
        let mut lines = self.lines();
        let index = lines.len();
        let (text, key) = (format!("{index} of {}", by.name), format!("key {index}"));
        lines.push(Line { room, by, text, key: keyed.then_some(key), answers: Vec::new() });
        index
    }

    /// Sends a line, and writes down the answer.
    pub(crate) async fn send(&self, voice: &Voice, line: usize) -> Result<Sent, Code> {
        let draft = self.lines()[line].draft();
        let since = Instant::now();
        let answer = timeout(PATIENCE, voice.send(draft)).await;
        let took = since.elapsed();
        let answer = answer.unwrap_or_else(|_| panic!("nobody answers line {line} of the ledger"));
        let result = answer.map_err(|error| error.code());
        let mut lines = self.lines();
        let first = result.is_ok() && lines[line].accepted().is_none();
        self.accepted.fetch_add(usize::from(first), Ordering::Relaxed);
        lines[line].answers.push(Answer { result, took });
        result
    }

    /// Reads the latest messages of a room: a page without a gap, or a refusal, in time.
    pub(crate) async fn read(&self, voice: &Voice, page: usize) {
        let since = Instant::now();
        let query = HistoryQuery { at: HistoryAt::End, limit: page };
        let history = timeout(PATIENCE, voice.history(query)).await;
        let took = since.elapsed();
        let fault = match history {
            Ok(Ok(page)) => {
                let follows = |pair: &[Arc<Message>]| pair[1].seq == pair[0].seq + 1;
                let gap = !page.messages.windows(2).all(follows);
                gap.then(|| format!("a page with a gap: {:?}", page.messages))
            }
            Ok(Err(error)) if matches!(error.code(), Code::Busy | Code::Unavailable) => None,
            other => Some(format!("a page is answered {other:?}")),
        };
        let late = (took > self.within).then(|| format!("a page is answered after {took:?}"));
        self.faults.lock().expect("the faults").extend([fault, late].into_iter().flatten());
    }

    /// How many messages have been accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many answers were this refusal.
    pub(crate) fn refused(&self, code: Code) -> usize {
        let answers = |line: &Line| line.answers.iter().filter(|a| a.result == Err(code)).count();
        self.lines().iter().map(answers).sum()
    }

    /// What the answers were, for people.
    pub(crate) fn summary(&self) -> String {
        let [busy, unavailable] = [Code::Busy, Code::Unavailable].map(|code| self.refused(code));
        let (said, accepted) = (self.lines().len(), self.accepted());
        let slowest = self.lines().iter().flat_map(|line| &line.answers).map(|a| a.took).max();
        let slowest = slowest.unwrap_or_default().as_millis();
        format!(
            "{said} messages, {accepted} accepted; refused {busy} times as busy and {unavailable} \
             as unavailable; the slowest answer took {slowest} ms"
        )
    }

    /// The last accepted message of each room.
    pub(crate) fn last_accepted(&self) -> HashMap<RoomId, u64> {
        let mut last = HashMap::new();
        for line in self.lines().iter() {
            if let Some(sent) = line.accepted() {
                let seq = last.entry(line.room).or_insert(0);
                *seq = sent.seq.max(*seq);
            }
        }
        last
    }

    /// Compares what was answered with what is stored.
    pub(crate) fn check(&self, stored: &Stored) {
        let lines = self.lines();
        let mut faults = self.faults.lock().expect("the faults").clone();
        faults.extend(stored.faults());
        let said: HashMap<_, _> =
            lines.iter().map(|line| ((line.room, line.text.as_str()), line)).collect();
        let strangers =
            stored.rows().filter(|(room, row)| !said.contains_key(&(*room, row.text.as_str())));
        faults.extend(strangers.map(|stranger| format!("nobody said {stranger:?}")));
        let mut last: HashMap<(RoomId, UserId), u64> = HashMap::new();
        for line in lines.iter() {
            let mut fault = |what: String| faults.push(format!("{:?}: {what}", line.text));
            self.check_answers(line, &mut fault);
            let found = stored.find(line.room, &line.text);
            if found.len() > 1 {
                fault(format!("stored {} times", found.len()));
            }
            let Some(row) = found.first() else {
                if let Some(sent) = line.accepted() {
                    fault(format!("accepted as {} and lost", sent.seq));
                }
                continue;
            };
            let key = line.key.as_deref().map(str::as_bytes);
            if row.sender != line.by.id || row.key.as_deref() != key {
                fault(format!("stored with another sender or key: {row:?}"));
            }
            let last = last.entry((line.room, line.by.id)).or_default();
            if row.seq <= std::mem::replace(last, row.seq) {
                fault(format!("stored as {}, before what its sender said earlier", row.seq));
            }
            match line.accepted() {
                Some(sent) if (sent.seq, sent.at.timestamp_millis()) != (row.seq, row.at_ms) => {
                    fault(format!("accepted as {sent:?}, stored as {row:?}"));
                }
                None if line.answers.iter().all(|answer| answer.result == Err(Code::Busy)) => {
                    fault(format!("never taken, and stored as {}", row.seq));
                }
                _ => {}
            }
        }
        tell(&faults);
    }

    fn check_answers(&self, line: &Line, fault: &mut impl FnMut(String)) {
        for answer in &line.answers {
            let as_expected = match answer.result {
                Ok(sent) => Some(sent) == line.accepted(),
                Err(code) => code.retry() && matches!(code, Code::Busy | Code::Unavailable),
            };
            if !as_expected {
                fault(format!("answered {:?} after {:?}", answer.result, line.accepted()));
            }
            if answer.took > self.within {
                fault(format!("answered {:?} after {:?}", answer.result, answer.took));
            }
        }
        if line.key.is_some() && line.accepted().is_none() {
            fault("never accepted, however often it was sent".into());
        }
    }

    /// Sends some of the accepted messages once more with their keys: each is answered as before.
    pub(crate) async fn repeat(&self, engine: &Engine, most: usize) {
        let mut keyed = self.lines().clone();
        keyed.retain(|line| line.key.is_some() && line.accepted().is_some());
        let every = keyed.len().div_ceil(most).max(1);
        let again = keyed.iter().step_by(every).map(async |line| {
            let again = engine.room(line.room).send(&line.by, line.draft()).await;
            let first = line.accepted();
            (again.as_ref().ok() != first.as_ref())
                .then(|| format!("{:?}: at first {first:?}, and then {again:?}", line.text))
        });
        tell(&join_all(again).await.into_iter().flatten().collect::<Vec<_>>());
    }
}
