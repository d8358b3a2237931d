//! Decides which clients are admitted, by the limits on connections and the lists of networks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::config::AccessConfig;
use crate::session::CloseReason;
use crate::slot::Slot;
use wireplug_connectors::listening::contains;

/// Counts the connections of a server, and limits them.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    taken: AtomicU32,
    max: AtomicU32,
}

/// A connection's permit. It is given back when it is dropped, however the connection ends.
#[derive(Debug)]
pub(super) struct Permit(Arc<ConnectionLimit>);

impl ConnectionLimit {
    /// A limit of `max` connections.
    pub(super) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU32::new(0), max: AtomicU32::new(max) })
    }

    /// Replaces the limit. Connections above it stay.
    pub(super) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Returns the limit.
    #[cfg(feature = "metrics")]
    pub(super) fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    /// Returns a permit for one more connection, or `None` if the limit is reached.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        let max = self.max.load(Ordering::Relaxed);
        let below = |taken| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Permit(Arc::clone(self)))
    }
}

impl ConnectionLimit {
    /// Returns a permit for a connection that has come from another process, also above the limit.
    pub(super) fn take_extra(self: &Arc<Self>) -> Permit {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(self))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Admits clients at one listener, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Admission {
    from: Mutex<From>,
}

/// How many connections each address has, and each network that counts as one address. Those
/// without a connection are not in the maps.
#[derive(Debug, Default)]
struct From {
    addresses: HashMap<IpAddr, u32>,
    networks: HashMap<IpNet, u32>,
}

/// A connection that was admitted. Its address is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    admission: &'a Admission,
    from: Option<(IpAddr, IpNet)>,
}

impl Admission {
    /// Admits a client to a codec, or returns why the client is refused.
    pub(super) fn admit_to(
        &self,
        slot: &Slot,
        access: &AccessConfig,
        client: &str,
    ) -> Result<Admitted<'_>, CloseReason> {
        let admitted = self.admit(access, client)?;
        if slot.refuses(client) { Err(CloseReason::FaultyAddress) } else { Ok(admitted) }
    }

    /// Counts a client that another process has admitted. If the lists of networks refuse it now,
    /// the connection finds out.
    pub(super) fn readmit(&self, access: &AccessConfig, client: &str) -> Admitted<'_> {
        let unlimited =
            AccessConfig { max_per_address: 0, allow: Vec::new(), deny: Vec::new(), ..access.clone() };
        self.admit(&unlimited, client).expect("nobody is refused without limits and lists")
    }

    /// Returns how many of the connections the lists of networks would refuse.
    pub(super) fn refused_by(&self, access: &AccessConfig) -> u64 {
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = from.addresses.iter().filter(|(address, _)| !access.allows(**address));
        refused.map(|(_, count)| u64::from(*count)).sum()
    }

    /// Admits a client, or returns why the client is refused. Clients of transports without IP
    /// addresses are all admitted.
    ///
    /// The connections of an address are also counted while there is no limit, because a reload may
    /// set one.
    fn admit(&self, access: &AccessConfig, client: &str) -> Result<Admitted<'_>, CloseReason> {
        let Some(address) = ip_of(client) else {
            return Ok(Admitted { admission: self, from: None });
        };
        if !access.allows(address) {
            return Err(CloseReason::Denied);
        }
        let prefix = if address.is_ipv4() { 32 } else { access.ipv6_prefix.min(128) };
        let network = IpNet::new_assert(address, prefix).trunc();
        let most = access.max_per_address;
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let count = from.networks.entry(network).or_default();
        if most > 0 && *count >= most {
            return Err(CloseReason::AddressFull);
        }
        *count += 1;
        *from.addresses.entry(address).or_default() += 1;
        Ok(Admitted { admission: self, from: Some((address, network)) })
    }
}

