//! Moves a session to other options or to another version of the codec.
//!
//! The format of a saved session, with all numbers big-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | the format: 2 if something below concerns protobuf; 3 for a client of Pitaya; else 1 |
//! | 1 | the state: 0 inited, 1 greeted, 2 waiting for the acknowledgement, 3 working, 4 ending, 5 closed |
//! | 8 | when the client last sent a packet, in milliseconds since the session opened |
//! | 1, 24 | only in state 1: 1 and the version of the dictionary that the client has kept; or only 0 |
//! | 1, 24 | only in state 1 and format 2: the same for the version of the schemas |
//! | 4, 4 | the heartbeat and its timeout that the client was sent, in milliseconds; 0 and 0: none |
//! | 2 | the number of pairs in the dictionary that the client was sent; 0: none |
//! | 2, 4, n | for each pair, sorted by code: the code, the length of the route, the route |
//! | 4, n | only in format 2: the length of the schemas that the client was sent, and the schemas, as in the option `protos`; 0: none |
//!
//! The whole dictionary and all schemas are saved: the new options may have others, but the client
//! keeps the old ones. Without schemas the format is 1, which versions without protobuf can read.
//! Format 3 has the content of format 1, and only states from 2 on: the answer to its handshake
//! decides for whose client a session is.

use std::sync::Arc;

use super::{Negotiated, Session, State};
use crate::dialect::Dialect;
use crate::dictionary::Dictionary;
use crate::handshake::Kept;
use crate::options::{Heartbeat, MAX_HEARTBEAT, MAX_TIMEOUT, Options};
use crate::protobuf::Protos;
use crate::version::Version;

/// The formats. Each change to them gets a higher number.
const WITHOUT_PROTOS: u8 = 1;
const WITH_PROTOS: u8 = 2;
const PITAYA: u8 = 3;

/// The most bytes of a state without its routes and schemas.
const HEAD: usize = 128;

/// The bytes of a pair beside its route.
const ROUTE: usize = 6;

impl Session {
    /// Returns the whole state of the session, for [`Session::restore`]. Equal sessions return
    /// equal bytes. Every session can be saved.
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
        let protos = self.negotiated.protos.as_ref();
        let format = match self.negotiated.dialect {
            Dialect::Pitaya => PITAYA,
            Dialect::Pomelo if protos.is_some() || has_protos_version(self.state) => WITH_PROTOS,
            Dialect::Pomelo => WITHOUT_PROTOS,
        };
        // There are at most 65,535 codes, so the number of pairs fits 16 bits.
        let pairs = self.negotiated.dictionary.as_ref().map_or(&[][..], |dictionary| dictionary.pairs());
        let source = protos.map_or("", |protos| &protos.source);
        let routes: usize = pairs.iter().map(|(_, route)| ROUTE + route.len()).sum();
        let mut saved = Vec::with_capacity(HEAD + routes + source.len());
        saved.extend([format, state]);
        saved.extend(self.last_seen.to_be_bytes());
        if let State::Greeted { kept } = self.state {
            save_version(kept.dictionary, &mut saved);
            if format == WITH_PROTOS {
                save_version(kept.protos, &mut saved);
            }
        }
        let (interval, timeout) =
            self.negotiated.heartbeat.map_or((0, 0), |times| (times.interval, times.timeout));
        saved.extend(interval.to_be_bytes());
        saved.extend(timeout.to_be_bytes());
        saved.extend((pairs.len() as u16).to_be_bytes());
        for (code, route) in pairs {
            saved.extend(code.to_be_bytes());
            saved.extend((route.len() as u32).to_be_bytes());
            saved.extend(route.as_bytes());
        }
        if format == WITH_PROTOS {
            // The source is shorter than its form in the handshake, which has a limit.
            saved.extend((source.len() as u32).to_be_bytes());
            saved.extend(source.as_bytes());
        }
        saved
    }

    /// Returns the session that was [saved](Session::save), with these options. What its client was
    /// sent in the handshake still applies. A client whose handshake is not answered gets the new
    /// options. `max_packet` and `session_ms` are those of [`Session::open`] and
    /// [`Session::decode`].
    ///
    /// # Errors
    ///
    /// Returns an error for any state that [`Session::save`] would not have returned by this time.
    /// The state may come from an untrusted source: reading it takes at most a small multiple of
    /// its length in memory.
    pub fn restore(
        options: Arc<Options>,
        max_packet: u32,
        state: &[u8],
        session_ms: u64,
    ) -> Result<Self, String> {
        let mut reader = Reader(state);
        let format = reader.u8()?;
        let (with_protos, dialect) = match format {
            WITHOUT_PROTOS => (false, Dialect::Pomelo),
            WITH_PROTOS => (true, Dialect::Pomelo),
            PITAYA => (false, Dialect::Pitaya),
            _ => {
                return Err(format!(
                    "the state has the format {format}; only {WITHOUT_PROTOS} to {PITAYA} are supported"
                ));
            }
        };
        let state = reader.u8()?;
        let last_seen = reader.u64()?;
        if last_seen > session_ms {
            return Err(format!(
                "the state has a packet of the client at {last_seen} ms, but only {session_ms} ms have passed"
            ));
        }
        let state = match state {
            0 => State::Inited,
            1 => {
                let dictionary = reader.version("a dictionary")?;
                let protos = if with_protos { reader.version("schemas")? } else { None };
                State::Greeted { kept: Kept { dictionary, protos } }
            }
            2 => State::WaitAck,
            3 => State::Working,
            4 => State::Ending,
            5 => State::Closed,
            _ => return Err(format!("the session state is {state}, not 0 to 5")),
        };
        if dialect == Dialect::Pitaya && matches!(state, State::Inited | State::Greeted { .. }) {
            return Err(format!("the state has the format {PITAYA}, but its handshake is not answered"));
        }
        let negotiated = Negotiated {
            dialect,
            heartbeat: reader.heartbeat()?,
            dictionary: reader.dictionary(options.dictionary.as_ref())?,
            protos: if with_protos { reader.protos(options.protos.as_ref())? } else { None },
        };
        if with_protos && negotiated.protos.is_none() && !has_protos_version(state) {
            return Err(format!(
                "the state has the format {WITH_PROTOS}, but nothing that needs this format"
            ));
        }
        match reader.0.len() {
            0 => {
                let max_packet = max_packet as usize;
                Ok(Self { options, state, last_seen, negotiated, max_packet, scratch: Vec::new() })
            }
            excess => Err(format!("the state has {excess} bytes behind its end")),
        }
    }
}

