//! How the server turns away clients that speak HTTP: with an answer, before their connection is
//! open.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// After how many seconds a client that is turned away may come back. A place becomes free at any
/// time; a crowd that came back sooner would only fill the queue of the listener.
pub(crate) const RETRY_AFTER: &str = "10";

/// Returns how a client at an address is turned away, or `None` if it may connect.
type Decide = Box<dyn Fn(&str) -> Option<TurnedAway> + Send>;

/// Whether a client is turned away. The server and the connector share it by clones: the server
/// sets it, and the connector asks when it has read the client's request and can still answer it.
#[derive(Clone, Default)]
pub struct TurnAway(Arc<Mutex<Option<Decide>>>);

/// How a client is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// Whether the client may come back later: it is answered with 503 and `Retry-After`.
    /// Otherwise it is answered with 403.
    pub is_temporary: bool,
    /// Why, for people.
    pub why: String,
}

impl TurnAway {
    /// Sets who is turned away from now on: the function gets the address of the client, which a
    /// load balancer may have reported.
    pub fn set(&self, decide: impl Fn(&str) -> Option<TurnedAway> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(decide));
    }

    /// Returns how the client at this address is turned away, or `None` if it may connect.
    pub fn decide(&self, client: &str) -> Option<TurnedAway> {
        let decide = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        decide.as_ref().and_then(|decide| decide(client))
    }
}

impl fmt::Debug for TurnAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnAway").finish_non_exhaustive()
    }
}
