//! What another process needs to go on with a session, after an upgrade of the server.

use serde::{Deserialize, Serialize};

use super::sleep::NoSession;
use super::{Input, Machine, Wire};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Codec, CodecError, CodecSession, Instant, SavedStates};
use crate::session::Outbox;
use crate::session::output::SavedOutput;
use wireplug_core::codec::driver::SessionDriver;

/// The state of a session's machine, from the process that had the session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedMachine {
    /// The state of the session that its codec saved.
    #[serde(with = "serde_bytes")]
    pub(crate) state: Vec<u8>,
    /// Whether the session sleeps, so that its state is that of the last save.
    pub(crate) is_asleep: bool,
    established: bool,
    /// When the codec's timer is due, in milliseconds of session time.
    timer: Option<u64>,
    address_is_verified: bool,
    input: SavedInput,
    output: SavedOutput,
}

/// The beginning of a packet.
#[derive(Debug, Serialize, Deserialize)]
enum SavedInput {
    /// The runtime cuts packets.
    Packets(Vec<u8>),
    /// The codec cuts the stream.
    Stream {
        bytes: Vec<u8>,
        /// With how many bytes the codec is to be called again.
        need: usize,
        /// How many of the bytes the codec has got already.
        passed: usize,
    },
}

impl SavedMachine {
    /// Returns whether the handshake of the session is over.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }
}

/// A session of a codec that goes on in this process.
pub(crate) enum Resumed<'a> {
    /// The codec has restored it from the saved state.
    Awake(Box<dyn CodecSession>),
    /// It goes on sleeping, with its state among these.
    Asleep(&'a SavedStates),
}

impl Machine {
    /// Returns whether another process can go on with the session now: nothing is under way that
    /// this one has to finish first.
    pub(crate) fn may_leave_process(&mut self) -> bool {
        self.closed().is_none()
            && self.driver.may_leave_process()
            && !self.has_actions()
            && !self.is_in_batch()
            && !self.has_undecoded()
            && !self.has_abandoned()
            && self.effects.acks.is_empty()
            && !self.has_shadow()
    }

    /// Returns whether a candidate mirrors the session.
    pub(crate) fn has_shadow(&mut self) -> bool {
        self.driver.session_mut().has_shadow()
    }

    /// Returns what another process needs. The session stays as it is. To be called while
    /// [`Machine::may_leave_process`] is true.
    ///
    /// # Errors
    /// Returns the errors of [`Machine::save`].
    pub(crate) fn save_all(&mut self) -> Result<SavedMachine, CodecError> {
        let state = self.save()?;
        Ok(SavedMachine {
            state,
            is_asleep: self.is_asleep(),
            established: self.is_established(),
            timer: self.driver.timer(),
            address_is_verified: self.effects.address_is_verified,
            input: match &self.input {
                Input::Packets(undecoded) => SavedInput::Packets(undecoded.partial().to_vec()),
                Input::Stream(stream) => stream.save(),
            },
            output: self.effects.output.save(),
        })
    }

    /// Creates the machine of a session from another process. `had_clock` says whether the codec of
    /// that process had a clock.
    pub(crate) fn resume(
        codec: &dyn Codec,
        resumed: Resumed<'_>,
        wire: Wire,
        outbox: Outbox,
        min_timer: u64,
        now: Instant,
        (saved, had_clock): (SavedMachine, bool),
    ) -> Self {
        let SavedMachine { state, established, timer, address_is_verified, input, output, .. } = saved;
        let driver = |session| {
            let session = ShadowedSession::new(session);
            SessionDriver::resumed(codec, session, min_timer, established, timer)
        };
        let (driver, asleep) = match resumed {
            Resumed::Awake(session) => (driver(session), false),
            Resumed::Asleep(states) => (driver(Box::new(NoSession)).asleep(states, &state), true),
        };
        let mut machine = Self::with_driver(codec, driver, wire, outbox);
        machine.effects.address_is_verified = address_is_verified;
        machine.effects.output.resume(output);
        match (&mut machine.input, input) {
            (Input::Packets(undecoded), SavedInput::Packets(partial)) => undecoded.resume(partial),
            (Input::Stream(stream), SavedInput::Stream { bytes, need, passed }) => {
                stream.resume(bytes, need, passed);
            }
            // The formats were compared before the session moved.
            _ => unreachable!("both codecs cut their streams in the same way"),
        }
        if !had_clock && !asleep {
            // No timer is set, so the codec would never be called.
            let opened = machine.driver.open(now, |_, event| machine.effects.take(event));
            machine.settle(opened);
        }
        machine
    }
}

impl super::stream::Stream {
    fn save(&self) -> SavedInput {
        let (bytes, need, passed) = self.rest();
        SavedInput::Stream { bytes: bytes.to_vec(), need, passed }
    }
}
