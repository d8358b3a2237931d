//! The canonical ABI of the component model, as far as the contract needs it: how arguments and
//! answers lie in memory, and the functions that every component exports or imports for it.
//!
//! An answer consists of pointers into buffers of the SDK, which the runtime reads before it makes
//! the next call. So nothing is freed after a call, and no component exports `cabi_post_…`.

pub(crate) mod arena;

use std::slice;

use crate::flat::EventHead;
use crate::framer::Next;
use crate::{Carrier, Cause, Level, MessageFraming, Payload, Peer, Role, description};

/// A list. A text is a list of bytes.
#[derive(Debug)]
#[repr(C)]
pub struct List<T> {
    at: *const T,
    len: usize,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> From<&[T]> for List<T> {
    fn from(items: &[T]) -> Self {
        Self { at: items.as_ptr(), len: items.len() }
    }
}

impl<T> List<T> {
    /// Returns the items.
    ///
    /// # Safety
    /// The items are there, and stay there as long as the result is used.
    #[inline]
    #[expect(unsafe_code, reason = "the address and the length come from elsewhere")]
    pub(crate) unsafe fn items<'a>(self) -> &'a [T] {
        // The address of an empty list means nothing.
        // SAFETY: the caller guarantees that there are `len` items at the address.
        if self.len == 0 { &[] } else { unsafe { slice::from_raw_parts(self.at, self.len) } }
    }
}

/// Returns the items of a list that the runtime passes.
///
/// # Safety
/// The runtime has written the list for the call that is running, and the result is not used after
/// that call.
#[inline]
#[expect(unsafe_code, reason = "the runtime passes lists as addresses")]
pub unsafe fn list<'a, T>(at: *const T, len: usize) -> &'a [T] {
    // SAFETY: the caller guarantees what `items` needs.
    unsafe { List { at, len }.items() }
}

/// Returns a text that the runtime passes.
///
/// # Safety
/// As for [`list`].
#[inline]
#[expect(unsafe_code, reason = "the runtime passes texts as addresses")]
pub unsafe fn text<'a>(at: *const u8, len: usize) -> &'a str {
    // SAFETY: the caller guarantees what `list` needs.
    str::from_utf8(unsafe { list(at, len) }).expect("the runtime's texts are UTF-8")
}

/// An `option`.
#[derive(Clone, Copy, Debug)]
#[repr(C, u8)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub enum Maybe<T> {
    None,
    Some(T),
}

impl<T> From<Option<T>> for Maybe<T> {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::None, Self::Some)
    }
}

/// A `result`.
#[derive(Clone, Copy, Debug)]
#[repr(C, u8)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub enum Outcome<T, E = List<u8>> {
    Ok(T),
    Err(E),
}

impl<T, E> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(Self::Err, Self::Ok)
    }
}

/// The description of a codec.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Description {
    name: List<u8>,
    version: List<u8>,
    framing: Maybe<Framing>,
    messages: MessageFraming,
    payload: Payload,
    json: bool,
    handshake: bool,
    client_requests: u16,
    coalesces: bool,
    max_packet: Maybe<u32>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, u8)]
