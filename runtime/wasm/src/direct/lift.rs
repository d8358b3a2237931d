//! Reads answers from a guest's memory, as the canonical ABI stores them.
//!
//! The guest may write anything there. Each pointer, length, alignment, discriminant and text is
//! checked before it is used, and the size of an answer is limited. The texts of the errors are
//! those of wasmtime's component API.

use wasmtime::{Error, Result, bail};

use wireplug_core::codec::{Encoded, EventHead, Events, Frames, Kind, Level, Next, Refusal, Role};
use wireplug_core::framing::Packets;

use crate::types::{
    Close, Description, Event, Fault, Framing, LengthField, LogEntry, Message, MessageFraming, Payload,
};

/// The error for an answer that is larger than a call may hand back.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer is larger than a call may hand back")]
pub(crate) struct Oversized;

/// The memory of a guest that has answered.
pub(super) struct Answer<'a> {
    memory: &'a [u8],
    /// How many more bytes of the host's memory the answer may take.
    left: usize,
}

impl<'a> Answer<'a> {
    /// Begins to read an answer, which may take `max` bytes of the host's memory.
    pub(super) fn new(memory: &'a [u8], max: usize) -> Self {
        Self { memory, left: max }
    }

    /// Reads the value to which a function's return pointer points.
    ///
    /// # Errors
    /// Returns an error if the value is not what the canonical ABI demands, or [`Oversized`].
    pub(super) fn read<T: Lift>(&mut self, pointer: u32) -> Result<T> {
        if !(pointer as usize).is_multiple_of(T::ALIGN) {
            bail!("return pointer not aligned");
        }
        let bytes =
            self.slice(pointer, 1, T::SIZE).ok_or_else(|| Error::msg("pointer out of bounds of memory"))?;
        T::lift(bytes, self)
    }

    /// Reads the elements of a list.
    fn list<T: Lift>(&mut self, pointer: u32, length: u32) -> Result<&'a [u8]> {
        let bytes = self
            .slice(pointer, length, T::SIZE)
            .ok_or_else(|| Error::msg("list pointer/length out of bounds of memory"))?;
        if !(pointer as usize).is_multiple_of(T::ALIGN) {
            bail!("list pointer is not aligned");
        }
        self.charge((length as usize).saturating_mul(size_of::<T>()))?;
        Ok(bytes)
    }

    fn slice(&self, pointer: u32, count: u32, size: usize) -> Option<&'a [u8]> {
        let pointer = pointer as usize;
        let end = (count as usize).checked_mul(size)?.checked_add(pointer)?;
        self.memory.get(pointer..end)
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Oversized)?;
        Ok(())
    }
}

/// A type that a guest returns.
pub(super) trait Lift: Sized {
    /// The size of a value in the guest's memory, in bytes.
    const SIZE: usize;

    /// The alignment of a value in the guest's memory, in bytes.
    const ALIGN: usize;

    /// Reads a value from its `SIZE` bytes.
    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self>;

    /// Reads the elements of a list. `bytes` holds a whole number of them.
    fn lift_list(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Vec<Self>> {
        let mut list = Vec::with_capacity(bytes.len() / Self::SIZE);
        for element in bytes.chunks_exact(Self::SIZE) {
            list.push(Self::lift(element, answer)?);
        }
        Ok(list)
    }
}

/// Rounds an offset up to an alignment.
const fn aligned(offset: usize, align: usize) -> usize {
    offset.next_multiple_of(align)
}

const fn max(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

// === numbers, texts and lists ===

impl Lift for u8 {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lift(bytes: &[u8], _: &mut Answer<'_>) -> Result<Self> {
        Ok(bytes[0])
    }

    fn lift_list(bytes: &[u8], _: &mut Answer<'_>) -> Result<Vec<Self>> {
        Ok(bytes.to_vec())
    }
}

impl Lift for bool {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lift(bytes: &[u8], _: &mut Answer<'_>) -> Result<Self> {
        Ok(bytes[0] != 0)
    }
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Lift for $number {
            const SIZE: usize = size_of::<$number>();
            const ALIGN: usize = Self::SIZE;

            fn lift(bytes: &[u8], _: &mut Answer<'_>) -> Result<Self> {
                Ok(Self::from_le_bytes(bytes.try_into().expect("SIZE bytes")))
            }
        }
    )*};
}

