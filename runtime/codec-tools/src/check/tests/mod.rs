//! Tests that each property is broken by a codec with just that flaw, and that the smallest session
//! that shows the flaw is reported.

mod components;
mod fair;
mod flaws;
mod hostile;
mod options;
mod rules;
mod shown;
mod smallest;
mod steady;
mod streams;
mod strict;
mod toy;

use std::time::Instant;

use super::property::Subject;
use super::stateless::Broadcast;
use super::{Check, Report};
use wireplug_core::codec::Codec;
use wireplug_core::vectors::Vectors;
use wireplug_wasm::Singly;

/// The largest packet of the codecs in these tests.
const MAX_PACKET: usize = 4096;

fn vectors() -> Vectors {
    Vectors::parse(toy::VECTORS).unwrap_or_else(|bad| panic!("{bad}"))
}

/// A codec of which one instance can encode pushes for many sessions.
trait Broadcasts: Codec + Sized {
    /// Returns the same codec with more time for each call.
    fn patient(self) -> Self {
        self
    }

    /// Makes a new instance.
    fn broadcast(&self) -> Broadcast<'_> {
        Box::new(|class, message| self.encode_shared(class, message))
    }
}

/// Checks three codecs that `codec` makes: with batches, and without one of their two functions.
fn report<C: Broadcasts>(check: &Check<'_>, codec: impl Fn(Option<Singly>) -> C) -> Report {
    let (batches, decode_singly, encode_singly) =
        (codec(None), codec(Some(Singly::Decode)), codec(Some(Singly::Encode)));
    let patient = codec(None).patient();
    let subject = Subject {
        codec: &batches,
        patient: &patient,
        decode_singly: &decode_singly,
        encode_singly: &encode_singly,
        broadcast: &|| Ok(batches.broadcast()),
        max_packet: MAX_PACKET,
    };
    let mut report = check.report();
    check.run_cases(&subject, &mut report, Instant::now(), &mut |_| {});
    report
}
