//! Repeated calls that put the same question to a codec.

use super::Unrepeatable;
use super::question::{Answer, Buffers, Call, Question};
use wireplug_core::codec::{Codec, CodecSession, Instant};
use wireplug_wasm::{WasmCodec, fuel_left};

/// The number of calls whose fuel is counted. The fuel of one call is their mean.
const METERED_CALLS: u32 = 16;

/// A question to a codec, with the number of items in each call.
pub(super) struct Asking<'a> {
    pub(super) codec: &'a WasmCodec,
    /// The call that asks the question.
    call: Call,
    /// The number of items in the call.
    pub(super) items: usize,
    now: Instant,
    /// The answer that the codec must give each time.
    answer: Answer,
    session: Box<dyn Fn() -> Option<Box<dyn CodecSession>> + 'a>,
}

/// A session to which the question is put.
pub(super) struct Asked<'a> {
    asking: &'a Asking<'a>,
    session: Box<dyn CodecSession>,
    buffers: Buffers,
}

impl<'a> Asking<'a> {
    /// Creates calls to the codec for which the question was found.
    pub(super) fn new(codec: &'a WasmCodec, question: &'a Question<'a>, items: usize) -> Self {
        Self {
            codec,
            call: question.call(items),
            items,
            now: question.now(),
            answer: question.answer(),
            session: Box::new(|| question.session(codec)),
        }
    }

    /// Creates calls to the codec that does nothing. This codec has no handshake, and each packet
    /// is a message.
    pub(super) fn of_nothing(codec: &'a WasmCodec, question: &'a Question<'a>, items: usize) -> Self {
        let answer = match question.answer() {
            Answer::Events(_) => Answer::Events(1),
            Answer::Packets(_) => Answer::Packets(1),
        };
        let session = || codec.open(question.peer().clone(), Instant::for_test(0)).ok();
        Self { answer, session: Box::new(session), ..Self::new(codec, question, items) }
    }

    /// Opens a session and asks it once.
    pub(super) fn begin(&self) -> Result<Asked<'_>, Unrepeatable> {
        let session = (self.session)().ok_or(Unrepeatable)?;
        let mut asked = Asked { asking: self, session, buffers: Buffers::default() };
        asked.again()?;
        Ok(asked)
    }

    /// Returns the fuel for one item, with a codec of a metered engine.
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
    ///
    /// # Errors
    /// Returns an error if the answer is another one.
    pub(super) fn again(&mut self) -> Result<(), Unrepeatable> {
        let Asking { call, now, answer, .. } = self.asking;
        let answered = call.ask(&mut *self.session, *now, &mut self.buffers);
        if answered == Some(*answer) { Ok(()) } else { Err(Unrepeatable) }
    }
}
