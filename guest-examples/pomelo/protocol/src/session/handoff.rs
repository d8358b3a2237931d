//! Carries a session over to other options or another version.
//!
//! The state, its numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the format: 1 where nothing is said of protobuf, else 2 |
//! | 1 | where the session stands: 0 inited, 1 greeted, 2 answered, 3 working, 4 ending, 5 closed |
//! | 8 | when the client was last heard of, in milliseconds since the session opened |
//! | 1, 24 | only where it is greeted: whether the client named a dictionary's version; if 1, that version |
//! | 1, 24 | the same for the version of the schemas; only in format 2 |
//! | 4, 4 | heartbeat and timeout as the client was told, in milliseconds; both 0: none |
//! | 2 | how many pairs the dictionary has that the client was told; 0: none |
//! | 2, 4, n | each pair, by its code: code, length of the route, route |
//! | 4, n | only in format 2: the length of the schemas that the client was told, and those, as the option `protos` has them; 0: none |
//!
//! It has the whole dictionary and all schemas: the new options may have others, and the client goes on with the
//! old ones. Where there are no schemas the format stays 1, which versions from before protobuf can read.

use std::sync::Arc;

use super::{Session, State, Told};
use crate::dictionary::Dictionary;
use crate::handshake::Kept;
use crate::options::{Heartbeat, MAX_HEARTBEAT, MAX_TIMEOUT, Options};
use crate::protobuf::Protos;
use crate::version::Version;

/// The formats, which go up with each change.
const WITHOUT_PROTOS: u8 = 1;
const WITH_PROTOS: u8 = 2;

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
        let protos = self.told.protos.as_ref();
        let of_protos = matches!(self.state, State::Greeted { kept: Kept { protos: Some(_), .. } });
        let format = if protos.is_some() || of_protos { WITH_PROTOS } else { WITHOUT_PROTOS };
        let mut saved = vec![format, state];
        saved.extend(self.last_seen.to_be_bytes());
        if let State::Greeted { kept } = self.state {
            save_version(kept.dictionary, &mut saved);
            if format == WITH_PROTOS {
                save_version(kept.protos, &mut saved);
            }
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
        if format == WITH_PROTOS {
            let source = protos.map_or("", |protos| &protos.source);
            // It is much shorter than what is told in the handshake, which has a bound.
            saved.extend((source.len() as u32).to_be_bytes());
            saved.extend(source.as_bytes());
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
        let with_protos = match format {
            WITHOUT_PROTOS => false,
            WITH_PROTOS => true,
            _ => {
                return Err(format!(
                    "the state has the format {format}, and only {WITHOUT_PROTOS} and {WITH_PROTOS} are known here"
                ));
            }
        };
        let state = reader.u8()?;
        let last_seen = reader.u64()?;
        if last_seen > now_ms {
            return Err(format!(
                "the state has heard of the client at {last_seen} ms, and it is {now_ms} ms"
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
            _ => return Err(format!("the state has the session stand at {state}, which is not 0 to 5")),
        };
        let told = Told {
            heartbeat: reader.heartbeat()?,
            dictionary: reader.dictionary(options.dictionary.as_ref())?,
            protos: if with_protos { reader.protos(options.protos.as_ref())? } else { None },
        };
        let of_protos = matches!(state, State::Greeted { kept: Kept { protos: Some(_), .. } });
        if with_protos && told.protos.is_none() && !of_protos {
            return Err(format!("the state has the format {WITH_PROTOS}, and nothing in it needs that"));
        }
        match reader.0.len() {
            0 => Ok(Self { options, state, last_seen, told, scratch: Vec::new() }),
            excess => Err(format!("the state goes on for {excess} bytes behind its end")),
        }
    }
}

fn save_version(version: Option<Version>, saved: &mut Vec<u8>) {
    saved.push(version.is_some().into());
    saved.extend(version.iter().flatten());
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

    /// `current`, if they are the same.
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
        let protos = protos.ok_or("the state has schemas that are not as the option `protos` has them")?;
        Ok(Some(Arc::new(protos)))
    }

    fn pair(&mut self) -> Result<(u16, String), String> {
        let (code, length) = (self.u16()?, self.u32()?);
        let route = str::from_utf8(self.bytes(length as usize)?);
        let route =
            route.map_err(|_| format!("the state has a route that is not UTF-8, with the code {code}"))?;
        Ok((code, route.to_owned()))
    }
}
