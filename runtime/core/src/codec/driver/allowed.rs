//! The rules for when each call is allowed.

use super::{SessionDriver, SessionPhase};
use crate::codec::{Abilities, CodecError};

/// A call of a codec's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Decode,
    DecodeStream,
    Secured,
    Answer,
    Abandoned,
    Timer { now_ms: u64 },
    Encode,
    Farewell,
    BroadcastClass,
    Save,
}

/// Why a call returned no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The rules do not allow the call now. The codec was not called.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The codec failed, or its answer breaks the contract.
    #[error(transparent)]
    Failed(CodecError),
}

/// Why the rules do not allow a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The codec does not export the interface of the call.
    #[error("this codec does not export `{0}`")]
    Interface(&'static str),
    /// The description of the codec does not say that the application may send requests.
    #[error("`client-requests` of this codec is 0")]
    ClientRequests,
    /// The codec has ended the session.
    #[error("the codec has ended the session: only responses may follow")]
    Ended,
    /// The codec has failed, or has made its last packet.
    #[error("the session is over: nothing may follow")]
    Over,
    /// The handshake is not over.
    #[error("the session is not established: the codec has not answered `established` yet")]
    NotEstablished,
    /// A hello waits for its answer, and nothing is decoded before.
    #[error("a hello waits for its answer: nothing is decoded before")]
    HelloOpen,
    /// TLS begins, and nothing is called before it is up.
    #[error("TLS begins: nothing is called before it is up")]
    TlsBegins,
    /// TLS does not begin.
    #[error("the codec has not asked for TLS to begin")]
    NoTls,
    /// No hello waits for an answer. Each hello has exactly one answer.
    #[error("there is no hello to answer")]
    NoHello,
    /// The session sleeps. It must be woken first.
    #[error("the session sleeps: it must be woken first")]
    Asleep,
    /// The codec has not set a timer since the last one was due.
    #[error("the codec has not asked to be called later: it has no timer")]
    NoTimer,
    /// The codec's timer is due later.
    #[error("the codec's timer is not due before {at} ms")]
    TimerNotDue {
        /// When the timer is due, in milliseconds of session time.
        at: u64,
    },
}

impl<S> SessionDriver<S> {
    /// Checks whether the rules allow a call now, and whether the session is awake.
    pub(super) fn allow(&self, call: Call) -> Result<(), NotAllowed> {
        self.permit(call)?;
        if self.is_asleep() { Err(NotAllowed::Asleep) } else { Ok(()) }
    }

    /// Checks whether the rules allow a call as soon as the session is awake.
    pub(super) fn permit(&self, call: Call) -> Result<(), NotAllowed> {
        let Abilities {
            batch: _,
            framer,
            tls_upgrade,
            handshake,
            requests,
            clock,
            farewell,
            broadcast,
            handoff,
        } = self.abilities;
        let (is_exported, interface) = match call {
            Call::Decode | Call::Encode => (true, "codec"),
            Call::DecodeStream => (framer, "framer"),
            Call::Secured => (tls_upgrade, "tls-upgrade"),
            Call::Answer => (handshake, "handshake"),
            Call::Abandoned => (requests, "requests"),
            Call::Timer { .. } => (clock, "clock"),
            Call::Farewell => (farewell, "farewell"),
            Call::BroadcastClass => (broadcast, "broadcast"),
            Call::Save => (handoff, "handoff"),
        };
        if !is_exported {
            return Err(NotAllowed::Interface(interface));
        }
        match (self.phase, call) {
            (SessionPhase::Working, _) | (SessionPhase::Ended, Call::Encode) => {}
            (SessionPhase::Ended, _) => return Err(NotAllowed::Ended),
            (SessionPhase::Over, _) => return Err(NotAllowed::Over),
        }
        if self.tls_begins != (call == Call::Secured) {
            return Err(if self.tls_begins { NotAllowed::TlsBegins } else { NotAllowed::NoTls });
        }
        match call {
            Call::Encode | Call::BroadcastClass if !self.established => Err(NotAllowed::NotEstablished),
            Call::Decode | Call::DecodeStream if self.hello_is_open => Err(NotAllowed::HelloOpen),
            Call::Answer if !self.hello_is_open => Err(NotAllowed::NoHello),
            Call::Timer { now_ms } => match self.timer {
                None => Err(NotAllowed::NoTimer),
                Some(at) if at > now_ms => Err(NotAllowed::TimerNotDue { at }),
                Some(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
