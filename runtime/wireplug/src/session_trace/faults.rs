//! The faults of sessions, each with the last packets before it if they are kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most faults that are kept.
const KEPT: usize = 64;

/// The most bytes of vectors that are kept, of all faults together.
const KEPT_BYTES: usize = 4 << 20;

/// A fault of a codec that ended a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FaultSummary {
    /// The number of the fault, from 1.
    pub number: u64,
    /// When it was, in milliseconds since 1970.
    pub at_ms: u64,
    /// The number of the session.
    pub session: u64,
    /// The client's address.
    pub peer: String,
    /// The user to whom the session was bound.
    pub user: Option<String>,
    /// The name of the codec, and its generation.
    pub codec: String,
    /// The generation of the codec.
    pub generation: u64,
    /// The cause in one word, such as `trap`.
    pub cause: String,
    /// The reason, with the backtrace and the input if the call ended inside the guest.
    pub reason: String,
    /// Whether the last packets can be saved as test vectors.
    pub vectors: bool,
    /// Why they cannot be saved, if they cannot.
    pub no_vectors: Option<String>,
}

/// The faults that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct FaultList {
    /// The faults, the oldest first.
    pub faults: Vec<FaultSummary>,
}

/// A fault that has just happened.
pub(crate) struct Fault {
    pub(crate) session: u64,
    pub(crate) peer: String,
    pub(crate) user: Option<String>,
    pub(crate) codec: String,
    pub(crate) generation: u64,
    pub(crate) cause: &'static str,
    pub(crate) reason: String,
    pub(crate) vectors: Result<String, String>,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    bytes: usize,
    faults: VecDeque<(FaultSummary, Option<String>)>,
}

impl Faults {
    /// Keeps a fault. The oldest ones make room.
    pub(crate) fn keep(&self, fault: Fault) {
        let Fault { session, peer, user, codec, generation, cause, reason, vectors } = fault;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut kept = self.lock();
        kept.last += 1;
        let summary = FaultSummary {
            number: kept.last,
            at_ms: at.as_millis() as u64,
            session,
            peer,
            user,
            codec,
            generation,
            cause: cause.to_owned(),
            reason,
            vectors: vectors.is_ok(),
            no_vectors: vectors.as_ref().err().cloned(),
        };
        kept.bytes += vectors.as_ref().map_or(0, String::len);
        kept.faults.push_back((summary, vectors.ok()));
        while kept.faults.len() > KEPT || (kept.bytes > KEPT_BYTES && kept.faults.len() > 1) {
            let oldest = kept.faults.pop_front();
            kept.bytes -= oldest.and_then(|(_, vectors)| vectors).map_or(0, |vectors| vectors.len());
        }
    }

    pub(crate) fn list(&self) -> FaultList {
        FaultList { faults: self.lock().faults.iter().map(|(summary, _)| summary.clone()).collect() }
    }

    /// Returns the last packets before a fault, or why there are none.
    pub(crate) fn vectors(&self, number: u64) -> Result<String, String> {
        let kept = self.lock();
        let Some((summary, vectors)) = kept.faults.iter().find(|(fault, _)| fault.number == number) else {
            return Err(format!("there is no fault {number}, or not any more"));
        };
        vectors.clone().ok_or_else(|| summary.no_vectors.clone().unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(session: u64, vectors: Result<String, String>) -> Fault {
        let (peer, codec, reason) = (String::new(), "chat".to_owned(), "boom".to_owned());
        Fault { session, peer, user: None, codec, generation: 1, cause: "trap", reason, vectors }
    }

    #[test]
    fn the_oldest_faults_make_room() {
        let faults = Faults::default();
        (0..100).for_each(|session| faults.keep(fault(session, Err("off".to_owned()))));
        let numbers: Vec<u64> = faults.list().faults.iter().map(|fault| fault.number).collect();
        assert_eq!(numbers, (37..=100).collect::<Vec<_>>());
        assert_eq!(faults.vectors(100), Err("off".to_owned()));
        assert!(faults.vectors(1).is_err_and(|why| why.contains("not any more")));

        let large = || Ok("x".repeat(KEPT_BYTES / 4));
        (0..8).for_each(|session| faults.keep(fault(session, large())));
        assert_eq!(faults.list().faults.len(), 4);
        assert_eq!(faults.vectors(108), large());
    }
}
