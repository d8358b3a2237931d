//! The inputs of calls, as the errors of calls that ended inside the guest's code show them: what
//! an input is, and its bytes.
//!
//! A guest may say at which position in its input it was. If the input has that position, only that
//! packet or message is shown.

use wireplug_core::codec::{MessageRef, Messages, Role};
use wireplug_core::framing::Packets;

/// An input of a call.
pub(super) type Input<'a> = (String, &'a [u8]);

/// Returns a batch of packets, or the packet with the index `at`.
pub(super) fn packets(packets: &Packets, at: Option<usize>) -> Input<'_> {
    let count = packets.len();
    match at.and_then(|at| Some((at, packets.iter().nth(at)?))) {
        Some((at, packet)) => (format!("packet {} of {count}, {} bytes", at + 1, packet.len()), packet),
        None => (format!("{count} packets, {} bytes", packets.byte_len()), &packets.bytes),
    }
}

/// Returns a stream, or its rest from the offset `at` on.
pub(super) fn stream(bytes: &[u8], at: Option<usize>) -> Input<'_> {
    let (at, rest) = at.and_then(|at| Some((at, bytes.get(at..)?))).unwrap_or((0, bytes));
    (format!("stream, {} bytes from offset {at}", rest.len()), rest)
}

/// Returns a batch of messages, or the message with the index `at`.
pub(super) fn messages(messages: &Messages, at: Option<usize>) -> Input<'_> {
    let count = messages.len();
    match at.and_then(|at| Some((at, messages.iter().nth(at)?))) {
        Some((at, one)) => {
            let (what, body) = message(one);
            (format!("message {} of {count}, {what}", at + 1), body)
        }
        None => (format!("{count} messages, {} bytes", messages.byte_len()), &messages.bytes),
    }
}

/// Returns a message.
pub(super) fn message(message: MessageRef<'_>) -> Input<'_> {
    let MessageRef { role, id, route, body, status } = message;
    let what = match role {
        Role::Notice => format!("notice {route:?}"),
        Role::Request => format!("request {id} {route:?}"),
        Role::Response => format!("response {id} with status {status}"),
    };
    (format!("{what}, {} bytes", body.len()), body)
}

/// Returns an answer to a hello.
pub(super) fn answer(status: u16, body: &[u8]) -> Input<'_> {
    (format!("answer with status {status}, {} bytes", body.len()), body)
}
