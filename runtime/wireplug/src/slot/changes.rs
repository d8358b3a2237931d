//! The order of a slot's changes.
//!
//! A swap loads its component for seconds, and other changes do not wait for that. Each change
//! takes a ticket when it is requested, and begins when it is ready. A change is refused if another
//! one that was requested later has already been made. So a slow load cannot undo a rollback that
//! was requested after it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::SwapError;

/// The changes of one slot.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// How many tickets were given.
    given: AtomicU64,
    /// The ticket of the latest change that was made. The lock is held while a change is made, so
    /// changes are made one after the other. No codec is loaded under it.
    made: Mutex<u64>,
}

/// The position of a change in the order of the requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

/// A change that is being made. No other change begins until it is dropped.
#[derive(Debug)]
pub(super) struct Change<'a> {
    made: MutexGuard<'a, u64>,
    ticket: Ticket,
}

impl Changes {
    /// Returns a ticket for a change that is requested now.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.given.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Begins a change. Waits until no other change is being made.
    ///
    /// # Errors
    /// Returns an error if a change with a later ticket was made.
    pub(super) async fn begin(&self, ticket: Ticket) -> Result<Change<'_>, SwapError> {
        let made = self.made.lock().await;
        if *made > ticket.0 { Err(SwapError::Overtaken) } else { Ok(Change { made, ticket }) }
    }
}

impl Change<'_> {
    /// Notes that the change is made. Changes that were requested before it are refused from now
    /// on.
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
