//! What a guest leaves behind when it traps: the functions that were running, and a record in its
//! memory.
//!
//! No function can return the record, because a trapped instance cannot be entered again. So the
//! record has a fixed place: the guest's core module exports its memory, and a global
//! [`RECORD`] that holds the address of the record. Nothing is searched. wasmtime gives access to
//! the core instances only through a core dump, which is a list of handles and copies no memory.
//!
//! The SDKs for Rust, C and Go write the record. A guest without one has only its backtrace. A
//! guest may write anything, so each value is checked before it is used, and each text is cut and
//! escaped before it is shown.
//!
//! | offset | type | content |
//! |---|---|---|
//! | 0 | u32 | the position in the input: the index of the packet or message in a batch, or the offset of the packet in a stream |
//! | 4 | u32 | the length of the text, 0 if there is none |
//! | 8 | bytes | the text: where the guest panicked, and its message |

use std::fmt::{self, Write};

use wasmtime::{FrameInfo, Instance, StoreContextMut, WasmCoreDump};

/// The name of the global that holds the address of the record.
const RECORD: &str = "wireplug_trap";

/// The largest length of the text, in bytes.
const TEXT: usize = 512;

/// The largest number of frames that a trap collects. A panic in Rust has up to eight frames of the
/// standard library, and a fatal error in Go up to twelve of the runtime, which are left out.
pub(super) const FRAMES: usize = 24;

/// The largest length in bytes of the name of a function. Only the beginning of a longer name is
/// read.
const NAME: usize = 128;

/// What a guest left behind. It is empty if the error did not end the guest's code.
#[derive(Default)]
pub(super) struct Traces {
    /// The names of the functions that were running, the innermost first.
    pub(super) backtrace: Vec<String>,
    /// The position in the input.
    pub(super) position: Option<u32>,
    /// Where the guest panicked, and its message.
    pub(super) text: Option<Vec<u8>>,
}

/// Returns whether an error occurred while the guest's code ran, and ended it.
pub(super) fn ended_guest(error: &wasmtime::Error) -> bool {
    error.is::<WasmCoreDump>()
}

/// Returns what the guest left behind when an error ended it.
pub(super) fn traces<T: 'static>(error: &wasmtime::Error, mut store: StoreContextMut<'_, T>) -> Traces {
    let Some(dump) = error.downcast_ref::<WasmCoreDump>() else { return Traces::default() };
    let record = dump.instances().iter().find_map(|instance| record(instance, &mut store));
    Traces { backtrace: backtrace(dump.frames()), ..record.unwrap_or_default() }
}

/// Reads the record of an instance, if it has one.
fn record<T: 'static>(instance: &Instance, store: &mut StoreContextMut<'_, T>) -> Option<Traces> {
    let address = instance.get_global(&mut *store, RECORD)?.get(&mut *store).i32()?;
    let memory = instance.get_memory(&mut *store, "memory")?.data(&*store);
    let record = memory.get(address as u32 as usize..)?;
    let (position, record) = record.split_first_chunk()?;
    let (length, text) = record.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let text = if (1..=TEXT).contains(&length) { text.get(..length) } else { None };
    Some(Traces {
        backtrace: Vec::new(),
        position: Some(u32::from_le_bytes(*position)),
        text: text.map(<[u8]>::to_vec),
    })
}

/// The beginnings of the names of functions that only report a panic: of the libraries of Rust and
/// Go, and of the SDKs.
const LIBRARY: &[&str] = &[
    "std::",
    "core::",
    "alloc::",
    "rust",
    "wp_panic",
    "runtime.",
    "wasi.",
    "wireplug.trap",
    "wireplug.done",
];

/// Returns the names of functions. Those that only report a panic are left out.
fn backtrace(frames: &[FrameInfo]) -> Vec<String> {
    let names: Vec<_> = frames.iter().map(name).collect();
    let library = names.iter().take_while(|name| is_of_library(name)).count();
    let shown = if library < names.len() { library } else { 0 };
    names.into_iter().skip(shown).collect()
}

fn is_of_library(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '_']);
    LIBRARY.iter().any(|begin| name.starts_with(begin))
}

/// Returns the name of a function, as its source has it.
fn name(frame: &FrameInfo) -> String {
    let Some(name) = frame.func_name() else { return format!("function {}", frame.func_index()) };
    let mut short = Short(String::new());
    // The name of a hostile guest may stand for a name of any length, so writing ends at the limit.
    let _ = write!(short, "{:#}", rustc_demangle::demangle(name));
    short.0
}

/// A text that takes no more than [`NAME`] bytes.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = NAME - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}
