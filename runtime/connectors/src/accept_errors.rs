//! Handles the errors of a listener that cannot accept.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;
use tracing::warn;

/// How long a listener pauses after an error, unless the error concerns only one client. A missing
/// resource, such as a file descriptor, does not become available sooner if the listener tries
/// again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// How many errors in a row may be errors of single clients. If there are more, the listener itself
/// fails, and it pauses after each error.
const IN_ROW: u32 = 100;

/// The shortest time between two log lines of a listener that cannot accept.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Errors that concern one connection, which has left the queue by then, or the network below it.
/// accept(2) says to handle them like `EAGAIN`, that is, to try again.
const OF_ONE_CLIENT: [Errno; 13] = [
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::CONNREFUSED,
    Errno::INTR,
    Errno::PERM,
    Errno::PROTO,
    Errno::NOPROTOOPT,
    Errno::NETDOWN,
    Errno::NETUNREACH,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::TIMEDOUT,
];

/// The errors of one listener: decides how long it pauses after each, and how often it logs one.
#[derive(Debug)]
pub struct AcceptErrors {
    listener: String,
    in_row: u32,
    logged: Option<Instant>,
    not_logged: u64,
}

impl AcceptErrors {
    /// Creates the state of a listener that has had no errors yet. `listener` is its URL.
    pub fn of(listener: String) -> Self {
        Self { listener, in_row: 0, logged: None, not_logged: 0 }
    }

    /// Records that a client was accepted.
    pub fn accepted(&mut self) {
        self.in_row = 0;
    }

    /// Logs an error, unless the listener has logged one less than 10 seconds ago. Returns how long
    /// to wait before the next attempt.
    pub fn failed(&mut self, error: &io::Error) -> Duration {
        if let Some(not_logged) = self.logs(Instant::now()) {
            warn!(url = self.listener, %error, not_logged, "cannot accept");
        }
        self.pause(error)
    }

    /// Returns whether to log an error that occurs now: `None` if not, and otherwise how many
    /// errors were not logged since the last log line.
    fn logs(&mut self, now: Instant) -> Option<u64> {
        if self.logged.is_some_and(|logged| now - logged < LOG_INTERVAL) {
            self.not_logged += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.not_logged))
    }

    fn pause(&mut self, error: &io::Error) -> Duration {
        self.in_row += 1;
        let of_one = Errno::from_io_error(error).is_some_and(|errno| OF_ONE_CLIENT.contains(&errno));
        if of_one && self.in_row <= IN_ROW { Duration::ZERO } else { PAUSE }
    }
}

/// Returns whether an error means that the process or the system has no file descriptors left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// A file descriptor that is kept in reserve. When no other descriptor is free, the server closes
/// this one, so that it can accept a client and close its connection at once.
#[derive(Debug)]
pub struct SpareDescriptor(Mutex<Option<File>>);

impl SpareDescriptor {
    /// Opens the reserved descriptor, if the system has one left.
    pub fn open() -> Self {
        let spare = Self(Mutex::new(None));
        spare.keep();
        spare
    }

    /// Closes the reserved descriptor, so that another one can be opened. Returns `false` if there
    /// was none.
    pub fn give_up(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// Opens the reserved descriptor again if it is closed and the system has one left.
    pub fn keep(&self) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = File::open("/dev/null").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn an_error_of_one_client_is_followed_by_the_next_at_once() {
        let mut errors = AcceptErrors::of("tcp://a".to_owned());
        for errno in OF_ONE_CLIENT {
            assert_eq!(errors.failed(&of(errno)), Duration::ZERO, "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF] {
            assert_eq!(errors.failed(&of(errno)), PAUSE, "{errno}");
        }
        let other = io::Error::other("of a connector's own");
        assert_eq!(errors.failed(&other), PAUSE);
    }

    #[test]
    fn one_that_never_ends_burns_no_time() {
        let mut errors = AcceptErrors::of("tcp://a".to_owned());
        for _ in 0..IN_ROW {
            assert_eq!(errors.failed(&of(Errno::PERM)), Duration::ZERO);
        }
        assert_eq!(errors.failed(&of(Errno::PERM)), PAUSE);
        errors.accepted();
        assert_eq!(errors.failed(&of(Errno::PERM)), Duration::ZERO);
    }

    #[test]
    fn the_log_has_one_line_a_while() {
        let (mut errors, now) = (AcceptErrors::of("tcp://a".to_owned()), Instant::now());
        assert_eq!(errors.logs(now), Some(0));
        for _ in 0..1000 {
            assert_eq!(errors.logs(now + LOG_INTERVAL / 2), None);
        }
        assert_eq!(errors.logs(now + LOG_INTERVAL), Some(1000));
    }
}
