//! Waits for sockets and for the time. Some sockets may go first: theirs are looked at again after every
//! few of the others, so that reading what ten thousand get does not delay what ten others got.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

const TIMER: u64 = u64::MAX;
const FIRST: u64 = u64::MAX - 1;

/// How many sockets are looked at before those that go first get their turn again.
const FEW: usize = 64;
const MANY: usize = 1_024;

pub(crate) struct Poller {
    all: OwnedFd,
    /// Those that go first; one of `all`.
    first: OwnedFd,
    any_first: bool,
    /// Looks again and again in place of sleeping.
    busy: bool,
    /// `epoll` counts in milliseconds, which is too coarse for an open loop.
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new(busy: bool) -> Result<Self> {
        let (all, first) =
            (epoll::create(CreateFlags::CLOEXEC)?, epoll::create(CreateFlags::CLOEXEC)?);
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        epoll::add(&all, &first, EventData::new_u64(FIRST), EventFlags::IN)?;
        epoll::add(&all, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(TIMER) };
        let events = vec![nothing; MANY];
        Ok(Self { all, first, any_first: false, busy, timer, events })
    }

    /// Watches a new socket for room to write, which it has when it is connected.
    pub(crate) fn add(&mut self, socket: impl AsFd, index: u32, first: bool) -> Result<()> {
        self.any_first |= first;
        epoll::add(self.of(first), socket, EventData::new_u64(index.into()), EventFlags::OUT)
    }

    /// Watches a socket for something to read, and if `writing` for room to write too.
    pub(crate) fn read(
        &self,
        socket: impl AsFd,
        index: u32,
        first: bool,
        writing: bool,
    ) -> Result<()> {
        let flags = if writing { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(self.of(first), socket, EventData::new_u64(index.into()), flags)
    }

    /// Watches a socket no more.
    pub(crate) fn remove(&self, socket: impl AsFd, first: bool) -> Result<()> {
        epoll::delete(self.of(first), socket)
    }

    /// Waits until something is ready or the time is over, and puts into `ready` which sockets are, and
    /// whether they can be written to. A busy one does not wait: it is asked again and again.
    pub(crate) fn wait(&mut self, at_most: Duration, ready: &mut Vec<(u32, bool)>) -> Result<()> {
        ready.clear();
        let at_most = if self.busy { Duration::ZERO } else { at_most };
        if !self.busy {
            let exact = Itimerspec { it_interval: time(Duration::ZERO), it_value: time(at_most) };
            // Setting it to nothing stops it, and setting it forgets that it was over.
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &exact)?;
        }
        let until = at_most.is_zero().then(|| time(Duration::ZERO));
        let most = if self.any_first { FEW } else { MANY };
        look(&self.all, until, &mut self.events[..most], ready)?;
        if self.any_first {
            look(&self.first, Some(time(Duration::ZERO)), &mut self.events, ready)?;
        }
        Ok(())
    }

    fn of(&self, first: bool) -> &OwnedFd {
        if first { &self.first } else { &self.all }
    }
}

fn time(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

fn look(
    epoll: &OwnedFd,
    until: Option<Timespec>,
    events: &mut [Event],
    ready: &mut Vec<(u32, bool)>,
) -> Result<()> {
    let count = match epoll::wait(epoll, &mut *events, until.as_ref()) {
        Err(Errno::INTR) => 0,
        count => count?,
    };
    for &Event { flags, data } in &events[..count] {
        // Neither the timer nor those that go first are sockets.
        if let Ok(index) = u32::try_from(data.u64()) {
            ready.push((index, flags.contains(EventFlags::OUT)));
        }
    }
    Ok(())
}