number!(u16, u32, i32, u64);

impl<T: Lift> Lift for Vec<T> {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        let (pointer, length) = pair(bytes, answer)?;
        let elements = answer.list::<T>(pointer, length)?;
        T::lift_list(elements, answer)
    }
}

impl Lift for String {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        let (pointer, length) = pair(bytes, answer)?;
        let text = answer
            .slice(pointer, length, 1)
            .ok_or_else(|| Error::msg("string pointer/length out of bounds of memory"))?;
        answer.charge(text.len())?;
        Ok(str::from_utf8(text)?.to_owned())
    }
}

fn pair(bytes: &[u8], answer: &mut Answer<'_>) -> Result<(u32, u32)> {
    Ok((u32::lift(&bytes[..4], answer)?, u32::lift(&bytes[4..], answer)?))
}

// === variants ===

/// Returns the bytes of a variant's payload of type `T`. `ALIGN` is the alignment of the variant.
fn payload<T: Lift>(bytes: &[u8], align: usize, answer: &mut Answer<'_>) -> Result<T> {
    let at = aligned(1, align);
    T::lift(&bytes[at..at + T::SIZE], answer)
}

impl<T: Lift> Lift for Option<T> {
    const SIZE: usize = aligned(aligned(1, T::ALIGN) + T::SIZE, Self::ALIGN);
    const ALIGN: usize = T::ALIGN;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        match bytes[0] {
            0 => Ok(None),
            1 => payload(bytes, Self::ALIGN, answer).map(Some),
            _ => bail!("invalid option discriminant"),
        }
    }
}

impl<T: Lift, E: Lift> Lift for Result<T, E> {
    const SIZE: usize = aligned(aligned(1, Self::ALIGN) + max(T::SIZE, E::SIZE), Self::ALIGN);
    const ALIGN: usize = max(T::ALIGN, E::ALIGN);

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        match bytes[0] {
            0 => payload(bytes, Self::ALIGN, answer).map(Ok),
            1 => payload(bytes, Self::ALIGN, answer).map(Err),
            _ => bail!("invalid expected discriminant"),
        }
    }
}

/// The payload of a case that has none.
impl Lift for () {
    const SIZE: usize = 0;
    const ALIGN: usize = 1;

    fn lift(_: &[u8], _: &mut Answer<'_>) -> Result<Self> {
        Ok(())
    }
}

impl Lift for Event {
    /// The largest payload is a message.
    const SIZE: usize = aligned(1, Self::ALIGN) + Message::SIZE;
    const ALIGN: usize = Message::ALIGN;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        const ALIGN: usize = Event::ALIGN;
        Ok(match bytes[0] {
            0 => Self::Hello(payload(bytes, ALIGN, answer)?),
            1 => Self::Established,
            2 => Self::Message(payload(bytes, ALIGN, answer)?),
            3 => Self::Reply(payload(bytes, ALIGN, answer)?),
            4 => Self::Timer(payload(bytes, ALIGN, answer)?),
            5 => Self::AddressVerified,
            6 => Self::Log(payload(bytes, ALIGN, answer)?),
            7 => Self::Close(payload(bytes, ALIGN, answer)?),
            other => return Err(unexpected(other)),
        })
    }
}

impl Lift for Fault {
    const SIZE: usize = 4 + String::SIZE;
    const ALIGN: usize = String::ALIGN;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        Ok(match bytes[0] {
            0 => Self::Rejected(payload(bytes, Self::ALIGN, answer)?),
            1 => Self::Fatal(payload(bytes, Self::ALIGN, answer)?),
            other => return Err(unexpected(other)),
        })
    }
}

