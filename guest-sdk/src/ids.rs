//! Maps the ids of a protocol to those of the contract, and back.
//!
//! The contract's ids are numbers. A protocol's own ids may be strings, UUIDs or short serial
//! numbers. [`Ids`] keeps the ids of requests that wait for a response, in one direction:
//!
//! - **Requests of the client.** [`insert`](Ids::insert) takes the client's id and returns an id
//!   for [`Events::request`](crate::Events::request). [`take`](Ids::take) returns the client's id
//!   for the response.
//! - **Requests to the client.** `insert` takes the id of the [`Message`](crate::Message) and
//!   returns the protocol's id. `take` returns the id for
//!   [`Events::response`](crate::Events::response). [`remove`](Ids::remove) is for
//!   [`Requests::abandoned`](crate::Requests::abandoned).
//!
//! ```
//! use wireplug_guest::ids::Ids;
//!
//! // Serial numbers of 16 bits, and at most 100 requests at a time.
//! let mut to_client = Ids::new(u16::MAX.into(), 100);
//! let serial = to_client.insert(70_000).unwrap();
//! assert_eq!(serial, 1);
//! assert_eq!(to_client.take(serial), Some(70_000));
//! assert_eq!(to_client.take(serial), None);
//!
//! let mut from_client = Ids::new(u64::MAX, 100);
//! let id = from_client.insert("e58ed763".to_owned()).unwrap();
//! assert_eq!(from_client.take(id), Some("e58ed763".to_owned()));
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The open ids of one direction. Each has a number, which no other open id has.
///
/// Numbers count from 1, and begin again after the largest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids<I> {
    open: BTreeMap<u64, I>,
    /// The last number that was given, or 0.
    last: u64,
    largest: u64,
    limit: usize,
}

/// An error: as many ids are open as are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    limit: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests are open: no more are allowed", self.limit)
    }
}

impl std::error::Error for TooMany {}

impl<I> Ids<I> {
    /// Returns a map without ids. `largest` is the largest number, and `limit` the largest number
    /// of open ids.
    ///
    /// # Panics
    /// Panics if the limit is 0 or above `largest`.
    pub const fn new(largest: u64, limit: usize) -> Self {
        assert!(limit > 0 && limit as u64 <= largest, "the limit is 1 to the largest number");
        Self { open: BTreeMap::new(), last: 0, largest, limit }
    }

    /// Opens an id and returns its number.
    ///
    /// # Errors
    /// Returns an error if as many ids are open as the limit allows.
    pub fn insert(&mut self, id: I) -> Result<u64, TooMany> {
        if self.open.len() >= self.limit {
            return Err(TooMany { limit: self.limit });
        }
        let number = self.next_number();
        self.open.insert(number, id);
        self.last = number;
        Ok(number)
    }

    /// Opens an id and returns its number, and the oldest id if it had to give way.
    pub fn insert_dropping_oldest(&mut self, id: I) -> (u64, Option<I>) {
        let dropped = if self.open.len() < self.limit { None } else { self.take_oldest() };
        let number = self.next_number();
        self.open.insert(number, id);
        self.last = number;
        (number, dropped)
    }

    /// Closes the id with this number and returns it, or `None` if there is none.
    pub fn take(&mut self, number: u64) -> Option<I> {
        self.open.remove(&number)
    }

    /// Closes an id and returns its number, or `None` if it is not open. Takes time in proportion
    /// to the number of open ids.
    pub fn remove(&mut self, id: &I) -> Option<u64>
    where
        I: PartialEq,
    {
        let (&number, _) = self.open.iter().find(|(_, open)| *open == id)?;
        self.open.remove(&number);
        Some(number)
    }

    /// Returns the number of open ids.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns whether no id is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the next number that is not open. There is one if fewer ids are open than numbers
    /// exist.
    fn next_number(&self) -> u64 {
        let mut number = self.last;
        loop {
            number = if number < self.largest { number + 1 } else { 1 };
            if !self.open.contains_key(&number) {
                return number;
            }
        }
    }

    /// Closes and returns the id that was opened first. After the largest number, older ids have
    /// numbers above the last one.
    fn take_oldest(&mut self) -> Option<I> {
        let above = self.open.range(self.last.saturating_add(1)..).next();
        let number = *above.or_else(|| self.open.first_key_value())?.0;
        self.open.remove(&number)
    }
}

impl<I: Serialize + DeserializeOwned> Ids<I> {
    /// Returns the open ids as bytes, for [`Handoff::save`](crate::Handoff::save).
    ///
    /// # Errors
    /// Returns an error if an id has no form in JSON.
    pub fn save(&self) -> Result<Vec<u8>, String> {
        let open: Vec<_> = self.open.iter().collect();
        serde_json::to_vec(&(self.last, open)).map_err(|error| error.to_string())
    }

    /// Replaces the open ids by those that were saved, for
    /// [`Handoff::restore`](crate::Handoff::restore).
    ///
    /// # Errors
    /// Returns an error if the bytes are not saved ids, or do not fit the largest number and the
    /// limit. The map then stays as it was.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), String> {
        let (last, list): (u64, Vec<(u64, I)>) =
            serde_json::from_slice(saved).map_err(|error| format!("these are no saved ids: {error}"))?;
        let count = list.len();
        let open: BTreeMap<_, _> = list.into_iter().collect();
        let numbers = 1..=self.largest;
        if open.len() != count || last > self.largest || !open.keys().all(|number| numbers.contains(number)) {
            return Err(format!(
                "the saved ids have numbers that are not different and at most {}",
                self.largest
            ));
        }
        if count > self.limit {
            return Err(format!("{count} saved ids: at most {} are allowed", self.limit));
        }
        (self.open, self.last) = (open, last);
        Ok(())
    }
}
