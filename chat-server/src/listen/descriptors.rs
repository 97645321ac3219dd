//! How many connections the process can hold: every one takes a descriptor, and a server that has
//! none left can neither accept nor refuse anybody.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process's descriptors are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// For WebSocket connections.
    pub sockets: usize,
    /// For HTTP connections, handshakes among them.
    pub http: usize,
}

impl Descriptors {
    /// Takes as many descriptors as the system allows the process, and divides them.
    #[must_use]
    pub fn take() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Where it may not be raised, what there is has to do.
        let all = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        Self::divide(all.and_then(|all| usize::try_from(all).ok()).unwrap_or(usize::MAX / 2))
    }

    /// Keeps some for files, the database and the threads' own needs, and an eighth for HTTP.
    fn divide(all: usize) -> Self {
        let reserve = 64 + all / 64;
        let http = (all / 8).clamp(16, 65_536);
        Self { sockets: all.saturating_sub(reserve + http).max(16), http }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_always_left() {
        for all in [256, 1_024, 20_000, 1_048_576] {
            let Descriptors { sockets, http } = Descriptors::divide(all);
            assert!(sockets + http + 64 <= all, "{all}: {sockets} and {http}");
            assert!(sockets >= all / 2, "{all}: {sockets}");
        }
    }
}