impl Lift for Next {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        Ok(match bytes[0] {
            0 => Self::Need(payload(bytes, Self::ALIGN, answer)?),
            1 => Self::Full,
            2 => Self::StartTls,
            other => return Err(unexpected(other)),
        })
    }
}

impl Lift for Framing {
    const SIZE: usize = 4 + LengthField::SIZE;
    const ALIGN: usize = 4;

    fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
        Ok(match bytes[0] {
            0 => Self::Delimiter(payload(bytes, Self::ALIGN, answer)?),
            1 => Self::Length(payload(bytes, Self::ALIGN, answer)?),
            2 => Self::Varint(payload(bytes, Self::ALIGN, answer)?),
            other => return Err(unexpected(other)),
        })
    }
}

/// Implements [`Lift`] for enumerations: each with its cases, in the order of the contract.
macro_rules! enumeration {
    ($($name:ident { $($case:ident),* $(,)? })*) => {$(
        impl Lift for $name {
            const SIZE: usize = 1;
            const ALIGN: usize = 1;

            fn lift(bytes: &[u8], _: &mut Answer<'_>) -> Result<Self> {
                const CASES: &[$name] = &[$($name::$case),*];
                CASES.get(usize::from(bytes[0])).copied().ok_or_else(|| unexpected(bytes[0]))
            }
        }
    )*};
}

enumeration! {
    Kind { Hello, Established, Message, Reply, Timer, AddressVerified, Log, Close, Rejected, Fatal }
    Role { Notice, Request, Response }
    Level { Debug, Info, Warn, Error }
    MessageFraming { None, One, Framed, Continuous }
    Payload { Binary, Text, Tagged }
}

fn unexpected(discriminant: u8) -> Error {
    Error::msg(format!("unexpected discriminant: {discriminant}"))
}

// === records ===

/// Implements [`Lift`] for records: each with its fields, in the order of the contract.
macro_rules! record {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        impl Lift for $name {
            const SIZE: usize = {
                let end = 0;
                $(let end = aligned(end, <$type>::ALIGN) + <$type>::SIZE;)*
                aligned(end, Self::ALIGN)
            };
            const ALIGN: usize = {
                let align = 1;
                $(let align = max(align, <$type>::ALIGN);)*
                align
            };

            #[inline]
            fn lift(bytes: &[u8], answer: &mut Answer<'_>) -> Result<Self> {
                let end = 0;
                $(
                    let start = aligned(end, <$type>::ALIGN);
                    let end = start + <$type>::SIZE;
                    let $field = <$type>::lift(&bytes[start..end], answer)?;
                )*
                let _ = end;
                Ok(Self { $($field),* })
            }
        }
    )*};
}

record! {
    LengthField { offset: u8, width: u8, little_endian: bool, adjust: i32 }
    Description {
        name: String,
        version: String,
        framing: Option<Framing>,
        messages: MessageFraming,
        payload: Payload,
        json: bool,
        handshake: bool,
        client_requests: u16,
        coalesces: bool,
        max_packet: Option<u32>,
    }
    Message { role: Role, id: u64, route: String, body: Vec<u8>, status: u16 }
    Close { code: u16, reason: String }
    LogEntry { level: Level, text: String }
    EventHead { kind: Kind, packet: u32, role: Role, id: u64, status: u16, route_end: u32, body_end: u32 }
    Events { bytes: Vec<u8>, heads: Vec<EventHead> }
    Packets { bytes: Vec<u8>, ends: Vec<u32> }
    Refusal { message: u32, reason: String }
    Encoded { packets: Packets, sources: Vec<u32>, refused: Vec<Refusal> }
    Frames { ends: Vec<u32>, events: Events, next: Next }
}
