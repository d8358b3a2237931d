//! The record of a trap, in which the codec says what it is doing.
//!
//! A panic is a trap, and a trapped component cannot be called again. So the runtime reads this
//! record from the memory of the component: it finds the address in the exported global
//! `wireplug_trap`.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

/// The largest length of the text, in bytes.
const TEXT: usize = 512;

/// The position of a call that has no position, or has not begun with its input yet.
const NOWHERE: u32 = u32::MAX;

/// What the runtime reads. The runtime knows this layout. Without threads, an atomic number costs
/// what any other number costs.
#[repr(C)]
struct Record {
    /// The index of the packet or message in a batch, or the offset of the packet in a stream.
    position: AtomicU32,
    /// The length of the text.
    length: AtomicU32,
    /// Where the codec panicked, and its message.
    text: [AtomicU8; TEXT],
}

#[cfg_attr(target_family = "wasm", unsafe(export_name = "wireplug_trap"))]
#[cfg_attr(
    target_family = "wasm",
    expect(
        unsafe_code,
        reason = "a static is exported only with a fixed name, which no other item of a codec has"
    )
)]
static RECORD: Record = Record {
    position: AtomicU32::new(NOWHERE),
    length: AtomicU32::new(0),
    text: [const { AtomicU8::new(0) }; TEXT],
};

/// Notes the position in the input of the call: the index of the packet or message in a batch, or
/// the offset of the packet in a stream.
#[inline]
pub(crate) fn at(position: usize) {
    RECORD.position.store(position as u32, Relaxed);
}

/// Notes that the call is done with its input.
#[inline]
pub(crate) fn nowhere() {
    RECORD.position.store(NOWHERE, Relaxed);
}

/// Has each panic note its place in the source and its message.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut text = Text;
        let place = panic.location().map_or(Ok(()), |place| write!(text, "{place}: "));
        let message = panic.payload_as_str().unwrap_or("no message");
        // An error means that the text is full.
        let _ = place.and_then(|()| text.write_str(message));
    }));
}

/// Appends to the text of the record.
struct Text;

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let length = RECORD.length.load(Relaxed) as usize;
        let fitting = &text[..text.floor_char_boundary(TEXT - length)];
        for (byte, cell) in fitting.bytes().zip(&RECORD.text[length..]) {
            cell.store(byte, Relaxed);
        }
        RECORD.length.store((length + fitting.len()) as u32, Relaxed);
        if fitting.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for before in ["", "x"] {
            RECORD.length.store(0, Relaxed);
            Text.write_str(before).expect("there is room");
            Text.write_str(&"é".repeat(TEXT)).expect_err("the text is too long");
            Text.write_str("é").expect_err("the text is full");
            let length = RECORD.length.load(Relaxed) as usize;
            let bytes: Vec<_> = RECORD.text[..length].iter().map(|cell| cell.load(Relaxed)).collect();
            let fitting = "é".repeat((TEXT - before.len()) / 2);
            assert_eq!(String::from_utf8(bytes), Ok(format!("{before}{fitting}")));
        }
    }
}