#[expect(dead_code, reason = "the runtime reads them")]
enum Framing {
    Delimiter(List<u8>),
    Length(LengthField),
    Varint(u8),
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct LengthField {
    offset: u8,
    width: u8,
    little_endian: bool,
    adjust: i32,
}

impl From<description::Description> for Description {
    fn from(described: description::Description) -> Self {
        let framing = described.framing.map(|framing| match framing {
            description::Framing::Delimiter(bytes) => Framing::Delimiter(bytes.into()),
            description::Framing::Length { offset, width, little_endian, adjust } => {
                Framing::Length(LengthField { offset, width, little_endian, adjust })
            }
            description::Framing::Varint { offset } => Framing::Varint(offset),
        });
        Self {
            name: described.name.as_bytes().into(),
            version: described.version.as_bytes().into(),
            framing: framing.into(),
            messages: described.messages,
            payload: described.payload,
            json: described.json,
            handshake: described.handshake,
            client_requests: described.client_requests,
            coalesces: described.coalesces,
            max_packet: described.max_packet.into(),
        }
    }
}

/// An event of a single call.
#[derive(Clone, Copy, Debug)]
#[repr(C, u8)]
#[expect(missing_docs, reason = "the contract describes them")]
pub enum Event {
    Hello(List<u8>),
    Established,
    Message(Message),
    Reply(List<u8>),
    Timer(u32),
    AddressVerified,
    Log(LogEntry),
    Close(Close),
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Message {
    pub role: Role,
    pub id: u64,
    pub route: List<u8>,
    pub body: List<u8>,
    pub status: u16,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct LogEntry {
    pub level: Level,
    pub text: List<u8>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Close {
    pub code: u16,
    pub reason: List<u8>,
}

/// Why a single call refused its packet or message.
#[derive(Clone, Copy, Debug)]
#[repr(C, u8)]
#[expect(missing_docs, reason = "the contract describes them")]
pub enum Fault {
    Rejected(List<u8>),
    Fatal(List<u8>),
}

/// The events of a batch.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Events {
    pub bytes: List<u8>,
    pub heads: List<EventHead>,
}

/// The packets of a batch.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Encoded {
    pub bytes: List<u8>,
    pub ends: List<u32>,
    pub sources: List<u32>,
    pub refused: List<Refusal>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Refusal {
    pub message: u32,
    pub reason: List<u8>,
}

/// The packets and events of a stream.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct Frames {
    pub ends: List<u32>,
    pub events: Events,
    pub next: Next,
}

/// An attribute of a peer.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Attribute {
    name: List<u8>,
    value: List<u8>,
}

/// Returns the attributes that the runtime passes.
///
/// # Safety
/// As for [`list`].
#[expect(unsafe_code, reason = "the runtime passes lists as addresses")]
pub unsafe fn attributes(at: *const Attribute, len: usize) -> Vec<(String, String)> {
    // SAFETY: the caller guarantees what `list` and `text` need.
    let owned = |of: List<u8>| unsafe { text(of.at, of.len) }.to_owned();
    // SAFETY: as above.
    let attributes = unsafe { list(at, len) };
    attributes.iter().map(|Attribute { name, value }| (owned(*name), owned(*value))).collect()
}

/// Returns the peer that the runtime passes.
///
/// # Safety
/// As for [`list`].
#[expect(unsafe_code, reason = "the runtime passes lists as addresses")]
#[expect(clippy::too_many_arguments, reason = "the canonical ABI passes each field by itself")]
pub unsafe fn peer(
    carrier: u32,
    transport: *const u8,
    transport_len: usize,
    address: *const u8,
    address_len: usize,
    dialed: u32,
    max_packet: u32,
    random_seed: *const u8,
    random_seed_len: usize,
    attributes: *const Attribute,
    attributes_len: usize,
) -> Peer {
    // SAFETY: the caller guarantees what `text`, `list` and `attributes` need.
    unsafe {
        Peer {
            carrier: match carrier {
                0 => Carrier::Bytes,
                1 => Carrier::Messages,
                _ => Carrier::Datagrams,
            },
            transport: text(transport, transport_len).to_owned(),
            address: text(address, address_len).to_owned(),
            dialed: dialed != 0,
            max_packet,
            random_seed: list(random_seed, random_seed_len).try_into().expect("the runtime gives 32 bytes"),
            attributes: self::attributes(attributes, attributes_len),
        }
    }
}

/// Returns the role that the runtime passes.
pub fn role(role: u32) -> Role {
    match role {
        0 => Role::Notice,
        1 => Role::Request,
        _ => Role::Response,
    }
}

/// Returns the cause that the runtime passes.
pub fn cause(cause: u32) -> Cause {
    match cause {
        0 => Cause::Kicked,
        1 => Cause::Displaced,
        2 => Cause::Replaced,
        _ => Cause::Shutdown,
    }
}

/// Returns a handle for the session with this index.
#[cfg(target_family = "wasm")]
pub(crate) fn new_handle(session: u32) -> u32 {
    #[link(wasm_import_module = "[export]wireplug:codec/codec@0.2.0")]
    #[expect(unsafe_code, reason = "the component model provides this function as an import")]
    unsafe extern "C" {
        #[link_name = "[resource-new]session"]
        safe fn resource_new(session: u32) -> u32;
    }
    resource_new(session)
}

/// In native builds, which have no runtime, the index stands for the handle.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn new_handle(session: u32) -> u32 {
    session
}

/// The sizes of the canonical ABI.
#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(size_of::<Description>() == 48);
    assert!(size_of::<Event>() == 48);
    assert!(size_of::<EventHead>() == 40);
    assert!(size_of::<crate::flat::MessageHead>() == 32);
    assert!(size_of::<Encoded>() == 32);
    assert!(size_of::<Outcome<Encoded>>() == 36);
    assert!(size_of::<Refusal>() == 12);
    assert!(size_of::<Frames>() == 32);
    assert!(size_of::<Outcome<(), List<u8>>>() == 12);
    assert!(size_of::<Outcome<List<Event>, Fault>>() == 16);
    assert!(size_of::<Maybe<u32>>() == 8);
};
