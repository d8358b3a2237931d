//! Carries a session over to other options or another version.
//!
//! The state, its numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format: 1 |
//! | 1 | where the session stands: 0 inited, 1 greeted, 2 answered, 3 working, 4 ending, 5 closed |
//! | 8 | when the client was last heard of, in milliseconds since the session opened |
//! | 1, 24 | only where it is greeted: whether the client named a dictionary's version; if 1, that version |
//! | 4, 4 | heartbeat and timeout as the client was told, in milliseconds; both 0: none |
//! | 2 | how many pairs the dictionary has that the client was told; 0: none |
//! | 2, 4, n | each pair, by its code: code, length of the route, route |
//!
//! It has the whole dictionary: the new options may have other routes, and the client goes on with the old
//! codes.

use std::sync::Arc;

use super::{Session, State, Told};
use crate::dictionary::{Dictionary, Version};
use crate::options::{Heartbeat, MAX_HEARTBEAT, MAX_TIMEOUT, Options};

/// Goes up with each change of the format.
const FORMAT: u8 = 1;

impl Session {
    /// All that the session knows, for [`Session::restore`]. The same session gives the same bytes, and every
    /// one can be carried over.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let state = match self.state {
            State::Inited => 0,
            State::Greeted { .. } => 1,
            State::WaitAck => 2,
            State::Working => 3,
            State::Ending => 4,
            State::Closed => 5,
        };
        let mut saved = vec![FORMAT, state];
        saved.extend(self.last_seen.to_be_bytes());
        if let State::Greeted { dictionary_version } = self.state {
            saved.push(dictionary_version.is_some().into());
            saved.extend(dictionary_version.iter().flatten());
        }
        let (interval, timeout) = self.told.heartbeat.map_or((0, 0), |times| (times.interval, times.timeout));
        saved.extend(interval.to_be_bytes());
        saved.extend(timeout.to_be_bytes());
        // There are no more pairs than codes.
        let pairs = self.told.dictionary.as_ref().map_or(&[][..], |dictionary| dictionary.pairs());
        saved.extend((pairs.len() as u16).to_be_bytes());
        for (code, route) in pairs {
            saved.extend(code.to_be_bytes());
            saved.extend((route.len() as u32).to_be_bytes());
            saved.extend(route.as_bytes());
        }
        saved
    }

    /// The session that was [saved](Session::save), under these options. What its client was told still
    /// holds; a client whose handshake is not answered is told of the new options.
    ///
    /// # Errors
    ///
    /// A sentence, for anything that [`Session::save`] would not have written by `now_ms`. The state may come
    /// from anybody: it takes no more memory than a small multiple of its length.
    pub fn restore(options: Arc<Options>, state: &[u8], now_ms: u64) -> Result<Self, String> {
        let mut reader = Reader(state);
        let format = reader.u8()?;
        if format != FORMAT {
            return Err(format!("the state has the format {format}, and only {FORMAT} is known here"));
        }
        let state = reader.u8()?;
        let last_seen = reader.u64()?;
        if last_seen > now_ms {
            return Err(format!(
                "the state has heard of the client at {last_seen} ms, and it is {now_ms} ms"
            ));
        }
        let state = match state {
            0 => State::Inited,
            1 => State::Greeted { dictionary_version: reader.version()? },
            2 => State::WaitAck,
            3 => State::Working,
            4 => State::Ending,
            5 => State::Closed,
            _ => return Err(format!("the state has the session stand at {state}, which is not 0 to 5")),
        };
        let told = Told {
            heartbeat: reader.heartbeat()?,
            dictionary: reader.dictionary(options.dictionary.as_ref())?,
        };
        match reader.0.len() {
            0 => Ok(Self { options, state, last_seen, told }),
            excess => Err(format!("the state goes on for {excess} bytes behind its end")),
        }
    }
}

/// What is still to be read of a state.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("the state is cut")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (array, rest) = self.0.split_first_chunk().ok_or("the state is cut")?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }

    fn version(&mut self) -> Result<Option<Version>, String> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.array().map(Some),
            other => Err(format!("the state has {other} versions of a dictionary, not 0 or 1")),
        }
    }

    fn heartbeat(&mut self) -> Result<Option<Heartbeat>, String> {
        let (interval, timeout) = (self.u32()?, self.u32()?);
        match (interval, timeout) {
            (0, 0) => Ok(None),
            (1..=MAX_HEARTBEAT, ..=MAX_TIMEOUT) if interval < timeout => {
                Ok(Some(Heartbeat { interval, timeout }))
            }
            _ => Err(format!("the state has a heartbeat of {interval} ms with a timeout of {timeout} ms")),
        }
    }

    /// `current`, if it has the same pairs.
    fn dictionary(&mut self, current: Option<&Arc<Dictionary>>) -> Result<Option<Arc<Dictionary>>, String> {
        let count = self.u16()?;
        // Grows with what is there, whatever the count says.
        let pairs: Vec<_> = (0..count).map(|_| self.pair()).collect::<Result<_, _>>()?;
        if pairs.is_empty() {
            return Ok(None);
        }
        if let Some(current) = current
            && current.pairs() == pairs
        {
            return Ok(Some(Arc::clone(current)));
        }
        let dictionary = Dictionary::checked(pairs);
        let dictionary =
            dictionary.ok_or("the state has a dictionary in disorder, or a route in it twice")?;
        Ok(Some(Arc::new(dictionary)))
    }

    fn pair(&mut self) -> Result<(u16, String), String> {
        let (code, length) = (self.u16()?, self.u32()?);
        let route = str::from_utf8(self.bytes(length as usize)?);
        let route =
            route.map_err(|_| format!("the state has a route that is not UTF-8, with the code {code}"))?;
        Ok((code, route.to_owned()))
    }
}