/// Returns the IP address of a client, if its transport has IP addresses. An IPv4 address that
/// comes over an IPv6 socket counts as IPv4.
fn ip_of(client: &str) -> Option<IpAddr> {
    Some(client.parse::<SocketAddr>().ok()?.ip().to_canonical())
}

impl AccessConfig {
    /// Returns whether a client may be connected, by the lists of networks. Clients of transports
    /// without IP addresses may.
    pub(super) fn allows_client(&self, client: &str) -> bool {
        ip_of(client).is_none_or(|address| self.allows(address))
    }

    fn allows(&self, address: IpAddr) -> bool {
        let Self { allow, deny, .. } = self;
        !contains(deny, address) && (allow.is_empty() || contains(allow, address))
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let Some((address, network)) = self.from else { return };
        let mut from = self.admission.from.lock().unwrap_or_else(PoisonError::into_inner);
        count_down(&mut from.addresses, address);
        count_down(&mut from.networks, network);
    }
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_given_back_when_it_is_dropped() {
        let limit = ConnectionLimit::new(2);
        let (first, second) = (limit.take().unwrap(), limit.take().unwrap());
        assert!(limit.take().is_none());
        drop(first);
        let third = limit.take().unwrap();
        assert!(limit.take().is_none());
        drop((second, third));
        assert_eq!(limit.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_address_is_counted_apart_and_forgotten() {
        let admission = Admission::default();
        let at_most = |max_per_address| AccessConfig { max_per_address, ..AccessConfig::default() };
        let first = admission.admit(&at_most(0), "10.0.0.1:1000").unwrap();
        let admit = |client| admission.admit(&at_most(1), client);
        assert_eq!(admit("10.0.0.1:1001").unwrap_err(), CloseReason::AddressFull);
        // The same address over an IPv6 socket is the same address.
        assert_eq!(admit("[::ffff:10.0.0.1]:1").unwrap_err(), CloseReason::AddressFull);
        let other = admit("10.0.0.2:1000").unwrap();
        drop(first);
        let again = admit("10.0.0.1:1002").unwrap();
        drop((other, again));
        let from = admission.from.lock().unwrap();
        assert!(from.addresses.is_empty() && from.networks.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let admission = Admission::default();
        let mut access = AccessConfig { max_per_address: 2, ..AccessConfig::default() };
        let one = admission.admit(&access, "[2001:db8:0:1::1]:1").unwrap();
        let two = admission.admit(&access, "[2001:db8:0:1:ffff::2]:1").unwrap();
        assert_eq!(admission.admit(&access, "[2001:db8:0:1::3]:1").unwrap_err(), CloseReason::AddressFull);
        let other = admission.admit(&access, "[2001:db8:0:2::1]:1").unwrap();
        access.deny = vec!["2001:db8:0:1::1/128".parse().unwrap()];
        assert_eq!(admission.refused_by(&access), 1);
        access.ipv6_prefix = 128;
        drop(admission.admit(&access, "[2001:db8:0:1::3]:1").unwrap());
        drop((one, two, other));
    }

    #[test]
    fn deny_wins_over_allow_and_an_empty_list_allows_all() {
        let networks = |list: &[&str]| list.iter().map(|network| network.parse().unwrap()).collect();
        let access = AccessConfig {
            allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            deny: networks(&["10.1.0.0/16"]),
            ..AccessConfig::default()
        };
        for allowed in ["10.2.0.1:1", "[2001:db8::1]:1", "", "a client of another process"] {
            assert!(access.allows_client(allowed), "{allowed}");
        }
        for denied in ["10.1.0.1:1", "192.168.0.1:1", "[2001:db9::1]:1", "[::ffff:10.1.2.3]:1"] {
            assert!(!access.allows_client(denied), "{denied}");
            assert_eq!(Admission::default().admit(&access, denied).unwrap_err(), CloseReason::Denied);
        }
        assert!(AccessConfig::default().allows_client("192.168.0.1:1"));
    }
}
