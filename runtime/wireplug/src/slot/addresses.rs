//! Faults by client address: an address that makes the codec fail too often is refused for a while,
//! so that the codec need not be suspended for everybody.
//!
//! Only faults of the current generation count. When another generation becomes current, all
//! addresses are forgotten: the faults may have been caused by the old version.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tracing::warn;

use super::sync::lock;
use super::{Slot, SlotState};
use crate::codec::CodecError;
use crate::config::FaultLimits;

/// The most addresses whose faults a slot remembers. The address whose last fault is the oldest is
/// forgotten first. 4,096 addresses take less than 1 MiB. An attacker with more addresses reaches
/// `suspend` before any of them is forgotten.
const MAX_ADDRESSES: usize = 4096;

/// The shortest time between two log lines about refused addresses. It takes some connections to
/// have an address refused, but there may be many addresses.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// The network bits of an IPv6 address. A site gets at least a /64 network, and its hosts choose
/// the other bits freely.
const IPV6_PREFIX: u128 = u128::MAX << 64;

/// The network of a client, by which faults are counted: an IPv4 address, or the /64 network of an
/// IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// Returns the network of a client whose address is `IP:PORT`, or `None` if the transport has
    /// no IP addresses.
    fn of(client: &str) -> Option<Self> {
        Some(Self(match client.parse::<SocketAddr>().ok()?.ip().to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_PREFIX).into(),
            address => address,
        }))
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// The faults of a slot by address. Locked at a fault, and at an accept while an address is
/// refused; never for a packet.
#[derive(Debug, Default)]
pub(super) struct AddressFaults {
    table: Mutex<Table>,
    /// Whether an address may be refused. If it is false, an accept needs no lock.
    may_refuse: AtomicBool,
}

/// The table of [`AddressFaults`], without a lock and without a clock.
#[derive(Debug, Default)]
struct Table {
    /// The generation to which the faults belong.
    generation: u64,
    addresses: HashMap<ClientNetwork, Faults>,
    /// When the last refusal ends.
    refuses_until: Option<Instant>,
    /// When a line may be logged again.
    quiet_until: Option<Instant>,
    /// Addresses that were refused without a log line.
    not_logged: u64,
}

/// The faults of one address.
#[derive(Debug)]
struct Faults {
    since: Instant,
    last: Instant,
    count: u32,
    refused_until: Option<Instant>,
}

/// The result of counting a fault.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    /// The number of faults of the address in its window, including this one.
    count: u32,
    /// Whether the address is refused from now on.
    is_limit: bool,
    /// Set if a line is to be logged: how many addresses were refused without a line before.
    log: Option<u64>,
}

impl Faults {
    fn is_refused(&self, now: Instant) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    /// Whether the window that began with the first fault is over, and no refusal lasts longer.
    fn is_over(&self, now: Instant, window: Duration) -> bool {
        now - self.since >= window && !self.is_refused(now)
    }
}

impl Table {
    /// Forgets all addresses if another generation is current now.
    fn follow(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.addresses.clear();
            self.refuses_until = None;
        }
    }

    fn fault(&mut self, client: ClientNetwork, now: Instant, limits: &FaultLimits) -> Counted {
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&client) {
            self.make_room(now, limits.window);
        }
        let new = Faults { since: now, last: now, count: 0, refused_until: None };
        let faults = self.addresses.entry(client).or_insert(new);
        if faults.is_over(now, limits.window) {
            *faults = Faults { since: now, last: now, count: 0, refused_until: None };
        }
        faults.last = now;
        faults.count = faults.count.saturating_add(1);
        let count = faults.count;
        let is_limit = count == limits.per_address;
        if is_limit {
            let until = now + limits.window;
            faults.refused_until = Some(until);
            self.refuses_until = Some(until);
        }
        let log = if is_limit { self.log(now) } else { None };
        Counted { count, is_limit, log }
    }

    fn make_room(&mut self, now: Instant, window: Duration) {
        self.addresses.retain(|_, faults| !faults.is_over(now, window));
        if self.addresses.len() >= MAX_ADDRESSES {
            let oldest =
                self.addresses.iter().min_by_key(|(_, faults)| faults.last).map(|(client, _)| *client);
            oldest.map(|oldest| self.addresses.remove(&oldest));
        }
    }

    /// If a line may be logged now, returns how many lines were left out before it. Otherwise
    /// counts a line that is left out.
    fn log(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.not_logged += 1;
            return None;
        }
        self.quiet_until = Some(now + LOG_PAUSE);
        Some(std::mem::take(&mut self.not_logged))
    }

    fn refuses(&self, client: ClientNetwork, now: Instant) -> bool {
        self.addresses.get(&client).is_some_and(|faults| faults.is_refused(now))
    }

    /// Whether any address is refused.
    fn refuses_any(&self, now: Instant) -> bool {
        self.refuses_until.is_some_and(|until| now < until)
    }

    fn refused(&self, now: Instant) -> usize {
        self.addresses.values().filter(|faults| faults.is_refused(now)).count()
    }
}

impl Slot {
    /// Whether a client is refused, because the codec failed too often for its address.
    pub(crate) fn refuses(&self, client: &str) -> bool {
        let faults = &self.0.addresses;
        if !faults.may_refuse.load(Ordering::Relaxed) {
            return false;
        }
        let Some(client) = ClientNetwork::of(client) else { return false };
        let (current, now) = (self.current().number, Instant::now());
        let mut table = lock(&faults.table);
        table.follow(current);
        if !table.refuses_any(now) {
            faults.may_refuse.store(false, Ordering::Relaxed);
            return false;
        }
        table.refuses(client, now)
    }

