//! Senders that each wait for the answer to a message before they send the next one, and what came of
//! it. It knows nothing of how a message is written.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::Outcome;
use shared::figures::Report;
use uuid::{Builder, Uuid};

use crate::home_made::now_ms;
use crate::results::measure;
use crate::shape::Shape;

/// How many bytes the text of a message has.
pub(crate) const TEXT_BYTES: usize = 128;
/// How long messages are sent before they are counted.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);
/// How long a sender waits before it tries again what it may try again.
const AGAIN: Duration = Duration::from_millis(5);

/// Whoever writes messages, one after the other.
pub(crate) trait Sender: Send + 'static {
    /// Writes a message to the room with this index; answers its number once it is stored.
    fn send(
        &mut self,
        room: usize,
        key: &str,
        text: &str,
    ) -> impl Future<Output = Result<u64, Refused>> + Send;
}

/// A message was not stored, or nobody knows.
pub(crate) struct Refused {
    /// Whether to try again, with the same key.
    pub(crate) again: bool,
    pub(crate) why: String,
}

/// The time that is measured; before it and after it messages do not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Window {
    /// One that begins when all is warm.
    pub(crate) fn of(measured: Duration) -> Self {
        let from = Instant::now() + WARM_UP.min(measured);
        Self { from, until: from + measured }
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }
}

/// A message that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) key: Key,
    pub(crate) room: u64,
    /// The number that it was given.
    pub(crate) seq: u64,
    /// From its sending to its answer, if that fell into the window.
    pub(crate) nanos: Option<u64>,
}

/// The key of a message: a UUID of version 7, as clients make them, which sorts by the moment it was made;
/// in the place of its random bits it has which message of which sender it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) Uuid);

impl Key {
    pub(crate) fn new(sender: usize, nth: u64) -> Self {
        // The version leaves twelve bits of the first two bytes.
        let mut bits = [0; 10];
        bits[..2].copy_from_slice(&(sender as u16).to_be_bytes());
        bits[2..].copy_from_slice(&nth.to_be_bytes());
        Self(Builder::from_unix_timestamp_millis(now_ms() as u64, &bits).into_uuid())
    }
}

/// What all senders did.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) acked: Vec<Acked>,
    /// How often something was tried again.
    pub(crate) again: u64,
}

/// Lets the senders write, each to its rooms in turn, until the window ends. Ends when the last answer
/// has come. `first` is the number of the first sender among those of all processes.
///
/// # Errors
/// If a message is refused for good.
pub(crate) async fn run<S: Sender>(
    senders: Vec<S>,
    first: usize,
    shape: &Shape,
    window: Window,
) -> Outcome<Sent> {
    let tasks = works(senders, first, shape, window).into_iter().map(tokio::spawn);
    gather(tasks.collect()).await
}

/// What a sender does from the beginning to its end.
pub(crate) type Work = BoxFuture<'static, Result<Sent, String>>;

/// What each of the senders does, for who has places for it to run.
pub(crate) fn works<S: Sender>(
    senders: Vec<S>,
    first: usize,
    shape: &Shape,
    window: Window,
) -> Vec<Work> {
    let works = (first..).zip(senders);
    works
        .map(|(number, sender)| write(sender, number, shape.rooms_of(number), window).boxed())
        .collect()
}

/// Waits for all of them.
///
/// # Errors
/// As [`run`].
pub(crate) async fn gather<E: std::error::Error + Send + Sync + 'static>(
    tasks: Vec<impl Future<Output = Result<Result<Sent, String>, E>>>,
) -> Outcome<Sent> {
    let mut all = Sent::default();
    let mut failed = None;
    for task in tasks {
        match task.await? {
            Ok(sent) => {
                all.acked.extend(sent.acked);
                all.again += sent.again;
            }
            Err(why) => failed = Some(why),
        }
    }
    match failed {
        Some(why) => Err(format!("a message was not taken: {why}").into()),
        None => Ok(all),
    }
}

async fn write<S: Sender>(
    mut sender: S,
    number: usize,
    rooms: Vec<usize>,
    window: Window,
) -> Result<Sent, String> {
    let mut sent = Sent::default();
    let filler = "lorem ipsum dolor sit amet ".repeat(TEXT_BYTES);
    for (nth, room) in (0..).zip(rooms.into_iter().cycle()) {
        let key = Key::new(number, nth);
        let text = format!("{number:08} {nth:08} {}", &filler[..TEXT_BYTES - 18]);
        let began = Instant::now();
        if began >= window.until {
            break;
        }
        let name = key.0.to_string();
        let seq = loop {
            match sender.send(room, &name, &text).await {
                Ok(seq) => break seq,
                Err(refused) if !refused.again => return Err(refused.why),
                Err(_) => {
                    sent.again += 1;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let now = Instant::now();
        let counts = (window.from..window.until).contains(&now);
        let nanos = counts.then(|| (now - began).as_nanos() as u64);
        sent.acked.push(Acked { key, room: room as u64, seq, nanos });
    }
    Ok(sent)
}

/// The figures of what was acknowledged in a window of so many seconds.
///
/// # Errors
/// If nothing was.
pub(crate) fn figures(acked: &[Acked], seconds: f64) -> Outcome<Report> {
    let mut nanos: Vec<u64> = acked.iter().filter_map(|acked| acked.nanos).collect();
    if nanos.is_empty() {
        return Err("nothing was acknowledged in time".into());
    }
    Ok(of_times(&mut nanos, seconds))
}

/// The figures of things that each took so many nanoseconds; there is one at least.
pub(crate) fn of_times(nanos: &mut [u64], seconds: f64) -> Report {
    nanos.sort_unstable();
    let at = |part: f64| nanos[((nanos.len() - 1) as f64 * part).round() as usize] as f64 / 1e3;
    Report::from([
        (measure::RATE, nanos.len() as f64 / seconds),
        (measure::P50, at(0.5)),
        (measure::P99, at(0.99)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow;

    impl Sender for Slow {
        async fn send(&mut self, _: usize, _: &str, text: &str) -> Result<u64, Refused> {
            assert_eq!(text.len(), TEXT_BYTES);
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(1)
        }
    }

    #[tokio::test]
    async fn each_sender_waits_for_its_answer() {
        let shape = crate::shape::of(64, 100).expect("a shape");
        let window = Window::of(Duration::from_millis(200));
        let sent = run((0..64).map(|_| Slow).collect(), 0, shape, window).await;
        let acked = sent.unwrap_or_else(|error| panic!("{error}")).acked;
        let report = figures(&acked, window.seconds()).unwrap_or_else(|error| panic!("{error}"));
        // Nobody can be faster than its answers come.
        assert!(report[measure::P50] >= 2_000.0, "{report:?}");
        assert!(report[measure::RATE] <= 64.0 * 500.0 * 1.1, "{report:?}");
        let mut keys: Vec<_> = acked.iter().map(|acked| acked.key.0).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), acked.len());
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut nanos: Vec<u64> = (0..=100).rev().map(|ms| ms * 1_000_000).collect();
        let report = of_times(&mut nanos, 2.0);
        assert_eq!(report[measure::P50], 50_000.0);
        assert_eq!(report[measure::P99], 99_000.0);
        assert_eq!(report[measure::RATE], 50.5);
    }
}
