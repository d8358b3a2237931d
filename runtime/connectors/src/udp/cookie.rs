//! Cookies. A client that sends its cookie back proves that it receives datagrams at its address,
//! and the server need not keep anything about the client before.
//!
//! A cookie is an HMAC-SHA-256, cut to its first 16 bytes, over the client's address and port. Its
//! key is secret and is replaced at intervals, so a client that had an address for a while cannot
//! use the cookies of that address for long.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2_11::Sha256;
use tokio::time::{Duration, Instant};

use super::opening::COOKIE;

/// How long a key makes cookies. The cookies are valid for as long again after that. A client
/// answers within seconds.
const PERIOD: Duration = Duration::from_secs(30);

/// Creates and verifies cookies.
pub(super) struct Cookies {
    current: Key,
    before: Key,
    /// When the current key became current.
    since: Instant,
}

struct Key {
    secret: [u8; 32],
    code: Hmac<Sha256>,
}

/// The keys on their way to another process, so that it knows the cookies of this one.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedCookies {
    current: [u8; 32],
    before: [u8; 32],
    /// How long the current key has been current.
    age: Duration,
}

impl Cookies {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { current: Key::fresh()?, before: Key::fresh()?, since: Instant::now() })
    }

    /// Continues with the keys of another process.
    pub(super) fn resume(saved: &SavedCookies) -> Self {
        let now = Instant::now();
        let since = now.checked_sub(saved.age).unwrap_or(now);
        Self { current: Key::new(saved.current), before: Key::new(saved.before), since }
    }

    /// Returns the keys for another process.
    pub(super) fn saved(&self) -> SavedCookies {
        let Self { current, before, since } = self;
        SavedCookies { current: current.secret, before: before.secret, age: since.elapsed() }
    }

    /// Returns the cookie of an address.
    pub(super) fn make(&mut self, address: SocketAddr) -> [u8; COOKIE] {
        self.rotate();
        let code = over(&self.current, address).finalize().into_bytes();
        *code.first_chunk().expect("it is longer")
    }

    /// Returns whether a cookie was made for this address and is recent enough. The check takes the
    /// same time whatever is wrong with the cookie.
    pub(super) fn verify(&mut self, address: SocketAddr, cookie: &[u8; COOKIE]) -> bool {
        self.rotate();
        let is_of = |key| over(key, address).verify_truncated_left(cookie).is_ok();
        is_of(&self.current) | is_of(&self.before)
    }

    /// Replaces keys that are too old.
    fn rotate(&mut self) {
        let age = self.since.elapsed();
        if age < PERIOD {
            return;
        }
        // A system that had random numbers at the start does not run out of them. If it does, the
        // key stays.
        let Ok(key) = Key::fresh() else { return };
        self.before = std::mem::replace(&mut self.current, key);
        if age >= 2 * PERIOD
            && let Ok(key) = Key::fresh()
        {
            self.before = key;
        }
        self.since = Instant::now();
    }
}

impl Key {
    fn new(secret: [u8; 32]) -> Self {
        Self { secret, code: Hmac::new_from_slice(&secret).expect("it takes keys of any length") }
    }

    /// Creates a random key.
    fn fresh() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self::new(secret))
    }
}

/// Computes the code over an address: over the bytes of its IP address, and its port. The length of
/// the input distinguishes IPv4 from IPv6.
fn over(key: &Key, address: SocketAddr) -> Hmac<Sha256> {
    let mut code = key.code.clone();
    match address.ip() {
        IpAddr::V4(ip) => code.update(&ip.octets()),
        IpAddr::V6(ip) => code.update(&ip.octets()),
    }
    code.update(&address.port().to_be_bytes());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_cookie_is_good_for_its_address_alone() {
        let mut cookies = Cookies::new().unwrap();
        let own = address("10.0.0.1:4000");
        let cookie = cookies.make(own);
        assert!(cookies.verify(own, &cookie));
        for other in ["10.0.0.1:4001", "10.0.0.2:4000", "[::ffff:10.0.0.1]:4000"] {
            assert!(!cookies.verify(address(other), &cookie), "{other}");
        }
        for bit in 0..COOKIE * 8 {
            let mut forged = cookie;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!cookies.verify(own, &forged), "{bit}");
        }
        assert!(!Cookies::new().unwrap().verify(own, &cookie), "another server's");
    }

    #[tokio::test(start_paused = true)]
    async fn another_process_knows_the_cookies_and_replaces_the_keys_in_time() {
        let mut first = Cookies::new().unwrap();
        let own = address("10.0.0.1:4000");
        tokio::time::advance(PERIOD - Duration::from_secs(1)).await;
        let cookie = first.make(own);
        let mut second = Cookies::resume(&first.saved());
        assert!(second.verify(own, &cookie));
        assert_eq!(second.make(own), cookie);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(second.make(own) != cookie && second.verify(own, &cookie));
        tokio::time::advance(PERIOD).await;
        assert!(!second.verify(own, &cookie));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cookie_lives_for_one_key_after_its_own() {
        let mut cookies = Cookies::new().unwrap();
        let own = address("[::1]:4000");
        let first = cookies.make(own);
        tokio::time::advance(PERIOD).await;
        let second = cookies.make(own);
        assert!(first != second && cookies.verify(own, &first) && cookies.verify(own, &second));
        tokio::time::advance(PERIOD).await;
        assert!(!cookies.verify(own, &first) && cookies.verify(own, &second));
        // After a long time without clients, the latest cookie is too old as well.
        tokio::time::advance(2 * PERIOD).await;
        assert!(!cookies.verify(own, &second));
    }
}