    /// Returns how many addresses are refused.
    pub(super) fn refused_addresses(&self) -> usize {
        let current = self.current().number;
        let mut table = lock(&self.0.addresses.table);
        table.follow(current);
        table.refused(Instant::now())
    }
}

impl SlotState {
    /// Counts a fault of a session by its client's address, and refuses the address at the limit.
    /// Returns the number of faults of the address in its window, or `None` if the fault is not
    /// counted by address.
    pub(super) fn count_by_address(
        &self,
        generation: u64,
        client: &str,
        fault: &CodecError,
        now: Instant,
    ) -> Option<u32> {
        let limits = &self.settings.faults;
        if limits.per_address == 0 || self.assignments.current().number != generation {
            return None;
        }
        let client = ClientNetwork::of(client)?;
        let counted = {
            let mut table = lock(&self.addresses.table);
            table.follow(generation);
            let counted = table.fault(client, now, limits);
            if counted.is_limit {
                // Set under the lock, because an accept that finds no refused address clears it
                // under the lock.
                self.addresses.may_refuse.store(true, Ordering::Relaxed);
            }
            counted
        };
        if let Some(not_logged) = counted.log {
            let (slot, count, window) = (&self.settings.name, counted.count, limits.window);
            warn!(
                slot,
                address = %client,
                count,
                ?window,
                %fault,
                not_logged,
                "the codec fails too often for one address, which is refused for a while"
            );
        }
        Some(counted.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FaultLimits =
        FaultLimits { rollback: 0, suspend: 100, per_address: 3, window: Duration::from_secs(10) };

    fn client(number: usize) -> ClientNetwork {
        ClientNetwork(IpAddr::V4(u32::try_from(number).unwrap().into()))
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_a_64_of_ipv6() {
        let shown = |client: &str| ClientNetwork::of(client).map(|network| network.to_string());
        assert_eq!(shown("203.0.113.7:1").as_deref(), Some("203.0.113.7"));
        assert_eq!(shown("[::ffff:203.0.113.7]:1").as_deref(), Some("203.0.113.7"));
        assert_eq!(shown("[2001:db8:1:2:3:4:5:6]:1").as_deref(), Some("2001:db8:1:2::/64"));
        for none in ["", "memory", "/run/socket", "203.0.113.7"] {
            assert_eq!(shown(none), None, "{none}");
        }
    }

    #[test]
    fn an_address_is_refused_at_its_limit_and_comes_back_after_the_window() {
        let (mut table, start) = (Table::default(), Instant::now());
        let (one, other) = (client(1), client(2));
        for n in 1..=2 {
            assert_eq!(table.fault(one, start, &LIMITS), Counted { count: n, is_limit: false, log: None });
        }
        assert!(!table.refuses(one, start) && !table.refuses_any(start));
        let limit = table.fault(one, seconds(start, 4), &LIMITS);
        assert_eq!(limit, Counted { count: 3, is_limit: true, log: Some(0) });
        assert!(table.refuses(one, seconds(start, 4)) && !table.refuses(other, seconds(start, 4)));
        assert_eq!(table.refused(seconds(start, 13)), 1);

        // Sessions that were open fail too. This does not prolong the refusal, although the first
        // window is over.
        let more = table.fault(one, seconds(start, 12), &LIMITS);
        assert_eq!(more, Counted { count: 4, is_limit: false, log: None });
        assert!(table.refuses(one, seconds(start, 13)));
        assert!(!table.refuses(one, seconds(start, 14)) && !table.refuses_any(seconds(start, 14)));
        // The count begins anew.
        assert_eq!(table.fault(one, seconds(start, 14), &LIMITS).count, 1);
    }

    #[test]
    fn faults_before_the_window_do_not_count() {
        let (mut table, start) = (Table::default(), Instant::now());
        for at in [0, 1, 10, 11] {
            assert!(!table.fault(client(1), seconds(start, at), &LIMITS).is_limit, "at {at} s");
        }
        assert!(table.fault(client(1), seconds(start, 12), &LIMITS).is_limit);
    }

    #[test]
    fn another_generation_forgets_all() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.follow(1);
        for _ in 0..3 {
            table.fault(client(1), start, &LIMITS);
        }
        table.follow(1);
        assert!(table.refuses(client(1), start));
        table.follow(2);
        assert!(!table.refuses(client(1), start) && !table.refuses_any(start));
    }

    #[test]
    fn the_oldest_addresses_are_forgotten_first() {
        let (mut table, start) = (Table::default(), Instant::now());
        let millis = |millis| start + Duration::from_millis(millis as u64);
        for n in 0..MAX_ADDRESSES {
            table.fault(client(n), millis(n), &LIMITS);
        }
        // The first has failed again, so the second is the oldest.
        table.fault(client(0), millis(5000), &LIMITS);
        table.fault(client(MAX_ADDRESSES), millis(5001), &LIMITS);
        assert_eq!(table.addresses.len(), MAX_ADDRESSES);
        assert!(table.addresses.contains_key(&client(0)) && !table.addresses.contains_key(&client(1)));
        // Addresses whose window is over are forgotten before any other.
        table.fault(client(MAX_ADDRESSES + 1), seconds(start, 60), &LIMITS);
        assert_eq!(table.addresses.len(), 1);
    }

    #[test]
    fn a_second_has_one_line_which_says_how_many_are_missing() {
        let (mut table, start) = (Table::default(), Instant::now());
        let limits = FaultLimits { per_address: 1, ..LIMITS };
        assert_eq!(table.fault(client(0), start, &limits).log, Some(0));
        for n in 1..=5 {
            assert_eq!(table.fault(client(n), start, &limits).log, None);
        }
        assert_eq!(table.fault(client(6), seconds(start, 1), &limits).log, Some(5));
    }
}
