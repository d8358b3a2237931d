//! The order of a slot's changes.
//!
//! A swap loads its component for seconds, and other changes do not wait for that: each takes a
//! ticket when it is asked for, and is begun when it is ready. A change is refused if one that was
//! asked for later was made meanwhile: so a slow load cannot undo the rollback that somebody wanted
//! after it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::SwapError;

/// The changes of one slot.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Tickets that were given.
    given: AtomicU64,
    /// The ticket of the latest change that was made. Held while one is made: so changes come one
    /// after the other, and none of them loads.
    made: Mutex<u64>,
}

/// When a change was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// A change that is being made. No other one is until it is dropped.
#[derive(Debug)]
pub(super) struct Change<'a> {
    made: MutexGuard<'a, u64>,
    ticket: Ticket,
}

impl Changes {
    /// A ticket for a change that is asked for now.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.given.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Begins a change, when the one that is being made is done.
    ///
    /// # Errors
    /// Returns an error if a change with a later ticket was made.
    pub(super) async fn begin(&self, ticket: Ticket) -> Result<Change<'_>, SwapError> {
        let made = self.made.lock().await;
        if *made > ticket.0 { Err(SwapError::Overtaken) } else { Ok(Change { made, ticket }) }
    }
}

impl Change<'_> {
    /// Notes that the change is made: those that were asked for before it are refused from now on.
    pub(super) fn is_made(&mut self) {
        *self.made = self.ticket.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_change_that_was_requested_last_wins() {
        let changes = Changes::default();
        let (slow, quick) = (changes.ticket(), changes.ticket());
        changes.begin(quick).await.expect("nothing was made").is_made();
        let refused = changes.begin(slow).await.expect_err("it was overtaken");
        assert!(matches!(refused, SwapError::Overtaken), "{refused}");
        changes.begin(changes.ticket()).await.expect("it is later").is_made();
    }

    #[tokio::test]
    async fn a_change_that_came_to_nothing_overtakes_nobody() {
        let changes = Changes::default();
        let (first, second) = (changes.ticket(), changes.ticket());
        drop(changes.begin(second).await.expect("nothing was made"));
        changes.begin(first).await.expect("nothing was made").is_made();
        // One change may be made in several steps.
        changes.begin(first).await.expect("it is the same");
    }
}