/// Returns whether a client that waits for its answer has named a version of the schemas.
fn has_protos_version(state: State) -> bool {
    matches!(state, State::Greeted { kept: Kept { protos: Some(_), .. } })
}

fn save_version(version: Option<Version>, saved: &mut Vec<u8>) {
    saved.push(version.is_some().into());
    saved.extend(version.iter().flatten());
}

/// The part of a state that is not read yet.
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

    fn version(&mut self, of: &str) -> Result<Option<Version>, String> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.array().map(Some),
            other => Err(format!("the state has {other} versions of {of}, not 0 or 1")),
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

    /// Returns `current` itself if it has the same pairs.
    fn dictionary(&mut self, current: Option<&Arc<Dictionary>>) -> Result<Option<Arc<Dictionary>>, String> {
        let count = self.u16()?;
        if count == 0 {
            return Ok(None);
        }
        if let Some(current) = current
            && let Some(rest) = self.behind(current.pairs(), count)
        {
            self.0 = rest;
            return Ok(Some(Arc::clone(current)));
        }
        // The list grows with the pairs that are there, however large the count is.
        let pairs = (0..count).map(|_| self.pair().map(|(code, route)| (code, route.to_owned())));
        let dictionary = Dictionary::checked(pairs.collect::<Result<_, _>>()?);
        let dictionary = dictionary
            .ok_or("the state has a dictionary whose codes do not ascend, or with a route twice")?;
        Ok(Some(Arc::new(dictionary)))
    }

    /// Returns what is behind these pairs, or `None` if others are next. A session that wakes
    /// nearly always has the dictionary of the options, so this compares without copying.
    fn behind(&self, pairs: &[(u16, String)], count: u16) -> Option<&'a [u8]> {
        let mut reader = Reader(self.0);
        let same = usize::from(count) == pairs.len()
            && pairs.iter().all(|(code, route)| reader.pair().is_ok_and(|next| next == (*code, route)));
        same.then_some(reader.0)
    }

    /// Returns `current` itself if it has the same schemas.
    fn protos(&mut self, current: Option<&Arc<Protos>>) -> Result<Option<Arc<Protos>>, String> {
        let length = self.u32()?;
        let source = self.bytes(length as usize)?;
        if source.is_empty() {
            return Ok(None);
        }
        if let Some(current) = current
            && current.source.as_bytes() == source
        {
            return Ok(Some(Arc::clone(current)));
        }
        let protos = str::from_utf8(source).ok().and_then(Protos::restore);
        let protos = protos.filter(|protos| protos.source.as_bytes() == source);
        let protos =
            protos.ok_or("the state has schemas that differ from the form of the option `protos`")?;
        Ok(Some(Arc::new(protos)))
    }

    fn pair(&mut self) -> Result<(u16, &'a str), String> {
        let (code, length) = (self.u16()?, self.u32()?);
        let route = str::from_utf8(self.bytes(length as usize)?);
        let route =
            route.map_err(|_| format!("the state has a route that is not UTF-8, with the code {code}"))?;
        Ok((code, route))
    }
}
