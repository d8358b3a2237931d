//! Who is let in: the limits on connections, and the lists of networks.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::AccessConfig;
use crate::session::CloseReason;
use crate::slot::Slot;
use wireplug_connectors::listening::contains;

/// Counts the connections of a server.
#[derive(Debug)]
pub(super) struct Places {
    taken: AtomicU32,
    max: u32,
}

/// A connection's place. Given back when it is dropped, however the connection ends.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU32::new(0), max })
    }

    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let below = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets clients in at one listener, by their addresses.
#[derive(Debug)]
pub(super) struct Gate {
    access: AccessConfig,
    /// How many connections there are from each address. Only addresses that have one are in it.
    from: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection that was let in. Its address is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    gate: &'a Gate,
    address: Option<IpAddr>,
}

impl Gate {
    pub(super) fn new(access: AccessConfig) -> Self {
        Self { access, from: Mutex::default() }
    }

    /// Lets a client in to a codec, or says why not.
    pub(super) fn admit_to(&self, slot: &Slot, client: &str) -> Result<Admitted<'_>, CloseReason> {
        let admitted = self.admit(client)?;
        if slot.refuses(client) { Err(CloseReason::FaultyAddress) } else { Ok(admitted) }
    }

    /// Lets a client in, or says why not. A transport without IP addresses has nothing to look at.
    fn admit(&self, client: &str) -> Result<Admitted<'_>, CloseReason> {
        let Ok(address) = client.parse::<SocketAddr>() else {
            return Ok(Admitted { gate: self, address: None });
        };
        let address = address.ip().to_canonical();
        let AccessConfig { allow, deny, max_per_address, .. } = &self.access;
        if contains(deny, address) || !(allow.is_empty() || contains(allow, address)) {
            return Err(CloseReason::Denied);
        }
        if *max_per_address == 0 {
            return Ok(Admitted { gate: self, address: None });
        }
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let count = from.entry(address).or_default();
        if *count >= *max_per_address {
            return Err(CloseReason::AddressFull);
        }
        *count += 1;
        Ok(Admitted { gate: self, address: Some(address) })
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut from = self.gate.from.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = from.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                from.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none());
        drop(first);
        let third = places.take().unwrap();
        assert!(places.take().is_none());
        drop((second, third));
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_address_is_counted_apart_and_forgotten() {
        let gate = Gate::new(AccessConfig { max_per_address: 1, ..AccessConfig::default() });
        let first = gate.admit("10.0.0.1:1000").unwrap();
        assert_eq!(gate.admit("10.0.0.1:1001").unwrap_err(), CloseReason::AddressFull);
        // The same address over an IPv6 socket is the same address.
        assert_eq!(gate.admit("[::ffff:10.0.0.1]:1").unwrap_err(), CloseReason::AddressFull);
        let other = gate.admit("10.0.0.2:1000").unwrap();
        drop(first);
        let again = gate.admit("10.0.0.1:1002").unwrap();
        drop((other, again));
        assert!(gate.from.lock().unwrap().is_empty());
    }

    #[test]
    fn deny_wins_over_allow_and_an_empty_list_allows_all() {
        let networks = |list: &[&str]| list.iter().map(|network| network.parse().unwrap()).collect();
        let gate = Gate::new(AccessConfig {
            allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            deny: networks(&["10.1.0.0/16"]),
            ..AccessConfig::default()
        });
        assert!(gate.admit("10.2.0.1:1").is_ok());
        assert!(gate.admit("[2001:db8::1]:1").is_ok());
        for denied in ["10.1.0.1:1", "192.168.0.1:1", "[2001:db9::1]:1", "[::ffff:10.1.2.3]:1"] {
            assert_eq!(gate.admit(denied).unwrap_err(), CloseReason::Denied, "{denied}");
        }
        assert!(Gate::new(AccessConfig::default()).admit("192.168.0.1:1").is_ok());
    }
}
