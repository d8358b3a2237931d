//! Counts file descriptors, and limits how many of them clients may take.
//!
//! Clients never get the last descriptors, because the control API, files and compile workers need
//! some too.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// How many descriptors are kept for everything but clients: 64 for connections of the control API,
/// and 64 for files, pipes and memory images of sandboxes. If the limit of open files is low, a
/// quarter of the limit is kept.
const RESERVE: u64 = 128;

/// Raises the soft limit of this process to the hard one, as far as that is possible. The soft
/// limit is low for the sake of programs that cannot handle many descriptors; the hard limit is
/// what the administrator allows.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => debug!(from = current, to = maximum, "raised the limit of open files"),
        // Some systems have another limit, which is lower.
        Err(error) => debug!(%error, "cannot raise the limit of open files"),
    }
}

/// Returns how many connections there are descriptors for, but at most `max_connections`. Logs a
/// warning if there are fewer. `listeners` are the descriptors that a client of each listener
/// takes, `open` is the number of connections that are open already, and `to_services` the number
/// of connections to services that there may be.
pub(super) fn limit_connections(
    max_connections: u32,
    listeners: impl Iterator<Item = u32>,
    open: u64,
    to_services: u64,
) -> u32 {
    let per_connection = per_connection(listeners);
    let Some(limit) = getrlimit(Resource::Nofile).current else { return max_connections };
    let in_use = in_use().saturating_sub(open * u64::from(per_connection)) + to_services;
    let fit = fit(limit, in_use, per_connection, max_connections);
    if fit < max_connections {
        let wanted = in_use + RESERVE + u64::from(max_connections) * u64::from(per_connection);
        let reserve = reserve(limit);
        warn!(
            limit,
            wanted,
            reserve,
            "there are file descriptors for {fit} clients only, and `server.max-connections` is {max_connections}: \
             those above {fit} are refused. Raise the limit of open files to {wanted} (`ulimit -Hn`; in a systemd \
             unit LimitNOFILE=), or lower `max-connections`"
        );
    }
    fit
}

/// Returns how many clients at a time may be turned away with an answer. They take a quarter of the
/// descriptors that are kept, because a crowd must not take all of them.
pub(super) fn most_turned_away() -> usize {
    let kept = getrlimit(Resource::Nofile).current.map_or(RESERVE, reserve);
    (kept / 4) as usize
}

/// Returns how many descriptors one connection takes. Listeners share the connections, except for
/// transports with several descriptors for each client: these also hold descriptors for clients
/// that have no connection yet.
fn per_connection(listeners: impl Iterator<Item = u32>) -> u32 {
    let (several, shared): (Vec<u32>, Vec<u32>) = listeners.partition(|descriptors| *descriptors > 1);
    several.into_iter().sum::<u32>() + shared.into_iter().max().unwrap_or(0)
}

fn fit(limit: u64, in_use: u64, per_connection: u32, max_connections: u32) -> u32 {
    let left = limit.saturating_sub(in_use).saturating_sub(reserve(limit));
    let fit = left.checked_div(per_connection.into()).unwrap_or(u64::MAX);
    u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, max_connections)
}

fn reserve(limit: u64) -> u64 {
    RESERVE.min(limit / 4)
}

/// Returns how many descriptors are open now.
fn in_use() -> u64 {
    /// Assumed if the system does not report it: standard streams, listeners, and what the runtime
    /// itself uses.
    const UNKNOWN: u64 = 32;
    fs::read_dir("/dev/fd").map_or(UNKNOWN, |open| open.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_a_reserve() {
        assert_eq!(fit(20_000, 30, 1, 10_000), 10_000);
        assert_eq!(fit(1024, 24, 1, 10_000), 1024 - 24 - 128);
        assert_eq!(fit(1024, 24, 4, 10_000), (1024 - 24 - 128) / 4);
        // If there are few descriptors, only a quarter of them is kept.
        assert_eq!(fit(64, 24, 1, 10_000), 64 - 24 - 16);
        assert_eq!(fit(16, 24, 1, 10_000), 1, "a server without clients would be none");
        assert_eq!(fit(64, 24, 0, 10_000), 10_000, "datagrams need none");
    }

    #[test]
    fn listeners_share_the_connections() {
        assert_eq!(per_connection([1, 1, 0].into_iter()), 1);
        assert_eq!(per_connection([1, 3, 1, 3].into_iter()), 7, "each takes connections for itself");
        assert_eq!(per_connection([0, 0].into_iter()), 0);
    }

    #[test]
    fn the_kernel_reports_what_is_open() {
        let before = in_use();
        let files: Vec<_> = (0..10).map(|_| fs::File::open("/dev/null").expect("it is there")).collect();
        // Other tests open and close descriptors meanwhile.
        assert!(in_use() >= 10 && before > 0);
        drop(files);
    }
}
