//! Passwords: what may be one, and how it is kept. To look at one takes 20 ms of a core and 19 MiB, by
//! design, so a few threads of their own do it, one password after the other and behind everything else
//! that the machine has to do; who would have to wait for too many others is told `busy`.

use std::fmt;
use std::sync::Arc;
use std::thread;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::PeopleError;

/// How many characters a password has.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

/// Memory in KiB, passes, lanes: the second of the choices that OWASP's Password Storage Cheat Sheet
/// calls equal (2024).
const COST: (u32, u32, u32) = (19 * 1_024, 2, 1);

/// How many may wait. With 20 ms each and one thread, the last one waits for 5 s.
const MOST_WAITING: usize = 256;

/// A password as somebody typed it, byte for byte. Never shown.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Takes a text of 8 to 256 characters, of whatever kind.
    ///
    /// # Errors
    /// `too_short`, `too_long`, naming `field`.
    pub fn new(text: String, field: &'static str) -> Result<Self, PeopleError> {
        let text = SecretString::from(text);
        let actual = text.expose_secret().chars().count();
        let (least, most) = PASSWORD_CHARS.into_inner();
        if actual < least {
            return Err(PeopleError::TooShort { what: field, least, actual });
        }
        if actual > most {
            return Err(PeopleError::TooLong { what: field, most, actual });
        }
        Ok(Self(text))
    }

    fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What is kept of a password: argon2id in the PHC string format. Not shown either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// One that was kept.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text to keep.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Whether a password is the one that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not.
    Wrong,
    /// It is.
    Right,
    /// It is, and is to be kept in this way from now on: the cost has been raised since.
    RightButOld(PasswordHash),
}

enum Job {
    Hash(Password, oneshot::Sender<PasswordHash>),
    Verify(Password, Option<PasswordHash>, oneshot::Sender<Verdict>),
}

/// The threads that look at passwords. Cheap to clone; they end with the last clone.
#[derive(Clone)]
pub struct Passwords {
    jobs: mpsc::Sender<Job>,
}

impl Passwords {
    /// Starts so many threads, 1 at least.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        let (jobs, waiting) = mpsc::channel(MOST_WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            let work = move || work(&waiting);
            if let Err(error) = thread::Builder::new().name("chat-passwords".into()).spawn(work) {
                tracing::error!(%error, "could not start a thread for passwords");
            }
        }
        Self { jobs }
    }

    /// How a password is to be kept.
    ///
    /// # Errors
    /// `busy` if too many are waiting.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PeopleError> {
        self.ask(|reply| Job::Hash(password, reply)).await
    }

    /// Whether a password is the one that is kept. Of nobody's (`None`) it is not, and that takes just
    /// as long to find out.
    ///
    /// # Errors
    /// `busy` if too many are waiting.
    pub async fn verify(
        &self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> Result<Verdict, PeopleError> {
        self.ask(|reply| Job::Verify(password, kept, reply)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, PeopleError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(job(reply)).map_err(|_| PeopleError::Busy)?;
        answer.await.map_err(|_| PeopleError::Busy)
    }
}

/// This thread runs when no other one of the server wants its core, and gives it back at once. To be
/// nice (19) is not enough: then whoever wakes up waits until the kernel's next look at the clock, 4 ms
/// or more, and if that is the thread that commits, so does everybody's message.
fn stand_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Whether a niceness was taken with it, which counts for nothing then, says nothing.
    _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    if thread_schedule_policy() != Ok(idle) {
        tracing::warn!("signing in is not done behind everything else: the system does not let it");
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    stand_back();
    let hasher = Hasher::new();
    loop {
        let job = waiting.blocking_lock().blocking_recv();
        match job {
            // Who has gone meanwhile need not be answered.
            Some(Job::Hash(_, reply)) if reply.is_closed() => {}
            Some(Job::Verify(_, _, reply)) if reply.is_closed() => {}
            Some(Job::Hash(password, reply)) => _ = reply.send(hasher.hash(&password)),
            Some(Job::Verify(password, kept, reply)) => {
                _ = reply.send(hasher.verify(&password, kept.as_ref()));
            }
            None => return,
        }
    }
}

struct Hasher {
    argon2: Argon2<'static>,
    /// Of no password: what a stranger's is compared with.
    nobody: PasswordHash,
}

impl Hasher {
    fn new() -> Self {
        let (memory, passes, lanes) = COST;
        let params =
            Params::new(memory, passes, lanes, None).expect("a cost within argon2's bounds");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hasher = Self { argon2, nobody: PasswordHash(String::new()) };
        let random = Password(uuid::Uuid::new_v4().to_string().into());
        hasher.nobody = hasher.hash(&random);
        hasher
    }

    fn hash(&self, password: &Password) -> PasswordHash {
        let hash = self.argon2.hash_password(password.bytes());
        PasswordHash(hash.expect("a password, and salt that the system gives").to_string())
    }

    fn verify(&self, password: &Password, kept: Option<&PasswordHash>) -> Verdict {
        let hash = kept.unwrap_or(&self.nobody);
        let Ok(parsed) = Phc::new(&hash.0) else {
            tracing::error!("what is kept of a password cannot be read");
            return Verdict::Wrong;
        };
        let right = self.argon2.verify_password(password.bytes(), &parsed).is_ok();
        if !right || kept.is_none() {
            return Verdict::Wrong;
        }
        let current = Params::try_from(&parsed)
            .is_ok_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == COST);
        if current && parsed.algorithm == argon2::ARGON2ID_IDENT {
            Verdict::Right
        } else {
            Verdict::RightButOld(self.hash(password))
        }
    }
}

#[cfg(test)]
mod tests;
