//! One push to many: encoded once for each class of sessions that share encodings.

use bytes::Bytes;
use tracing::debug;

use super::handle::ShareClass;
use super::{Message, Session};
use crate::codec::MessageRef;

/// What one encoding for a class has come to.
#[derive(Clone, Debug)]
pub(crate) enum Encoding {
    /// All of the class get this packet.
    Packet(Bytes),
    /// The message has no form on the wire.
    Nothing,
    /// The codec refused, or failed: each session encodes for itself, and counts what cannot be encoded.
    Apart,
}

/// Sends a push to many. Returns how many took it: one whose outbox is full does not, and loses this message
/// alone.
pub(crate) fn send_to_all<'a>(sessions: impl IntoIterator<Item = &'a Session>, message: &Message) -> usize {
    // As a rule there is one class, or a few.
    let mut encodings: Vec<(ShareClass, Encoding)> = Vec::new();
    let mut encoding = |share: &ShareClass| match encodings.iter().find(|(known, _)| known == share) {
        Some((_, encoding)) => encoding.clone(),
        None => {
            let encoding = encode(share, message);
            encodings.push((share.clone(), encoding.clone()));
            encoding
        }
    };
    sessions.into_iter().filter(|session| session.send_shared(message, &mut encoding).is_ok()).count()
}

fn encode(share: &ShareClass, message: &Message) -> Encoding {
    let Message { id, route, body, status } = message;
    let message = MessageRef { id: *id, route, body, status: *status };
    match share.codec.encode_shared(share.class, message) {
        Ok(Some(packet)) => Encoding::Packet(packet.into()),
        Ok(None) => Encoding::Nothing,
        Err(error) => {
            debug!(%route, %error, "no shared encoding: each session encodes for itself");
            Encoding::Apart
        }
    }
}
