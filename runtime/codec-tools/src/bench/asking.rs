//! A codec that is asked a question, over and over.

use super::Unrepeatable;
use super::question::{Answer, Buffers, Call, Question};
use wireplug_core::codec::{Codec, CodecSession};
use wireplug_wasm::{WasmCodec, fuel_left};

/// Calls whose fuel is counted; that of one is their mean.
const METERED_CALLS: u32 = 16;

/// How a codec is asked a question, so many times a call.
pub(super) struct Asking<'a> {
    pub(super) codec: &'a WasmCodec,
    /// The question, in a call.
    call: Call,
    /// Items in the call.
    pub(super) items: usize,
    now_ms: u64,
    /// What it must answer each time.
    answer: Answer,
    session: Box<dyn Fn() -> Option<Box<dyn CodecSession>> + 'a>,
}

/// A session that is asked.
pub(super) struct Asked<'a> {
    asking: &'a Asking<'a>,
    session: Box<dyn CodecSession>,
    buffers: Buffers,
}

impl<'a> Asking<'a> {
    /// The codec that the question was found for.
    pub(super) fn new(codec: &'a WasmCodec, question: &'a Question<'a>, items: usize) -> Self {
        Self {
            codec,
            call: question.call(items),
            items,
            now_ms: question.now_ms(),
            answer: question.answer(),
            session: Box::new(|| question.session(codec)),
        }
    }

    /// The codec that does nothing: it has no handshake, and a packet is a message.
    pub(super) fn of_nothing(codec: &'a WasmCodec, question: &'a Question<'a>, items: usize) -> Self {
        let answer = match question.answer() {
            Answer::Events(_) => Answer::Events(1),
            Answer::Packets => Answer::Packets,
        };
        let session = || codec.open(question.peer().clone()).ok();
        Self { answer, session: Box::new(session), ..Self::new(codec, question, items) }
    }

    /// A session that was asked once.
    pub(super) fn begin(&self) -> Result<Asked<'_>, Unrepeatable> {
        let session = (self.session)().ok_or(Unrepeatable)?;
        let mut asked = Asked { asking: self, session, buffers: Buffers::default() };
        asked.again()?;
        Ok(asked)
    }

    /// The fuel that an item burns, in a codec of a metered engine.
    pub(super) fn fuel(&self) -> Result<u64, Unrepeatable> {
        let mut asked = self.begin()?;
        let full = fuel_left(&*asked.session).ok_or(Unrepeatable)?;
        for _ in 0..METERED_CALLS {
            asked.again()?;
        }
        let left = fuel_left(&*asked.session).ok_or(Unrepeatable)?;
        Ok((full - left) / u64::from(METERED_CALLS) / self.items as u64)
    }
}

impl Asked<'_> {
    /// Asks once more.
    pub(super) fn again(&mut self) -> Result<(), Unrepeatable> {
        let Asking { call, now_ms, answer, .. } = self.asking;
        let answered = call.ask(&mut *self.session, *now_ms, &mut self.buffers);
        if answered == Some(*answer) { Ok(()) } else { Err(Unrepeatable) }
    }
}
