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
//! let mut to_client = Ids::new(100).largest(u16::MAX.into());
//! let serial = to_client.insert(70_000).unwrap();
//! assert_eq!(serial, 1);
//! assert_eq!(to_client.take(serial), Some(70_000));
//! assert_eq!(to_client.take(serial), None);
//!
//! let mut from_client = Ids::new(100);
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
    limit: usize,
    largest: u64,
    drop_oldest: bool,
}

/// An error: a request cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// A request with this id is open already.
    Open,
    /// As many requests are open as are allowed.
    Full {
        /// The largest number of open requests.
        limit: usize,
    },
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("a request with this id is open already"),
            Self::Full { limit } => write!(f, "{limit} requests are open, and no more are allowed"),
        }
    }
}

impl std::error::Error for InsertError {}

impl<I> Ids<I> {
    /// Returns a map without ids, which has at most `limit` open ids.
    ///
    /// # Panics
    /// Panics if the limit is 0 or above 2^32 - 1.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        const LARGEST: u64 = u32::MAX as u64;
        assert!(0 < limit && limit as u64 <= LARGEST, "the limit is 1 to 2^32 - 1");
        Self { open: BTreeMap::new(), last: 0, limit, largest: LARGEST, drop_oldest: false }
    }

    /// Sets the largest number. The default is 2^32 - 1.
    ///
    /// # Panics
    /// Panics if it is below the limit.
    #[must_use]
    pub const fn largest(mut self, largest: u64) -> Self {
        assert!(self.limit as u64 <= largest, "the limit is at most the largest number");
        self.largest = largest;
        self
    }

    /// Lets the oldest id give way when the map is full. Otherwise [`insert`](Self::insert) returns
    /// an error.
    #[must_use]
    pub const fn drop_oldest(mut self) -> Self {
        self.drop_oldest = true;
        self
    }

    /// Opens an id and returns its number. Takes time in proportion to the number of open ids.
    ///
    /// # Errors
    /// Returns an error if the id is open already, or if the map is full.
    pub fn insert(&mut self, id: I) -> Result<u64, InsertError>
    where
        I: PartialEq,
    {
        if self.open.values().any(|open| *open == id) {
            return Err(InsertError::Open);
        }
        if self.open.len() >= self.limit {
            if !self.drop_oldest {
                return Err(InsertError::Full { limit: self.limit });
            }
            self.close_oldest();
        }
        let number = self.next_number();
        self.open.insert(number, id);
        self.last = number;
        Ok(number)
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

    /// Closes the id that was opened first. After the largest number, older ids have numbers above
    /// the last one.
    fn close_oldest(&mut self) {
        let above = self.open.range(self.last.saturating_add(1)..).next();
        if let Some((&number, _)) = above.or_else(|| self.open.first_key_value()) {
            self.open.remove(&number);
        }
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
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), String>
    where
        I: PartialEq,
    {
        let (last, list): (u64, Vec<(u64, I)>) =
            serde_json::from_slice(saved).map_err(|_| "the saved ids have another format")?;
        let is_once = |(index, (_, id)): (usize, &(u64, I))| list[..index].iter().all(|(_, open)| open != id);
        let numbers = 1..=self.largest;
        let fits = last <= self.largest
            && list.len() <= self.limit
            && list.iter().all(|(number, _)| numbers.contains(number))
            && list.iter().enumerate().all(is_once);
        let count = list.len();
        let open: BTreeMap<_, _> = list.into_iter().collect();
        if !fits || open.len() != count {
            return Err("the saved ids do not fit".into());
        }
        (self.open, self.last) = (open, last);
        Ok(())
    }
}
