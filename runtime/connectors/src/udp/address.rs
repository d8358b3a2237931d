//! How much the server may send to the address of a peer.
//!
//! A session that opens without a cookie may have a forged source address. Until the codec has
//! found that the client receives what is sent to this address, the server sends the address at
//! most three times the bytes that it has read from it. So the server is of little use to an
//! attacker who wants to flood somebody else.

use tokio::sync::OwnedSemaphorePermit;

/// How many bytes may be sent to an unverified address for each byte from it: as many as RFC 9000,
/// section 8.1, allows.
const FACTOR: u64 = 3;

/// What the server knows about the address of a peer.
pub(super) enum AddressState {
    /// The client receives what is sent to the address, or the listener does not ask for that.
    Verified,
    /// Nobody knows yet whether the client receives what is sent to the address.
    Unverified {
        /// How many bytes may still be sent to the address.
        credit: u64,
        /// The place of the session among the unverified ones of the listener. `None` if the
        /// session comes from another process and there was no place left.
        _place: Option<OwnedSemaphorePermit>,
    },
}

impl AddressState {
    /// Creates the state of an address from which nothing has been read yet.
    pub(super) fn unverified(place: OwnedSemaphorePermit) -> Self {
        Self::Unverified { credit: 0, _place: Some(place) }
    }

    /// Continues with the state of another process, of which [`AddressState::credit`] is left.
    pub(super) fn resume(credit: Option<u64>, place: Option<OwnedSemaphorePermit>) -> Self {
        credit.map_or(Self::Verified, |credit| Self::Unverified { credit, _place: place })
    }

    /// Returns how many bytes may still be sent to the address, or `None` if it is verified.
    pub(super) fn credit(&self) -> Option<u64> {
        match self {
            Self::Verified => None,
            Self::Unverified { credit, .. } => Some(*credit),
        }
    }

    pub(super) fn is_verified(&self) -> bool {
        matches!(self, Self::Verified)
    }

    /// Notes that the client receives what is sent to the address. Gives the place back.
    pub(super) fn verify(&mut self) {
        *self = Self::Verified;
    }

    /// Counts bytes that were read from the address.
    pub(super) fn received(&mut self, bytes: usize) {
        if let Self::Unverified { credit, .. } = self {
            *credit = credit.saturating_add((bytes as u64).saturating_mul(FACTOR));
        }
    }

    /// Returns whether a datagram of this many bytes may be sent to the address, and counts the
    /// datagram as sent if so.
    pub(super) fn may_send(&mut self, bytes: usize) -> bool {
        let Self::Unverified { credit, .. } = self else { return true };
        let left = credit.checked_sub(bytes as u64);
        *credit = left.unwrap_or(*credit);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn an_unverified_address_gets_three_times_what_came_from_it() {
        let places = Arc::new(Semaphore::new(1));
        let mut address = AddressState::unverified(Arc::clone(&places).try_acquire_owned().unwrap());
        assert!(!address.may_send(1));
        address.received(10);
        assert!(!address.may_send(31));
        // A datagram that is dropped takes nothing from the rest.
        assert!(address.may_send(10) && address.may_send(20));
        assert!(!address.may_send(1));
        // What came during the whole session counts together.
        address.received(0);
        address.received(1);
        assert!(address.may_send(3) && !address.may_send(1));

        assert!(!address.is_verified());
        assert_eq!(places.available_permits(), 0);
        address.verify();
        assert!(address.is_verified() && address.may_send(1 << 20));
        assert_eq!(places.available_permits(), 1);
        address.received(1);
        assert!(address.is_verified());
    }

    #[test]
    fn a_session_that_ends_unverified_gives_its_place_back() {
        let places = Arc::new(Semaphore::new(1));
        drop(AddressState::unverified(Arc::clone(&places).try_acquire_owned().unwrap()));
        assert_eq!(places.available_permits(), 1);
    }
}
